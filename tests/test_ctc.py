"""Decoding of the line reader's steps, against a count of all paths."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from digitreader.ctc import BLANK, SYMBOLS, align, beam_search, runners_up


def steps(*probable: dict[str, float]) -> np.ndarray:
    """Return logarithms (t, 13) of steps that name some symbols' probabilities; "_" is the blank."""
    probabilities = np.full((len(probable), BLANK + 1), 1e-9)
    for row, step in zip(probabilities, probable, strict=True):
        for symbol, value in step.items():
            row[BLANK if symbol == "_" else SYMBOLS.index(symbol)] = value
    return np.log(probabilities / probabilities.sum(axis=1, keepdims=True)).astype(np.float32)


def collapsed(path: tuple[int, ...]) -> str:
    """Return the text that a path over the steps writes."""
    return "".join(SYMBOLS[symbol] for symbol, _ in itertools.groupby(path) if symbol != BLANK)


@pytest.mark.parametrize("seed", range(5))
def test_beam_search_finds_every_paths_sum(seed: int) -> None:
    rng = np.random.default_rng(seed)
    used = [1, 4, BLANK]
    scores = np.full((5, BLANK + 1), -30.0, np.float32)
    scores[:, used] = rng.normal(0, 1.5, (5, 3))
    scores -= np.log(np.exp(scores).sum(axis=1, keepdims=True))
    totals: dict[str, float] = {}
    for path in itertools.product(used, repeat=5):
        probability = np.exp(sum(scores[step, symbol] for step, symbol in enumerate(path)))
        totals[collapsed(path)] = totals.get(collapsed(path), 0) + probability
    found = beam_search(scores, beam=200)
    assert [text for text, _ in found[:5]] == sorted(totals, key=lambda text: -totals[text])[:5]
    for text, logarithm in found:
        assert np.exp(logarithm) == pytest.approx(totals[text], rel=1e-3, abs=1e-6)


def test_repeats_need_a_blank() -> None:
    assert beam_search(steps({"1": 1}, {"1": 1}, {"1": 1}))[0].text == "1"
    assert beam_search(steps({"1": 1}, {"_": 1}, {"1": 1}))[0].text == "11"


def test_nothing_is_a_text_too() -> None:
    text, logarithm = beam_search(steps({"_": 1}, {"_": 1}))[0]
    assert text == ""
    assert logarithm == pytest.approx(0, abs=1e-4)


def test_the_sum_of_paths_beats_the_best_path() -> None:
    # The best single path is blank, blank (0.36); four paths write 7 (0.64).
    assert beam_search(steps({"_": 0.6, "7": 0.4}, {"_": 0.6, "7": 0.4}))[0].text == "7"


def test_alignment() -> None:
    scores = steps({"_": 1}, {"7": 1}, {"7": 1}, {"_": 1}, {"7": 0.9, "_": 0.1}, {"2": 1}, {"_": 1})
    assert align(scores, "772") == [(1, 2), (4, 4), (5, 5)]
    assert align(scores, "") == []
    assert align(steps({"-": 1}), "-") == [(0, 0)]


@pytest.mark.parametrize("seed", range(5))
def test_alignment_is_the_best_of_all_paths(seed: int) -> None:
    used = [1, 4, BLANK]
    scores = np.full((5, BLANK + 1), -30.0, np.float32)
    scores[:, used] = np.random.default_rng(seed).normal(0, 1.5, (5, 3))
    best: dict[str, tuple[float, tuple[int, ...]]] = {}
    for path in itertools.product(used, repeat=5):
        score = float(sum(scores[step, symbol] for step, symbol in enumerate(path)))
        best[collapsed(path)] = max(best.get(collapsed(path), (-np.inf, path)), (score, path))
    for text, (_, path) in best.items():
        runs = [list(run) for symbol, run in itertools.groupby(range(5), path.__getitem__) if symbol != BLANK]
        assert align(scores, text) == [(run[0], run[-1]) for run in runs]


def test_the_second_most_probable_symbol_of_a_place() -> None:
    scores = steps({"_": 1}, {"7": 0.8, "1": 0.2}, {"7": 0.7, "1": 0.2, "2": 0.1}, {"_": 1}, {"4": 0.9, "9": 0.1})
    assert runners_up(scores, align(scores, "74"), "74") == ["1", "9"]
    assert runners_up(scores, align(scores, "14"), "14") == ["7", "9"], "the text need not be the most probable one"
