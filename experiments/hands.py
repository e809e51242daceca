"""Strokes that other hands add to a digit: the flag and the foot of a 1, the bar of a 7, the slash of a 0.

Few of MNIST's writers, Americans all, add them; elsewhere many do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt

from digitreader.arrays import FloatArray
from experiments.outlines import FINE, Rng, stroke_width

Ink = npt.NDArray[np.bool_]
Point = tuple[float, float]

SHARES = {0: 0.1, 1: 0.4, 7: 0.3}
"""Of the digits that are drawn with such a stroke."""


def _of_one(ink: Ink, rng: Rng) -> Iterator[tuple[Point, Point]]:
    """Yield a flag that falls to the left of the top, or a foot, or both."""
    rows = np.flatnonzero(ink.any(axis=1))
    top, bottom = rows[0], rows[-1]
    share = rng.random()
    if share < 0.85:
        start, angle = (_middle(ink, top), float(top)), rng.uniform(0.4, 1.2)
        length = rng.uniform(0.2, 0.6) * (bottom - top)
        yield start, (start[0] - length * np.sin(angle), start[1] + length * np.cos(angle))
    if share > 0.6:
        middle, half = _middle(ink, bottom), rng.uniform(0.15, 0.35) * (bottom - top)
        yield (middle - half, float(bottom)), (middle + half, float(bottom))


def _of_seven(ink: Ink, rng: Rng) -> Iterator[tuple[Point, Point]]:
    """Yield a bar through the stem."""
    rows = np.flatnonzero(ink.any(axis=1))
    height = rows[-1] - rows[0]
    level = int(rows[0] + rng.uniform(0.4, 0.65) * height)
    middle, half, tilt = _middle(ink, level), rng.uniform(0.14, 0.3) * height, rng.uniform(-0.3, 0.3)
    yield (middle - half, level + tilt * half), (middle + half, level - tilt * half)


def _of_zero(ink: Ink, rng: Rng) -> Iterator[tuple[Point, Point]]:
    """Yield a slash from the lower left to the upper right."""
    rows, columns = (np.flatnonzero(ink.any(axis=axis)) for axis in (1, 0))
    reach = rng.uniform(-0.2, 0.15, 2)
    width, height = np.ptp(columns), np.ptp(rows)
    yield (
        (columns[0] - reach[0] * width, rows[-1] + reach[0] * height),
        (columns[-1] + reach[1] * width, rows[0] - reach[1] * height),
    )


STROKES: dict[int, Callable[[Ink, Rng], Iterator[tuple[Point, Point]]]] = {
    0: _of_zero,
    1: _of_one,
    7: _of_seven,
}


def _middle(ink: Ink, row: int) -> float:
    """Return the middle of the ink in a row, or of all ink if the row has none."""
    columns = np.flatnonzero(ink[row]) if ink[row].any() else np.flatnonzero(ink.any(axis=0))
    return float(columns.mean())


def other_hand(distance: FloatArray, label: int, rng: Rng) -> FloatArray:
    """Return the outline of a digit as another hand may write it, see `experiments.outlines.outline`.

    Parameters
    ----------
    distance : ndarray of shape (112, 112), dtype float32
    label : int
        The digit: `SHARES` of some digits get a stroke more, all others stay as they are.
    rng : Generator
    """
    if rng.random() >= SHARES.get(label, 0):
        return distance
    half = stroke_width(distance) / 2 * rng.uniform(0.7, 1.1)
    y, x = np.mgrid[: distance.shape[0], : distance.shape[1]]
    for (left, upper), (right, lower) in STROKES[label](distance > 0, rng):
        length = np.hypot(right - left, lower - upper)
        along = np.array([right - left, lower - upper]) / max(length, 1e-9)
        place = np.clip((x - left) * along[0] + (y - upper) * along[1], 0, length)
        away = np.hypot(x - left - place * along[0], y - upper - place * along[1])
        distance = np.maximum(distance, half - away / FINE)
    return distance.astype(np.float32)
