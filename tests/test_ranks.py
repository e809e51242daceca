"""The value at a rank is the one that sorting gives."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest

from digitreader.ranks import MANY, ranked

Draw = Callable[[np.random.Generator, int], npt.NDArray[np.float64]]


@pytest.mark.parametrize("count", [1, 2, MANY - 1, MANY, 3 * MANY])
@pytest.mark.parametrize("scale", [1e-9, 1.0, 1e3])
@pytest.mark.parametrize(
    "draw",
    [
        lambda rng, n: rng.uniform(0, 1, n),
        lambda rng, n: np.abs(rng.normal(0, 1e-3, n)) + (rng.random(n) < 0.1),  # noise, and ink
        lambda rng, n: rng.integers(0, 3, n) / 3,  # ties
        lambda rng, n: rng.pareto(0.5, n),  # one that is far larger than all others
        lambda rng, n: np.zeros(n),
    ],
    ids=["uniform", "ink", "ties", "outlier", "zero"],
)
def test_a_rank_is_exact(draw: Draw, scale: float, count: int) -> None:
    values = (scale * draw(np.random.default_rng(0), count)).astype(np.float32)
    ordered = np.sort(values)
    for place in {0, count // 4, count // 2, count - 1 - count // 500, count - 1}:
        assert ranked(values, place) == ordered[place]
