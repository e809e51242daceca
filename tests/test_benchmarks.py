"""The parts of benchmarks and experiments that turn readings into rates."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from benchmarks.fields import Outcome, curve, interval, outcome, summary
from benchmarks.mnist import shifted
from benchmarks.whole_path import STEPS, watched
from digitreader.decision import FieldReading, Reason
from digitreader.errors import BlankImageError
from digitreader.fields import HEIGHT
from digitreader.intervals import wilson
from digitreader.reader import DigitReader
from experiments.compose import Line, Picture
from experiments.oversegmentation import NO_CLASS, best_path, cuts, segments


def of_writers(wrong: Callable[[int, int], bool]) -> list[Outcome]:
    """Return ten lines of each of forty writers; `wrong` says of writer and line whether it is misread."""
    return [
        Outcome(writer, right=not wrong(writer, number), right_blind=True, accepted=number > 1, doubt=number / 10)
        for writer in range(40)
        for number in range(10)
    ]


def test_errors_of_one_writer_are_less_certain_than_of_many() -> None:
    everyone = np.ones(400, np.bool_)
    spread = interval(of_writers(lambda _, number: number == 0), everyone)
    together = interval(of_writers(lambda writer, _: writer < 4), everyone)
    assert spread == pytest.approx([0.1, 0.1])
    assert together[0] < 0.05 < 0.15 < together[1]
    assert interval(of_writers(lambda *_: False), everyone) == [0, 0]


def test_the_interval_is_of_the_lines_kept() -> None:
    outcomes = of_writers(lambda writer, number: number == 0 and writer < 20)
    accepted = np.array([outcome.accepted for outcome in outcomes])
    assert interval(outcomes, accepted) == [0, 0]


def test_the_curve_takes_the_least_doubtful_first() -> None:
    points = np.array(curve(of_writers(lambda _, number: number == 9)))
    assert points[-1].tolist() == [1, 0.1]
    assert points[points[:, 0] <= 0.9, 1].max() == 0
    assert points[:, 0].tolist() == sorted(points[:, 0])


def test_the_summary_of_a_style() -> None:
    measured = summary(of_writers(lambda writer, number: number == 0 and writer < 20), frozenset(range(10)))
    assert (measured["lines"], measured["writers"]) == (400, 40)
    assert measured["wrong"] == pytest.approx(0.05)
    assert measured["wrong_if_writers_count_evenly"] == pytest.approx(0.05)
    assert measured["wrong_by_population"] == pytest.approx({"Census staff": 0.1, "students": 1 / 30})
    assert measured["in_review"] == pytest.approx(0.2)
    assert measured["wrong_among_accepted"] == 0
    most, fewer = measured["at_coverage"]
    assert (most["coverage"], fewer["coverage"]) == (0.95, 0.88)
    assert most["wrong"] == pytest.approx(20 / 380), "the least doubtful lines are the wrong ones here"
    assert fewer["wrong"] == pytest.approx(20 / 352)
    assert fewer["wrong_95"][0] < fewer["wrong"] < fewer["wrong_95"][1]


def test_what_goes_to_review_whatever_its_confidence_is_most_doubtful() -> None:
    line = Line(Picture(np.zeros((1, 1, 3), np.uint8), np.zeros((0, 4), np.float32)), "12345", 7, ())

    def reading(text: str, confidence: float, reason: Reason) -> FieldReading:
        return FieldReading(text, confidence, "accept" if reason == "ok" else "review", reason, ())

    sure, unsure = reading("12345", 0.99, "ok"), reading("12345", 0.2, "low_confidence")
    short = reading("1234", 0.99, "wrong_length")
    doubts = [outcome(line, item, sure).doubt for item in (sure, unsure, short, BlankImageError("no ink"))]
    assert doubts == sorted(doubts)
    assert outcome(line, sure, short) == Outcome(7, right=True, right_blind=False, accepted=True, doubt=1 - 0.99)


@pytest.mark.parametrize("down", [-3, 3])
@pytest.mark.parametrize("right", [-3, 3])
def test_shifted_images(down: int, right: int) -> None:
    images = np.zeros((2, 28, 28), np.uint8)
    images[:, 10, 12] = 255
    moved = shifted(images, down, right)
    assert moved.shape == images.shape
    assert np.argwhere(moved[0]).tolist() == [[10 + down, 12 + right]]


def test_wilson_intervals_hold_the_rate() -> None:
    low, high = wilson(9962, 10_000)
    assert (round(low, 4), round(high, 4)) == (0.9948, 0.9972), "Wilson (1927), as README states it of the test set"
    assert wilson(0, 100)[0] == 0


def test_the_best_path_leaves_no_ink_out() -> None:
    pixels = np.zeros((HEIGHT, 60), np.float32)
    pixels[4:-4, [5, 6, 25, 26, 45, 46]] = 1  # three strokes
    edges = cuts(pixels)
    found, extents, images = segments(pixels, edges)
    assert (edges[0], edges[-1]) == (0, 60)
    assert images.shape == (len(found), 28, 28)
    assert {(5, 7), (25, 27), (45, 47)} <= set(extents)
    scores = np.full((len(found), NO_CLASS + 1), -9.0, np.float32)
    for row, (left, right) in zip(scores, extents, strict=True):
        row[1 if right - left == 2 else NO_CLASS] = -0.1  # a stroke alone is a 1, more is no digit
    assert best_path(pixels, edges, found, scores) == "111"


def test_a_watch_on_the_steps_changes_no_reading(root: Path, reader: DigitReader) -> None:
    samples, originals = root / "docs" / "samples", [getattr(*place) for place in STEPS.values()]
    expected = reader.read(samples / "zip.jpg"), reader.predict_image(samples / "seven.jpg")
    with watched() as of_line:
        line = reader.read(samples / "zip.jpg")
    with watched() as of_digit:
        digit = reader.predict_image(samples / "seven.jpg")
    assert (line, digit) == expected
    assert of_line.keys() == {step for step in STEPS if "digit:" not in step}
    assert of_digit.keys() == {step for step in STEPS if "line:" not in step}
    assert min(*of_line.values(), *of_digit.values()) > 0
    assert [getattr(*place) for place in STEPS.values()] == originals
