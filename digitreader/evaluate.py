"""The committed network on MNIST's test set: what `digits evaluate` prints."""

from __future__ import annotations

from typing import Any

import numpy as np

from digitreader.data import Dataset
from digitreader.decision import Reading
from digitreader.reader import DigitReader


def evaluate_reader(reader: DigitReader, data: Dataset) -> dict[str, Any]:
    """Return accuracies on the test images.

    Returns
    -------
    dict
        `images`; `accuracy` of `predict`; `accuracy_as_pictures` of `predict_image`; `accepted`, the share of the
        pictures that need no review, and `wrong_among_accepted`, the share of misread ones among these.
    """
    accuracy = float((reader.predict(data.x_test) == data.y_test).mean())
    readings = list(reader.predict_images(iter(data.x_test)))
    right = np.array(
        [isinstance(item, Reading) and item.digit == y for item, y in zip(readings, data.y_test, strict=True)]
    )
    accepted = np.array([isinstance(item, Reading) and item.decision == "accept" for item in readings])
    return {
        "images": len(data.x_test),
        "accuracy": accuracy,
        "accuracy_as_pictures": float(right.mean()),
        "accepted": float(accepted.mean()),
        "wrong_among_accepted": float((accepted & ~right).sum() / max(accepted.sum(), 1)),
    }
