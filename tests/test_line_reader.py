"""The training of the line reader: what it is shown, and that an interrupted run goes on."""

from __future__ import annotations

import argparse
import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest

import experiments.line_reader
import experiments.lines
from digitreader.arrays import ByteArray
from digitreader.calibrate_fields import WAYS, kept_lines
from digitreader.ctc import BLANK, SYMBOLS
from digitreader.data import Writers
from digitreader.fields import HEIGHT
from digitreader.recognizer import LineRecognizer, sha256
from experiments.line_reader import bent, ctc_loss, export, greedy, keep, padded, quantise, train
from experiments.lines import FIELDS, PARTS, Kind, compose_part, disjoint, read_part, rows_of


def test_bent_lines_are_whole() -> None:
    line = np.zeros((HEIGHT, 60), np.float32)
    line[1:23, 4:56] = 1
    shapes = set()
    for seed in range(30):
        pixels = bent(line, np.random.default_rng(seed))
        shapes.add(pixels.shape)
        assert pixels.shape[0] == HEIGHT
        assert pixels.shape[1] % 4 == 0
        assert 0 <= pixels.min() <= pixels.max() <= 1
        assert pixels.sum() == pytest.approx(line.sum(), rel=0.27), "as much larger or smaller as it may be, not cut"
    assert len(shapes) > 3


def test_padding_is_paper_and_blank() -> None:
    images, labels = padded([np.ones((HEIGHT, 20), np.float32), np.ones((HEIGHT, 12), np.float32)], ["10-4", "?"])
    assert images.shape == (2, HEIGHT, 32, 1)
    assert images[1, :, :12].all()
    assert not images[1, :, 12:].any()
    assert [SYMBOLS[k] for k in labels[0]] == list("10-4")
    assert labels[1].tolist() == [SYMBOLS.index("?"), BLANK, BLANK, BLANK]


def test_greedy_texts_have_no_repeats_and_no_blanks() -> None:
    steps = [1, 1, BLANK, 1, 0, 0, BLANK, BLANK, SYMBOLS.index("-")]
    logits = np.eye(BLANK + 1, dtype=np.float32)[steps]
    assert greedy(logits[np.newaxis]) == ["110-"]


@pytest.mark.usefixtures("mnist")
def test_lines_that_certify_are_by_writers_that_their_network_never_saw(writers: Writers) -> None:
    certifying, others = rows_of(Kind.CERTIFYING), rows_of(Kind.OTHER_WRITERS)
    assert not np.intersect1d(writers.train[certifying], writers.train[others]).size
    assert not np.intersect1d(np.concatenate([certifying, others]), rows_of(Kind.VALIDATION)).size
    np.testing.assert_array_equal(np.union1d(certifying, others), rows_of(Kind.TRAINING))
    assert len(certifying) == pytest.approx(0.4 * 54_000, rel=0.02)


@pytest.mark.usefixtures("mnist")
def test_each_digit_stands_in_one_certifying_line(writers: Writers, monkeypatch: pytest.MonkeyPatch) -> None:
    used: Counter[int] = Counter()
    seen: set[bytes] = set()

    def record(
        images: ByteArray, labels: ByteArray, names: npt.NDArray[np.int32], *_: Any, **options: Any
    ) -> list[Any]:
        assert len(images) == len(labels) == options["digits"]
        (writer,) = set(names.tolist())
        used[writer] += len(images)
        seen.update(image.tobytes() for image in images)
        return []

    monkeypatch.setattr(experiments.lines, "lines", record)
    for number in range(PARTS[Kind.CERTIFYING]):
        assert not list(disjoint(number))
    assert len(seen) == used.total(), "a digit twice"
    own = Counter(writers.train[rows_of(Kind.CERTIFYING)].tolist())
    assert used.keys() == own.keys()
    assert all(own[name] - max(FIELDS) < count <= own[name] for name, count in used.items())


@pytest.mark.usefixtures("mnist", "writers")
def test_what_is_kept_of_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(experiments.lines, "FOLDER", tmp_path)
    monkeypatch.setattr(experiments.lines, "PART", 40)
    monkeypatch.setitem(experiments.lines.PARTS, Kind.VALIDATION, 1)
    compose_part(tmp_path / "validation-0000.npz", Kind.VALIDATION, 0)  # not in a process forked from this one
    keep(LineRecognizer(), Kind.VALIDATION, tmp_path / "kept" / "lines.npz", command="the command", jobs=1)
    kept = kept_lines(tmp_path / "kept" / "lines.npz")
    part = read_part(tmp_path / "validation-0000.npz")
    assert kept.model_sha256 == sha256(LineRecognizer().path)
    with np.load(tmp_path / "kept" / "lines.npz") as content:
        made = json.loads(str(content["made"]))
    assert made["command"] == "the command"
    assert made.keys() >= {"seed", "versions", "machine"}
    assert kept.writers.tolist() == part.writers
    assert kept.margins.shape == kept.right.shape == kept.usable.shape == (len(WAYS), len(part.texts))
    assert kept.right.mean() > 0.7
    assert kept.usable.mean() > 0.7
    assert (kept.margins[1] >= kept.margins[0])[kept.right[0]].all(), (
        "a length that is known makes no right text doubtful"
    )


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> argparse.Namespace:
    """Return the settings of a training of two epochs on one part of 32 lines."""
    monkeypatch.setattr(experiments.lines, "FOLDER", tmp_path)
    for module in (experiments.lines, experiments.line_reader):
        monkeypatch.setattr(module, "PART", 32)
    monkeypatch.setitem(experiments.lines.PARTS, Kind.VALIDATION, 1)
    for kind in (Kind.TRAINING, Kind.VALIDATION):
        compose_part(tmp_path / f"{kind}-0000.npz", kind, 0)
    return argparse.Namespace(parts=1, epochs=2, batch_size=16, learning_rate=1e-3, jobs=1)


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # Keras's own
@pytest.mark.usefixtures("mnist", "writers")
def test_an_interrupted_training_goes_on(
    small: argparse.Namespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import keras

    monkeypatch.setattr(experiments.line_reader, "STATE", tmp_path / "state")
    shares = iter([0.5])  # of the first epoch; the second one ends before it is stored
    monkeypatch.setattr(experiments.line_reader, "wrong_share", lambda *_: next(shares))
    with pytest.raises(StopIteration):
        train(Kind.TRAINING, small)
    shares = iter([0.4])  # of the second epoch alone
    trained = train(Kind.TRAINING, small)
    assert [path.name for path in trained.parent.iterdir()] == [trained.name]
    network = keras.models.load_model(trained, custom_objects={"ctc_loss": ctc_loss})
    assert int(network.optimizer.iterations) == 2 * 2, "two steps an epoch, none of them twice"

    export(trained, file := tmp_path / "line.onnx", "the command")
    lines = np.random.default_rng(0).random((2, HEIGHT, 48), np.float32)
    logits = np.asarray(network(lines[..., np.newaxis]))
    expected = logits - np.log(np.exp(logits).sum(axis=2, keepdims=True))
    np.testing.assert_allclose(LineRecognizer(file).run(lines), expected, atol=1e-4)

    larger = file.stat().st_size
    quantise(file, Kind.TRAINING, "the command", jobs=1)
    assert file.stat().st_size < 0.7 * larger
    np.testing.assert_allclose(LineRecognizer(file).run(lines), expected, atol=0.1)
    assert {entry.key: entry.value for entry in onnx.load(file).metadata_props}["command"] == "the command"
