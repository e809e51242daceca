"""Another country's handwriting: scikit-learn's 1,797 digits of 8 × 8 pixels, written in Turkey.

Nothing was trained on them or tuned to them; an earlier reader's errors on them showed which hands its training lacked.
Three ways to bring them into the network: plain resizing, the box and centre of mass of MNIST, and the reader with all
that it does to a picture.

    python -m benchmarks.foreign

References
----------
Alpaydin, E. and Kaynak, C. (1998). Optical recognition of handwritten digits. UCI machine learning repository.
"""

from __future__ import annotations

import cv2
import numpy as np
from sklearn.datasets import load_digits

from benchmarks.results import OF_DIGITS, write_result
from digitreader.evaluate import outcomes
from digitreader.intervals import wilson
from digitreader.normalize import normalize
from digitreader.reader import DigitReader


def main() -> None:
    """Read and write results/foreign.json."""
    digits, reader = load_digits(), DigitReader()
    images = (digits.images / 16).astype(np.float32)
    resized = np.array([np.clip(cv2.resize(image, (28, 28), interpolation=cv2.INTER_CUBIC), 0, 1) for image in images])
    right, accepted = outcomes(reader.predict_images(images), digits.target)
    write_result(
        "foreign",
        "python -m benchmarks.foreign",
        networks=OF_DIGITS,
        seed=None,
        images=len(right),
        accuracy=float(right.mean()),
        accuracy_95=wilson(int(right.sum()), len(right)),
        accuracy_plain_resizing=float((reader.predict(resized) == digits.target).mean()),
        accuracy_box_and_centre=float(
            (reader.predict(np.array([normalize(image) for image in images])) == digits.target).mean()
        ),
        accepted=float(accepted.mean()),
        wrong_among_accepted=int((accepted & ~right).sum()),
    )


if __name__ == "__main__":
    main()
