"""Calibration of the reader on digits that its networks never saw: what `digits calibrate` runs.

What the networks say of such digits was kept when they were trained, so nothing is read here:

- of the notebook's validation digits as plain, composed and roughly handled pictures; they choose how much the picture
  network's word counts, what confidence means, and what is taken for no digit;
- of the other training digits, by networks that saw neither the digit nor anything else by its writer; they certify the
  threshold. For the full network these are all of them, for the fast one those by two fifths of the writers.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from digitreader.arrays import DAMAGED, ByteArray, FloatArray
from digitreader.data import load_mnist, load_writers
from digitreader.decision import (
    Calibration,
    calibrated,
    calibration_error,
    combined,
    decide,
    evidence,
    fit_temperature,
)
from digitreader.drift import count
from digitreader.errors import CalibrationError
from digitreader.guarantee import DELTA, certify
from digitreader.provenance import provenance
from digitreader.recognizer import CALIBRATE_COMMAND, DIGIT_NETWORKS, FAST_COMMAND, ModelName, PictureRecognizer, sha256

RISK = 0.001  # wrong readings among the accepted ones, at most
MISSED_DIGITS = 0.01  # share of the plain validation digits that may be taken for no digit
WEIGHTS = (0.0, 0.2, 0.3, 0.5, 0.7, 1.0, 1.4, 2.0, 3.0, 5.0)  # of the picture network's logits
PACKAGES = ("numpy", "scipy", "scikit-learn")
DIGITS, PICTURES = "crossval/writer_{}.npz", "reader_network/fold_{}.npz"  # in the folder of the results
FAST_DIGITS, FAST_VALIDATION = "fast_network/held_out.npz", "fast_network/validation.npz"
FOLDS = 5  # by writer
PLAIN, COMPOSED, ROUGH = range(3)  # how the pictures of validation digits were made


def validation_rows(labels: npt.NDArray[np.uint8], expected_sha256: str) -> npt.NDArray[np.int64]:
    """Return the rows of MNIST's training set that the notebook validated on.

    Raises
    ------
    CalibrationError
        If they are not those that the network's card states.
    """
    from sklearn.model_selection import train_test_split

    _, rows = train_test_split(np.arange(len(labels)), test_size=0.1, stratify=labels, random_state=42)
    found = hashlib.sha256(np.sort(rows).astype("<i8").tobytes()).hexdigest()
    if found != expected_sha256:
        raise CalibrationError("The network was validated on other images than the notebook's own: calibrate on those.")
    return rows


@dataclass(frozen=True)
class Said:
    """What both networks say of pictures of digits that they never saw.

    Attributes
    ----------
    logits, pictures : ndarray of shape (n, 10) and (n, 11), dtype float32
        See `digitreader.decision.combined`.
    rows : ndarray of shape (n,)
        Of MNIST's training set.
    ways : ndarray of shape (n,)
        `PLAIN`, `COMPOSED` or `ROUGH`.
    """

    logits: FloatArray
    pictures: FloatArray
    rows: npt.NDArray[np.int32]
    ways: npt.NDArray[np.int8]

    def __getitem__(self, chosen: npt.NDArray[np.bool_]) -> Said:
        """Return what they say of some of the pictures."""
        return Said(*(values[chosen] for values in vars(self).values()))


def kept_arrays(path: Path) -> dict[str, npt.NDArray[Any]]:
    """Return the arrays of a file in which was kept what networks said.

    Raises
    ------
    CalibrationError
        If it is missing or damaged.
    """
    try:
        with path.open("rb") as stream, np.load(stream) as kept:  # NumPy leaves open what it opens and cannot read
            return dict(kept)
    except (OSError, *DAMAGED) as error:
        raise CalibrationError(f"What the networks said is not in {path} ({error!r}).") from error


def said_by_folds(results: Path, without: npt.NDArray[np.integer], model: ModelName = "full") -> Said:
    """Return what networks that saw nothing by their writers say of training digits as plain pictures.

    The digits' networks read the arrays themselves, which differ next to nothing from the pictures' prepared form. A
    digit that is taken for blank is left out.

    Parameters
    ----------
    results : Path
        The folder experiments/results.
    without : ndarray of int
        Rows of the training set that are left out: those that something was chosen on certify nothing.
    model : "full" or "fast"
        The digits' network.

    Raises
    ------
    CalibrationError
        If something that was kept is missing or damaged.
    """
    files = [FAST_DIGITS] if model == "fast" else [DIGITS.format(fold) for fold in range(FOLDS)]
    try:
        by_digits = [kept_arrays(results / file) for file in files]
        by_pictures = [kept_arrays(results / PICTURES.format(fold)) for fold in range(FOLDS)]
        rows = np.concatenate([part["rows"] for part in by_pictures])
        read = np.concatenate([part["rows"] for part in by_digits])
        logits = np.zeros((max(rows.max(), read.max()) + 1, 10), np.float32)
        logits[read] = np.concatenate([part["logits"] for part in by_digits])
        pictures = np.concatenate([part["logits"] for part in by_pictures]).astype(np.float32)
        said = Said(logits[rows], pictures, rows, np.full(len(rows), PLAIN, np.int8))
        return said[np.isin(rows, read) & ~np.isin(rows, without)]
    except (IndexError, KeyError, ValueError) as error:
        raise CalibrationError(f"What the networks said of digits is not in {results} ({error!r}).") from error


def said_in_validation(results: Path, model: ModelName = "full") -> Said:
    """Return what a committed digits' network and the picture networks of the folds say of validation digits.

    Raises
    ------
    CalibrationError
        As `said_by_folds`.
    """
    try:
        kept = [kept_arrays(results / PICTURES.format(fold)) for fold in range(FOLDS)]
        logits, pictures, rows, ways = (
            np.concatenate([part[f"validation_{name}"] for part in kept])
            for name in ("logits", "pictures", "rows", "ways")
        )
        if model == "fast":
            order = rows.argsort(kind="stable")  # of a row's pictures, the order is the same everywhere
            pictures, rows, ways = pictures[order], rows[order], ways[order]
            fast = kept_arrays(results / FAST_VALIDATION)
            if not (np.array_equal(fast["rows"], rows) and np.array_equal(fast["ways"], ways)):
                raise ValueError("the fast network read other pictures than the picture networks")
            logits = fast["logits"]
        return Said(logits.astype(np.float32), pictures.astype(np.float32), rows, ways)
    except (KeyError, ValueError) as error:
        raise CalibrationError(f"What the networks said of digits is not in {results} ({error!r}).") from error


def fit(said: Said, labels: ByteArray, weight: float) -> tuple[float, FloatArray]:
    """Return the temperature that suits plain and composed pictures, and the probabilities (n, 10) that it gives."""
    both, as_usual = combined(said.logits, said.pictures, weight), said.ways != ROUGH
    temperature = fit_temperature(both[as_usual], labels[as_usual])
    return temperature, calibrated(both, temperature)


def choose_weight(said: Said, labels: ByteArray) -> tuple[float, dict[str, dict[str, list[float]]]]:
    """Return the weight of the picture network's logits, and what each weight costs in each of the three ways.

    More weight is better for pictures that are unlike MNIST's, and too much of it costs plain digits: the largest
    weight is taken whose log-loss on these is within two standard errors of the least.
    """
    plain, costs, losses = said.ways == PLAIN, {}, {}
    for weight in WEIGHTS:
        _, probabilities = fit(said, labels, weight)
        loss = -np.log(np.maximum(probabilities[np.arange(len(labels)), labels], 1e-12))
        wrong = probabilities.argmax(axis=1) != labels
        ways = [said.ways == way for way in (PLAIN, COMPOSED, ROUGH)]
        costs[str(weight)] = {
            "log_loss": [float(loss[way].mean()) for way in ways],
            "misread": [float(wrong[way].mean()) for way in ways],
        }
        losses[weight] = loss[plain].astype(np.float64)
    best = losses[min(WEIGHTS, key=lambda weight: losses[weight].mean())]
    more = {weight: loss - best for weight, loss in losses.items()}
    as_good = [weight for weight in WEIGHTS if more[weight].mean() <= 2 * more[weight].std() / np.sqrt(len(best))]
    return max(as_good), costs


def calibrate(models: Path, results: Path, *, model: ModelName = "full", risk: float = RISK) -> dict[str, Any]:
    """Fit weight, temperature and thresholds, and return what reader.json, or fast.json, is to say.

    With 95 % confidence, at most a share `risk` of the accepted readings of digits like these, by other people, is
    wrong: see `digitreader.guarantee`.

    Parameters
    ----------
    models : Path
        The folder of the networks, and of the card that the notebook wrote.
    results : Path
        The folder experiments/results: what the networks said of digits that they never saw.
    model : "full" or "fast"
        The digits' network.
    risk : float
        Share of wrong readings among those that are accepted.

    Raises
    ------
    DataError
        If MNIST, or the list of its writers, cannot be had.
    CalibrationError
        If the network was validated on other images, something that was kept is missing, or the digits cannot certify
        so small a risk.
    """
    data, writers, card = load_mnist(), load_writers(), json.loads((models / "mnist_cnn.json").read_text())
    chosen = DIGIT_NETWORKS[model]
    networks = [chosen.recognizer(models / chosen.network).path, PictureRecognizer(models / "reader.onnx").path]
    validated = validation_rows(data.y_train, card["split"]["validation_rows_sha256"])
    if model == "fast" and str(kept_arrays(results / FAST_VALIDATION).get("network")) != sha256(networks[0]):
        raise CalibrationError(
            f"What was kept of pictures is of another network than {chosen.network}: `{FAST_COMMAND}` keeps it anew."
        )
    chosen_on = said_in_validation(results, model)
    labels = data.y_train[chosen_on.rows]
    weight, costs = choose_weight(chosen_on, labels)
    temperature, _ = fit(chosen_on, labels, weight)
    min_evidence = float(np.quantile(evidence(chosen_on.pictures[chosen_on.ways == PLAIN]), MISSED_DIGITS))

    others = said_by_folds(results, validated, model)
    before, after = (
        calibrated(combined(others.logits, others.pictures, weight), number) for number in (1, temperature)
    )
    labels = data.y_train[others.rows]
    right = after.argmax(axis=1) == labels
    shown = evidence(others.pictures) >= min_evidence
    doubt = 1 - after.max(axis=1).astype(np.float64)
    threshold = certify(doubt[shown], right[shown], writers.train[others.rows][shown], risk)
    accepted = shown & (doubt <= threshold)
    calibration = Calibration([sha256(path) for path in networks], weight, temperature, 1 - threshold, min_evidence)
    content = vars(calibration) | {
        "risk": risk,
        "confidence_in_the_risk": 1 - DELTA,
        "by_weight": costs,
        "digits": {
            "images": len(right),
            "writers": len(np.unique(writers.train[others.rows])),
            "wrong": int((~right).sum()),
            "calibration_error_before": calibration_error(before, labels),
            "calibration_error_after": calibration_error(after, labels),
            "accepted": int(accepted.sum()),
            "wrong_among_accepted": int((accepted & ~right).sum()),
        },
        "reference": count(decide(others.logits, others.pictures, calibration)),
    }
    return content | provenance(CALIBRATE_COMMAND, *PACKAGES)
