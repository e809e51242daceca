"""The network: images of single digits, 28 × 28, to probabilities, on ONNX Runtime."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from digitreader.arrays import ByteArray, FloatArray
from digitreader.cores import cores
from digitreader.errors import ImageFormatError, ModelError
from digitreader.files import shipped

INPUT = "image"
OUTPUTS = ("probabilities", "logits", "embedding", "last_conv")
PICTURE_INPUT, PICTURE_OUTPUT = "picture", "logits"
LINE_INPUT, LINE_OUTPUT = "line", "log_probabilities"
FAST_OUTPUTS = ("probabilities", "logits")
PICTURE_COMMAND = "python -m experiments.reader_network"
FAST_COMMAND = "python -m experiments.fast_network"
LINE_COMMAND = "python -m experiments.line_reader"
CALIBRATE_COMMAND = "digits calibrate"
COLUMNS = 2  # of a line's image for each step that the line reader takes
KERAS_SHA256 = "keras_sha256"  # the key in the ONNX file's metadata
BATCH = 64  # images at once: their feature maps stay in the processor's cache
FAST_BATCH = 512  # the fast network's are smaller, and what a call costs weighs more

MODELS = shipped("models", "models")
"""The folder of the models."""


def open_session(path: Path, outputs: Iterable[str], command: str) -> Any:
    """Return a session of ONNX Runtime with a network; a call takes one thread, the one that makes it.

    Parameters
    ----------
    path : Path
    outputs : iterable of str
        What the network must give.
    command : str
        What writes the file: named where it is not as it should be.

    Raises
    ------
    ModelError
        If the file is missing or damaged, or lacks an output.
    """
    import onnxruntime

    if not path.is_file():
        raise ModelError(f"{path} is missing: `{command}` writes it.")
    options = onnxruntime.SessionOptions()
    # Networks this small gain more from images side by side than from threads that share an image.
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime has no common base of its errors
        raise ModelError(f"{path} is damaged ({error}): `{command}` writes it anew.") from error
    if not set(outputs) <= {output.name for output in session.get_outputs()}:
        raise ModelError(f"{path} lacks outputs that the reader needs: `{command}` writes it anew.")
    return session


def run_session(
    session: Any, outputs: Sequence[str], name: str, batch: npt.NDArray[Any], threads: int, size: int = BATCH
) -> list[FloatArray]:
    """Return outputs of a network for the input `name`; threads share a large batch, in parts of a size."""
    if len(batch) <= size:
        return list(session.run(outputs, {name: batch}))
    parts = [{name: batch[first : first + size]} for first in range(0, len(batch), size)]
    with ThreadPoolExecutor(threads) as pool:
        found = list(pool.map(lambda part: session.run(outputs, part), parts))
    return [np.concatenate(values) for values in zip(*found, strict=True)]


class Recognizer:
    """A session of ONNX Runtime with the network.

    Parameters
    ----------
    path : Path
        The ONNX file, as `digits export` writes it.
    threads : int
        Threads that share a large batch; 0 is one for each core.

    Raises
    ------
    ModelError
        If the file is missing, damaged, or not an export of this project.
    """

    def __init__(self, path: Path = MODELS / "mnist_cnn.onnx", *, threads: int = 0) -> None:
        self._session = open_session(path, OUTPUTS, "digits export")
        self.threads = threads or cores()
        self.path = path

    @property
    def keras_sha256(self) -> str:
        """SHA-256 of the .keras file that the network was exported from."""
        metadata: dict[str, str] = self._session.get_modelmeta().custom_metadata_map
        return metadata.get(KERAS_SHA256, "")

    def run(self, images: npt.NDArray[Any], *outputs: str) -> list[FloatArray]:
        """Return the named outputs of the network for images in MNIST's form.

        Parameters
        ----------
        images : ndarray of shape (n, 28, 28)
            White on black; uint8, bool, or floats in [0, 1].
        outputs : str
            Names of `OUTPUTS`.

        Raises
        ------
        ImageFormatError
            If the images have another shape, dtype or range.
        """
        return run_session(self._session, outputs, INPUT, as_input(images), self.threads)

    def predict_proba(self, images: npt.NDArray[Any]) -> FloatArray:
        """Return the probability of each digit, shape (n, 10), dtype float32, for images as in `run`."""
        return self.run(images, "probabilities")[0]


class FastRecognizer(Recognizer):
    """A session of ONNX Runtime with the fast network, which reads what the other one does.

    It is two networks in one file: a tiny one reads every digit, and of what it is not sure, a larger one decides. It
    takes bytes: floats are rounded to 255ths.

    Parameters
    ----------
    path : Path
        The ONNX file, as `python -m experiments.fast_network` writes it.
    threads : int
        As in `Recognizer`.

    Raises
    ------
    ModelError
        If the file is missing, damaged, or not that network.

    References
    ----------
    Viola, P. and Jones, M. (2001). Rapid object detection using a boosted cascade of simple features. CVPR: most of
    what there is to decide is easy, and little work decides it.
    """

    def __init__(self, path: Path = MODELS / "fast.onnx", *, threads: int = 0) -> None:
        self._session = open_session(path, FAST_OUTPUTS, FAST_COMMAND)
        self.threads = threads or cores()
        self.path = path

    def run(self, images: npt.NDArray[Any], *outputs: str) -> list[FloatArray]:
        """Return the named outputs, of `FAST_OUTPUTS`, as `Recognizer.run` does.

        Raises
        ------
        ImageFormatError
            If the images have another shape, dtype or range.
        ModelError
            If it has no such output.
        """
        if missing := set(outputs) - set(FAST_OUTPUTS):
            raise ModelError(f"The fast network gives {' and '.join(FAST_OUTPUTS)}, not {', '.join(sorted(missing))}.")
        return run_session(self._session, outputs, INPUT, as_bytes(images), self.threads, FAST_BATCH)


class DigitNetwork(NamedTuple):
    """What reads single digits, and the names of its files.

    Attributes
    ----------
    recognizer : type
    network, calibration : str
    """

    recognizer: type[Recognizer]
    network: str
    calibration: str


ModelName = Literal["full", "fast"]
DIGIT_NETWORKS: dict[ModelName, DigitNetwork] = {
    "full": DigitNetwork(Recognizer, "mnist_cnn.onnx", "reader.json"),
    "fast": DigitNetwork(FastRecognizer, "fast.onnx", "fast.json"),
}
"""The digits' networks that a reader can have."""


