"""`DigitReader`: the whole way from a picture to a decision."""

from __future__ import annotations

import os
import threading
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from PIL import Image

from digitreader.arrays import FloatArray
from digitreader.ctc import align, runners_up
from digitreader.decision import (
    Calibration,
    FieldCalibration,
    FieldReading,
    Reading,
    choose,
    decide,
    decide_field,
    load_calibration,
)
from digitreader.errors import ImageError
from digitreader.fields import line_image
from digitreader.images import MAX_BYTES, MAX_PIXELS, LoadedImage, Source, find_ink, load_image
from digitreader.lines import read_line
from digitreader.normalize import SIDE
from digitreader.recognizer import (
    CALIBRATE_COMMAND,
    COLUMNS,
    DIGIT_NETWORKS,
    MODELS,
    LineRecognizer,
    ModelName,
    PictureRecognizer,
    sha256,
)
from digitreader.single import prepare, run_both
from digitreader.zip_codes import existing_codes

GROUP = 16  # pictures that a thread takes at once
SMALL = 128 * 128  # pixels
Item = TypeVar("Item")
Result = TypeVar("Result")


class DigitReader:
    """Reads handwritten digits from pictures of any kind.

    Parameters
    ----------
    models : path
        Folder with `mnist_cnn.onnx`, `reader.onnx`, `line_reader.onnx`, and the calibrations `reader.json` of the first
        two and `line_reader.json` of the third.
    model : "full" or "fast"
        "fast" reads single digits by `fast.onnx` instead of `mnist_cnn.onnx`, with thresholds of its own in
        `fast.json`: worth it for digits in arrays, by the hundred thousand.
    threads : int
        Threads that read pictures side by side; 0 is one for each core that the process may use. OpenCV has its own,
        see `cv2.setNumThreads`.
    max_bytes : int
        Larger files are refused.
    max_pixels : int
        Larger images are refused.

    Raises
    ------
    ModelError
        If a file of the model is missing or damaged, or the files do not belong together.
    ValueError
        If there is no such `model`, or `threads` is negative.

    Examples
    --------
    >>> from PIL import Image, ImageDraw
    >>> sheet = Image.new("L", (300, 400), "white")
    >>> ImageDraw.Draw(sheet).line([(90, 80), (210, 80), (130, 300)], fill="black", width=18, joint="curve")
    >>> reading = DigitReader().predict_image(sheet)
    >>> reading.digit, reading.decision
    (7, 'accept')
    """

    def __init__(
        self,
        models: str | os.PathLike[str] = MODELS,
        *,
        model: ModelName = "full",
        threads: int = 0,
        max_bytes: int = MAX_BYTES,
        max_pixels: int = MAX_PIXELS,
    ) -> None:
        if threads < 0:
            raise ValueError(f"threads is a number of threads, or 0, not {threads}.")
        if model not in DIGIT_NETWORKS:
            raise ValueError(f"model is {' or '.join(map(repr, DIGIT_NETWORKS))}, not {model!r}.")
        models, chosen = Path(models), DIGIT_NETWORKS[model]
        self.recognizer = chosen.recognizer(models / chosen.network, threads=threads)
        self.threads = self.recognizer.threads
        self.picture_recognizer = PictureRecognizer(models / "reader.onnx", threads=threads)
        self.line_recognizer = LineRecognizer(models / "line_reader.onnx")
        networks = [self.recognizer.path, self.picture_recognizer.path]
        self.calibration = load_calibration(Calibration, models / chosen.calibration, networks, CALIBRATE_COMMAND)
        self.field_calibration = load_calibration(
            FieldCalibration, models / "line_reader.json", [self.line_recognizer.path], CALIBRATE_COMMAND
        )
        keras_path = models / "mnist_cnn.keras"
        if model == "full" and keras_path.is_file() and sha256(keras_path) != self.recognizer.keras_sha256:
            warnings.warn(f"{keras_path} is not what the reader uses: `digits export` brings it in.", stacklevel=2)
        self._preparing = threading.Lock()
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
        return self.decide([self.prepare(source)])[0]

    def predict_images(self, sources: Iterable[Source]) -> Iterator[Reading | ImageError]:
        """Read many pictures of one digit each and yield a reading or an error for each, in order.

        They are read side by side; for each thread, `GROUP` of them may be read ahead of what is yielded.

        Raises
        ------
        TypeError
            If `sources` is a single source.
        """

        def predict_group(group: Sequence[Source]) -> list[Reading | ImageError]:
            loaded = [_or_error(self._load, source) for source in group]
            small = all(isinstance(image, ImageError) or image.pixels[..., 0].size <= SMALL for image in loaded)
            # Small pictures take many short calls, of which each gives up Python's lock: two threads that prepare them
            # at a time need longer than one after the other.
            with self._preparing if small else nullcontext():
                prepared = [image if isinstance(image, ImageError) else _or_error(_prepare, image) for image in loaded]
            readings = iter(self.decide([item for item in prepared if not isinstance(item, ImageError)]))
            return [item if isinstance(item, ImageError) else next(readings) for item in prepared]

        return _side_by_side(predict_group, sources, self.threads)

    def read(self, source: Source, length: int | None = None, *, zip_codes: bool = False) -> FieldReading:
        """Read a picture of a line of digits, such as a ZIP code.

        Parameters
        ----------
        source : path, bytes, binary file, PIL image or array
            See `digitreader.images.load_image`.
        length : int, optional
            How many digits the line has, hyphens aside; a line that cannot be read so goes to review.
        zip_codes : bool
            Take the line for a US ZIP code, ZIP+4 included: among readings that are about as probable those that exist
            win, and one that does not exist goes to review. Needs the extra `zip`.

        Raises
        ------
        ImageError
            If the source is no image, is damaged, is too large, or shows no ink.
        MissingExtraError
            If `zip_codes` is asked for and the extra is not installed.
        ValueError
            If `length` is not a positive number.
        """
        if length is not None and not (isinstance(length, int | np.integer) and length > 0):
            raise ValueError(f"length is a positive number of digits, not {length!r}.")
        codes = existing_codes() if zip_codes else None
        image = self._load(source)
        line = line_image(find_ink(image.pixels))
        candidates, steps = read_line(line.pixels, self.line_recognizer)
        choice = choose(candidates, length, codes)
        places = align(steps, choice.text)
        found = np.array(line.boxes([COLUMNS * (first + last + 1) / 2 for first, last in places])).reshape(-1, 4)
        scale = np.divide(image.size, image.pixels.shape[1::-1])
        # A box of tilted writing may reach beyond the picture; it keeps a pixel in it.
        corners = np.rint(found * np.tile(scale, 2)).astype(int)
        corners[:, :2] = np.clip(corners[:, :2], 0, np.array(image.size) - 1)
        corners[:, 2:] = np.clip(corners[:, 2:], corners[:, :2] + 1, image.size)
        boxes = [(left, top, right, bottom) for left, top, right, bottom in corners.tolist()]
        scale = self.field_calibration.free if length is None and codes is None else self.field_calibration.known
        return decide_field(choice, boxes, runners_up(steps, places, choice.text), scale)

    def read_fields(
        self, sources: Iterable[Source], length: int | None = None, *, zip_codes: bool = False
    ) -> Iterator[FieldReading | ImageError]:
        """Read many pictures of a line each and yield a reading or an error for each, in order.

        They are read side by side, as in `predict_images`. The parameters and the other errors are those of `read`.

        Raises
        ------
        TypeError
            If `sources` is a single source.
        """

        def read_group(group: Sequence[Source]) -> list[FieldReading | ImageError]:
            return [_or_error(lambda item: self.read(item, length, zip_codes=zip_codes), source) for source in group]

        return _side_by_side(read_group, sources, self.threads)

    def prepare(self, source: Source) -> FloatArray:
        """Return what the networks see of a picture of one digit: (28, 28), in MNIST's form.

        Raises
        ------
        ImageError
            As `predict_image`.
        """
        return _prepare(self._load(source))

    def decide(self, prepared: Sequence[FloatArray]) -> list[Reading]:
        """Return the reading of each picture of one digit that `prepare` has prepared."""
        images = np.array(prepared, np.float32).reshape(-1, SIDE, SIDE)
        return decide(*run_both(images, self.recognizer, self.picture_recognizer), self.calibration)

    def _load(self, source: Source) -> LoadedImage:
        return load_image(source, max_bytes=self.max_bytes, max_pixels=self.max_pixels)


