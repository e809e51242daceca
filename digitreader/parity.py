"""Whether an exported network decides as Keras does, asked in the runtime that it is made for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from digitreader.arrays import FloatArray
from digitreader.errors import ExportError
from digitreader.formats import Bound, Format
from digitreader.recognizer import Recognizer

Predict = Callable[[FloatArray], FloatArray]
"""Images (n, 28, 28, 1), float32 in [0, 1], to probabilities (n, 10)."""

BATCH = 500  # images at once


@dataclass(frozen=True)
class Parity:
    """How an export compares with Keras on labelled images.

    Attributes
    ----------
    images : int
    difference : float
        The largest between two probabilities.
    changed : int
        Images that are decided otherwise.
    accuracy, keras_accuracy : float
    """

    images: int
    difference: float
    changed: int
    accuracy: float
    keras_accuracy: float


def open_keras(path: Path) -> Predict:
    """Return what predicts with a .keras file."""
    import keras

    network = keras.models.load_model(path, compile=False)
    return lambda images: network.predict_on_batch(images)


def open_export(path: Path, format: Format, *, threads: int = 1) -> Predict:
    """Return what predicts with an export: ONNX Runtime, LiteRT or TensorFlow, which has its own number of threads."""
    if format in (Format.ONNX, Format.ONNX_INT8):
        recognizer = Recognizer(path, threads=threads)
        return lambda images: recognizer.predict_proba(images[..., 0])
    if format in (Format.LITERT, Format.LITERT_INT8):
        from ai_edge_litert.interpreter import Interpreter

        run = Interpreter(str(path), num_threads=threads).get_signature_runner()
        return lambda images: run(image=images)["probabilities"]

    import tensorflow as tf

    model = tf.saved_model.load(str(path))
    return lambda images: model.signatures["serving_default"](image=tf.constant(images))["probabilities"].numpy()


def compare(keras: Predict, export: Predict, images: FloatArray, labels: npt.NDArray[np.uint8]) -> Parity:
    """Compare an export with Keras on images (n, 28, 28, 1), float32 in [0, 1], and their digits (n,).

    Raises
    ------
    ExportError
        If it does not return ten numbers an image.
    """
    parts = [images[first : first + BATCH] for first in range(0, len(images), BATCH)]
    expected, found = (np.concatenate([predict(part) for part in parts]) for predict in (keras, export))
    if found.shape != expected.shape or not np.isfinite(found).all():
        raise ExportError("The export is refused: it does not give ten probabilities an image.")
    decided, decided_by_keras = found.argmax(axis=1), expected.argmax(axis=1)
    return Parity(
        images=len(images),
        difference=float(np.abs(found - expected).max()),
        changed=int((decided != decided_by_keras).sum()),
        accuracy=float((decided == labels).mean()),
        keras_accuracy=float((decided_by_keras == labels).mean()),
    )


def check(parity: Parity, bound: Bound) -> None:
    """Refuse an export that differs from Keras by more than a bound.

    Raises
    ------
    ExportError
        It names what differs, and by how much it may.
    """
    lost, changed = parity.keras_accuracy - parity.accuracy, bound.changed * parity.images
    problems = []
    if parity.difference > bound.difference:
        problems.append(f"probabilities differ by {parity.difference:.1e}, more than {bound.difference:g}")
    if parity.changed > changed:
        problems.append(f"{parity.changed:,} of {parity.images:,} decisions change, more than {changed:.0f}")
    if lost > bound.lost:
        problems.append(f"{100 * lost:.2f} points of accuracy are lost, more than {100 * bound.lost:g}")
    if problems:
        raise ExportError(f"The export is refused, it differs from Keras: {'; '.join(problems)}.")
