"""Images as people have them, brought to one form: grey ink, 1 where the pen wrote and 0 on paper."""

from __future__ import annotations

import contextlib
import os
import re
from dataclasses import dataclass
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

import cv2
import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from digitreader.arrays import ByteArray, FloatArray
from digitreader.defects import SMALL, mended
from digitreader.errors import BlankImageError, ImageError, ImageFormatError, ImageTooLargeError
from digitreader.ranks import ranked

Source = str | os.PathLike[str] | bytes | bytearray | memoryview | BinaryIO | Image.Image | npt.NDArray[Any]

FORMATS = ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM")
MAX_BYTES = 50_000_000
MAX_PIXELS = 50_000_000
PILLOW_PIXELS = 178_956_970  # more it never opens
WEBP_PIXELS = 25_000_000  # its decoder keeps several copies
SLOW_CODINGS = ("ppm", "ppm_plain", "bmp_rle")  # that Pillow decodes in Python
SLOW_BYTES = 1_000_000  # of a file in one of them
JPEG_SCANS = 32  # a progressive file has about ten; each costs a pass over all pixels
UPRIGHT, LYING = 1, (5, 6, 7, 8)  # EXIF orientations; the latter exchange width and height
PNM_HEADER = re.compile(rb"P[1-6](?:\s+(?:#[^\n]*\n\s*)*\d+){2,3}\s")
PNM_HEADER_BYTES = 4096  # comments included
GREY_DEPTHS = (8, 10, 12, 14, 16)  # bits that cameras and scanners use of 16
TIFF_TILE_WIDTH, TIFF_TILE_LENGTH = 322, 323
STRIP = 256  # rows of an array that are converted at once
WORKING_SIDE = 1024  # larger images are reduced: no digit needs more

TINY = 24  # pixels: in a picture no larger, a digit's strokes fill too much to fit the paper closely
TWO_KINDS = 0.8  # share of the variance that two kinds of pixels explain; a mere slope of light has 0.75
SUM = np.ones((1, 3), np.float32)  # of the channels, for OpenCV, which takes a tenth of NumPy's time over a short axis
OVER_NOISE, OVER_CLOUDS = 4, 3  # times the noise, of the paper and above its clouds: less is no ink
CLOUDY = 8  # times the noise: ink that stands out less is looked for above the paper nearby
CLOUD = 0.08  # of a small picture's side: the deviation of a Gaussian that follows its clouds, not its strokes
ROW_POWERS, COLUMN_POWERS = [0, 0, 1, 0, 1, 2], [0, 1, 0, 2, 1, 0]  # of the terms 1, x, y, x², xy, y² of a surface
MIN_CONTRAST = 0.08
"""Distance in RGB, each channel from 0 to 1, of ink from paper: 12 grey levels of 255. Fainter marks count as paper."""


@dataclass(frozen=True)
class LoadedImage:
    """A decoded image.

    Attributes
    ----------
    pixels : ndarray of shape (h, w, 3), dtype uint8
        RGB; transparent pixels are white; no side is longer than `WORKING_SIDE`.
    size : tuple of int
        Width and height of the upright image before it was reduced.
    """

    pixels: ByteArray
    size: tuple[int, int]


