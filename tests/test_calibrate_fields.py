"""What a margin of a field means, and that its threshold keeps its promise."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from digitreader.calibrate_fields import CERTIFYING, FIELD_RISK, VALIDATION, WAYS, calibrate_fields, doubts, fit_line
from digitreader.errors import CalibrationError
from digitreader.recognizer import MODELS
from experiments.runs import RESULTS


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """Return a folder with the line reader and no calibration."""
    (tmp_path / "models").mkdir()
    shutil.copy(MODELS / "line_reader.onnx", tmp_path / "models")
    return tmp_path / "models"


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """Return a folder with what was kept of lines."""
    shutil.copytree((RESULTS / VALIDATION).parent, tmp_path / "results" / "line_reader")
    return tmp_path / "results"


def test_a_margin_means_what_it_says() -> None:
    rng = np.random.default_rng(0)
    margins = rng.uniform(-2, 12, 20_000).astype(np.float32)
    right = rng.random(20_000) < 1 / (1 + np.exp(-(0.8 * margins - 0.5)))
    slope, offset = fit_line(margins, right)
    assert slope == pytest.approx(0.8, abs=0.05)
    assert offset == pytest.approx(-0.5, abs=0.1)
    assert doubts(margins, slope, offset).mean() == pytest.approx(1 - right.mean(), abs=1e-3)


def test_the_calibration_of_fields_is_the_one_that_is_committed(models: Path) -> None:
    found, committed = calibrate_fields(models, RESULTS), json.loads((MODELS / "line_reader.json").read_text())
    assert found["onnx_sha256"] == committed["onnx_sha256"]
    for way in WAYS:
        assert found[way]["certifying"] == committed[way]["certifying"]
        for name in ("slope", "offset", "min_confidence"):
            assert found[way][name] == pytest.approx(committed[way][name], rel=1e-2)
        measured = found[way]["certifying"]
        assert 0 < measured["wrong_among_accepted"] < FIELD_RISK * measured["accepted"]


def test_another_risk_accepts_more_or_is_refused(models: Path) -> None:
    usual, looser = (calibrate_fields(models, RESULTS, risk=risk) for risk in (FIELD_RISK, 2 * FIELD_RISK))
    for way in WAYS:
        assert looser[way]["min_confidence"] < usual[way]["min_confidence"]
        assert looser[way]["certifying"]["accepted"] > usual[way]["certifying"]["accepted"]
    with pytest.raises(CalibrationError, match=r"0\.0001 cannot be certified .* is the smallest"):
        calibrate_fields(models, RESULTS, risk=0.0001)


def test_lines_that_go_to_review_anyway_certify_nothing(models: Path, results: Path) -> None:
    with np.load(results / CERTIFYING) as kept:
        np.savez(results / CERTIFYING, **dict(kept) | {"usable": np.zeros_like(kept["usable"])})
    with pytest.raises(CalibrationError, match="cannot be certified by 0 readings"):
        calibrate_fields(models, results)


def test_what_was_kept_is_of_this_network_and_whole(models: Path, results: Path) -> None:
    with np.load(results / VALIDATION) as kept:
        np.savez(results / VALIDATION, **dict(kept) | {"model_sha256": np.array("0" * 64)})
    with pytest.raises(CalibrationError, match=r"another network.*experiments\.line_reader"):
        calibrate_fields(models, results)
    whole = (RESULTS / VALIDATION).read_bytes()
    for damaged in (b"", b"no archive", whole[: len(whole) // 2], whole[:1000] + bytes(1000) + whole[2000:]):
        (results / VALIDATION).write_bytes(damaged)
        with pytest.raises(CalibrationError, match=r"validation\.npz"):
            calibrate_fields(models, results)
    with pytest.raises(CalibrationError, match=r"validation\.npz"):
        calibrate_fields(models, results / "elsewhere")
    assert not (models / "line_reader.json").exists()
