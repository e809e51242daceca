"""Calibration of the reader on the network's own validation images: what `digits calibrate` runs."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from digitreader.data import load_mnist
from digitreader.decision import calibrated, calibration_error, evidence, fit_temperature
from digitreader.errors import CalibrationError
from digitreader.recognizer import Recognizer, sha256

RISK = 0.0003  # wrong readings among the accepted ones
MISSED_DIGITS = 0.002  # share of the validation digits that may be taken for no digit


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


def calibrate(onnx_path: Path, card_path: Path, target: Path, *, risk: float = RISK) -> dict[str, Any]:
    """Fit temperature and thresholds, write them as JSON, and return what was written.

    Parameters
    ----------
    onnx_path : Path
        The network.
    card_path : Path
        The card that the notebook wrote beside it.
    target : Path
        models/reader.json.
    risk : float
        Share of wrong readings among those that are accepted.

    Raises
    ------
    DataError
        If MNIST cannot be had.
    CalibrationError
        If the network was validated on other images.
    """
    data, card = load_mnist(), json.loads(card_path.read_text())
    rows = validation_rows(data.y_train, card["split"]["validation_rows_sha256"])
    labels = data.y_train[rows]
    logits = Recognizer(onnx_path).run(data.x_train[rows], "logits")[0]
    temperature = fit_temperature(logits, labels)
    before, after = calibrated(logits, 1), calibrated(logits, temperature)
    support = evidence(logits)
    min_evidence = float(np.quantile(support, MISSED_DIGITS))
    digits = support >= min_evidence
    right = after.argmax(axis=1) == labels
    threshold = threshold_for(after.max(axis=1)[digits], right[digits], risk)
    accepted = digits & (after.max(axis=1) >= threshold)
    wrong = int((accepted & ~right).sum())
    content = {
        "onnx_sha256": [sha256(onnx_path)],
        "temperature": temperature,
        "min_confidence": threshold,
        "min_evidence": min_evidence,
        "risk": risk,
        "digits": {
            "images": len(labels),
            "calibration_error_before": calibration_error(before, labels),
            "calibration_error_after": calibration_error(after, labels),
            "accepted": int(accepted.sum()),
            "wrong_among_accepted": wrong,
        },
    }
    target.write_text(json.dumps(content, indent=2) + "\n")
    return content


def threshold_for(confidence: npt.NDArray[Any], right: npt.NDArray[np.bool_], risk: float) -> float:
    """Return the smallest confidence from which on at most a share `risk` of the readings is wrong.

    Parameters
    ----------
    confidence : ndarray of shape (n,)
    right : ndarray of shape (n,), dtype bool
        Which readings are right.
    risk : float

    Returns
    -------
    float
        More than 1 if no threshold keeps the risk.
    """
    order = np.argsort(-confidence, kind="stable")
    falling = confidence[order]
    wrong = np.cumsum(~right[order])
    last_of_equals = np.append(falling[1:] != falling[:-1], True)
    allowed = np.flatnonzero(last_of_equals & (wrong <= risk * np.arange(1, len(order) + 1)))
    return float(falling[allowed[-1]]) if allowed.size else float(np.nextafter(1, 2))