class PictureRecognizer:
    """A session of ONNX Runtime with the reader's own network, which was trained on pictures and on what is no digit.

    Parameters
    ----------
    path : Path
        The ONNX file, as `python -m experiments.reader_network` writes it.
    threads : int
        As in `Recognizer`.

    Raises
    ------
    ModelError
        If the file is missing, damaged, or not that network.
    """

    def __init__(self, path: Path = MODELS / "reader.onnx", *, threads: int = 0) -> None:
        self._session = open_session(path, [PICTURE_OUTPUT], PICTURE_COMMAND)
        self.threads = threads or cores()
        self.path = path

    def run(self, images: npt.NDArray[Any]) -> FloatArray:
        """Return the logits (n, 11) of the ten digits, and of none, for images (n, 28, 28) as in `Recognizer.run`.

        Raises
        ------
        ImageFormatError
            If the images have another shape, dtype or range.
        """
        return run_session(self._session, [PICTURE_OUTPUT], PICTURE_INPUT, as_input(images), self.threads)[0]


class LineRecognizer:
    """A session of ONNX Runtime with the line reader.

    Parameters
    ----------
    path : Path
        The ONNX file, as `python -m experiments.line_reader` writes it.

    Raises
    ------
    ModelError
        If the file is missing, damaged, or not the line reader.
    """

    def __init__(self, path: Path = MODELS / "line_reader.onnx") -> None:
        self._session = open_session(path, [LINE_OUTPUT], LINE_COMMAND)
        self.path = path

    def run(self, lines: FloatArray) -> FloatArray:
        """Return the logarithms of the probabilities of each symbol and the blank at each step of some lines.

        Parameters
        ----------
        lines : ndarray of shape (n, 24, w), dtype float32
            See `digitreader.fields.line_image`; shorter lines have paper on their right.

        Returns
        -------
        ndarray of shape (n, w / 2, 13), dtype float32
            See `digitreader.ctc`.
        """
        (log_probabilities,) = self._session.run([LINE_OUTPUT], {LINE_INPUT: lines[..., np.newaxis]})
        return log_probabilities


def _checked(images: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return images (n, 28, 28), uint8 as they are and others as float32 in [0, 1].

    Raises
    ------
    ImageFormatError
        If they have another shape, dtype or range.
    """
    images = np.asarray(images)
    if images.ndim != 3 or images.shape[1:] != (28, 28):
        raise ImageFormatError(f"Images of shape (n, 28, 28) are needed, not {images.shape}.")
    if images.dtype == np.uint8:
        return images
    if images.dtype != np.bool_ and not np.issubdtype(images.dtype, np.floating):
        raise ImageFormatError(f"Images of uint8, bool or floats in [0, 1] are needed, not {images.dtype}.")
    floats = images.astype(np.float32)
    if floats.size and not (floats.min() >= 0 and floats.max() <= 1):  # also false for NaN
        raise ImageFormatError("Floats must lie in [0, 1]; white on black, as in MNIST.")
    return floats


def as_input(images: npt.NDArray[Any]) -> FloatArray:
    """Return images (n, 28, 28) as the network's input (n, 28, 28, 1), float32 in [0, 1].

    Raises
    ------
    ImageFormatError
        If they have another shape, dtype or range.
    """
    images = _checked(images)
    batch: FloatArray = images[..., np.newaxis].astype(np.float32, copy=False)
    return batch / np.float32(255) if images.dtype == np.uint8 else batch


def as_bytes(images: npt.NDArray[Any]) -> ByteArray:
    """Return images (n, 28, 28) as the fast network's input: uint8.

    Raises
    ------
    ImageFormatError
        As `as_input`.
    """
    images = _checked(images)
    return images if images.dtype == np.uint8 else np.rint(images * 255).astype(np.uint8)


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
