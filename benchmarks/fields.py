"""Five-digit fields of MNIST's test writers, each line of one writer's digits, in several styles.

They are read as codes of which the length is known, and once more without. Intervals are bootstrapped over writers: one
person's errors come together.

    python -m benchmarks.fields
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from benchmarks.results import write_result
from digitreader.data import Dataset, Writers, load_mnist, load_writers
from digitreader.decision import FieldReading
from digitreader.errors import ImageError
from digitreader.reader import DigitReader
from experiments import bootstrap
from experiments.compose import FIELDS, PLAIN, Line, lines
from experiments.runs import fresh_processes

COMMAND = "python -m benchmarks.fields"
SEED = 2026
COUNT = 5000
CHUNK = 50
COVERAGES = (0.95, 0.88)  # at which the goals are stated
STYLES = {name: (style, 5) for name, style in FIELDS.items()} | {"ZIP+4": (PLAIN, 9)}


@dataclass(frozen=True)
class Outcome:
    """What became of one line, read with its length known, and whether it is also right without."""

    writer: int
    right: bool
    right_blind: bool
    accepted: bool
    doubt: float


@cache
def tools() -> tuple[Dataset, Writers, DigitReader]:
    """Return what each process needs, loaded once."""
    cv2.setNumThreads(1)
    return load_mnist(), load_writers(), DigitReader(threads=1)


def read_chunk(name: str, number: int) -> list[Outcome]:
    """Compose and read `CHUNK` lines of a style."""
    data, writers, reader = tools()
    style, digits = STYLES[name]
    composed = lines(
        data.x_test,
        data.y_test,
        writers.test,
        style,
        count=CHUNK,
        seed=SEED * 1000 + number,
        digits=digits,
    )
    found = list(composed)
    readings = reader.read_fields((line.picture.pixels for line in found), digits)
    blind = reader.read_fields(line.picture.pixels for line in found)
    return [outcome(*of_line) for of_line in zip(found, readings, blind, strict=True)]


def outcome(line: Line, reading: FieldReading | ImageError, blind: FieldReading | ImageError) -> Outcome:
    """Return what became of a line: a reading that goes to review whatever its confidence is the most doubtful."""
    if isinstance(reading, ImageError) or isinstance(blind, ImageError):
        return Outcome(line.writer, right=False, right_blind=False, accepted=False, doubt=2.0)
    return Outcome(
        line.writer,
        right=reading.text == line.text,
        right_blind=blind.text == line.text,
        accepted=reading.decision == "accept",
        doubt=1 - reading.confidence + (reading.reason not in ("ok", "low_confidence")),
    )


def interval(outcomes: Sequence[Outcome], kept: npt.NDArray[np.bool_]) -> list[float]:
    """Return the 95 % interval of the share of wrong lines among those kept, by bootstrap over writers."""
    wrong = np.array([not outcome.right for outcome in outcomes])
    writers = np.array([outcome.writer for outcome in outcomes])
    return bootstrap.interval(bootstrap.resampled_means(wrong, writers, seed=SEED, kept=kept))


def least_doubtful_first(outcomes: Sequence[Outcome]) -> npt.NDArray[np.int64]:
    """Return the places of the outcomes, shape (n,), those that would go to review first at the end."""
    return np.argsort([outcome.doubt for outcome in outcomes], kind="stable")


def curve(outcomes: Sequence[Outcome]) -> list[list[float]]:
    """Return coverage and risk, least doubtful lines first, at every half of a hundredth of the lines."""
    order = least_doubtful_first(outcomes)
    wrong = np.cumsum([not outcomes[place].right for place in order])
    counts = np.linspace(0, len(outcomes), 201)[1:].astype(int)
    return [[float(count / len(outcomes)), float(wrong[count - 1] / count)] for count in counts]


def least_doubtful(outcomes: Sequence[Outcome], coverage: float) -> npt.NDArray[np.bool_]:
    """Return which lines are left if the most doubtful ones go to review, so that a share `coverage` stays."""
    kept = np.zeros(len(outcomes), np.bool_)
    kept[least_doubtful_first(outcomes)[: int(coverage * len(outcomes))]] = True
    return kept


def summary(outcomes: Sequence[Outcome], census: frozenset[int]) -> dict[str, Any]:
    """Return the rates of one style."""
    right = np.array([outcome.right for outcome in outcomes])
    accepted = np.array([outcome.accepted for outcome in outcomes])
    of_census = np.array([outcome.writer in census for outcome in outcomes])
    _, writer = np.unique([outcome.writer for outcome in outcomes], return_inverse=True)
    by_writer = np.bincount(writer, ~right) / np.bincount(writer)
    return {
        "lines": len(outcomes),
        "writers": len({outcome.writer for outcome in outcomes}),
        "wrong": float(1 - right.mean()),
        "wrong_95": interval(outcomes, np.ones_like(right)),
        "wrong_without_the_length": float(np.mean([not outcome.right_blind for outcome in outcomes])),
        "wrong_if_writers_count_evenly": float(np.mean(by_writer)),
        "wrong_by_population": {
            "Census staff": float(1 - right[of_census].mean()),
            "students": float(1 - right[~of_census].mean()),
        },
        "in_review": float(1 - accepted.mean()),
        "wrong_among_accepted": float((accepted & ~right).sum() / max(accepted.sum(), 1)),
        "wrong_among_accepted_95": interval(outcomes, accepted),
        "at_coverage": [
            {
                "coverage": coverage,
                "wrong": float((kept & ~right).sum() / kept.sum()),
                "wrong_95": interval(outcomes, kept),
            }
            for coverage in COVERAGES
            for kept in [least_doubtful(outcomes, coverage)]
        ],
        "risk_coverage": curve(outcomes),
    }


def main() -> None:
    """Compose, read, write results/fields.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, help="processes; one for each core unless given")
    arguments = parser.parse_args()
    writers = load_writers()
    census = frozenset(writers.test[writers.census_test].tolist())
    measured = {}
    with fresh_processes(arguments.jobs) as pool:
        for name in STYLES:
            numbers = range(COUNT // CHUNK)
            chunks = pool.map(read_chunk, [name] * len(numbers), numbers)
            outcomes = [outcome for chunk in tqdm(chunks, name, len(numbers)) for outcome in chunk]
            measured[name] = summary(outcomes, census)
    networks = ["line_reader.onnx"]
    write_result(
        "fields", COMMAND, networks=networks, seed=SEED, split="test", resamples=bootstrap.RESAMPLES, styles=measured
    )


if __name__ == "__main__":
    main()
