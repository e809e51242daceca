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
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from digitreader.arrays import FloatArray

NO_DIGIT = "?"  # a letter, a scribble: what stands where a digit should
SYMBOLS = "0123456789-" + NO_DIGIT
BLANK = len(SYMBOLS)
BEAM = 12
NEGLIGIBLE = math.log(1e-5)  # a symbol less probable than this at a step is not followed
FORGOTTEN = 1e-12  # neither is a text less probable than this share of the best one


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
    probabilities = np.exp(log_probabilities.astype(np.float64))
    steps, columns = np.nonzero(log_probabilities[:, :BLANK] > NEGLIGIBLE)
    followed: list[list[tuple[str, float]]] = [[] for _ in probabilities]
    for step, column, share in zip(
        steps.tolist(), columns.tolist(), probabilities[steps, columns].tolist(), strict=True
    ):
        followed[step].append((SYMBOLS[column], share))
    # For each text: the probabilities of ending in a blank, and in its last symbol, as shares of the best text's.
    ends = {"": (1.0, 0.0)}
    of_best = 0.0  # the logarithm of that one's
    for blank, symbols in zip(probabilities[:, BLANK].tolist(), followed, strict=True):
        if not symbols:  # every text ends in a blank there, and none overtakes another
            ends = {text: (in_blank + in_symbol, 0.0) for text, (in_blank, in_symbol) in ends.items()}
            of_best += math.log(blank)
            continue
        by_blank: dict[str, float] = {}
        by_symbol: dict[str, float] = {}
        for text, (in_blank, in_symbol) in ends.items():
            either = in_blank + in_symbol
            by_blank[text] = either * blank
            last = text[-1:]
            for symbol, share in symbols:
                gained = either * share
                if symbol == last:
                    by_symbol[text] = by_symbol.get(text, 0.0) + in_symbol * share
                    gained = in_blank * share  # the same symbol again needs a blank between
                if gained > FORGOTTEN:
                    grown = text + symbol
                    by_symbol[grown] = by_symbol.get(grown, 0.0) + gained
        shares = [(share + by_symbol.get(text, 0.0), text) for text, share in by_blank.items()]
        shares += [(share, text) for text, share in by_symbol.items() if text not in by_blank]
        ranked = sorted(shares, reverse=True)[:beam]
        best = ranked[0][0]
        ends = {
            text: (by_blank.get(text, 0.0) / best, by_symbol.get(text, 0.0) / best)
            for share, text in ranked
            if share > FORGOTTEN * best
        }
        of_best += math.log(best)
    return [Candidate(text, math.log(sum(shares)) + of_best) for text, shares in ends.items()]


def align(log_probabilities: FloatArray, text: str) -> list[tuple[int, int]]:
    """Return the first and last step of each symbol of a text, on the most probable way to write it onto the steps.

    Parameters
    ----------
    log_probabilities : ndarray of shape (t, 13), dtype float32
    text : str
        Of `SYMBOLS`; it needs no more steps than there are.
    """
    symbols = np.array([SYMBOLS.index(symbol) for symbol in text], np.int64)
    best = log_probabilities.argmax(axis=1)
    edges = [0, *(np.flatnonzero(best[1:] != best[:-1]) + 1).tolist(), len(best)]
    runs = [(first, after - 1) for first, after in pairwise(edges) if best[first] != BLANK]
    if [best[first] for first, _ in runs] == symbols.tolist():  # the most probable of all paths is the one looked for
        return runs
    labels = np.full(2 * len(symbols) + 1, BLANK)
    labels[1::2] = symbols
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
