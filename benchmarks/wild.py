"""Pictures as users take them: 2,000 photos composed from MNIST's test digits, against the clean digits themselves.

python -m benchmarks.wild
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from tqdm import tqdm

from benchmarks.results import OF_DIGITS, write_result
from digitreader.data import load_mnist
from digitreader.evaluate import outcomes
from digitreader.intervals import wilson
from digitreader.reader import DigitReader
from experiments.compose import PHOTO, compose
from experiments.outlines import outline

COUNT = 2000
SEED = 0
HEIGHTS = (0, 12, 24, 48, 96, 1000)  # of the digit, pixels


def main() -> None:
    """Compose, read, write results/wild.json."""
    data, reader = load_mnist(), DigitReader()
    rows = np.random.default_rng(SEED).choice(len(data.x_test), COUNT, replace=False)
    labels = data.y_test[rows]
    pictures = [
        compose([outline(data.x_test[row])], PHOTO, np.random.default_rng((SEED, int(row))))
        for row in tqdm(rows, unit="picture")
    ]
    right, accepted = outcomes(reader.predict_images(picture.pixels for picture in pictures), labels)
    heights = np.array([picture.boxes[0, 3] - picture.boxes[0, 1] for picture in pictures])
    write_result(
        "wild",
        "python -m benchmarks.wild",
        networks=OF_DIGITS,
        seed=SEED,
        pictures=COUNT,
        accuracy=float(right.mean()),
        accuracy_95=wilson(int(right.sum()), COUNT),
        accuracy_of_the_same_digits_clean=float((reader.predict(data.x_test[rows]) == labels).mean()),
        accuracy_of_the_clean_test_set=float((reader.predict(data.x_test) == data.y_test).mean()),
        accepted=float(accepted.mean()),
        wrong_among_accepted=int((accepted & ~right).sum()),
        by_height=[
            {"from": low, "to": high, "pictures": int(inside.sum()), "errors": int((inside & ~right).sum())}
            for low, high in pairwise(HEIGHTS)
            for inside in [(heights >= low) & (heights < high)]
        ],
    )


if __name__ == "__main__":
    main()
