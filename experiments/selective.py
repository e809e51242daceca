"""Digits for training: each moved a little, and mostly those that are hard.

References
----------
Jiang, A. H. et al. (2019). Accelerating deep learning by focusing on the biggest losers. arXiv:1910.00762.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from digitreader.arrays import ByteArray, FloatArray


def batches(
    losses: FloatArray, settings: Mapping[str, Any], rng: np.random.Generator
) -> Iterator[npt.NDArray[np.int64]]:
    """Yield, without end, the places of digits for a training step: each digit once, then mostly those that are hard.

    Parameters
    ----------
    losses : ndarray of shape (n,), dtype float32
        Each digit's loss when it was last seen, as whoever trains keeps it up to date.
    settings : mapping
        BATCH_SIZE; KEPT, the share of the digits that is shown again each time; AT_RANDOM, the share of these that is
        drawn from all, while the others are the ones with the largest loss.
    rng : numpy.random.Generator
    """
    order = rng.permutation(len(losses))
    while True:
        yield from np.split(order, range(settings["BATCH_SIZE"], len(order), settings["BATCH_SIZE"]))
        kept = round(settings["KEPT"] * len(losses))
        hard = kept - round(settings["AT_RANDOM"] * kept)
        ranked = np.argpartition(-losses, hard)
        order = rng.permutation(np.concatenate([ranked[:hard], rng.choice(ranked[hard:], kept - hard, replace=False)]))


def moved(images: ByteArray, settings: Mapping[str, Any], rng: np.random.Generator) -> ByteArray:
    """Return images (n, 28, 28), each turned, slanted, stretched and shifted on its own.

    Parameters
    ----------
    images : ndarray of shape (n, 28, 28), dtype uint8
    settings : mapping
        How far at most: TURN in radians; SLANT; STRETCH of width and height, each by its own, as a logarithm; SHIFT in
        pixels.
    rng : numpy.random.Generator
    """
    count = len(images)
    angle, slant = (rng.uniform(-settings[name], settings[name], count) for name in ("TURN", "SLANT"))
    across, down = np.exp(rng.uniform(-settings["STRETCH"], settings["STRETCH"], (2, count)))
    linear = np.array(
        [[across * np.cos(angle), across * (np.sin(angle) + slant)], [-down * np.sin(angle), down * np.cos(angle)]]
    )
    middle = 13.5 + rng.uniform(-settings["SHIFT"], settings["SHIFT"], (2, count)) - 13.5 * linear.sum(axis=1)
    matrices = np.concatenate([linear, middle[:, np.newaxis]], axis=1).transpose(2, 0, 1)
    return np.stack([cv2.warpAffine(image, matrix, (28, 28)) for image, matrix in zip(images, matrices, strict=True)])
