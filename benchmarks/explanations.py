"""Whether an explanation shows what the network reads by: deletion and insertion scores of HiResCAM and of other maps.

Pixels are changed in the falling order of a map, and the area under the curve of the predicted digit's probability is
the score. A map that finds what matters has a low score where its pixels are deleted and a high one where they are
inserted. What is deleted becomes paper: a part of a digit is still a picture of ink on paper, such as the network may
meet, and this is also where insertion starts.

Four fifths of MNIST's pixels are paper, and to delete paper changes nothing: any map that merely follows the ink
scores well. So the same is measured again by steps of equal ink, in which a map only says which part of the digit
comes first. RISE inserts into a blurred image, and this is done here too: blur, unlike paper, hides the gaps of a digit
as well as its strokes.

The maps that HiResCAM, which `digits explain` shows, is compared with:

- Grad-CAM, which the notebook shows;
- occlusion (Zeiler and Fergus): the probability lost when a square of paper lies around a pixel. Like the scores it
  lays paper over ink, which favours it;
- ink: the image itself, which knows nothing of the network;
- HiResCAM of another digit, the one before in the sample: it knows where MNIST's digits lie, not what this one is;
- random blobs, as coarse as the network's last feature maps, and random pixels: the mean score of some draws.

Pixels of equal heat come in random order, since any other would favour a place. The digits are drawn beforehand; all
that the network misreads are measured apart, as explanations of a wrong answer. Intervals are bootstrapped over
writers.

    python -m benchmarks.explanations

References
----------
Petsiuk, V., Das, A. and Saenko, K. (2018). RISE: randomized input sampling for explanation of black-box models. BMVC,
arXiv:1806.07421.
Zeiler, M. D. and Fergus, R. (2014). Visualizing and understanding convolutional networks. ECCV.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from benchmarks.results import write_result
from digitreader.arrays import FloatArray
from digitreader.data import load_mnist, load_writers
from digitreader.explain import grad_cam, hires_cam
from digitreader.recognizer import Recognizer, as_input
from experiments.bootstrap import interval, resampled_means

SEED = 0
DIGITS = 500
DRAWS = 3  # of the random maps
SHARES = np.linspace(0, 1, 29)  # of what is changed: 28 of the 784 pixels a step
REACH = 2  # pixels from the middle of an occluding square to its edge: 5 × 5, about as wide as two strokes
BLUR = 5  # RISE's standard deviation, in pixels: no digit of 20 pixels can be read through it
COARSE = 7  # side of the last feature maps
SCORES = ("deletion", "insertion", "insertion, blurred", "deletion, equal ink", "insertion, equal ink")
EXPLAINER = "HiResCAM"

Predict = Callable[[npt.NDArray[Any]], FloatArray]
"""Takes images (n, 28, 28) to probabilities (n, 10)."""

_places = np.indices((28, 28)).reshape(2, -1)
_apart = np.abs(_places[:, :, np.newaxis] - _places[:, np.newaxis]).max(axis=0)
SQUARES = (_apart <= REACH).reshape(-1, 28, 28)  # one around each pixel


def changed(heat: npt.NDArray[Any], weights: npt.NDArray[Any], rng: np.random.Generator) -> npt.NDArray[np.bool_]:
    """Return which pixels are changed at each of the `SHARES` if the hottest come first.

    Parameters
    ----------
    heat : ndarray of shape (28, 28)
    weights : ndarray of shape (28, 28)
        What each pixel counts.
    rng : Generator
        Orders the pixels of equal heat.

    Returns
    -------
    ndarray of shape (29, 28, 28), dtype bool
    """
    places = rng.permutation(heat.size)
    order = places[np.argsort(-heat.ravel()[places], kind="stable")]
    spent = np.empty(heat.size)
    spent[order] = np.cumsum(weights.ravel()[order], dtype=float)
    rounding = 1e-6
    return spent.reshape(heat.shape) <= (SHARES * spent.max() + rounding)[:, np.newaxis, np.newaxis]


def curves(
    predict: Predict, image: FloatArray, digit: int, heat: npt.NDArray[Any], rng: np.random.Generator
) -> FloatArray:
    """Return the digit's probability at each of the `SHARES` for each of the `SCORES`, shape (5, 29)."""
    pixels, ink = changed(heat, np.ones_like(image), rng), changed(heat, image, rng)
    blurred = cv2.GaussianBlur(image, (0, 0), BLUR)
    stages = [
        np.where(pixels, 0, image),
        np.where(pixels, image, 0),
        np.where(pixels, image, blurred),
        np.where(ink, 0, image),
        np.where(ink, image, 0),
    ]
    return predict(np.concatenate(stages))[:, digit].reshape(len(SCORES), len(SHARES))


