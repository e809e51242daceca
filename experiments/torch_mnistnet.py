"""MNISTNet in PyTorch, with a training like that of `experiments.variants`, without decay or augmentation.

The Keras build in `experiments.variants` is to reproduce it. Needs the extra `backends`.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from digitreader.arrays import FloatArray
from digitreader.recognizer import sha256
from experiments.runs import Row
from experiments.variants import Split, mnistnet, multiply_adds, outcome


def network() -> Any:
    """Return the untrained network: images (n, 1, 28, 28) to logits (n, 10)."""
    from torch import nn

    return nn.Sequential(
        nn.Conv2d(1, 32, 3, padding=1),
        nn.BatchNorm2d(32),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3, padding=1),
        nn.BatchNorm2d(64),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Dropout2d(0.25),
        nn.Flatten(),
        nn.Linear(64 * 7 * 7, 128),
        nn.ReLU(),
        nn.Dropout(0.5),
        nn.Linear(128, 10),
    )


def logits(model: Any, images: FloatArray) -> FloatArray:
    """Return the logits (n, 10) of images (n, 28, 28, 1)."""
    import torch

    model.eval()
    with torch.inference_mode():
        found: FloatArray = np.concatenate(
            [model(torch.from_numpy(part).permute(0, 3, 1, 2)).numpy() for part in np.array_split(images, 20)]
        )
    return found


def train_epoch(model: Any, optimizer: Any, images: Any, labels: Any, batch_size: int) -> None:
    """Train with each of the images (n, 1, 28, 28), float32, and labels (n,), int64, once, in random batches."""
    import torch
    from torch.nn.functional import cross_entropy

    model.train()
    for batch in torch.randperm(len(labels)).split(batch_size):
        optimizer.zero_grad()
        cross_entropy(model(images[batch]), labels[batch]).backward()
        optimizer.step()


def fit(data: Split, settings: Mapping[str, Any]) -> tuple[Any, Row]:
    """Train a network and return it, with the weights of the epoch with the least validation log-loss, and its row.

    It takes as many threads as PyTorch is told to by the caller.
    """
    import torch
    from scipy.special import softmax

    from digitreader.decision import log_loss

    torch.manual_seed(settings["SEED"])
    model = network()
    optimizer = torch.optim.Adam(model.parameters(), settings["LEARNING_RATE"])
    images = torch.from_numpy(data.x_fit).permute(0, 3, 1, 2)
    labels = torch.from_numpy(data.y_fit.astype(np.int64))
    history: dict[str, list[float]] = {"val_log_loss": [], "val_accuracy": []}
    best: dict[str, Any] = {}
    started = time.perf_counter()
    for _ in range(settings["EPOCHS"]):
        train_epoch(model, optimizer, images, labels, settings["BATCH_SIZE"])
        scores = logits(model, data.x_val)
        history["val_log_loss"].append(round(log_loss(softmax(scores, axis=1), data.y_val), 6))
        history["val_accuracy"].append(round(float((scores.argmax(axis=1) == data.y_val).mean()), 6))
        if history["val_log_loss"][-1] == min(history["val_log_loss"]):
            best = {name: value.clone() for name, value in model.state_dict().items()}
    seconds = time.perf_counter() - started
    model.load_state_dict(best)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model.pt"
        torch.save(best, file)
        model_sha256 = sha256(file)
    row = outcome(settings, data, history, seconds=seconds, model_sha256=model_sha256, packages=("torch", "numpy"))
    weights = sum(value.numel() for value in best.values() if value.is_floating_point())  # as Keras counts them
    return model, row | {"weights": weights, "multiply_adds": multiply_adds(mnistnet())}
