"""The other way to read a line: cut it wherever a digit might end, score every piece, take the best path.

Pieces of one to five neighbouring cuts are normalised and go through the committed network; a logistic regression on
its embedding, trained on pieces of composed lines, knows the ten digits and "no digit", so that half a 4 is not a 1.
Compared with the line reader on the same validation lines; results in results/line_methods.json.

    python -m experiments.oversegmentation

References
----------
LeCun, Y., Bottou, L., Bengio, Y. and Haffner, P. (1998). Gradient-based learning applied to document recognition.
Proceedings of the IEEE 86(11), section V.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from digitreader.arrays import FloatArray
from digitreader.data import load_mnist, load_writers
from digitreader.decision import choose
from digitreader.errors import BlankImageError
from digitreader.fields import HEIGHT, INK, line_image
from digitreader.images import find_ink
from digitreader.lines import read_line
from digitreader.normalize import normalize
from digitreader.provenance import provenance
from digitreader.recognizer import LineRecognizer, Recognizer, sha256
from experiments.compose import FIELDS, Line, Style, lines
from experiments.lines import validation_mask
from experiments.runs import Row, write_rows

SEED = 3
TRAINING, VALIDATION = 500, 300  # lines a style
NO_CLASS = 10  # of the scores: no digit
PIECES = 5  # neighbouring pieces that may make up one digit
WIDEST_INK = 1.2 * HEIGHT
MATCH = 3  # columns by which a segment's ends may miss a digit's

Segment = tuple[int, int]  # first and last piece, the last exclusive


def cuts(pixels: FloatArray) -> list[int]:
    """Return the columns at which a digit may end: where there is no ink, and where there is locally least."""
    ink = cv2.GaussianBlur(pixels.sum(axis=0)[np.newaxis], (0, 0), 1)[0]
    columns = np.arange(1, len(ink) - 1)
    low = (ink[columns] <= ink[columns - 1]) & (ink[columns] < ink[columns + 1]) & (ink[columns] < 0.35 * HEIGHT)
    found: list[int] = []
    for column in (0, *columns[low].tolist(), len(ink)):
        if not found or column - found[-1] >= 3:
            found.append(column)
    return found


def segments(pixels: FloatArray, edges: Sequence[int]) -> tuple[list[Segment], list[Segment], FloatArray]:
    """Return the segments that may be a digit, the columns their ink spans, and their images (n, 28, 28)."""
    found, extents, images = [], [], []
    for first in range(len(edges) - 1):
        for last in range(first + 1, min(first + PIECES, len(edges) - 1) + 1):
            piece = pixels[:, edges[first] : edges[last]]
            inked = np.flatnonzero((piece > INK).any(axis=0))
            if not inked.size or np.ptp(inked) > WIDEST_INK:
                continue
            found.append((first, last))
            extents.append((edges[first] + int(inked[0]), edges[first] + int(inked[-1]) + 1))
            images.append(normalize(piece))
    return found, extents, np.array(images, np.float32).reshape(-1, 28, 28)


def empty(pixels: FloatArray, left: int, right: int) -> bool:
    """Return whether there is no ink between two columns."""
    return not (pixels[:, left:right] > INK).any()


def best_path(pixels: FloatArray, edges: Sequence[int], found: Sequence[Segment], scores: FloatArray) -> str:
    """Return the text of the best path through the segments; empty pieces are passed for nothing."""
    best: list[tuple[float, str]] = [(-np.inf, "")] * len(edges)
    best[0] = (0.0, "")
    digit, value = scores[:, :NO_CLASS].argmax(axis=1), scores[:, :NO_CLASS].max(axis=1)
    by_end: dict[int, list[tuple[int, int]]] = {}
    for number, (first, last) in enumerate(found):
        by_end.setdefault(last, []).append((first, number))
    for last in range(1, len(edges)):
        options = [
            (best[first][0] + float(value[number]), best[first][1] + str(digit[number]))
            for first, number in by_end.get(last, [])
        ]
        if empty(pixels, edges[last - 1], edges[last]):
            options.append(best[last - 1])
        else:  # a piece may also be dirt
            options.append((best[last - 1][0] + np.log(1e-4), best[last - 1][1]))
        best[last] = max(options)
    return best[-1][1]


def composed(style: Style, count: int, seed: int, *, validation: bool) -> list[Line]:
    """Return lines of five digits of the notebook's validation or training rows."""
    data, writers = load_mnist(), load_writers()
    held_out = validation_mask(data.y_train)
    rows = held_out if validation else ~held_out
    return list(lines(data.x_train[rows], data.y_train[rows], writers.train[rows], style, count=count, seed=seed))