def load_image(source: Source, *, max_bytes: int = MAX_BYTES, max_pixels: int = MAX_PIXELS) -> LoadedImage:
    """Decode an image of any kind.

    Parameters
    ----------
    source : path, bytes, binary file, PIL image or array
        A file in one of `FORMATS`; of an animation the first frame is taken, and the orientation that EXIF states is
        obeyed. Arrays are (h, w), or (h, w, c) with 1, 3 (RGB) or 4 (RGBA) channels, of uint8, uint16, bool, or
        floats in [0, 1].
    max_bytes : int
        Largest size of a file.
    max_pixels : int
        Largest number of pixels; of a file never more than `PILLOW_PIXELS`, of a WebP file than `WEBP_PIXELS`.

    Raises
    ------
    ImageTooLargeError
        If the file or the image is over a limit; found out before the pixels are decoded.
    ImageFormatError
        If the source is no image, is damaged, or is of a kind that is not read.
    """
    if isinstance(source, np.ndarray):
        array = np.asarray(source)  # masks and matrices have rules of their own
        return LoadedImage(_reduce(_array_pixels(array, max_pixels)), (array.shape[1], array.shape[0]))
    if isinstance(source, Image.Image):
        _check_size(source, "The PIL image", max_pixels)
        return _decode(source, "The PIL image", source.size)
    name, content = _read(source, max_bytes)
    if not content:
        raise ImageFormatError(f"{name} is empty.")
    if content[:1] == b"P" and content[1:2].isdigit() and not PNM_HEADER.match(content[:PNM_HEADER_BYTES]):
        raise ImageFormatError(f"{name} is damaged: its header is not that of a PPM, PGM or PBM file.")
    try:
        image = Image.open(BytesIO(content), formats=FORMATS)
        _check_size(image, name, min(max_pixels, WEBP_PIXELS) if image.format == "WEBP" else max_pixels)
        _check_coding(image, name, content, max_pixels)
    except ImageError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        allowed = min(max_pixels, PILLOW_PIXELS)
        raise ImageTooLargeError(f"{name} has more pixels than the {allowed:,} allowed.") from error
    except UnidentifiedImageError as error:
        raise ImageFormatError(
            f"{name} is not an image in a format that is read ({', '.join(FORMATS)}), or its header is damaged."
        ) from error
    except Exception as error:  # Pillow's parsers let many kinds through
        raise ImageFormatError(f"{name} is damaged: {error or type(error).__name__}.") from error
    with image:
        size = image.size
        image.draft(None, (WORKING_SIDE, WORKING_SIDE))  # a JPEG need not be decoded at its full size
        return _decode(image, name, size)


def _read(source: Any, max_bytes: int) -> tuple[str, bytes]:
    """Return what to call the source and its content, of which never more than `max_bytes` are read."""
    if isinstance(source, bytes | bytearray | memoryview):
        name, content = "The image", bytes(source[: max_bytes + 1])
    elif isinstance(source, str | os.PathLike):
        name = os.fspath(source)
        try:
            if name and Path(name).is_dir():
                raise ImageFormatError(f"{name} is a folder, not an image file.")
            with Path(name).open("rb") as stream:
                content = stream.read(max_bytes + 1)
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise ImageFormatError(f"{name} cannot be read: {reason}.") from error
    elif hasattr(source, "read"):
        given = getattr(source, "name", None)
        name = given if isinstance(given, str) else "The file"  # a pipe's name may be a number
        content = _read_stream(source, name, max_bytes + 1)
    else:
        kind = type(source).__name__
        raise ImageFormatError(f"An image is a path, bytes, a binary file, a PIL image or an array, not {kind}.")
    if len(content) > max_bytes:
        raise ImageTooLargeError(f"{name} is larger than the {max_bytes:,} bytes allowed.")
    return name, content


def _read_stream(stream: Any, name: str, limit: int) -> bytes:
    """Return the content of an open file, at most `limit` bytes; a pipe gives it in pieces."""
    pieces, missing = [], limit
    while missing:
        try:
            piece = stream.read(missing)
        except Exception as error:  # whatever an object that can be read may raise
            raise ImageFormatError(f"{name} cannot be read: {error}.") from error
        if not isinstance(piece, bytes):
            kind = type(piece).__name__
            raise ImageFormatError(f"{name} gives {kind}, not bytes: is it opened in binary mode?")
        if not piece:
            break
        pieces.append(piece)
        missing -= len(piece)
    return b"".join(pieces)


def _check_size(image: Image.Image, name: str, max_pixels: int) -> None:
    """Raise unless an image, which may not be decoded yet, has an allowed number of pixels."""
    width, height = image.size
    if width * height > max_pixels:
        raise ImageTooLargeError(f"{name} has {width:,} × {height:,} pixels; {max_pixels:,} are allowed.")
    if not width or not height:
        raise ImageFormatError(f"{name} has no pixels.")


