"""Decoding of what the line reader gives for each step: texts with their probabilities, and where each symbol stands.

References
----------
Graves, A., Fernández, S., Gomez, F. and Schmidhuber, J. (2006). Connectionist temporal classification: labelling
unsegmented sequence data with recurrent neural networks. ICML.
Hannun, A. Y., Maas, A. L., Jurafsky, D. and Ng, A. Y. (2014). First-pass large vocabulary continuous speech recognition
using bi-directional recurrent DNNs. arXiv:1408.2873.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from digitreader.arrays import FloatArray

NO_DIGIT = "?"  # a letter, a scribble: what stands where a digit should
SYMBOLS = "0123456789-" + NO_DIGIT
BLANK = len(SYMBOLS)
BEAM = 12
NEGLIGIBLE = math.log(1e-5)  # a symbol less probable than this at a step is not followed


class Candidate(NamedTuple):
    """A text and the logarithm of its probability, over all ways to write it onto the steps."""

    text: str
    log_probability: float


def beam_search(log_probabilities: FloatArray, beam: int = BEAM) -> list[Candidate]:
    """Return the most probable texts, best first.

    Parameters
    ----------
    log_probabilities : ndarray of shape (t, 13), dtype float32
        Of the `SYMBOLS` and the blank at each step.
    beam : int
        Texts that are followed, and that are returned at most.
    """
    # For each text: the logarithms of ending in a blank, and of ending in its last symbol.
    ends: dict[tuple[int, ...], tuple[float, float]] = {(): (0.0, -math.inf)}
    followed = log_probabilities[:, :BLANK] > NEGLIGIBLE
    counts: list[int] = followed.sum(axis=1).tolist()
    between = 0.0  # the logarithm of the probability of blanks that follow a blank: every text ends in one there
    for number, step in enumerate(log_probabilities.tolist()):
        blank = step[BLANK]
        if number and not counts[number] and not counts[number - 1]:
            between += blank
            continue
        symbols = [(symbol, step[symbol]) for symbol in np.flatnonzero(followed[number]).tolist()]
        grown: dict[tuple[int, ...], tuple[float, float]] = {}
        for text, (in_blank, in_symbol) in ends.items():
            either = _add(in_blank, in_symbol)
            _grow(grown, text, either + blank, -math.inf)
            for symbol, score in symbols:
                if text and symbol == text[-1]:
                    _grow(grown, text, -math.inf, in_symbol + score)
                    if in_blank > -math.inf:  # the same symbol again needs a blank between
                        _grow(grown, (*text, symbol), -math.inf, in_blank + score)
                else:
                    _grow(grown, (*text, symbol), -math.inf, either + score)
        kept = sorted(grown.items(), key=lambda item: -_add(*item[1]))[:beam]
        ends = dict(kept)
    return [
        Candidate("".join(SYMBOLS[symbol] for symbol in text), _add(*scores) + between) for text, scores in ends.items()
    ]


def _add(one: float, other: float) -> float:
    """Return the logarithm of the sum of two probabilities from their logarithms."""
    high, low = max(one, other), min(one, other)
    return high if low == -math.inf else high + math.log1p(math.exp(low - high))


def _grow(
    ends: dict[tuple[int, ...], tuple[float, float]], text: tuple[int, ...], in_blank: float, in_symbol: float
) -> None:
    """Add to the probabilities of a text."""
    before = ends.get(text, (-math.inf, -math.inf))
    ends[text] = (_add(before[0], in_blank), _add(before[1], in_symbol))


def align(log_probabilities: FloatArray, text: str) -> list[tuple[int, int]]:
    """Return the first and last step of each symbol of a text, on the most probable way to write it onto the steps.

    Parameters
    ----------
    log_probabilities : ndarray of shape (t, 13), dtype float32
    text : str
        Of `SYMBOLS`; it needs no more steps than there are.
    """
    states = [BLANK]
    for symbol in text:
        states += [SYMBOLS.index(symbol), BLANK]
    labels = np.array(states)
    # From the symbol before the last state one may come directly, unless it is the same symbol.
    skip = np.full(len(labels), -np.inf)
    skip[3::2] = np.where(labels[3::2] != labels[1:-2:2], 0, -np.inf)
    score = np.full(len(labels), -np.inf)
    score[:2] = log_probabilities[0, labels[:2]]
    back = np.zeros((len(log_probabilities), len(labels)), np.int64)
    for step in range(1, len(log_probabilities)):
        options = np.stack(
            [score, np.concatenate([[-np.inf], score[:-1]]), np.concatenate([[-np.inf] * 2, score[:-2]])[: len(score)]]
        )
        options[2] += skip
        back[step] = options.argmax(axis=0)
        score = options.max(axis=0) + log_probabilities[step, labels]
    state = len(labels) - 1 if len(labels) == 1 or score[-1] >= score[-2] else len(labels) - 2
    path = []
    for step in range(len(log_probabilities) - 1, -1, -1):
        path.append(state)
        state -= back[step, state]
    steps = np.array(path[::-1])
    return [(int(found[0]), int(found[-1])) for found in (np.flatnonzero(steps == 2 * k + 1) for k in range(len(text)))]


def runners_up(log_probabilities: FloatArray, places: Sequence[tuple[int, int]], text: str) -> list[str]:
    """Return the most probable other symbol at each place of a text that `align` found."""
    found = []
    for (first, last), symbol in zip(places, text, strict=True):
        scores = log_probabilities[first : last + 1, :BLANK].mean(axis=0)
        scores[SYMBOLS.index(symbol)] = -np.inf
        found.append(SYMBOLS[int(scores.argmax())])
    return found
