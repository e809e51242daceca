"""Probabilities to decisions: temperature, thresholds, and the promise that calibration makes."""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from digitreader.calibrate import (
    COMPOSED,
    DIGITS,
    PICTURES,
    PLAIN,
    RISK,
    ROUGH,
    Said,
    calibrate,
    choose_weight,
    said_by_folds,
    validation_rows,
)
from digitreader.ctc import Candidate
from digitreader.data import Dataset
from digitreader.decision import (
    MAX_MARGIN,
    Calibration,
    Choice,
    FieldReading,
    Scale,
    calibrated,
    calibration_error,
    choose,
    decide,
    decide_field,
    evidence,
    fit_temperature,
    load_calibration,
)
from digitreader.errors import CalibrationError, MissingExtraError, ModelError
from digitreader.recognizer import MODELS
from digitreader.zip_codes import existing_codes, is_zip_code
from experiments.runs import RESULTS
from tests.helpers import assert_same_calibration

CALIBRATION = Calibration(onnx_sha256=[], weight=1.0, temperature=1.0, min_confidence=0.9, min_evidence=0.5)


def logits(digit: int, top: float, rest: float = 0.0) -> np.ndarray:
    """Return logits (1, 10) that favour one digit."""
    values = np.full((1, 10), rest, np.float32)
    values[0, digit] = top
    return values


def picture(digit: int, shown: float = 0.99) -> np.ndarray:
    """Return logits (1, 11) of the picture network: that a picture shows this digit, else none."""
    values = np.full((1, 11), 1e-9, np.float32)
    values[0, digit], values[0, 10] = shown, 1 - shown
    return np.log(values)


def test_a_sure_digit_is_accepted() -> None:
    (reading,) = decide(logits(7, 12), picture(7), CALIBRATION)
    assert (reading.digit, reading.decision, reading.reason) == (7, "accept", "ok")
    assert reading.confidence > 0.9999
    assert sum(reading.probabilities) == pytest.approx(1, abs=1e-5)
    assert json.loads(json.dumps(reading.to_dict()))["digit"] == 7


def test_a_digit_is_what_both_networks_say_together() -> None:
    (agree,) = decide(logits(3, 4), picture(3), CALIBRATION)
    (differ,) = decide(logits(3, 4), picture(8), CALIBRATION)
    (alone,) = decide(logits(3, 4), picture(8), replace(CALIBRATION, weight=0.0))
    assert (agree.digit, differ.digit, alone.digit) == (3, 8, 3)
    assert agree.confidence > alone.confidence
    assert alone.confidence == pytest.approx(1 / (1 + 9 * np.exp(-4)), rel=1e-5)
    assert differ.confidence == pytest.approx(1 / (1 + np.exp(4 + np.log(1e-9 / 0.99)) + 8 * 1e-9 / 0.99), rel=1e-4)


def test_evidence_is_the_probability_of_any_digit() -> None:
    assert evidence(picture(4, 0.7)) == pytest.approx([0.7], abs=1e-6)
    unsure = np.log(np.array([[0.05] * 10 + [0.5]], np.float32))
    assert evidence(unsure) == pytest.approx([0.5], abs=1e-6)


@pytest.mark.parametrize(("top", "shown", "reason"), [(12, 0.2, "not_a_digit"), (1, 0.2, "not_a_digit")])
def test_what_is_not_exactly_one_digit_goes_to_review(top: float, shown: float, reason: str) -> None:
    (reading,) = decide(logits(3, top), picture(3, shown), CALIBRATION)
    assert (reading.digit, reading.decision, reading.reason) == (3, "review", reason)


def test_a_doubtful_digit_goes_to_review() -> None:
    even = np.log(np.array([[0.09] * 10 + [0.1]], np.float32))
    (reading,) = decide(logits(3, 8), even, replace(CALIBRATION, temperature=9))
    assert (reading.digit, reading.decision, reading.reason) == (3, "review", "low_confidence")


def test_no_number_is_no_acceptance() -> None:
    (reading,) = decide(logits(3, 8), np.full((1, 11), np.nan, np.float32), CALIBRATION)
    assert reading.decision == "review"


def test_temperature_is_found_again() -> None:
    rng = np.random.default_rng(0)
    honest = rng.normal(0, 2, (20_000, 10)).astype(np.float32)
    chances = calibrated(honest, 1)
    labels = np.array([rng.choice(10, p=row / row.sum()) for row in chances.astype(float)])
    assert fit_temperature(honest * 3, labels) == pytest.approx(3, rel=0.05)
    assert calibration_error(chances, labels) < 0.02
    assert calibration_error(calibrated(honest * 3, 1), labels) > 0.1


