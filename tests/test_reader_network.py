"""The pictures that the reader's own network is trained on, its training, and what is kept of it."""

from __future__ import annotations

from itertools import chain
from pathlib import Path

import numpy as np
import pytest

from digitreader.calibrate import FOLDS
from digitreader.data import Dataset, Writers
from digitreader.recognizer import PictureRecognizer, as_input
from experiments import pictures as composing
from experiments.crossval import fold_rows
from experiments.non_digits import NON_DIGITS
from experiments.pictures import NONE, POOL, WAYS, Pictures, seen
from experiments.reader_network import FAMILIES, RECIPE, epoch_of, export, fit, keep, moved, without

INK = [
    109,
    75,
    118,
    82,
    131,
    178,
    123,
    129,
    93,
    112,
    65,
    94,
    88,
    94,
    82,
    83,
    76,
    73,
    68,
    94,
    67,
    54,
    84,
    124,
    92,
    100,
    104,
    97,
    85,
    44,
    119,
    114,
    75,
    119,
    98,
    116,
    70,
    74,
    66,
    84,
    227,
    92,
    142,
    165,
    91,
    128,
    124,
    136,
    44,
    55,
    38,
    30,
    93,
    153,
    91,
    90,
    86,
    76,
    65,
    166,
    112,
    108,
    92,
    102,
    67,
    153,
    59,
    67,
    69,
    63,
    34,
    206,
]
"""Of the pictures of the first digits, in white pixels."""


def test_every_kind_is_left_out_once() -> None:
    assert sorted(chain(*FAMILIES)) == sorted(NON_DIGITS)
    assert len(FAMILIES) == FOLDS


@pytest.fixture(scope="module")
def pictures(mnist: Dataset) -> Pictures:
    """Return made-up pictures: of 2,000 digits all ways, and a stripe of its own place for each non-digit."""
    rows = np.arange(2000, dtype=np.int32)
    digits = np.tile(mnist.x_train[:2000], (3, 1, 1))
    kinds = rows % len(NON_DIGITS)
    stripes = np.zeros((2000, 28, 28), np.uint8)
    stripes[rows, 6 + kinds] = 255
    return Pictures(
        images=np.concatenate([digits, stripes]),
        labels=np.concatenate([np.tile(mnist.y_train[:2000], 3), np.full(2000, NONE)]).astype(np.uint8),
        kinds=np.concatenate([np.full(6000, -1), kinds]).astype(np.int8),
        ways=np.concatenate([np.repeat([0, 1, 2], 2000), rows % len(WAYS)]).astype(np.int8),
        rows=np.tile(rows, 4),
    )


def test_an_epoch_has_each_digit_once_and_some_non_digits(pictures: Pictures) -> None:
    images, labels = epoch_of(pictures, RECIPE, np.random.default_rng(0))
    assert images.shape == (len(labels), 28, 28, 1)
    assert (labels != NONE).sum() == 2000
    assert (labels == NONE).sum() == pytest.approx(2000 * RECIPE["NON_DIGITS"], abs=1)
    assert 0 < images.max() <= 1
    np.testing.assert_array_equal(np.bincount(labels[labels != NONE]), np.bincount(pictures.labels[:2000]))


@pytest.mark.parametrize("fold", range(FOLDS))
def test_a_fold_sees_neither_its_writers_nor_its_family(pictures: Pictures, writers: Writers, fold: int) -> None:
    left = pictures[without(pictures, fold)]
    held_out = writers.train[fold_rows("writer", fold)]
    assert not np.isin(writers.train[left.rows], held_out).any()
    kept = {NON_DIGITS[kind] for kind in left.kinds[left.labels == NONE]}
    assert kept == set(NON_DIGITS) - set(FAMILIES[fold])
    assert (left.labels != NONE).sum() > 0.5 * 6000


def test_moving_keeps_most_of_the_ink(mnist: Dataset) -> None:
    rng = np.random.default_rng(0)
    ratios = [moved(image, rng).sum() / image.sum() for image in mnist.x_train[:100]]
    assert np.median(ratios) == pytest.approx(1, abs=0.1)
    assert not np.array_equal(moved(mnist.x_train[0], rng), moved(mnist.x_train[0], rng))


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # of Keras
def test_a_short_training_learns_and_what_it_says_is_kept(pictures: Pictures, mnist: Dataset, tmp_path: Path) -> None:
    settings = RECIPE | {"EPOCHS": 3, "BLOCKS": [[8], [16]], "DENSE_UNITS": 32, "BATCH_SIZE": 64}
    model, losses = fit(pictures, settings)
    assert losses[-1] < losses[0]
    network = tmp_path / "network.onnx"
    export(model, pictures, network, settings)
    row = keep(PictureRecognizer(network), pictures, 0, tmp_path)
    assert row["held_out"]["plain"]["errors"] < 0.3 * row["held_out"]["plain"]["images"]
    with np.load(tmp_path / row["file"]) as kept:
        assert np.isin(kept["rows"], fold_rows("writer", 0)).all()
        assert kept["logits"].shape == (row["held_out"]["plain"]["images"], NONE + 1)
        assert kept["validation_logits"].shape == (len(kept["validation_rows"]), 10)
        assert set(kept["validation_ways"]) == {0, 1, 2}
        assert {NON_DIGITS[kind] for kind in kept["unseen_kinds"]} == set(FAMILIES[0])
        assert len(kept["unseen_pictures"]) == len(kept["unseen_kinds"])


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # of Keras
def test_an_exported_network_says_what_keras_says(pictures: Pictures, tmp_path: Path) -> None:
    some = pictures[np.arange(0, len(pictures.rows), 10)]
    model, _ = fit(some, settings := RECIPE | {"EPOCHS": 1, "BLOCKS": [[8], [16]], "DENSE_UNITS": 32})
    for name in ("one.onnx", "other.onnx"):
        export(model, pictures, tmp_path / name, settings)
    expected = model.predict(as_input(some.images), verbose=0)
    found, again = (PictureRecognizer(tmp_path / name).run(some.images) for name in ("one.onnx", "other.onnx"))
    np.testing.assert_array_equal(found, again)
    assert np.corrcoef(found.ravel(), expected.ravel())[0, 1] > 0.995
    assert len(np.unique(found)) > 1000, "eight bits would leave 256 values"


def test_pictures_are_of_rows_and_ways(mnist: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(composing, "PART", 12)
    composing.compose_part(tmp_path / "00.npz", 0)
    with np.load(tmp_path / "00.npz") as stored:
        images, labels, kinds, ways, rows = (stored[name] for name in ("images", "labels", "kinds", "ways", "rows"))
    digits = labels != NONE
    assert set(rows) == set(range(12))
    assert set(ways[digits]) == {0, 1, 2}
    np.testing.assert_array_equal(labels[digits], mnist.y_train[rows[digits]])
    assert ((kinds == -1) == digits).all()
    assert images.shape[1:] == (28, 28)
    assert (images.reshape(len(images), -1).max(axis=1) > 100).all()


def test_a_blank_picture_is_not_seen() -> None:
    assert seen(np.zeros((28, 28), np.uint8)) is None


def test_the_pictures_come_out_as_those_that_the_network_was_trained_on(mnist: Dataset) -> None:
    found = [seen(pixels) for row in range(12) for pixels, *_ in composing._of_row(row, row + 1, mnist)]
    ink = [0 if image is None else round(float(image.sum()) / 255) for image in found]
    assert ink == pytest.approx(INK, abs=1), f"these are other pictures than {POOL}: name them otherwise and train anew"
