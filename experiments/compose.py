"""User-like photos, and lines of digits: the one generator of pictures for training, tests and benchmarks.

Outlines, of digits and of things that are none, are drawn with sharp edges at any size, as a pen would have drawn
them. Around them go paper, light, noise and the camera's JPEG. Everything follows from the random generator that the
caller passes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from io import BytesIO

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from digitreader.arrays import ByteArray, FloatArray
from digitreader.ctc import NO_DIGIT
from experiments.non_digits import FOREIGN, LEAST, non_digit
from experiments.outlines import FAR, FINE, Rng, dash, middle_of_strokes, outline, stroke_width

Range = tuple[float, float]


@dataclass(frozen=True)
class Style:
    """How pictures look; a pair is a range that a value is drawn from, evenly.

    Lengths are in MNIST's pixels before `scale`; a digit is about 20 high.

    Attributes
    ----------
    scale : of the picture against MNIST's pixels, drawn evenly in its logarithm.
    pen : change of the stroke's width, as a share of it.
    rotation : of the picture, degrees.
    slant : of the writing, as a tangent.
    margin : paper around the ink, drawn for each side.
    gap : between the digits of a line.
    touching : share of the gaps at which the neighbours touch instead.
    size : of a digit against MNIST's.
    baseline : standard deviation of a digit's height above the line.
    contrast : of ink against paper; 1 is black on white.
    colour : how far pen and paper are from grey, at most.
    inverted : share of pictures with light ink on dark paper.
    shade : share of the light that is lost from one side of the picture to the other.
    noise : standard deviation, in grey levels of 255.
    blur : standard deviation, in pixels of the picture.
    quality : of the JPEG file that the picture goes through; None for none.
    specks : number of dots on the paper.
    broken : share of the digits whose strokes have a gap.
    ruled : share of the pictures with a ruled line under or through the digits.
    boxed : share of the pictures with a form's box around each digit.
    """

    scale: Range = (2, 4)
    pen: Range = (0, 0)
    rotation: Range = (0, 0)
    slant: Range = (0, 0)
    margin: Range = (4, 12)
    gap: Range = (2, 8)
    touching: float = 0
    size: Range = (1, 1)
    baseline: float = 0
    contrast: Range = (1, 1)
    colour: float = 0
    inverted: float = 0
    shade: Range = (0, 0)
    noise: Range = (0, 0)
    blur: Range = (0, 0)
    quality: tuple[int, int] | None = None
    specks: tuple[int, int] = (0, 0)
    broken: float = 0
    ruled: float = 0
    boxed: float = 0


PHOTO = Style(
    scale=(0.5, 12),
    pen=(-0.2, 0.5),
    rotation=(-10, 10),
    margin=(2, 40),
    contrast=(0.35, 1),
    colour=0.25,
    inverted=0.3,
    shade=(0, 0.5),
    noise=(0, 8),
    blur=(0, 0.5),
    quality=(30, 90),
)

CLEAN = Style()
PLAIN = Style(
    scale=(1, 6),
    pen=(-0.2, 0.4),
    rotation=(-3, 3),
    slant=(-0.2, 0.2),
    gap=(1, 10),
    size=(0.85, 1.15),
    baseline=0.7,
    contrast=(0.35, 1),
    colour=0.25,
    inverted=0.1,
    shade=(0, 0.5),
    noise=(0, 10),
    blur=(0, 0.6),
    quality=(30, 95),
    specks=(0, 3),
    broken=0.05,
)
RULED = replace(PLAIN, ruled=1)
BOXED = replace(PLAIN, boxed=1, gap=(3, 8))
TOUCHING = replace(PLAIN, touching=0.6, gap=(0.5, 4))
SPECKLED = replace(PLAIN, specks=(3, 20), broken=0.4)
FIELDS = {
    "clean and apart": CLEAN,
    "noise and uneven light": PLAIN,
    "on a ruled line": RULED,
    "specks and broken strokes": SPECKLED,
    "touching": TOUCHING,
    "in form boxes": BOXED,
}
"""The styles of fields that methods are compared and the reader is measured on."""


@dataclass(frozen=True)
class Picture:
    """A composed picture.

    Attributes
    ----------
    pixels : ndarray of shape (h, w, 3), dtype uint8
    boxes : ndarray of shape (n, 4), dtype float32
        Left, top, right and bottom of each digit's ink, in pixels; of turned writing, of the box turned with it.
    """

    pixels: ByteArray
    boxes: FloatArray


def compose(outlines: Sequence[FloatArray], style: Style, rng: Rng) -> Picture:
    """Return a picture of one outline, or of several in a line from left to right.

    Parameters
    ----------
    outlines : sequence of ndarray of shape (112, 112), dtype float32
        See `outline` and `dash`.
    style : Style
    rng : Generator
    """
    pen = rng.uniform(*style.pen)
    glyphs = [_glyph(distance, pen, style, rng) for distance in outlines]
    ink, boxes = _line_up(glyphs, style, rng)
    form = _form(ink.shape, boxes, style, rng)
    return _photograph(ink, form, boxes, style, rng)


def _glyph(distance: FloatArray, pen: float, style: Style, rng: Rng) -> FloatArray:
    """Return an outline as this pen draws it, cut to its ink and a margin of one pixel."""
    distance = distance + np.float32(pen * stroke_width(distance) / 2)
    if rng.random() < style.broken:
        distance = _break(distance, rng)
    if (size := rng.uniform(*style.size)) != 1:
        distance = cv2.resize(distance, None, fx=size, fy=size, interpolation=cv2.INTER_LINEAR) * np.float32(size)
    rows, columns = (np.flatnonzero((distance > 0).any(axis=axis)) for axis in (1, 0))
    padded = np.pad(distance, FINE, constant_values=FAR)  # the ink may reach the edge
    return padded[rows[0] : rows[-1] + 1 + 2 * FINE, columns[0] : columns[-1] + 1 + 2 * FINE]


def _break(distance: FloatArray, rng: Rng) -> FloatArray:
    """Return the outline with a gap across one stroke."""
    middle = np.argwhere(middle_of_strokes(distance))
    y, x = middle[rng.integers(len(middle))]
    rows, columns = np.mgrid[: distance.shape[0], : distance.shape[1]]
    angle = rng.uniform(0, np.pi)
    across = np.abs((columns - x) * np.cos(angle) + (rows - y) * np.sin(angle)) / FINE - rng.uniform(0.3, 0.8)
    away = np.hypot(columns - x, rows - y) / FINE - 3  # a gap in this stroke, not a cut through the digit
    return np.minimum(distance, np.maximum(across, away)).astype(np.float32)


def _line_up(glyphs: Sequence[FloatArray], style: Style, rng: Rng) -> tuple[FloatArray, FloatArray]:
    """Return the outline of a line of glyphs, on the fine grid, and the box of each glyph's ink in MNIST's pixels."""
    lifts = [round(FINE * rng.normal(0, style.baseline)) if style.baseline else 0 for _ in glyphs]
    # A low glyph, a dash, stands at half of the line's height.
    tallest = max(len(glyph) for glyph in glyphs)
    lifts = [
        lift + (tallest // 2 if len(glyph) < tallest / 2 else 0) for lift, glyph in zip(lifts, glyphs, strict=True)
    ]
    above = max(len(glyph) + lift for glyph, lift in zip(glyphs, lifts, strict=True))
    below = max(0, -min(lifts))
    width = sum(glyph.shape[1] + round(FINE * max(*style.gap, 0)) for glyph in glyphs) + 2 * FINE
    line = np.full((above + below, width), FAR, np.float32)
    boxes = []
    edge = np.full(len(line), -np.inf)  # the right end of the last glyph's ink in each row
    cursor = 0
    for number, (glyph, lift) in enumerate(zip(glyphs, lifts, strict=True)):
        top = above - lift - len(glyph)
        rows = slice(top, top + len(glyph))
        inked = (glyph > 0).any(axis=1)
        left_ends = np.where(inked, (glyph > 0).argmax(axis=1), np.inf)
        if number:
            if rng.random() < style.touching:
                overlap = FINE * rng.uniform(0.2, 1)
                facing = np.isfinite(edge[rows]) & inked
                if facing.any():  # else the boxes touch, as a hyphen below the bar of a 7
                    cursor = max(round(-(left_ends - edge[rows])[facing].min() - overlap), 0)
            else:
                cursor += round(FINE * rng.uniform(*style.gap))
        columns = slice(cursor, cursor + glyph.shape[1])
        line[rows, columns] = np.maximum(line[rows, columns], glyph)
        right_ends = cursor + glyph.shape[1] - 1 - (glyph > 0)[:, ::-1].argmax(axis=1)
        edge[:] = -np.inf
        edge[rows] = np.where(inked, right_ends, -np.inf)
        boxes.append((cursor + FINE, top + FINE, columns.stop - FINE, rows.stop - FINE))
        cursor = columns.stop - 2 * FINE  # the next glyph's own margin starts at this one's ink
    return line[:, : boxes[-1][2] + FINE], np.array(boxes, np.float32) / np.float32(FINE)


def _form(shape: tuple[int, ...], boxes: FloatArray, style: Style, rng: Rng) -> FloatArray | None:
    """Return the outline of the form that is printed under the ink, with a margin around; None without a form."""
    ruled, boxed = rng.random() < style.ruled, rng.random() < style.boxed
    if not (ruled or boxed):
        return None
    pad = 8 * FINE
    height, width = shape[0] + 2 * pad, shape[1] + 2 * pad
    y, x = (np.mgrid[:height, :width] + 0.5) / FINE - 8
    half = rng.uniform(0.3, 0.8)
    form = np.full((height, width), FAR, np.float32)
    top, bottom = boxes[:, 1].min(), boxes[:, 3].max()
    if ruled:
        level = bottom + rng.uniform(-0.35, 0.1) * (bottom - top)
        form = np.maximum(form, half - np.abs(y - level))
    if boxed:
        top, bottom = top - rng.uniform(1, 4), bottom + rng.uniform(1, 4)
        between = (boxes[:-1, 2] + boxes[1:, 0]) / 2
        for level in (top, bottom):
            inside = (x > boxes[0, 0] - 3 - half) & (x < boxes[-1, 2] + 3 + half)
            form = np.maximum(form, np.where(inside, half - np.abs(y - level), FAR))
        for post in (boxes[0, 0] - 3, *between, boxes[-1, 2] + 3):
            inside = (y > top) & (y < bottom)
            form = np.maximum(form, np.where(inside, half - np.abs(x - post), FAR))
    return form.astype(np.float32)


def _photograph(ink: FloatArray, form: FloatArray | None, boxes: FloatArray, style: Style, rng: Rng) -> Picture:
    """Return the picture of the ink on the form on the paper."""
    scale = float(np.exp(rng.uniform(*np.log(style.scale))))
    angle, slant = np.deg2rad(rng.uniform(*style.rotation)), rng.uniform(*style.slant)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    linear = scale * turn @ np.array([[1, -slant], [0, 1]])

    # Corners of what must be in the picture, in MNIST's pixels.
    height, width = ink.shape[0] / FINE, ink.shape[1] / FINE
    reach = 4 if form is not None else 0
    corners = np.array([(x, y) for x in (-reach, width + reach) for y in (-reach, height + reach)]) @ linear.T
    left, top, right, bottom = rng.uniform(*style.margin, 4) * scale
    offset = np.array([left, top]) - corners.min(axis=0)
    columns, rows = np.ceil(np.ptp(corners, axis=0) + np.array([left + right, top + bottom])).astype(int)

    def drawn(distance: FloatArray, pad: int) -> FloatArray:
        """Return the share of each pixel that is inside the outline."""
        fine = 2 if scale < 1.5 else 1  # a pixel that holds a whole stroke needs more than one look
        matrix = np.hstack([linear / FINE, (offset - linear @ np.full(2, pad - 0.5 / FINE))[:, np.newaxis]]) * fine
        matrix[:, 2] -= 0.5
        warped = cv2.warpAffine(
            distance, matrix, (int(columns) * fine, int(rows) * fine), flags=cv2.INTER_LINEAR, borderValue=FAR
        )
        share = np.clip(0.5 + warped * (scale * fine), 0, 1)
        return cv2.resize(share, (int(columns), int(rows)), interpolation=cv2.INTER_AREA) if fine > 1 else share

    contrast = rng.uniform(*style.contrast)
    paper = rng.uniform(contrast, 1) + style.colour * rng.uniform(-0.3, 0.3, 3)
    pen = paper.mean() - contrast + style.colour * rng.uniform(-1, 1, 3)
    pixels = np.broadcast_to(paper, (rows, columns, 3)).astype(np.float32)
    if form is not None:
        printed = paper - contrast * rng.uniform(0.2, 1) + style.colour * rng.uniform(-1, 1, 3)
        pixels = _paint(pixels, printed, drawn(form, 8))
    coverage = drawn(ink, 0)
    for _ in range(rng.integers(style.specks[0], style.specks[1] + 1)):
        centre = rng.uniform(0, (columns, rows)).astype(int)
        cv2.circle(coverage, centre.tolist(), max(round(scale * rng.uniform(0.2, 0.8)), 1), 1.0, -1, cv2.LINE_AA)
    pixels = np.clip(_paint(pixels, pen, coverage), 0, 1)
    if rng.random() < style.inverted:
        pixels = 1 - pixels
    if (loss := rng.uniform(*style.shade)) > 0:
        pixels *= (1 - loss * slope(int(rows), int(columns), rng))[..., np.newaxis]
    if (sigma := rng.uniform(*style.blur)) > 0:
        pixels = cv2.GaussianBlur(pixels, (0, 0), sigma)
    if (sigma := rng.uniform(*style.noise)) > 0:
        pixels = pixels + rng.normal(0, sigma / 255, pixels.shape).astype(np.float32)
    photo: ByteArray = np.clip(np.rint(pixels * 255), 0, 255).astype(np.uint8)
    if style.quality:
        file = jpeg(photo, int(rng.integers(*style.quality, endpoint=True)))
        photo = np.asarray(Image.open(BytesIO(file)))
    centres = [boxes[:, [i, j]] @ linear.T + offset for i in (0, 2) for j in (1, 3)]
    placed = np.hstack([np.min(centres, axis=0), np.max(centres, axis=0)]).astype(np.float32)
    return Picture(photo, placed)


def _paint(pixels: FloatArray, colour: npt.NDArray[np.float64], coverage: FloatArray) -> FloatArray:
    """Return the pixels with a colour laid over them where there is coverage."""
    painted: FloatArray = pixels + coverage[..., np.newaxis] * (colour.astype(np.float32) - pixels)
    return painted


def slope(rows: int, columns: int, rng: Rng) -> FloatArray:
    """Return values that rise evenly from 0 to 1 across the picture, in some direction."""
    angle = rng.uniform(0, 2 * np.pi)
    y, x = np.mgrid[-1 : 1 : rows * 1j, -1 : 1 : columns * 1j]
    slope = np.cos(angle) * x + np.sin(angle) * y
    rise: FloatArray = ((slope - slope.min()) / max(np.ptp(slope), 1e-9)).astype(np.float32)
    return rise


def jpeg(pixels: ByteArray, quality: int) -> bytes:
    """Return RGB pixels (h, w, 3) as a JPEG file."""
    stream = BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", quality=quality)
    return stream.getvalue()


@dataclass(frozen=True)
class Line:
    """A picture of digits that one writer wrote.

    Attributes
    ----------
    picture : Picture
    text : str
        What it says; a ZIP+4 code has its hyphen, and `NO_DIGIT` stands for what is no digit.
    writer : int
    rows : tuple of int
        The digits' rows in the arrays that the line was composed from.
    """

    picture: Picture
    text: str
    writer: int
    rows: tuple[int, ...]


def _foreign(digit: FloatArray, rng: Rng) -> FloatArray:
    """Return something in place of a digit, with so much ink that a gap in its stroke leaves some."""
    while True:
        something = non_digit(rng.choice(FOREIGN), [digit], rng)
        if np.count_nonzero(something > 0) >= LEAST * FINE**2:
            return something


def lines(
    images: ByteArray,
    labels: ByteArray,
    writers: npt.NDArray[np.int32],
    style: Style,
    *,
    count: int,
    seed: int,
    digits: int = 5,
    non_digits: float = 0,
) -> Iterator[Line]:
    """Compose lines, each from the digits of one writer who has enough of them.

    A writer is drawn in proportion to his digits, so that every digit is as likely as in MNIST.

    Line k follows from `seed` and k alone.

    Parameters
    ----------
    images : ndarray of shape (n, 28, 28), dtype uint8
    labels : ndarray of shape (n,), dtype uint8
    writers : ndarray of shape (n,), dtype int32
        Of a part of MNIST's training set, or of its test set: never both, for their writers differ.
    style : Style
    count : int
        Number of lines.
    seed : int
    digits : int
        Digits a line; nine are a ZIP+4 code, with a hyphen after the fifth.
    non_digits : float
        Share of the digits in whose place stands a sign, a scribble, a shape, blots or a part of the digit.
    """
    names, sizes = np.unique(writers, return_counts=True)
    names, sizes = names[sizes >= digits], sizes[sizes >= digits]
    for number in range(count):
        rng = np.random.default_rng((seed, number))
        writer = rng.choice(names, p=sizes / sizes.sum())
        rows = rng.choice(np.flatnonzero(writers == writer), digits, replace=False)
        outlines = [outline(images[row]) for row in rows]
        text = "".join(str(labels[row]) for row in rows)
        for place in np.flatnonzero(rng.random(digits) < non_digits):
            outlines[place] = _foreign(outlines[place], rng)
            text = f"{text[:place]}{NO_DIGIT}{text[place + 1 :]}"
        if digits == 9:
            outlines.insert(5, dash(rng))
            text = f"{text[:5]}-{text[5:]}"
        yield Line(compose(outlines, style, rng), text, int(writer), tuple(map(int, rows)))
