"""From which change on the service's exported counts reveal it, and how often they raise an alarm over nothing.

Test digits are changed step by step, and each step is read once. Windows are drawn from these readings, with
replacement and whoever wrote them, and compared by `digitreader.drift.compare` with the digits that the reader was
calibrated on. Its bounds, the changes and their steps were fixed beforehand, the steps on validation digits.

A window can be larger than the readings that it is drawn from, which stand for all that the change would do. By chance
these differ from the reference already, and in a large window that is significant; it is too little for an alarm.

    python -m benchmarks.drift
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt
from scipy.ndimage import shift
from sklearn.datasets import load_digits
from tqdm import tqdm

from benchmarks.results import OF_DIGITS, write_result
from digitreader.arrays import ByteArray
from digitreader.calibrate import said_by_folds
from digitreader.data import load_mnist, load_writers
from digitreader.decision import Calibration, Reading, decide
from digitreader.drift import ALPHA, LARGE, Counts, compare, count, load_reference
from digitreader.errors import ImageError
from digitreader.evaluate import outcomes
from digitreader.reader import DigitReader
from experiments.lines import validation_mask
from experiments.outlines import Rng
from experiments.runs import RESULTS

COUNT = 2000  # test digits that are changed
SEED = 0
SIZES = (500, 2000, 10_000)  # readings of a window
WINDOWS = 100
QUIET_WINDOWS = 500  # of digits that are not changed, where alarms are rare
CROSS = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
NOISE, PAPER = 4, 20  # grey levels, of a scanner whose contrast fades
Row = npt.NDArray[np.int64]  # counts: those of confidences, then those of reasons
Bools = npt.NDArray[np.bool_]
Weights = npt.NDArray[np.float64]


def blurred(image: ByteArray, sigma: float, rng: Rng) -> ByteArray:
    """Return an image out of focus."""
    return cv2.GaussianBlur(image, (0, 0), sigma)


def thinner(image: ByteArray, width: float, rng: Rng) -> ByteArray:
    """Return an image as a pen that is thinner by some pixels would have drawn it."""
    return _redrawn(image, width, cv2.erode)


def thicker(image: ByteArray, width: float, rng: Rng) -> ByteArray:
    """Return an image as a pen that is thicker by some pixels would have drawn it."""
    return _redrawn(image, width, cv2.dilate)


def _redrawn(image: ByteArray, width: float, step: Callable[[Any, Any], Any]) -> ByteArray:
    """Return an image whose strokes' edges are moved by half of a width, a pixel at a time and the rest in part."""
    drawn = image.astype(np.float32)
    for begun in np.arange(0, width / 2):
        drawn += min(width / 2 - begun, 1) * (step(drawn, CROSS) - drawn)
    return np.rint(drawn).astype(np.uint8)


def displaced(image: ByteArray, pixels: float, rng: Rng) -> ByteArray:
    """Return an image that lies lower in the scanner; what leaves it is lost."""
    return shift(image, (pixels, 0), order=0)


def bordered(image: ByteArray, pixels: float, rng: Rng) -> ByteArray:
    """Return an image with a dark border at its left, as dark as ink, over whatever is there."""
    covered = image.copy()
    covered[:, : int(pixels)] = 255
    return covered


def faded(image: ByteArray, lost: float, rng: Rng) -> ByteArray:
    """Return an image on grey paper, with noise, that has lost a share of its contrast."""
    scanned = PAPER + image * ((255 - PAPER) / 255 * (1 - lost)) + rng.normal(0, NOISE, image.shape)
    return np.clip(np.rint(scanned), 0, 255).astype(np.uint8)


class Change(NamedTuple):
    """Something that may happen to pictures.

    Attributes
    ----------
    unit : str
        Of the steps.
    apply : callable
        Makes an image (28, 28) into that of a step.
    steps : tuple of float
        Beside 0, which is no change.
    """

    unit: str
    apply: Callable[[ByteArray, float, Rng], ByteArray]
    steps: tuple[float, ...]


