"""Why the digits' network reads a digit: Grad-CAM in NumPy, and a picture of the whole way."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from digitreader.arrays import FloatArray
from digitreader.decision import Reading
from digitreader.errors import ModelError
from digitreader.recognizer import Recognizer

PANEL = 280  # pixels; ten for each of the network's
MARGIN = 16
TITLE = 36


@lru_cache(maxsize=4)
def _head(recognizer: Recognizer) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return the weights behind the last feature maps: dense layer (hwc, k), its scale (k,), last layer (k, 10)."""
    import onnx

    graph = onnx.load(recognizer.path).graph
    stored = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer}
    nodes = list(graph.node)
    start = next(number for number, node in enumerate(nodes) if "last_conv" in node.output)
    weights = [
        stored[name]
        for node in nodes[start:]
        if node.op_type in ("MatMul", "Mul")
        for name in node.input
        if name in stored
    ]
    if [array.ndim for array in weights] != [2, 1, 2]:
        raise ModelError(f"{recognizer.path} has another head than the notebook's network: it cannot be explained.")
    dense, scale, last = weights
    return dense, scale, last


def grad_cam(recognizer: Recognizer, image: npt.NDArray[Any], digit: int) -> FloatArray:
    """Return where the image speaks for a digit.

    Parameters
    ----------
    recognizer : Recognizer
    image : ndarray of shape (28, 28)
        In MNIST's form, as `Recognizer.run` takes it.
    digit : int
        The digit whose logit is explained.

    Returns
    -------
    ndarray of shape (28, 28), dtype float32
        In [0, 1]; 1 where the feature maps that raise the digit's logit are strongest.

    References
    ----------
    Selvaraju, R. R. et al. (2017). Grad-CAM: visual explanations from deep networks via gradient-based localization.
    ICCV, arXiv:1610.02391.
    """
    maps, embedding = (values[0] for values in recognizer.run(image[np.newaxis], "last_conv", "embedding"))
    dense, scale, last = _head(recognizer)
    # Pooling hands each gradient to one place of its window, so the mean over places needs no places.
    gradient = dense @ (scale * last[:, digit] * (embedding > 0))
    height, width, channels = maps.shape
    weights = gradient.reshape(-1, channels).sum(axis=0) / (height * width)
    heat = cv2.resize(np.maximum(maps @ weights, 0), (28, 28), interpolation=cv2.INTER_LINEAR)
    explained: FloatArray = heat / max(float(heat.max()), 1e-9)
    return explained


def heat_picture(image: FloatArray, heat: FloatArray) -> npt.NDArray[np.uint8]:
    """Return the image (28, 28) with the heat map (28, 28) laid over it, as RGB pixels (28, 28, 3)."""
    colours = cv2.applyColorMap(np.rint(heat * 255).astype(np.uint8), cv2.COLORMAP_INFERNO)[..., ::-1]
    share = 0.75 * heat[..., np.newaxis]
    mixed = (1 - share) * (image[..., np.newaxis] * 255) + share * colours
    return np.rint(mixed).astype(np.uint8)


def side_by_side(image: FloatArray, heat: FloatArray) -> Image.Image:
    """Return two squares: an image (28, 28) in MNIST's form, and the heat map (28, 28) laid over it."""
    seen = np.repeat(np.rint(image * 255).astype(np.uint8)[..., np.newaxis], 3, axis=2)
    both = Image.fromarray(np.hstack([seen, heat_picture(image, heat)]))
    return both.resize((2 * PANEL, PANEL), Image.Resampling.NEAREST)


def draw_explanation(
    pixels: npt.NDArray[np.uint8], image: FloatArray, reading: Reading, digit: int, heat: FloatArray
) -> Image.Image:
    """Return a picture of four panels: the input, what the digits' network sees, the probabilities, the heat map.

    Parameters
    ----------
    pixels : ndarray of shape (h, w, 3), dtype uint8
        The input.
    image : ndarray of shape (28, 28), dtype float32
        What the digits' network sees.
    reading : Reading
    digit : int
        The digit that the heat map speaks for.
    heat : ndarray of shape (28, 28), dtype float32
        See `grad_cam`.
    """
    scale = PANEL / max(pixels.shape[:2])
    shown = Image.fromarray(pixels).resize(
        (max(round(pixels.shape[1] * scale), 1), max(round(pixels.shape[0] * scale), 1)), Image.Resampling.BICUBIC
    )
    seen = Image.fromarray(np.rint(image * 255).astype(np.uint8)).resize((PANEL, PANEL), Image.Resampling.NEAREST)
    warm = Image.fromarray(heat_picture(image, heat)).resize((PANEL, PANEL), Image.Resampling.NEAREST)
    titles = (
        "input",
        "in MNIST's form",
        f"{reading.digit}, {reading.confidence:.1%}: {reading.decision}"
        + (f", {reading.reason}" if reading.decision == "review" else ""),
        f"what speaks for {digit}",
    )
    panels = (shown, seen, _bars(reading), warm)
    sheet = Image.new("RGB", (4 * PANEL + 5 * MARGIN, PANEL + TITLE + 2 * MARGIN), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(18)
    for column, (title, panel) in enumerate(zip(titles, panels, strict=True)):
        left = MARGIN + column * (PANEL + MARGIN)
        draw.text((left + PANEL / 2, MARGIN), title, fill="black", font=font, anchor="ma")
        x, y = ((PANEL - side) // 2 for side in panel.size)
        sheet.paste(panel, (left + x, MARGIN + TITLE + y))
    return sheet


def _bars(reading: Reading) -> Image.Image:
    """Return the probabilities as bars."""
    panel = Image.new("RGB", (PANEL, PANEL), "white")
    draw, font = ImageDraw.Draw(panel), ImageFont.load_default(16)
    step = PANEL / 10
    for digit, probability in enumerate(reading.probabilities):
        top = digit * step
        draw.text((6, top + step / 2), str(digit), fill="black", font=font, anchor="lm")
        colour = "#0072b2" if digit == reading.digit else "#999999"
        draw.rectangle((26, top + 5, 26 + probability * 170, top + step - 5), fill=colour)
        draw.text((PANEL - 4, top + step / 2), f"{probability:.1%}", fill="black", font=font, anchor="rm")
    return panel