def _prepare(image: LoadedImage) -> FloatArray:
    return prepare(find_ink(image.pixels))


def _or_error(call: Callable[[Item], Result], item: Item) -> Result | ImageError:
    """Return what a call makes of an item, or what is wrong with the image."""
    try:
        return call(item)
    except ImageError as error:
        return error


def _is_single(sources: object) -> bool:
    """Return whether this is one source, not many of them; an array with a last axis of colours is one picture."""
    if isinstance(sources, np.ndarray):
        return sources.ndim < 3 or (sources.ndim == 3 and sources.shape[2] in (1, 3, 4))
    kinds = (str, bytes, bytearray, memoryview, os.PathLike, Image.Image)
    return isinstance(sources, kinds) or hasattr(sources, "read")


def _side_by_side(
    work: Callable[[Sequence[Source]], list[Result]], sources: Iterable[Source], threads: int
) -> Iterator[Result]:
    """Return what some work makes of each source, in order; each of some threads takes `GROUP` of them at once."""
    if _is_single(sources):
        raise TypeError("Many sources are needed, in a list or an iterator; for one there are predict_image and read.")
    return _read_ahead(work, iter(sources), threads)


def _read_ahead(
    work: Callable[[Sequence[Source]], list[Result]], remaining: Iterator[Source], threads: int
) -> Iterator[Result]:
    pending: deque[Future[list[Result]]] = deque()
    pool = ThreadPoolExecutor(threads)
    try:
        while group := list(islice(remaining, GROUP)):
            pending.append(pool.submit(work, group))
            if len(pending) > threads:
                yield from pending.popleft().result()
        while pending:
            yield from pending.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)  # who stops early waits for nothing that is not begun
