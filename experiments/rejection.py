"""Which score tells best what is no digit: candidates on kinds of non-digits that no network has seen.

The scores of the committed digits' network are max-softmax, energy, the Mahalanobis distance and the distance to the
nearest neighbours of its embedding; the other one is the picture network's, trained with outlier exposure. For each
fold of `experiments.reader_network`, what is judged are pictures of the family of non-digits that its network never
saw, made from digits of writers that it never saw, against the plain pictures of the notebook's validation digits by
these writers, which the digits' network never saw either.

    python -m experiments.rejection

References
----------
Hendrycks, D. and Gimpel, K. (2017). A baseline for detecting misclassified and out-of-distribution examples. ICLR.
Liu, W., Wang, X., Owens, J. and Li, Y. (2020). Energy-based out-of-distribution detection. NeurIPS.
Lee, K., Lee, K., Lee, H. and Shin, J. (2018). A simple unified framework for detecting out-of-distribution samples and
adversarial attacks. NeurIPS.
Sun, Y., Ming, Y., Zhu, X. and Li, Y. (2022). Out-of-distribution detection with deep nearest neighbors. ICML.
Hendrycks, D., Mazeika, M. and Dietterich, T. (2019). Deep anomaly detection with outlier exposure. ICLR.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import logsumexp
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import NearestNeighbors
from tqdm import tqdm

from benchmarks.load import microseconds
from digitreader.arrays import ByteArray, FloatArray
from digitreader.calibrate import FOLDS, PICTURES, PLAIN, kept_arrays
from digitreader.data import load_mnist
from digitreader.decision import calibrated, evidence
from digitreader.provenance import provenance
from digitreader.reader import DigitReader
from digitreader.recognizer import PictureRecognizer, Recognizer, sha256
from experiments.crossval import fold_rows
from experiments.lines import validation_mask
from experiments.non_digits import NON_DIGITS
from experiments.pictures import NONE, Pictures, load_pictures
from experiments.reader_network import FAMILIES
from experiments.runs import RESULTS, read_rows, write_rows

COVERAGE = 0.985  # share of the digits that are taken for digits, where non-digits are counted
NEIGHBOURS = 20
KNOWN = 20_000  # training digits that the embedding's statistics come from
SEED = 0
PACKAGES = ("numpy", "scipy", "scikit-learn", "onnxruntime")

Scores = npt.NDArray[np.floating]
Score = Callable[[FloatArray, FloatArray], Scores]


class Embedding:
    """Where known digits lie in the embedding of the digits' network.

    Parameters
    ----------
    known : ndarray of shape (n, k), dtype float32
    labels : ndarray of shape (n,)
    """

    def __init__(self, known: FloatArray, labels: ByteArray) -> None:
        self._means = np.stack([known[labels == digit].mean(axis=0) for digit in range(10)])
        spread = known - self._means[labels]
        self._precision = np.linalg.pinv(spread.T @ spread / len(known)).astype(np.float32)
        self._neighbours = NearestNeighbors(n_neighbors=NEIGHBOURS, algorithm="brute").fit(_unit(known))

    def mahalanobis(self, embedding: FloatArray) -> Scores:
        """Return less the squared distance to the nearest class, shape (n,)."""
        away = embedding[:, np.newaxis] - self._means
        return -np.einsum("ncj,jk,nck->nc", away, self._precision, away, optimize=True).min(axis=1)

    def neighbours(self, embedding: FloatArray) -> Scores:
        """Return less the distance to the last of the nearest neighbours on the unit sphere, shape (n,)."""
        return -self._neighbours.kneighbors(_unit(embedding))[0][:, -1]


def _unit(vectors: FloatArray) -> FloatArray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)


def candidates(pictures: Pictures) -> dict[str, Score]:
    """Return the scores of the digits' network: from its logits and embedding to shape (n,), higher for digits."""
    labels = load_mnist().y_train
    plain = (pictures.labels != NONE) & (pictures.ways == PLAIN) & ~validation_mask(labels)[pictures.rows]
    known = np.random.default_rng(SEED).choice(np.flatnonzero(plain), KNOWN, replace=False)
    (embedding,) = Recognizer().run(pictures.images[known], "embedding")
    space = Embedding(embedding, pictures.labels[known])
    return {
        "max-softmax": lambda logits, _: calibrated(logits, 1).max(axis=1),
        "energy": lambda logits, _: logsumexp(logits, axis=1),
        "Mahalanobis": lambda _, embedding: space.mahalanobis(embedding),
        "nearest neighbours": lambda _, embedding: space.neighbours(embedding),
    }