def _check_coding(image: Image.Image, name: str, content: bytes, max_pixels: int) -> None:
    """Raise if decoding would cost far more than the number of pixels tells."""
    if image.format in ("JPEG", "MPO") and content.count(b"\xff\xda") > JPEG_SCANS:
        raise ImageFormatError(f"{name} has more than {JPEG_SCANS} scans: no camera writes it so.")
    if image.format == "TIFF":
        tags: Any = image.getexif()
        tile = tags.get(TIFF_TILE_WIDTH, 0) * tags.get(TIFF_TILE_LENGTH, 0)
        if tile > max_pixels:
            raise ImageTooLargeError(f"{name} has tiles of {tile:,} pixels; {max_pixels:,} are allowed.")
    codings = {tile[0] for tile in getattr(image, "tile", ())}
    if len(content) > SLOW_BYTES and not codings.isdisjoint(SLOW_CODINGS):
        raise ImageTooLargeError(f"{name} is coded in a way that is read up to {SLOW_BYTES:,} bytes only.")


def _decode(image: Image.Image, name: str, size: tuple[int, int]) -> LoadedImage:
    """Return a PIL image, which had this size in its file, as RGB pixels the way up that EXIF states."""
    try:
        image.load()
        with contextlib.suppress(Exception):  # a damaged EXIF block states nothing
            orientation = image.getexif().get(ExifTags.Base.Orientation, UPRIGHT)
            if orientation != UPRIGHT:  # what is not turned is not copied
                lies = orientation in LYING and image.format != "TIFF"  # which Pillow has turned already
                image = ImageOps.exif_transpose(image)
                size = size[::-1] if lies else size
        pixels = _pixels(image, name)
    except ImageError:
        raise
    except Exception as error:  # Pillow's parsers let many kinds through
        raise ImageFormatError(f"{name} is damaged or truncated: {error or type(error).__name__}.") from error
    return LoadedImage(pixels, size)


def _pixels(image: Image.Image, name: str) -> ByteArray:
    """Return a decoded PIL image as RGB pixels."""
    if image.mode in ("F", "I"):
        return _reduce(_stretched(np.asarray(_shrunk(image)), name))
    if image.mode.startswith("I;16"):
        return _reduce(_grey_levels(np.asarray(image).astype(np.uint16, copy=False)))
    if image.mode == "La":
        image = image.convert("LA")
    if image.mode in ("LA", "RGBA"):
        return _on_white(np.asarray(_shrunk(image).convert("RGBA")))
    if image.mode in ("PA", "RGBa") or "transparency" in image.info:
        return _on_white(np.asarray(_shrunk(image.convert("RGBA"))))
    return _reduce(np.asarray(_shrunk(image if image.mode in ("L", "RGB") else image.convert("RGB"))))


def _shrunk(image: Image.Image) -> Image.Image:
    """Return a PIL image no side of which is much longer than `WORKING_SIDE`."""
    factor = max(image.size) // WORKING_SIDE
    return image.reduce(factor) if factor > 1 else image


def _grey_levels(values: npt.NDArray[np.uint16]) -> ByteArray:
    """Return values of 16 bits, of which a camera may use 10 or 12 only, as uint8 pixels (h, w) or (h, w, c).

    A single bright pixel, a defect of the camera, tells nothing of the depth.
    """
    values = _limited(values)
    highest = int(cv2.medianBlur(values, 3).max()) if min(values.shape[:2]) > 2 else int(values.max())
    white = next(2**bits - 1 for bits in GREY_DEPTHS if highest < 2**bits)
    return np.rint(np.minimum(values, white) * np.float32(255 / white)).astype(np.uint8)


def _stretched(values: npt.NDArray[Any], name: str) -> ByteArray:
    """Return grey values (h, w) of 32 bits, which may use any range, as uint8 pixels."""
    values = values.astype(np.float64)
    if not np.isfinite(values).all():
        raise ImageFormatError(f"{name} holds values that are not finite.")
    low, high = float(values.min()), float(values.max())
    return np.rint((values - low) * (255 / ((high - low) or 1))).astype(np.uint8)


