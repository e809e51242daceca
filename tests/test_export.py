"""Exports: written by the command, read back by their own runtimes, refused if they decide otherwise than Keras."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, NamedTuple

import numpy as np
import onnx
import pytest

from digitreader.arrays import FloatArray
from digitreader.data import Dataset
from digitreader.errors import ExportError
from digitreader.export import export as write_export
from digitreader.export import record
from digitreader.formats import FLOAT, TARGETS, Bound, Format
from digitreader.parity import Predict, check, compare, open_export, open_keras
from digitreader.recognizer import MODELS, as_input, sha256
from digitreader.training import CARD, MODEL, NOTEBOOK
from tests.helpers import digits


class Export(NamedTuple):
    """An export, and what the command said of it."""

    path: Path
    said: str


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the exports, named as in the project's folder, and with the samples."""
    folder = tmp_path_factory.mktemp("exports")
    shutil.copytree(Path(__file__).parents[1] / "docs" / "samples", folder / "docs" / "samples")
    return folder


@pytest.fixture(scope="module")
def export(folder: Path, mnist: Dataset) -> Callable[[Format], Export]:
    """Return what makes an export by the command, once."""

    @cache
    def export(format: Format) -> Export:
        done = digits("export", "--format", format, "--out", folder / TARGETS[format])
        assert done.returncode == 0, done.stderr
        return Export(folder / TARGETS[format], done.stdout)

    return export


@pytest.fixture(scope="module")
def keras() -> Predict:
    """Return what predicts with Keras."""
    return open_keras(MODELS / "mnist_cnn.keras")


@pytest.mark.parametrize("format", list(Format))
def test_an_export_decides_as_keras_does_in_its_own_runtime(
    export: Callable[[Format], Export], format: Format, keras: Predict, mnist: Dataset
) -> None:
    path, said = export(format)
    first = slice(1000)
    network = open_export(path, format, threads=2)
    parity = compare(keras, network, as_input(mnist.x_test[first]), mnist.y_test[first])
    assert parity.images == 1000
    assert parity.accuracy > 0.99
    check(parity, Bound(difference=0.2, changed=0.005, lost=0.005) if format.quantised else FLOAT)
    assert network(np.zeros((1, 28, 28, 1), np.float32)).shape == (1, 10), "any number of images"
    assert "on 10,000 images" in said
    assert "NOT CHECKED" not in said
    assert record(path, format) == {"format": format, "keras_sha256": sha256(MODELS / "mnist_cnn.keras")}
    assert not list(path.parent.glob(".export-*")), "nothing is left but the export"
    if format.quantised:
        assert path.stat().st_size < 0.3 * (MODELS / "mnist_cnn.onnx").stat().st_size


@pytest.mark.parametrize(("factor", "kept"), [(1 + 1e-7, True), (1.5, False)])
def test_only_a_file_of_the_reader_that_decides_otherwise_is_replaced(
    tmp_path: Path, mnist: Dataset, factor: float, kept: bool
) -> None:
    for name in ("mnist_cnn.keras", "mnist_cnn.json", "mnist_cnn.onnx"):
        shutil.copy(MODELS / name, tmp_path)
    target = tmp_path / "mnist_cnn.onnx"
    network = onnx.load(target)
    for weights in network.graph.initializer:
        values = onnx.numpy_helper.to_array(weights)
        if values.dtype == np.float32:
            weights.CopyFrom(onnx.numpy_helper.from_array(values * np.float32(factor), weights.name))
    onnx.save(network, target)
    before = target.read_bytes()
    few = dataclasses.replace(mnist, x_test=mnist.x_test[:500], y_test=mnist.y_test[:500])
    parity = write_export(tmp_path / "mnist_cnn.keras", target, Format.ONNX, few, overwrite=True)
    assert (target.read_bytes() == before) == kept
    check(parity, FLOAT)


