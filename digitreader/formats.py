"""The formats that the digits' network is exported to: where each goes, and how far it may differ from Keras."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path


class Format(StrEnum):
    """What the network can be exported to."""

    ONNX = "onnx"
    ONNX_INT8 = "onnx-int8"
    LITERT = "litert"
    LITERT_INT8 = "litert-int8"
    SAVEDMODEL = "savedmodel"

    @property
    def quantised(self) -> bool:
        """Whether it computes in integers of 8 bits, whose ranges come from training images."""
        return self.endswith("-int8")


@dataclass(frozen=True)
class Bound:
    """How far an export may differ from Keras.

    Attributes
    ----------
    difference : float
        Between two probabilities.
    changed : float
        Share of the images that are decided otherwise.
    lost : float
        Of the accuracy.
    """

    difference: float
    changed: float
    lost: float


# The same float32 sums in another order: some units in the last place, times what the layers make of them.
FLOAT = Bound(difference=1e-5, changed=0, lost=0)
# Integers of 8 bits move the probabilities of a doubtful digit far, so these are not bounded. The accuracy may fall by
# less than half of its 95 % interval on 10,000 images, 0.12 points, and decisions may change for about half as many
# digits as the network misreads.
INT8 = Bound(difference=1, changed=0.002, lost=0.001)

BOUNDS = {
    Format.ONNX: FLOAT,
    Format.ONNX_INT8: INT8,
    Format.LITERT: FLOAT,
    Format.LITERT_INT8: INT8,
    Format.SAVEDMODEL: FLOAT,
}

EXPORTS = Path("runs") / "exports"
TARGETS = {  # in the project's folder
    Format.ONNX: Path("models") / "mnist_cnn.onnx",
    Format.ONNX_INT8: EXPORTS / "mnist_cnn.int8.onnx",
    Format.LITERT: EXPORTS / "mnist_cnn.tflite",
    Format.LITERT_INT8: EXPORTS / "mnist_cnn.int8.tflite",
    Format.SAVEDMODEL: EXPORTS / "mnist_cnn" / "1",  # TensorFlow Serving looks for versions in a model's folder
}