CHANGES = {
    "blur": Change("standard deviation, pixels", blurred, (0.3, 0.4, 0.5, 0.75, 1, 1.5, 2)),
    "thinner pen": Change("width lost, pixels", thinner, (0.5, 1, 1.5, 2, 2.5)),
    "thicker pen": Change("width gained, pixels", thicker, (0.25, 0.5, 1, 1.5, 2, 3)),
    "scanner's offset": Change("pixels down", displaced, (2, 4, 5, 6, 7, 8, 10)),
    "scanner's border": Change("pixels covered at the left", bordered, (2, 4, 5, 6, 7, 8)),
    "scanner's contrast": Change("share of the contrast lost", faded, (0.5, 0.6, 0.7, 0.8, 0.85, 0.9)),
}
HALVES = (0.5, 0.6, 0.7, 0.8, 0.9, 1)  # share of a window that is of one population, which has half of MNIST
FOREIGN = (0, 0.05, 0.1, 0.2, 0.5, 1)  # share of a window that is of scikit-learn's digits, written in Turkey


class Readings(NamedTuple):
    """What the reader says of n digits.

    Attributes
    ----------
    right, accepted, read : ndarray of shape (n,), dtype bool
    counts : ndarray of shape (n, counts), dtype int64
        What each adds to the counts; nothing if it has no reading.
    """

    right: Bools
    accepted: Bools
    read: Bools
    counts: npt.NDArray[np.int64]


def gathered(results: Sequence[Reading | ImageError], labels: npt.NDArray[Any]) -> Readings:
    """Return what readings, or errors, are worth."""
    single = [count([result] if isinstance(result, Reading) else []) for result in results]
    rows = [[number for of in counts.values() for number in of.values()] for counts in single]
    return Readings(*outcomes(results, labels), np.any(rows, axis=1), np.array(rows))


def take(reader: DigitReader, images: npt.NDArray[Any], labels: npt.NDArray[Any]) -> Readings:
    """Read images."""
    return gathered(list(reader.predict_images(images)), labels)


def of_the_reference(calibration: Calibration) -> tuple[Readings, npt.NDArray[np.int32]]:
    """Return the readings that the reference counts, and whose digits they are: see `digitreader.calibrate`."""
    labels = load_mnist().y_train
    said = said_by_folds(RESULTS, np.flatnonzero(validation_mask(labels)))
    return gathered(decide(said.logits, said.pictures, calibration), labels[said.rows]), load_writers().train[said.rows]


def as_counts(row: Row) -> Counts:
    """Return the counts that stand in a row."""
    numbers = iter(row.tolist())
    return {kind: {name: next(numbers) for name in of} for kind, of in count([]).items()}


def revealed(pairs: Iterable[tuple[Counts, Row]]) -> dict[str, float]:
    """Return which share of the windows is significantly unlike its reference, and which raises an alarm."""
    shifts = [compare(reference, as_counts(row)).values() for reference, row in pairs]
    return {
        name: float(np.mean([any(getattr(one, name) for one in pair) for pair in shifts]))
        for name in ("significant", "alarm")
    }


def windows(readings: Readings, weights: Weights, size: int, number: int, rng: Rng) -> npt.NDArray[np.int64]:
    """Return the counts of windows, a row each, that are drawn with replacement, digits with more weight oftener."""
    chances = weights * readings.read
    drawn: npt.NDArray[np.int64] = rng.multinomial(size, chances / chances.sum(), number) @ readings.counts
    return drawn


def measured(readings: Readings, weights: Weights, reference: Counts, rng: Rng) -> dict[str, Any]:
    """Return what becomes of the digits, how far their counts are from the reference's, and which windows reveal it."""
    shares = weights / weights.sum()
    typical = np.rint(SIZES[-1] * shares @ readings.counts).astype(np.int64)
    return {
        "right": float(shares @ readings.right),
        "accepted": float(shares @ readings.accepted),
        "wrong_and_accepted": float(shares @ (readings.accepted & ~readings.right)),
        "without_a_reading": float(shares @ ~readings.read),
        "index": {kind: found.index for kind, found in compare(reference, as_counts(typical)).items()},
        "revealed": {
            str(size): revealed((reference, row) for row in windows(readings, weights, size, WINDOWS, rng))
            for size in SIZES
        },
    }


