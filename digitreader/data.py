"""MNIST as arrays: from a local copy, from the Keras download, or, offline, a small stand-in."""

from __future__ import annotations

import gzip
import hashlib
import os
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from digitreader.errors import DataCorruptError, DataNotFoundError

ByteArray = npt.NDArray[np.uint8]

MNIST = "MNIST"
SMALL_DIGITS = "scikit-learn digits"


def idx_header(shape: tuple[int, ...]) -> bytes:
    """Return the header of an IDX file: magic number (unsigned byte, number of dimensions), dimensions, big-endian."""
    return bytes([0, 0, 8, len(shape)]) + np.array(shape, ">u4").tobytes()


@dataclass(frozen=True)
class IdxFile:
    """One of MNIST's four files, decompressed."""

    name: str
    npz_key: str
    shape: tuple[int, ...]
    sha256: str

    @property
    def header(self) -> bytes:
        """The file's first bytes."""
        return idx_header(self.shape)

    @property
    def size(self) -> int:
        """Length of the file in bytes."""
        return len(self.header) + int(np.prod(self.shape))


IDX_FILES = (
    IdxFile(
        "train-images-idx3-ubyte",
        "x_train",
        (60000, 28, 28),
        "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    ),
    IdxFile(
        "train-labels-idx1-ubyte",
        "y_train",
        (60000,),
        "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    ),
    IdxFile(
        "t10k-images-idx3-ubyte",
        "x_test",
        (10000, 28, 28),
        "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    ),
    IdxFile(
        "t10k-labels-idx1-ubyte",
        "y_test",
        (10000,),
        "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    ),
)


@dataclass(frozen=True)
class Dataset:
    """Images, white ink on black, and their digits.

    Attributes
    ----------
    x_train, x_test : ndarray of shape (n, 28, 28), dtype uint8
    y_train, y_test : ndarray of shape (n,), dtype uint8
    source : str
        `MNIST`, or `SMALL_DIGITS` for the offline stand-in.
    """

    x_train: ByteArray
    y_train: ByteArray
    x_test: ByteArray
    y_test: ByteArray
    source: str


def load_mnist(directory: str | Path | None = None, *, fallback: bool = False) -> Dataset:
    """Load MNIST, each file checked by its SHA-256.

    Parameters
    ----------
    directory : path, optional
        Folder with the four IDX files, plain or gzipped, or with mnist.npz. Without it, the folder named by the
        environment variable MNIST_DIR; without that, the download of Keras, which needs TensorFlow.
    fallback : bool
        When the download fails, return `load_small_digits()` instead of an error.

    Returns
    -------
    Dataset
        60,000 training and 10,000 test images.

    Raises
    ------
    DataNotFoundError
        If a file is missing, or the download fails and `fallback` is false.
    DataCorruptError
        If a file is truncated, damaged, swapped with another one, or not the original.

    References
    ----------
    LeCun, Y., Bottou, L., Bengio, Y. and Haffner, P. (1998). Gradient-based learning applied to document recognition.
    Proceedings of the IEEE 86(11).
    """
    directory = directory or os.environ.get("MNIST_DIR")
    if directory:
        return _load_directory(Path(directory))
    try:
        return _download()
    except DataNotFoundError:
        if fallback:
            return load_small_digits()
        raise


def load_small_digits() -> Dataset:
    """Load scikit-learn's 1,797 handwritten digits of 8 × 8 pixels, in MNIST's form: a stand-in for work offline.

    They are enlarged to 20 × 20 pixels in a frame of 28 × 28; 1,500 serve as training and 297 as test images.

    References
    ----------
    Alpaydin, E. and Kaynak, C. (1998). Optical recognition of handwritten digits. UCI Machine Learning Repository.
    """
    from scipy.ndimage import zoom
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    digits = load_digits()
    enlarged = zoom(digits.images, (1, 2.5, 2.5), order=1).clip(0, 16) * (255 / 16)
    images = np.pad(enlarged.round().astype(np.uint8), ((0, 0), (4, 4), (4, 4)))
    labels = digits.target.astype(np.uint8)
    x_train, x_test, y_train, y_test = train_test_split(images, labels, test_size=297, stratify=labels, random_state=42)
    return Dataset(x_train, y_train, x_test, y_test, SMALL_DIGITS)


def _load_directory(directory: Path) -> Dataset:
    if not directory.is_dir():
        raise DataNotFoundError(f"The MNIST folder {directory} does not exist; correct or unset MNIST_DIR.")
    archive = directory / "mnist.npz"
    arrays = (
        _read_npz(archive) if archive.exists() else {file.npz_key: _read_idx(directory, file) for file in IDX_FILES}
    )
    return Dataset(**arrays, source=MNIST)


def _read_idx(directory: Path, file: IdxFile) -> ByteArray:
    # Kaggle's copies have a dot before "idx".
    spellings = [name + ending for name in (file.name, file.name.replace("-idx", ".idx")) for ending in ("", ".gz")]
    path = next((directory / spelling for spelling in spellings if (directory / spelling).is_file()), None)
    if path is None:
        raise DataNotFoundError(
            f"{directory} holds no {' or '.join(spellings)}: put MNIST's four files there, or unset MNIST_DIR."
        )
    content = path.read_bytes()
    if path.suffix == ".gz":
        try:
            content = gzip.decompress(content)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise DataCorruptError(f"{path} is not a complete gzip file ({error}): fetch it again.") from error
    _check(content, file, path)
    return np.frombuffer(content, np.uint8, offset=len(file.header)).reshape(file.shape)


def _read_npz(path: Path) -> dict[str, ByteArray]:
    arrays = {}
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
            for file in IDX_FILES:
                array = archive[file.npz_key]
                _check(idx_header(array.shape) + array.tobytes(), file, path)
                arrays[file.npz_key] = array
    except KeyError as error:
        raise DataCorruptError(f"{path} is not Keras' mnist.npz: {error.args[0]}. Fetch it again.") from error
    except (zipfile.BadZipFile, zlib.error, EOFError, ValueError) as error:
        raise DataCorruptError(f"{path} is damaged ({error}): fetch it again.") from error
    return arrays


def _check(content: bytes, file: IdxFile, path: Path) -> None:
    """Raise DataCorruptError, saying what is wrong, unless `content` is exactly the original `file`."""
    sha256 = hashlib.sha256(content).hexdigest()
    if sha256 == file.sha256:
        return
    swapped = next((other.name for other in IDX_FILES if other.sha256 == sha256), None)
    if swapped:
        problem = f"holds {swapped} instead of {file.name}: the files are swapped"
    elif len(content) < file.size:
        problem = f"ends after {len(content):,} of {file.size:,} bytes of {file.name}: fetch it again"
    elif not content.startswith(file.header):
        problem = f"does not start like {file.name}: it is another data set or damaged"
    else:
        problem = f"differs from the original {file.name} (SHA-256 {sha256[:12]}… instead of {file.sha256[:12]}…)"
    raise DataCorruptError(f"{path} {problem}.")


def _download() -> Dataset:
    from tensorflow.keras.datasets import mnist

    try:
        (x_train, y_train), (x_test, y_test) = mnist.load_data()
    except Exception as error:  # Keras raises a bare Exception when a download fails
        raise DataNotFoundError(
            f"MNIST cannot be downloaded ({error}). Set MNIST_DIR to a folder with its four files or mnist.npz."
        ) from error
    return Dataset(x_train, y_train, x_test, y_test, MNIST)