def _on_white(pixels: ByteArray) -> ByteArray:
    """Return RGBA pixels laid on white paper.

    White strokes on a transparent ground, as drawing programs save them, would vanish there: they are laid on black.
    """
    colours, cover = pixels[..., :3].astype(np.uint16), pixels[..., 3:].astype(np.uint16)
    laid: ByteArray = ((colours * cover + 255 * (255 - cover) + 127) // 255).astype(np.uint8)
    seen, covered = np.linalg.norm(np.ptp(laid, axis=(0, 1))), np.sqrt(3) * np.ptp(cover)  # of white on black
    if seen < 255 * MIN_CONTRAST <= covered:
        laid = ((colours * cover + 127) // 255).astype(np.uint8)
    return _reduce(laid)


def _array_pixels(array: npt.NDArray[Any], max_pixels: int) -> ByteArray:
    """Return an array of any allowed shape and dtype as pixels (h, w) or (h, w, c), dtype uint8."""
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (1, 3, 4)):
        raise ImageFormatError(f"An array of shape {array.shape} is no image: (h, w) or (h, w, 1, 3 or 4) is needed.")
    if not array.size:
        raise ImageFormatError(f"An array of shape {array.shape} has no pixels.")
    if array.shape[0] * array.shape[1] > max_pixels:
        raise ImageTooLargeError(f"The array is {array.shape}; {max_pixels:,} pixels are allowed.")
    if array.dtype == np.bool_:
        return array.astype(np.uint8) * np.uint8(255)
    if array.dtype == np.uint8:
        return array
    if array.dtype.kind == "u" and array.dtype.itemsize == 2:  # in either order of bytes
        array = array.astype(np.uint16, copy=False)
        if array.ndim == 3 and array.shape[2] == 4:
            array = _limited(array)
            cover = (array[..., 3:] >> 8).astype(np.uint8)
            return np.concatenate([_grey_levels(np.ascontiguousarray(array[..., :3])), cover], axis=2)
        return _grey_levels(array)
    if not np.issubdtype(array.dtype, np.floating):
        raise ImageFormatError(f"An array of {array.dtype} is no image: uint8, uint16, bool or float is needed.")
    low, high = np.float32(array.min()), np.float32(array.max())
    if not (np.isfinite(low) and np.isfinite(high)):
        raise ImageFormatError("The array holds NaN or infinity.")
    if low < 0 or high > 1:
        raise ImageFormatError(f"Floats must lie in [0, 1]; these lie in [{low:.7g}, {high:.7g}].")
    pixels = np.empty(array.shape, np.uint8)
    for start in range(0, len(array), STRIP):  # a copy of floats may be eight times as large as the picture
        pixels[start : start + STRIP] = np.rint(array[start : start + STRIP] * 255)
    return pixels


def _limited(pixels: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return pixels of any kind that OpenCV can average, no side longer than `WORKING_SIDE`."""
    scale = WORKING_SIDE / max(pixels.shape[:2])
    if scale >= 1:
        return pixels
    height, width = (max(round(side * scale), 1) for side in pixels.shape[:2])
    reduced: npt.NDArray[Any] = cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA)
    return reduced


def _reduce(pixels: ByteArray) -> ByteArray:
    """Return grey, RGB or RGBA pixels as RGB, no side longer than `WORKING_SIDE`."""
    if pixels.ndim == 3 and pixels.shape[2] == 4:
        return _on_white(np.asarray(_shrunk(Image.fromarray(pixels))))
    pixels = _limited(pixels)
    if pixels.ndim == 2 or pixels.shape[2] == 1:
        pixels = np.repeat(pixels.reshape(*pixels.shape[:2], 1), 3, axis=2)
    return pixels


def find_ink(pixels: ByteArray) -> FloatArray:
    """Separate ink from paper, whatever their colours, whichever is the darker, in uneven light.

    The paper's colour is a quadratic surface fitted to the pixels that are not ink; ink is what differs from it in the
    direction of the strongest differences, in proportion to the light that falls there.

    Parameters
    ----------
    pixels : ndarray of shape (h, w, 3), dtype uint8

    Returns
    -------
    ndarray of shape (h, w), dtype float32
        0 on paper, 1 where the pen covers a pixel.

    Raises
    ------
    BlankImageError
        If nothing differs from the paper by more than noise or by `MIN_CONTRAST`.
    """
    pixels = mended(pixels)
    values: FloatArray = np.divide(pixels, np.float32(255), dtype=np.float32)
    flat = _is_flat(pixels)
    paper = values[0, 0].copy() if flat else _fit_paper(values)
    difference = np.subtract(values, paper, out=values)
    strength = cv2.transform(np.square(difference), SUM).ravel()
    strongest = strength.size - 1 - strength.size // 500  # among a few hundred pixels one may be a defect
    strong = np.flatnonzero(strength >= 0.25 * ranked(strength, strongest))
    direction = strength[strong] @ difference.reshape(-1, 3)[strong]
    direction /= max(float(np.linalg.norm(direction)), 1e-12)
    signal = cv2.transform(difference, direction[np.newaxis])
    noise = 0.0
    if not flat:
        # Light falls on ink and paper alike, so the paper tells where a stroke's contrast is weakened; a dark one does
        # not.
        light = cv2.transform(paper, SUM / 3) + np.float32(0.3)
        signal *= np.clip(light.mean() / light, 0.5, 2)
        if max(signal.shape) > TINY:
            noise = _deviation(np.abs(signal))
    smooth = _smooth(signal) if noise > 0.01 else signal
    level, least = _ink_level(smooth), OVER_NOISE
    if level < CLOUDY * noise and max(signal.shape) <= SMALL:
        signal, least = _without_clouds(signal, level), OVER_CLOUDS
        noise, smooth = _deviation(np.abs(signal)), _smooth(signal)
        level = _ink_level(smooth)
    if level < max(MIN_CONTRAST, least * noise):
        raise BlankImageError("The image shows no ink: nothing stands out from the background.")
    # Faint pixels count as ink where they belong to a stroke, not where they are noise on the paper.
    weak = (smooth > max(0.25 * level, 2.5 * noise)).view(np.uint8)
    left, top, columns, rows = cv2.boundingRect(weak)
    written = slice(top, top + rows), slice(left, left + columns)
    count, components = cv2.connectedComponents(weak[written])
    inked = np.zeros(count, np.uint8)
    inked[components[smooth[written] > 0.5 * level]] = 1
    inked[0] = 0
    weak[written] = inked.take(components)
    strokes = cv2.dilate(weak, np.ones((3, 3), np.uint8))
    floor = 1.5 * noise
    signal -= np.float32(floor)
    signal /= np.float32(level - floor)
    ink: FloatArray = np.clip(signal, 0, 1, out=signal)
    ink *= strokes
    return ink


def _smooth(signal: FloatArray) -> FloatArray:
    """Return a signal with less noise of single pixels."""
    smooth: FloatArray = cv2.GaussianBlur(signal, (0, 0), 0.7)
    return smooth


def _without_clouds(signal: FloatArray, level: float) -> FloatArray:
    """Return a signal (h, w) less what paper shows nearby: in a small picture fog is no slope, but not noise either.

    Ink is what has more than half of its `level`.
    """
    sigma = CLOUD * max(signal.shape)
    clear = signal
    for _ in range(2):
        inked = cv2.dilate((_smooth(clear) > 0.5 * level).astype(np.uint8), np.ones((3, 3), np.uint8))
        paper = (1 - inked).astype(np.float32)
        nearby = cv2.GaussianBlur(signal * paper, (0, 0), sigma) / np.maximum(
            cv2.GaussianBlur(paper, (0, 0), sigma), 1e-3
        )
        clear = signal - nearby
        level = _ink_level(_smooth(clear))
    return clear


def _is_flat(pixels: ByteArray) -> bool:
    """Return whether the paper is of exactly one colour, as in drawings and scans that were cleaned: the corner's."""
    corner = (*pixels[0, 0].tolist(), 0)
    same = cv2.countNonZero(cv2.inRange(pixels, corner, corner))
    if same <= 0.5 * pixels[..., 0].size:
        return False
    apart = cv2.absdiff(pixels, corner)
    distance = np.maximum(np.maximum(apart[..., 0], apart[..., 1]), apart[..., 2])
    faint = np.count_nonzero(distance < 0.25 * distance.max()) - same  # light that slopes, or the edges of strokes
    return faint < 0.1 * distance.size


def _fit_paper(values: FloatArray) -> FloatArray:
    """Return the colour of the paper (h, w, 3): a quadratic surface through what is not ink."""
    height, width = values.shape[:2]
    grid = min(48 / max(height, width), 1)
    rows, columns = (min(side, max(round(side * grid), 4)) for side in (height, width))  # a strip keeps its rows
    small = cv2.resize(values, (columns, rows), interpolation=cv2.INTER_AREA) if grid < 1 else values
    target = np.ascontiguousarray(small.reshape(-1, 3).T)  # a channel's pixels side by side: loops over three are slow
    basis = _quadratic(*small.shape[:2])
    surface, limit = _first_guess(target, small.shape[:2])
    # A plane first: a quadratic could follow the ink, and in a tiny picture it would.
    for terms in (3, 3) if max(small.shape[:2]) <= TINY else (3, 6, 6, 6):
        residual = np.abs(target - surface).max(axis=0)
        reach = min(2.5 * max(_deviation(residual), 2 / 255), limit)
        weight = np.maximum(1 - (residual / np.float32(reach)) ** 2, 0) ** 2
        weighted = basis[:terms] * weight
        normal = (weighted @ basis[:terms].T).astype(np.float64) + 1e-6 * np.eye(terms)
        coefficients = np.linalg.solve(normal, weighted @ target.T).astype(np.float32)
        surface = coefficients.T @ basis[:terms]
    # The surface's terms are products of one along the rows and one along the columns. Row by row: for a single large
    # product OpenBLAS would wake threads, and processes that read side by side would halve each other's rate.
    products = np.zeros((3, 3, 3), np.float32)
    products[ROW_POWERS[:terms], COLUMN_POWERS[:terms]] = coefficients
    of_row = (_powers(height) @ products.reshape(3, 9)).reshape(height, 3, 3)
    paper: FloatArray = _powers(width) @ of_row
    return np.clip(paper, 0, 1, out=paper)


def _first_guess(target: FloatArray, shape: tuple[int, int]) -> tuple[FloatArray, float]:
    """Return a colour (3, 1) that the paper of a picture (3, h · w) may have, and how far from it paper is at most.

    Where the pixels are of two kinds, the paper is the one that has more of the picture and of its edge.
    """
    centred = target - target.mean(axis=1, keepdims=True)
    _, axes = np.linalg.eigh(centred @ centred.T)
    along = axes[:, 2] @ centred
    low, high = float(along.min()), float(along.max())
    scaled = ((along - low) * (255 / max(high - low, 1e-6))).astype(np.uint8)
    threshold, _ = cv2.threshold(scaled, 0, 255, cv2.THRESH_OTSU)
    upper = scaled > threshold
    share = float(upper.mean())
    if not 0 < share < 1:
        return np.median(target, axis=1, keepdims=True), np.inf
    means = along[~upper].mean(), along[upper].mean()
    distance = float(means[1] - means[0])
    needed = 0 if max(shape) <= TINY else TWO_KINDS * float(along.var())
    if share * (1 - share) * distance**2 < needed or distance < MIN_CONTRAST:
        return np.median(target, axis=1, keepdims=True), np.inf
    frame = upper.reshape(shape)
    edge = np.concatenate([frame[0], frame[-1], frame[:, 0], frame[:, -1]])
    paper = upper if share + float(edge.mean()) > 1 else ~upper
    return target[:, paper].mean(axis=1, keepdims=True), distance / 2


def _deviation(absolute: FloatArray) -> float:
    """Return the standard deviation of normal values around 0, of which some are replaced by larger ones.

    The first quartile of the absolute values tells it as long as a good half of the values, of any shape, is normal:
    of a digit that fills its picture, ink may be nearly half.
    """
    return ranked(absolute.ravel(), absolute.size // 4) / 0.3186


@lru_cache(maxsize=64)
def _quadratic(height: int, width: int) -> FloatArray:
    """Return the terms 1, x, y, x², xy, y² of a quadratic surface at each pixel, shape (6, h · w)."""
    rows, columns = _powers(height), _powers(width)
    terms = [rows[:, [i]] * columns[:, j] for i, j in zip(ROW_POWERS, COLUMN_POWERS, strict=True)]
    return np.stack(terms).reshape(6, -1)


@lru_cache(maxsize=256)
def _powers(length: int) -> FloatArray:
    """Return 1, t and t² at each of some places from -1 to 1, shape (length, 3)."""
    places = np.linspace(-1, 1, length, dtype=np.float32)
    return np.stack([np.ones_like(places), places, places * places], axis=1)


def _ink_level(signal: FloatArray) -> float:
    """Return the signal of full ink: the median of what Otsu's threshold leaves."""
    top = float(signal.max())
    if top <= 0:
        return 0.0
    bytes_ = np.clip(signal * (255 / top), 0, 255).astype(np.uint8)
    threshold, _ = cv2.threshold(bytes_, 0, 255, cv2.THRESH_OTSU)
    inked = signal[bytes_ > threshold]
    return ranked(inked, inked.size // 2)
