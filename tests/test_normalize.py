"""The form of MNIST: a box of 20 × 20, the centre of mass in the middle."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from digitreader.data import Dataset
from digitreader.images import find_ink
from digitreader.normalize import main_strokes, normalize
from experiments.compose import CLEAN, compose
from experiments.outlines import outline


def centre_of_mass(image: np.ndarray) -> tuple[float, float]:
    """Return row and column."""
    y, x = np.mgrid[: image.shape[0], : image.shape[1]]
    return float((image * y).sum() / image.sum()), float((image * x).sum() / image.sum())


def box(image: np.ndarray) -> tuple[int, int]:
    """Return height and width of what is brighter than a tenth."""
    rows, columns = np.nonzero(image > 0.1)
    return int(np.ptp(rows)) + 1, int(np.ptp(columns)) + 1


def stroke(height: int, width: int) -> np.ndarray:
    """Return the ink of an ellipse that fills a rectangle, somewhere on a sheet."""
    sheet = np.zeros((height * 2 + 40, width * 2 + 40), np.uint8)
    centre, axes = (width // 2 + 30, height // 2 + 7), (width // 2 - 2, height // 2 - 2)
    cv2.ellipse(sheet, centre, axes, 0, 0, 360, 255, max(height // 12, 2), cv2.LINE_AA)
    return sheet.astype(np.float32) / 255


@pytest.mark.parametrize(("height", "width"), [(20, 12), (40, 90), (300, 200), (1000, 100)])
def test_any_size_becomes_the_box_and_keeps_its_aspect(height: int, width: int) -> None:
    image = normalize(stroke(height, width))
    assert image.shape == (28, 28)
    assert image.dtype == np.float32
    assert image.min() >= 0
    assert image.max() <= 1
    found = box(image)
    assert 18 <= max(found) <= 20
    assert found[0] / found[1] == pytest.approx(height / width, rel=0.35)
    assert centre_of_mass(image) == pytest.approx((14, 14), abs=0.75)


def test_mnist_digits_keep_their_place_and_their_ink(mnist: Dataset) -> None:
    digits = mnist.x_train[:300].astype(np.float32) / 255
    moved = np.pad(digits, ((0, 0), (40, 12), (5, 27)))
    seen = np.array([normalize(image) for image in moved])
    differences = np.abs(seen - digits).mean(axis=(1, 2))
    assert np.quantile(differences, 0.95) < 0.02, "the pens of a few in a hundred are redrawn"
    assert differences.max() < 0.1


@pytest.mark.parametrize("size", [24, 100, 600])
@pytest.mark.parametrize("share", [0.012, 0.03, 0.12, 0.3])
def test_any_pen_becomes_one_of_mnists(size: int, share: float) -> None:
    sheet = np.zeros((size * 4, size * 4), np.uint8)  # drawn large, then reduced: strokes thinner than a pixel
    cv2.line(sheet, (size, size // 2), (3 * size, 7 * size // 2), 255, max(round(share * size * 4), 1))
    image = normalize(cv2.resize(sheet, (size, size), interpolation=cv2.INTER_AREA).astype(np.float32) / 255)
    length = np.hypot(*box(image))
    assert 1.2 < image.sum() / length < 4.8
    assert image.max() > 0.8


def test_specks_are_no_part_of_a_digit_but_its_parts_are() -> None:
    ink = np.zeros((60, 60), np.float32)
    ink[10:50, 10:20] = 1  # two strokes apart, as of a broken 4
    ink[10:30, 30:36] = 1
    ink[55:57, 55:57] = 1  # a speck
    kept = main_strokes(ink)
    assert kept[55:57, 55:57].max() == 0
    assert (kept[:52] == ink[:52]).all()


@pytest.mark.parametrize("angle", [-10, 0, 4, 10])
@pytest.mark.parametrize("size", [40, 160])
def test_a_digit_leaves_the_box_that_it_stands_in(mnist: Dataset, size: int, angle: float) -> None:
    style = replace(CLEAN, scale=(size / 20, size / 20), rotation=(angle, angle), margin=(6, 6))
    for number in range(12):
        outlines = [outline(mnist.x_train[number])]
        boxed, alone = (
            main_strokes(find_ink(compose(outlines, one, np.random.default_rng(0)).pixels))
            for one in (replace(style, boxed=1), style)
        )
        # A pixel more or less moves the whole digit; a box that is left would make it half as large.
        assert np.abs(normalize(boxed) - normalize(alone)).mean() < 0.1


def test_a_digit_is_no_box(mnist: Dataset) -> None:
    for image in mnist.x_train[:3000].astype(np.float32) / 255:
        kept = main_strokes(image)
        assert kept.sum() > 0.9 * image.sum()


def test_one_stroke_is_left_as_it_is() -> None:
    ink = stroke(40, 30)
    np.testing.assert_array_equal(main_strokes(ink), ink)
