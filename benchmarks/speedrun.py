"""How soon a network reads MNIST: two small recipes beside the two examples that most people begin with.

In the manner of cifar10-airbench: a recipe is of fixed length, and what it claims is the mean accuracy that it ends
with and the mean time that it takes. The examples are trained as they are published, until they first reach the
accuracy that the shorter recipe is to reach, or to their end.

All train on the first 54,000 digits of MNIST's training set and are judged on its last 6,000, as Keras' example does
it; the recipes were chosen on these too: the claim is about time. Test digits are not read. The clock runs while a
network is made and trained, tracing and compiling included; not while data and libraries are loaded, nor while it is
judged. Each training has a process of its own, and all cores; they take turns. Needs PyTorch:
`pip install -e ".[backends]"`.

    python -m benchmarks.speedrun

A training that has ended is kept in runs/speedrun, from which a run that was stopped goes on: remove that folder before
measuring anew.

References
----------
Jordan, K. (2024). 94 % on CIFAR-10 in 3.29 seconds on a single GPU. arXiv:2404.00498: `cifar10-airbench`.
Chollet, F. Simple MNIST convnet: `keras-io/examples/vision/mnist_convnet.py`.
PyTorch's basic MNIST example: `pytorch/examples/mnist/main.py`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.results import write_result
from digitreader.arrays import FloatArray
from digitreader.cores import cores
from digitreader.data import load_mnist
from digitreader.recognizer import as_input
from experiments.runs import ROOT, Row, Run, read_rows_of, train_missing
from experiments.selective import batches, moved

COMMAND = "python -m benchmarks.speedrun"
STATE = ROOT / "runs" / "speedrun"
KERAS, PYTORCH, SPRINT, RUN = "Keras' example", "PyTorch's example", "sprint", "run"
EXAMPLES = (KERAS, PYTORCH)
TRAININGS = 10  # of each
AIMS = {SPRINT: 0.990, RUN: 0.994}  # validation accuracy
TRAINED_ON = 54_000  # digits; the others of the training set judge
SHARED = {
    "BATCH_SIZE": 128,
    "LEARNING_RATE": 0.01,
    "WARM_UP": 0.25,  # of the steps
    "SHIFT": 2.0,  # pixels, at most
    "KEPT": 0.4,  # of the digits, after each has been seen once
    "AT_RANDOM": 0.3,  # of those; the others are the ones with the largest loss
}
RECIPES: dict[str, dict[str, Any]] = {
    KERAS: {"EPOCHS": 15, "BATCH_SIZE": 128},
    PYTORCH: {"EPOCHS": 14, "BATCH_SIZE": 64, "LEARNING_RATE": 1.0, "DECAY": 0.7},
    SPRINT: SHARED | {"FILTERS": [16, 32, 64], "EPOCHS": 1.25, "TURN": 0.1},
    RUN: SHARED | {"FILTERS": [24, 48, 96], "EPOCHS": 2.5, "TURN": 0.15},
}
# The trainings take turns: what slows the machine down for a while slows all of them.
RUNS = [
    Run(settings | {"SEED": seed}, {"recipe": name}) for seed in range(TRAININGS) for name, settings in RECIPES.items()
]

Labels = npt.NDArray[np.int64]
Predict = Callable[[FloatArray], npt.NDArray[Any]]
"""Images (n, 28, 28, 1), float32 in [0, 1], to scores (n, 10)."""
Train = Callable[[FloatArray, Labels, Mapping[str, Any]], Iterator[Predict]]
"""What trains, and gives the network whenever it is to be judged."""


def keras_example(images: FloatArray, labels: Labels, settings: Mapping[str, Any]) -> Iterator[Predict]:
    """Train the network of Keras' example, and yield it after every epoch."""
    import keras
    from keras import layers

    keras.utils.set_random_seed(settings["SEED"])
    model = keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.Conv2D(32, 3, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Conv2D(64, 3, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            layers.Dropout(0.5),
            layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile("adam", "categorical_crossentropy")
    targets = keras.utils.to_categorical(labels, 10)
    for _ in range(settings["EPOCHS"]):
        model.fit(images, targets, batch_size=settings["BATCH_SIZE"], verbose=0)
        yield partial(model.predict, batch_size=500, verbose=0)


def _predict(model: Any, images: FloatArray, *, shift: float = 0, scale: float = 1) -> npt.NDArray[Any]:
    """Return what a network of PyTorch gives for images (n, 28, 28, 1)."""
    import torch

    model.eval()
    with torch.inference_mode():
        parts = ((torch.from_numpy(part).permute(0, 3, 1, 2) - shift) / scale for part in np.array_split(images, 12))
        found: npt.NDArray[Any] = np.concatenate([model(part).numpy() for part in parts])
    model.train()
    return found


def pytorch_example(images: FloatArray, labels: Labels, settings: Mapping[str, Any]) -> Iterator[Predict]:
    """Train the network of PyTorch's example, and yield it after every epoch.

    Its batches are taken from an array: the example itself makes them picture by picture, which takes it longer.
    """
    import torch
    from torch import nn, optim
    from torch.nn.functional import nll_loss

    mean, deviation = 0.1307, 0.3081
    x, y = (torch.from_numpy(images).permute(0, 3, 1, 2) - mean) / deviation, torch.from_numpy(labels)
    torch.manual_seed(settings["SEED"])
    model = nn.Sequential(
        nn.Conv2d(1, 32, 3),
        nn.ReLU(),
        nn.Conv2d(32, 64, 3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Dropout(0.25),
        nn.Flatten(),
        nn.Linear(9216, 128),
        nn.ReLU(),
        nn.Dropout(0.5),
        nn.Linear(128, 10),
        nn.LogSoftmax(dim=1),
    )
    optimizer = optim.Adadelta(model.parameters(), lr=settings["LEARNING_RATE"])
    scheduler = optim.lr_scheduler.StepLR(optimizer, step_size=1, gamma=settings["DECAY"])
    for _ in range(settings["EPOCHS"]):
        for batch in torch.randperm(len(y)).split(settings["BATCH_SIZE"]):
            optimizer.zero_grad()
            nll_loss(model(x[batch]), y[batch]).backward()
            optimizer.step()
        scheduler.step()
        yield partial(_predict, model, shift=mean, scale=deviation)


def network(filters: list[int]) -> Any:
    """Return the recipes' untrained network: images (n, 1, 28, 28) to logits (n, 10).

    It sees squares of two by two pixels as one with four channels: a convolution of one channel, at four times as many
    places, takes longer than its multiply-adds tell. It normalises what is pooled, which is a quarter.
    """
    from torch import nn

    first, second, third = filters
    return nn.Sequential(
        nn.PixelUnshuffle(2),
        nn.Conv2d(4, first, 3, padding=1),
        nn.ReLU(inplace=True),
        nn.Conv2d(first, second, 3, padding=1, bias=False),
        nn.MaxPool2d(2),
        nn.BatchNorm2d(second),
        nn.ReLU(inplace=True),
        nn.Conv2d(second, third, 3, padding=1, bias=False),
        nn.MaxPool2d(2),
        nn.BatchNorm2d(third),
        nn.ReLU(inplace=True),
        nn.Flatten(),
        nn.Linear(third * 9, 10),
    )


def recipe(images: FloatArray, labels: Labels, settings: Mapping[str, Any]) -> Iterator[Predict]:
    """Train by one of the recipes, and yield the network at its end.

    Adam, with a rate that rises and falls along straight lines; digits that are turned, slanted, stretched and shifted
    a little; once all have been seen, mostly those that were hard; a pixel's channels side by side, and convolutions in
    bfloat16 where the processor has wide enough vectors for it not to take longer.
    """
    import torch
    from torch.nn.functional import cross_entropy

    pixels, y = np.rint(images[..., 0] * 255).astype(np.uint8), torch.from_numpy(labels)
    torch.manual_seed(settings["SEED"])
    rng = np.random.default_rng(settings["SEED"])
    model = network(settings["FILTERS"]).to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(model.parameters(), settings["LEARNING_RATE"], betas=(0.9, 0.99))
    steps = round(settings["EPOCHS"] * len(y) / settings["BATCH_SIZE"])
    losses = np.full(len(y), np.inf, np.float32)
    narrow = torch.backends.cpu.get_cpu_capability() == "AVX512"
    reach = dict.fromkeys(("TURN", "SLANT", "STRETCH"), settings["TURN"]) | {"SHIFT": settings["SHIFT"]}
    for step, batch in enumerate(islice(batches(losses, settings, rng), steps)):
        done = step / steps
        rate = min(done / settings["WARM_UP"], (1 - done) / (1 - settings["WARM_UP"]))
        for group in optimizer.param_groups:
            group["lr"] = settings["LEARNING_RATE"] * rate
        shown = torch.from_numpy(moved(pixels[batch], reach, rng))[:, np.newaxis].float() / 255
        with torch.autocast("cpu", torch.bfloat16, enabled=narrow):
            logits = model(shown.contiguous(memory_format=torch.channels_last))
        loss = cross_entropy(logits.float(), y[batch], reduction="none")
        losses[batch] = loss.detach().numpy()
        optimizer.zero_grad()
        loss.mean().backward()
        optimizer.step()
    yield partial(_predict, model)


TRAIN: dict[str, Train] = {KERAS: keras_example, PYTORCH: pytorch_example, SPRINT: recipe, RUN: recipe}


def train(run: Run, results: Path) -> Row:
    """Train once with the watch in hand, and return the row. `results` is not needed."""
    data, threads = load_mnist(), cores()
    if run.labels["recipe"] != KERAS:
        import torch

        torch.set_num_threads(threads)
    else:
        import keras  # noqa: F401 (not on the clock)
    images, labels = as_input(data.x_train[:TRAINED_ON]), data.y_train[:TRAINED_ON].astype(np.int64)
    shown, truth = as_input(data.x_train[TRAINED_ON:]), data.y_train[TRAINED_ON:]
    taken, judged = 0.0, []
    started = time.perf_counter()
    for predict in TRAIN[run.labels["recipe"]](images, labels, run.settings):
        taken += time.perf_counter() - started
        accuracy = float((predict(shown).argmax(axis=1) == truth).mean())
        judged.append({"seconds": round(taken, 3), "val_accuracy": accuracy})
        if run.labels["recipe"] in EXAMPLES and accuracy >= AIMS[SPRINT]:
            break
        started = time.perf_counter()
    return run.labels | {"settings": run.settings, "seed": run.settings["SEED"], "threads": threads, "judged": judged}


def main() -> None:
    """Train what is missing, by turns, and write results/speedrun.json."""
    train_missing("speedrun", RUNS, train, jobs=1, command=COMMAND, results=STATE)
    told = ("recipe", "seed", "threads", "judged")
    write_result(
        "speedrun",
        COMMAND,
        networks=[],
        seed=0,  # of the first training of each; the next one has the next
        split="validation",
        torch=version("torch"),
        recipes=RECIPES,
        runs=[{name: row[name] for name in told} for row in read_rows_of("speedrun", RUNS, STATE)],
    )


if __name__ == "__main__":
    main()
