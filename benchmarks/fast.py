"""How fast and how accurate the fast network is, beside Keras and other forms of the digits' network, in one run.

Each reads MNIST's test images from arrays of bytes: Keras by `predict` at its best batch size, the others by
`predict_proba`. They take turns in every round, on all cores; the fast one then reads as many as come in a `DAY`, the
same again and again. What the processor can do at most is measured by products of matrices: a network that took only
its multiply-adds would need its number of them, divided by that.

    python -m benchmarks.fast
"""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from tqdm import tqdm

from benchmarks.exports import NETWORK
from benchmarks.results import write_result
from benchmarks.speed import KERAS_BATCHES, seconds
from digitreader.cores import cores
from digitreader.data import load_mnist
from digitreader.export import export
from digitreader.formats import Format
from digitreader.intervals import wilson
from digitreader.reader import DigitReader
from digitreader.recognizer import INPUT, MODELS, Recognizer, as_input
from experiments.fast_network import RECIPE, networks
from experiments.variants import multiply_adds

ROUNDS = 15
DAY = 25_000_000  # digits of PostalTech's parcels
SIDE = 512  # of the matrices: of all sizes near it the processor does about as much
PRODUCTS = 64  # a thread and round
KERAS, FULL, INT8, FAST = "Keras", "ONNX", "ONNX, 8 bits", "fast"
FLOATS, BYTES = "32 bits", "8 bits"


def doubtful(images: np.ndarray) -> float:
    """Return the share of images (n, 28, 28), uint8, that the first network of the fast one leaves to the second."""
    model = onnx.load(MODELS / "fast.onnx")
    model.graph.output.append(helper.make_tensor_value_info("doubtful", TensorProto.BOOL, ["n"]))
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    (found,) = session.run(["doubtful"], {INPUT: images})
    return float(found.mean())


def product(dtype: type[np.generic], operator: str, weights: type[np.generic]) -> Callable[[], Any]:
    """Return what multiplies matrices by a large one that is always the same, in ONNX Runtime, on one thread."""
    given = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    found = TensorProto.INT32 if dtype is np.uint8 else given
    sizes = [helper.make_tensor_value_info(name, kind, [SIDE, SIDE]) for name, kind in (("a", given), ("c", found))]
    stored = numpy_helper.from_array(np.ones((SIDE, SIDE), weights), "b")
    node = helper.make_node(operator, ["a", "b"], ["c"])
    graph = helper.make_graph([node], "product", sizes[:1], sizes[1:], [stored])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 15)], ir_version=8)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    matrix = np.ones((SIDE, SIDE), dtype)
    return lambda: [session.run(None, {"a": matrix}) for _ in range(PRODUCTS)]


def limits(threads: int) -> dict[str, Callable[[], Any]]:
    """Return what multiplies large matrices on all cores, in floats and in bytes: that takes multiply-adds alone."""
    pool = ThreadPoolExecutor(threads)
    products = {
        FLOATS: product(np.float32, "MatMul", np.float32),
        BYTES: product(np.uint8, "MatMulInteger", np.int8),
    }
    return {
        name: lambda call=call: list(pool.map(lambda _: call(), range(threads)))  # type: ignore[misc]
        for name, call in products.items()
    }


def in_turns(calls: Mapping[str, Callable[[], Any]]) -> dict[str, list[float]]:
    """Return the seconds of each call in some rounds, of which the first has warmed up."""
    taken: dict[str, list[float]] = {name: [] for name in calls}
    for turn in tqdm(range(ROUNDS + 1), "rounds"):
        for name, call in calls.items():
            spent = seconds(call)
            if turn:
                taken[name].append(spent)
    return taken


def least_microseconds(result: Mapping[str, Any], name: str) -> float:
    """Return what a digit would take a network if nothing but its multiply-adds took time, from the result."""
    rate = result["billion_multiply_adds_a_second"][BYTES if name in (INT8, FAST) else FLOATS]
    return float(result["measured"][name]["multiply_adds"] / (1e3 * rate))


def best_batch(network: Any, inputs: np.ndarray) -> int:
    """Return the size of Keras' batches with which it is fastest, in the median of three."""
    taken = {
        size: statistics.median(seconds(partial(network.predict, inputs, batch_size=size, verbose=0)) for _ in range(3))
        for size in KERAS_BATCHES
    }
    return min(taken, key=lambda size: taken[size])


def main() -> None:
    """Measure and write results/fast.json."""
    import keras

    data, threads = load_mnist(), cores()
    images, inputs = data.x_test, as_input(data.x_test)
    network = keras.models.load_model(NETWORK, compile=False)
    batch = best_batch(network, inputs)
    with tempfile.TemporaryDirectory() as folder:
        int8 = Path(folder) / "int8.onnx"
        export(NETWORK, int8, Format.ONNX_INT8, data)
        quantised = Recognizer(int8)
    reader, fast = DigitReader(), DigitReader(model="fast")
    read: dict[str, Callable[[], np.ndarray]] = {
        KERAS: lambda: network.predict(inputs, batch_size=batch, verbose=0),
        FULL: lambda: reader.predict_proba(images),
        INT8: lambda: quantised.predict_proba(images),
        FAST: lambda: fast.predict_proba(images),
    }
    taken = in_turns(read | limits(threads))
    day = seconds(lambda: [read[FAST]() for _ in tqdm(range(DAY // len(images)), "a day's digits")])
    tiny, larger = (multiply_adds(part) for part in networks(RECIPE))
    share, full = doubtful(images), multiply_adds(network)
    work = {KERAS: full, FULL: full, INT8: full, FAST: tiny + share * larger}
    measured = {
        name: {
            "microseconds": 1e6 * statistics.median(taken[name]) / len(images),
            "accuracy": float(right.mean()),
            "accuracy_95": wilson(int(right.sum()), len(right)),
            "multiply_adds": work[name],
        }
        for name, call in read.items()
        for right in [call().argmax(axis=1) == data.y_test]
    }
    rates = {name: threads * PRODUCTS * SIDE**3 / statistics.median(taken[name]) / 1e9 for name in (FLOATS, BYTES)}
    write_result(
        "fast",
        "python -m benchmarks.fast",
        networks=["mnist_cnn.onnx", "fast.onnx"],
        seed=None,
        split="test",
        cores=threads,
        rounds=ROUNDS,
        keras_batch_size=batch,
        measured=measured,
        images_a_second=len(images) / statistics.median(taken[FAST]),
        times_keras=statistics.median(slow / quick for slow, quick in zip(taken[KERAS], taken[FAST], strict=True)),
        day_s=day,
        left_to_the_second=share,
        billion_multiply_adds_a_second=rates,
        bytes=(MODELS / "fast.onnx").stat().st_size,
    )


if __name__ == "__main__":
    main()
