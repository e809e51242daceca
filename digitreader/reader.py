"""`DigitReader`: the whole way from a picture to a decision."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from digitreader.decision import Calibration, Reading, decide
from digitreader.errors import ImageError, ModelError
from digitreader.images import MAX_BYTES, MAX_PIXELS, Source, find_ink, load_image
from digitreader.normalize import main_strokes, normalize
from digitreader.recognizer import BATCH, MODELS, FloatArray, Recognizer, sha256


class DigitReader:
    """Reads handwritten digits from pictures of any kind.

    Parameters
    ----------
    models : Path
        Folder with `mnist_cnn.onnx` and `reader.json`.
    threads : int
        Threads of one call; 0 is one for each core.
    max_bytes, max_pixels : int
        Larger files and images are refused.

    Raises
    ------
    ModelError
        If a file of the model is missing or damaged, or the files do not belong together.

    Examples
    --------
    >>> reader = DigitReader()
    >>> reader.predict_image("docs/samples/seven.png").digit
    7
    """

    def __init__(
        self,
        models: Path = MODELS,
        *,
        threads: int = 0,
        max_bytes: int = MAX_BYTES,
        max_pixels: int = MAX_PIXELS,
    ) -> None:
        self.recognizer = Recognizer(models / "mnist_cnn.onnx", threads=threads)
        self.calibration = Calibration.load(models / "reader.json")
        if self.calibration.onnx_sha256 != sha256(self.recognizer.path):
            raise ModelError(f"{models / 'reader.json'} belongs to another network: `digits calibrate` writes it anew.")
        keras_path = models / "mnist_cnn.keras"
        if keras_path.is_file() and sha256(keras_path) != self.recognizer.keras_sha256:
            warnings.warn(f"{keras_path} is not what the reader uses: `digits export` brings it in.", stacklevel=2)
        self.max_bytes = max_bytes
        self.max_pixels = max_pixels

    def predict_proba(self, images: npt.NDArray[Any]) -> FloatArray:
        """Return the probability of each digit for images in MNIST's own form.

        Parameters
        ----------
        images : ndarray of shape (n, 28, 28)
            White on black; uint8, bool, or floats in [0, 1].

        Returns
        -------
        ndarray of shape (n, 10), dtype float32
            As the network gives them, before calibration.

        Raises
        ------
        ImageFormatError
            If the images have another shape, dtype or range.
        """
        return self.recognizer.predict_proba(images)

    def predict(self, images: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
        """Return the digit, shape (n,), of images as in `predict_proba`."""
        digits: npt.NDArray[np.int64] = self.predict_proba(images).argmax(axis=1)
        return digits

    def predict_image(self, source: Source) -> Reading:
        """Read a picture of one digit: of any size, anywhere in the picture, in any colours.

        Parameters
        ----------
        source : path, bytes, binary file, PIL image or array
            See `digitreader.images.load_image`.

        Raises
        ------
        ImageError
            If the source is no image, is damaged, is too large, or shows no ink.
        """
        (logits,) = self.recognizer.run(self.prepare(source)[np.newaxis], "logits")
        return decide(logits, self.calibration)[0]

    def predict_images(self, sources: Iterable[Source]) -> Iterator[Reading | ImageError]:
        """Read many pictures of one digit each, on all cores, and yield a reading or an error for each, in order."""
        sources = iter(sources)
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            while chunk := list(islice(sources, BATCH)):
                prepared = list(pool.map(self._prepare_or_error, chunk))
                images = [image for image in prepared if not isinstance(image, ImageError)]
                readings: Iterator[Reading] = iter(())
                if images:
                    readings = iter(decide(self.recognizer.run(np.stack(images), "logits")[0], self.calibration))
                for image in prepared:
                    yield image if isinstance(image, ImageError) else next(readings)

    def prepare(self, source: Source) -> FloatArray:
        """Return what the network sees of a picture: shape (28, 28), white on black, float32 in [0, 1].

        Raises
        ------
        ImageError
            As `predict_image`.
        """
        pixels = load_image(source, max_bytes=self.max_bytes, max_pixels=self.max_pixels)
        return normalize(main_strokes(find_ink(pixels)))

    def _prepare_or_error(self, source: Source) -> FloatArray | ImageError:
        try:
            return self.prepare(source)
        except ImageError as error:
            return error
