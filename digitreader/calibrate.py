"""Calibration of the reader on the network's own validation images: what `digits calibrate` runs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from digitreader.arrays import ByteArray, FloatArray
from digitreader.data import load_mnist
from digitreader.decision import (
    calibrated,
    calibration_error,
    combined,
    evidence,
    fit_temperature,
    log_loss,
    threshold_for,
)
from digitreader.errors import CalibrationError
from digitreader.images import find_ink, load_image
from digitreader.provenance import provenance, write_json
from digitreader.recognizer import BATCH, LineRecognizer, Recognizer, sha256
from digitreader.single import prepare, run_both

RISK = 0.0003  # wrong readings among the accepted ones
MISSED_DIGITS = 0.005  # share of the validation digits that may be taken for no digit
PACKAGES = ("onnxruntime", "numpy", "opencv-python-headless", "scipy", "scikit-learn")
# Sides, in pixels, of the pictures on which the weight is chosen: people's are of any size.
SIZES = (10, 14, 20, 28, 56)
WEIGHTS = (0.0, 0.2, 0.5, 0.7, 1.0, 1.4, 2.0)  # of the line reader's opinion


def validation_rows(labels: npt.NDArray[np.uint8], expected_sha256: str) -> npt.NDArray[np.int64]:
    """Return the rows of MNIST's training set that the notebook validated on.

    Raises
    ------
    CalibrationError
        If they are not those that the network's card states.
    """
    from sklearn.model_selection import train_test_split

    _, rows = train_test_split(np.arange(len(labels)), test_size=0.1, stratify=labels, random_state=42)
    found = hashlib.sha256(np.sort(rows).astype("<i8").tobytes()).hexdigest()
    if found != expected_sha256:
        raise CalibrationError("The network was validated on other images than the notebook's own: calibrate on those.")
    return rows


def _outputs(
    images: Iterable[ByteArray], network: Recognizer, line_network: LineRecognizer
) -> tuple[FloatArray, FloatArray]:
    """Return what both networks say of pictures of one digit: logits and opinions, each of shape (n, 10)."""
    prepared = [prepare(find_ink(load_image(image).pixels)) for image in images]
    groups = [
        run_both(prepared[start : start + BATCH], network, line_network) for start in range(0, len(prepared), BATCH)
    ]
    logits, opinions = (np.concatenate(parts) for parts in zip(*groups, strict=True))
    return logits, opinions


def calibrate(models: Path, *, risk: float = RISK) -> dict[str, Any]:
    """Fit weight, temperature and thresholds, write them to reader.json, and return what was written.

    The weight is that of the least log-loss on the validation digits in several sizes: in small pictures the line
    reader deserves less. The rest is fitted to the digits as they are.

    Parameters
    ----------
    models : Path
        The folder of the networks, and of the card that the notebook wrote.
    risk : float
        Share of wrong readings among those that are accepted.

    Raises
    ------
    DataError
        If MNIST cannot be had.
    CalibrationError
        If the network was validated on other images.
    """
    data, card = load_mnist(), json.loads((models / "mnist_cnn.json").read_text())
    rows = validation_rows(data.y_train, card["split"]["validation_rows_sha256"])
    labels = data.y_train[rows]
    network, line_network = Recognizer(models / "mnist_cnn.onnx"), LineRecognizer(models / "line_reader.onnx")
    images = data.x_train[rows]
    sizes = islice(cycle(SIZES), len(images))
    resized = [
        cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA if side < len(image) else cv2.INTER_CUBIC)
        for image, side in zip(images, sizes, strict=True)
    ]
    losses = {}
    logits, opinions = _outputs(resized, network, line_network)
    for weight in WEIGHTS:
        both = combined(logits, opinions, weight)
        losses[weight] = log_loss(calibrated(both, fit_temperature(both, labels)), labels)
    weight = min(WEIGHTS, key=lambda weight: losses[weight])

    logits, opinions = _outputs(images, network, line_network)
    both = combined(logits, opinions, weight)
    temperature = fit_temperature(both, labels)
    before, after = calibrated(both, 1), calibrated(both, temperature)
    right = after.argmax(axis=1) == labels
    support = evidence(opinions)
    min_evidence = float(np.quantile(support, MISSED_DIGITS))
    digits = support >= min_evidence
    threshold = threshold_for(after.max(axis=1)[digits], right[digits], risk)
    accepted = digits & (after.max(axis=1) >= threshold)
    content = {
        "onnx_sha256": [sha256(network.path), sha256(line_network.path)],
        "weight": weight,
        "temperature": temperature,
        "min_confidence": threshold,
        "min_evidence": min_evidence,
        "risk": risk,
        "digits": {
            "images": len(labels),
            "wrong": int((~right).sum()),
            "log_loss_by_weight": losses,
            "calibration_error_before": calibration_error(before, labels),
            "calibration_error_after": calibration_error(after, labels),
            "accepted": int(accepted.sum()),
            "wrong_among_accepted": int((accepted & ~right).sum()),
        },
    } | provenance("digits calibrate", *PACKAGES)
    write_json(models / "reader.json", content)
    return content
