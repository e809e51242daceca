"""What augmentation is worth: the committed recipe and seed without it, tested once, as results/no_augmentation.json.

Kinds of augmentation, with three seeds each in a shorter training, are compared by `experiments.augmentation`.

    python -m experiments.no_augmentation
"""

from __future__ import annotations

from functools import partial

from experiments.runs import Run, committed_settings, saved_on_test, study, train

RUNS = [Run(committed_settings() | {"AUGMENT": False})]

if __name__ == "__main__":
    study("no_augmentation", __doc__, RUNS, partial(train, finish=saved_on_test))
