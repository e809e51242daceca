"""What the digits' network says of the digits that the line reader found."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from digitreader.ctc import align
from digitreader.decision import calibrated
from digitreader.fields import LineImage, Piece
from digitreader.normalize import main_strokes, normalize
from digitreader.recognizer import COLUMNS, FloatArray, Recognizer

LEAST = 1e-5  # no opinion is surer than that a digit is not there


def find_pieces(line: LineImage, steps: FloatArray, text: str) -> tuple[list[tuple[int, int]], list[Piece]]:
    """Return the first and last step of each symbol of a text, and the part of the line that it was read from.

    Parameters
    ----------
    line : LineImage
    steps : ndarray of shape (t, 13), dtype float32
        What the line reader gave for it.
    text : str
    """
    places = align(steps, text)
    return places, line.pieces([COLUMNS * (first + last + 1) / 2 for first, last in places])


def second_opinion(text: str, pieces: Sequence[Piece], recognizer: Recognizer, temperature: float) -> FloatArray:
    """Return the logarithms of the probabilities of each digit at each place, shape (len(text), 10).

    A digit that had to be cut from its neighbours gets no opinion, a row of zeros: the network knows whole digits only.
    """
    opinions = np.zeros((len(text), 10), np.float32)
    whole = [place for place, symbol in enumerate(text) if symbol.isdigit() and pieces[place].alone]
    if whole:
        images = np.array([normalize(main_strokes(pieces[place].ink)) for place in whole])
        (logits,) = recognizer.run(images, "logits")
        opinions[whole] = np.log(np.maximum(calibrated(logits, temperature), LEAST))
    return opinions
