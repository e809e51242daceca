"""What each network says of what the other one reads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from digitreader.arrays import FloatArray
from digitreader.ctc import align, single_symbols
from digitreader.decision import LEAST, calibrated
from digitreader.fields import HEIGHT, LineImage, Piece, line_image
from digitreader.normalize import main_strokes, normalize
from digitreader.recognizer import COLUMNS, LineRecognizer, Recognizer

WIDEST = 2 * HEIGHT  # columns that a single digit may take


class Prepared(NamedTuple):
    """What the networks see of a picture of one digit.

    Attributes
    ----------
    digit : ndarray of shape (28, 28), dtype float32
        In MNIST's form, white on black, in [0, 1].
    line : ndarray of shape (32, w), dtype float32
        As a line of digits, see `digitreader.fields.line_image`.
    """

    digit: FloatArray
    line: FloatArray


def prepare(ink: FloatArray) -> Prepared:
    """Return what the networks see of the ink of one digit, see `digitreader.images.find_ink`."""
    return Prepared(normalize(main_strokes(ink)), line_image(ink).pixels)


def run_both(
    prepared: Sequence[Prepared], recognizer: Recognizer, line_recognizer: LineRecognizer
) -> tuple[FloatArray, FloatArray]:
    """Return what both networks say of pictures of one digit: logits and opinions, each of shape (n, 10)."""
    (logits,) = recognizer.run(np.array([item.digit for item in prepared]).reshape(-1, 28, 28), "logits")
    return logits, single_opinions([item.line for item in prepared], line_recognizer)


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


def second_opinion(text: str, pieces: Sequence[Piece], recognizer: Recognizer) -> FloatArray:
    """Return the logarithms of the probabilities of each digit at each place, shape (len(text), 10).

    A digit that had to be cut from its neighbours gets no opinion, a row of zeros: the network knows whole digits only.
    """
    opinions = np.zeros((len(text), 10), np.float32)
    whole = [place for place, symbol in enumerate(text) if symbol.isdigit() and pieces[place].alone]
    if whole:
        images = np.array([normalize(main_strokes(pieces[place].ink)) for place in whole])
        (logits,) = recognizer.run(images, "logits")
        opinions[whole] = np.maximum(np.log(np.maximum(calibrated(logits, 1), 1e-30)), LEAST)
    return opinions


def single_opinions(lines: Sequence[FloatArray], recognizer: LineRecognizer) -> FloatArray:
    """Return the logarithms of the probabilities that pictures say exactly this digit, shape (n, 10).

    Parameters
    ----------
    lines : sequence of ndarray of shape (32, w), dtype float32
        The pictures as `digitreader.fields.line_image` gives them; what is wider than any digit says none.
    recognizer : LineRecognizer
    """
    opinions = np.full((len(lines), 10), -np.inf, np.float32)
    narrow = [number for number, line in enumerate(lines) if line.shape[1] <= WIDEST]
    if narrow:
        batch = np.zeros((len(narrow), HEIGHT, max(lines[number].shape[1] for number in narrow)), np.float32)
        for row, number in zip(batch, narrow, strict=True):
            row[:, : lines[number].shape[1]] = lines[number]
        opinions[narrow] = single_symbols(recognizer.run(batch))[:, :10]
    return opinions
