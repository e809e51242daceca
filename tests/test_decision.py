"""Probabilities to decisions: temperature, thresholds, and the promise that calibration makes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from digitreader.calibrate import RISK, calibrate, threshold_for, validation_rows
from digitreader.data import Dataset
from digitreader.decision import (
    Calibration,
    calibrated,
    calibration_error,
    decide,
    evidence,
    fit_temperature,
)
from digitreader.errors import CalibrationError
from digitreader.recognizer import MODELS

CALIBRATION = Calibration(onnx_sha256="", temperature=1.0, min_confidence=0.9, min_evidence=5.0)


def logits(digit: int, top: float, rest: float = 0.0) -> np.ndarray:
    """Return logits (1, 10) that favour one digit."""
    values = np.full((1, 10), rest, np.float32)
    values[0, digit] = top
    return values


def test_a_sure_digit_is_accepted() -> None:
    (reading,) = decide(logits(7, 12), CALIBRATION)
    assert (reading.digit, reading.decision, reading.reason) == (7, "accept", "ok")
    assert reading.confidence == pytest.approx(np.exp(12) / (np.exp(12) + 9), rel=1e-5)
    assert sum(reading.probabilities) == pytest.approx(1, abs=1e-5)
    assert json.loads(json.dumps(reading.to_dict()))["digit"] == 7


@pytest.mark.parametrize(
    ("top", "rest", "reason"), [(8, 7, "low_confidence"), (4, -10, "not_a_digit"), (1, 0, "not_a_digit")]
)
def test_reviews_name_their_reason(top: float, rest: float, reason: str) -> None:
    (reading,) = decide(logits(3, top, rest), CALIBRATION)
    assert (reading.digit, reading.decision, reading.reason) == (3, "review", reason)


def test_temperature_is_found_again() -> None:
    rng = np.random.default_rng(0)
    honest = rng.normal(0, 2, (20_000, 10)).astype(np.float32)
    chances = calibrated(honest, 1)
    labels = np.array([rng.choice(10, p=row / row.sum()) for row in chances.astype(float)])
    assert fit_temperature(honest * 3, labels) == pytest.approx(3, rel=0.05)
    assert calibration_error(chances, labels) < 0.02
    assert calibration_error(calibrated(honest * 3, 1), labels) > 0.1


def test_temperature_changes_no_digit_and_no_evidence_is_lost() -> None:
    values = np.random.default_rng(0).normal(0, 300, (50, 10)).astype(np.float32)
    hot = calibrated(values, 4)
    assert np.isfinite(hot).all()
    np.testing.assert_array_equal(hot.argmax(axis=1), values.argmax(axis=1))
    assert np.isfinite(evidence(values)).all()
    np.testing.assert_allclose(evidence(values), values.max(axis=1), atol=1)


def test_threshold_keeps_the_risk_and_accepts_as_much_as_it_can() -> None:
    confidence = np.array([0.99, 0.98, 0.97, 0.96, 0.95, 0.94])
    right = np.array([True, True, True, False, True, True])
    assert threshold_for(confidence, right, 0.0) == 0.97
    assert threshold_for(confidence, right, 0.2) == 0.94, "one of five wrong, then one of six"
    assert threshold_for(confidence, ~right, 0.0) > confidence.max(), "nothing can be accepted"


def test_equal_confidences_are_accepted_together() -> None:
    confidence = np.array([0.9, 0.8, 0.8, 0.8])
    assert threshold_for(confidence, np.array([True, True, True, False]), 0.0) == 0.9


def test_calibrate_writes_what_is_committed(mnist: Dataset, tmp_path: Path) -> None:
    target = tmp_path / "reader.json"
    calibrate(MODELS / "mnist_cnn.onnx", MODELS / "mnist_cnn.json", target)
    found, committed = Calibration.load(target), Calibration.load(MODELS / "reader.json")
    assert found.onnx_sha256 == committed.onnx_sha256
    assert found.temperature == pytest.approx(committed.temperature, rel=1e-3)
    assert found.min_confidence == pytest.approx(committed.min_confidence, rel=1e-3)
    assert found.min_evidence == pytest.approx(committed.min_evidence, rel=1e-2)
    measured = json.loads(target.read_text())["digits"]
    assert measured["calibration_error_after"] < measured["calibration_error_before"]
    assert measured["wrong_among_accepted"] <= RISK * measured["accepted"]


def test_a_smaller_risk_accepts_less(mnist: Dataset, tmp_path: Path) -> None:
    accepted = [
        calibrate(MODELS / "mnist_cnn.onnx", MODELS / "mnist_cnn.json", tmp_path / "reader.json", risk=risk)["digits"]
        for risk in (0.01, 0.001, 0.0)
    ]
    counts = [content["accepted"] for content in accepted]
    assert counts[0] > counts[1] >= counts[2] > 0
    assert accepted[2]["wrong_among_accepted"] == 0


def test_other_validation_images_are_refused(mnist: Dataset) -> None:
    with pytest.raises(CalibrationError, match="other images"):
        validation_rows(mnist.y_train, "0" * 64)
