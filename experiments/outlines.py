"""Outlines: digits, drawn anew from MNIST's pixels, as signed distances to the edge of their strokes.

Such a distance can be turned, scaled, thickened and drawn with sharp edges at any size.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from digitreader.arrays import ByteArray, FloatArray

Rng = np.random.Generator

FINE = 4  # outlines are kept on a grid this many times finer than MNIST's pixels
FAR = -100.0  # signed distance of empty paper


def outline(image: ByteArray) -> FloatArray:
    """Return the signed distance to the outline of the strokes in an image (28, 28), positive in the ink.

    It has `FINE` values a pixel, in pixels: shape (112, 112), dtype float32.
    """
    fine = cv2.resize(image.astype(np.float32) / 255, None, fx=FINE, fy=FINE, interpolation=cv2.INTER_CUBIC)
    # Half of the darkest ink nearby, so that a faint stroke keeps its width beside a dark one.
    darkest = cv2.dilate(fine, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (4 * FINE + 1, 4 * FINE + 1)))
    return signed_distance(fine > np.clip(darkest, 0.3, 1) / 2)


def signed_distance(inside: npt.NDArray[np.bool_]) -> FloatArray:
    """Return the distance to the edge of what is inside, on the fine grid, in MNIST's pixels."""
    ink = cv2.distanceTransform(inside.astype(np.uint8), cv2.DIST_L2, 5)
    paper = cv2.distanceTransform((~inside).astype(np.uint8), cv2.DIST_L2, 5)
    distance = np.where(inside, ink - 0.5, 0.5 - paper) / FINE
    return cv2.GaussianBlur(distance.astype(np.float32), (0, 0), 0.25 * FINE)  # the grid's steps


def middle_of_strokes(distance: FloatArray) -> npt.NDArray[np.bool_]:
    """Return where the middle of an outline's strokes is: the distance there is half of the stroke's width."""
    return (distance > 0) & (distance >= cv2.dilate(distance, np.ones((3, 3), np.uint8)) - 0.01)


def stroke_width(distance: FloatArray) -> float:
    """Return the usual width of an outline's strokes, in MNIST's pixels."""
    return 2 * float(np.median(distance[middle_of_strokes(distance)]))


def dash(rng: Rng) -> FloatArray:
    """Return the outline of a hyphen, as `outline` does of a digit: the one between the parts of a ZIP+4 code."""
    y, x = (np.mgrid[: 28 * FINE, : 28 * FINE] + 0.5) / FINE - 14
    half_length, half_width, tilt = rng.uniform(2.5, 5), rng.uniform(0.9, 1.8), rng.uniform(-0.15, 0.15)
    nearest = np.clip(x, -half_length, half_length)
    return (half_width - np.hypot(x - nearest, y - tilt * nearest)).astype(np.float32)
