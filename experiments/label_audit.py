"""Which labels are wrong: confident learning on honest predictions, for the training and the test set.

For the training set these are the out-of-fold predictions by writer of `experiments.crossval`, which this needs; for
the test set the committed network's, which never saw it. Both are calibrated by the temperature that suits the former,
since confident learning counts on probabilities. What is found bounds what any accuracy can mean: a digit that people
would name otherwise is not misread by who reads it as they do. Of the test set, 100 images that were flagged before
were shown to people, five for each: 15 labels were not kept.

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
from digitreader.decision import fit_temperature
from digitreader.provenance import provenance
from digitreader.recognizer import Recognizer
from experiments.crossval import out_of_fold
from experiments.runs import Row, read_card, write_rows

SHOWN = 24
RANKS = (SHOWN, 50, 100)  # how many of the least probable labels are compared with people's judgement
# Of the test set, from cleanlab/label-errors: images whose label most people did not keep.
DISPUTED = (947, 1621, 1901, 2130, 2462, 2597, 2654, 3520, 3558, 5937, 6651, 6783, 8527, 9679, 9729)


def audit(logits: FloatArray, labels: npt.NDArray[np.uint8], temperature: float) -> tuple[npt.NDArray[np.int64], Row]:
    """Audit labels (n,) by logits (n, 10).

    Returns
    -------
    least_probable : ndarray of shape (n,), dtype int64
        The rows, the one with the least probable label first.
    found : dict
        What a result says of the labels.
    """
    from cleanlab.filter import find_label_issues
    from cleanlab.rank import get_label_quality_scores

    probabilities, whole = softmax(logits / np.float32(temperature), axis=1), labels.astype(int)
    flagged = np.flatnonzero(find_label_issues(whole, probabilities, n_jobs=1))
    order = get_label_quality_scores(whole, probabilities, method="self_confidence").argsort(kind="stable")
    read = probabilities.argmax(axis=1)
    return order, {
        "digits": len(labels),
        "errors": int((read != labels).sum()),
        "flagged": flagged.tolist(),
        "least_probable": [[int(row), int(labels[row]), int(read[row])] for row in order[:SHOWN]],
        "temperature": temperature,
    }


def main() -> None:
    """Audit both sets and write results/label_audit.json."""
    started = time.perf_counter()
    data, card = load_mnist(), read_card()
    logits, folds = out_of_fold()
    temperature = fit_temperature(logits, data.y_train)
    _, training = audit(logits, data.y_train, temperature)
    (logits,) = Recognizer().run(data.x_test, "logits")
    order, test = audit(logits, data.y_test, temperature)
    misread = np.flatnonzero(logits.argmax(axis=1) != data.y_test)
    test |= {
        "disputed": len(DISPUTED),
        "disputed_flagged": int(np.isin(test["flagged"], DISPUTED).sum()),
        "disputed_errors": int(np.isin(misread, DISPUTED).sum()),
        "disputed_in_least_probable": {str(rank): int(np.isin(order[:rank], DISPUTED).sum()) for rank in RANKS},
    }
    training |= {"set": "training", "split": "out of fold, by writer", "seed": folds[0]["seed"]}
    training |= {"model_sha256": [row["model_sha256"] for row in folds]}
    test |= {"set": "test", "split": "test", "seed": card["seed"], "model_sha256": card["model_sha256"]}
    made = provenance("python -m experiments.label_audit", "cleanlab", "numpy", "scikit-learn")
    made |= {"seconds": round(time.perf_counter() - started, 1)}  # of both
    write_rows("label_audit", [training | made, test | made])


if __name__ == "__main__":
    main()
