"""The exported network: its interface, its agreement with Keras, and what is said when a file is not right."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from digitreader.data import Dataset
from digitreader.errors import ExportError, ImageError, ModelError
from digitreader.export import export_onnx
from digitreader.formats import FLOAT, Format
from digitreader.parity import check, compare, open_export, open_keras
from digitreader.reader import DigitReader
from digitreader.recognizer import MODELS, OUTPUTS, Recognizer, as_input, sha256

ONNX = MODELS / "mnist_cnn.onnx"


FILES = {
    "mnist_cnn.onnx": "digits export",
    "reader.onnx": "python -m experiments.reader_network",
    "reader.json": "digits calibrate",
    "line_reader.onnx": "python -m experiments.line_reader",
    "line_reader.json": "digits calibrate",
}


@pytest.fixture(scope="module")
def recognizer() -> Recognizer:
    """Return the committed network."""
    return Recognizer()


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """Return a copy of the folder of the models."""
    return Path(shutil.copytree(MODELS, tmp_path / "models"))


def test_exported_from_the_committed_network(recognizer: Recognizer, card: dict[str, Any]) -> None:
    assert recognizer.keras_sha256 == sha256(MODELS / "mnist_cnn.keras") == card["model_sha256"]


def test_interface(recognizer: Recognizer) -> None:
    graph = onnx.load(ONNX).graph
    (image,) = graph.input
    sizes = [dimension.dim_value or "n" for dimension in image.type.tensor_type.shape.dim]
    assert (image.name, sizes) == ("image", ["n", 28, 28, 1])
    assert {output.name for output in graph.output} == set(OUTPUTS)
    images = np.random.default_rng(0).random((150, 28, 28))
    probabilities, logits, embedding, last_conv = recognizer.run(images, *OUTPUTS)
    assert probabilities.shape == logits.shape == (150, 10)
    assert embedding.shape == (150, 256)
    assert last_conv.shape == (150, 7, 7, 128)
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    np.testing.assert_allclose(probabilities, exponentials / exponentials.sum(axis=1, keepdims=True), atol=1e-6)


def test_parity_with_keras_on_every_test_image(mnist: Dataset) -> None:
    keras, network = open_keras(MODELS / "mnist_cnn.keras"), open_export(ONNX, Format.ONNX)
    check(compare(keras, network, as_input(mnist.x_test), mnist.y_test), FLOAT)


def test_exporting_again_gives_the_same_bytes(tmp_path: Path) -> None:
    program = """
import pathlib, sys
from digitreader.export import export_onnx
export_onnx(*map(pathlib.Path, sys.argv[1:]))
"""
    written = [tmp_path / f"{seed}.onnx" for seed in (1, 2)]
    for seed, path in enumerate(written, 1):  # names are kept in sets, whose order hangs on the seed
        command = [sys.executable, "-c", program, str(MODELS / "mnist_cnn.keras"), str(path)]
        subprocess.run(command, env=os.environ | {"PYTHONHASHSEED": str(seed)}, check=True, capture_output=True)
    assert written[0].read_bytes() == written[1].read_bytes()


def test_dtypes_agree(recognizer: Recognizer) -> None:
    images = np.random.default_rng(0).integers(0, 256, (5, 28, 28), dtype=np.uint8)
    expected = recognizer.predict_proba(images)
    assert expected.dtype == np.float32
    for same in (images / 255, (images / 255).astype(np.float32)):
        np.testing.assert_allclose(recognizer.predict_proba(same), expected, atol=1e-5)
    black_and_white = images > 127
    np.testing.assert_array_equal(
        recognizer.predict_proba(black_and_white), recognizer.predict_proba(black_and_white.astype(float))
    )


def test_no_images_give_no_rows(recognizer: Recognizer) -> None:
    assert recognizer.predict_proba(np.zeros((0, 28, 28))).shape == (0, 10)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((28, 28)), "shape"),
        (np.zeros((2, 28, 28, 1)), "shape"),
        (np.zeros((2, 20, 20)), "shape"),
        (np.zeros((2, 28, 28), np.int32), "int32"),
        (np.full((2, 28, 28), 255.0), r"\[0, 1\]"),
        (np.full((2, 28, 28), np.nan), r"\[0, 1\]"),
        (np.full((2, 28, 28), -0.1), r"\[0, 1\]"),
    ],
)
def test_wrong_images_are_refused(recognizer: Recognizer, images: np.ndarray, message: str) -> None:
    with pytest.raises(ImageError, match=message):
        recognizer.predict_proba(images)


@pytest.mark.parametrize(("name", "command"), FILES.items())
def test_missing_file_names_the_command_that_writes_it(models: Path, name: str, command: str) -> None:
    (models / name).unlink()
    with pytest.raises(ModelError, match=rf"{name} is missing.*{command}"):
        DigitReader(models)


@pytest.mark.parametrize(("name", "command"), FILES.items())
@pytest.mark.parametrize("content", [b"", b"{}", b"\x00" * 100])
def test_damaged_file_names_the_command_that_writes_it(models: Path, name: str, command: str, content: bytes) -> None:
    (models / name).write_bytes(content)
    with pytest.raises(ModelError, match=rf"{name} is damaged.*{command}"):
        DigitReader(models)


@pytest.mark.parametrize("name", ["reader.json", "line_reader.json"])
def test_calibration_of_another_network_is_refused(models: Path, name: str) -> None:
    content = json.loads((models / name).read_text())
    (models / name).write_text(json.dumps(content | {"onnx_sha256": ["0" * 64]}))
    with pytest.raises(ModelError, match=rf"belongs to another network.*{FILES[name]}"):
        DigitReader(models)


def test_newer_keras_file_is_a_warning(models: Path) -> None:
    (models / "mnist_cnn.keras").write_bytes(b"another")
    with pytest.warns(UserWarning, match="digits export"):
        DigitReader(models)


def test_another_onnx_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "identity.onnx"
    value = onnx.helper.make_tensor_value_info("image", onnx.TensorProto.FLOAT, ["n", 28, 28, 1])
    same = onnx.helper.make_tensor_value_info("same", onnx.TensorProto.FLOAT, ["n", 28, 28, 1])
    node = onnx.helper.make_node("Identity", ["image"], ["same"])
    graph = onnx.helper.make_graph([node], "identity", [value], [same])
    onnx.save(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8), path)
    with pytest.raises(ModelError, match="lacks outputs"):
        Recognizer(path)


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # of Keras, as it saves
def test_export_of_another_network_is_refused(tmp_path: Path) -> None:
    import keras

    path = tmp_path / "other.keras"
    keras.Sequential([keras.Input((28, 28, 1)), keras.layers.Flatten(), keras.layers.Dense(10)]).save(path)
    with pytest.raises(ExportError, match="not the notebook's network"):
        export_onnx(path, tmp_path / "other.onnx")
    assert not (tmp_path / "other.onnx").exists()
