"""What both networks see and say of a picture of one digit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from digitreader.arrays import FloatArray
from digitreader.ctc import single_symbols
from digitreader.fields import HEIGHT, line_image
from digitreader.normalize import cut_out, is_thin, main_strokes, normalize, redrawn
from digitreader.recognizer import LineRecognizer, Recognizer

WIDEST = 2 * HEIGHT  # columns that a single digit may take
UPRIGHT = 2.0  # times higher than wide
STEP = HEIGHT // 2  # lines are padded to multiples of this width, so that few calls read many of them


class Prepared(NamedTuple):
    """What the networks see of a picture of one digit.

    Attributes
    ----------
    digit : ndarray of shape (28, 28), dtype float32
        In MNIST's form, white on black, in [0, 1].
    line : ndarray of shape (24, w), dtype float32
        As a line of digits, see `digitreader.fields.line_image`.
    """

    digit: FloatArray
    line: FloatArray


def prepare(ink: FloatArray) -> Prepared:
    """Return what the networks see of the ink of one digit, see `digitreader.images.find_ink`."""
    digit = cut_out(main_strokes(ink))
    if digit.shape[0] > UPRIGHT * digit.shape[1] and is_thin(digit):
        ink = redrawn(digit)  # in a line it might be the side of a box; alone it is a 1
    return Prepared(normalize(digit), line_image(ink).pixels)


def run_both(
    prepared: Sequence[Prepared], recognizer: Recognizer, line_recognizer: LineRecognizer
) -> tuple[FloatArray, FloatArray]:
    """Return what both networks say of pictures of one digit: logits and opinions, each of shape (n, 10)."""
    (logits,) = recognizer.run(np.array([item.digit for item in prepared]).reshape(-1, 28, 28), "logits")
    return logits, single_opinions([item.line for item in prepared], line_recognizer)


def single_opinions(lines: Sequence[FloatArray], recognizer: LineRecognizer) -> FloatArray:
    """Return the logarithms of the probabilities that pictures say exactly this digit, shape (n, 10).

    Parameters
    ----------
    lines : sequence of ndarray of shape (24, w), dtype float32
        The pictures as `digitreader.fields.line_image` gives them; what is wider than any digit says none.
    recognizer : LineRecognizer
    """
    opinions = np.full((len(lines), 10), -np.inf, np.float32)
    widths = np.array([STEP * -(-line.shape[1] // STEP) for line in lines], int)
    for width in range(STEP, WIDEST + 1, STEP):  # by its own width alone: a reading depends on no neighbour
        members = np.flatnonzero(widths == width)
        if members.size:
            batch = np.zeros((len(members), HEIGHT, width), np.float32)
            for row, number in zip(batch, members.tolist(), strict=True):
                row[:, : lines[number].shape[1]] = lines[number]
            opinions[members] = single_symbols(recognizer.run(batch))[:, :10]
    return opinions
