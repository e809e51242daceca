"""Pictures of single digits, and of what is none, as the reader prepares them: composed once, kept in runs/pictures/.

Digits and non-digits go through the same styles, so that nothing about how a picture was made tells what it shows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from digitreader.arrays import ByteArray, FloatArray
from digitreader.data import Dataset, load_mnist, load_writers
from digitreader.errors import BlankImageError
from digitreader.images import find_ink, load_image
from digitreader.single import prepare
from experiments import compose, rough
from experiments.compose import BOXED, CLEAN, PHOTO, PLAIN, RULED, SPECKLED, Style
from experiments.hands import other_hand
from experiments.non_digits import NON_DIGITS, UNFIT, non_digit
from experiments.outlines import Rng, outline
from experiments.runs import ROOT, fresh_processes, write_arrays

POOL = "other-hands"  # these pictures: another name whenever some come out otherwise, which a test notices
FOLDER = ROOT / "runs" / "pictures" / POOL

NONE = 10  # the class of what is no digit
PART = 2000  # rows of MNIST's training set a file
OTHERS = 2  # non-digits for each digit
ONES = 0.3  # of the digits that stand beside another one in a pair: a thin 1 is easily overlooked
SMALL = Style(scale=(1, 1.6), pen=(-0.2, 0.4), margin=(1, 6))  # what is handled roughly
COMPOSED = ((PHOTO, 0.5), (CLEAN, 0.1), (PLAIN, 0.15), (SPECKLED, 0.05), (RULED, 0.1), (BOXED, 0.1))
WAYS = ("plain", "composed", "rough")


@dataclass(frozen=True)
class Pictures:
    """Prepared pictures.

    Attributes
    ----------
    images : ndarray of shape (n, 28, 28), dtype uint8
    labels : ndarray of shape (n,), dtype uint8
        0 to 9, or `NONE`.
    kinds : ndarray of shape (n,), dtype int8
        Place in `NON_DIGITS`; -1 for a digit.
    ways : ndarray of shape (n,), dtype int8
        Place in `WAYS`: as MNIST's images are, composed in some style, or handled roughly.
    rows : ndarray of shape (n,), dtype int32
        The row of MNIST's training set that the picture, or the part of a digit in it, comes from.
    """

    images: ByteArray
    labels: ByteArray
    kinds: npt.NDArray[np.int8]
    ways: npt.NDArray[np.int8]
    rows: npt.NDArray[np.int32]

    def __getitem__(self, chosen: npt.NDArray[np.generic]) -> Pictures:
        """Return some of the pictures."""
        return Pictures(*(values[chosen] for values in vars(self).values()))


def seen(pixels: ByteArray) -> ByteArray | None:
    """Return what the network sees of a picture (28, 28), dtype uint8; None if it is taken for blank."""
    try:
        image = prepare(find_ink(load_image(pixels).pixels))
    except BlankImageError:
        return None
    return np.rint(image * 255).astype(np.uint8)


def _small(distance: FloatArray, rng: Rng) -> ByteArray:
    """Return an outline in white on a small black ground."""
    return 255 - cv2.cvtColor(compose.compose([distance], SMALL, rng).pixels, cv2.COLOR_RGB2GRAY)


def _drawn(distance: FloatArray, way: str, rng: Rng) -> ByteArray:
    """Return an outline as a picture of one of the `WAYS`."""
    if way == "plain":
        return compose.compose([distance], CLEAN, rng).pixels
    if way == "rough":
        return rough.rough(_small(distance, rng), rng)
    styles, shares = zip(*COMPOSED, strict=True)
    return compose.compose([distance], styles[rng.choice(len(styles), p=shares)], rng).pixels


def _of_row(row: int, partner: int, data: Dataset) -> Iterator[tuple[ByteArray, int, int, int]]:
    """Yield pixels, label, kind and way of each picture that a digit gives, in part with another digit's help."""
    image, label, rng = data.x_train[row], int(data.y_train[row]), np.random.default_rng((5, row))
    distance = outline(image)
    plain, composed, handled = range(len(WAYS))
    yield image, label, -1, plain
    yield _drawn(other_hand(distance, label, rng), "composed", rng), label, -1, composed
    yield rough.rough(image, rng), label, -1, handled
    yield _drawn(other_hand(distance, label, rng), "rough", rng), label, -1, handled
    fitting = [kind for kind, name in enumerate(NON_DIGITS) if label not in UNFIT.get(name, ())]
    beside = outline(data.x_train[partner])
    for kind in rng.choice(fitting, OTHERS, replace=False).tolist():
        way = int(rng.integers(len(WAYS)))
        something = non_digit(NON_DIGITS[kind], [distance, beside], rng)
        yield _drawn(something, WAYS[way], rng), NONE, kind, way


def pictures_of(rows: Iterable[int]) -> Pictures:
    """Return the pictures of some rows, composed and prepared."""
    cv2.setNumThreads(1)
    data, writers = load_mnist(), load_writers().train
    found = []
    for row in rows:
        own, rng = np.flatnonzero(writers == writers[row]), np.random.default_rng((6, row))
        ones = own[data.y_train[own] == 1]
        partner = int(rng.choice(ones if len(ones) and rng.random() < ONES else own))
        for pixels, *told in _of_row(row, partner, data):
            if (image := seen(pixels)) is not None:
                found.append((image, *told, row))
    images, labels, kinds, ways, rows = zip(*found, strict=True)
    return Pictures(
        images=np.array(images),
        labels=np.array(labels, np.uint8),
        kinds=np.array(kinds, np.int8),
        ways=np.array(ways, np.int8),
        rows=np.array(rows, np.int32),
    )


def compose_part(path: Path, number: int) -> None:
    """Compose, prepare and store the pictures of `PART` rows."""
    write_arrays(path, **vars(pictures_of(range(number * PART, (number + 1) * PART))))


def joined(parts: Sequence[Pictures]) -> Pictures:
    """Return all pictures of some parts."""
    names = vars(parts[0])
    return Pictures(**{name: np.concatenate([getattr(part, name) for part in parts]) for name in names})


def load_pictures(jobs: int | None = None) -> Pictures:
    """Return the pictures of all of MNIST's training set; those that are not there yet are composed, `jobs` at a time.

    Raises
    ------
    DataNotFoundError
        If MNIST, or the list of its writers, cannot be had.
    """
    FOLDER.mkdir(parents=True, exist_ok=True)
    numbers = range(len(load_mnist().x_train) // PART)
    load_writers()  # downloaded here, not by all processes at once
    paths = [FOLDER / f"{number:02d}.npz" for number in numbers]
    missing = [(path, number) for number, path in enumerate(paths) if not path.exists()]
    if missing:
        with fresh_processes(jobs) as pool:
            for _ in tqdm(pool.map(compose_part, *zip(*missing, strict=True)), "pictures", len(missing), unit="file"):
                pass
    parts = []
    for path in paths:
        with np.load(path) as stored:
            parts.append(Pictures(**stored))
    return joined(parts)
