"""The speed run: the examples are those that are published, and the recipes learn."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from benchmarks.results import read_result
from benchmarks.speedrun import (
    AIMS,
    EXAMPLES,
    KERAS,
    PYTORCH,
    RECIPES,
    RUN,
    SPRINT,
    TRAIN,
    TRAININGS,
)
from digitreader.data import Dataset
from digitreader.recognizer import as_input

QUICK = {"EPOCHS": 2, "SEED": 0, "BATCH_SIZE": 32}


def weights_of(predict: Any) -> int:
    """Return how many weights the network has that is judged."""
    if hasattr(predict.func, "__self__"):  # Keras' bound method
        return int(predict.func.__self__.count_params())
    return sum(parameter.numel() for parameter in predict.args[0].parameters())


@pytest.mark.parametrize(("name", "weights"), [(KERAS, 34_826), (PYTORCH, 1_199_882), (SPRINT, None), (RUN, None)])
def test_each_recipe_learns(mnist: Dataset, name: str, weights: int | None) -> None:
    if name != KERAS:
        pytest.importorskip("torch")
    images, labels = as_input(mnist.x_train[:3000]), mnist.y_train[:3000].astype(np.int64)
    settings = RECIPES[name] | QUICK
    shown, truth = as_input(mnist.x_train[3000:4000]), mnist.y_train[3000:4000]
    networks = list(TRAIN[name](images, labels, settings))
    assert len(networks) == (2 if name in (KERAS, PYTORCH) else 1)
    assert (networks[-1](shown).argmax(axis=1) == truth).mean() > 0.85
    if weights:
        assert weights_of(networks[-1]) == weights


def test_the_result_is_complete() -> None:
    result = read_result("speedrun")
    assert result["recipes"] == RECIPES
    for name, settings in RECIPES.items():
        runs = [run for run in result["runs"] if run["recipe"] == name]
        assert sorted(run["seed"] for run in runs) == list(range(TRAININGS))
        for run in runs:
            *before, last = (judged["val_accuracy"] for judged in run["judged"])
            if name in EXAMPLES:
                assert max(before, default=0) < AIMS[SPRINT]
                assert last >= AIMS[SPRINT] or len(run["judged"]) == settings["EPOCHS"]
            else:
                assert not before
