"""Decoding images of every kind, finding the ink in them, and refusing what is no image."""

from __future__ import annotations

import contextlib
import io
import json
import resource
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from benchmarks.bad_input import costly, png, run, tile_of
from benchmarks.bad_input import saved as file
from digitreader.errors import BlankImageError, DigitReaderError, ImageError, ImageFormatError, ImageTooLargeError
from digitreader.files import SUFFIXES
from digitreader.images import FORMATS, WORKING_SIDE, find_ink, load_image
from digitreader.normalize import main_strokes, normalize


def drawing(paper: Any = 255, ink: Any = 0, mode: str = "L", size: int = 120) -> Image.Image:
    """Return a picture of a 4: no flip or turn of it looks the same."""
    image = Image.new(mode, (size, size), paper)
    points = [(0.6, 0.8), (0.6, 0.2), (0.3, 0.6), (0.72, 0.6)]
    pixels = [(x * size, y * size) for x, y in points]
    ImageDraw.Draw(image).line(pixels, fill=ink, width=size // 12, joint="curve")
    return image


def seen(source: Any) -> npt.NDArray[np.float32]:
    """Return what the network would see of a source."""
    return normalize(main_strokes(find_ink(load_image(source).pixels)))


REFERENCE = seen(drawing())


def assert_same_digit(source: Any, tolerance: float = 0.02) -> None:
    """Assert that a source shows the reference's digit: mean difference of the grey values, of 1."""
    assert np.abs(seen(source) - REFERENCE).mean() < tolerance


def test_the_reference_is_in_mnists_form() -> None:
    rows, columns = np.flatnonzero(REFERENCE.any(axis=1)), np.flatnonzero(REFERENCE.any(axis=0))
    assert max(np.ptp(rows), np.ptp(columns)) + 1 == 20
    total = REFERENCE.sum()
    assert abs(REFERENCE.sum(axis=1) @ np.arange(28) / total - 14) <= 0.5
    assert abs(REFERENCE.sum(axis=0) @ np.arange(28) / total - 14) <= 0.5
    assert REFERENCE.max() > 0.95


MODES: dict[str, Image.Image] = {
    "1": drawing().convert("1"),
    "L": drawing(),
    "LA": drawing().convert("LA"),
    "P": drawing().convert("P"),
    "RGB": drawing().convert("RGB"),
    "RGBA": drawing().convert("RGBA"),
    "CMYK": drawing().convert("CMYK"),
    "I;16": Image.fromarray(np.asarray(drawing()).astype(np.uint16) * 257),
    "I;16 in part of its range": Image.fromarray(np.asarray(drawing()).astype(np.uint16) * 16),
    "La": drawing().convert("LA").convert("La"),
    "PA": drawing().convert("P").convert("PA"),
    "RGBa": drawing().convert("RGBA").convert("RGBa"),
    "I": drawing().convert("I"),
    "F of extreme values": Image.fromarray(np.where(np.asarray(drawing()) > 127, 3.4e38, -3.4e38).astype(np.float32)),
    "F of tiny values": Image.fromarray(np.asarray(drawing()).astype(np.float32) * np.float32(1e-32)),
    "F": Image.fromarray(np.asarray(drawing()).astype(np.float32) / 255),
    "YCbCr": drawing().convert("RGB").convert("YCbCr"),
    "HSV": drawing().convert("RGB").convert("HSV"),
}


@pytest.mark.parametrize("mode", MODES)
def test_every_mode(mode: str) -> None:
    assert_same_digit(MODES[mode])


@pytest.mark.parametrize("form", FORMATS)
def test_every_format(form: str) -> None:
    assert_same_digit(file(drawing().convert("RGB"), form))


def test_folders_are_searched_for_every_format() -> None:
    known = Image.registered_extensions()
    assert {known[suffix] for suffix in SUFFIXES} == set(FORMATS)


def test_every_source(tmp_path: Path) -> None:
    content = file(drawing())
    path = tmp_path / "four.png"
    path.write_bytes(content)
    for source in (content, bytearray(content), memoryview(content), str(path), path, io.BytesIO(content)):
        np.testing.assert_array_equal(seen(source), REFERENCE)
    with path.open("rb") as stream:
        np.testing.assert_array_equal(seen(stream), REFERENCE)


GREY = np.asarray(drawing())
ARRAYS: dict[str, npt.NDArray[Any]] = {
    "uint8": GREY,
    "uint16": GREY.astype(np.uint16) * 257,
    "uint16, other byte order": (GREY.astype(np.uint16) * 257).astype(">u2"),
    "uint16, of 12 bits, with a defect": np.where(np.arange(GREY.size) == 300, 65535, GREY.ravel() * 16.0)
    .astype(np.uint16)
    .reshape(GREY.shape),
    "large RGBA": np.repeat(np.repeat(np.dstack([GREY, GREY, GREY, np.full_like(GREY, 255)]), 20, 0), 20, 1),
    "large float64": np.repeat(np.repeat(GREY / 255, 20, 0), 20, 1),
    "a little over 1": GREY / 255 * (1 + 1e-12),
    "bool": GREY > 127,
    "float32": GREY.astype(np.float32) / 255,
    "float64": GREY / 255,
    "float16": (GREY / 255).astype(np.float16),
    "one channel": GREY[..., np.newaxis],
    "RGB": np.repeat(GREY[..., np.newaxis], 3, axis=2),
    "RGBA": np.dstack([GREY, GREY, GREY, np.full_like(GREY, 255)]),
    "not contiguous": np.repeat(GREY, 2, axis=1)[:, ::2],
}


@pytest.mark.parametrize("kind", ARRAYS)
def test_every_array(kind: str) -> None:
    assert_same_digit(ARRAYS[kind])


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation(orientation: int) -> None:
    turned = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    image = drawing().transpose(turned[orientation]) if orientation in turned else drawing()
    exif = Image.Exif()
    exif[0x0112] = orientation
    assert_same_digit(file(image, "JPEG", exif=exif, quality=95))


@pytest.mark.parametrize(
    ("paper", "ink"),
    [
        ("white", "black"),
        ("black", "white"),
        ("white", "#1f3fbf"),
        ("#fff3a0", "#b00020"),
        ("#204030", "#f0f0e0"),
        ("#808080", "#404040"),
        ("#e08080", "#8080e0"),  # nearly of one brightness
    ],
)
def test_every_pen_and_paper(paper: str, ink: str) -> None:
    assert_same_digit(drawing(paper, ink, "RGB"))


def test_transparency_is_white_paper() -> None:
    assert_same_digit(file(drawing((0, 0, 0, 0), (0, 0, 0, 255), "RGBA")))
    assert_same_digit(drawing((255, 255, 255, 0), (30, 30, 200, 255), "RGBA"))


def test_white_ink_on_a_transparent_ground_is_seen() -> None:
    assert_same_digit(file(drawing((0, 0, 0, 0), (255, 255, 255, 255), "RGBA")))


@pytest.mark.parametrize(("size", "tolerance"), [(24, 0.08), (60, 0.035), (400, 0.02), (2000, 0.02)])
def test_every_size(size: int, tolerance: float) -> None:
    assert_same_digit(drawing(size=size), tolerance)
    assert max(load_image(drawing(size=size)).pixels.shape) <= WORKING_SIDE


def test_anywhere_on_the_paper() -> None:
    for left, top in ((0, 0), (300, 10), (20, 250)):
        sheet = Image.new("L", (450, 400), 255)
        sheet.paste(drawing(), (left, top))
        np.testing.assert_allclose(seen(sheet), REFERENCE, atol=0.05)


def test_uneven_light() -> None:
    y, x = np.mgrid[0:1:120j, 0:1:120j]
    for light in (1 - 0.6 * x, 1 - 0.5 * y, 1 - 0.3 * x - 0.3 * y, 0.5 + 0.5 * np.hypot(x - 0.5, y - 0.5)):
        assert_same_digit(np.rint(GREY * 0.85 * light + 20 * light).astype(np.uint8))


def test_noise_and_jpeg() -> None:
    noisy = np.clip(GREY * 0.8 + 20 + np.random.default_rng(0).normal(0, 8, GREY.shape), 0, 255).astype(np.uint8)
    assert_same_digit(noisy)
    assert_same_digit(file(Image.fromarray(noisy), "JPEG", quality=30), tolerance=0.03)


def test_specks_do_not_count() -> None:
    specked = drawing()
    draw = ImageDraw.Draw(specked)
    for x, y in ((3, 3), (110, 8), (5, 112), (100, 100)):
        draw.ellipse((x, y, x + 2, y + 2), fill=0)
    assert_same_digit(specked)


def test_the_first_frame_of_an_animation() -> None:
    later = [Image.new("L", (120, 120), 255)] * 2
    for form in ("GIF", "WEBP", "TIFF", "PNG"):
        assert_same_digit(file(drawing(), form, save_all=True, append_images=later))


def test_the_callers_image_is_left_as_it_is() -> None:
    image, array = drawing(), GREY.copy()
    before = image.tobytes()
    seen(image)
    seen(array)
    assert image.tobytes() == before
    assert (array == GREY).all()


def png_of(width: int, height: int) -> bytes:
    """Return a PNG whose header declares a size and whose pixels are missing."""
    return png(width, height, zlib.compress(b""))


PNG = file(drawing())


TILE_WIDTH, TWO_WIDTHS = (struct.pack("<HHI", 322, 4, count) for count in (1, 2))


class FailingStream:
    """A file that cannot be read, whose name is a number."""

    name = 7

    def read(self, size: int) -> bytes:
        """Fail as a network does."""
        raise RuntimeError("no carrier")


BAD: dict[str, tuple[Callable[[], Any], type[ImageError], str]] = {
    "empty": (lambda: b"", ImageFormatError, "The image is empty"),
    "text": (lambda: b"seven", ImageFormatError, "not an image in a format that is read"),
    "truncated": (lambda: PNG[: len(PNG) // 2], ImageFormatError, "damaged or truncated"),
    "truncated JPEG": (lambda: file(drawing(), "JPEG")[:700], ImageFormatError, "damaged or truncated"),
    "header alone": (lambda: PNG[:20], ImageFormatError, "not an image|damaged"),
    "a format that is not read": (lambda: file(drawing(), "ICO"), ImageFormatError, "PNG, JPEG"),
    "more pixels than allowed": (lambda: png_of(9_000, 9_000), ImageTooLargeError, "9,000 × 9,000"),
    "a decompression bomb": (lambda: png_of(100_000, 100_000), ImageTooLargeError, "50,000,000"),
    "a TIFF of no sensible tiles": (lambda: tile_of(64).replace(TILE_WIDTH, TWO_WIDTHS), ImageFormatError, "damaged"),
    "no pixels": (lambda: png_of(0, 10), ImageError, "damaged|no pixels"),
    "missing": (lambda: "no/such/file.png", ImageFormatError, "no/such/file.png cannot be read: No such file"),
    "a folder": (lambda: Path(), ImageFormatError, "is a folder"),
    "a long name": (lambda: "a" * 300, ImageFormatError, "cannot be read"),
    "a stream that fails": (FailingStream, ImageFormatError, "The file cannot be read: no carrier"),
    "16 bits without contrast": (lambda: 60_000 + (GREY > 127) * np.uint16(200), BlankImageError, "no ink"),
    "a name with a null": (lambda: "a\0b", ImageFormatError, "cannot be read"),
    "a text stream": (lambda: io.StringIO("seven"), ImageFormatError, "binary mode"),
    "a number": (lambda: 7, ImageFormatError, "not int"),
    "nothing": (lambda: None, ImageFormatError, "not NoneType"),
    "white paper": (lambda: drawing(255, 255), BlankImageError, "no ink"),
    "black paper": (lambda: np.zeros((28, 28), np.uint8), BlankImageError, "no ink"),
    "one pixel": (lambda: np.zeros((1, 1), np.uint8), BlankImageError, "no ink"),
    "noise": (
        lambda: np.random.default_rng(0).normal(200, 8, (100, 100)).clip(0, 255).astype(np.uint8),
        BlankImageError,
        "no ink",
    ),
    "light alone": (lambda: np.tile(np.linspace(100, 250, 80), (80, 1)).astype(np.uint8), BlankImageError, "no ink"),
    "one dimension": (lambda: np.zeros(10, np.uint8), ImageFormatError, r"\(10,\) is no image"),
    "four dimensions": (lambda: np.zeros((1, 28, 28, 1), np.uint8), ImageFormatError, r"\(1, 28, 28, 1\) is no image"),
    "two channels": (lambda: np.zeros((28, 28, 2), np.uint8), ImageFormatError, r"\(28, 28, 2\) is no image"),
    "no rows": (lambda: np.zeros((0, 28), np.uint8), ImageFormatError, "no pixels"),
    "large array": (lambda: np.zeros((1, 60_000_000), np.bool_), ImageTooLargeError, "50,000,000"),
    "int64": (lambda: np.zeros((28, 28), np.int64), ImageFormatError, "array of int64"),
    "complex": (lambda: np.zeros((28, 28), complex), ImageFormatError, "array of complex128"),
    "strings": (lambda: np.full((28, 28), "a"), ImageFormatError, "array of <U1"),
    "NaN": (lambda: np.full((28, 28), np.nan), ImageFormatError, "NaN"),
    "infinity": (lambda: np.full((28, 28), np.inf), ImageFormatError, "infinity"),
    "floats of another range": (lambda: GREY.astype(np.float32), ImageFormatError, r"in \[0, 1\].*\[0, 255\]"),
    "negative floats": (lambda: GREY / 255 - 1, ImageFormatError, r"\[-1, 0\]"),
    "TIFF with NaN": (lambda: file(Image.fromarray(np.full((9, 9), np.nan, np.float32)), "TIFF"), ImageError, "finite"),
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_input(kind: str) -> None:
    make, error, message = BAD[kind]
    with pytest.raises(error, match=message) as caught:
        seen(make())
    assert isinstance(caught.value, DigitReaderError)
    assert "\n" not in str(caught.value)


def test_costly_files_cost_little(tmp_path: Path) -> None:
    for kind, content in costly().items():
        (tmp_path / "file").write_bytes(content)
        code, out, err, _, peak = run(tmp_path / "file")
        assert code == 1, kind
        assert set(json.loads(out)) == {"file", "error"}, kind
        assert b"Traceback" not in err, kind
        # Linux counts the process that a child was forked from as part of its peak.
        assert peak < max(500_000_000, 1.05 * 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss), kind


def test_a_pipe_gives_a_file_in_pieces() -> None:
    class Pipe(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            return super().read(min(100, size or 0))

    np.testing.assert_array_equal(seen(Pipe(file(drawing()))), REFERENCE)


@pytest.mark.parametrize("form", ["PNG", "JPEG", "TIFF", "WEBP"])
def test_size_of_turned_pictures_that_are_nearly_square(form: str) -> None:
    exif = Image.Exif()
    exif[0x112] = 6
    assert load_image(file(Image.new("RGB", (2050, 2049), "white"), form, exif=exif)).size == (2049, 2050)


def test_limits_are_the_callers() -> None:
    with pytest.raises(ImageTooLargeError, match="100 bytes"):
        load_image(PNG, max_bytes=100)
    with pytest.raises(ImageTooLargeError, match="120 × 120 pixels; 1,000 are"):
        load_image(PNG, max_pixels=1000)
    with pytest.raises(ImageTooLargeError, match="larger than the 100 bytes"):
        load_image(io.BytesIO(PNG), max_bytes=100)


SEEDS = [file(drawing(size=40).convert(mode), form) for mode, form in (("L", "PNG"), ("RGB", "JPEG"), ("P", "GIF"))]
SEEDS += [file(drawing(size=40), "PPM"), file(drawing(size=40), "JPEG", progressive=True), file(MODES["I;16"], "PNG")]
SEEDS += [file(drawing(size=40), "TIFF", compression="tiff_lzw"), b"P2\n9 9\n100\n" + b"7 " * 81]
SEEDS += [file(drawing(size=40), "TIFF"), file(drawing(size=40), "BMP"), file(drawing(size=40).convert("RGB"), "WEBP")]


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)
@given(
    st.sampled_from(SEEDS),
    st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=12),
    st.floats(0, 1),
    st.binary(max_size=40),
)
def test_any_bytes(content: bytes, changes: list[tuple[float, int]], kept: float, tail: bytes) -> None:
    damaged = bytearray(content)
    for place, value in changes:
        damaged[int(place * len(damaged))] = value
    source = bytes(damaged[: int(kept * len(damaged))]) + tail
    try:
        image = seen(source)
    except ImageError:
        return  # the one kind of error that may leave
    assert image.shape == (28, 28)
    assert np.isfinite(image).all()


def test_reading_an_image_is_light() -> None:
    code = """
import sys
import numpy as np
from digitreader.images import find_ink, load_image
image = np.zeros((28, 28), np.uint8)
image[5:20, 12:15] = 255
find_ink(load_image(image).pixels)
heavy = {"tensorflow", "keras", "torch", "onnxruntime", "matplotlib", "pandas", "sklearn", "scipy"} & set(sys.modules)
assert not heavy, heavy
"""
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    "shape", [(1, 1), (1, 400), (400, 1), (2, 900), (12, 300), (300, 7), (20, 1000), (3, 3), (8, 2000)]
)
@pytest.mark.parametrize("seed", range(3))
def test_every_shape_is_read_or_blank(shape: tuple[int, int], seed: int) -> None:
    rng = np.random.default_rng(seed)
    noise = rng.integers(0, 256, (*shape, 3), dtype=np.uint8)
    gentle = (200 + rng.normal(0, 5, (*shape, 3))).clip(0, 255).astype(np.uint8)
    gentle[:, shape[1] // 2] = 30
    for pixels in (noise, gentle, gentle[..., :1]):
        with contextlib.suppress(BlankImageError):
            loaded = load_image(pixels).pixels
            ink = find_ink(loaded)
            assert ink.shape == loaded.shape[:2]
            assert np.isfinite(ink).all()


@pytest.mark.parametrize("bits", [10, 12, 16])
@pytest.mark.parametrize("channels", [0, 3, 4])
def test_sixteen_bits_may_be_used_in_part(bits: int, channels: int) -> None:
    grey = np.asarray(drawing()).astype(np.uint16) << (bits - 8)
    colours = np.repeat(grey[..., np.newaxis], max(channels, 1), axis=2)
    if channels == 4:
        colours[..., 3] = 65535
    assert_same_digit(colours if channels else grey)


def test_large_files_of_many_bits_are_reduced_first() -> None:
    for mode in ("I;16", "I", "F"):
        image = drawing(size=3000).convert("I" if mode == "I;16" else mode)
        if mode == "I;16":
            image = Image.fromarray(np.asarray(image).astype(np.uint16) * 16)
        loaded = load_image(file(image, "TIFF"))
        assert loaded.size == (3000, 3000)
        assert max(loaded.pixels.shape) <= WORKING_SIDE
        np.testing.assert_allclose(seen(image), seen(drawing(size=3000)), atol=0.02)


def test_the_size_is_that_of_the_upright_file() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    content = file(Image.new("RGB", (3000, 200), "white"), "JPEG", exif=exif)
    assert load_image(content).size == (200, 3000)
    assert load_image(np.zeros((20, 3000), np.uint8)).size == (3000, 20)


class Broken(io.BytesIO):
    """A file that fails while it is read."""

    def read(self, size: int | None = -1, /) -> bytes:
        """Fail."""
        raise OSError("the disk is gone")


def test_files_that_cannot_be_read() -> None:
    closed = io.BytesIO(PNG)
    closed.close()
    for source, message in ((closed, "closed"), (Broken(PNG), "the disk is gone"), (io.StringIO("7"), "binary mode")):
        with pytest.raises(ImageFormatError, match=message):
            load_image(source)  # type: ignore[arg-type]


def test_masks_and_matrices_are_arrays() -> None:
    grey = np.asarray(drawing())
    assert_same_digit(np.ma.masked_array(grey))
    assert_same_digit(grey.view(np.matrix))
