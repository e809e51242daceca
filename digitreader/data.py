"""MNIST as arrays: from a local copy, from the Keras download, or, offline, a small stand-in."""

from __future__ import annotations

import gzip
import hashlib
import os
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from digitreader.arrays import DAMAGED, ByteArray
from digitreader.errors import DataCorruptError, DataNotFoundError

# QMNIST's extended labels, decompressed: name and SHA-256.
WRITER_FILES = {
    "qmnist-train-labels-idx2-int": "bb1b6e1ec7b04fd5696f1ed50b5f58f8ef195118edd5c93c81783df9740b8ac5",
    "qmnist-test-labels-idx2-int": "92d0ccb8c25f9c6534270fb4be7e1d24a1c6d315edfc8a638bfbd31c70f362dd",
}
WRITER_URL = "https://raw.githubusercontent.com/facebookresearch/qmnist/master"
CENSUS_SERIES = (0, 1)  # of NIST's series of forms; series 4 is the students'

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


@dataclass(frozen=True)
class Writers:
    """Who wrote MNIST's digits, in MNIST's order.

    Attributes
    ----------
    train : ndarray of shape (60000,), dtype int32
    test : ndarray of shape (10000,), dtype int32
        The writer's number. No writer is in both.
    census_train : ndarray of shape (60000,), dtype bool
    census_test : ndarray of shape (10000,), dtype bool
        Whether the writer was of the Census Bureau's staff; the others were high-school students.
    """

    train: npt.NDArray[np.int32]
    test: npt.NDArray[np.int32]
    census_train: npt.NDArray[np.bool_]
    census_test: npt.NDArray[np.bool_]


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


def load_writers(directory: str | Path | None = None) -> Writers:
    """Load who wrote each digit of MNIST, checked by SHA-256.

    Parameters
    ----------
    directory : path, optional
        Folder with the two label files of QMNIST, plain or gzipped. Without it, the folder named by the environment
        variable MNIST_DIR. Where that does not hold them, they are downloaded once by Keras, which needs TensorFlow.

    Raises
    ------
    DataNotFoundError
        If the files are not there and cannot be downloaded.
    DataCorruptError
        If a file is truncated, damaged or not the original.

    References
    ----------
    Yadav, C. and Bottou, L. (2019). Cold case: the lost MNIST digits. NeurIPS.
    """
    directory = directory or os.environ.get("MNIST_DIR")
    train, test = (_read_writers(Path(directory) if directory else None, name) for name in WRITER_FILES)
    test = test[:10000]  # the others were found again by QMNIST
    series, writer = 1, 2
    return Writers(
        train[:, writer],
        test[:, writer],
        np.isin(train[:, series], CENSUS_SERIES),
        np.isin(test[:, series], CENSUS_SERIES),
    )


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
    content = _read_decompressed(path)
    _check(content, file, path)
    return np.frombuffer(content, np.uint8, offset=len(file.header)).reshape(file.shape)


def _read_decompressed(path: Path) -> bytes:
    content = path.read_bytes()
    if path.suffix != ".gz":
        return content
    try:
        return gzip.decompress(content)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DataCorruptError(f"{path} is not a complete gzip file ({error}): fetch it again.") from error


def _read_writers(directory: Path | None, name: str) -> npt.NDArray[np.int32]:
    candidates = [directory / name, directory / f"{name}.gz"] if directory else []
    path = next((path for path in candidates if path.is_file()), None) or _download_writers(name)
    content = _read_decompressed(path)
    if hashlib.sha256(content).hexdigest() != WRITER_FILES[name]:
        raise DataCorruptError(f"{path} is not the original {name}: fetch it again.")
    return np.frombuffer(content, ">i4", offset=12).reshape(-1, 8).astype(np.int32)


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
    except DAMAGED as error:
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


def _download_writers(name: str) -> Path:
    from tensorflow.keras.utils import get_file

    try:
        return Path(get_file(f"{name}.gz", f"{WRITER_URL}/{name}.gz"))
    except Exception as error:  # as above
        raise DataNotFoundError(
            f"QMNIST's labels cannot be downloaded ({error}). Put {name}.gz into the folder of MNIST_DIR."
        ) from error
