"""The generator of pictures: what it promises to everything that is trained on or measured with them."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from digitreader.arrays import FloatArray
from digitreader.data import Dataset, Writers
from experiments.compose import (
    CLEAN,
    PHOTO,
    Style,
    compose,
    jpeg,
    lines,
)
from experiments.non_digits import NON_DIGITS, non_digit
from experiments.outlines import dash, outline

LARGE = Style(scale=(4, 4))


@pytest.fixture(scope="session")
def outlines(mnist: Dataset) -> list[FloatArray]:
    """Return the outlines of some digits of the training set."""
    return [outline(image) for image in mnist.x_train[:20]]


def inked(pixels: np.ndarray) -> np.ndarray:
    """Return where a picture in black on white has ink."""
    return pixels.mean(axis=2) < 128


def test_an_outline_draws_the_same_digit(mnist: Dataset, outlines: list[FloatArray]) -> None:
    for image, distance in zip(mnist.x_train, outlines, strict=False):
        drawn = cv2.resize(np.clip(0.5 + distance * 4, 0, 1), (28, 28), interpolation=cv2.INTER_AREA)
        assert np.corrcoef(drawn.ravel(), image.ravel())[0, 1] > 0.9


def test_the_seed_decides(outlines: list[FloatArray]) -> None:
    first, again, other = (compose(outlines[:1], PHOTO, np.random.default_rng(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.pixels, again.pixels)
    assert first.pixels.shape != other.pixels.shape or (first.pixels != other.pixels).any()


def test_boxes_hold_the_ink(outlines: list[FloatArray]) -> None:
    picture = compose(outlines[:5], LARGE, np.random.default_rng(0))
    ink = inked(picture.pixels)
    assert len(picture.boxes) == 5
    outside = ink.copy()
    for left, top, right, bottom in np.rint(picture.boxes).astype(int):
        box = ink[top:bottom, left:right]
        assert all(edge.any() for edge in (box[:5], box[-5:], box[:, :5], box[:, -5:])), "the box is too wide"
        outside[top - 1 : bottom + 1, left - 1 : right + 1] = False
    assert not outside.any()
    assert (np.diff(picture.boxes[:, 0]) > 0).all()


def test_neighbours_touch_or_not(outlines: list[FloatArray]) -> None:
    eight, zero = outlines[17], outlines[1]  # each of one piece

    def pieces(style: Style) -> list[int]:
        pictures = [compose([eight, zero, eight], style, np.random.default_rng(seed)).pixels for seed in range(10)]
        return [cv2.connectedComponents(inked(pixels).astype(np.uint8))[0] - 1 for pixels in pictures]

    assert pieces(LARGE) == [3] * 10
    assert pieces(replace(LARGE, touching=1)) == [1] * 10


def test_a_broken_stroke_falls_apart(outlines: list[FloatArray]) -> None:
    one = next(digit for digit in outlines if cv2.connectedComponents((digit > 0).astype(np.uint8))[0] == 2)
    styles = LARGE, replace(LARGE, broken=1)

    def pieces(style: Style) -> list[int]:
        pictures = [compose([one], style, np.random.default_rng(seed)).pixels for seed in range(20)]
        return [cv2.connectedComponents(inked(pixels).astype(np.uint8))[0] - 1 for pixels in pictures]

    whole, broken = map(pieces, styles)
    assert whole == [1] * 20
    assert np.mean(np.array(broken) > 1) > 0.5, "a gap in a loop leaves it of one piece"


@pytest.mark.parametrize("style", [replace(LARGE, ruled=1), replace(LARGE, boxed=1), replace(LARGE, specks=(5, 5))])
def test_what_is_around_the_digits(outlines: list[FloatArray], style: Style) -> None:
    picture = compose(outlines[:3], replace(style, margin=(10, 10)), np.random.default_rng(0))
    ink = picture.pixels.mean(axis=2) < 250  # a form may be printed in grey
    left, right = int(picture.boxes[:, 0].min()), int(picture.boxes[:, 2].max()) + 1
    top, bottom = int(picture.boxes[:, 1].min()), int(picture.boxes[:, 3].max()) + 1
    ink[top - 1 : bottom + 1, left - 1 : right + 1] = False
    assert ink.any()


def test_photos_vary(outlines: list[FloatArray]) -> None:
    pictures = [compose(outlines[:1], PHOTO, np.random.default_rng(seed)) for seed in range(60)]
    heights = [box[3] - box[1] for box in (picture.boxes[0] for picture in pictures)]
    assert min(heights) < 20
    assert max(heights) > 150
    borders = [np.median(picture.pixels[0]) for picture in pictures]
    assert 0.1 < np.mean(np.array(borders) < 110) < 0.5, "some paper is dark"
    assert any(np.ptp(picture.pixels[0].astype(int), axis=1).max() > 20 for picture in pictures), "some is coloured"


def test_jpeg_quality_costs_bytes(outlines: list[FloatArray]) -> None:
    pixels = compose(outlines[:1], replace(PHOTO, quality=None, scale=(8, 8)), np.random.default_rng(0)).pixels
    assert len(jpeg(pixels, 30)) < len(jpeg(pixels, 90))


def test_lines_are_of_one_writer_each(mnist: Dataset, writers: Writers) -> None:
    found = list(lines(mnist.x_test, mnist.y_test, writers.test, CLEAN, count=12, seed=1))
    for line in found:
        assert set(writers.test[list(line.rows)]) == {line.writer}
        assert len(set(line.rows)) == 5
        assert line.text == "".join(map(str, mnist.y_test[list(line.rows)]))
    assert len({line.writer for line in found}) > 6


def test_a_line_does_not_depend_on_the_count(mnist: Dataset, writers: Writers) -> None:
    many = list(lines(mnist.x_test, mnist.y_test, writers.test, PHOTO, count=3, seed=1))
    few = list(lines(mnist.x_test, mnist.y_test, writers.test, PHOTO, count=2, seed=1))
    for one, other in zip(many, few, strict=False):
        np.testing.assert_array_equal(one.picture.pixels, other.picture.pixels)


def test_zip_plus_four_has_its_hyphen(mnist: Dataset, writers: Writers) -> None:
    (line,) = lines(mnist.x_test, mnist.y_test, writers.test, LARGE, count=1, seed=1, digits=9)
    assert line.text[5] == "-"
    assert len(line.picture.boxes) == 10
    heights = line.picture.boxes[:, 3] - line.picture.boxes[:, 1]
    assert heights.argmin() == 5


def test_what_is_no_digit_is_marked(mnist: Dataset, writers: Writers) -> None:
    found = list(lines(mnist.x_test, mnist.y_test, writers.test, CLEAN, count=20, seed=1, non_digits=0.3))
    marked = sum(line.text.count("?") for line in found)
    assert 15 < marked < 50, "about 30 of 100"
    for line in found:
        assert len(line.text) == len(line.rows) == len(line.picture.boxes)
        expected = (symbol in ("?", str(mnist.y_test[row])) for symbol, row in zip(line.text, line.rows, strict=True))
        assert all(expected)


def test_a_hyphen_is_wider_than_high() -> None:
    for seed in range(10):
        rows, columns = np.nonzero(dash(np.random.default_rng(seed)) > 0)
        assert np.ptp(columns) > 1.3 * np.ptp(rows)


def test_a_shuffled_digit_has_the_ink_of_a_digit_elsewhere(outlines: list[FloatArray]) -> None:
    for number, distance in enumerate(outlines):
        shuffled = non_digit("shuffled", [distance], np.random.default_rng(number))
        assert 0.5 < (shuffled > 0).sum() / (distance > 0).sum() < 2
        assert np.corrcoef((shuffled > 0).ravel(), (distance > 0).ravel())[0, 1] < 0.6


def test_a_mirrored_digit_mirrors_back(outlines: list[FloatArray]) -> None:
    mirrored = non_digit("mirrored", outlines[:1], np.random.default_rng(0))
    np.testing.assert_array_equal(non_digit("mirrored", [mirrored], np.random.default_rng(0)), outlines[0])


def test_a_sign_of_no_alphabet_hangs_together(outlines: list[FloatArray]) -> None:
    for seed in range(20):
        ink = non_digit("glyph", [], np.random.default_rng(seed)) > 0
        assert cv2.connectedComponents(ink.astype(np.uint8))[0] == 2, "paper, and one sign"


@pytest.mark.parametrize("kind", NON_DIGITS)
def test_non_digits_draw_something(outlines: list[FloatArray], kind: str) -> None:
    drawn = [non_digit(kind, outlines[2:4], np.random.default_rng(seed)) for seed in range(10)]
    for distance in drawn:
        assert distance.shape == (112, 112)
        assert (distance > 0).sum() > 50
        assert compose([distance], PHOTO, np.random.default_rng(0)).pixels.ndim == 3
    if kind not in ("shuffled", "mirrored"):  # what these look like follows from the digit
        assert any((one != other).any() for one, other in zip(drawn[1:], drawn, strict=False))
