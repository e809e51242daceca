"""What both networks see and say of a picture of one digit."""

from __future__ import annotations

from digitreader.arrays import FloatArray
from digitreader.normalize import main_strokes, normalize
from digitreader.recognizer import PictureRecognizer, Recognizer


def prepare(ink: FloatArray) -> FloatArray:
    """Return what the networks see, (28, 28) in MNIST's form, of the ink of one digit.

    Parameters
    ----------
    ink : ndarray of shape (h, w), dtype float32
        See `digitreader.images.find_ink`.
    """
    return normalize(main_strokes(ink))


def run_both(
    images: FloatArray, recognizer: Recognizer, picture_recognizer: PictureRecognizer
) -> tuple[FloatArray, FloatArray]:
    """Return the logits of both networks for prepared pictures (n, 28, 28): of shape (n, 10), and (n, 11)."""
    (logits,) = recognizer.run(images, "logits")
    return logits, picture_recognizer.run(images)
