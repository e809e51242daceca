"""What augmentation is worth: the committed recipe without it, with three of its seeds, each tested once.

Finished runs are rows of results/no_augmentation.json and are not repeated.

    python -m experiments.no_augmentation --jobs 2
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from experiments import committed
from experiments.runs import saved_on_test, study, train

RUNS = [replace(run, settings=run.settings | {"AUGMENT": False}) for run in committed.runs()[:3]]

if __name__ == "__main__":
    study("no_augmentation", __doc__, RUNS, partial(train, finish=saved_on_test))
