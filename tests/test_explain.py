"""Grad-CAM and HiResCAM in NumPy against the notebook's and Keras's gradient."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import pytest
from PIL import Image

from digitreader.data import Dataset
from digitreader.explain import PANEL, draw_explanation, grad_cam, heat_picture, hires_cam
from digitreader.reader import DigitReader
from digitreader.recognizer import MODELS


@pytest.fixture(scope="module")
def notebook_grad_cam(root: Path) -> Any:
    """Return the notebook's own function, for the committed network."""
    import keras
    import tensorflow as tf

    model = keras.models.load_model(MODELS / "mnist_cnn.keras")
    last_pool = [layer for layer in model.layers if isinstance(layer, keras.layers.MaxPooling2D)][-1]
    notebook = nbformat.read(root / "notebooks" / "mnist_classification.ipynb", as_version=4)
    (cell,) = [cell.source for cell in notebook.cells if "def grad_cam" in cell.source]
    last_name = last_pool.input._keras_history.operation.name
    names = {"keras": keras, "tf": tf, "np": np, "model": model, "last_name": last_name}
    exec(cell, names)
    return names["grad_cam"]


def test_equals_the_notebooks(mnist: Dataset, reader: DigitReader, notebook_grad_cam: Any) -> None:
    for row in range(20):
        image = mnist.x_test[row].astype(np.float32) / np.float32(255)
        for digit in (int(mnist.y_test[row]), (int(mnist.y_test[row]) + 3) % 10):
            expected = notebook_grad_cam(image[..., np.newaxis], digit)
            np.testing.assert_allclose(grad_cam(reader.recognizer, image, digit), expected, atol=1e-4)


def test_each_place_has_the_part_that_keras_gives_it(mnist: Dataset, reader: DigitReader) -> None:
    import keras
    import tensorflow as tf

    model = keras.models.load_model(MODELS / "mnist_cnn.keras")
    before = [layer.input for layer in model.layers if isinstance(layer, keras.layers.MaxPooling2D)][-1]
    parts = keras.Model(model.input, [before, model.get_layer("embedding").output])
    last = model.get_layer("digit").kernel
    for row, digit in ((0, 7), (1, 2), (2, 7), (3, 4)):
        image = mnist.x_test[row].astype(np.float32) / np.float32(255)
        with tf.GradientTape() as tape:
            maps, embedding = parts(image[np.newaxis, ..., np.newaxis], training=False)
            logit = tf.tensordot(embedding[0], last[:, digit], 1)
        gained = tf.nn.relu(tf.reduce_sum(maps * tape.gradient(logit, maps), axis=-1, keepdims=True))
        expected = tf.image.resize(gained, (28, 28))[0, ..., 0].numpy()
        np.testing.assert_allclose(hires_cam(reader.recognizer, image, digit), expected / expected.max(), atol=1e-4)


def test_heat_lies_on_the_image_and_shows_colour(mnist: Dataset, reader: DigitReader) -> None:
    image = mnist.x_test[0].astype(np.float32) / np.float32(255)
    heat = hires_cam(reader.recognizer, image, 7)
    assert heat.shape == (28, 28)
    assert heat.max() == pytest.approx(1)
    assert heat.min() >= 0
    picture = heat_picture(image, heat)
    assert picture.shape == (28, 28, 3)
    assert np.ptp(picture.astype(int), axis=2).max() > 50
    np.testing.assert_array_equal(heat_picture(image, np.zeros((28, 28), np.float32))[..., 0], np.rint(image * 255))


@pytest.mark.parametrize("shape", [(40, 30), (30, 400), (900, 900), (1, 1)])
def test_picture_of_four_panels(reader: DigitReader, mnist: Dataset, shape: tuple[int, int]) -> None:
    image = mnist.x_test[0].astype(np.float32) / np.float32(255)
    reading = reader.predict_image(mnist.x_test[0])
    pixels = np.full((*shape, 3), 200, np.uint8)
    sheet = draw_explanation(pixels, image, reading, 7, np.ones((28, 28), np.float32))
    assert isinstance(sheet, Image.Image)
    assert sheet.width > 4 * PANEL
    assert sheet.height > PANEL
    drawn = np.asarray(sheet.convert("L"))
    for column in range(4):
        assert drawn[:, column * (PANEL + 16) + 16 :][:, :PANEL].std() > 5, "a panel is blank"