def mixed(members: Bools, share: float) -> Weights:
    """Return weights of digits with which some of them, together, have a share of a window."""
    return np.where(members, share / members.sum(), (1 - share) / (~members).sum())


def by_other_writers(
    readings: Readings, writers: npt.NDArray[np.int32], size: int, rng: Rng, *, whole: bool
) -> Iterator[tuple[Counts, Row]]:
    """Yield references by half of the writers, each with a window by others, drawn without replacement.

    It is of all these others' digits alike, or else of whole writers: all the digits by one, then all by the next.
    """
    names, writer = np.unique(writers, return_inverse=True)
    for _ in range(QUIET_WINDOWS):
        place = rng.permutation(len(names))[writer]
        half = place < len(names) // 2
        others = np.flatnonzero(~half)
        others = others[place[others].argsort(kind="stable")] if whole else rng.permutation(others)
        yield as_counts(readings.counts[half].sum(axis=0)), readings.counts[others[:size]].sum(axis=0)


def main() -> None:
    """Change, read, draw windows, write results/drift.json."""
    data, writers, reader, reference = load_mnist(), load_writers(), DigitReader(), load_reference()
    validation = validation_mask(data.y_train)
    same = take(reader, data.x_train[validation], data.y_train[validation])
    test = take(reader, data.x_test, data.y_test)
    folds, folds_writers = of_the_reference(reader.calibration)

    rng = np.random.default_rng(SEED)
    quiet: dict[str, dict[str, Any]] = {
        name: {str(size): revealed(by_other_writers(folds, folds_writers, size, rng, whole=whole)) for size in SIZES}
        for name, whole in (("the reference's digits, by others", False), ("the same, writer after writer", True))
    }
    for name, readings in (("validation digits, by the networks in use", same), ("MNIST's test digits", test)):
        every = np.ones(len(readings.read))
        quiet[name] = {
            str(size): revealed((reference, row) for row in windows(readings, every, size, QUIET_WINDOWS, rng))
            for size in SIZES
        }

    rows = rng.choice(len(data.x_test), COUNT, replace=False)
    images, labels, equal = data.x_test[rows], data.y_test[rows], np.ones(COUNT)
    unchanged = {"step": 0.0} | measured(Readings._make(of[rows] for of in test), equal, reference, rng)
    changes: dict[str, dict[str, Any]] = {}
    for name, change in CHANGES.items():
        steps = [unchanged]
        for step in tqdm(change.steps, name):
            changed = take(reader, np.array([change.apply(image, step, rng) for image in images]), labels)
            steps.append({"step": float(step)} | measured(changed, equal, reference, rng))
        changes[name] = {"unit": change.unit, "steps": steps}

    foreign = load_digits()
    others = take(reader, (foreign.images / 16).astype(np.float32), foreign.target)
    both = Readings._make(map(np.concatenate, zip(test, others, strict=True)))
    populations = {
        "students": (test, ~writers.census_test, HALVES),
        "Census staff": (test, writers.census_test, HALVES),
        "digits from Turkey": (both, np.arange(len(both.read)) >= len(test.read), FOREIGN),
    }
    for name, (readings, members, shares) in populations.items():
        steps = [
            {"step": float(share)} | measured(readings, mixed(members, share), reference, rng)
            for share in tqdm(shares, name)
        ]
        changes[name] = {"unit": "share of the digits", "steps": steps}

    write_result(
        "drift",
        "python -m benchmarks.drift",
        seed=SEED,
        split="test",
        networks=OF_DIGITS,
        digits=COUNT,
        reference=sum(reference["reason"].values()),
        alpha=ALPHA,
        large=LARGE,
        sizes=SIZES,
        windows=WINDOWS,
        quiet_windows=QUIET_WINDOWS,
        quiet=quiet,
        changes=changes,
    )


if __name__ == "__main__":
    main()
