"""Draw the sample pictures of docs/samples/, stroke by stroke, with several pens and papers, and read them.

They are not composed from MNIST: nobody's digits, drawn for this project, so that they can be shown and passed on.
What the reader says of them goes to results/samples.json.

    python -m experiments.samples
"""

from __future__ import annotations

import time

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from digitreader.arrays import FloatArray
from digitreader.decision import FieldReading
from digitreader.provenance import provenance
from digitreader.reader import DigitReader
from digitreader.recognizer import sha256
from experiments.runs import ROOT, Row, write_rows

FOLDER = ROOT / "docs" / "samples"
DIGITS, FIELDS = ("seven.jpg", "scrawl.jpg"), ("zip.jpg", "zip_plus_4.jpg")
FINE = 4  # drawn this many times larger, for smooth edges
Points = tuple[tuple[float, float], ...]
Colour = tuple[int, int, int]

# Strokes of each digit: points that the pen passes nearby, in a box of 1 × 1, y downwards.
STROKES: dict[str, tuple[Points, ...]] = {
    "0": (
        ((0.55, 0.02), (0.2, 0.12), (0.1, 0.5), (0.2, 0.9), (0.5, 1), (0.82, 0.88), (0.9, 0.5), (0.8, 0.1), (0.5, 0)),
    ),
    "1": (((0.3, 0.28), (0.52, 0.02)), ((0.52, 0.02), (0.48, 0.98))),
    "2": (
        ((0.12, 0.25), (0.25, 0.02), (0.7, 0), (0.85, 0.3), (0.6, 0.6), (0.1, 0.95)),
        ((0.1, 0.95), (0.4, 0.9), (0.92, 0.96)),
    ),
    "3": (
        ((0.15, 0.12), (0.5, -0.05), (0.88, 0.15), (0.75, 0.42), (0.4, 0.46)),
        ((0.4, 0.46), (0.9, 0.5), (0.92, 0.85), (0.55, 1.03), (0.1, 0.88)),
    ),
    "4": (((0.58, 0.02), (0.12, 0.6)), ((0.12, 0.6), (0.92, 0.58)), ((0.7, 0.3), (0.62, 1))),
    "5": (
        ((0.85, 0.03), (0.28, 0.04)),
        ((0.28, 0.04), (0.2, 0.45)),
        ((0.2, 0.45), (0.6, 0.32), (0.95, 0.6), (0.8, 0.95), (0.4, 1.02), (0.1, 0.88)),
    ),
    "6": (
        ((0.72, 0.02), (0.35, 0.2), (0.12, 0.6), (0.2, 0.98), (0.6, 1.03), (0.85, 0.8), (0.7, 0.52), (0.35, 0.54),
         (0.16, 0.75)),
    ),
    "7": (((0.1, 0.08), (0.88, 0.05)), ((0.88, 0.05), (0.55, 0.5), (0.4, 1))),
    "8": (
        ((0.78, 0.12), (0.5, -0.04), (0.18, 0.1), (0.25, 0.36), (0.75, 0.6), (0.85, 0.9), (0.5, 1.04), (0.15, 0.9),
         (0.25, 0.6), (0.72, 0.38), (0.8, 0.1)),
    ),
    "9": (
        ((0.82, 0.2), (0.55, -0.04), (0.15, 0.1), (0.18, 0.45), (0.55, 0.52), (0.83, 0.18)),
        ((0.83, 0.18), (0.7, 1)),
    ),
    "-": (((0.1, 0.52), (0.6, 0.5)),),
}  # fmt: skip


def curve(points: Points) -> npt.NDArray[np.float64]:
    """Return a smooth line through the ends of a stroke and near its other points, shape (n, 2), after Chaikin."""
    line = np.array(points)
    for _ in range(4 if len(points) > 2 else 0):
        between = np.stack([0.75 * line[:-1] + 0.25 * line[1:], 0.25 * line[:-1] + 0.75 * line[1:]], axis=1)
        line = np.concatenate([line[:1], between.reshape(-1, 2), line[-1:]])
    return line


