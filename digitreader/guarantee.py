"""Thresholds with a promise: with 95 % confidence, at most a share r of the accepted readings is wrong.

The thresholds of a grid that is fixed beforehand are tested one after the other, from strict to loose, each for the
hypothesis that more than a share r of what it accepts is wrong; the last one before the first that fails is taken
(Learn then Test with fixed-sequence testing). With 95 % confidence its share of wrong readings, among all readings to
come, is then at most r, however many readings there are to learn from and whatever the network is.

What that supposes, and what is done where it does not hold:

- The readings to come are like those learned from: pictures of the same kind, read by networks that saw neither in
  training. Nothing here notices other writers, pens or cameras.
- The readings are independent of each other. Those by one writer are not: who writes one odd 7 writes more. So the
  numbers of readings and of errors are divided by a design effect, by how much more the errors vary from writer to
  writer than independent ones would, before the exact binomial test is made of them (Korn and Graubard). The effect is
  never held for less than one, so what is certified is also certified by the exact test. It is estimated, however: of
  writers the promise holds approximately, as `experiments.promise` measures. A promise that supposes nothing of how
  the errors of a writer come together has to count writers instead of readings, and would need about as many times
  more of them as a writer has readings.

References
----------
Angelopoulos, A. N., Bates, S., Candès, E. J., Jordan, M. I. and Lei, L. (2021). Learn then test: calibrating predictive
algorithms to achieve risk control. arXiv:2110.01052.

Korn, E. L. and Graubard, B. I. (1998). Confidence intervals for proportions with small expected number of positive
counts estimated from survey data. Survey Methodology 24, 193-201.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from digitreader.errors import CalibrationError

DELTA = 0.05  # a promise may be broken by chance so often
TENFOLD = 20  # thresholds: their doubts rise tenfold
GRID = np.logspace(-9, 0, 9 * TENFOLD + 1)
LEAST_ACCEPTED = 0.5  # share of the readings; stricter thresholds are not tried


def certify(
    doubt: npt.NDArray[np.float64], right: npt.NDArray[np.bool_], writer: npt.NDArray[Any], risk: float
) -> float:
    """Return the largest doubt with which readings may be accepted, so that the promise holds.

    The first threshold that is tested is the strictest that accepts half of the readings: an error among the few most
    confident ones, often a wrong label, would end the tests before they began. Which one this is follows from the
    doubts alone. That keeps the promise wherever looser thresholds have no smaller share of wrong readings: the tests
    can only go wrong at the first threshold that is too loose, or at their start if that is looser still. In the first
    case it is one test of a threshold that is fixed; in the second, that stricter ones accept too few makes errors
    among the accepted readings only more likely.

    Parameters
    ----------
    doubt : ndarray of shape (n,), dtype float64
        One less the confidence, in [0, 1], of readings that nothing else sends to review. Confidences crowd so near
        to one that they are told apart by this alone.
    right : ndarray of shape (n,), dtype bool
        Which readings are right.
    writer : ndarray of shape (n,)
        Who wrote what is read; of readings that are independent, another name for each.
    risk : float
        Share of wrong readings among the accepted ones.

    Raises
    ------
    CalibrationError
        If that cannot be certified by these readings: the message names the smallest risk that can.

    Examples
    --------
    >>> import numpy as np
    >>> doubt, right, writer = np.full(9000, 1e-6), np.ones(9000, bool), np.arange(9000) // 100
    >>> accepted = doubt <= certify(doubt, right, writer, 0.001)
    >>> accepted.all()
    np.True_
    >>> smallest_certifiable(doubt, right, writer)
    0.00034
    """
    thresholds, limits = _upper_limits(doubt, right, writer)
    passed = int(np.logical_and.accumulate(limits <= risk).sum())
    if not passed:
        smallest = smallest_certifiable(doubt, right, writer)
        raise CalibrationError(
            f"A risk of {np.format_float_positional(risk, trim='-')} cannot be certified by {len(doubt):,} readings: "
            f"{np.format_float_positional(smallest, trim='-')} is the smallest that they can."
        )
    return float(thresholds[passed - 1])


def smallest_certifiable(
    doubt: npt.NDArray[np.float64], right: npt.NDArray[np.bool_], writer: npt.NDArray[Any]
) -> float:
    """Return the smallest risk that `certify` does not refuse, rounded up to two digits; parameters as there."""
    _, limits = _upper_limits(doubt, right, writer)
    places = 1 - math.floor(math.log10(limits[0]))
    return round(math.ceil(limits[0] * 10**places) / 10**places, places)


def _upper_limits(
    doubt: npt.NDArray[np.float64], right: npt.NDArray[np.bool_], writer: npt.NDArray[Any]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return the thresholds that are tested, in order, and the smallest risk at which each passes its test.

    That is the upper limit of the share of wrong readings among the accepted ones, with a confidence of 1 - DELTA.
    """
    from scipy.special import betaincinv

    first_to_accept = np.searchsorted(GRID, doubt)
    accepted_so_far = np.bincount(first_to_accept, minlength=len(GRID)).cumsum()
    start = int(np.searchsorted(accepted_so_far, LEAST_ACCEPTED * len(doubt)))
    column, width = np.maximum(first_to_accept - start, 0), len(GRID) - start
    names, person = np.unique(writer, return_inverse=True)

    def by_writer(chosen: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
        """Return how many of the chosen readings of each writer each threshold accepts."""
        counts = np.bincount((person * width + column)[chosen], minlength=len(names) * width)
        return counts.reshape(-1, width).cumsum(axis=1)

    accepted, wrong = by_writer(np.ones_like(right)), by_writer(~right)
    effect = _design_effect(accepted, wrong)
    # Strict thresholds leave too few errors to see how they come together: those at ten times the doubt tell more.
    looser = np.minimum(np.arange(len(effect)) + TENFOLD, len(effect) - 1)
    effect = np.maximum(effect, effect[looser])
    errors, others = wrong.sum(axis=0) / effect, (accepted - wrong).sum(axis=0) / effect
    limits = 1 - betaincinv(others, errors + 1, DELTA)
    return GRID[start:], np.where(others > 0, limits, 1.0)


def _design_effect(accepted: npt.NDArray[np.int64], wrong: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Return how much more the errors vary between writers than if they were independent; at least one.

    Parameters
    ----------
    accepted, wrong : ndarray of shape (writers, thresholds)

    Returns
    -------
    ndarray of shape (thresholds,)
    """
    rate = wrong.sum(axis=0) / np.maximum(accepted.sum(axis=0), 1)
    variance = ((wrong - rate * accepted) ** 2).sum(axis=0)
    independent = rate * (1 - rate) * accepted.sum(axis=0)
    return np.maximum(np.divide(variance, independent, out=np.ones_like(rate), where=independent > 0), 1)
