"""What the architecture is worth: four networks trained alike, three seeds each, and one of them in PyTorch too.

Trained much as MNISTNet is elsewhere, where 99.30 % are stated: ten epochs, Adam 0.001, batches of 64, no augmentation;
but on nine tenths of the training set, of which the rest chooses the epoch. So what our CNN gets from its own recipe is
not counted here (that is in results/seeds.json). Each finished network is tested once. PyTorch's rows need the extra
`backends`.

    python -m experiments.architectures --jobs 2
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from experiments import torch_mnistnet, variants
from experiments.recipe import SEEDS
from experiments.runs import Row, Run, on_test, study, threads_in_use

TORCH = "MNISTNet (PyTorch)"
PROTOCOL: dict[str, Any] = {
    "EPOCHS": 10,
    "LEARNING_RATE": 0.001,
    "BATCH_SIZE": 64,
    "DECAY": False,
    "AUGMENTATION": {},
}
RUNS = [
    Run(variants.settings(network, seed=seed, **PROTOCOL))
    for network in ("dense", "simple CNN", "MNISTNet", TORCH, variants.OURS)
    for seed in SEEDS
]


def train(run: Run, results: Path) -> Row:
    """Train and test a network of Keras or PyTorch."""
    if run.settings["NETWORK"] != TORCH:

        def finish(model: Any, _: variants.Split) -> Row:
            return on_test(lambda images: model.predict(images, batch_size=500, verbose=0))

        return variants.train(run, results, finish=finish)
    import torch

    torch.set_num_threads(threads_in_use())
    model, row = torch_mnistnet.fit(variants.split(run.settings["LIMIT"]), run.settings)
    return row | on_test(lambda images: torch_mnistnet.logits(model, images))


if __name__ == "__main__":
    study("architectures", __doc__, RUNS, train)