def example(root: Path, heading: str) -> str:
    """Return the Python of a section of the documentation."""
    text = (root / "docs" / "exports.md").read_text(encoding="utf-8")
    found = re.search(rf"^## {heading}\n.*?^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert found
    return found[1]


def run_example(program: str, folder: Path) -> str:
    """Return what a program prints that runs in a folder."""
    done = subprocess.run([sys.executable, "-c", program], cwd=folder, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_the_documented_python_reads_the_litert_file(
    export: Callable[[Format], Export], folder: Path, root: Path
) -> None:
    export(Format.LITERT)
    assert run_example(example(root, "Python"), folder) == "7"


@contextmanager
def serving(path: Path) -> Iterator[str]:
    """Stand in for TensorFlow Serving and its REST API, rows of instances, with a SavedModel; yield its address."""
    import tensorflow as tf

    model = tf.saved_model.load(str(path))

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            assert self.path == "/v1/models/mnist_cnn:predict"
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            signature = model.signatures[request["signature_name"]]
            specs: dict[str, Any] = signature.structured_input_signature[1]
            assert all(row.keys() == specs.keys() for row in request["instances"])
            inputs = {
                name: tf.constant([row[name] for row in request["instances"]], spec.dtype)
                for name, spec in specs.items()
            }
            assert all(specs[name].is_compatible_with(value) for name, value in inputs.items())
            (output,) = signature(**inputs).values()  # of a single output TensorFlow Serving leaves the name out
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps({"predictions": output.numpy().tolist()}).encode())

        def log_message(self, format: str, *arguments: Any) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_the_documented_request_suits_the_signature(
    export: Callable[[Format], Export], folder: Path, root: Path
) -> None:
    program = example(root, "TensorFlow Serving")
    with serving(export(Format.SAVEDMODEL).path) as address:
        assert run_example(program.replace("http://127.0.0.1:8501", address), folder) == "7"


def fixed(probabilities: FloatArray) -> Predict:
    """Return what predicts these probabilities, whatever the images."""
    return lambda images: probabilities[: len(images)]


def test_the_comparison_counts_what_differs() -> None:
    before = np.eye(10, dtype=np.float32)[[0, 1, 2, 3]]
    after = before.copy()
    after[1] = [0.6, 0.4, *[0] * 8]
    labels = np.array([0, 1, 2, 9], np.uint8)
    parity = compare(fixed(before), fixed(after), np.zeros((4, 28, 28, 1), np.float32), labels)
    assert parity.difference == pytest.approx(0.6)
    assert (parity.images, parity.changed, parity.accuracy, parity.keras_accuracy) == (4, 1, 0.5, 0.75)


@pytest.mark.parametrize(
    ("bound", "problem"),
    [
        (Bound(difference=0.5, changed=1, lost=1), "probabilities differ by 6.0e-01"),
        (Bound(difference=1, changed=0.2, lost=1), "1 of 4 decisions change"),
        (Bound(difference=1, changed=1, lost=0.2), "25.00 points of accuracy are lost"),
    ],
)
def test_what_differs_by_more_than_its_bound_is_refused(bound: Bound, problem: str) -> None:
    before = np.eye(10, dtype=np.float32)[:4]
    after = before.copy()
    after[1] = [0.6, 0.4, *[0] * 8]
    parity = compare(fixed(before), fixed(after), np.zeros((4, 28, 28, 1), np.float32), np.arange(4, dtype=np.uint8))
    check(parity, Bound(difference=0.6001, changed=0.25, lost=0.25))
    with pytest.raises(ExportError, match=problem):
        check(parity, bound)


@pytest.mark.parametrize("wrong", [np.full((4, 10), np.nan, np.float32), np.zeros((4, 11), np.float32)])
def test_what_gives_no_probabilities_is_refused(wrong: FloatArray) -> None:
    images, labels = np.zeros((4, 28, 28, 1), np.float32), np.arange(4, dtype=np.uint8)
    with pytest.raises(ExportError, match="ten probabilities"):
        compare(fixed(np.eye(10, dtype=np.float32)[:4]), fixed(wrong), images, labels)


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # of Keras, as it saves
def test_an_export_that_decides_otherwise_leaves_what_was_there(root: Path, tmp_path: Path, mnist: Dataset) -> None:
    """Eight bits are too few for a network that is not trained: its digits are all about as probable."""
    import keras

    keras.utils.set_random_seed(0)
    for path in (MODEL, CARD, NOTEBOOK):
        (tmp_path / path).parent.mkdir(exist_ok=True)
        shutil.copyfile(root / path, tmp_path / path)
    keras.models.clone_model(keras.models.load_model(root / MODEL, compile=False)).save(tmp_path / MODEL)
    target = tmp_path / TARGETS[Format.ONNX_INT8]
    target.parent.mkdir(parents=True)
    target.write_bytes(b"an older one")
    done = digits("export", "--format", "onnx-int8", cwd=tmp_path)
    assert done.returncode == 1
    assert "decisions change, more than 20" in done.stderr
    assert target.read_bytes() == b"an older one"
    assert list(target.parent.iterdir()) == [target]


@pytest.mark.parametrize(("format", "name"), [(Format.SAVEDMODEL, "thesis"), (Format.ONNX_INT8, "reader.onnx")])
def test_what_is_no_such_export_is_not_replaced(tmp_path: Path, mnist: Dataset, format: Format, name: str) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.txt").write_text("years of work")
    shutil.copyfile(MODELS / "mnist_cnn.onnx", tmp_path / "reader.onnx")  # an export, but in another format
    done = digits("export", "--format", format, "--out", tmp_path / name)
    assert done.returncode == 1
    assert f"{name} is no {format} export" in done.stderr
    assert (tmp_path / "thesis" / "chapter.txt").read_text() == "years of work"
    assert sha256(tmp_path / "reader.onnx") == sha256(MODELS / "mnist_cnn.onnx")


def test_a_file_is_named_for_what_it_is(tmp_path: Path) -> None:
    done = digits("export", "--format", "litert", "--out", tmp_path / "network.onnx")
    assert done.returncode == 2
    assert ".tflite" in done.stderr


def run_offline(environment: dict[str, str], *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run `digits export` where MNIST cannot be had."""
    command = [sys.executable, "-m", "digitreader", "export", *map(str, arguments)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)


def test_without_mnist_the_command_says_what_it_was_checked_on(offline: dict[str, str], tmp_path: Path) -> None:
    done = run_offline(offline, "--out", tmp_path / "network.onnx")
    assert done.returncode == 0, done.stderr
    assert "NOT CHECKED ON MNIST, but on scikit-learn digits." in done.stdout
    assert "on 297 images" in done.stdout


def test_without_mnist_nothing_is_quantised(offline: dict[str, str], tmp_path: Path) -> None:
    done = run_offline(offline, "--format", "litert-int8", "--out", tmp_path / "network.tflite")
    assert done.returncode == 1
    assert "MNIST_DIR" in done.stderr
    assert not (tmp_path / "network.tflite").exists()
