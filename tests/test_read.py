"""Lines of digits through `DigitReader.read` and `digits read`, with the committed line reader."""

from __future__ import annotations

import contextlib
import io
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from digitreader.data import Dataset, Writers
from digitreader.decision import FieldReading
from digitreader.errors import BlankImageError, ImageError
from digitreader.reader import DigitReader
from experiments.compose import BOXED, CLEAN, PLAIN, RULED, TOUCHING, Line, Style, lines
from tests.helpers import digits, overlap

Compose = Callable[..., list[Line]]


@pytest.fixture(scope="module")
def composed(mnist: Dataset, writers: Writers) -> Compose:
    """Return what composes lines of training writers."""

    def compose_lines(style: Style, count: int, **options: float) -> list[Line]:
        return list(lines(mnist.x_train, mnist.y_train, writers.train, style, count=count, seed=8, **options))  # type: ignore[arg-type]

    return compose_lines


@pytest.mark.parametrize("length", [None, 5])
@pytest.mark.parametrize(
    ("style", "least", "certain"),
    [(CLEAN, 0.96, 0.75), (PLAIN, 0.96, 0.75), (RULED, 0.96, 0.65), (BOXED, 0.95, 0.65), (TOUCHING, 0.85, 0.4)],
)
def test_fields_are_read(
    reader: DigitReader, composed: Compose, style: Style, least: float, certain: float, length: int | None
) -> None:
    found = composed(style, 100)
    readings = list(reader.read_fields((line.picture.pixels for line in found), length))
    right = [
        isinstance(item, FieldReading) and item.text == line.text for item, line in zip(readings, found, strict=True)
    ]
    assert np.mean(right) > least
    accepted = [isinstance(item, FieldReading) and item.decision == "accept" for item in readings]
    assert np.mean(accepted) > certain
    assert sum(one and not other for one, other in zip(accepted, right, strict=True)) <= 1


@pytest.mark.parametrize("length", [1, 2, 7, 12])
def test_any_length(reader: DigitReader, composed: Compose, length: int) -> None:
    found = composed(CLEAN, 40, digits=length)
    right = [reader.read(line.picture.pixels).text == line.text for line in found]
    assert np.mean(right) > 0.9


def test_zip_plus_four(reader: DigitReader, composed: Compose) -> None:
    found = composed(CLEAN, 40, digits=9)
    right = [reader.read(line.picture.pixels).text == line.text for line in found]
    assert np.mean(right) > 0.8


def test_boxes_stand_where_the_digits_are(reader: DigitReader, composed: Compose) -> None:
    overlaps = []
    for line in composed(replace(CLEAN, rotation=(-5, 5)), 20):
        reading = reader.read(line.picture.pixels)
        if reading.text == line.text:
            boxes = [np.array(digit.box) for digit in reading.digits]
            overlaps += [overlap(one, other) for one, other in zip(boxes, line.picture.boxes, strict=True)]
    assert np.median(overlaps) > 0.75
    assert np.quantile(overlaps, 0.1) > 0.5


def test_boxes_lie_in_the_picture(reader: DigitReader, composed: Compose) -> None:
    for line in composed(replace(CLEAN, rotation=(-10, 10), slant=(-0.3, 0.3), margin=(0, 0.5)), 20):
        height, width = line.picture.pixels.shape[:2]
        for digit in reader.read(line.picture.pixels).digits:
            left, top, right, bottom = digit.box
            assert 0 <= left < right <= width
            assert 0 <= top < bottom <= height


def test_boxes_in_tiny_pictures_hold_a_pixel(reader: DigitReader) -> None:
    rng = np.random.default_rng(0)
    for _ in range(300):
        pixels = rng.integers(0, 256, rng.integers(1, 60, 2)).astype(np.uint8)
        with contextlib.suppress(BlankImageError):
            for digit in reader.read(pixels).digits:
                left, top, right, bottom = digit.box
                assert 0 <= left < right <= pixels.shape[1]
                assert 0 <= top < bottom <= pixels.shape[0]


@pytest.mark.parametrize("length", [0, -1, "5", 2.5])
def test_a_length_that_is_no_number_of_digits(reader: DigitReader, length: Any) -> None:
    with pytest.raises(ValueError, match="length is a positive number"):
        reader.read(np.zeros((30, 30), np.uint8), length)


