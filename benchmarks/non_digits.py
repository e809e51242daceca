"""What is no digit, and how much of it is accepted as one, drawn clean and as photos.

Letters that are like digits are measured too. The line reader was trained on lines that hold the kinds
`experiments.non_digits.FOREIGN`.

python -m benchmarks.non_digits
"""

from __future__ import annotations

import numpy as np
from tqdm import tqdm

from benchmarks.results import write_result
from digitreader.data import load_mnist
from digitreader.decision import Reading
from digitreader.reader import DigitReader
from experiments.compose import CLEAN, PHOTO, compose
from experiments.non_digits import LIKE_DIGITS, NON_DIGITS, PARTS_ARE_DIGITS, non_digit
from experiments.outlines import outline

COUNT = 500
SEED = 0
STYLES = {"clean": CLEAN, "photo": PHOTO}


def main() -> None:
    """Compose, read, write results/non_digits.json."""
    data, reader = load_mnist(), DigitReader()
    kinds: dict[str, dict[str, float]] = {}
    whole = np.flatnonzero(~np.isin(data.y_test, PARTS_ARE_DIGITS))
    for kind in (*NON_DIGITS, LIKE_DIGITS):
        kinds[kind] = {}
        rows = whole if kind == "fragment" else np.arange(len(data.x_test))
        for name, style in STYLES.items():
            pictures = []
            for number in tqdm(range(COUNT), f"{kind}, {name}"):
                rng = np.random.default_rng((SEED, number))
                digits = [outline(data.x_test[row]) for row in rng.choice(rows, 2)]
                pictures.append(compose([non_digit(kind, digits, rng)], style, rng).pixels)
            readings = list(reader.predict_images(pictures))
            kinds[kind][name] = float(np.mean([isinstance(r, Reading) and r.decision == "accept" for r in readings]))
    write_result("non_digits", "python -m benchmarks.non_digits", seed=SEED, pictures=COUNT, accepted=kinds)


if __name__ == "__main__":
    main()
