"""Fifteen corruptions of MNIST's images, at the strengths of MNIST-C: what may happen to a digit of 28 pixels.

They are for measuring alone: nothing is trained on them, and no threshold comes from them.

References
----------
Mu, N. and Gilmer, J. (2019). MNIST-C: a robustness benchmark for computer vision. arXiv:1906.02337.
Hendrycks, D. and Dietterich, T. (2019). Benchmarking neural network robustness to common corruptions and perturbations.
ICLR.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import cv2
import numpy as np
import numpy.typing as npt

from digitreader.arrays import ByteArray, FloatArray
from experiments.outlines import Rng

SIDE = 28
MIDDLE = (SIDE - 1) / 2


def _shot_noise(image: FloatArray, rng: Rng) -> npt.NDArray[np.float64]:
    """Let each pixel count three photons at most where the ink is full."""
    return rng.poisson(image * 3) / 3


def _impulse_noise(image: FloatArray, rng: Rng) -> FloatArray:
    """Turn a pixel in six black or white."""
    struck = rng.random(image.shape) < 0.17
    return np.where(struck, rng.random(image.shape) < 0.5, image).astype(np.float32)


def _glass_blur(image: FloatArray, rng: Rng) -> FloatArray:
    """Exchange neighbours at random, twice, as a structured glass does."""
    rows = cv2.GaussianBlur(image, (0, 0), 0.7).tolist()
    for moves in rng.integers(-1, 1, (2, SIDE - 2, SIDE - 2, 2)).tolist():
        swapped = (rng.random((SIDE - 2, SIDE - 2)) < 0.5).tolist()
        for i in range(SIDE - 2):
            for j in range(SIDE - 2):
                if swapped[i][j]:
                    y, x = SIDE - 1 - i, SIDE - 1 - j
                    down, right = moves[i][j]
                    other_y, other_x = y + down, x + right
                    rows[y][x], rows[other_y][other_x] = rows[other_y][other_x], rows[y][x]
    return cv2.GaussianBlur(np.array(rows, np.float32), (0, 0), 0.7)


def _motion_blur(image: FloatArray, rng: Rng) -> FloatArray:
    """Draw the image out in one direction, within 45° of level, over some three pixels."""
    angle = rng.uniform(-np.pi / 4, np.pi / 4)
    kernel = np.zeros((21, 21), np.float32)
    for step in range(11):
        row, column = np.rint(10 + step * np.array([np.sin(angle), np.cos(angle)])).astype(int)
        kernel[row, column] += np.exp(-(step**2) / (2 * 3**2))
    return cv2.filter2D(image, -1, kernel / kernel.sum(), borderType=cv2.BORDER_REPLICATE)


def _moved(image: FloatArray, linear: npt.ArrayLike, shift: npt.ArrayLike = (0, 0)) -> FloatArray:
    """Return what stands at `linear` times the place, seen from the middle of the image, plus `shift`."""
    matrix = np.column_stack([np.asarray(linear, float), np.zeros(2)])
    matrix[:, 2] = MIDDLE * (1 - matrix[:, :2].sum(axis=1)) + np.asarray(shift, float)
    return cv2.warpAffine(image, matrix, image.shape[::-1], flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)


def _shear(image: FloatArray, rng: Rng) -> FloatArray:
    """Slant by 22° to one side or the other."""
    angle = rng.choice([-0.4, 0.4])
    return _moved(image, [[1, -np.sin(angle)], [0, np.cos(angle)]])


def _scale(image: FloatArray, rng: Rng) -> FloatArray:
    """Make seven tenths as large."""
    return _moved(image, np.eye(2) / 0.7)


def _rotate(image: FloatArray, rng: Rng) -> FloatArray:
    """Turn by 23° one way or the other."""
    angle = rng.choice([-0.4, 0.4])
    return _moved(image, [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])


def _translate(image: FloatArray, rng: Rng) -> FloatArray:
    """Shift by three pixels in both axes; what leaves the image is lost."""
    return _moved(image, np.eye(2), rng.choice([-3, 3], 2))


def _brightness(image: FloatArray, rng: Rng) -> FloatArray:
    """Make all brighter by half; what is too bright is white."""
    return np.minimum(image + np.float32(0.5), 1)


def _stripe(image: FloatArray, rng: Rng) -> FloatArray:
    """Exchange black and white in the left and the right quarter."""
    striped = image.copy()
    striped[:, :7], striped[:, 21:] = 1 - image[:, :7], 1 - image[:, 21:]
    return striped


def _fog(image: FloatArray, rng: Rng) -> npt.NDArray[np.float64]:
    """Lay clouds over the image that are three times as bright as the ink."""
    return (image + 3 * _plasma(rng)[:SIDE, :SIDE]) / 4


def _plasma(rng: Rng, side: int = 256, decay: float = 1.4) -> npt.NDArray[np.float64]:
    """Return clouds (side, side), from 0 to 1, that repeat beyond the edge: midpoint displacement.

    References
    ----------
    Fournier, A., Fussell, D. and Carpenter, L. (1982). Computer rendering of stochastic models. CACM 25(6).
    """
    heights, rough, step = np.zeros((1, 1)), 1.0, side
    while step > 1:
        fine = np.zeros((2 * len(heights), 2 * len(heights)))
        fine[::2, ::2] = heights
        around = heights + np.roll(heights, -1, 0)
        fine[1::2, 1::2] = (around + np.roll(around, -1, 1)) / 4 + rough * rng.uniform(-1, 1, heights.shape)
        centres = fine[1::2, 1::2]
        for row, column, ends in ((0, 1, np.roll(heights, -1, 1)), (1, 0, np.roll(heights, -1, 0))):
            across = np.roll(centres, 1, row)  # the centre on the other side of the edge
            fine[row::2, column::2] = (heights + ends + centres + across) / 4 + rough * rng.uniform(
                -1, 1, heights.shape
            )
        heights, rough, step = fine, rough / decay, step // 2
    return (heights - heights.min()) / np.ptp(heights)


def _spatter(image: FloatArray, rng: Rng) -> FloatArray:
    """Cover some spots with dark mud."""
    wet = cv2.GaussianBlur(rng.normal(0.65, 0.3, image.shape).astype(np.float32), (0, 0), 1)
    cover = cv2.GaussianBlur((wet > 0.65).astype(np.float32), (0, 0), 1.5)
    cover[cover < 0.8] = 0
    return image * (1 - cover) + np.float32(63 / 255) * cover


def _stroke(start: npt.ArrayLike, end: npt.ArrayLike) -> FloatArray:
    """Return a line between two places, each a column and a row, that fades within two pixels above and below."""
    (left, top), (right, bottom) = np.asarray(start, float), np.asarray(end, float)
    columns = np.arange(SIDE)
    rows = top + (columns - left) * (bottom - top) / (right - left)
    away = np.minimum(np.abs(np.arange(SIDE)[:, np.newaxis] - rows), 2.2999)
    drawn = np.clip(np.log(1 - away / 2.3) + 1, 0, 1)
    drawn[:, (columns < np.floor(left)) | (columns >= np.ceil(right))] = 0
    return drawn.astype(np.float32)


def _dotted_line(image: FloatArray, rng: Rng) -> FloatArray:
    """Draw a dotted line across the image."""
    first, last = rng.integers(0, 27, 2)
    line = _stroke((0, first), (27, last))
    line[:, np.arange(SIDE) % 4 < 2] = 0
    return np.clip(image + line, 0, 1)


def _zigzag(image: FloatArray, rng: Rng) -> FloatArray:
    """Draw a zigzag, four pixels high, across the image."""
    left, right, start = 2, 25, rng.integers(0, 27)
    angle = np.arctan(rng.integers(-5, 5) / (right - left))
    length = (right - left) / np.cos(angle)
    along = np.concatenate([[0], np.arange(2, length, 4), [length]])
    aside = np.concatenate([[0], np.resize([2, -2], len(along) - 2), [0]])
    places = np.column_stack([along, aside]) @ [[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]]
    places += (left, start)
    drawn = image
    for one, other in pairwise(places):
        drawn = np.clip(drawn + _stroke(one, other), 0, 1)
    return drawn


def _canny_edges(image: FloatArray, rng: Rng) -> FloatArray:
    """Keep the edges of the strokes alone."""
    smooth = cv2.GaussianBlur(image, (0, 0), 1)
    across, down = (np.rint(255 * cv2.Sobel(smooth, cv2.CV_32F, *axis)).astype(np.int16) for axis in ((1, 0), (0, 1)))
    return cv2.Canny(across, down, 0.1 * 255, 0.2 * 255, L2gradient=True).astype(np.float32) / 255


CORRUPTIONS: dict[str, Callable[[FloatArray, Rng], npt.NDArray[np.floating]]] = {
    "shot noise": _shot_noise,
    "impulse noise": _impulse_noise,
    "glass blur": _glass_blur,
    "motion blur": _motion_blur,
    "shear": _shear,
    "scale": _scale,
    "rotation": _rotate,
    "brightness": _brightness,
    "translation": _translate,
    "stripe": _stripe,
    "fog": _fog,
    "spatter": _spatter,
    "dotted line": _dotted_line,
    "zigzag": _zigzag,
    "Canny edges": _canny_edges,
}


def corrupt(image: ByteArray, name: str, rng: Rng) -> ByteArray:
    """Return an image (28, 28), white on black, as one of the `CORRUPTIONS` leaves it."""
    found = CORRUPTIONS[name](image.astype(np.float32) / np.float32(255), rng)
    corrupted: ByteArray = np.clip(np.rint(found * 255), 0, 255).astype(np.uint8)
    return corrupted