def write(
    coverage: FloatArray, text: str, left: float, top: float, height: float, pen: float, gap: float, seed: int
) -> None:
    """Draw a text into coverage (h, w) that is `FINE` times finer than the picture; lengths in its pixels."""
    rng = np.random.default_rng(seed)
    for symbol in text:
        size = height * rng.uniform(0.93, 1.07)
        width = size * rng.uniform(0.55, 0.65)
        base = top + height - size + rng.normal(0, 0.02) * height
        slant = rng.normal(0.12, 0.03)
        for stroke in STROKES[symbol]:
            line = curve(stroke)
            x = left + line[:, 0] * width + slant * (1 - line[:, 1]) * size
            y = base + line[:, 1] * size
            points = np.rint(np.stack([x, y], axis=1) * FINE * 8).astype(np.int32)
            cv2.polylines(coverage, [points], False, 1.0, max(round(pen * FINE), 1), cv2.LINE_AA, shift=3)
        left += width * (0.75 if symbol == "-" else 1) + gap * rng.uniform(0.8, 1.2)


def sheet(width: int, height: int) -> FloatArray:
    """Return the coverage of an empty sheet."""
    return np.zeros((height * FINE, width * FINE), np.float32)


def photograph(coverage: FloatArray, paper: Colour, ink: Colour, shade: float, noise: float, seed: int) -> Image.Image:
    """Return the picture of ink on paper, with less light to the right and below, and the camera's noise."""
    height, width = (side // FINE for side in coverage.shape)
    share = np.clip(cv2.resize(coverage, (width, height), interpolation=cv2.INTER_AREA), 0, 1)[..., np.newaxis]
    pixels = (1 - share) * np.array(paper) + share * np.array(ink)
    y, x = np.mgrid[: 1 : height * 1j, : 1 : width * 1j]
    pixels *= (1 - shade * (x + y) / 2)[..., np.newaxis]
    pixels += np.random.default_rng(seed).normal(0, noise, pixels.shape)
    return Image.fromarray(np.clip(np.rint(pixels), 0, 255).astype(np.uint8))


def main() -> None:
    """Draw and read all samples."""
    FOLDER.mkdir(parents=True, exist_ok=True)

    digit = sheet(480, 640)
    write(digit, "7", 190, 210, 190, 13, 0, seed=1)
    write(digit, "-", 215, 210, 190, 13, 0, seed=1)
    photograph(digit, (238, 232, 215), (32, 44, 96), 0.35, 4, seed=1).save(FOLDER / "seven.jpg", quality=80)

    code = sheet(420, 130)
    write(code, "94103", 50, 35, 58, 5, 14, seed=5)
    photograph(code, (250, 250, 248), (25, 25, 30), 0.15, 3, seed=2).save(FOLDER / "zip.jpg", quality=85)

    label = sheet(640, 140)
    write(label, "20500-0003", 40, 40, 54, 4, 12, seed=8)
    cv2.line(label, (80, 103 * FINE), (2480, 101 * FINE), 0.6, 6, cv2.LINE_AA)
    photograph(label, (196, 158, 112), (35, 30, 40), 0.3, 5, seed=3).save(FOLDER / "zip_plus_4.jpg", quality=80)

    scrawl = sheet(300, 300)
    path = np.random.default_rng(4).uniform(60, 240, (14, 2))
    line = np.rint(curve(tuple(map(tuple, path))) * FINE).astype(np.int32)
    cv2.polylines(scrawl, [line], False, 1.0, 7 * FINE, cv2.LINE_AA)
    photograph(scrawl, (245, 245, 245), (160, 30, 40), 0.1, 3, seed=4).save(FOLDER / "scrawl.jpg", quality=85)

    reader = DigitReader()
    networks = (reader.recognizer, reader.picture_recognizer, reader.line_recognizer)
    rows: list[Row] = []
    for name in DIGITS + FIELDS:
        started = time.perf_counter()
        reading = reader.predict_image(FOLDER / name) if name in DIGITS else reader.read(FOLDER / name, zip_codes=True)
        rows.append(
            {
                "file": name,
                "text": reading.text if isinstance(reading, FieldReading) else str(reading.digit),
                "confidence": reading.confidence,
                "decision": reading.decision,
                "reason": reading.reason,
                "seconds": time.perf_counter() - started,
                "seed": None,
                "split": None,
                "model_sha256": [sha256(network.path) for network in networks],
            }
            | provenance("python -m experiments.samples", "onnxruntime", "numpy", "opencv-python-headless", "pillow")
        )
    write_rows("samples", rows)


if __name__ == "__main__":
    main()
