"""Thresholds with a promise: that it is kept, what is refused, and how the study of it counts."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

import experiments.promise
import experiments.runs
from digitreader.errors import CalibrationError
from digitreader.guarantee import DELTA, certify, smallest_certifiable
from experiments.promise import Readings, certified, check, doubts, rows_by_writer
from experiments.promise_tables import promise
from experiments.runs import write_rows
from tests.helpers import SCHEMA

EACH, ALIKE = 50, 10  # readings a writer in what is made up here, and how many of them may be alike


class Made(NamedTuple):
    """Readings that are made up."""

    doubt: npt.NDArray[np.float64]
    right: npt.NDArray[np.bool_]
    writer: npt.NDArray[np.int64]


def made(writers: int, seed: int, *, clustered: bool) -> Made:
    """Return readings that are wrong with the probability of their doubt's root: one by one, or ten together."""
    rng = np.random.default_rng(seed)
    doubt = 10 ** rng.uniform(-8, -1, writers * EACH)
    writer = np.arange(len(doubt)) // EACH
    luck = np.repeat(rng.random(len(doubt) // ALIKE), ALIKE) if clustered else rng.random(len(doubt))
    return Made(doubt, luck >= np.sqrt(doubt), writer)


def largest(readings: Made, risk: float, *, by_writer: bool) -> float:
    """Return the doubt that is certified, or one that accepts nothing where none is."""
    names = readings.writer if by_writer else np.arange(len(readings.writer))
    try:
        return certify(readings.doubt, readings.right, names, risk)
    except CalibrationError:
        return -1


def true_risk(doubt: float) -> float:
    """Return the share of wrong readings among those `made` with up to so much doubt: the mean over its logarithm."""
    exponents = np.linspace(-8, min(np.log10(doubt), -1), 1001)
    return float(np.sqrt(10**exponents).mean())


def broken(seeds: int, risk: float, *, clustered: bool, by_writer: bool) -> int:
    """Return how often a threshold breaks its promise."""
    found = [largest(made(100, seed, clustered=clustered), risk, by_writer=by_writer) for seed in range(seeds)]
    return sum(doubt > 0 and true_risk(doubt) > risk for doubt in found)


def may_be_chance(count: int, seeds: int) -> bool:
    """Return whether a promise that is broken in 5 % may have been broken so often."""
    return binomtest(count, seeds, DELTA, alternative="greater").pvalue > 0.01


def test_the_promise_is_kept_of_independent_readings() -> None:
    assert may_be_chance(broken(40, 0.01, clustered=False, by_writer=False), 40)
    assert may_be_chance(broken(200, 0.01, clustered=False, by_writer=True), 200)


def test_the_promise_is_kept_where_errors_come_together() -> None:
    assert may_be_chance(broken(200, 0.01, clustered=True, by_writer=True), 200)
    assert not may_be_chance(broken(40, 0.01, clustered=True, by_writer=False), 40), "what the writers are needed for"


def test_the_promise_is_not_kept_by_accepting_next_to_nothing() -> None:
    doubt, right, writer = made(200, 0, clustered=False)
    best = 10.0 ** np.arange(-8, 0, 0.05)
    allowed = max(most for most in best if true_risk(most) <= 0.01)
    found = certify(doubt, right, writer, 0.01)
    assert (doubt <= found).mean() > 0.9 * (doubt <= allowed).mean()


def test_one_test_without_errors_is_the_binomial_one() -> None:
    doubt, right, writer = np.full(3000, 1e-7), np.ones(3000, np.bool_), np.arange(3000) // EACH
    # 0.999 ** 3000 < 0.05: with a thousandth wrong, so many right ones are too unlikely. Not so 2,900.
    assert certify(doubt, right, writer, 0.001) >= 1e-7
    with pytest.raises(CalibrationError):
        certify(doubt[:2900], right[:2900], writer[:2900], 0.001)


def test_errors_count_as_in_the_exact_test() -> None:
    right = np.ones(20_000, np.bool_)
    right[::2000] = False
    doubt = np.full(len(right), 1e-4)
    limit = binomtest(10, len(right)).proportion_ci(1 - 2 * DELTA, "exact").high
    names = np.arange(len(right))
    assert certify(doubt, right, names, limit * 1.0001) >= 1e-4
    with pytest.raises(CalibrationError):
        certify(doubt, right, names, limit * 0.9999)


def test_the_smallest_risk_is_named_and_is_certified() -> None:
    doubt, right, writer = made(100, 0, clustered=True)
    smallest = smallest_certifiable(doubt, right, writer)
    with pytest.raises(CalibrationError) as refused:
        certify(doubt, right, writer, 0.00001)
    assert str(refused.value) == (
        f"A risk of 0.00001 cannot be certified by 5,000 readings: {smallest} is the smallest that they can."
    )
    assert (doubt <= certify(doubt, right, writer, smallest)).mean() >= 0.5
    with pytest.raises(CalibrationError):
        certify(doubt, right, writer, smallest * 0.9)


@pytest.mark.parametrize("count", [0, 1])
def test_hardly_any_readings_certify_nothing(count: int) -> None:
    nothing = np.zeros(count)
    with pytest.raises(CalibrationError, match=f"by {count} readings: "):
        certify(nothing, nothing == 0, nothing, 0.5)


def test_readings_that_are_all_wrong_certify_nothing() -> None:
    doubt = np.geomspace(1e-8, 1, 1000)
    with pytest.raises(CalibrationError, match=": 1 is the smallest"):
        certify(doubt, doubt < 0, np.arange(1000), 0.99)


def test_doubts_next_to_nothing_are_told_apart() -> None:
    doubt = np.repeat([1e-8, 2e-8], 10_000)
    right = np.ones(len(doubt), np.bool_)
    right[10_000::100] = False
    found = certify(doubt, right, np.arange(len(doubt)), 0.0005)
    assert 1e-8 <= found < 2e-8


def test_the_last_threshold_before_the_first_that_fails_is_taken() -> None:
    doubt = np.repeat([1e-6, 1e-4, 1e-2], [8000, 2000, 40_000])
    right = np.ones(len(doubt), np.bool_)
    right[8000:8200] = False  # of all readings together few are wrong again
    right[:8000:4000] = False
    doubt[-25_000:] = 1e-7  # half of the readings, the start, are more confident
    found = certify(doubt, right, np.arange(len(doubt)), 0.005)
    assert 1e-6 <= found < 1e-4


def test_how_errors_come_together_is_seen_at_ten_times_the_doubt() -> None:
    doubt, right, writer = np.tile([1e-6, 5e-6], 4000), np.ones(8000, np.bool_), np.arange(8000) // EACH
    right[1:EACH:2] = False  # none of the strict half
    alone, together = (smallest_certifiable(doubt, right, names) for names in (np.arange(8000), writer))
    assert together > 5 * alone
    doubt[1::2] = 5e-5
    assert smallest_certifiable(doubt, right, writer) == alone


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([20, 60]), st.booleans(), st.floats(0.005, 0.2))
def test_writers_never_make_a_threshold_looser(seed: int, writers: int, clustered: bool, risk: float) -> None:
    readings = made(writers, seed, clustered=clustered)
    assert largest(readings, risk, by_writer=True) <= largest(readings, risk, by_writer=False)


def test_doubts_are_exact_next_to_certainty() -> None:
    logits = np.array([[40, 0, 0], [0, 1, 0]], np.float32)
    assert doubts(logits, 1.0) == pytest.approx([2 * np.exp(-40), 2 / (2 + np.e)], rel=1e-6)
    assert doubts(logits, 2.0)[0] == pytest.approx(2 * np.exp(-20), rel=1e-6)


def of(readings: Made, usable: npt.NDArray[np.bool_]) -> Readings:
    """Return made-up readings as the study takes them."""
    return Readings(readings.doubt, readings.right, usable, readings.writer.astype(np.int32), ["none"])


def test_what_goes_to_review_anyway_is_not_certified_by() -> None:
    readings = made(100, 0, clustered=False)
    hidden = of(readings, readings.right)  # every wrong one is held for no digit
    assert certified(hidden, rows_by_writer(hidden.writer), 0.02, clustered=True) >= 0.09
    shown = of(readings, np.ones(len(readings.right), np.bool_))
    assert certified(shown, rows_by_writer(shown.writer), 0.02, clustered=True) < 0.09
    nothing = of(readings, np.zeros(len(readings.right), np.bool_))
    assert certified(nothing, rows_by_writer(nothing.writer), 0.005, clustered=True) < 0


def test_splits_count_what_is_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(experiments.promise, "SPLITS", 20)
    writer, usable = np.arange(4000) // 1000, np.ones(4000, np.bool_)
    right = np.arange(4000) >= 100  # one writer has all the errors, and is in one half or in the other
    found = check(of(Made(np.full(4000, 1e-5), right, writer), usable), 0.01, clustered=False)
    assert found["broken"] == found["significantly_broken"] == 20 - found["refused"]
    assert 0 < found["refused"] < 20
    assert found["accepted"] == found["broken"] / 20
    assert 0 < found["broken_in_truth"] < 20

    readings, usable = made(100, 0, clustered=False), np.ones(100 * EACH, np.bool_)
    refused = check(of(readings, usable), 0.0001, clustered=True)
    assert refused == {
        "splits": 20,
        "accepted": 0,
        "refused": 20,
        "broken": 0,
        "significantly_broken": 0,
        "broken_in_truth": 0,
    }
    monkeypatch.setattr(experiments.promise, "certify", lambda *_: 1.0)
    careless = check(of(readings, usable), 0.02, clustered=True)
    assert (careless["broken"], careless["significantly_broken"], careless["broken_in_truth"]) == (20, 20, 20)


def test_the_study_writes_what_the_table_shows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    readings = of(made(40, 0, clustered=False), np.ones(40 * EACH, np.bool_))
    monkeypatch.setattr(experiments.promise, "SPLITS", 4)
    monkeypatch.setattr(experiments.promise, "KINDS", {"digits": (lambda: readings, (0.0005, 0.01))})
    monkeypatch.setattr(experiments.runs, "RESULTS", tmp_path)
    experiments.promise.main()
    rows = experiments.runs.read_rows("promise")
    assert all(row.keys() >= SCHEMA for row in rows)
    write_rows("promise", [row | {"refused": 1, "broken": 2, "accepted": 0.75} for row in rows])
    lines = promise().splitlines()
    assert len(lines) == 2 + len(rows)
    assert "| 2,000 digits | 0.05 % | independent | 25.0 % | 75.0 % | 50.0 % (15.00–85.00 %) |" in lines[2]
