"""Export the Keras network to ONNX, for readers that do without TensorFlow."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from digitreader.errors import ExportError
from digitreader.recognizer import KERAS_SHA256, OUTPUTS, Recognizer, as_input, sha256

TOLERANCE = 1e-5  # between the probabilities of Keras and of ONNX Runtime


def export_onnx(keras_path: Path, onnx_path: Path) -> None:
    """Write the network of a .keras file as an ONNX file with the outputs that the reader needs.

    The input is `image` (n, 28, 28, 1), float32 in [0, 1]. The outputs are `probabilities` (n, 10), `logits` (n, 10),
    `embedding` (n, k), what the last layer sees, and `last_conv` (n, h, w, c), the last feature maps before pooling.
    The metadata names the SHA-256 of the .keras file.

    Raises
    ------
    ExportError
        If the network has no layers of the notebook's names and order.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import keras

    network = keras.models.load_model(keras_path, compile=False)
    try:
        outputs = _outputs(keras, network)
    except (ValueError, IndexError, AttributeError) as error:
        raise ExportError(f"{keras_path} is not the notebook's network: {error}") from error
    model = keras.Model(network.input, dict(zip(OUTPUTS, outputs, strict=True)))
    model(np.zeros((1, 28, 28, 1), np.float32))  # Keras exports only models that have been called
    write_onnx(model, onnx_path, {KERAS_SHA256: sha256(keras_path)})


def write_onnx(model: Any, path: Path, properties: dict[str, str]) -> None:
    """Write a Keras model that has been called as an ONNX file with properties in its metadata.

    The same model gives the same bytes. A kill leaves the old file or the new one.
    """
    import onnx

    partial = path.with_suffix(".part")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # Keras looks for names that NumPy used to have
        model.export(str(partial), format="onnx", verbose=False)
    graph = onnx.load(partial)
    _rename(graph.graph)
    onnx.helper.set_model_props(graph, properties)
    onnx.save(graph, partial)
    partial.replace(path)


def _outputs(keras: Any, network: Any) -> list[Any]:
    """Return the tensors of `OUTPUTS`: the last layer is taken apart into its logits and their softmax."""
    digit = network.get_layer("digit")
    embedding = network.get_layer("embedding").output
    last_layer = keras.layers.Dense(digit.units, name="logits")
    logits = last_layer(embedding)
    last_layer.set_weights(digit.get_weights())
    last_pool = [layer for layer in network.layers if isinstance(layer, keras.layers.MaxPooling2D)][-1]
    return [keras.layers.Softmax(name="probabilities")(logits), logits, embedding, last_pool.input]


def _rename(graph: Any) -> None:
    """Rename the values inside a graph in the order of their use, so that the same network gives the same bytes."""
    names = {value.name: value.name for value in (*graph.input, *graph.output)}
    for number, node in enumerate(graph.node):
        node.name = f"{node.op_type}_{number}"
        for values in (node.input, node.output):
            for place, name in enumerate(values):
                values[place] = names.setdefault(name, f"value_{len(names)}")
    for tensor in graph.initializer:
        tensor.name = names[tensor.name]
    tensors = sorted(graph.initializer, key=lambda tensor: int(tensor.name.removeprefix("value_")))
    del graph.initializer[:], graph.value_info[:]
    graph.initializer.extend(tensors)


def check_parity(keras_path: Path, onnx_path: Path, images: npt.NDArray[np.uint8]) -> float:
    """Return the largest difference between the probabilities of Keras and of ONNX Runtime on images (n, 28, 28).

    Raises
    ------
    ExportError
        If it exceeds `TOLERANCE`.
    """
    import keras

    network = keras.models.load_model(keras_path, compile=False)
    expected = network.predict(as_input(images), batch_size=500, verbose=0)
    difference = float(np.abs(Recognizer(onnx_path).predict_proba(images) - expected).max())
    if difference > TOLERANCE:
        raise ExportError(f"{onnx_path} differs from {keras_path} by {difference:.1e}, more than {TOLERANCE:g}.")
    return difference
