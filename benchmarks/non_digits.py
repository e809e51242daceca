"""What is no digit, and how much of it is accepted as one, drawn clean and as photos.

The picture network was trained on others of the kinds of `experiments.non_digits.NON_DIGITS`, made from other people's
digits; letters that are like digits, and pieces of photographs, are kinds that it does not know. How kinds that it does
not know are told apart otherwise is measured by `experiments.rejection`.

python -m benchmarks.non_digits
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np
from sklearn.datasets import load_sample_images
from sklearn.metrics import roc_auc_score
from tqdm import tqdm

from benchmarks.results import OF_DIGITS, write_result
from digitreader.arrays import ByteArray
from digitreader.data import load_mnist
from digitreader.decision import evidence
from digitreader.errors import ImageError
from digitreader.intervals import wilson
from digitreader.reader import DigitReader
from experiments.compose import CLEAN, PHOTO, compose
from experiments.non_digits import LIKE_DIGITS, NON_DIGITS, UNFIT, non_digit
from experiments.outlines import outline

COUNT = 500
SEED = 0
STYLES = {"clean": CLEAN, "photo": PHOTO}
PHOTOGRAPHS = "piece of a photograph"
SIDES = (28, 56, 112, 224)  # pixels of a piece; half of them are seen at 28 pixels


def drawn(kind: str, style: str) -> Iterator[ByteArray]:
    """Yield pictures of a kind of non-digits, made from MNIST's test digits where that takes digits."""
    data = load_mnist()
    rows = np.flatnonzero(~np.isin(data.y_test, UNFIT.get(kind, ())))
    for number in range(COUNT):
        rng = np.random.default_rng((SEED, number))
        digits = [outline(data.x_test[row]) for row in rng.choice(rows, 2)]
        yield compose([non_digit(kind, digits, rng)], STYLES[style], rng).pixels


def pieces() -> Iterator[ByteArray]:
    """Yield pieces of scikit-learn's two photographs, of a temple and of a flower."""
    photographs = load_sample_images().images
    for number in range(COUNT):
        rng = np.random.default_rng((SEED, number))
        photograph, side = photographs[number % 2], int(rng.choice(SIDES))
        top, left = (int(rng.integers(length - side)) for length in photograph.shape[:2])
        piece = photograph[top : top + side, left : left + side]
        yield cv2.resize(piece, (28, 28), interpolation=cv2.INTER_AREA) if rng.random() < 0.5 else piece


def judged(reader: DigitReader, pictures: Iterator[ByteArray], name: str) -> tuple[int, list[float]]:
    """Return how many pictures are accepted, and the evidence that each shows a digit: none in what has no ink."""
    prepared = []
    for picture in tqdm(pictures, name, COUNT):
        try:
            prepared.append(reader.prepare(picture))
        except ImageError:
            continue
    accepted = sum(reading.decision == "accept" for reading in reader.decide(prepared))
    found = evidence(reader.picture_recognizer.run(np.array(prepared))).tolist()
    return accepted, found + [0.0] * (COUNT - len(found))


def main() -> None:
    """Compose, read, write results/non_digits.json."""
    data, reader = load_mnist(), DigitReader()
    digits = np.array([reader.prepare(image) for image in tqdm(data.x_test, "digits")])
    of_digits = evidence(reader.picture_recognizer.run(digits)).tolist()
    kinds: dict[str, dict[str, Any]] = {}
    for kind in (*NON_DIGITS, LIKE_DIGITS, PHOTOGRAPHS):
        sources = {"as it is": pieces()} if kind == PHOTOGRAPHS else {style: drawn(kind, style) for style in STYLES}
        counts, scores = {}, []
        for style, pictures in sources.items():
            counts[style], found = judged(reader, pictures, f"{kind}, {style}")
            scores += found
        total = COUNT * len(counts)
        kinds[kind] = {
            "accepted": {style: count / COUNT for style, count in counts.items()},
            "accepted_95": wilson(sum(counts.values()), total),
            "auroc": float(roc_auc_score([1] * len(of_digits) + [0] * total, of_digits + scores)),
        }
    write_result(
        "non_digits",
        "python -m benchmarks.non_digits",
        networks=OF_DIGITS,
        seed=SEED,
        split="test",
        pictures=COUNT,
        kinds=kinds,
    )


if __name__ == "__main__":
    main()
