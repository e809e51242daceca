"""`DigitReader` on pictures as people have them."""

from __future__ import annotations

import io
import subprocess
import sys
import warnings
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from digitreader.data import Dataset
from digitreader.decision import FieldReading, Reading
from digitreader.errors import BlankImageError, ImageError
from digitreader.images import Source
from digitreader.reader import GROUP, DigitReader
from experiments.compose import PHOTO, RULED, Style, compose
from experiments.non_digits import non_digit
from experiments.outlines import outline
from tests.helpers import seven


def test_every_kind_of_source_is_read_alike(reader: DigitReader, tmp_path: Path) -> None:
    pixels = seven()
    image = Image.fromarray(pixels)
    path = tmp_path / "seven.png"
    image.save(path)
    content = path.read_bytes()
    sources = (pixels, pixels / 255, image, path, str(path), content, bytearray(content), io.BytesIO(content))
    readings = [reader.predict_image(source) for source in sources]
    assert {reading.digit for reading in readings} == {7}
    assert {reading.decision for reading in readings} == {"accept"}
    assert np.ptp([reading.confidence for reading in readings]) < 1e-4


@pytest.mark.parametrize("size", [16, 28, 60, 300, 2000])
@pytest.mark.parametrize(("ink", "paper"), [(0, 255), (255, 0), (60, 130), (220, 150)])
def test_size_and_polarity_do_not_matter(reader: DigitReader, size: int, ink: int, paper: int) -> None:
    assert reader.predict_image(seven(size, ink, paper)).digit == 7


def test_pictures_of_mnist_digits_are_read_as_well_as_their_arrays(reader: DigitReader, mnist: Dataset) -> None:
    digits, labels = mnist.x_train[:1500], mnist.y_train[:1500]
    expected = (reader.predict(digits) == labels).sum()
    shifted = np.roll(digits, (3, -3), axis=(1, 2))
    for images in (digits, shifted):
        readings = list(reader.predict_images(images))
        right = sum(isinstance(item, Reading) and item.digit == y for item, y in zip(readings, labels, strict=True))
        assert right >= expected - 2


