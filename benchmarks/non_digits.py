"""What is no digit, and how much of it is accepted as one.

Letters and other signs, scribbles, shapes, blots, parts of digits, two digits that touch: drawn clean and as photos.
The line reader was trained on lines that hold all but the pairs, which it reads as two digits.

python -m benchmarks.non_digits
"""

from __future__ import annotations

import numpy as np
from tqdm import tqdm

from benchmarks.results import write_result
from digitreader.data import load_mnist
from digitreader.decision import Reading
from digitreader.reader import DigitReader
from experiments.compose import CLEAN, NON_DIGITS, PHOTO, compose, non_digit, outline

COUNT = 500
SEED = 0
STYLES = {"clean": CLEAN, "photo": PHOTO}


def main() -> None:
    """Compose, read, write results/non_digits.json."""
    data, reader = load_mnist(), DigitReader()
    kinds: dict[str, dict[str, float]] = {}
    for kind in NON_DIGITS:
        kinds[kind] = {}
        for name, style in STYLES.items():
            pictures = []
            for number in tqdm(range(COUNT), f"{kind}, {name}"):
                rng = np.random.default_rng((SEED, number))
                digits = [outline(data.x_test[row]) for row in rng.integers(len(data.x_test), size=2)]
                pictures.append(compose([non_digit(kind, digits, rng)], style, rng).pixels)
            readings = list(reader.predict_images(pictures))
            kinds[kind][name] = float(np.mean([isinstance(r, Reading) and r.decision == "accept" for r in readings]))
    write_result("non_digits", "python -m benchmarks.non_digits", seed=SEED, pictures=COUNT, accepted=kinds)


if __name__ == "__main__":
    main()
