"""Lines of digits to train, calibrate and certify the line reader on, composed once and kept in runs/lines/."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from digitreader import fields, images
from digitreader.arrays import ByteArray
from digitreader.calibrate import validation_rows
from digitreader.data import load_mnist, load_writers
from digitreader.errors import BlankImageError
from digitreader.fields import line_image
from digitreader.images import find_ink
from experiments import compose, non_digits, outlines
from experiments.compose import BOXED, CLEAN, PHOTO, PLAIN, RULED, SPECKLED, TOUCHING, Line, lines
from experiments.crossval import fold_rows
from experiments.runs import ROOT, fresh_processes, read_card, write_arrays

# Lines that other code composed or saw otherwise are others.
_sources = [Path(module.__file__ or "").read_bytes() for module in (compose, non_digits, outlines, fields, images)] + [
    Path(__file__).read_bytes()
]
FOLDER = ROOT / "runs" / "lines" / hashlib.sha256(b"".join(_sources)).hexdigest()[:12]
MIX = ((CLEAN, 0.15), (PLAIN, 0.27), (RULED, 0.12), (BOXED, 0.12), (TOUCHING, 0.25), (SPECKLED, 0.09))
PHOTOS = 0.12  # share of the training lines that are photos of one digit
FIELDS = (5, 5, 5, 9)  # of the lines that are not trained on: ZIP codes, and ZIP+4
LENGTHS = (1, 2, 3, 4, 5, 5, 5, 6, 7, 8, 9, 10)
FOREIGN_GROUPS, FOREIGN = 0.3, 0.4  # share of the training lines in which this share of the digits is something else
PART = 1000  # lines a file
CERTIFYING_FOLDS = (0, 1)  # of those by writer: two fifths of the writers


class Kind(StrEnum):
    """What lines are for, and so whose digits they are composed of."""

    TRAINING = "training"  # what the notebook does not validate on
    VALIDATION = "validation"  # what it does: other digits, in part by the same writers
    OTHER_WRITERS = "other-writers"  # those of TRAINING without the certifying folds
    CERTIFYING = "certifying"  # those of TRAINING in these folds, each digit in one line


PARTS = {Kind.VALIDATION: 6, Kind.CERTIFYING: 4}  # files


@dataclass(frozen=True)
class Part:
    """Some lines, as the network sees them.

    Attributes
    ----------
    pixels : list of ndarray of shape (24, w), dtype float32
    texts : list of str
    writers : list of int
    """

    pixels: list[npt.NDArray[np.float32]]
    texts: list[str]
    writers: list[int]


def validation_mask(labels: ByteArray) -> npt.NDArray[np.bool_]:
    """Return which rows of MNIST's training set the notebook validates on, shape (60000,): not trained on here."""
    mask = np.zeros(len(labels), np.bool_)
    mask[validation_rows(labels, read_card()["split"]["validation_rows_sha256"])] = True
    return mask


@cache
def rows_of(kind: Kind) -> npt.NDArray[np.int64]:
    """Return the rows of MNIST's training set that lines of a kind are composed of."""
    validated = validation_mask(load_mnist().y_train)
    certifying = np.zeros(len(validated), np.bool_)
    certifying[np.concatenate([fold_rows("writer", fold) for fold in CERTIFYING_FOLDS])] = True
    of_kind = {
        Kind.TRAINING: ~validated,
        Kind.VALIDATION: validated,
        Kind.OTHER_WRITERS: ~validated & ~certifying,
        Kind.CERTIFYING: ~validated & certifying,
    }
    return np.flatnonzero(of_kind[kind])


def drawn(kind: Kind, number: int) -> Iterator[Line]:
    """Compose the lines of one file, each of digits that are drawn from all of its writer's."""
    data, writers = load_mnist(), load_writers()
    rows = rows_of(kind)
    digits, labels, names = data.x_train[rows], data.y_train[rows], writers.train[rows]
    training = kind != Kind.VALIDATION
    rng = np.random.default_rng((7, number, list(Kind).index(kind)))
    counts = rng.multinomial(round(PART * (1 - PHOTOS)) if training else PART, [share for _, share in MIX])
    groups = [(PHOTO, 1, round(PART * PHOTOS) if training else 0)]
    for (style, _), count in zip(MIX, counts, strict=True):
        lengths = LENGTHS if training else FIELDS
        share = rng.multinomial(count, np.full(len(lengths), 1 / len(lengths)))
        groups += [(style, length, int(wanted)) for length, wanted in zip(lengths, share, strict=True)]
    for style, length, wanted in groups:
        yield from lines(
            digits,
            labels,
            names,
            style,
            count=wanted,
            seed=int(rng.integers(2**31)),
            digits=length,
            non_digits=FOREIGN if training and rng.random() < FOREIGN_GROUPS else 0,
        )


def disjoint(number: int) -> Iterator[Line]:
    """Compose the certifying lines of one file, of some of the writers: each digit stands in one line."""
    data, writers = load_mnist(), load_writers()
    rows = rows_of(Kind.CERTIFYING)
    rng = np.random.default_rng((7, number, list(Kind).index(Kind.CERTIFYING)))
    for writer in np.unique(writers.train[rows])[number :: PARTS[Kind.CERTIFYING]]:
        left = rng.permutation(rows[writers.train[rows] == writer])
        while len(left) >= (length := int(rng.choice(FIELDS))):
            together, left = left[:length], left[length:]
            style = MIX[rng.choice(len(MIX), p=[share for _, share in MIX])][0]
            yield from lines(
                data.x_train[together],
                data.y_train[together],
                writers.train[together],
                style,
                count=1,
                seed=int(rng.integers(2**31)),
                digits=length,
            )


def compose_part(path: Path, kind: Kind, number: int) -> None:
    """Compose and store one file of lines."""
    cv2.setNumThreads(1)
    pixels, texts, names = [], [], []
    for line in disjoint(number) if kind == Kind.CERTIFYING else drawn(kind, number):
        try:
            image = line_image(find_ink(line.picture.pixels))
        except BlankImageError:
            continue  # so faint that nobody could read it
        pixels.append(np.rint(image.pixels * 255).astype(np.uint8))
        texts.append(line.text)
        names.append(line.writer)
    widths = [image.shape[1] for image in pixels]
    write_arrays(path, pixels=np.concatenate(pixels, axis=1), widths=widths, texts=texts, writers=names)


def read_part(path: Path) -> Part:
    """Return the lines of one file."""
    with np.load(path) as stored:
        ends = np.cumsum(stored["widths"])
        pixels = np.split(stored["pixels"].astype(np.float32) / np.float32(255), ends[:-1], axis=1)
        return Part(pixels, stored["texts"].tolist(), stored["writers"].tolist())


def compose_missing(kind: Kind, count: int, *, jobs: int | None) -> list[Path]:
    """Return files of lines; those that are not there yet are composed, `jobs` at a time."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    paths = [FOLDER / f"{kind}-{number:04d}.npz" for number in range(count)]
    missing = [(path, kind, number) for number, path in enumerate(paths) if not path.exists()]
    if missing:
        load_mnist(), load_writers()  # downloaded here, not by all processes at once
    with fresh_processes(jobs) as pool:
        for _ in tqdm(pool.map(compose_part, *zip(*missing, strict=True)), f"{kind} lines", len(missing), unit="file"):
            pass
    return paths
