"""What the line reader says of a line: the texts that it may be, from three views of it."""

from __future__ import annotations

import math
from collections import defaultdict

import cv2
import numpy as np

from digitreader.arrays import FloatArray
from digitreader.ctc import Candidate, beam_search
from digitreader.recognizer import COLUMNS, LineRecognizer

WIDTHS = (1.0, 0.93, 1.08)  # of the views: two readings of a doubtful line seldom fail alike


def read_line(pixels: FloatArray, recognizer: LineRecognizer) -> tuple[list[Candidate], FloatArray]:
    """Return the texts that a line may say, best first, and what the network gives for each of its steps.

    The probability of a text is its mean over views of the line of different `WIDTHS`.

    Parameters
    ----------
    pixels : ndarray of shape (24, w), dtype float32
        See `digitreader.fields.line_image`.
    recognizer : LineRecognizer

    Returns
    -------
    candidates : list of Candidate
    log_probabilities : ndarray of shape (w / 2, 13), dtype float32
        Of the line as it is, see `digitreader.ctc`.
    """
    height, width = pixels.shape
    widths = [4 * math.ceil(share * width / 4) for share in WIDTHS]
    views = np.zeros((len(WIDTHS), height, max(widths)), np.float32)
    for view, wanted in zip(views, widths, strict=True):
        view[:, :wanted] = cv2.resize(pixels, (wanted, height), interpolation=cv2.INTER_LINEAR)
    steps = recognizer.run(views)
    probabilities: defaultdict[str, float] = defaultdict(float)
    for of_view in steps:
        for text, log_probability in beam_search(of_view):
            probabilities[text] += math.exp(log_probability) / len(WIDTHS)
    found = [Candidate(text, math.log(max(share, np.finfo(float).tiny))) for text, share in probabilities.items()]
    return sorted(found, key=lambda candidate: -candidate.log_probability), steps[0, : width // COLUMNS]
