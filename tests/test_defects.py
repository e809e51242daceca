"""Small pictures with struck pixels, exchanged strips and clouds, and the many pictures that have none of these."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from digitreader.arrays import ByteArray
from digitreader.data import Dataset
from digitreader.defects import SMALL, mended
from digitreader.errors import BlankImageError
from digitreader.images import find_ink
from digitreader.reader import DigitReader
from experiments.compose import BOXED, PHOTO, PLAIN, compose
from experiments.outlines import outline


def coloured(grey: ByteArray) -> ByteArray:
    """Return a grey picture (h, w) as RGB pixels."""
    return cv2.cvtColor(grey, cv2.COLOR_GRAY2RGB)


@pytest.mark.parametrize("inverted", [False, True])
def test_digits_without_a_defect_are_left_alone(mnist: Dataset, inverted: bool) -> None:
    for image in mnist.x_train[:2000]:
        pixels = coloured(255 - image if inverted else image)
        assert mended(pixels) is pixels or np.array_equal(mended(pixels), pixels)


@pytest.mark.parametrize("style", [PHOTO, PLAIN, BOXED])
def test_photos_and_forms_are_left_alone(mnist: Dataset, style: object) -> None:
    for row in range(60):
        pixels = compose([outline(mnist.x_train[row])], style, np.random.default_rng(row)).pixels  # type: ignore[arg-type]
        np.testing.assert_array_equal(mended(pixels), pixels)


def test_thin_lines_are_no_struck_pixels(mnist: Dataset) -> None:
    for image in mnist.x_train[:200]:
        edges = coloured(cv2.Canny(image, 80, 160))
        np.testing.assert_array_equal(mended(edges), edges)


@pytest.mark.parametrize("share", [0.1, 0.2])
def test_struck_pixels_are_mended(mnist: Dataset, share: float) -> None:
    rng = np.random.default_rng(0)
    before = after = 0.0
    for image in mnist.x_train[:200]:
        struck = np.where(rng.random(image.shape) < share, 255 * rng.integers(0, 2, image.shape), image)
        found = mended(coloured(struck.astype(np.uint8)))[..., 0]
        before += np.abs(struck - image.astype(float)).mean()
        after += np.abs(found - image.astype(float)).mean()
    assert after < 0.45 * before


@pytest.mark.parametrize("side", ["left", "right", "both", "top"])
def test_exchanged_strips_are_mended(mnist: Dataset, side: str) -> None:
    restored = 0
    for image in mnist.x_train[:300]:
        striped = image.T.copy() if side == "top" else image.copy()
        if side != "right":
            striped[:, :7] = 255 - striped[:, :7]
        if side in ("right", "both"):
            striped[:, 21:] = 255 - striped[:, 21:]
        striped = striped.T.copy() if side == "top" else striped
        found = mended(coloured(striped))[..., 0]
        restored += min(np.abs(found.astype(int) - image).mean(), np.abs(255 - found.astype(int) - image).mean()) < 2
    assert restored > 0.97 * 300


def test_larger_and_tiny_pictures_are_left_alone() -> None:
    rng = np.random.default_rng(0)
    for shape in ((SMALL + 1, SMALL + 1), (SMALL + 1, 10), (8, 8), (2, 40), (40, 1)):
        noise = rng.integers(0, 2, (*shape, 1), dtype=np.uint8) * np.full(3, 255, np.uint8)
        assert mended(noise) is noise


def cloudy(image: ByteArray, rng: np.random.Generator, thickness: float = 1.5) -> ByteArray:
    """Return an image under clouds that are brighter than its ink."""
    clouds = sum(size * cv2.GaussianBlur(rng.normal(size=image.shape), (0, 0), size) for size in (2, 4, 8))
    clouds = (clouds - np.min(clouds)) / np.ptp(clouds)
    return np.rint(255 * (image / 255 + thickness * clouds) / (1 + thickness)).astype(np.uint8)


def test_digits_are_read_through_clouds(reader: DigitReader, mnist: Dataset) -> None:
    rng = np.random.default_rng(0)
    fogged = [cloudy(image, rng) for image in mnist.x_train[:200]]
    readings = [getattr(item, "digit", None) for item in reader.predict_images(fogged)]
    assert np.mean(readings == mnist.y_train[:200]) > 0.9


def test_clouds_alone_are_no_digit(reader: DigitReader) -> None:
    """But for one in a hundred: some stand upright, like a 1."""
    rng = np.random.default_rng(0)
    fogged = [cloudy(np.zeros((28, 28), np.uint8), rng) for _ in range(200)]
    assert sum(getattr(item, "decision", "") == "accept" for item in reader.predict_images(fogged)) <= 2


def test_digits_are_read_through_struck_pixels(reader: DigitReader, mnist: Dataset) -> None:
    rng = np.random.default_rng(1)
    struck = [
        np.where(rng.random(image.shape) < 0.17, 255 * rng.integers(0, 2, image.shape), image).astype(np.uint8)
        for image in mnist.x_train[:200]
    ]
    readings = [getattr(item, "digit", None) for item in reader.predict_images(struck)]
    assert np.mean(readings == mnist.y_train[:200]) > 0.93


def test_a_picture_of_little_noise_and_no_ink_is_blank() -> None:
    noisy = np.random.default_rng(0).normal(200, 5, (28, 28)).astype(np.uint8)
    with pytest.raises(BlankImageError):
        find_ink(coloured(noisy))
