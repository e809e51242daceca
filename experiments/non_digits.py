"""Things that are no digits, as outlines: what a reader must not take for a digit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache, lru_cache
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from digitreader.arrays import ByteArray, FloatArray
from experiments.outlines import FAR, FINE, Rng, signed_distance

SIDE = 28 * FINE
CUTS = 10  # tries for a fragment
LEAST = 12  # of its ink, in MNIST's pixels
STRAIGHT = 0.4  # deviation of the ink across a stroke against that along it

# Without those that a person could take for a digit, such as O, l, S, Z, B, g, q, T and Y.
SIGNS = "AEFHKMNRWXefhkmnrtuwx&#%*+=?!@<>"
FONTS = (cv2.FONT_HERSHEY_SIMPLEX, cv2.FONT_HERSHEY_DUPLEX, cv2.FONT_HERSHEY_COMPLEX, cv2.FONT_HERSHEY_SCRIPT_SIMPLEX)

LETTERS = "ACEFHKMNPRUVWXacdefhkmnprtuvwx"
SYMBOLS = "#%&*+=?@<>{}$€§^~÷×±√∞∑∆∂¶¥£µπ"
ALPHABETS = (  # Greek, Cyrillic, Armenian, Georgian, Hebrew, Tifinagh; without those like a digit
    "ΓΔΛΞΠΣΨΩαεηκλμνπχψωГДЖИЙКЛМПФХЦШЩЫЮЯвгджийклмнптфцшщыюяԱԲԴԵԹԺԽԾԿՀՃՄՆՊՌՎՓთლტფქღყშჩאטלםמעפצקשתⴱⴳⴼⴽⵃⵄⵅⵇⵉⵊⵎⵛⵜⵟⵡⵢⵣ"
)
LOOKALIKES = "BDGIJLOQSTYZbgijloqsyz"
TYPEFACES = (
    *(f"DejaVuSans{face}" for face in ("", "-Bold", "-Oblique", "-BoldOblique")),
    *(f"DejaVuSansMono{face}" for face in ("", "-Bold", "-Oblique")),
    *(f"DejaVuSerif{face}" for face in ("", "-Bold", "-Italic")),
    *(f"STIXGeneral{face}" for face in ("", "Bol", "Italic", "BolIta")),
)


def _sign(canvas: ByteArray, thickness: int, rng: Rng) -> None:
    sign, font = SIGNS[rng.integers(len(SIGNS))], FONTS[rng.integers(len(FONTS))]
    size = rng.uniform(2, 2.8)
    (width, height), _ = cv2.getTextSize(sign, font, size, thickness)
    cv2.putText(canvas, sign, ((SIDE - width) // 2, (SIDE + height) // 2), font, size, 255, thickness)


def _scribble(canvas: ByteArray, thickness: int, rng: Rng) -> None:
    turns = rng.uniform(0.15, 0.85, (int(rng.integers(5, 12)), 2)) * SIDE
    steps = np.linspace(0, len(turns) - 1, 200)
    path = np.stack([np.interp(steps, np.arange(len(turns)), turns[:, axis]) for axis in (0, 1)], axis=1)
    path = cv2.GaussianBlur(path, (1, 0), sigmaX=0.1, sigmaY=6)
    cv2.polylines(canvas, [np.rint(path).astype(np.int32)], False, 255, thickness)


def _shape(canvas: ByteArray, thickness: int, rng: Rng) -> None:
    corners = int(rng.integers(3, 6))
    step = 2 if corners == 5 and rng.random() < 0.5 else 1  # a star
    angles = rng.uniform(0, 2 * np.pi) + 2 * np.pi * np.arange(corners) * step / corners
    points = SIDE * (0.5 + 0.36 * np.stack([np.cos(angles), np.sin(angles)], axis=1))
    cv2.polylines(canvas, [np.rint(points).astype(np.int32)], True, 255, thickness)


def _blots(canvas: ByteArray, thickness: int, rng: Rng) -> None:
    for _ in range(int(rng.integers(2, 8))):
        centre, axes = rng.uniform(0.2, 0.8, 2) * SIDE, rng.uniform(4, 20, 2)
        ellipse = (tuple(map(float, centre)), tuple(map(float, axes)), float(rng.uniform(0, 180)))
        cv2.ellipse(canvas, ellipse, 255, -1)


def _letter(canvas: ByteArray, thickness: int, rng: Rng) -> None:
    _print(canvas, LETTERS, rng)


def _symbol(canvas: ByteArray, thickness: int, rng: Rng) -> None:
    _print(canvas, SYMBOLS, rng)


def _foreign_letter(canvas: ByteArray, thickness: int, rng: Rng) -> None:
    _print(canvas, ALPHABETS, rng)


def _lookalike(canvas: ByteArray, thickness: int, rng: Rng) -> None:
    _print(canvas, LOOKALIKES, rng)


def _texture(canvas: ByteArray, thickness: int, rng: Rng) -> None:
    """Draw stripes, a grid, dots, or cloudy spots."""
    y, x = np.mgrid[:SIDE, :SIDE] / FINE
    angle, period, phase = rng.uniform(0, np.pi), rng.uniform(4, 9), rng.uniform(0, 2 * np.pi, 2)
    along = (np.cos(angle) * x + np.sin(angle) * y) * 2 * np.pi / period + phase[0]
    across = (np.cos(angle) * y - np.sin(angle) * x) * 2 * np.pi / period + phase[1]
    clouds = cv2.GaussianBlur(rng.normal(size=(SIDE, SIDE)), (0, 0), FINE * rng.uniform(0.8, 2.5))
    values = (
        np.sin(along),
        np.maximum(np.sin(along), np.sin(across)),
        np.minimum(np.sin(along), np.sin(across)),
        clouds / clouds.std(),
    )[rng.integers(4)]
    canvas[values > rng.uniform(0.2, 0.7)] = 255


def _silhouette(canvas: ByteArray, thickness: int, rng: Rng) -> None:
    """Draw something solid, about the same left and right as clothes, vessels and leaves are, maybe with seams."""
    count = int(rng.integers(4, 9))
    heights = np.sort(rng.uniform(0.1, 0.9, count))
    widths = rng.uniform(0.08, 0.4, count)
    right = np.stack([0.5 + widths, heights], axis=1)
    left = np.stack([0.5 - widths * rng.uniform(0.9, 1.1), heights], axis=1)
    points = SIDE * np.concatenate([right, left[::-1]])
    cv2.fillPoly(canvas, [np.rint(points).astype(np.int32)], 255)
    for _ in range(int(rng.integers(0, 4))):
        ends = np.rint(rng.uniform(0.1, 0.9, (2, 2)) * SIDE).astype(int).tolist()
        cv2.line(canvas, ends[0], ends[1], 0, thickness // 2)


def _noise(canvas: ByteArray, thickness: int, rng: Rng) -> None:
    """Draw grains, each black or white."""
    grains = int(rng.integers(8, 29))
    black = (rng.random((grains, grains)) < rng.uniform(0.1, 0.6)).astype(np.uint8) * 255
    canvas[:] = cv2.resize(black, (SIDE, SIDE), interpolation=cv2.INTER_NEAREST)


def _glyph(canvas: ByteArray, thickness: int, rng: Rng) -> None:
    """Draw a sign of no alphabet: three to five strokes, straight or bent, each from some point of those before."""
    drawn = [rng.uniform(0.15, 0.85, (1, 2))]
    for _ in range(int(rng.integers(3, 6))):
        before = drawn[rng.integers(len(drawn))]
        start = before[rng.integers(len(before))]
        end = rng.uniform(0.12, 0.88, 2)
        while np.hypot(*(end - start)) < 0.3:
            end = rng.uniform(0.12, 0.88, 2)
        bend = (start + end) / 2 + (rng.normal(0, 0.2, 2) if rng.random() < 0.6 else 0)
        t = np.linspace(0, 1, 12)[:, np.newaxis]
        drawn.append((1 - t) ** 2 * start + 2 * t * (1 - t) * bend + t**2 * end)
    for stroke in drawn[1:]:
        cv2.polylines(canvas, [np.rint(stroke * SIDE).astype(np.int32)], False, 255, thickness)


LIKE_DIGITS = "letter like a digit"
DRAWN: dict[str, Callable[[ByteArray, int, Rng], None]] = {
    "sign": _sign,
    "letter": _letter,
    "symbol": _symbol,
    "foreign letter": _foreign_letter,
    LIKE_DIGITS: _lookalike,
    "scribble": _scribble,
    "glyph": _glyph,
    "shape": _shape,
    "blots": _blots,
    "texture": _texture,
    "silhouette": _silhouette,
    "noise": _noise,
}
FOREIGN = ("sign", "scribble", "shape", "blots", "fragment")
"""The kinds that the line reader was trained on."""
NON_DIGITS = (
    "sign",
    "letter",
    "symbol",
    "foreign letter",
    "scribble",
    "glyph",
    "shape",
    "blots",
    "texture",
    "silhouette",
    "noise",
    "fragment",
    "shuffled",
    "mirrored",
    "pair",
)
"""All kinds but the letters that are like digits."""
UNFIT: dict[str, tuple[int, ...]] = {"fragment": (1, 7), "shuffled": (1, 7), "mirrored": (0, 1, 2, 4, 5, 8)}
"""Digits that a kind is not made from: what would come out is often a digit."""


def non_digit(kind: str, digits: Sequence[FloatArray], rng: Rng) -> FloatArray:
    """Return the outline, as `outline` does of a digit, of something that is none.

    Parameters
    ----------
    kind : str
        One of `NON_DIGITS`, or `LIKE_DIGITS`.
    digits : sequence of ndarray of shape (112, 112)
        Outlines of digits, none of those that are `UNFIT`: two for a pair, else one.
    rng : Generator
    """
    if kind == "fragment":
        return _fragment(digits[0], rng)
    if kind == "shuffled":
        ink = _cut(digits[0])
        return _fitted(np.roll(ink, [side // 2 for side in ink.shape], axis=(0, 1)))
    if kind == "mirrored":
        return digits[0][:, ::-1]
    if kind == "pair":
        left, right = digits[:: rng.choice([1, -1])]
        return _pair(left, right, rng)
    canvas = np.zeros((SIDE, SIDE), np.uint8)
    DRAWN[kind](canvas, int(rng.integers(5, 14)), rng)
    return signed_distance(canvas > 127)


def _fragment(digit: FloatArray, rng: Rng) -> FloatArray:
    """Return a part of a digit that is cut at its middle; if possible neither a stroke, like a 1, nor with a loop."""
    y, x = (np.mgrid[:SIDE, :SIDE] + 0.5) / FINE - 14
    part = digit
    for _ in range(CUTS):
        angle = rng.choice([0, np.pi / 2, np.pi, 1.5 * np.pi]) + rng.normal(0, 0.2)
        part = np.minimum(digit, np.cos(angle) * x + np.sin(angle) * y + rng.uniform(-2, 1))
        if not _like_a_digit(part > 0):
            break
    return part.astype(np.float32)


def _like_a_digit(ink: npt.NDArray[np.bool_]) -> bool:
    """Return whether ink is next to nothing, as straight as a 1, or has a loop, as 0, 6, 8 and 9 have."""
    places = np.argwhere(ink)
    if len(places) < LEAST * FINE * FINE:
        return True
    narrow, wide = np.linalg.eigvalsh(np.cov(places.T))
    loops = cv2.connectedComponents((~np.pad(ink, 1)).astype(np.uint8))[0] > 2
    return bool(loops or narrow < STRAIGHT**2 * wide)


def _pair(left: FloatArray, right: FloatArray, rng: Rng) -> FloatArray:
    """Return two digits that touch or overlap, or stand close together."""
    first, second = (_cut(digit) for digit in (left, right))
    width = first.shape[1] + second.shape[1] + 8 * FINE
    canvas = np.full((max(len(first), len(second)) + 4 * FINE, width), FAR, np.float32)
    overlap = rng.uniform(0.1, 0.5) * min(first.shape[1], second.shape[1])
    step = first.shape[1] - round(overlap if rng.random() < 0.6 else FINE * rng.uniform(-8, 0))
    for digit, column in ((first, 0), (second, step)):
        top = (len(canvas) - len(digit)) // 2 + round(FINE * rng.uniform(-2, 2))
        place = canvas[top : top + len(digit), column : column + digit.shape[1]]
        np.maximum(place, digit, out=place)
    return _fitted(_cut(canvas))


def _cut(distance: FloatArray) -> FloatArray:
    """Return an outline cut to its ink."""
    rows, columns = (np.flatnonzero((distance > 0).any(axis=axis)) for axis in (1, 0))
    return distance[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def _fitted(distance: FloatArray) -> FloatArray:
    """Return an outline scaled into MNIST's box of 20 × 20 pixels."""
    factor = 20 * FINE / max(distance.shape)
    height, width = (max(round(side * factor), 1) for side in distance.shape)
    small = cv2.resize(distance, (width, height), interpolation=cv2.INTER_AREA) * np.float32(factor)
    canvas = np.full((SIDE, SIDE), FAR, np.float32)
    top, left = (SIDE - height) // 2, (SIDE - width) // 2
    canvas[top : top + height, left : left + width] = small
    return canvas