def odds(pictures: FloatArray) -> Scores:
    """Return the evidence that a picture shows a digit, as log-odds (n,), from the picture network's logits (n, 11)."""
    logits = pictures.astype(np.float32)
    return logsumexp(logits[:, :-1], axis=1) - logits[:, -1]


def judged(kinds: dict[str, list[tuple[Scores, Scores]]]) -> dict[str, Any]:
    """Return what a score is worth.

    Parameters
    ----------
    kinds : dict
        For each kind, of each fold, the scores of the digits and of the non-digits.
    """
    auroc, accepted = {}, {}
    for kind, folds in kinds.items():
        areas, shares = [], []
        for digits, others in folds:
            is_digit = np.repeat([1, 0], [len(digits), len(others)])
            areas.append(roc_auc_score(is_digit, np.concatenate([digits, others])))
            shares.append((others >= np.quantile(digits, 1 - COVERAGE)).mean())
        auroc[kind], accepted[kind] = float(np.mean(areas)), float(np.mean(shares))
    return {
        "auroc": auroc,
        "mean_auroc": float(np.mean(list(auroc.values()))),
        "accepted": accepted,
        "mean_accepted": float(np.mean(list(accepted.values()))),
    }


def main() -> None:
    """Judge all candidates and write results/rejection.json."""
    started, pictures, reader = time.perf_counter(), load_pictures(), DigitReader(threads=1)
    recognizer, network = Recognizer(), PictureRecognizer()
    scores = candidates(pictures)
    validated = validation_mask(load_mnist().y_train)
    found: dict[str, dict[str, list[tuple[Scores, Scores]]]] = {name: {} for name in (*scores, "outlier exposure")}
    for fold in tqdm(range(FOLDS), unit="fold"):
        own = np.isin(pictures.rows, fold_rows("writer", fold))
        digits = pictures.images[own & (pictures.labels != NONE) & (pictures.ways == PLAIN) & validated[pictures.rows]]
        of_digits, kept = recognizer.run(digits, "logits", "embedding"), kept_arrays(RESULTS / PICTURES.format(fold))
        exposed = odds(kept["validation_pictures"][kept["validation_ways"] == PLAIN])
        for kind in FAMILIES[fold]:
            others = pictures.images[own & (pictures.kinds == NON_DIGITS.index(kind))]
            of_others = recognizer.run(others, "logits", "embedding")
            for name, score in scores.items():
                found[name].setdefault(kind, []).append((score(*of_digits), score(*of_others)))
            unseen = kept["unseen_pictures"][kept["unseen_kinds"] == NON_DIGITS.index(kind)]
            found["outlier exposure"].setdefault(kind, []).append((exposed, odds(unseen)))
    image = pictures.images[:1]
    logits, embedding = recognizer.run(image, "logits", "embedding")
    reading = microseconds(lambda: recognizer.run(reader.prepare(image[0])[np.newaxis], "logits"))
    costs = {name: microseconds(partial(score, logits, embedding)) for name, score in scores.items()}
    costs["outlier exposure"] = microseconds(lambda: evidence(network.run(image)))
    row = {
        "seed": SEED,
        "split": "validation digits and writers never seen, kinds never seen",
        "model_sha256": [sha256(recognizer.path), *(row["model_sha256"] for row in read_rows("reader_network")[1:])],
        "coverage": COVERAGE,
        "seconds": round(time.perf_counter() - started, 1),
    } | provenance("python -m experiments.rejection", *PACKAGES)
    rows = [
        {"score": name, **judged(kinds), "microseconds": costs[name], "microseconds_of_a_reading": reading}
        for name, kinds in found.items()
    ]
    write_rows("rejection", [of_score | row for of_score in rows])


if __name__ == "__main__":
    main()
