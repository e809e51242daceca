"""How far a random split flatters, digit by digit: what `experiments.crossval` kept of both splits, compared.

python -m experiments.flattery
"""

from __future__ import annotations

import time

import numpy as np
import numpy.typing as npt

from digitreader.data import load_mnist, load_writers
from digitreader.provenance import provenance
from experiments.bootstrap import resampled_means
from experiments.crossval import kept, out_of_fold
from experiments.runs import write_rows

SEED = 0


def compare(
    by_writer: npt.NDArray[np.bool_], by_image: npt.NDArray[np.bool_], writers: npt.NDArray[np.int32]
) -> dict[str, float]:
    """Compare two splits on the same digits.

    Parameters
    ----------
    by_writer, by_image : ndarray of shape (n,), dtype bool
        Whether a digit is misread by the network of each split that never saw it.
    writers : ndarray of shape (n,), dtype int32

    Returns
    -------
    dict
        `writers`, how many there are; `by_writer_only` and `by_image_only`, the digits that are misread in one split
        alone; `difference`, the error rate by writer less that by image; and its `standard_error`, by bootstrap over
        the writers, since errors of one come together.
    """
    lost = by_writer.astype(float) - by_image
    return {
        "writers": len(np.unique(writers)),
        "by_writer_only": int((by_writer & ~by_image).sum()),
        "by_image_only": int((by_image & ~by_writer).sum()),
        "difference": float(lost.sum() / len(lost)),
        "standard_error": float(resampled_means(lost, writers, seed=SEED).std(ddof=1)),
    }


def main() -> None:
    """Compare, and write results/flattery.json."""
    started = time.perf_counter()
    labels = load_mnist().y_train
    (logits, by_writer), (digits, by_image) = out_of_fold(), kept("image", "digits")
    row = {
        "seed": SEED,
        "split": "out of fold, by writer and by image",
        "model_sha256": [network["model_sha256"] for network in (*by_writer, *by_image)],
        **compare(logits.argmax(axis=1) != labels, digits != labels, load_writers().train),
        "seconds": round(time.perf_counter() - started, 1),
    }
    write_rows("flattery", [row | provenance("python -m experiments.flattery", "numpy")])


if __name__ == "__main__":
    main()
