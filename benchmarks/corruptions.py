"""MNIST's test images after each of fifteen corruptions, through the whole reader, and through the digits' network.

python -m benchmarks.corruptions
"""

from __future__ import annotations

from functools import cache
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from benchmarks.results import OF_DIGITS, write_result
from digitreader.data import Dataset, load_mnist
from digitreader.evaluate import outcomes
from digitreader.intervals import wilson
from digitreader.reader import DigitReader
from experiments.corruptions import CORRUPTIONS, corrupt
from experiments.runs import fresh_processes

SEED = 0
CHUNK = 500
NONE = "none"

Flags = npt.NDArray[np.bool_]


@cache
def tools() -> tuple[Dataset, DigitReader]:
    """Return what each process needs, loaded once."""
    cv2.setNumThreads(1)
    return load_mnist(), DigitReader(threads=1)


def read_chunk(name: str, first: int) -> tuple[Flags, Flags, Flags]:
    """Return which of `CHUNK` corrupted images are right, and accepted, and right by the digits' network alone."""
    data, reader = tools()
    images, labels = data.x_test[first : first + CHUNK], data.y_test[first : first + CHUNK]
    if name != NONE:
        number = list(CORRUPTIONS).index(name)
        images = np.array(
            [corrupt(image, name, np.random.default_rng((SEED, number, first + k))) for k, image in enumerate(images)]
        )
    right, accepted = outcomes(reader.predict_images(images), labels)
    return right, accepted, reader.predict(images) == labels


def rates(right: Flags, accepted: Flags, right_alone: Flags) -> dict[str, Any]:
    """Return what became of the images of one corruption."""
    wrong, count = int((accepted & ~right).sum()), int(accepted.sum())
    return {
        "accuracy": float(right.mean()),
        "accuracy_of_the_network_alone": float(right_alone.mean()),
        "accepted": float(accepted.mean()),
        "wrong_among_accepted": wrong / max(count, 1),
        "wrong_among_accepted_95": wilson(wrong, max(count, 1)),
    }


def main() -> None:
    """Corrupt, read, write results/corruptions.json."""
    measured = {}
    with fresh_processes() as pool:
        firsts = range(0, len(load_mnist().x_test), CHUNK)
        for name in (NONE, *CORRUPTIONS):
            chunks = pool.map(read_chunk, [name] * len(firsts), firsts)
            parts = zip(*tqdm(chunks, name, len(firsts)), strict=True)
            measured[name] = rates(*(np.concatenate(part) for part in parts))
    corrupted = [of for name, of in measured.items() if name != NONE]
    write_result(
        "corruptions",
        "python -m benchmarks.corruptions",
        networks=OF_DIGITS,
        seed=SEED,
        split="test",
        images=len(load_mnist().x_test),
        mean_accuracy=float(np.mean([of["accuracy"] for of in corrupted])),
        mean_accuracy_of_the_network_alone=float(np.mean([of["accuracy_of_the_network_alone"] for of in corrupted])),
        corruptions=measured,
    )


if __name__ == "__main__":
    main()
