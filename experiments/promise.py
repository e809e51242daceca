"""Whether thresholds keep their promise: 200 random splits by writer, half to certify them and half to check them.

`digitreader.guarantee` promises, with 95 % confidence, that at most a share r of the accepted readings is wrong. The
other half of the writers shows what became of it, though not exactly: half of the readings have errors of chance of
their own, so that even thresholds that keep the promise are above r there more often than in 5 % of the splits. So it
is also counted how often they are significantly above it, and, exactly, how often thresholds are that are certified by
as many writers drawn with replacement: all readings together are then the truth that they were drawn from.

Each is done once as if readings were independent, which is plain Learn then Test, and once by writer.

    python -m experiments.promise
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import expit, logsumexp
from scipy.stats import binom
from tqdm import tqdm

from digitreader.arrays import FloatArray
from digitreader.calibrate import said_by_folds
from digitreader.calibrate_fields import CERTIFYING, WAYS, kept_lines
from digitreader.calibrate_fields import doubts as field_doubts
from digitreader.data import load_mnist, load_writers
from digitreader.decision import combined, evidence
from digitreader.errors import CalibrationError
from digitreader.guarantee import DELTA, certify
from digitreader.provenance import provenance
from digitreader.reader import DigitReader
from experiments.lines import validation_mask
from experiments.reader_network import certifying_networks
from experiments.runs import RESULTS, Row, write_rows

SPLITS = 200
SEED = 0
BY_WRITER = {"independent": False, "by writer": True}  # what errors are taken for

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Readings:
    """Readings by networks that saw neither what is read nor anything by its writer.

    Attributes
    ----------
    doubt : ndarray of shape (n,), dtype float64
        One less the confidence.
    right, usable : ndarray of shape (n,), dtype bool
        Which are right, and which nothing but their doubt can send to review.
    writer : ndarray of shape (n,)
    model_sha256 : list of str
        The networks.
    """

    doubt: npt.NDArray[np.float64]
    right: npt.NDArray[np.bool_]
    usable: npt.NDArray[np.bool_]
    writer: npt.NDArray[np.int32]
    model_sha256: list[str]


def doubts(logits: FloatArray, temperature: float) -> npt.NDArray[np.float64]:
    """Return one less the calibrated confidence, shape (n,), from logits (n, 10), exact where that is next to one."""
    rising = np.sort(logits.astype(np.float64) / temperature, axis=1)
    small: npt.NDArray[np.float64] = expit(logsumexp(rising[:, :-1], axis=1) - rising[:, -1])
    return small


def digits() -> Readings:
    """Return the readings that certify the reader's thresholds, see `digitreader.calibrate`."""
    labels, calibration = load_mnist().y_train, DigitReader().calibration
    said = said_by_folds(RESULTS, np.flatnonzero(validation_mask(labels)))
    both = combined(said.logits, said.pictures, calibration.weight)
    return Readings(
        doubts(both, calibration.temperature),
        both.argmax(axis=1) == labels[said.rows],
        evidence(said.pictures) >= calibration.min_evidence,
        load_writers().train[said.rows],
        certifying_networks(),
    )


def lines(way: str) -> Readings:
    """Return the readings that certify the thresholds of fields, see `digitreader.calibrate_fields`."""
    kept, scale, place = kept_lines(RESULTS / CERTIFYING), DigitReader().field_calibration, list(WAYS).index(way)
    slope, offset, _ = getattr(scale, way)
    return Readings(
        field_doubts(kept.margins[place], slope, offset),
        kept.right[place],
        kept.usable[place],
        kept.writers,
        [kept.model_sha256],
    )


KINDS: dict[str, tuple[Callable[[], Readings], Sequence[float]]] = {
    "digits": (digits, (0.0005, 0.001, 0.002, 0.005)),
    **{meaning: (partial(lines, way), (0.005, 0.01, 0.02)) for way, meaning in WAYS.items()},
}
"""Readings, and the risks that are promised of them."""


