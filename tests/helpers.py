"""What several tests need."""

from __future__ import annotations

import subprocess
import sys
from io import BytesIO
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

SCHEMA = {"seed", "split", "model_sha256", "versions", "machine", "command", "seconds"}
"""What every row of a result file tells."""


def digits(*arguments: str | Path, stdin: bytes = b"", cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run the command and return what it printed."""
    finished = subprocess.run(
        [sys.executable, "-m", "digitreader", *map(str, arguments)],
        input=stdin,
        capture_output=True,
        cwd=cwd,
        timeout=300,
    )
    return subprocess.CompletedProcess(
        finished.args, finished.returncode, finished.stdout.decode(), finished.stderr.decode()
    )


def assert_same_calibration(found: dict[str, Any], committed: dict[str, Any]) -> None:
    """Assert that a calibration of single digits has come out as the committed one."""
    for name in ("onnx_sha256", "weight", "risk"):
        assert found[name] == committed[name]
    for name in ("temperature", "min_confidence", "min_evidence"):
        assert found[name] == pytest.approx(committed[name], rel=1e-2)


def overlap(one: np.ndarray, other: np.ndarray) -> float:
    """Return the intersection of two boxes over their union."""
    left, top = np.maximum(one[:2], other[:2])
    right, bottom = np.minimum(one[2:], other[2:])
    shared = max(right - left, 0) * max(bottom - top, 0)
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)]
    return float(shared / (sum(areas) - shared))


def seven(size: int = 200, ink: int = 20, paper: int = 240) -> np.ndarray:
    """Return a drawn 7, off the centre, as grey pixels."""
    sheet = np.full((size, size * 3 // 2), paper, np.uint8)
    points = np.array([(0.15, 0.2), (0.5, 0.18), (0.3, 0.75)]) * size
    cv2.polylines(sheet, [points.astype(np.int32)], False, ink, max(size // 16, 1), cv2.LINE_AA)
    return sheet


def file_of(pixels: np.ndarray, form: str = "PNG", **settings: int) -> bytes:
    """Return an image as the bytes of a file."""
    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, form, **settings)
    return buffer.getvalue()
