"""An image of several digits in a line, brought to the form that the line reader was trained on, and back."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np
import numpy.typing as npt

from digitreader.arrays import FloatArray
from digitreader.errors import BlankImageError

Box = tuple[int, int, int, int]

HEIGHT = 24  # of the line's image
TEXT = 22  # rows of it that the ink takes
MAX_WIDTH = 1024  # of the line's image: some fifty digits
MAX_TILT = 12  # degrees
WINDOW = 0.8  # width of a digit with its gap, against its height
INK = 0.3  # fainter ink does not count for extents and boxes
WHOLE = 0.8  # a stroke with more than this share of its ink at one digit is that digit's


@dataclass(frozen=True)
class LineImage:
    """A line of digits, level and of one height.

    Attributes
    ----------
    pixels : ndarray of shape (24, w), dtype float32
        White ink on black, in [0, 1]; w is a multiple of 4.
    to_line : ndarray of shape (2, 3), dtype float64
        Affine map from the original's pixels to these.
    """

    pixels: FloatArray
    to_line: npt.NDArray[np.float64]

    def boxes(self, centres: Sequence[float]) -> list[Box]:
        """Return the box of each digit's ink: left, top, right and bottom in the original's pixels, the last exclusive.

        Parameters
        ----------
        centres : sequence of float
            The column in which each digit was read, rising.
        """
        if not centres:
            return []
        inked = self.pixels > INK
        rows, columns = np.nonzero(inked)
        count, components = cv2.connectedComponents(inked.view(np.uint8))
        strokes = components[rows, columns]
        owners = np.searchsorted(_cuts(self.pixels, centres), columns, side="right")
        of_digit = np.bincount(strokes * len(centres) + owners, minlength=count * len(centres))
        of_digit = of_digit.reshape(count, len(centres))
        whole = of_digit.max(axis=1) > WHOLE * of_digit.sum(axis=1)  # with the overhang of a slanted digit
        owners = np.where(whole[strokes], of_digit.argmax(axis=1)[strokes], owners)
        corners = []
        for digit, centre in enumerate(centres):
            own = (owners == digit) & (np.abs(columns - centre) < HEIGHT)  # not the whole length of a ruled line
            x, y = (columns[own], rows[own]) if own.any() else (np.array([int(centre)]), np.array([0, HEIGHT - 1]))
            corners += [(column, row, 1) for column in (x.min(), x.max() + 1) for row in (y.min(), y.max() + 1)]
        found = (np.array(corners) @ cv2.invertAffineTransform(self.to_line).T).reshape(-1, 4, 2)
        extents = np.hstack([np.floor(found.min(axis=1)), np.ceil(found.max(axis=1))]).astype(int)
        return [(left, top, right, bottom) for left, top, right, bottom in extents.tolist()]


def _cuts(pixels: FloatArray, centres: Sequence[float]) -> list[int]:
    """Return the columns that part a line's digits: between two of them, where the least ink is."""
    ink = pixels.sum(axis=0)
    cuts = []
    for left, right in pairwise(centres):
        first = min(int(left), len(ink) - 1)
        between = ink[first : max(math.ceil(right), first + 1) + 1]
        thinnest = np.flatnonzero(between <= between.min() + 1e-6)
        cuts.append(first + int(thinnest[len(thinnest) // 2]))
    return cuts


def line_image(ink: FloatArray) -> LineImage:
    """Turn a line level and scale it to one height.

    Parameters
    ----------
    ink : ndarray of shape (h, w), dtype float32
        See `digitreader.images.find_ink`.

    Raises
    ------
    BlankImageError
        If no ink is darker than `INK`.
    """
    if not (ink > INK).any():
        raise BlankImageError("The image shows no line of digits: what ink there is is too faint.")
    level, turn, strokes = ink, np.eye(2, 3), _strokes(ink)
    if tilt := _tilt(strokes):
        turned, rotation = _turned(ink, tilt)
        if (turned > INK).any():  # a few pixels may be thinned too much
            level, turn, strokes = turned, rotation, _strokes(turned)
    (left, right), (top, bottom) = _ends(strokes, 0), _ends(strokes, 1)
    scale = TEXT / (bottom - top)
    wanted = (right - left) * scale + 8
    scale *= min(1, (MAX_WIDTH - 8) / wanted)
    line_width = 4 * int(np.ceil(((right - left) * scale + 8) / 4))
    fit = np.array(
        [[scale, 0, 4 - left * scale], [0, scale, (HEIGHT - (bottom - top) * scale) / 2 - top * scale]], np.float64
    )
    pixels = _resample(level[top:bottom, left:right], fit, (left, top), line_width, scale)
    to_line = fit @ np.vstack([turn, (0, 0, 1)])
    return LineImage(pixels, to_line)


def _turned(ink: FloatArray, angle: float) -> tuple[FloatArray, npt.NDArray[np.float64]]:
    """Return ink turned by some degrees in a picture that holds all of it, and the affine map (2, 3) that did it."""
    height, width = ink.shape
    rotation = cv2.getRotationMatrix2D((width / 2, height / 2), angle, 1)
    corners = np.array([(x, y, 1) for x in (0, width) for y in (0, height)]) @ rotation.T
    rotation[:, 2] -= corners.min(axis=0)
    columns, rows = np.ceil(np.ptp(corners, axis=0)).astype(int)
    return cv2.warpAffine(ink, rotation, (int(columns), int(rows)), flags=cv2.INTER_LINEAR), rotation


def _tilt(strokes: npt.NDArray[np.bool_]) -> float:
    """Return the angle, in degrees, by which a line falls from left to right; 0 if it is too short to tell.

    The tops of its digits lie on one line, and so do their bottoms: the angle has the median slope between two of them,
    where pairs weigh by their distance.

    References
    ----------
    Sen, P. K. (1968). Estimates of the regression coefficient based on Kendall's tau. JASA 63(324).
    """
    left, right, height = *_ends(strokes, 0), float(np.ptp(_ends(strokes, 1)))
    if right - left <= max(2 * height, 8):
        return 0.0
    inked = strokes.any(axis=0)
    tops = np.where(inked, strokes.argmax(axis=0), len(strokes))
    bottoms = np.where(inked, len(strokes) - strokes[::-1].argmax(axis=0), 0)
    for _ in range(2):  # windows of about one digit: at first only the height of the tilted line is known
        count = min(max(int((right - left) / (WINDOW * height)), 3), right - left)
        edges = np.linspace(left, right, count + 1).astype(int)
        highest = np.array([start + tops[start:stop].argmin() for start, stop in pairwise(edges)])
        lowest = np.array([start + bottoms[start:stop].argmax() for start, stop in pairwise(edges)])
        heights = bottoms[lowest] - tops[highest]
        height = statistics.median(heights[heights > 0].tolist())
    digits = heights > 0.6 * height  # no hyphen, no empty paper
    x = np.stack([highest[digits], lowest[digits]])
    y = np.stack([tops[highest[digits]], bottoms[lowest[digits]]])
    run, rise = (axis[:, np.newaxis, :] - axis[:, :, np.newaxis] for axis in (x, y))
    far = run > height  # each pair once: the other way round its run is negative
    if not far.any():
        return 0.0
    order = np.argsort(slopes := rise[far] / run[far])
    weight = np.cumsum(run[far][order])
    slope = slopes[order[np.searchsorted(weight, weight[-1] / 2)]]
    return float(np.clip(np.rad2deg(np.arctan(slope)), -MAX_TILT, MAX_TILT))


def _ends(strokes: npt.NDArray[np.bool_], axis: int) -> tuple[int, int]:
    """Return the first and one after the last column (axis 0) or row (axis 1) with ink."""
    places = np.flatnonzero(strokes.any(axis=axis))
    return int(places[0]), int(places[-1]) + 1


def _strokes(ink: FloatArray) -> npt.NDArray[np.bool_]:
    """Return where the ink is, without specks."""
    strokes = ink > INK
    left, top, columns, rows = cv2.boundingRect(strokes.view(np.uint8))
    written = strokes[top : top + rows, left : left + columns]
    _, components = cv2.connectedComponents(written.view(np.uint8))
    areas = np.bincount(components.ravel())
    kept = areas >= 0.04 * areas[1:].max()
    kept[0] = False
    written[:] = kept.take(components)
    return strokes


def _resample(
    crop: FloatArray, fit: npt.NDArray[np.float64], corner: tuple[int, int], width: int, scale: float
) -> FloatArray:
    """Return the part of a line that starts at a corner, scaled into an image of `HEIGHT` rows."""
    size = max(round(crop.shape[1] * scale), 1), max(round(crop.shape[0] * scale), 1)
    interpolation = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    small = np.clip(cv2.resize(crop, size, interpolation=interpolation), 0, 1)
    left, top = (round(fit[axis, 2] + fit[axis, axis] * corner[axis]) for axis in (0, 1))
    pixels = np.zeros((HEIGHT, width), np.float32)
    pixels[top : top + small.shape[0], left : left + small.shape[1]] = small[: HEIGHT - top, : width - left]
    return pixels