def test_boxes_are_in_the_files_own_pixels(reader: DigitReader, composed: Compose) -> None:
    (line,) = composed(replace(CLEAN, scale=(4, 4)), 1)
    image = Image.fromarray(line.picture.pixels)
    large = image.resize((image.width * 5, image.height * 5), Image.Resampling.BICUBIC)
    assert large.width > 1024
    stream = io.BytesIO()
    large.save(stream, "PNG")
    expected, found = reader.read(image), reader.read(stream.getvalue())
    assert found.text == expected.text
    for one, other in zip(found.digits, expected.digits, strict=True):
        assert overlap(np.array(one.box) / 5, np.array(other.box)) > 0.85


def test_a_reading_tells_of_each_digit(reader: DigitReader, composed: Compose) -> None:
    for line in composed(CLEAN, 10):
        reading = reader.read(line.picture.pixels)
        assert "".join(digit.digit for digit in reading.digits) == reading.text
        for digit in reading.digits:
            assert 0 <= digit.confidence <= 1
            assert digit.runner_up != digit.digit
        lefts = [digit.box[0] for digit in reading.digits]
        assert lefts == sorted(lefts)


def test_a_wrong_length_goes_to_review(reader: DigitReader, composed: Compose) -> None:
    for line in composed(CLEAN, 20):
        reading = reader.read(line.picture.pixels, length=6)
        assert reading.decision == "review"


def test_what_is_no_zip_code_goes_to_review(reader: DigitReader, composed: Compose) -> None:
    from digitreader.zip_codes import existing_codes

    accepted = {True: 0, False: 0}
    counts = {True: 0, False: 0}
    for line in composed(CLEAN, 60):
        exists = line.text in existing_codes()
        counts[exists] += 1
        accepted[exists] += reader.read(line.picture.pixels, zip_codes=True).decision == "accept"
    assert min(counts.values()) > 10
    assert accepted[True] > 0.6 * counts[True]
    assert accepted[False] < 0.1 * counts[False]


def test_fields_with_something_else_in_them_go_to_review(reader: DigitReader, composed: Compose) -> None:
    found = [line for line in composed(CLEAN, 60, non_digits=0.3) if "?" in line.text]
    accepted = [reader.read(line.picture.pixels).decision == "accept" for line in found]
    assert len(found) > 30
    assert np.mean(accepted) < 0.1


def test_a_blank_field_is_an_error(reader: DigitReader) -> None:
    with pytest.raises(BlankImageError):
        reader.read(np.full((60, 200), 255, np.uint8))


def test_errors_stand_in_their_place(reader: DigitReader, composed: Compose) -> None:
    (line,) = composed(CLEAN, 1)
    results = list(reader.read_fields([line.picture.pixels, b"no image", line.picture.pixels]))
    assert isinstance(results[1], ImageError)
    assert results[0] == results[2] == reader.read(line.picture.pixels)


def test_reading_a_line_imports_no_framework() -> None:
    program = """
import sys
import numpy as np
from digitreader.reader import DigitReader
sheet = np.zeros((60, 40), np.uint8)
sheet[10:50, 18:22] = 255
assert DigitReader().read(sheet).text == "1"
heavy = {"tensorflow", "keras", "torch", "sklearn", "scipy", "matplotlib", "pandas", "onnx", "zipcodes"}
assert not heavy & set(sys.modules), heavy & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


def test_the_command(composed: Compose, tmp_path: Path) -> None:
    found = composed(CLEAN, 3)
    for number, line in enumerate(found):
        Image.fromarray(line.picture.pixels).save(tmp_path / f"{number}.png")
    (tmp_path / "9.png").write_bytes(b"no image")
    done = digits("read", "--json", tmp_path)
    rows = [json.loads(row) for row in done.stdout.splitlines()]
    assert done.returncode == 1
    assert set(rows[0]) == {"file", "text", "confidence", "decision", "reason", "digits"}
    assert set(rows[0]["digits"][0]) == {"digit", "confidence", "box", "runner_up"}
    assert set(rows[3]) == {"file", "error"}
    assert "Traceback" not in done.stderr
    plain = digits("read", "--length", "5", "--zip", tmp_path / "0.png")
    header, row = (line.split("\t") for line in plain.stdout.splitlines())
    assert header == ["file", "text", "confidence", "decision", "reason"]
    assert row[4] in {"ok", "not_a_zip", "low_confidence"}
