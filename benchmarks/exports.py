"""What each export of the digits' network changes, holds and costs, beside Keras, in one run.

Each is compared with Keras on MNIST's test images. Then they take turns in every round, with one thread and with two,
one image at a time and in batches.

    python -m benchmarks.exports
"""

from __future__ import annotations

import os
import statistics
import tempfile
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tqdm import tqdm

from benchmarks.results import write_result
from benchmarks.speed import seconds
from digitreader.data import load_mnist
from digitreader.export import CALIBRATION_IMAGES, CALIBRATION_SEED, export
from digitreader.formats import TARGETS, Format
from digitreader.parity import open_export, open_keras
from digitreader.recognizer import MODELS, as_input, sha256
from experiments.runs import fresh_processes

KERAS = "keras"
NETWORK = MODELS / "mnist_cnn.keras"
THREADS = (1, 2)
ROUNDS = 9
IMAGES = {1: 64, 256: 1024, 1024: 1024}  # a round, by the size of the batch


def size(path: Path) -> int:
    """Return the bytes of a file, or of all files in a folder."""
    return sum(file.stat().st_size for file in [path, *path.rglob("*")] if file.is_file())


def in_turns(folder: Path, threads: int) -> dict[str, dict[int, float]]:
    """Return the median microseconds an image of each network, for each size of the batch.

    TensorFlow's threads are settled when it is first used: each number of threads needs a process of its own.
    """
    os.environ |= {"TF_NUM_INTRAOP_THREADS": str(threads), "TF_NUM_INTEROP_THREADS": "1"}
    images = as_input(load_mnist().x_test[: max(IMAGES.values())])
    networks = {KERAS: open_keras(NETWORK)}
    networks |= {format: open_export(folder / TARGETS[format], format, threads=threads) for format in Format}
    times: dict[str, dict[int, list[float]]] = {name: {batch: [] for batch in IMAGES} for name in networks}
    for turn in tqdm(range(ROUNDS + 1), f"{threads} threads"):
        for batch, count in IMAGES.items():
            parts = [images[first : first + batch] for first in range(0, count, batch)]
            for name, predict in networks.items():
                taken = seconds(lambda predict=predict, parts=parts: [predict(part) for part in parts])  # type: ignore[misc]
                if turn:  # the first one warms up
                    times[name][batch].append(1e6 * taken / count)
    return {
        name: {batch: statistics.median(found) for batch, found in batches.items()} for name, batches in times.items()
    }


def main() -> None:
    """Measure and write results/exports.json."""
    data = load_mnist()
    measured: dict[str, dict[str, Any]] = {KERAS: {"bytes": size(NETWORK)}}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for format in Format:
            parity = export(NETWORK, folder / TARGETS[format], format, data)
            measured[format] = {"bytes": size(folder / TARGETS[format])} | asdict(parity)
        for threads in THREADS:
            with fresh_processes(1) as pool:
                for network, microseconds in pool.submit(in_turns, folder, threads).result().items():
                    measured[network].setdefault("microseconds", {})[threads] = microseconds
    write_result(
        "exports",
        "python -m benchmarks.exports",
        networks=["mnist_cnn.onnx"],
        keras_sha256=sha256(NETWORK),
        litert=version("ai-edge-litert"),
        seed=CALIBRATION_SEED,
        calibration_images=CALIBRATION_IMAGES,
        split="test",
        rounds=ROUNDS,
        measured=measured,
    )


if __name__ == "__main__":
    main()