def training_pieces(recognizer: Recognizer) -> tuple[FloatArray, npt.NDArray[np.int64]]:
    """Return embeddings (n, 256) and classes (n,), 0 to 10, of segments of training lines."""
    embeddings, classes = [], []
    for number, style in enumerate(FIELDS.values()):
        for line in tqdm(composed(style, TRAINING, SEED + number, validation=False), "training lines"):
            try:
                image = line_image(find_ink(line.picture.pixels))
            except BlankImageError:
                continue
            edges = cuts(image.pixels)
            _, extents, images = segments(image.pixels, edges)
            boxes = line.picture.boxes
            corners = [boxes[:, [i, j]] @ image.to_line[:, :2].T + image.to_line[:, 2] for i in (0, 2) for j in (1, 3)]
            lefts, rights = (f(corners, axis=0)[:, 0] for f in (np.min, np.max))
            for left, right in extents:
                off = np.maximum(np.abs(lefts - left), np.abs(rights - right))
                classes.append(int(line.text[off.argmin()]) if off.min() <= MATCH else NO_CLASS)
            embeddings.append(recognizer.run(images, "embedding")[0])
    return np.concatenate(embeddings), np.array(classes)


def main() -> None:
    """Train the scores, read the validation lines by both methods, write results/line_methods.json."""
    from sklearn.linear_model import LogisticRegression

    recognizer, line_recognizer = Recognizer(threads=1), LineRecognizer()
    features, classes = training_pieces(recognizer)
    scorer = LogisticRegression(C=0.1, max_iter=200).fit(features, classes)
    rows: list[Row] = []
    for number, (name, style) in enumerate(FIELDS.items()):
        wrong = {"over-segmentation": 0, "line reader": 0}
        seconds = dict.fromkeys(wrong, 0.0)
        for line in tqdm(composed(style, VALIDATION, 100 + SEED + number, validation=True), name):
            try:
                pixels = line_image(find_ink(line.picture.pixels)).pixels
            except BlankImageError:
                wrong = {method: count + 1 for method, count in wrong.items()}
                continue
            started = time.perf_counter()
            edges = cuts(pixels)
            found, _, images = segments(pixels, edges)
            scores = scorer.predict_log_proba(recognizer.run(images, "embedding")[0])
            wrong["over-segmentation"] += best_path(pixels, edges, found, scores) != line.text
            between = time.perf_counter()
            wrong["line reader"] += choose(read_line(pixels, line_recognizer)[0]).text != line.text
            seconds["over-segmentation"] += between - started
            seconds["line reader"] += time.perf_counter() - between
        rows += [row(method, name, wrong[method], seconds[method], line_recognizer, recognizer) for method in wrong]
    write_rows("line_methods", rows)


def row(method: str, style: str, wrong: int, seconds: float, lines: LineRecognizer, digits: Recognizer) -> Row:
    """Return what a method made of a style."""
    return {
        "method": method,
        "style": style,
        "lines": VALIDATION,
        "wrong": wrong / VALIDATION,
        "seconds": seconds,
        "seed": SEED,
        "split": "validation",
        "model_sha256": sha256((lines if method == "line reader" else digits).path),
    } | provenance("python -m experiments.oversegmentation", "onnxruntime", "scikit-learn", "numpy")


if __name__ == "__main__":
    main()