def test_temperature_changes_no_digit() -> None:
    values = np.random.default_rng(0).normal(0, 300, (50, 10)).astype(np.float32)
    hot = calibrated(values, 4)
    assert np.isfinite(hot).all()
    np.testing.assert_array_equal(hot.argmax(axis=1), values.argmax(axis=1))


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """Return a copy of the networks and of the card."""
    for name in ("mnist_cnn.onnx", "mnist_cnn.json", "reader.onnx"):
        shutil.copy(MODELS / name, tmp_path)
    return tmp_path


@pytest.mark.usefixtures("mnist", "writers")
def test_the_calibration_is_the_one_that_is_committed(models: Path) -> None:
    found, committed = calibrate(models, RESULTS), json.loads((MODELS / "reader.json").read_text())
    assert_same_calibration(found, committed)
    measured = found["digits"]
    assert measured["calibration_error_after"] < 0.005
    assert measured["wrong_among_accepted"] <= RISK * measured["accepted"]
    assert sum(found["reference"]["reason"].values()) == measured["images"]
    assert found["reference"]["reason"]["ok"] == measured["accepted"]
    looser = calibrate(models, RESULTS, risk=0.002)
    assert looser["min_confidence"] < found["min_confidence"]
    assert looser["digits"]["accepted"] > measured["accepted"]
    with pytest.raises(CalibrationError, match=r"0\.000001 cannot be certified .* is the smallest"):
        calibrate(models, RESULTS, risk=0.000001)


