"""Choose the recipe of the committed network: candidates of about equal training time, by validation log-loss.

All are trained with the first seed, the two with the lowest log-loss also with the others; the test set is not
touched. Finished runs are rows of results/recipe.json and are not repeated.

    python -m experiments.recipe --jobs 2
"""

from __future__ import annotations

from typing import Any

from experiments.runs import Run, study

SEEDS = (1, 2, 3)  # not those of the committed runs, 42 to 46
BASE = {
    "BATCH_SIZE": 64,
    "LEARNING_RATE": 0.001,
    "DENSE_UNITS": 256,
    "DROPOUT_CONVOLUTION": 0.25,
    "DROPOUT_DENSE": 0.5,
    "ROTATION": 10,
    "SHIFT": 0.1,
    "ZOOM": 0.1,
}
CANDIDATES: dict[str, dict[str, Any]] = {
    "32 32 / 64 64": {"BLOCKS": [[32, 32], [64, 64]], "EPOCHS": 15},
    "32 / 64 64 / 128": {"BLOCKS": [[32], [64, 64], [128]], "EPOCHS": 17},
    "32 32 / 64 64 / 128 128": {"BLOCKS": [[32, 32], [64, 64], [128, 128]], "EPOCHS": 11},
    "32 32 / 64 64 / 128": {"BLOCKS": [[32, 32], [64, 64], [128]], "EPOCHS": 13},
}
FINALISTS = ("32 32 / 64 64", "32 / 64 64 / 128")  # the two with the lowest log-loss with the first seed


RUNS = [
    Run({**BASE, **settings, "SEED": seed}, {"candidate": name})
    for seed in SEEDS
    for name, settings in CANDIDATES.items()
    if seed == SEEDS[0] or name in FINALISTS
]

if __name__ == "__main__":
    study("recipe", __doc__, RUNS)
