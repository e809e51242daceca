"""Drift: whether the digits that are read now are like those that the reader was calibrated on.

Compared are the counts that the service exports: of the readings' confidences, and of the reasons of their decisions.
Neither images nor labels are needed, so a change can be seen before anyone has looked at a reading. What cannot be seen
is a picture without a reading, such as a blank one: the service counts its request by status.
"""

from __future__ import annotations

import json
import sys
from bisect import bisect_left
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import get_args

import numpy as np

from digitreader.decision import Reading, Reason
from digitreader.errors import DriftError, ModelError, extra
from digitreader.files import STDIN
from digitreader.recognizer import MODELS

Counts = dict[str, dict[str, int]]
"""Of "confidence" and of "reason": how many readings have it. A confidence stands for those up to it, from the next
lower one on."""

# More than nine digits in ten are read with a confidence above 0.999: what changes at all, changes there first.
BOUNDS = (
    *(0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998),
    *(0.999, 0.9995, 0.9998, 0.9999, 0.99995, 0.99998, 0.99999, 1.0),
)
ALPHA = 0.001  # compared once a day, readings like the reference's seem to be others less than once in two years
# Among enough readings every difference is significant, so it must also be large. By the index's rule of thumb, less
# than 0.1 is no change worth a look, and more than 0.25 one that asks for action.
LARGE = 0.1
RESAMPLES = 3_999  # the least p-value of a test is then 1 in 4,000, half of what an alarm needs
SECONDS = 10  # that a service may take to show its metrics
EXTRA = ("drift", "comparing a service's readings needs")


@dataclass(frozen=True)
class Shift:
    """How far readings are from the reference's, by one of the two kinds of counts.

    Attributes
    ----------
    readings : int
    index : float
        The population stability index, the symmetric Kullback–Leibler divergence of the shares, less what chance adds
        to it: around 0, also below, if nothing has changed.
    p_value : float
        How often as many readings like the reference's would be as far from them.
    """

    readings: int
    index: float
    p_value: float

    @property
    def significant(self) -> bool:
        """Whether it is more than chance. With two kinds of counts there are two tests, so each has half of `ALPHA`."""
        return self.p_value <= ALPHA / 2

    @property
    def alarm(self) -> bool:
        """Whether it is more than chance, and large."""
        return self.significant and self.index > LARGE


def count(readings: Iterable[Reading]) -> Counts:
    """Return the counts of some readings; those of the calibration's digits are the reference."""
    confidences, reasons = dict.fromkeys(map(str, BOUNDS), 0), dict.fromkeys(map(str, get_args(Reason)), 0)
    for reading in readings:
        confidences[str(BOUNDS[bisect_left(BOUNDS, reading.confidence)])] += 1
        reasons[reading.reason] += 1
    return {"confidence": confidences, "reason": reasons}


def load_reference(models: Path = MODELS) -> Counts:
    """Return the counts of the digits that the reader was calibrated on.

    Raises
    ------
    ModelError
        If reader.json is missing or damaged, or has no such counts.
    """
    path = models / "reader.json"
    try:
        reference: Counts = json.loads(path.read_text())["reference"]
    except (KeyError, OSError, TypeError, ValueError) as error:
        raise ModelError(f"{path} has no reference ({error!r}): `digits calibrate` writes it anew.") from error
    return reference


def read_metrics(source: str) -> str:
    """Return the text of a service's metrics.

    Parameters
    ----------
    source : str
        The address of /metrics, a file, or "-" for standard input.

    Raises
    ------
    DriftError
        If there is nothing to read.
    """
    from http.client import HTTPException
    from urllib.request import urlopen

    try:
        if source == STDIN:
            return sys.stdin.read()
        if source.startswith(("http://", "https://")):
            with urlopen(source, timeout=SECONDS) as answer:
                return answer.read().decode()
        return Path(source).read_text()
    except (HTTPException, OSError, ValueError) as error:
        raise DriftError(f"{source} cannot be read: {error}.") from error


