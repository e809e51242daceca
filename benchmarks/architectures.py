"""What an image costs each architecture: read, as ONNX, and in training; and MNISTNet also in PyTorch.

PyTorch reads from its TorchScript file. One thread; one image at a time and in batches, training in batches; the
networks take turns in every round. The digits are MNIST's, the weights random at first. Needs PyTorch:
`pip install -e ".[backends]"`.

    python -m benchmarks.architectures
"""

from __future__ import annotations

import os
import statistics
import tempfile
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from benchmarks.results import write_result
from benchmarks.speed import seconds
from digitreader.arrays import FloatArray
from digitreader.cores import cores
from digitreader.data import load_mnist
from digitreader.export import write_onnx
from digitreader.recognizer import BATCH, as_input, open_session
from experiments import torch_mnistnet
from experiments.architectures import TORCH
from experiments.runs import share_threads
from experiments.variants import NETWORKS, settings

ROUNDS = {"one": 15, "batch": 15, "training": 5}
IMAGES = {"one": 256, "batch": 256, "training": 40 * BATCH}  # a round
SEED = 0

Predict = Callable[[FloatArray], Any]
Train = Callable[[], Any]


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


def keras_training(name: str, images: FloatArray, labels: npt.NDArray[np.int64]) -> Train:
    """Return what trains one of `NETWORKS` with all the images."""
    model = NETWORKS[name](**settings(name, seed=SEED)["OPTIONS"])
    model.compile(optimizer="adam", loss="sparse_categorical_crossentropy")
    return lambda: model.fit(images, labels, batch_size=BATCH, verbose=0)


def torch_training(images: FloatArray, labels: npt.NDArray[np.int64]) -> Train:
    """Return what trains MNISTNet in PyTorch with all the images."""
    import torch

    model = torch_mnistnet.network()
    optimizer = torch.optim.Adam(model.parameters())
    x, y = torch.from_numpy(images.reshape(-1, 1, 28, 28)), torch.from_numpy(labels)
    return lambda: torch_mnistnet.train_epoch(model, optimizer, x, y, BATCH)


def in_turns(kind: str, calls: Mapping[str, Callable[[], Any]]) -> dict[str, list[float]]:
    """Return the microseconds an image that the calls take in each round."""
    microseconds: dict[str, list[float]] = {name: [] for name in calls}
    for turn in tqdm(range(ROUNDS[kind] + 1), kind):
        for name, call in calls.items():
            taken = seconds(call)
            if turn:  # the first one warms up
                microseconds[name].append(1e6 * taken / IMAGES[kind])
    return microseconds


def reading(predict: Predict, images: FloatArray, size: int) -> Callable[[], Any]:
    """Return what reads all the images, so many at a time."""
    parts = images.reshape(-1, size, 28, 28, 1)
    return lambda: [predict(part) for part in parts]


def main() -> None:
    """Measure and write results/architectures.json."""
    share_threads(cores())
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # as in experiments.variants
    data = load_mnist()
    images = {kind: as_input(data.x_train[:count]) for kind, count in IMAGES.items()}
    labels = data.y_train[: IMAGES["training"]].astype(np.int64)
    with tempfile.TemporaryDirectory() as folder:
        predict = {name: onnx_file(name, Path(folder) / "network.onnx") for name in NETWORKS}
        predict[TORCH] = torchscript_file(Path(folder) / "network.pt")
    train = {name: keras_training(name, images["training"], labels) for name in NETWORKS}
    train[TORCH] = torch_training(images["training"], labels)
    rounds = {
        kind: in_turns(kind, {name: reading(call, images[kind], size) for name, call in predict.items()})
        for kind, size in (("one", 1), ("batch", BATCH))
    }
    rounds["training"] = in_turns("training", train)
    write_result(
        "architectures",
        "python -m benchmarks.architectures",
        networks=[],
        seed=SEED,
        torch=version("torch"),
        threads=1,
        batch=BATCH,
        microseconds={
            name: {kind: statistics.median(times[name]) for kind, times in rounds.items()} for name in predict
        },
        torch_to_keras={
            kind: statistics.median(torch / keras for torch, keras in zip(times[TORCH], times["MNISTNet"], strict=True))
            for kind, times in rounds.items()
        },
    )


if __name__ == "__main__":
    main()
