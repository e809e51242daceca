"""Ink in MNIST's own form: 28 × 28 pixels, the digit in a box of 20 × 20, its centre of mass in the middle."""

from __future__ import annotations

import cv2
import numpy as np

from digitreader.arrays import FloatArray
from digitreader.forms import without_frame, without_rules

SIDE = 28
BOX = 20
SPECK = 0.02  # share of the largest stroke's ink
EDGE = 0.02  # ink fainter than this does not count for the digit's extent
# Widths of strokes in the box: MNIST's lie between 1.4 and 4.4 for all but one in a hundred.
THIN, THIN_BECOMES = 1.4, 2.0
THICK, THICK_BECOMES = 4.0, 3.0
FINE = 4  # strokes are redrawn on a grid at least this many times finer than the box


def main_strokes(ink: FloatArray) -> FloatArray:
    """Return the ink of one digit without the specks around it, and without a form's box and the lines of ruled paper.

    Parameters
    ----------
    ink : ndarray of shape (h, w), dtype float32

    Returns
    -------
    ndarray of shape (h, w), dtype float32
        Strokes with less than `SPECK` of the largest one's ink are gone.
    """
    ink = without_rules(without_frame(ink))
    count, components = cv2.connectedComponents((ink > 0).astype(np.uint8))
    if count <= 2:  # the paper and one stroke
        return ink
    amounts = np.bincount(components.ravel(), weights=ink.ravel())
    return np.where((amounts >= SPECK * amounts[1:].max())[components], ink, np.float32(0))


def normalize(ink: FloatArray) -> FloatArray:
    """Bring the ink of one digit into the form that the network was trained on.

    Parameters
    ----------
    ink : ndarray of shape (h, w), dtype float32
        1 where the pen wrote, 0 on paper. At least one pixel has more than `EDGE`.

    Returns
    -------
    ndarray of shape (28, 28), dtype float32
        White on black, in [0, 1]. Strokes that are thinner or thicker than nearly all of MNIST's are redrawn.

    References
    ----------
    LeCun, Y., Bottou, L., Bengio, Y. and Haffner, P. (1998). Gradient-based learning applied to document recognition.
    Proceedings of the IEEE 86(11), section III.A.
    """
    crop = redrawn(cut_out(ink))
    scale = BOX / max(crop.shape)
    height, width = (max(round(side * scale), 1) for side in crop.shape)
    if (height, width) != crop.shape:
        interpolation = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
        crop = np.clip(cv2.resize(crop, (width, height), interpolation=interpolation), 0, 1)
    total = float(crop.sum())
    centre_y = float(crop.sum(axis=1) @ np.arange(height)) / total
    centre_x = float(crop.sum(axis=0) @ np.arange(width)) / total
    # Whole pixels, as in MNIST, where the centre of mass lies within half a pixel of the one in row and column 14.
    top = int(np.clip(round(SIDE / 2 - centre_y), 0, SIDE - height))
    left = int(np.clip(round(SIDE / 2 - centre_x), 0, SIDE - width))
    frame = np.zeros((SIDE, SIDE), np.float32)
    frame[top : top + height, left : left + width] = crop
    return frame


def cut_out(ink: FloatArray) -> FloatArray:
    """Return ink without the paper around it."""
    rows, columns = (np.flatnonzero((ink > EDGE).any(axis=axis)) for axis in (1, 0))
    return ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def redrawn(crop: FloatArray) -> FloatArray:
    """Return a digit's ink as a pen of MNIST's width would have drawn it; unchanged if it is as wide already."""
    width = _pen_width(crop)
    if THIN <= width <= THICK:
        return crop
    if (factor := FINE * BOX / max(crop.shape)) > 1:
        crop = np.clip(cv2.resize(crop, None, fx=factor, fy=factor, interpolation=cv2.INTER_CUBIC), 0, 1)
    pixel = max(crop.shape) / BOX
    wider = (THIN_BECOMES - width if width < THIN else THICK_BECOMES - width) / 2 * pixel
    crop = np.pad(crop, int(max(wider, 0)) + 2)
    # A thin stroke may cover no pixel wholly: half of the darkest ink nearby tells it from paper.
    nearby = cv2.dilate(crop, np.ones((int(3 * pixel) | 1,) * 2, np.uint8)) if width < THIN else np.ones_like(crop)
    inside = (crop > np.clip(nearby, 0.3, 1) / 2).astype(np.uint8)
    within = cv2.distanceTransform(inside, cv2.DIST_L2, 5)
    outside = cv2.distanceTransform(1 - inside, cv2.DIST_L2, 5)
    distance = np.where(inside, within - 0.5, 0.5 - outside)
    drawn: FloatArray = np.clip(0.5 + distance + wider, 0, 1).astype(np.float32)
    return cut_out(drawn) if (drawn > EDGE).any() else crop


def _pen_width(crop: FloatArray) -> float:
    """Return the mean width that a digit's strokes will have in the box, in its pixels."""
    return _stroke_width(crop) * BOX / max(crop.shape)


def _stroke_width(ink: FloatArray) -> float:
    """Return the mean width of strokes, in pixels.

    A stroke's area is its length times its width, and its outline, the sum of the gradient, is twice its length.
    """
    padded = cv2.copyMakeBorder(ink, 1, 1, 1, 1, cv2.BORDER_CONSTANT)
    here, down, right = padded[:-1, :-1], padded[1:, :-1], padded[:-1, 1:]
    down, right = down - here, right - here
    return 2 * float(ink.sum()) / float(np.sqrt(down * down + right * right).sum())
