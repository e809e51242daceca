"""What Schemathesis sends where the OpenAPI document asks for the bytes of an image: files that show a 7."""

from __future__ import annotations

import base64
import io

import numpy as np
import schemathesis
from hypothesis import strategies as st
from PIL import Image

SEVEN = np.zeros((12, 10), np.uint8)
SEVEN[2, 2:8] = SEVEN[3:10, 7] = 255


def image_files() -> st.SearchStrategy[bytes]:
    """Return files of several sizes, modes and formats."""

    def encode(scale: int, mode: str, kind: str) -> bytes:
        stream = io.BytesIO()
        Image.fromarray(np.kron(SEVEN, np.ones((scale, scale), np.uint8))).convert(mode).save(stream, kind)
        return stream.getvalue()

    return st.builds(
        encode, st.integers(1, 20), st.sampled_from(["L", "RGB"]), st.sampled_from(["PNG", "JPEG", "WEBP"])
    )


schemathesis.openapi.format("binary", image_files())
schemathesis.openapi.format("base64", image_files().map(lambda content: base64.b64encode(content).decode()))
