"""Small pictures as they come out of rough handling: what the reader's network is prepared for.

Noise, blur, stray lines, spots, clouds, hollow strokes, few pixels: mostly of the kinds that `experiments.corruptions`
measures, but by other code, and of any strength.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from digitreader.arrays import ByteArray, FloatArray
from experiments.outlines import Rng

Values = npt.NDArray[Any]


def _noisy(image: FloatArray, rng: Rng) -> Values:
    """Add noise that grows with the brightness, or that does not."""
    if rng.random() < 0.6:
        return image * (1 + rng.normal(0, rng.uniform(0.2, 0.8), image.shape))
    return image + rng.normal(0, rng.uniform(0.02, 0.25), image.shape)


def _grainy(image: FloatArray, rng: Rng) -> Values:
    """Lose pixels of the ink, and let others appear on the paper."""
    lost, found = rng.random((2, *image.shape))
    thinned = np.where(lost < rng.uniform(0, 0.4), rng.uniform(0, 0.5) * image, image)
    return np.where(found < rng.uniform(0, 0.12), np.maximum(thinned, rng.uniform(0.6, 1)), thinned)


def _soft(image: FloatArray, rng: Rng) -> Values:
    """Blur evenly, or along some direction."""
    if rng.random() < 0.5:
        return cv2.GaussianBlur(image, (0, 0), rng.uniform(0.4, 1.5))
    length, angle = int(rng.integers(3, 8)), rng.uniform(0, np.pi)
    kernel = np.zeros((length, length), np.float32)
    reach = 0.5 * (length - 1) * np.array([np.cos(angle), np.sin(angle)])
    ends = [np.rint(0.5 * (length - 1) + side * reach).astype(int).tolist() for side in (-1, 1)]
    cv2.line(kernel, ends[0], ends[1], 1.0)
    return cv2.filter2D(image, -1, kernel / kernel.sum())


def _frosted(image: FloatArray, rng: Rng) -> Values:
    """Take each pixel from somewhere near."""
    shift = rng.normal(0, rng.uniform(0.3, 1.0), (2, *image.shape)).astype(np.float32)
    y, x = np.mgrid[: image.shape[0], : image.shape[1]].astype(np.float32)
    moved = cv2.remap(image, x + shift[0], y + shift[1], cv2.INTER_LINEAR)
    return cv2.GaussianBlur(moved, (0, 0), rng.uniform(0.4, 1.2))


def _crossed(image: FloatArray, rng: Rng) -> Values:
    """Draw a stray line: straight, bent, angular or up and down, whole or in dashes."""
    height, width = image.shape
    count = int(rng.integers(2, 16))
    along = np.linspace(rng.uniform(-0.1, 0.3), rng.uniform(0.7, 1.1), count)
    across = np.linspace(rng.uniform(), rng.uniform(), count) + rng.normal(0, rng.uniform(0, 0.1), count)
    if rng.random() < 0.4:  # up and down
        across += rng.uniform(0.03, 0.12) * np.resize([1, -1], count)
    points = np.stack([along * width, across * height], axis=1)
    if rng.random() < 0.2:
        points = points[:, ::-1] * [width / height, height / width]
    line = np.zeros((4 * height, 4 * width), np.float32)
    cv2.polylines(line, [np.rint(4 * points).astype(np.int32)], False, 1.0, int(rng.integers(3, 9)))
    drawn = cv2.resize(line, (width, height), interpolation=cv2.INTER_AREA)
    if rng.random() < 0.5:
        period, offset = rng.uniform(2.5, 8), rng.uniform(0, 8)
        drawn *= (np.arange(width) + offset) % period < 0.5 * period
    return np.maximum(image, rng.uniform(0.5, 1) * drawn)


def _spotted(image: FloatArray, rng: Rng) -> Values:
    """Cover some spots with grey."""
    spots = cv2.GaussianBlur(rng.normal(size=image.shape), (0, 0), rng.uniform(1, 3))
    cover = spots > np.quantile(spots, rng.uniform(0.75, 0.97))
    return np.where(cv2.GaussianBlur(cover.astype(np.float32), (0, 0), 0.5) > 0.5, rng.uniform(0, 0.5), image)


def _hollow(image: FloatArray, rng: Rng) -> Values:
    """Leave the outline of the strokes alone."""
    fine = cv2.resize(image, None, fx=3, fy=3, interpolation=cv2.INTER_CUBIC)
    inside = (cv2.GaussianBlur(fine, (0, 0), rng.uniform(1, 3.5)) > rng.uniform(0.3, 0.6)).astype(np.uint8)
    edge = cv2.morphologyEx(inside, cv2.MORPH_GRADIENT, np.ones((int(rng.integers(3, 5)),) * 2, np.uint8))
    small = cv2.resize(edge.astype(np.float32), image.shape[::-1], interpolation=cv2.INTER_AREA)
    return (small > rng.uniform(0.1, 0.35)).astype(np.float32) if rng.random() < 0.7 else small


def _cloudy(image: FloatArray, rng: Rng) -> Values:
    """Lay clouds of several sizes over the image."""
    clouds = np.zeros(image.shape)
    for size in (1, 2, 4, 8):
        layer = cv2.GaussianBlur(rng.normal(size=image.shape), (0, 0), size)
        clouds += size ** rng.uniform(0.3, 1.2) * layer / layer.std()
    thickness = rng.uniform(0.3, 2)
    return (image + thickness * (clouds - clouds.min()) / np.ptp(clouds)) / (1 + thickness)


def _bent(image: FloatArray, rng: Rng) -> Values:
    """Turn, slant and shrink."""
    angle, slant = np.deg2rad(rng.uniform(-28, 28)), rng.uniform(-0.4, 0.4) if rng.random() < 0.5 else 0
    scale = rng.uniform(0.6, 1.05)
    turn = scale * np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    linear = turn @ [[1, slant], [0, 1]]
    middle = np.array(image.shape[::-1]) / 2 - 0.5
    matrix = np.column_stack([linear, middle - linear @ middle])
    return cv2.warpAffine(image, matrix, image.shape[::-1], flags=cv2.INTER_LINEAR)


def _coarse(image: FloatArray, rng: Rng) -> Values:
    """Leave few pixels, and enlarge them again."""
    height, width = image.shape
    share = rng.uniform(0.25, 0.5)
    few = (max(round(width * share), 5), max(round(height * share), 5))
    smoothly = (cv2.INTER_NEAREST, cv2.INTER_LINEAR, cv2.INTER_CUBIC)[rng.integers(3)]
    return cv2.resize(cv2.resize(image, few, interpolation=cv2.INTER_AREA), (width, height), interpolation=smoothly)


WAYS: dict[Callable[[FloatArray, Rng], Values], float] = {
    _noisy: 0.1,
    _grainy: 0.1,
    _soft: 0.08,
    _frosted: 0.1,
    _crossed: 0.22,
    _spotted: 0.1,
    _hollow: 0.08,
    _cloudy: 0.06,
    _bent: 0.08,
    _coarse: 0.08,
}
"""How often each is taken first; a stray line, which is hardest to read through, the most."""


def rough(image: ByteArray, rng: Rng) -> ByteArray:
    """Return an image (h, w), white on black, handled roughly in one way, or in two one after the other."""
    values: FloatArray = image.astype(np.float32) / np.float32(255)
    ways, shares = zip(*WAYS.items(), strict=True)
    for number in rng.choice(len(ways), 1 + int(rng.random() < 0.3), replace=False, p=shares):
        values = np.clip(ways[number](values, rng), 0, 1).astype(np.float32)
    return np.rint(values * 255).astype(np.uint8)
