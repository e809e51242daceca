"""Digits for training: how they are moved, and which of them are shown."""

from __future__ import annotations

import numpy as np

from digitreader.data import Dataset
from experiments.fast_network import RECIPE
from experiments.selective import batches, moved


def test_moving_keeps_the_digit_in_the_picture(mnist: Dataset) -> None:
    rng = np.random.default_rng(0)
    images = np.repeat(mnist.x_train[:1], 200, axis=0)
    found = moved(images, RECIPE, rng)
    assert found.dtype == np.uint8
    ink = found.reshape(200, -1).sum(axis=1) / images[0].sum()
    assert ink.min() > 0.6
    assert ink.max() < 1.5
    assert len(np.unique(found, axis=0)) == 200
    still = dict.fromkeys(("TURN", "SLANT", "STRETCH", "SHIFT"), 0.0)
    np.testing.assert_array_equal(moved(images, still, rng), images)


def test_each_digit_is_seen_once_then_mostly_the_hard_ones() -> None:
    losses = np.full(1000, np.inf, np.float32)
    found = batches(losses, {"BATCH_SIZE": 100, "KEPT": 0.4, "AT_RANDOM": 0.3}, np.random.default_rng(0))
    assert sorted(np.concatenate([next(found) for _ in range(10)])) == list(range(1000))
    losses[:] = np.arange(1000)[::-1]
    again = np.concatenate([next(found) for _ in range(4)])
    assert len(set(again)) == 400
    assert set(range(280)) <= set(again), "those with the largest losses"
    assert max(again) > 900, "and some others"
