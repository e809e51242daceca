"""Two networks in one ONNX file: the first reads every image, the second those that the first is not sure of."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, compose, helper, numpy_helper

from digitreader.recognizer import FAST_OUTPUTS, INPUT

CLASSES, SIDE = 10, 28


def on_bytes(network: Any, prefix: str) -> Any:
    """Return a quantised network that takes the bytes which it has made of floats in [0, 1] before.

    Parameters
    ----------
    network : onnx.ModelProto
        One input, one output; quantised so that a step of its input is 1/255.
    prefix : str
        What all names begin with afterwards.

    Raises
    ------
    ValueError
        If its steps are others: bytes would mean something else to it.
    """
    graph = network.graph
    (image,) = graph.input
    stored = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    name = image.name
    while True:  # before the pixels are quantised they are, at most, put in another order
        (reader,) = (node for node in graph.node if name in node.input)
        if reader.op_type not in ("Reshape", "Transpose"):
            break
        name = reader.output[0]
    scale, zero = (float(stored[name]) for name in reader.input[1:]) if reader.op_type == "QuantizeLinear" else (0, 0)
    if zero != 0 or abs(scale * 255 - 1) > 1e-6:
        raise ValueError(f"{prefix}: the input is not quantised in steps of 1/255.")
    graph.node.remove(reader)
    for node in graph.node:
        node.input[:] = [name if value == reader.output[0] else value for value in node.input]
    image.type.tensor_type.elem_type = TensorProto.UINT8
    del graph.value_info[:]  # they would say that the pixels are floats
    return compose.add_prefix(network, prefix)


def write_cascade(first: Path, second: Path, sure: float, target: Path, properties: dict[str, str]) -> None:
    """Write two quantised networks, images (n, 28, 28, 1) to logits (n, 10), as one of images (n, 28, 28), uint8.

    Parameters
    ----------
    first, second : Path
        The ONNX files of both.
    sure : float
        Where the largest probability of the first is less, the second decides.
    target : Path
    properties : dict
        For the metadata.

    Raises
    ------
    ValueError
        As `on_bytes`.
    """
    quick, thorough = on_bytes(onnx.load(first), "quick_"), on_bytes(onnx.load(second), "thorough_")
    (image,), (logits,) = quick.graph.input, quick.graph.output
    (doubtful_image,), (better_logits,) = thorough.graph.input, thorough.graph.output
    probabilities_name, logits_name = FAST_OUTPUTS
    node = helper.make_node
    nodes = [
        node("Unsqueeze", [INPUT, "last"], [image.name]),
        *quick.graph.node,
        node("Softmax", [logits.name], ["quick_probabilities"], axis=-1),
        node("ReduceMax", ["quick_probabilities"], ["confidence"], axes=[1], keepdims=0),
        node("Less", ["confidence", "sure"], ["doubtful"]),
        node("Compress", [image.name, "doubtful"], [doubtful_image.name], axis=0),
        *thorough.graph.node,
        node("NonZero", ["doubtful"], ["places_across"]),
        node("Transpose", ["places_across"], ["places"]),
        node("ScatterND", [logits.name, "places", better_logits.name], [logits_name]),
        node("Softmax", [logits_name], [probabilities_name], axis=-1),
    ]
    stored = [
        numpy_helper.from_array(np.array([-1], np.int64), "last"),
        numpy_helper.from_array(np.array(sure, np.float32), "sure"),
    ]
    graph = helper.make_graph(
        nodes,
        "cascade",
        [helper.make_tensor_value_info(INPUT, TensorProto.UINT8, ["n", SIDE, SIDE])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", CLASSES]) for name in FAST_OUTPUTS],
        [*quick.graph.initializer, *thorough.graph.initializer, *stored],
    )
    model = helper.make_model(graph, opset_imports=quick.opset_import, ir_version=quick.ir_version)
    helper.set_model_props(model, properties)
    onnx.checker.check_model(model)
    onnx.save(model, target)
