"""The corruptions that are measured, and the rough handling that the picture network is prepared for."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.corruptions import rates
from digitreader.data import Dataset
from experiments.corruptions import CORRUPTIONS, corrupt
from experiments.rough import WAYS, rough

PLACED = {"shear", "scale", "rotation", "translation"}


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_a_corruption_follows_from_its_seed_and_changes_the_image(mnist: Dataset, name: str) -> None:
    for row in range(5):
        image = mnist.x_train[row]
        found, again, other = (corrupt(image, name, np.random.default_rng(seed)) for seed in (row, row, row + 100))
        np.testing.assert_array_equal(found, again)
        assert found.shape == (28, 28)
        assert found.dtype == np.uint8
        assert np.abs(found.astype(int) - image).mean() > 3
        if name not in {"brightness", "stripe", "scale", "Canny edges"} | PLACED:
            assert not np.array_equal(found, other)


def test_what_each_corruption_does(mnist: Dataset) -> None:
    image, rng = mnist.x_train[0], np.random.default_rng(0)
    left, middle = np.s_[:, :7], np.s_[:, 7:21]
    striped = corrupt(image, "stripe", rng)
    np.testing.assert_array_equal(striped[left], 255 - image[left])
    np.testing.assert_array_equal(striped[middle], image[middle])
    assert corrupt(image, "brightness", rng).min() == 128
    assert set(np.unique(corrupt(image, "Canny edges", rng))) == {0, 255}
    ink = image.astype(float)
    small = corrupt(image, "scale", rng).astype(float)
    assert small.sum() / ink.sum() == pytest.approx(0.7**2, rel=0.05)
    moved = corrupt(image, "translation", rng)
    rows, columns = (np.flatnonzero(image.any(axis=axis)) for axis in (1, 0))
    new_rows, new_columns = (np.flatnonzero(moved.any(axis=axis)) for axis in (1, 0))
    assert abs(int(new_rows.mean() - rows.mean())) == abs(int(new_columns.mean() - columns.mean())) == 3
    struck = corrupt(np.full((28, 28), 100, np.uint8), "impulse noise", rng)
    assert 0.1 < (struck != 100).mean() < 0.25
    assert {0, 255} == set(np.unique(struck[struck != 100]))
    fog = corrupt(np.zeros((28, 28), np.uint8), "fog", rng)
    assert np.ptp(fog) > 20, "clouds are uneven"
    assert fog.max() <= 192, "the ink has a quarter of the light"


def test_lines_add_ink_and_spots_take_some(mnist: Dataset) -> None:
    image = mnist.x_train[0].astype(int)
    for name in ("dotted line", "zigzag"):
        assert (corrupt(mnist.x_train[0], name, np.random.default_rng(0)).astype(int) >= image - 1).all()
    spotted = [corrupt(digit, "spatter", np.random.default_rng(0)) for digit in mnist.x_train[:20]]
    assert any((spots[digit > 200] < 128).any() for spots, digit in zip(spotted, mnist.x_train, strict=False))


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_rough_handling_leaves_an_image_of_its_size(mnist: Dataset, way: object) -> None:
    image = mnist.x_train[0][:, :20].astype(np.float32) / 255
    found = way(image, np.random.default_rng(0))  # type: ignore[operator]
    assert found.shape == (28, 20)
    assert np.isfinite(found).all()
    assert not np.allclose(found, image)


def test_rough_handling_follows_from_its_seed(mnist: Dataset) -> None:
    one, same, other = (rough(mnist.x_train[0], np.random.default_rng(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, other)


def test_rates_of_a_corruption() -> None:
    right, accepted = np.array([1, 1, 0, 0], bool), np.array([1, 0, 1, 0], bool)
    found = rates(right, accepted, np.array([1, 0, 0, 0], bool))
    assert (found["accuracy"], found["accuracy_of_the_network_alone"]) == (0.5, 0.25)
    assert (found["accepted"], found["wrong_among_accepted"]) == (0.5, 0.5)
    assert found["wrong_among_accepted_95"][0] < 0.5 < found["wrong_among_accepted_95"][1]
    assert rates(right, np.zeros(4, bool), right)["wrong_among_accepted"] == 0