def said(rng: np.random.Generator, plain: float, composed: float) -> tuple[Said, np.ndarray]:
    """Return what networks say, that of pictures as clearly as these numbers tell, and the labels."""
    count = 6000
    labels, ways = rng.integers(0, 10, count).astype(np.uint8), np.repeat([PLAIN, COMPOSED, ROUGH], count // 3)
    truth = np.eye(11, dtype=np.float32)[labels]
    clear = np.where(ways == PLAIN, plain, composed)[:, np.newaxis].astype(np.float32)
    by_digits = np.where(ways == PLAIN, 6, 1)[:, np.newaxis] * truth[:, :10] + rng.normal(0, 1.5, (count, 10))
    pictures = clear * truth + rng.normal(0, 1, (count, 11)) * (clear > 0)
    rows = np.arange(count, dtype=np.int32)
    return Said(by_digits.astype(np.float32), pictures.astype(np.float32), rows, ways.astype(np.int8)), labels


def test_more_weight_is_given_where_it_costs_no_plain_digit() -> None:
    rng = np.random.default_rng(0)
    good, costs = choose_weight(*said(rng, plain=4, composed=6))
    misleading, _ = choose_weight(*said(rng, plain=-2, composed=6))
    assert good > 1
    assert misleading < 0.5
    for cost in ("log_loss", "misread"):
        assert costs[str(good)][cost][COMPOSED] < costs["0.0"][cost][COMPOSED]
        assert len(costs["0.0"][cost]) == len((PLAIN, COMPOSED, ROUGH))


@pytest.mark.usefixtures("mnist", "writers")
def test_calibrating_without_what_was_kept_is_refused(models: Path, tmp_path: Path) -> None:
    with pytest.raises(CalibrationError, match="not in"):
        calibrate(models, tmp_path)


@pytest.mark.parametrize("name", [DIGITS, PICTURES])
def test_what_was_kept_and_is_cut_off_is_named(tmp_path: Path, name: str) -> None:
    for each in (DIGITS, PICTURES):
        shutil.copytree((RESULTS / each).parent, (tmp_path / each).parent)
    file = tmp_path / name.format(0)
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(CalibrationError, match=file.name):
        said_by_folds(tmp_path, np.array([0]))


def test_other_validation_images_are_refused(mnist: Dataset) -> None:
    with pytest.raises(CalibrationError, match="other images"):
        validation_rows(mnist.y_train, "0" * 64)


def candidates(**log_probabilities: float) -> list[Candidate]:
    """Return texts with the logarithms of their probabilities, best first; names start with an underscore."""
    found = [Candidate(text[1:].replace("_", "-"), value) for text, value in log_probabilities.items()]
    return sorted(found, key=lambda candidate: -candidate.log_probability)


FIELDS = Scale(slope=1.0, offset=0.0, min_confidence=0.95)
CODES = frozenset({"60601", "10001"})


def read(choice: Choice) -> FieldReading:
    """Return the reading of a choice, its boxes in a row."""
    boxes = [(10 * place, 0, 10 * place + 8, 20) for place in range(len(choice.text))]
    return decide_field(choice, boxes, ["0"] * len(choice.text), FIELDS)


def test_a_field_is_as_sure_as_its_margin() -> None:
    choice = choose(candidates(_12345=-0.1, _12845=-4.1))
    assert (choice.text, choice.reason) == ("12345", "ok")
    assert choice.margin == pytest.approx(4)
    reading = read(choice)
    assert reading.confidence == pytest.approx(1 / (1 + np.exp(-4)))
    assert (reading.decision, reading.reason) == ("accept", "ok")
    assert [digit.digit for digit in reading.digits] == list("12345")
    assert reading.digits[2].confidence == pytest.approx(1 / (1 + np.exp(-4)))
    assert reading.digits[0].confidence == pytest.approx(1)
    assert reading.digits[1].box == (10, 0, 18, 20)
    assert json.loads(json.dumps(reading.to_dict()))["digits"][0]["runner_up"] == "0"


def test_a_close_field_goes_to_review() -> None:
    reading = read(choose(candidates(_12345=-0.5, _12845=-1.0)))
    assert (reading.text, reading.decision, reading.reason) == ("12345", "review", "low_confidence")


def test_a_single_candidate_is_sure_but_not_without_bounds() -> None:
    assert choose(candidates(_7=-0.001)).margin == MAX_MARGIN


@pytest.mark.parametrize("text", ["", "-", "12?45", "?"])
def test_a_field_without_digits_goes_to_review(text: str) -> None:
    reading = read(choose([Candidate(text, -0.01), Candidate("12945", -5.0), Candidate("12845", -9.0)]))
    assert (reading.text, reading.decision, reading.reason) == ("12945", "review", "not_a_digit")
    assert reading.confidence < 0.01
    alone = read(choose([Candidate(text, -0.01)]))
    assert (alone.text, alone.decision, alone.reason) == (text, "review", "not_a_digit")
    assert alone.confidence < 1e-6


def test_a_known_length_decides_between_close_texts_only() -> None:
    close = choose(candidates(_1234=-0.5, _12344=-1.5, _12345=-9), length=5)
    assert (close.text, close.reason) == ("12344", "ok")
    assert close.margin == pytest.approx(np.log(100) - 1), "what is known may be false once in a hundred cases"
    far = choose(candidates(_1234=-0.1, _12344=-8.0), length=5)
    assert (far.text, far.reason) == ("1234", "wrong_length")
    assert read(far).decision == "review"
    assert choose(candidates(_12345_6789=-0.1), length=9).reason == "ok", "a hyphen is no digit"


def test_a_directory_breaks_ties_only() -> None:
    close = choose(candidates(_60607=-0.6, _60601=-1.2), codes=CODES)
    assert (close.text, close.reason) == ("60601", "ok")
    assert close.shares[4] > 0.95
    far = choose(candidates(_60607=-0.01, _60601=-8.0), codes=CODES)
    assert (far.text, far.reason) == ("60607", "not_a_zip")
    assert read(far).decision == "review"
    assert choose(candidates(_60601=-0.1, _10001=-0.9), codes=CODES).margin == pytest.approx(0.8)


def test_knowledge_against_the_picture_is_not_certain() -> None:
    """The only text that fits, but the picture speaks for another one."""
    for known in ({"codes": CODES}, {"length": 5}):
        texts = candidates(_60607=-0.05, _60601=-3.0) if "codes" in known else candidates(_6060=-0.05, _60601=-3.0)
        reading = read(choose(texts, **known))
        assert (reading.text, reading.decision) == ("60601", "review")


DAMAGE = ["{", "[]", "null", '{"temperature": 0}', '{"min_confidence": NaN}', '{"temperature": null}']


@pytest.mark.parametrize("text", DAMAGE)
def test_a_damaged_calibration_is_refused(tmp_path: Path, text: str) -> None:
    whole = json.loads((MODELS / "reader.json").read_text())
    path = tmp_path / "reader.json"
    path.write_text(json.dumps(whole | json.loads(text)) if text.startswith('{"') else text)
    with pytest.raises(ModelError, match="damaged"):
        load_calibration(
            Calibration, path, [MODELS / "mnist_cnn.onnx", MODELS / "line_reader.onnx"], "digits calibrate"
        )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("60601", True),
        ("60601-1234", True),
        ("606011234", True),
        ("60607", False),
        ("6060", False),
        ("60601-12", False),
        ("60601-", False),
        ("", False),
    ],
)
def test_zip_codes(text: str, expected: bool) -> None:
    assert is_zip_code(text, CODES) is expected


def test_the_directory_knows_real_codes() -> None:
    codes = existing_codes()
    assert {"10001", "60601", "90210", "99950", "00501"} <= codes
    assert not {"00000", "99999"} & codes
    assert 40_000 < len(codes) < 45_000


def test_a_missing_directory_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    existing_codes.cache_clear()
    monkeypatch.setitem(sys.modules, "zipcodes", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'digitreader\[zip\]'"):
        existing_codes()
