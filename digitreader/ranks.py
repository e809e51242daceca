"""The value at one rank of many, without sorting them."""

from __future__ import annotations

import cv2
import numpy as np

from digitreader.arrays import FloatArray

MANY = 4096  # values: to rank fewer, a histogram does not pay


def ranked(values: FloatArray, place: int) -> float:
    """Return the value that sorting would bring to a place, exactly.

    Of many, a histogram tells first which few may be the one: `numpy.partition` alone takes longer.

    Parameters
    ----------
    values : ndarray of shape (n,), dtype float32
        At least 0, finite.
    place : int
        From 0 to n - 1.
    """
    if values.size < MANY or (highest := float(values.max())) < np.finfo(np.float32).eps:
        return float(np.partition(values, place)[place])
    # The value is no larger than this, or the mean would be larger: what is larger may share the last bin.
    most = min(highest, cv2.mean(values)[0] * values.size / (values.size - place))
    bins = cv2.convertScaleAbs(values, alpha=255 / most).ravel()
    below = np.cumsum(cv2.calcHist([bins], [0], None, [256], [0, 256]).astype(np.int64))
    chosen = int(np.searchsorted(below, place, side="right"))
    place -= int(below[chosen - 1]) if chosen else 0
    return float(np.partition(values[bins == chosen], place)[place])
