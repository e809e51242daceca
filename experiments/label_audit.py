"""Which labels are wrong: confident learning on honest predictions, for the training and the test set.

For the training set these are the out-of-fold predictions by writer of `experiments.crossval`, which this needs; for
the test set the committed network's, which never saw it. What is found bounds what any accuracy can mean: a digit that
people would name otherwise is not misread by who reads it as they do. The test set was flagged before and shown to
people, five for each image: 15 labels were not kept.

    python -m experiments.label_audit

References
----------
Northcutt, C., Jiang, L. and Chuang, I. (2021). Confident learning: estimating uncertainty in dataset labels. JAIR 70.
Northcutt, C., Athalye, A. and Mueller, J. (2021). Pervasive label errors in test sets. NeurIPS, arXiv 2103.14749.
"""

from __future__ import annotations

import time

import numpy as np
import numpy.typing as npt
from scipy.special import softmax

from digitreader.arrays import FloatArray
from digitreader.data import load_mnist
from digitreader.provenance import provenance
from digitreader.recognizer import Recognizer
from experiments.crossval import out_of_fold
from experiments.runs import Row, read_card, write_rows

SHOWN = 24
# Of the test set, from cleanlab/label-errors: images whose label most people did not keep.
DISPUTED = (947, 1621, 1901, 2130, 2462, 2597, 2654, 3520, 3558, 5937, 6651, 6783, 8527, 9679, 9729)


def audit(probabilities: FloatArray, labels: npt.NDArray[np.uint8]) -> tuple[npt.NDArray[np.int64], Row]:
    """Return the rows of the labels that confident learning finds wrong, and what a result says of the labels."""
    from cleanlab.filter import find_label_issues
    from cleanlab.rank import get_label_quality_scores

    started = time.perf_counter()
    suspicious = np.flatnonzero(find_label_issues(labels.astype(int), probabilities, n_jobs=1))
    order = get_label_quality_scores(labels.astype(int), probabilities, method="self_confidence").argsort()
    read = probabilities.argmax(axis=1)
    errors = np.flatnonzero(read != labels)
    return suspicious, {
        "digits": len(labels),
        "suspicious": len(suspicious),
        "errors": len(errors),
        "suspicious_errors": int(np.isin(errors, suspicious).sum()),
        "least_probable": [[int(row), int(labels[row]), int(read[row])] for row in order[:SHOWN]],
        "least_probable_suspicious": np.isin(order[:SHOWN], suspicious).tolist(),
        "seconds": round(time.perf_counter() - started, 1),
    } | provenance("python -m experiments.label_audit", "cleanlab", "numpy", "scikit-learn")


def main() -> None:
    """Audit both sets and write results/label_audit.json."""
    data, card = load_mnist(), read_card()
    logits, folds = out_of_fold()
    _, training = audit(softmax(logits, axis=1), data.y_train)
    probabilities = Recognizer().predict_proba(data.x_test)
    suspicious, test = audit(probabilities, data.y_test)
    errors = np.flatnonzero(probabilities.argmax(axis=1) != data.y_test)
    test |= {
        "disputed": len(DISPUTED),
        "suspicious_disputed": int(np.isin(DISPUTED, suspicious).sum()),
        "disputed_errors": int(np.isin(errors, DISPUTED).sum()),
        "least_probable_disputed": int(np.isin([row for row, *_ in test["least_probable"]], DISPUTED).sum()),
    }
    write_rows(
        "label_audit",
        [
            {"set": "training", "split": "out of fold, by writer", "seed": folds[0]["seed"]}
            | {"model_sha256": [row["model_sha256"] for row in folds]}
            | training,
            {"set": "test", "split": "test", "seed": card["seed"], "model_sha256": card["model_sha256"]} | test,
        ],
    )


if __name__ == "__main__":
    main()