def rows_by_writer(writers: npt.NDArray[np.int32]) -> list[Rows]:
    """Return the rows of each writer."""
    order = np.argsort(writers, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(writers[order])) + 1)


def certified(readings: Readings, by_writer: Sequence[Rows], risk: float, *, clustered: bool) -> float:
    """Return the doubt that the readings of some writers certify; where they certify none, one that accepts nothing.

    Parameters
    ----------
    readings : Readings
    by_writer : sequence of ndarray
        Rows of each writer.
    risk : float
    clustered : bool
        Whether errors of one writer are taken to come together.
    """
    rows = np.concatenate(by_writer)
    names = np.repeat(np.arange(len(by_writer)), [len(of_writer) for of_writer in by_writer])
    usable = readings.usable[rows]
    rows, names = rows[usable], names[usable]
    try:
        return certify(readings.doubt[rows], readings.right[rows], names if clustered else np.arange(len(rows)), risk)
    except CalibrationError:
        return -1.0


def outcome(readings: Readings, doubt: float, by_writer: Sequence[Rows]) -> tuple[int, int]:
    """Return how many readings of some writers a threshold accepts, and how many of these are wrong."""
    rows = np.concatenate(by_writer)
    accepted = readings.usable[rows] & (readings.doubt[rows] <= doubt)
    return int(accepted.sum()), int((accepted & ~readings.right[rows]).sum())


def check(readings: Readings, risk: float, *, clustered: bool) -> dict[str, Any]:
    """Certify and check thresholds on random splits by writer.

    Returns
    -------
    dict
        `refused`, in how many splits the risk could not be certified; `accepted`, the mean share of the other half's
        readings that are accepted, none where it was refused; `broken`, in how many splits more of these than the risk
        are wrong, and `significantly_broken`, significantly more; `broken_in_truth`, how many thresholds certified by
        writers drawn with replacement are above the risk on all readings together.
    """
    writers = rows_by_writer(readings.writer)
    half = len(writers) // 2
    counts = dict.fromkeys(("refused", "broken", "significantly_broken", "broken_in_truth"), 0)
    shares = []
    for number in tqdm(range(SPLITS), f"{risk:g}"):
        rng = np.random.default_rng((SEED, number))
        shuffled = [writers[place] for place in rng.permutation(len(writers))]
        doubt = certified(readings, shuffled[:half], risk, clustered=clustered)
        accepted, wrong = outcome(readings, doubt, shuffled[half:])
        shares.append(accepted / sum(map(len, shuffled[half:])))
        counts["refused"] += doubt < 0
        counts["broken"] += wrong > risk * accepted
        counts["significantly_broken"] += bool(binom.sf(wrong - 1, accepted, risk) <= DELTA)
        drawn = [writers[place] for place in rng.integers(len(writers), size=half)]
        doubt = certified(readings, drawn, risk, clustered=clustered)
        accepted, wrong = outcome(readings, doubt, writers)
        counts["broken_in_truth"] += wrong > risk * accepted
    return {"splits": SPLITS, "accepted": float(np.mean(shares)), **counts}


def main() -> None:
    """Check every kind of readings, risk and method, and write results/promise.json."""
    rows: list[Row] = []
    how = provenance("python -m experiments.promise", "numpy", "scipy")
    for kind, (read, risks) in KINDS.items():
        readings = read()
        for risk in risks:
            for errors, clustered in BY_WRITER.items():
                started = time.perf_counter()
                row = {
                    "kind": kind,
                    "readings": len(readings.doubt),
                    "writers": len(np.unique(readings.writer)),
                    "risk": risk,
                    "errors": errors,
                    **check(readings, risk, clustered=clustered),
                    "seed": SEED,
                    "split": "out of fold by writer, halved at random by writer",
                    "model_sha256": readings.model_sha256,
                    "seconds": round(time.perf_counter() - started, 1),
                }
                rows.append(row | how)
    write_rows("promise", rows)


if __name__ == "__main__":
    main()