def occlusion(predict: Predict, image: FloatArray, digit: int) -> FloatArray:
    """Return how much of the digit's probability is lost by a square of paper around each pixel, shape (28, 28)."""
    covered = np.where(SQUARES, 0, image)
    touched = (covered != image).any(axis=(1, 2))
    whole, *parts = predict(np.concatenate([image[np.newaxis], covered[touched]]))[:, digit]
    lost = np.zeros(len(SQUARES), np.float32)
    lost[touched] = whole - parts
    return lost.reshape(image.shape)


def maps(
    network: Recognizer, images: FloatArray, digits: npt.NDArray[np.int64], rng: np.random.Generator
) -> dict[str, npt.NDArray[Any]]:
    """Return the maps, each of shape (draws, n, 28, 28), of images (n, 28, 28) for one digit each."""
    explained = list(zip(images, digits, strict=True))
    heats = np.array([hires_cam(network, image, digit) for image, digit in explained])
    blobs = rng.random((DRAWS, len(images), COARSE, COARSE))
    return {
        EXPLAINER: heats[np.newaxis],
        "Grad-CAM": np.array([[grad_cam(network, image, digit) for image, digit in explained]]),
        "occlusion": np.array([[occlusion(network.predict_proba, *one) for one in tqdm(explained, "occlusion")]]),
        "ink": images[np.newaxis],
        f"{EXPLAINER} of another digit": np.roll(heats, 1, axis=0)[np.newaxis],
        "random blobs": np.array([[cv2.resize(blob, (28, 28)) for blob in draw] for draw in blobs]),
        "random pixels": rng.random((DRAWS, *images.shape)),
    }


def measure(network: Recognizer, images: npt.NDArray[np.uint8]) -> dict[str, FloatArray]:
    """Return the curves (n, 5, 29) of each map for images (n, 28, 28), each explained for the digit it is taken for."""
    rng = np.random.default_rng(SEED)
    inputs = as_input(images)[..., 0]
    digits = network.predict_proba(inputs).argmax(axis=1)

    def drawn(heats: npt.NDArray[Any], name: str) -> FloatArray:
        ordered = tqdm(zip(inputs, digits, heats, strict=True), name, len(inputs))
        return np.array([curves(network.predict_proba, image, digit, heat, rng) for image, digit, heat in ordered])

    return {
        kind: np.mean([drawn(heats, kind) for heats in draws], axis=0)
        for kind, draws in maps(network, inputs, digits, rng).items()
    }


def mean_and_interval(values: npt.NDArray[Any], writers: npt.NDArray[np.int32]) -> list[float]:
    """Return the mean of values (n,) and its 95 % interval, by bootstrap over the writers (n,) of the digits."""
    return [float(values.mean()), *interval(resampled_means(values, writers, seed=SEED))]


def summary(found: dict[str, FloatArray], writers: npt.NDArray[np.int32]) -> dict[str, Any]:
    """Return what curves (n, 5, 29) of each map say.

    Returns
    -------
    dict
        `digits` and `writers`, how many there are; for each map and each of the `SCORES`: `scores`, the mean and its
        95 % interval; `minus`, the same for HiResCAM's score less the map's, digit by digit; `curves`, the mean curves.
    """
    areas = {kind: np.asarray(np.trapezoid(members, SHARES, axis=2)) for kind, members in found.items()}

    def by_score(values: npt.NDArray[Any]) -> dict[str, list[float]]:
        return {score: mean_and_interval(column, writers) for score, column in zip(SCORES, values.T, strict=True)}

    return {
        "digits": len(writers),
        "writers": len(np.unique(writers)),
        "scores": {kind: by_score(area) for kind, area in areas.items()},
        "minus": {kind: by_score(areas[EXPLAINER] - area) for kind, area in areas.items() if kind != EXPLAINER},
        "curves": {
            kind: dict(zip(SCORES, members.mean(axis=0).round(4).tolist(), strict=True))
            for kind, members in found.items()
        },
    }


def sample(count: int) -> npt.NDArray[np.int64]:
    """Return the rows of the test set that are measured, of `count` images, in ascending order."""
    return np.sort(np.random.default_rng(SEED).choice(count, DIGITS, replace=False))


def main() -> None:
    """Measure and write results/explanations.json."""
    data, writers, network = load_mnist(), load_writers().test, Recognizer()
    misread = np.flatnonzero(network.predict_proba(data.x_test).argmax(axis=1) != data.y_test)
    sets = {"test digits": sample(len(data.y_test)), "misread": misread}
    measured = {name: summary(measure(network, data.x_test[rows]), writers[rows]) for name, rows in sets.items()}
    write_result(
        "explanations",
        "python -m benchmarks.explanations",
        networks=["mnist_cnn.onnx"],
        seed=SEED,
        split="test",
        draws=DRAWS,
        square=2 * REACH + 1,
        blur=BLUR,
        sets=measured,
    )


if __name__ == "__main__":
    main()
