"""Images as a cloud accepts them: the file as it is, or else what the reader sees of it."""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO
from typing import Any

from PIL import Image

from digitreader.cloud.recogniser import Limits
from digitreader.errors import ImageTooLargeError
from digitreader.images import FORMATS, load_image


@dataclass(frozen=True)
class SentImage:
    """A file that is sent.

    Attributes
    ----------
    content : bytes
    format : str
        As Pillow names it.
    size : tuple of int
        Width and height.
    re_encoded : bool
        Whether it is another file than the one given.
    """

    content: bytes
    format: str
    size: tuple[int, int]
    re_encoded: bool

    def to_dict(self) -> dict[str, Any]:
        """Return what JSON says of it."""
        width, height = self.size
        return {
            "format": self.format,
            "width": width,
            "height": height,
            "bytes": len(self.content),
            "re_encoded": self.re_encoded,
        }


def fit(content: bytes, limits: Limits) -> SentImage:
    """Return a file within some limits: the one given if it is, otherwise a PNG file of its pixels.

    The PNG file has the pixels as `digitreader.images.load_image` gives them: upright, RGB, on white, reduced where a
    side is longer than it needs. Where a side is shorter than the recogniser accepts, they are enlarged by a whole
    number.

    Parameters
    ----------
    content : bytes
        A file that `load_image` decodes.
    limits : Limits

    Raises
    ------
    ImageError
        If it cannot be decoded.
    ImageTooLargeError
        If it cannot be brought within the limits: it is too long for its height, or too high for its width.
    """
    with Image.open(BytesIO(content), formats=FORMATS) as image:
        # An MPO file is a JPEG file with further pictures behind it, as some phones write it.
        given = SentImage(content, "JPEG" if image.format == "MPO" else str(image.format), image.size, False)
        deep = image.mode[0] in "IF"  # 16 or 32 bits, which none of the services names
    if not deep and _within(given, limits):
        return given
    picture = Image.fromarray(load_image(content).pixels)
    factor = -(-limits.min_side // min(picture.size))
    picture = picture.resize((picture.width * factor, picture.height * factor), Image.Resampling.BICUBIC)
    buffer = BytesIO()
    picture.save(buffer, "PNG")
    sent = SentImage(buffer.getvalue(), "PNG", picture.size, True)
    if not _within(sent, limits):
        raise ImageTooLargeError(
            f"The image has {given.size[0]:,} × {given.size[1]:,} pixels; its sides cannot both be brought to between "
            f"{limits.min_side:,} and {limits.max_side:,}."
        )
    return sent


def _within(image: SentImage, limits: Limits) -> bool:
    return (
        image.format in limits.formats
        and len(image.content) <= limits.max_bytes
        and limits.min_side <= min(image.size)
        and max(image.size) <= limits.max_side
    )
