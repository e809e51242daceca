"""How sure a mean over digits or lines is whose errors come together by writer: bootstrap over the writers."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

RESAMPLES = 2000


def resampled_means(
    values: npt.NDArray[Any], writers: npt.NDArray[Any], *, seed: int, kept: npt.NDArray[np.bool_] | None = None
) -> npt.NDArray[np.float64]:
    """Return the mean that values have in each of `RESAMPLES` draws of as many writers, with replacement.

    Parameters
    ----------
    values : ndarray of shape (n,)
    writers : ndarray of shape (n,)
        Whose digit or line each value is of.
    seed : int
    kept : ndarray of shape (n,), dtype bool, optional
        Which values count. A draw without any has the mean 0.
    """
    _, writer = np.unique(writers, return_inverse=True)
    counted = np.ones(len(values)) if kept is None else kept
    counts, totals = np.bincount(writer, counted), np.bincount(writer, values * counted)
    draws = np.random.default_rng(seed).integers(len(counts), size=(RESAMPLES, len(counts)))
    means: npt.NDArray[np.float64] = totals[draws].sum(axis=1) / np.maximum(counts[draws].sum(axis=1), 1)
    return means


def interval(means: npt.NDArray[np.float64]) -> list[float]:
    """Return the 95 % interval of a mean from its `resampled_means`."""
    return [float(bound) for bound in np.quantile(means, [0.025, 0.975])]
