"""MNIST's own test images as pictures, where they are and shifted by three pixels, and what acceptance is worth.

python -m benchmarks.mnist
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from benchmarks.results import OF_DIGITS, write_result
from digitreader.data import load_mnist
from digitreader.decision import Reading
from digitreader.evaluate import outcomes
from digitreader.intervals import wilson
from digitreader.reader import DigitReader

SHIFT = 3
DIRECTIONS = ((-1, -1), (-1, 1), (1, -1), (1, 1))
COVERAGE, MOST_COVERAGE = 0.985, 0.995  # at which goals are stated


def shifted(images: npt.NDArray[np.uint8], down: int, right: int) -> npt.NDArray[np.uint8]:
    """Return images (n, 28, 28) whose content is moved; what leaves the frame is lost, as in a camera's."""
    padded = np.pad(images, ((0, 0), (SHIFT, SHIFT), (SHIFT, SHIFT)))
    return padded[:, SHIFT - down : SHIFT - down + 28, SHIFT - right : SHIFT - right + 28]


def main() -> None:
    """Measure and write results/mnist.json."""
    data, reader = load_mnist(), DigitReader()
    labels = data.y_test
    readings = list(tqdm(reader.predict_images(data.x_test), "as pictures", len(labels)))
    moved: dict[str, float] = {}
    for down, right in DIRECTIONS:
        images = shifted(data.x_test, SHIFT * down, SHIFT * right)
        found, _ = outcomes(tqdm(reader.predict_images(images), "shifted", len(labels)), labels)
        moved[f"{SHIFT * down:+d}, {SHIFT * right:+d}"] = float(found.mean())
    unmoved_network = float(
        np.mean([(reader.predict(shifted(data.x_test, SHIFT * d, SHIFT * r)) == labels).mean() for d, r in DIRECTIONS])
    )

    digits = [reading for reading in readings if isinstance(reading, Reading)]
    if len(digits) < len(labels):
        raise SystemExit("a test image was taken for no image")
    right_ones, accepted = outcomes(digits, labels)
    wrong = ~right_ones
    doubt = np.array([1 - reading.confidence + (reading.reason == "not_a_digit") for reading in digits])
    order = np.argsort(doubt, kind="stable")
    errors = np.cumsum(wrong[order])
    counts = np.linspace(0, len(labels), 401)[1:].astype(int)
    at_coverage, at_most = (int(coverage * len(labels)) for coverage in (COVERAGE, MOST_COVERAGE))
    measured: dict[str, Any] = {
        "images": len(labels),
        "accuracy": float((reader.predict(data.x_test) == labels).mean()),
        "accuracy_as_pictures": float(1 - wrong.mean()),
        "accuracy_shifted": moved,
        "accuracy_shifted_without_normalisation": unmoved_network,
        "accepted": float(accepted.mean()),
        "wrong_among_accepted": int((wrong & accepted).sum()),
        "risk": float((wrong & accepted).sum() / accepted.sum()),
        "risk_95": wilson(int((wrong & accepted).sum()), int(accepted.sum())),
        "coverage": COVERAGE,
        "risk_at_coverage": float(errors[at_coverage - 1] / at_coverage),
        "most_coverage": MOST_COVERAGE,
        "risk_at_most_coverage": float(errors[at_most - 1] / at_most),
        "risk_coverage": [[float(count / len(labels)), float(errors[count - 1] / count)] for count in counts],
    }
    write_result("mnist", "python -m benchmarks.mnist", networks=OF_DIGITS, seed=None, split="test", **measured)


if __name__ == "__main__":
    main()