@cache
def _typefaces() -> list[tuple[str, frozenset[int]]]:
    """Return the files of the typefaces that come with Matplotlib, and the characters that each has."""
    from matplotlib import get_data_path
    from matplotlib.ft2font import FT2Font

    files = [str(Path(get_data_path(), "fonts", "ttf", f"{name}.ttf")) for name in TYPEFACES]
    return [(file, frozenset(FT2Font(file).get_charmap())) for file in files]


@lru_cache(maxsize=64)
def _typeface(file: str, size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(file, size)


def _print(canvas: ByteArray, characters: str, rng: Rng) -> None:
    """Draw one of some characters in a typeface that has it, bent a little."""
    character = characters[rng.integers(len(characters))]
    files = [file for file, known in _typefaces() if ord(character) in known]
    font = _typeface(files[rng.integers(len(files))], int(rng.integers(70, 110)))
    page = Image.new("L", (2 * SIDE, 2 * SIDE))
    ImageDraw.Draw(page).text((SIDE, SIDE), character, font=font, fill=255, anchor="mm")
    box = page.getbbox() or (0, 0, 1, 1)
    glyph = np.asarray(page.crop(box))
    factor = 20 * FINE / max(glyph.shape)
    size = [max(round(side * factor), 1) for side in glyph.shape[::-1]]
    glyph = cv2.resize(glyph, size, interpolation=cv2.INTER_AREA)
    top, left = (SIDE - glyph.shape[0]) // 2, (SIDE - glyph.shape[1]) // 2
    canvas[top : top + glyph.shape[0], left : left + glyph.shape[1]] = glyph
    bend = [cv2.GaussianBlur(rng.normal(size=(SIDE, SIDE)), (0, 0), 5 * FINE) for _ in range(2)]
    reach = FINE * rng.uniform(0, 1.5)
    y, x = np.mgrid[:SIDE, :SIDE]
    to_x, to_y = (place + reach * shift / shift.std() for place, shift in zip((x, y), bend, strict=True))
    canvas[:] = cv2.remap(canvas, to_x.astype(np.float32), to_y.astype(np.float32), cv2.INTER_LINEAR)
