"""What augmentation is worth: the committed recipe and seed without it, tested once, as results/no_augmentation.json.

python -m experiments.no_augmentation
"""

from __future__ import annotations

from functools import partial

from experiments.runs import Run, accuracy_on_test, committed_settings, study, train

if __name__ == "__main__":
    study(
        "no_augmentation",
        __doc__,
        [Run(committed_settings() | {"AUGMENT": False})],
        partial(train, finish=accuracy_on_test),
    )
