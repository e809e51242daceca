"""Errors by writer: whose digits are misread, and how much worse than the mean the worst tenth of the writers is read.

By networks that saw nothing by these writers, on the digits that certify the thresholds. A sorting office feels the
worst hands, not the mean. Who is worst by chance alone is told apart by halves: the tenth is chosen on one random half
of everyone's digits and judged on the other.

    python -m experiments.by_writer
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import numpy.typing as npt

from digitreader.calibrate import said_by_folds
from digitreader.data import load_mnist, load_writers
from digitreader.decision import decide
from digitreader.provenance import provenance
from digitreader.reader import DigitReader
from experiments.lines import validation_mask
from experiments.reader_network import certifying_networks
from experiments.runs import RESULTS, write_rows

SEED = 0
HALVINGS = 200
TENTH = 0.1

Flags = npt.NDArray[np.bool_]


def tell(wrong: Flags, writers: npt.NDArray[np.int32]) -> dict[str, Any]:
    """Return how errors (n,) are spread over writers (n,).

    Returns
    -------
    dict
        `errors`; `writers_with_errors`, the share of the writers, and `expected_with_errors`, what it would be if all
        digits were misread alike; `worst_tenth`, the share of its digits that is misread, chosen on one half of the
        digits and judged on the other; `most_errors` of one writer; `rates`, the rate of every writer, falling.
    """
    _, person = np.unique(writers, return_inverse=True)
    digits, errors = np.bincount(person), np.bincount(person, wrong)
    by_chance = 1 - (1 - wrong.mean()) ** digits
    rng, judged = np.random.default_rng(SEED), []
    for _ in range(HALVINGS):
        half = rng.random(len(wrong)) < 0.5
        first, second = (np.bincount(person[part], wrong[part], len(digits)) for part in (half, ~half))
        sizes, others = (np.bincount(person[part], minlength=len(digits)) for part in (half, ~half))
        order = np.argsort(-(first / np.maximum(sizes, 1)) + 1e-9 * rng.random(len(digits)))
        worst = order[: round(TENTH * len(order))]
        judged.append(second[worst].sum() / others[worst].sum())
    return {
        "errors": int(wrong.sum()),
        "rate": float(wrong.mean()),
        "writers_with_errors": float((errors > 0).mean()),
        "expected_with_errors": float(by_chance.mean()),
        "worst_tenth": float(np.mean(judged)),
        "most_errors": int(errors.max()),
        "rates": sorted((round(float(rate), 4) for rate in errors / digits), reverse=True),
    }


def main() -> None:
    """Tell of all readings and of the accepted ones, and write results/by_writer.json."""
    started, labels = time.perf_counter(), load_mnist().y_train
    others = said_by_folds(RESULTS, np.flatnonzero(validation_mask(labels)))
    readings = decide(others.logits, others.pictures, DigitReader().calibration)
    wrong = np.array([reading.digit for reading in readings]) != labels[others.rows]
    accepted = np.array([reading.decision == "accept" for reading in readings])
    writers = load_writers().train[others.rows]
    of_accepted = tell(wrong[accepted], writers[accepted])
    row = {
        "seed": SEED,
        "split": "out of fold by writer, without the notebook's validation digits",
        "model_sha256": certifying_networks(),
        "digits": len(wrong),
        "writers": len(np.unique(writers)),
        "all": tell(wrong, writers),
        "accepted": of_accepted | {"digits": int(accepted.sum())},
        "seconds": round(time.perf_counter() - started, 1),
    }
    write_rows("by_writer", [row | provenance("python -m experiments.by_writer", "numpy")])


if __name__ == "__main__":
    main()
