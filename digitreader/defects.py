"""What cameras and programs do to a small picture before anyone looks for ink in it, mended where it is plain.

In a larger picture a struck pixel is a speck, which costs no stroke. A picture without such a defect comes back as it
is, bit for bit.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from digitreader.arrays import ByteArray

SMALLEST, SMALL = 24, 64  # pixels of the longer side; in fewer, strokes have no middle
APART = 64  # grey levels between a struck pixel and its neighbours, at least
STRUCK = 0.02  # share of the pixels that are struck, at least; of a digit that is not, hardly 0.01 look so
WIDEST = 0.45  # of a picture: a strip
STEP, ROWS = 0.3, 0.74  # a strip ends in a step of this share of the contrast, in this share of the rows, at least
OPPOSITE = 0.5  # share of the contrast, between the levels of two papers, at least; levels miss their opposites by less


def mended(pixels: ByteArray) -> ByteArray:
    """Return a picture (h, w, 3), dtype uint8, without struck pixels and without strips that are exchanged.

    In such a strip, at an edge of the picture and from end to end of it, dark and light have changed places.
    """
    if not SMALLEST <= max(pixels.shape[:2]) <= SMALL or min(pixels.shape[:2]) < 3:
        return pixels
    upright = _without_strips(_without_struck_pixels(pixels))
    return _without_strips(upright.swapaxes(0, 1)).swapaxes(0, 1)


def _without_struck_pixels(pixels: ByteArray) -> ByteArray:
    """Return a picture in which pixels that are struck at random, as by salt and pepper, are as their neighbours are.

    A pixel of a stroke, however thin, has two neighbours of its kind; one that is struck seldom has.
    """
    grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    middle = cv2.medianBlur(grey, 3)
    if np.count_nonzero(cv2.absdiff(grey, middle) >= APART) < STRUCK * grey.size:
        return pixels
    around = _neighbours(grey.astype(np.float32))
    brighter, darker = ((sign * (around - grey) >= APART).sum(axis=0) for sign in (1, -1))
    struck = np.maximum(brighter, darker) >= len(around) - 1
    if struck.mean() < STRUCK:
        return pixels
    around[_neighbours(struck)] = np.nan
    alone = np.isnan(around).all(axis=0)
    around[:, alone] = middle[alone]
    found = np.where(struck, np.nanmedian(around, axis=0), grey)
    return cv2.cvtColor(np.rint(found).astype(np.uint8), cv2.COLOR_GRAY2RGB)


def _neighbours(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return the eight neighbours of each pixel of an image (h, w), shape (8, h, w); at the edge it is mirrored."""
    padded = np.pad(values, 1, mode="reflect")
    height, width = values.shape
    places = [(y, x) for y in range(3) for x in range(3) if (y, x) != (1, 1)]
    return np.stack([padded[y : y + height, x : x + width] for y, x in places])


def _without_strips(pixels: ByteArray) -> ByteArray:
    """Return a picture in which strips at its left and right have the paper of its middle."""
    grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY).astype(np.float32)
    low, high, width = float(grey.min()), float(grey.max()), grey.shape[1]
    step = np.abs(grey[:, 1:] - grey[:, :-1])
    # Grey is the opposite of grey: no step tells that a stroke's edge is exchanged.
    miss = np.abs(grey[:, 1:] + grey[:, :-1] - (low + high))
    ends = ((step > STEP * (high - low)) | (miss < OPPOSITE * (high - low))).mean(axis=0)
    if ends.max(initial=0) < ROWS:
        return pixels
    reach = int(WIDEST * width)
    left, right = (1 + int(part.argmax()) if part.max() >= ROWS else 0 for part in (ends[:reach], ends[::-1][:reach]))
    paper = np.median(pixels[[0, -1], left : width - right], axis=(0, 1))
    strips = [slice(0, left)] * (left > 0) + [slice(width - right, width)] * (right > 0)
    for strip in strips:
        other = np.median(pixels[[0, -1], strip], axis=(0, 1))
        if np.abs(paper - other).max() > OPPOSITE * (high - low):
            pixels = pixels.copy()
            pixels[:, strip] = np.clip(other + paper - pixels[:, strip], 0, 255).astype(np.uint8)
    return pixels
