"""The committed network on MNIST's test set: what `digits evaluate` prints."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from digitreader.data import Dataset
from digitreader.decision import Reading
from digitreader.errors import ImageError
from digitreader.reader import DigitReader


def outcomes(
    readings: Iterable[Reading | ImageError], labels: npt.NDArray[Any]
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Return which readings are right and which are accepted, each of shape (n,); an error is neither."""
    pairs = [
        (
            isinstance(reading, Reading) and reading.digit == label,
            isinstance(reading, Reading) and reading.decision == "accept",
        )
        for reading, label in zip(readings, labels, strict=True)
    ]
    right, accepted = np.array(pairs, np.bool_).T
    return right, accepted


def evaluate_reader(reader: DigitReader, data: Dataset) -> dict[str, Any]:
    """Return accuracies on the test images.

    Returns
    -------
    dict
        `images`; `accuracy` of `predict`; `accuracy_as_pictures` of `predict_image`; `accepted`, the share of the
        pictures that need no review, and `wrong_among_accepted`, the share of misread ones among these.
    """
    accuracy = float((reader.predict(data.x_test) == data.y_test).mean())
    right, accepted = outcomes(reader.predict_images(data.x_test), data.y_test)
    return {
        "images": len(data.x_test),
        "accuracy": accuracy,
        "accuracy_as_pictures": float(right.mean()),
        "accepted": float(accepted.mean()),
        "wrong_among_accepted": float((accepted & ~right).sum() / max(accepted.sum(), 1)),
    }
