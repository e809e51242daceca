"""What batch normalisation, dropout and a penalty on large weights are worth: curves side by side.

The committed network with and without each, three seeds, on 20,000 training digits for ten epochs; without
augmentation, which regularises too and would hide the others.

    python -m experiments.regularisation --jobs 2
"""

from __future__ import annotations

from typing import Any

from experiments.recipe import SEEDS
from experiments.runs import Run, study
from experiments.variants import SHORT, STRUCTURE, settings, train

NO_DROPOUT = {"dropout_convolution": 0.0, "dropout_dense": 0.0}
L2 = {"l2": 1e-4}
KINDS: dict[str, dict[str, Any]] = {
    "nothing": {"batch_norm": False} | NO_DROPOUT,
    "batch normalisation": NO_DROPOUT,
    "dropout": {"batch_norm": False},
    "L2": {"batch_norm": False} | NO_DROPOUT | L2,
    "batch normalisation and dropout": {},
    "all three": L2,
}
RUNS = [
    Run(settings(seed=seed, OPTIONS=STRUCTURE | options, AUGMENTATION={}, **SHORT), {"regularisation": name})
    for name, options in KINDS.items()
    for seed in SEEDS
]

if __name__ == "__main__":
    study("regularisation", __doc__, RUNS, train)
