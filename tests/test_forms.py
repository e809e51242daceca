"""Printed forms: ruled paper. Boxes around a digit are tested with the normalisation."""

from __future__ import annotations

import time

import cv2
import numpy as np
import pytest

from digitreader.data import Dataset
from digitreader.forms import without_rules
from digitreader.reader import DigitReader
from experiments.samples import STROKES, curve


def sheet(digit: str, *, rules: int, slope: float, pen: int = 12) -> np.ndarray:
    """Return a white sheet, 360 × 300, with rules and a digit that stands across some of them."""
    pixels = np.full((360, 300, 3), 255, np.uint8)
    for row in np.linspace(60, 330, rules):
        left, right = (0, round(row - slope * 150)), (299, round(row + slope * 150))
        cv2.line(pixels, left, right, (150, 170, 220), 3, cv2.LINE_AA)
    for stroke in STROKES[digit]:
        points = np.rint(curve(stroke) * (110, 170) + (95, 85)).astype(np.int32)
        cv2.polylines(pixels, [points], False, (30, 30, 90), pen, cv2.LINE_AA)
    return pixels


@pytest.mark.parametrize("slope", [0, 0.05])
@pytest.mark.parametrize("rules", [1, 6])
def test_digits_on_ruled_paper_are_read(reader: DigitReader, rules: int, slope: float) -> None:
    readings = [reader.predict_image(sheet(digit, rules=rules, slope=slope)) for digit in "0123456789"]
    assert [reading.digit for reading in readings] == list(range(10))
    assert sum(reading.decision == "accept" for reading in readings) >= 9


@pytest.mark.parametrize("tight", [False, True])
def test_no_stroke_of_a_digit_is_taken_for_a_rule(mnist: Dataset, tight: bool) -> None:
    for digit in mnist.x_train[:3000]:
        ink = digit.astype(np.float32) / 255
        if tight:
            rows, columns = np.nonzero(ink > 0.1)
            ink = ink[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
        assert without_rules(ink) is ink


@pytest.mark.parametrize("stripes", [30, 200])
def test_a_page_of_stripes_holds_nobody_up(stripes: int) -> None:
    ink = np.zeros((1000, 1000), np.float32)
    for row in np.linspace(0, 995, stripes).astype(int):
        ink[row : row + 2] = 1
    started = time.perf_counter()
    without_rules(ink)
    assert time.perf_counter() - started < 5  # a few tenths where nothing else runs


@pytest.mark.parametrize("pen", [3, 8, 30])
def test_a_straight_stroke_of_any_pen_is_a_one(reader: DigitReader, pen: int) -> None:
    for slant in (-40, -10, 0, 20):
        pixels = np.full((400, 300), 255, np.uint8)
        cv2.line(pixels, (150 + slant, 90), (150 - slant, 310), 0, pen, cv2.LINE_AA)
        reading = reader.predict_image(pixels)
        assert (reading.digit, reading.decision) == (1, "accept")
