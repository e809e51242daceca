"""How sure a share is."""

from __future__ import annotations


def wilson(successes: int, trials: int) -> list[float]:
    """Return the 95 % interval of a rate, after Wilson."""
    from scipy.stats import binomtest

    bounds = binomtest(successes, trials).proportion_ci(method="wilson")
    return [float(bounds.low), float(bounds.high)]
