"""The training of the line reader: what it is shown, and that an interrupted run goes on."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pytest

import experiments.line_reader
import experiments.lines
from digitreader.ctc import BLANK, SYMBOLS
from digitreader.fields import HEIGHT
from digitreader.recognizer import LineRecognizer
from experiments.line_reader import bent, ctc_loss, export, greedy, padded, train
from experiments.lines import compose_part


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


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> argparse.Namespace:
    """Return the settings of a training of two epochs on one part of 32 lines."""
    monkeypatch.setattr(experiments.lines, "FOLDER", tmp_path)
    for module in (experiments.lines, experiments.line_reader):
        monkeypatch.setattr(module, "PART", 32)
    monkeypatch.setattr(experiments.line_reader, "VALIDATION_PARTS", 1)
    for kind in ("training", "validation"):
        compose_part(tmp_path / f"{kind}-0000.npz", 0, kind == "validation")
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
        train(small)
    shares = iter([0.4])  # of the second epoch alone
    trained = train(small)
    assert [path.name for path in trained.parent.iterdir()] == [trained.name]
    network = keras.models.load_model(trained, custom_objects={"ctc_loss": ctc_loss})
    assert int(network.optimizer.iterations) == 2 * 2, "two steps an epoch, none of them twice"

    export(trained, tmp_path / "line.onnx", "the command")
    lines = np.random.default_rng(0).random((2, HEIGHT, 48), np.float32)
    logits = np.asarray(network(lines[..., np.newaxis]))
    expected = logits - np.log(np.exp(logits).sum(axis=2, keepdims=True))
    np.testing.assert_allclose(LineRecognizer(tmp_path / "line.onnx").run(lines), expected, atol=1e-4)
