"""Four pairs of digits that look alike: 3/8, 4/9, 1/7 and 5/6.

How often the simple CNN and ours, both trained plainly (by `experiments.architectures`), the five networks of the
committed recipe (of `experiments.ensemble`), and on the 60,000 training digits the out-of-fold networks (of
`experiments.crossval`) take one for the other; and which validation digits the committed network finds closest to the
border of a pair.

    python -m experiments.pairs
"""

from __future__ import annotations

import time

import numpy as np
import numpy.typing as npt
from sklearn.metrics import confusion_matrix

from digitreader.arrays import FloatArray
from digitreader.calibrate import validation_rows
from digitreader.data import load_mnist
from digitreader.provenance import provenance
from digitreader.recognizer import Recognizer
from experiments.crossval import out_of_fold
from experiments.runs import Row, read_card, read_rows, write_rows
from experiments.variants import OURS

PAIRS = ((3, 8), (4, 9), (1, 7), (5, 6))
SHOWN = 4  # borderline digits of each pair


def counts(confusion: npt.NDArray[np.int64]) -> dict[str, int]:
    """Return how often each pair is confused, either way, and how many errors there are."""
    found = {f"{a}/{b}": int(confusion[a, b] + confusion[b, a]) for a, b in PAIRS}
    return found | {"all": int(confusion.sum() - confusion.trace())}


def borderline(probabilities: FloatArray, rows: npt.NDArray[np.int64]) -> dict[str, list[list[float]]]:
    """Return for each pair the training digits, given by their rows, whose two best classes it is, closest first.

    Each is its row, the best class and its probability, the second and its.
    """
    order = probabilities.argsort(axis=1)[:, :-3:-1]
    best = np.take_along_axis(probabilities, order, axis=1)
    closest = (best[:, 0] - best[:, 1]).argsort()
    return {
        f"{a}/{b}": [
            [int(rows[k]), int(order[k, 0]), round(float(best[k, 0]), 4), int(order[k, 1]), round(float(best[k, 1]), 4)]
            for k in closest
            if set(order[k].tolist()) == {a, b}
        ][:SHOWN]
        for a, b in PAIRS
    }


def main() -> None:
    """Count, and write results/pairs.json."""
    started = time.perf_counter()
    data, card = load_mnist(), read_card()
    validation = np.sort(validation_rows(data.y_train, card["split"]["validation_rows_sha256"]))
    logits, folds = out_of_fold()
    rows: list[Row] = [
        {
            "reader": f"{row['settings']['NETWORK']}, trained plainly",
            "split": "test",
            "digits": int(np.sum(row["confusion"])),
            "seed": row["seed"],
            "model_sha256": row["model_sha256"],
            "confused": counts(np.array(row["confusion"])),
        }
        for row in read_rows("architectures")
        if row["settings"]["NETWORK"] in ("simple CNN", OURS)
    ]
    ensemble = next(row for row in read_rows("ensemble") if "members_confusion" in row)
    rows += [
        {
            "reader": "our CNN, with its own recipe",
            "split": "test",
            "digits": int(np.sum(confusion)),
            "seed": seed,
            "model_sha256": model_sha256,
            "confused": counts(np.array(confusion)),
        }
        for seed, model_sha256, confusion in zip(
            ensemble["seed"], ensemble["model_sha256"], ensemble["members_confusion"], strict=True
        )
    ]
    committed = next(row for row in rows if row["model_sha256"] == card["model_sha256"])
    committed["borderline"] = borderline(Recognizer().predict_proba(data.x_train[validation]), validation)
    rows.append(
        {
            "reader": "our CNN, with its own recipe, of five folds by writer",
            "split": "training",
            "digits": len(logits),
            "seed": folds[0]["seed"],
            "model_sha256": [row["model_sha256"] for row in folds],
            "confused": counts(confusion_matrix(data.y_train, logits.argmax(axis=1))),
        }
    )
    made = provenance("python -m experiments.pairs", "onnxruntime", "numpy", "scikit-learn")
    seconds = round(time.perf_counter() - started, 1)
    write_rows("pairs", [row | {"seconds": seconds} | made for row in rows])


if __name__ == "__main__":
    main()