@pytest.mark.parametrize("size", [8, 10, 20, 60, 300])
@pytest.mark.parametrize("inverted", [False, True])
def test_digits_that_fill_their_picture_are_read(
    reader: DigitReader, mnist: Dataset, size: int, inverted: bool
) -> None:
    pictures = []
    for digit in mnist.x_train[:200]:
        rows, columns = (np.flatnonzero((digit > 40).any(axis=axis)) for axis in (1, 0))
        crop = digit[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        aside = max(crop.shape) - np.array(crop.shape)
        square = np.pad(crop, [(gap // 2, gap - gap // 2) for gap in aside])
        how = cv2.INTER_AREA if size < len(square) else cv2.INTER_LINEAR
        small = cv2.resize(square, (size, size), interpolation=how)
        pictures.append(255 - small if inverted else small)
    readings = reader.predict_images(pictures)
    right = [isinstance(item, Reading) and item.digit == y for item, y in zip(readings, mnist.y_train, strict=False)]
    assert np.mean(right) > 0.96


@pytest.mark.parametrize(("pen", "least"), [(-0.7, 0.9), (1.0, 0.95), (1.5, 0.92)])
def test_thin_and_thick_pens_are_read(reader: DigitReader, mnist: Dataset, pen: float, least: float) -> None:
    style = Style(scale=(6, 6), pen=(pen, pen))
    drawn = [compose([outline(mnist.x_train[row])], style, np.random.default_rng(row)).pixels for row in range(200)]
    readings = reader.predict_images(drawn)
    right = [isinstance(item, Reading) and item.digit == y for item, y in zip(readings, mnist.y_train, strict=False)]
    assert np.mean(right) > least


def test_photos_are_read(reader: DigitReader, mnist: Dataset) -> None:
    rows = range(300)
    photos = [compose([outline(mnist.x_train[row])], PHOTO, np.random.default_rng(row)).pixels for row in rows]
    readings = list(reader.predict_images(photos))
    right = [isinstance(item, Reading) and item.digit == mnist.y_train[row] for row, item in enumerate(readings)]
    assert np.mean(right) > 0.97


# May pass for a digit: half a digit often looks like another one, and a 1 beside a digit like a stray stroke.
MOST = {
    "sign": 0.03,
    "letter": 0.04,
    "symbol": 0.04,
    "foreign letter": 0.06,
    "scribble": 0.08,
    "shape": 0.02,
    "blots": 0.02,
    "texture": 0.02,
    "silhouette": 0.02,
    "noise": 0.02,
    "pair": 0.06,
    "fragment": 0.2,
}


@pytest.mark.parametrize(("kind", "most"), MOST.items())
def test_nearly_all_non_digits_go_to_review(reader: DigitReader, mnist: Dataset, kind: str, most: float) -> None:
    pictures = []
    for number in range(100):
        rng = np.random.default_rng(number)
        pair = [outline(mnist.x_train[row]) for row in rng.integers(60_000, size=2)]
        pictures.append(compose([non_digit(kind, pair, rng)], PHOTO, rng).pixels)
    readings = list(reader.predict_images(pictures))
    assert np.mean([isinstance(item, Reading) and item.decision == "accept" for item in readings]) <= most


def test_digits_on_a_ruled_line_are_read_or_reviewed(reader: DigitReader, mnist: Dataset) -> None:
    drawn = [compose([outline(mnist.x_train[row])], RULED, np.random.default_rng(row)).pixels for row in range(150)]
    wrong = accepted = 0
    for reading, label in zip(reader.predict_images(drawn), mnist.y_train, strict=False):
        if isinstance(reading, Reading) and reading.decision == "accept":
            accepted += 1
            wrong += reading.digit != label
    assert wrong <= 1
    assert accepted > 20


def test_squares_dashes_and_several_digits_go_to_review(reader: DigitReader) -> None:
    sheet = np.full((200, 200), 255, np.uint8)
    square, dash, field = sheet.copy(), sheet.copy(), sheet.copy()
    square[60:140, 50:130] = 0
    dash[95:105, 40:160] = 0
    for left in (20, 90, 150):
        field[40:150, left : left + 12] = 0  # 1 1 1
    for picture in (square, dash, field):
        assert reader.predict_image(picture).decision == "review"


def test_many_and_one_agree_and_errors_stand_in_their_place(reader: DigitReader) -> None:
    sources: list[Source] = [seven(), b"no image", seven(60), np.zeros((30, 30), np.uint8)]
    sources *= 40
    results = list(reader.predict_images(iter(sources)))
    assert len(results) == 160
    assert results[0] == reader.predict_image(sources[0])
    assert isinstance(results[1], ImageError)
    assert isinstance(results[2], Reading)
    assert isinstance(results[3], BlankImageError)
    assert [type(item) for item in results] == [type(item) for item in results[:4]] * 40


def test_a_reading_does_not_depend_on_its_neighbours(reader: DigitReader, mnist: Dataset) -> None:
    images = mnist.x_test[:100]
    together = reader.predict_proba(images)
    alone = np.concatenate([reader.predict_proba(image[np.newaxis]) for image in images])
    np.testing.assert_allclose(together, alone, atol=1e-6)


def test_a_reading_of_many_pictures_is_that_of_each(reader: DigitReader, mnist: Dataset) -> None:
    """Of narrow and wide ones: no network sees a picture otherwise because of who stands beside it."""
    pictures = [np.pad(image, 2) for image in mnist.x_train[:48]]
    for alone, together in zip(map(reader.predict_image, pictures), reader.predict_images(pictures), strict=True):
        assert isinstance(together, Reading)
        np.testing.assert_allclose(together.probabilities, alone.probabilities, atol=1e-5)
        assert together.reason == alone.reason


def test_reading_many_leaves_the_warnings_of_a_program_alone(reader: DigitReader) -> None:
    before = list(warnings.filters)
    files = []
    for side in (28, 300, 60, 900) * 32:
        stream = io.BytesIO()
        Image.fromarray(seven(side)).save(stream, "PNG")
        files.append(stream.getvalue())
    assert all(isinstance(reading, Reading) for reading in reader.predict_images(files))
    assert list(warnings.filters) == before


def test_a_negative_number_of_threads_is_refused() -> None:
    with pytest.raises(ValueError, match="-1"):
        DigitReader(threads=-1)


def test_who_stops_early_does_not_wait_for_all() -> None:
    taken = 0

    def endless() -> Iterator[Source]:
        nonlocal taken
        while True:
            taken += 1
            yield seven()

    readings = DigitReader(threads=2).predict_images(endless())
    assert isinstance(readings, Generator)
    assert isinstance(next(readings), Reading)
    readings.close()
    assert taken <= 3 * GROUP


def test_limits_can_be_set() -> None:
    reader = DigitReader(max_pixels=1000, max_bytes=100)
    with pytest.raises(ImageError, match="1,000"):
        reader.predict_image(seven())
    with pytest.raises(ImageError, match="100 bytes"):
        reader.predict_image(bytes(101))


def test_threads_share_a_reader(reader: DigitReader, mnist: Dataset) -> None:
    expected = [reader.predict_image(image) for image in mnist.x_train[:40]]
    with ThreadPoolExecutor(4) as pool:
        for _ in range(5):
            assert list(pool.map(reader.predict_image, mnist.x_train[:40])) == expected


def test_the_number_of_threads_changes_nothing(reader: DigitReader, mnist: Dataset) -> None:
    images = mnist.x_train[:300]
    np.testing.assert_allclose(DigitReader(threads=1).predict_proba(images), reader.predict_proba(images), atol=1e-6)


@pytest.mark.parametrize(
    "single",
    [
        "seven.png",
        b"seven",
        bytearray(b"seven"),
        Path("seven.png"),
        io.BytesIO(b"seven"),
        np.zeros((28, 28), np.uint8),
        np.zeros((40, 30, 3), np.uint8),
        Image.new("L", (28, 28)),
    ],
)
def test_a_single_source_is_not_many(reader: DigitReader, single: Any) -> None:
    with pytest.raises(TypeError, match="predict_image"):
        reader.predict_images(single)


def test_the_public_name() -> None:
    import digitreader

    assert digitreader.DigitReader is DigitReader
    with pytest.raises(AttributeError, match="nonsense"):
        _ = digitreader.nonsense


def test_reading_imports_no_framework() -> None:
    program = """
import sys
import numpy as np
from digitreader.images import Source
from digitreader.reader import DigitReader
sheet = np.zeros((60, 40), np.uint8)
sheet[10:50, 18:22] = 255
assert DigitReader().predict_image(sheet).digit == 1
heavy = {"tensorflow", "keras", "torch", "sklearn", "scipy", "matplotlib", "pandas", "onnx"} & set(sys.modules)
assert not heavy, heavy
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


def test_importing_images_imports_no_recogniser() -> None:
    program = """
import sys
import digitreader.images, digitreader.normalize
assert not {"onnxruntime", "tensorflow", "typer"} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


@pytest.mark.parametrize("shape", [(5000, 1), (1, 5000), (3, 2000), (2000, 2)])
def test_narrow_strips_are_read_or_refused(reader: DigitReader, shape: tuple[int, int]) -> None:
    strip = np.full(shape, 255, np.uint8)
    strip[: shape[0] // 2 + 1, : shape[1] // 2 + 1] = 0
    for found in (*reader.predict_images([strip]), *reader.read_fields([strip])):
        assert isinstance(found, Reading | FieldReading | ImageError)
