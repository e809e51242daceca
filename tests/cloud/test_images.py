"""Which file a cloud gets."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from digitreader.cloud.compare import RECOGNISERS
from digitreader.cloud.images import fit
from digitreader.errors import ImageTooLargeError
from digitreader.reader import DigitReader
from tests.helpers import file_of, seven

LIMITS = {name: recogniser.limits for name, recogniser in RECOGNISERS.items()}


@pytest.mark.parametrize(
    ("cloud", "form", "re_encoded"),
    [
        ("google", "JPEG", False),
        ("google", "WEBP", False),
        ("google", "TIFF", True),
        ("aws", "PNG", False),
        ("aws", "WEBP", True),
        ("azure", "BMP", False),
        ("azure", "PPM", True),
    ],
)
def test_a_file_is_sent_as_it_is_where_its_format_is_accepted(cloud: str, form: str, re_encoded: bool) -> None:
    content = file_of(seven(), form)
    sent = fit(content, LIMITS[cloud])
    assert sent.re_encoded is re_encoded
    assert (sent.content == content) is not re_encoded
    assert (sent.format, sent.size) == ("PNG" if re_encoded else form, (300, 200))


@pytest.mark.parametrize(("cloud", "size"), [("google", (42, 28)), ("aws", (126, 84)), ("azure", (84, 56))])
def test_a_small_picture_is_enlarged_where_it_must_be(reader: DigitReader, cloud: str, size: tuple[int, int]) -> None:
    sent = fit(file_of(seven(28), "PNG"), LIMITS[cloud])
    assert (sent.size, sent.re_encoded) == (size, cloud != "google")
    with Image.open(BytesIO(sent.content)) as image:
        assert image.size == size
    assert reader.predict_image(sent.content).digit == 7


@pytest.mark.parametrize("cloud", list(LIMITS))
def test_a_large_file_is_reduced_to_what_is_accepted(reader: DigitReader, cloud: str) -> None:
    pixels = np.repeat(seven(2200 if cloud == "azure" else 1300)[..., np.newaxis], 3, axis=2)
    content = file_of(pixels, "PNG", compress_level=0)
    assert len(content) > LIMITS[cloud].max_bytes
    sent = fit(content, LIMITS[cloud])
    assert len(sent.content) <= LIMITS[cloud].max_bytes
    assert (sent.format, sent.re_encoded) == ("PNG", True)
    assert reader.predict_image(sent.content).digit == 7


def test_grey_levels_of_16_bits_become_8() -> None:
    sent = fit(file_of(seven().astype(np.uint16) * 257, "PNG"), LIMITS["google"])
    assert sent.re_encoded
    with Image.open(BytesIO(sent.content)) as image:
        assert image.mode == "RGB"


def test_a_strip_that_fits_in_no_way_is_refused() -> None:
    strip = file_of(np.zeros((4, 20_000), np.uint8), "PNG")
    with pytest.raises(ImageTooLargeError, match="20,000 × 4"):
        fit(strip, LIMITS["aws"])
