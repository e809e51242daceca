"""Lines of digits: made level and of one height, and where their digits stand."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from digitreader.data import Dataset, Writers
from digitreader.errors import BlankImageError
from digitreader.fields import HEIGHT, MAX_WIDTH, TEXT, line_image
from digitreader.images import find_ink
from experiments.compose import CLEAN, RULED, TOUCHING, Line, Style, lines
from tests.helpers import overlap


def composed(mnist: Dataset, writers: Writers, style: Style, count: int = 20) -> list[Line]:
    """Return lines of training writers."""
    return list(lines(mnist.x_train, mnist.y_train, writers.train, style, count=count, seed=4))


@pytest.mark.parametrize("scale", [0.8, 3, 9])
def test_every_size_becomes_one_height(mnist: Dataset, writers: Writers, scale: float) -> None:
    for line in composed(mnist, writers, replace(CLEAN, scale=(scale, scale)), 5):
        pixels = line_image(find_ink(line.picture.pixels)).pixels
        assert pixels.shape[0] == HEIGHT
        assert pixels.shape[1] % 4 == 0
        assert pixels.dtype == np.float32
        assert pixels.min() >= 0
        assert pixels.max() <= 1
        rows = np.flatnonzero((pixels > 0.3).any(axis=1))
        assert np.ptp(rows) + 1 == pytest.approx(TEXT, abs=2)


@pytest.mark.parametrize("angle", [-10, -5, 4, 9])
def test_lines_are_made_level(mnist: Dataset, writers: Writers, angle: float) -> None:
    level = composed(mnist, writers, CLEAN, 6)
    tilted = composed(mnist, writers, replace(CLEAN, rotation=(angle, angle)), 6)
    for straight, turned in zip(level, tilted, strict=True):
        expected = line_image(find_ink(straight.picture.pixels)).pixels.shape[1]
        found = line_image(find_ink(turned.picture.pixels)).pixels.shape[1]
        assert found == pytest.approx(expected, rel=0.08)


def test_the_map_leads_to_the_line(mnist: Dataset, writers: Writers) -> None:
    for line in composed(mnist, writers, replace(CLEAN, rotation=(-6, 6)), 6):
        ink = find_ink(line.picture.pixels)
        image = line_image(ink)
        matrix = image.to_line.copy()  # of corners; OpenCV counts from the middle of a pixel
        matrix[:, 2] += matrix[:, :2].sum(axis=1) / 2 - 0.5
        mapped = cv2.warpAffine(ink, matrix, image.pixels.shape[::-1])
        assert np.corrcoef(mapped.ravel(), image.pixels.ravel())[0, 1] > 0.9


@pytest.mark.parametrize(("style", "least"), [(CLEAN, 0.9), (TOUCHING, 0.65), (RULED, 0.5)])
def test_boxes_hold_the_digits(mnist: Dataset, writers: Writers, style: Style, least: float) -> None:
    overlaps = []
    for line in composed(mnist, writers, style):
        image = line_image(find_ink(line.picture.pixels))
        boxes = line.picture.boxes
        middles = np.column_stack([(boxes[:, 0] + boxes[:, 2]) / 2, (boxes[:, 1] + boxes[:, 3]) / 2, np.ones(5)])
        found = image.boxes((middles @ image.to_line.T)[:, 0].tolist())
        overlaps += [overlap(np.array(one), other) for one, other in zip(found, boxes, strict=True)]
    assert np.median(overlaps) > least


def test_specks_do_not_change_the_size(mnist: Dataset, writers: Writers) -> None:
    for line in composed(mnist, writers, CLEAN, 5):
        ink = find_ink(line.picture.pixels)
        speckled = np.pad(ink, 60)
        speckled[5:8, 5:8] = 1
        speckled[-8:-5, -8:-5] = 1
        expected, found = line_image(ink).pixels, line_image(speckled).pixels
        assert found.shape[1] == pytest.approx(expected.shape[1], rel=0.05)


def test_very_long_lines_are_reduced() -> None:
    ink = np.zeros((40, 6000), np.float32)
    ink[10:30, 20:5980:30] = 1
    assert line_image(ink).pixels.shape[1] <= MAX_WIDTH


@pytest.mark.parametrize("shape", [(1, 1), (1, 50), (50, 1), (3, 3)])
def test_tiny_ink_is_no_error(shape: tuple[int, int]) -> None:
    image = line_image(np.ones(shape, np.float32))
    assert image.pixels.shape[0] == HEIGHT
    assert len(image.boxes([image.pixels.shape[1] / 2])) == 1
    assert image.boxes([]) == []


@pytest.mark.parametrize("seed", range(200))
def test_sparse_ink_is_no_error(seed: int) -> None:
    rng = np.random.default_rng(seed)
    ink = np.zeros((int(rng.integers(1, 12)), int(rng.integers(1, 60))), np.float32)
    ink.flat[rng.integers(ink.size, size=int(rng.integers(1, 4)))] = rng.uniform(0.31, 1)
    assert line_image(ink).pixels.max() > 0


def test_faint_ink_counts_as_none() -> None:
    with pytest.raises(BlankImageError):
        line_image(np.full((20, 20), 0.1, np.float32))
