"""Why the digits' network reads a digit: HiResCAM and Grad-CAM in NumPy, and a picture of the whole way."""

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


def _parts(recognizer: Recognizer, image: npt.NDArray[Any], digit: int) -> tuple[FloatArray, FloatArray]:
    """Return the last feature maps (7, 7, c), and the gradient (3, 3, c) of the logit by what is pooled of them."""
    maps, embedding = (values[0] for values in recognizer.run(image[np.newaxis], "last_conv", "embedding"))
    dense, scale, last = _head(recognizer)
    gradient = dense @ (scale * last[:, digit] * (embedding > 0))
    height, width, channels = maps.shape
    return maps, gradient.reshape(height // 2, width // 2, channels)


def _enlarged(heat: FloatArray) -> FloatArray:
    """Return a coarse map's positive part as (28, 28), in [0, 1]."""
    enlarged = cv2.resize(np.maximum(heat, 0), (28, 28), interpolation=cv2.INTER_LINEAR)
    found: FloatArray = enlarged / max(float(enlarged.max()), 1e-9)
    return found


def grad_cam(recognizer: Recognizer, image: npt.NDArray[Any], digit: int) -> FloatArray:
    """Return where feature maps are strong that, taken over the whole image, speak for a digit: the notebook's map.

    `hires_cam` is the better one, see the README; its parameters and what it returns are the same.

    References
    ----------
    Selvaraju, R. R. et al. (2017). Grad-CAM: visual explanations from deep networks via gradient-based localization.
    ICCV, arXiv:1610.02391.
    """
    maps, gradient = _parts(recognizer, image, digit)
    # Pooling hands each gradient to one place of its window, so the mean over places needs no places.
    return _enlarged(maps @ gradient.sum(axis=(0, 1)) / np.float32(maps[..., 0].size))


def hires_cam(recognizer: Recognizer, image: npt.NDArray[Any], digit: int) -> FloatArray:
    """Return where the image speaks for a digit.

    The logit is a sum over the places of the last feature maps, and this is each place's part in it. Grad-CAM weighs a
    map alike in all places, also where its strokes are read otherwise, and at the edge that pooling drops.

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
        In [0, 1]; 1 where the digit's logit gains most.

    References
    ----------
    Draelos, R. L. and Carin, L. (2020). Use HiResCAM instead of Grad-CAM for faithful explanations of convolutional
    neural networks. arXiv:2011.08891.
    """
    maps, gradient = _parts(recognizer, image, digit)
    height, width, channels = gradient.shape
    windows = maps[: 2 * height, : 2 * width].reshape(height, 2, width, 2, channels)
    pooled = windows * (windows == windows.max(axis=(1, 3), keepdims=True))
    parts = (pooled * gradient[:, np.newaxis, :, np.newaxis]).sum(axis=-1).reshape(2 * height, 2 * width)
    heat = np.zeros(maps.shape[:2], np.float32)
    heat[: 2 * height, : 2 * width] = parts
    return _enlarged(heat)


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
        See `hires_cam`.
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
