"""What each kind of augmentation is worth: three seeds each, on 20,000 training digits for ten epochs.

Judged on the validation digits as they are, on the same digits moved, turned or scaled further than the training did,
and on scikit-learn's digits as pictures, prepared as the reader prepares them. The flip is there as a warning: most
digits are none any more when mirrored.

    python -m experiments.augmentation --jobs 2
"""

from __future__ import annotations

from functools import partial
from typing import Any

from experiments.recipe import SEEDS
from experiments.runs import Row, Run, study
from experiments.variants import SHORT, Split, augmentation, foreign_digits, settings, train

ALL = augmentation()
KINDS: dict[str, dict[str, Any]] = {
    "none": {},
    "rotation": {"rotation_range": ALL["rotation_range"]},
    "shift": {name: ALL[name] for name in ("width_shift_range", "height_shift_range")},
    "zoom": {"zoom_range": ALL["zoom_range"]},
    "all three": ALL,
    "all three and flip": ALL | {"horizontal_flip": True},
}
DISTORTIONS: dict[str, dict[str, Any]] = {  # about twice as far as in training
    "shifted": {"width_shift_range": 0.2, "height_shift_range": 0.2},
    "rotated": {"rotation_range": 25},
    "scaled": {"zoom_range": 0.25},
}
RUNS = [
    Run(settings(seed=seed, AUGMENTATION=arguments, DISTORTIONS=DISTORTIONS, **SHORT), {"augmentation": name})
    for name, arguments in KINDS.items()
    for seed in SEEDS
]


def elsewhere(model: Any, data: Split) -> Row:
    """Return the accuracy on distorted validation digits, and on scikit-learn's digits through the reader."""
    from tensorflow.keras.preprocessing.image import ImageDataGenerator

    def accuracy(images: Any, labels: Any) -> float:
        return float((model.predict(images, batch_size=500, verbose=0).argmax(axis=1) == labels).mean())

    found = {}
    for name, arguments in DISTORTIONS.items():
        generator = ImageDataGenerator(fill_mode="constant", cval=0.0, **arguments)
        distorted = generator.flow(data.x_val, batch_size=len(data.x_val), shuffle=False, seed=0)
        found[name] = accuracy(next(distorted), data.y_val)
    return {"val_distorted": found, "foreign": accuracy(*foreign_digits())}


if __name__ == "__main__":
    study("augmentation", __doc__, RUNS, partial(train, finish=elsewhere))
