"""Lines of digits to train and calibrate the line reader on, composed once and kept in runs/lines/."""

from __future__ import annotations

import hashlib
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
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
from experiments.compose import BOXED, CLEAN, PHOTO, PLAIN, RULED, SPECKLED, TOUCHING, lines
from experiments.runs import ROOT, read_card

# Lines that other code composed or saw otherwise are others.
_sources = [Path(module.__file__ or "").read_bytes() for module in (compose, non_digits, outlines, fields, images)] + [
    Path(__file__).read_bytes()
]
FOLDER = ROOT / "runs" / "lines" / hashlib.sha256(b"".join(_sources)).hexdigest()[:12]
MIX = ((CLEAN, 0.15), (PLAIN, 0.27), (RULED, 0.12), (BOXED, 0.12), (TOUCHING, 0.25), (SPECKLED, 0.09))
PHOTOS = 0.12  # share of the training lines that are photos of one digit
FIELDS = (5, 5, 5, 9)  # of the validation lines: ZIP codes, and ZIP+4
LENGTHS = (1, 2, 3, 4, 5, 5, 5, 6, 7, 8, 9, 10)
FOREIGN_GROUPS, FOREIGN = 0.3, 0.4  # share of the training lines in which this share of the digits is something else
PART = 1000  # lines a file
VALIDATION_PARTS = 6


@dataclass(frozen=True)
class Part:
    """Some lines, as the network sees them.

    Attributes
    ----------
    pixels : list of ndarray of shape (24, w), dtype float32
    texts : list of str
    """

    pixels: list[npt.NDArray[np.float32]]
    texts: list[str]


def validation_mask(labels: ByteArray) -> npt.NDArray[np.bool_]:
    """Return which rows of MNIST's training set the notebook validates on, shape (60000,): not trained on here."""
    mask = np.zeros(len(labels), np.bool_)
    mask[validation_rows(labels, read_card()["split"]["validation_rows_sha256"])] = True
    return mask


def compose_part(path: Path, number: int, validation: bool) -> None:
    """Compose and store one file of lines."""
    cv2.setNumThreads(1)
    data, writers = load_mnist(), load_writers()
    held_out = validation_mask(data.y_train)
    rows = held_out if validation else ~held_out
    digits, labels, names = data.x_train[rows], data.y_train[rows], writers.train[rows]
    rng = np.random.default_rng((7, number, validation))
    pixels, texts = [], []
    counts = rng.multinomial(PART if validation else round(PART * (1 - PHOTOS)), [share for _, share in MIX])
    groups = [(PHOTO, 1, 0 if validation else round(PART * PHOTOS))]
    for (style, _), count in zip(MIX, counts, strict=True):
        lengths = FIELDS if validation else LENGTHS
        share = rng.multinomial(count, np.full(len(lengths), 1 / len(lengths)))
        groups += [(style, length, int(wanted)) for length, wanted in zip(lengths, share, strict=True)]
    for style, length, wanted in groups:
        composed = lines(
            digits,
            labels,
            names,
            style,
            count=wanted,
            seed=int(rng.integers(2**31)),
            digits=length,
            non_digits=FOREIGN if not validation and rng.random() < FOREIGN_GROUPS else 0,
        )
        for line in composed:
            try:
                image = line_image(find_ink(line.picture.pixels))
            except BlankImageError:
                continue  # so faint that nobody could read it
            pixels.append(np.rint(image.pixels * 255).astype(np.uint8))
            texts.append(line.text)
    partial = path.with_suffix(".part.npz")
    np.savez_compressed(
        partial, pixels=np.concatenate(pixels, axis=1), widths=[image.shape[1] for image in pixels], texts=texts
    )
    partial.replace(path)


def read_part(path: Path) -> Part:
    """Return the lines of one file."""
    with np.load(path) as stored:
        ends = np.cumsum(stored["widths"])
        pixels = np.split(stored["pixels"].astype(np.float32) / np.float32(255), ends[:-1], axis=1)
        return Part(pixels, stored["texts"].tolist())


def compose_missing(count: int, *, validation: bool, jobs: int | None) -> list[Path]:
    """Return files of lines; those that are not there yet are composed, `jobs` at a time."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    kind = "validation" if validation else "training"
    paths = [FOLDER / f"{kind}-{number:04d}.npz" for number in range(count)]
    missing = [(path, number, validation) for number, path in enumerate(paths) if not path.exists()]
    if missing:
        load_mnist(), load_writers()  # downloaded here, not by all processes at once
    with ProcessPoolExecutor(jobs) as pool:
        for _ in tqdm(pool.map(compose_part, *zip(*missing, strict=True)), f"{kind} lines", len(missing), unit="file"):
            pass
    return paths
