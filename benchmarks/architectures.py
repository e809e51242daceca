"""What an image costs each architecture, as ONNX; and MNISTNet also as PyTorch's TorchScript file.

One thread, one image at a time and in batches; the networks take turns in every round. Their weights are random, on
which the time does not depend. Needs PyTorch: `pip install -e ".[backends]"`.

    python -m benchmarks.architectures
"""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from benchmarks.results import write_result
from benchmarks.speed import seconds
from digitreader.arrays import FloatArray
from digitreader.export import write_onnx
from digitreader.provenance import provenance
from digitreader.recognizer import BATCH, open_session
from experiments import torch_mnistnet
from experiments.architectures import TORCH
from experiments.variants import NETWORKS, settings

ROUNDS = 15
IMAGES = 256  # a round
SEED = 0

Predict = Callable[[FloatArray], Any]


def onnx_file(name: str, path: Path) -> Predict:
    """Return what predicts with one of `NETWORKS`, from its ONNX file."""
    import keras

    untrained = NETWORKS[name](**settings(name, seed=SEED)["OPTIONS"])
    model = keras.Model(untrained.inputs, untrained.outputs)
    model(np.zeros((1, 28, 28, 1), np.float32))  # Keras exports only models that have been called
    write_onnx(model, path, {})
    session = open_session(path, [], "python -m benchmarks.architectures")
    image = session.get_inputs()[0].name
    return lambda images: session.run(None, {image: images})


def torchscript_file(path: Path) -> Predict:
    """Return what predicts with MNISTNet, from its TorchScript file."""
    import torch

    torch.set_num_threads(1)
    torch.jit.save(torch.jit.script(torch_mnistnet.network().eval()), path)
    model = torch.jit.optimize_for_inference(torch.jit.load(path))

    def predict(images: FloatArray) -> Any:
        with torch.inference_mode():
            return model(torch.from_numpy(images.reshape(-1, 1, 28, 28)))

    return predict


def main() -> None:
    """Measure and write results/architectures.json."""
    images = np.random.default_rng(SEED).random((IMAGES, 28, 28, 1), np.float32)
    with tempfile.TemporaryDirectory() as folder:
        calls = {name: onnx_file(name, Path(folder) / "network.onnx") for name in NETWORKS}
        calls[TORCH] = torchscript_file(Path(folder) / "network.pt")
    microseconds: dict[str, dict[str, list[float]]] = {name: {"one": [], "batch": []} for name in calls}
    for size, kind in ((1, "one"), (BATCH, "batch")):
        parts = images.reshape(-1, size, 28, 28, 1)
        for turn in tqdm(range(ROUNDS + 1), kind):
            for name, predict in calls.items():
                taken = seconds(lambda: [predict(part) for part in parts])  # noqa: B023
                if turn:  # the first one warms up
                    microseconds[name][kind].append(1e6 * taken / IMAGES)
    write_result(
        "architectures",
        "python -m benchmarks.architectures",
        seed=SEED,
        torch=provenance("", "torch")["versions"]["torch"],
        threads=1,
        batch=BATCH,
        microseconds={
            name: {kind: statistics.median(times) for kind, times in kinds.items()}
            for name, kinds in microseconds.items()
        },
        torchscript_to_onnx={
            kind: statistics.median(
                slow / fast
                for slow, fast in zip(microseconds[TORCH][kind], microseconds["MNISTNet"][kind], strict=True)
            )
            for kind in ("one", "batch")
        },
    )


if __name__ == "__main__":
    main()
