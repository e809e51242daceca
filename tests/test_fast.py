"""The fast network: what it reads, how it is put together and trained, and the reader that has it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from digitreader.calibrate import FAST_DIGITS, FAST_VALIDATION, RISK, calibrate, said_by_folds, said_in_validation
from digitreader.data import Dataset
from digitreader.decision import Reading, calibrated
from digitreader.errors import CalibrationError, ImageFormatError, ModelError
from digitreader.explain import hires_cam
from digitreader.reader import DigitReader
from digitreader.recognizer import FAST_BATCH, FAST_OUTPUTS, MODELS, FastRecognizer, as_input, sha256
from experiments import pictures as composing
from experiments.cascade import write_cascade
from experiments.crossval import fold_rows
from experiments.fast_network import RECIPE, RUNS, export, fit, keep_validation, networks
from experiments.lines import CERTIFYING_FOLDS, validation_mask
from experiments.runs import RESULTS, read_rows_of
from tests.helpers import assert_same_calibration, seven


@pytest.fixture(scope="module")
def fast() -> FastRecognizer:
    """Return the committed fast network."""
    return FastRecognizer()


@pytest.fixture(scope="module")
def fast_reader() -> DigitReader:
    """Return the reader with the fast network."""
    return DigitReader(model="fast")


def test_it_reads_digits_like_the_full_network(fast_reader: DigitReader, reader: DigitReader, mnist: Dataset) -> None:
    shipped = read_rows_of("fast_network", RUNS)[0]
    probabilities = fast_reader.predict_proba(mnist.x_test)
    assert probabilities.shape == (10_000, 10)
    assert probabilities.dtype == np.float32
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)
    digits = probabilities.argmax(axis=1)
    assert (digits == mnist.y_test).mean() == pytest.approx(shipped["test_accuracy"], abs=2e-4)
    assert (digits == reader.predict(mnist.x_test)).mean() > 0.995
    assert (MODELS / "fast.onnx").stat().st_size < 300_000


def test_what_is_read_does_not_hang_on_what_is_read_with_it(fast: FastRecognizer, mnist: Dataset) -> None:
    images = mnist.x_test[: FAST_BATCH + 90]
    together = fast.predict_proba(images)
    one_by_one = np.concatenate([fast.predict_proba(images[[place]]) for place in range(len(images))])
    np.testing.assert_allclose(one_by_one, together, atol=1e-6)
    backwards = fast.predict_proba(images[::-1])[::-1]
    np.testing.assert_allclose(backwards, together, atol=1e-6)


def test_dtypes_agree(fast: FastRecognizer) -> None:
    images = np.random.default_rng(0).integers(0, 256, (40, 28, 28), dtype=np.uint8)
    expected = fast.predict_proba(images)
    for same in (images / 255, (images / 255).astype(np.float32), images[:, ::-1][:, ::-1]):
        np.testing.assert_array_equal(fast.predict_proba(same), expected)
    black_and_white = images > 127
    np.testing.assert_array_equal(
        fast.predict_proba(black_and_white), fast.predict_proba(black_and_white.astype(float))
    )
    assert fast.predict_proba(np.zeros((0, 28, 28))).shape == (0, 10)


@pytest.mark.parametrize("images", [np.zeros((28, 28)), np.zeros((1, 28, 28), int), np.full((1, 28, 28), 2.0)])
def test_wrong_images_are_refused(fast: FastRecognizer, images: np.ndarray) -> None:
    with pytest.raises(ImageFormatError):
        fast.predict_proba(images)


def test_the_fast_reader_reads_pictures_and_lines(fast_reader: DigitReader, reader: DigitReader) -> None:
    reading = fast_reader.predict_image(seven())
    assert isinstance(reading, Reading)
    assert (reading.digit, reading.decision) == (7, "accept")
    blank = np.zeros((100, 100), np.uint8)
    blank[40:60, 10:90] = 255
    assert fast_reader.predict_image(blank).reason == reader.predict_image(blank).reason == "not_a_digit"
    assert fast_reader.read(seven()) == reader.read(seven())


def test_it_cannot_be_explained(fast_reader: DigitReader) -> None:
    with pytest.raises(ModelError, match="gives probabilities and logits, not"):
        hires_cam(fast_reader.recognizer, np.zeros((28, 28)), 7)


def test_an_unknown_model_is_refused() -> None:
    with pytest.raises(ValueError, match="'full' or 'fast', not 'faster'"):
        DigitReader(model="faster")  # type: ignore[arg-type]


def test_each_model_needs_its_own_files_alone(tmp_path: Path) -> None:
    for name in ("fast.onnx", "fast.json", "reader.onnx", "line_reader.onnx", "line_reader.json"):
        shutil.copy(MODELS / name, tmp_path)
    assert DigitReader(tmp_path, model="fast").predict_image(seven()).digit == 7
    with pytest.raises(ModelError, match=r"mnist_cnn\.onnx is missing"):
        DigitReader(tmp_path)
    (tmp_path / "fast.json").write_bytes((MODELS / "reader.json").read_bytes())
    with pytest.raises(ModelError, match=r"fast\.json belongs to another network"):
        DigitReader(tmp_path, model="fast")
    (tmp_path / "fast.onnx").write_bytes(b"damaged")
    with pytest.raises(ModelError, match=r"fast\.onnx is damaged .*experiments\.fast_network"):
        DigitReader(tmp_path, model="fast")


def quantised(path: Path, rng: np.random.Generator, scale: float = 1 / 255) -> np.ndarray:
    """Write a network of one matrix on images that it makes bytes of, and return the matrix (784, 10)."""
    weights = rng.normal(0, 1, (784, 10)).astype(np.float32)
    stored: dict[str, np.ndarray] = {
        "scale": np.array(scale, np.float32),
        "zero": np.array(0, np.uint8),
        "across": np.array([-1, 784], np.int64),
        "weights": weights,
    }
    node = helper.make_node
    graph = helper.make_graph(
        [
            node("Reshape", ["picture", "across"], ["flat"]),
            node("QuantizeLinear", ["flat", "scale", "zero"], ["bytes"]),
            node("DequantizeLinear", ["bytes", "scale", "zero"], ["values"]),
            node("MatMul", ["values", "weights"], ["logits"]),
        ],
        "matrix",
        [helper.make_tensor_value_info("picture", TensorProto.FLOAT, ["n", 28, 28, 1])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", 10])],
        [numpy_helper.from_array(value, name) for name, value in stored.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 15)], ir_version=8), path)
    return weights


@pytest.mark.parametrize("share", [0, 0.3, 1])
def test_the_second_network_decides_what_the_first_doubts(tmp_path: Path, share: float) -> None:
    rng = np.random.default_rng(0)
    weights = [quantised(tmp_path / f"{name}.onnx", rng) for name in ("first", "second")]
    images = rng.integers(0, 256, (50, 28, 28), dtype=np.uint8)
    first, second = (images.reshape(-1, 784) / np.float32(255) @ matrix for matrix in weights)
    ranked = np.concatenate([[0], np.sort(calibrated(first, 1).max(axis=1)), [2]])
    count = round(share * len(images))
    sure = float(ranked[count : count + 2].mean())
    write_cascade(tmp_path / "first.onnx", tmp_path / "second.onnx", sure, tmp_path / "both.onnx", {"seed": "7"})
    network = FastRecognizer(tmp_path / "both.onnx")
    probabilities, logits = network.run(images, *FAST_OUTPUTS)
    doubtful = calibrated(first, 1).max(axis=1) < sure
    assert doubtful.sum() == count
    expected = np.where(doubtful[:, np.newaxis], second, first)
    np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-3)
    np.testing.assert_array_equal(probabilities.argmax(axis=1), expected.argmax(axis=1))
    assert {entry.key: entry.value for entry in onnx.load(network.path).metadata_props} == {"seed": "7"}


def test_networks_that_mean_something_else_by_a_byte_are_refused(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    quantised(tmp_path / "first.onnx", rng)
    quantised(tmp_path / "second.onnx", rng, scale=1 / 128)
    with pytest.raises(ValueError, match="not quantised in steps of 1/255"):
        write_cascade(tmp_path / "first.onnx", tmp_path / "second.onnx", 0.9, tmp_path / "both.onnx", {})
    assert not (tmp_path / "both.onnx").exists()


def test_training_and_export(mnist: Dataset, tmp_path: Path) -> None:
    settings = RECIPE | {"SEED": 3, "EPOCHS": 3, "BLOCKS": [[8], [16]], "DENSE_UNITS": 32, "DOUBTFUL": 0.2}
    images, labels = mnist.x_train[:6000], mnist.y_train[:6000]
    tiny, larger, losses = fit(images, labels, settings)
    assert losses[-1] < losses[0]
    sure = export(tiny, larger, images, mnist.x_train[6000:7000], tmp_path / "fast.onnx", settings)
    network = FastRecognizer(tmp_path / "fast.onnx")
    (logits,) = network.run(mnist.x_test, "logits")
    by_tiny, by_larger = (part.predict(as_input(mnist.x_test), verbose=0) for part in (tiny, larger))
    from_tiny, from_larger = (np.abs(logits - found).max(axis=1) for found in (by_tiny, by_larger))
    doubted = from_larger < from_tiny
    assert doubted.mean() == pytest.approx(0.2, abs=0.06)
    assert (doubted == (calibrated(by_tiny, 1).max(axis=1) < sure)).mean() > 0.97
    assert np.median(np.where(doubted, from_larger, from_tiny)) < 0.25
    assert (logits.argmax(axis=1) == mnist.y_test).mean() > 0.7


def test_both_networks_share_an_input_and_nothing_else() -> None:
    tiny, larger = networks(RECIPE)
    assert tiny.input_shape == larger.input_shape == (None, 28, 28, 1)
    assert tiny.output_shape == larger.output_shape == (None, 10)
    assert tiny.count_params() < larger.count_params() / 3
    assert not {id(weight) for weight in tiny.weights} & {id(weight) for weight in larger.weights}


def test_every_training_is_there_and_the_first_is_shipped() -> None:
    rows = read_rows_of("fast_network", RUNS)
    assert len(rows) == len(RUNS)
    assert rows[0]["model_sha256"] == sha256(MODELS / "fast.onnx")
    assert [row["certifies"] for row in rows] == [False, False, False, True]
    assert "test_accuracy" not in rows[3]
    assert all(sum(map(sum, row["confusion"])) == 10_000 for row in rows[:3])


def test_what_certifies_was_said_of_writers_that_were_held_out(mnist: Dataset) -> None:
    with np.load(RESULTS / FAST_DIGITS) as kept:
        rows, logits = kept["rows"], kept["logits"]
    assert set(rows) == set(np.concatenate([fold_rows("writer", fold) for fold in CERTIFYING_FOLDS]))
    row = read_rows_of("fast_network", RUNS)[3]["held_out"]
    assert row == {"images": len(rows), "errors": int((logits.argmax(axis=1) != mnist.y_train[rows]).sum())}
    validated = np.flatnonzero(validation_mask(mnist.y_train))
    certifying = said_by_folds(RESULTS, validated, "fast")
    assert set(certifying.rows) <= set(rows) - set(validated)
    assert len(certifying.rows) > 20_000


@pytest.mark.usefixtures("mnist", "writers")
def test_what_is_kept_of_validation_digits_is_said_by_the_fast_network(
    fast: FastRecognizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mnist: Dataset
) -> None:
    said = said_in_validation(RESULTS, "fast")
    rows = np.unique(said.rows)[:4]
    mask = np.isin(np.arange(len(mnist.y_train)), rows)
    monkeypatch.setattr("experiments.fast_network.validation_mask", lambda labels: mask)
    monkeypatch.setattr("experiments.fast_network.ROWS_AT_ONCE", 2)
    keep_validation(fast, tmp_path, 1)
    with np.load(tmp_path / FAST_VALIDATION) as kept:
        own = np.isin(said.rows, rows)
        np.testing.assert_array_equal(kept["rows"], said.rows[own])
        np.testing.assert_array_equal(kept["ways"], said.ways[own])
        assert np.abs(kept["logits"].astype(np.float32) - said.logits[own]).mean() < 0.1
        assert str(kept["network"]) == sha256(fast.path)
    assert {composing.WAYS[way] for way in said.ways} == set(composing.WAYS)


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """Return a copy of the networks and of the card."""
    folder = tmp_path / "models"
    folder.mkdir()
    for name in ("fast.onnx", "mnist_cnn.json", "reader.onnx"):
        shutil.copy(MODELS / name, folder)
    return folder


@pytest.mark.usefixtures("mnist", "writers")
def test_the_calibration_is_the_one_that_is_committed(models: Path) -> None:
    found: dict[str, Any] = calibrate(models, RESULTS, model="fast")
    committed = json.loads((MODELS / "fast.json").read_text())
    assert_same_calibration(found, committed)
    measured = found["digits"]
    assert measured["calibration_error_after"] < 0.005
    assert measured["accepted"] > 0.9 * measured["images"]
    assert measured["wrong_among_accepted"] <= RISK * measured["accepted"]


@pytest.mark.usefixtures("mnist", "writers")
def test_what_another_network_said_calibrates_nothing(models: Path) -> None:
    network = onnx.load(models / "fast.onnx")
    helper.set_model_props(network, {"seed": "other"})
    onnx.save(network, models / "fast.onnx")
    with pytest.raises(CalibrationError, match=r"another network than fast\.onnx: .*experiments\.fast_network"):
        calibrate(models, RESULTS, model="fast")
