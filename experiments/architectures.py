"""What the architecture is worth: four networks trained alike, three seeds each, and one of them in PyTorch too.

Trained much as MNISTNet is elsewhere, where 99.30 % are stated: ten epochs, Adam 0.001, batches of 64, no augmentation;
but on nine tenths of the training set, of which the rest chooses the epoch. So what our CNN gets from its own recipe is
not counted here (that is in results/seeds.json). Each finished network is tested once. PyTorch's rows need the extra
`backends`.

    python -m experiments.architectures --jobs 2
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from sklearn.metrics import confusion_matrix

from digitreader.arrays import FloatArray
from digitreader.data import load_mnist
from digitreader.recognizer import as_input
from experiments import torch_mnistnet, variants
from experiments.recipe import SEEDS
from experiments.runs import Row, Run, study, threads_in_use

TORCH = "MNISTNet (PyTorch)"
PROTOCOL: dict[str, Any] = {
    "EPOCHS": 10,
    "LEARNING_RATE": 0.001,
    "BATCH_SIZE": 64,
    "DECAY": False,
    "AUGMENTATION": {},
}
RUNS = [
    Run(variants.settings(network, seed=seed, **PROTOCOL)) for network in (*variants.NETWORKS, TORCH) for seed in SEEDS
]


def test(predict: Callable[[FloatArray], FloatArray]) -> Row:
    """Return what a finished network makes of MNIST's test set: its accuracy, and which digits it takes for which."""
    data = load_mnist()
    found = predict(as_input(data.x_test)).argmax(axis=1)
    confused = confusion_matrix(data.y_test, found, labels=range(10))
    return {"test_accuracy": float((found == data.y_test).mean()), "confusion": confused.tolist()}


def train(run: Run, results: Path) -> Row:
    """Train and test a network of Keras or PyTorch."""
    if run.settings["NETWORK"] != TORCH:

        def finish(model: Any, _: variants.Split) -> Row:
            return test(lambda images: model.predict(images, batch_size=500, verbose=0))

        return variants.train(run, results, finish=finish)
    import torch

    torch.set_num_threads(threads_in_use())
    model, row = torch_mnistnet.fit(variants.split(run.settings["LIMIT"]), run.settings)
    return row | test(lambda images: torch_mnistnet.logits(model, images))


if __name__ == "__main__":
    study("architectures", __doc__, RUNS, train)