def exported(metrics: str) -> Counts:
    """Return the counts of the digits that a service has read since it was started.

    Parameters
    ----------
    metrics : str
        The text of /metrics.

    Raises
    ------
    DriftError
        If it is not such a text, or that of another version.
    MissingExtraError
        If the extra `drift` is not installed.
    """
    with extra(*EXTRA):
        from prometheus_client.parser import text_string_to_metric_families

    counts = count([])
    up_to = {"0.0": 0}  # Prometheus counts all up to a bound
    try:
        for family in text_string_to_metric_families(metrics):
            for name, labels, value, *_ in family.samples:
                if labels.get("kind") != "digit":
                    continue
                if name == "digits_decisions_total":
                    counts["reason"][labels["reason"]] += int(value)
                elif name == "digits_confidence_bucket" and labels["le"] != "+Inf":
                    up_to[labels["le"]] = int(value)
    except (KeyError, ValueError) as error:
        raise DriftError(f"This is not what /metrics of the service says ({error!r}).") from error
    bounds = sorted(up_to, key=float)
    if len(bounds) > 1:
        counts["confidence"] = {bound: up_to[bound] - up_to[lower] for lower, bound in pairwise(bounds)}
    return counts


def later(counts: Counts, before: Counts) -> Counts:
    """Return the counts of what was read since some counts were taken.

    Raises
    ------
    DriftError
        If the service was started anew in between.
    """
    _check_alike(counts, before)
    grown = {kind: {name: number - before[kind][name] for name, number in of.items()} for kind, of in counts.items()}
    if min(number for of in grown.values() for number in of.values()) < 0:
        raise DriftError("There are fewer readings than before: the service was started anew in between.")
    return grown


def compare(reference: Counts, counts: Counts) -> dict[str, Shift]:
    """Return how far readings are from the reference's, by confidence and by reason.

    The test is the chi-squared test of homogeneity, its p-value by chance tables with the same sums, since many a
    bucket holds few readings or none. It takes readings for independent: many by one writer, or of one picture, are
    alike, and differ from the reference's more often.

    Parameters
    ----------
    reference, counts : dict
        See `count`.

    Raises
    ------
    DriftError
        If there are no readings, or the counts are of other kinds than the reference's.
    MissingExtraError
        If the extra `drift` is not installed.

    References
    ----------
    Yurdakul, B. (2018). Statistical properties of population stability index. Dissertation, Western Michigan
    University. (Also what chance adds to it.)
    Patefield, W. M. (1981). Algorithm AS 159: an efficient method of generating random R × C tables with given row and
    column totals. Applied Statistics 30(1).
    """
    _check_alike(counts, reference)
    return {kind: _shift(reference[kind], of) for kind, of in counts.items()}


def _check_alike(counts: Counts, other: Counts) -> None:
    """Raise DriftError unless both count the same."""
    if {kind: of.keys() for kind, of in counts.items()} != {kind: of.keys() for kind, of in other.items()}:
        raise DriftError("The counts are of another version of the service: compare what one version reads.")


def _shift(reference: Mapping[str, int], counts: Mapping[str, int]) -> Shift:
    with extra(*EXTRA):
        from scipy.stats import MonteCarloMethod, chi2_contingency

    table = np.array([[reference[name], number] for name, number in counts.items()]).T
    if not table.sum(axis=1).all():
        raise DriftError("No digit has been read.")
    table = table[:, table.any(axis=0)]
    smoothed = table + 0.5  # a share of nothing would be infinitely far from any other
    old, new = smoothed / smoothed.sum(axis=1, keepdims=True)
    by_chance = (table.shape[1] - 1) * (1 / table.sum(axis=1)).sum()
    index = (new - old) @ np.log(new / old) - by_chance
    tables = MonteCarloMethod(RESAMPLES, rng=np.random.default_rng(0))
    p_value = chi2_contingency(table, correction=False, method=tables).pvalue
    return Shift(int(table[1].sum()), float(index), float(p_value))
