"""Loading MNIST: every form of a local copy, every way it can be broken, and the stand-in."""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import nbformat
import numpy as np
import pytest

from digitreader.data import (
    IDX_FILES,
    MNIST,
    SMALL_DIGITS,
    WRITER_FILES,
    Dataset,
    Writers,
    load_mnist,
    load_small_digits,
    load_writers,
)
from digitreader.errors import DataCorruptError, DataError, DataNotFoundError, DigitReaderError

ARRAYS = [file.npz_key for file in IDX_FILES]
TRAIN_IMAGES, TRAIN_LABELS, TEST_IMAGES, TEST_LABELS = IDX_FILES


def write_idx(data: Dataset, folder: Path, rename: Callable[[str], str] = str, *, zipped: bool = False) -> Path:
    """Write MNIST's four IDX files into `folder`, under other names or gzipped."""
    folder.mkdir(exist_ok=True)
    for file in IDX_FILES:
        content = file.header + getattr(data, file.npz_key).tobytes()
        path = folder / (rename(file.name) + (".gz" if zipped else ""))
        path.write_bytes(gzip.compress(content, 1) if zipped else content)
    return folder


def write_npz(data: Dataset, folder: Path, **replaced: np.ndarray) -> Path:
    """Write mnist.npz into `folder`, with some arrays replaced."""
    folder.mkdir(exist_ok=True)
    np.savez(folder / "mnist.npz", **({key: getattr(data, key) for key in ARRAYS} | replaced))
    return folder


@pytest.fixture
def idx_folder(mnist: Dataset, tmp_path: Path) -> Path:
    """Return a folder with MNIST's four plain IDX files, for a test to break."""
    return write_idx(mnist, tmp_path / "mnist")


def assert_same(left: Dataset, right: Dataset) -> None:
    """Assert that two data sets hold the same arrays."""
    for key in ARRAYS:
        np.testing.assert_array_equal(getattr(left, key), getattr(right, key), strict=True)


def test_mnist_is_the_original(mnist: Dataset) -> None:
    assert mnist.source == MNIST
    assert mnist.x_train.shape == (60000, 28, 28)
    assert mnist.x_test.shape == (10000, 28, 28)
    assert mnist.x_train.dtype == mnist.y_train.dtype == np.uint8
    assert np.bincount(mnist.y_train).tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert np.bincount(mnist.y_test).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]


def test_every_form_of_a_local_copy(mnist: Dataset, tmp_path: Path) -> None:
    assert_same(load_mnist(write_idx(mnist, tmp_path / "plain")), mnist)
    assert_same(load_mnist(write_idx(mnist, tmp_path / "zipped", zipped=True)), mnist)
    assert_same(load_mnist(write_idx(mnist, tmp_path / "kaggle", lambda name: name.replace("-idx", ".idx"))), mnist)
    assert_same(load_mnist(write_npz(mnist, tmp_path / "npz")), mnist)


def test_mnist_dir_names_the_folder(idx_folder: Path, mnist: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MNIST_DIR", str(idx_folder))
    assert_same(load_mnist(), mnist)


def test_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(DataNotFoundError, match=r"nowhere does not exist.*MNIST_DIR"):
        load_mnist(tmp_path / "nowhere")


def test_empty_folder_names_the_first_missing_file(tmp_path: Path) -> None:
    with pytest.raises(DataNotFoundError, match=rf"holds no {TRAIN_IMAGES.name} or .*\.gz.*unset MNIST_DIR"):
        load_mnist(tmp_path, fallback=True)  # a folder that was named is never replaced by the stand-in


def test_missing_file(idx_folder: Path) -> None:
    (idx_folder / TEST_LABELS.name).unlink()
    with pytest.raises(DataNotFoundError, match=TEST_LABELS.name):
        load_mnist(idx_folder)


def test_truncated_file(idx_folder: Path) -> None:
    path = idx_folder / TEST_IMAGES.name
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(DataCorruptError, match=rf"{path.name} ends after 1,000 of 7,840,016 bytes.*fetch it again"):
        load_mnist(idx_folder)


def test_truncated_gzip(idx_folder: Path) -> None:
    path = idx_folder / TRAIN_LABELS.name
    path.with_name(path.name + ".gz").write_bytes(gzip.compress(path.read_bytes())[:-100])
    path.unlink()
    with pytest.raises(DataCorruptError, match=rf"{path.name}\.gz is not a complete gzip file.*fetch it again"):
        load_mnist(idx_folder)


def test_not_gzip(idx_folder: Path) -> None:
    path = idx_folder / TRAIN_LABELS.name
    path.rename(path.with_name(path.name + ".gz"))
    with pytest.raises(DataCorruptError, match=rf"{path.name}\.gz is not a complete gzip file"):
        load_mnist(idx_folder)


def test_swapped_files(idx_folder: Path) -> None:
    train, test = idx_folder / TRAIN_LABELS.name, idx_folder / TEST_LABELS.name
    content = train.read_bytes()
    train.write_bytes(test.read_bytes())
    test.write_bytes(content)
    with pytest.raises(DataCorruptError, match=rf"holds {TEST_LABELS.name} instead of {TRAIN_LABELS.name}.*swapped"):
        load_mnist(idx_folder)


def test_one_changed_bit(idx_folder: Path) -> None:
    path = idx_folder / TRAIN_IMAGES.name
    content = bytearray(path.read_bytes())
    content[30_000_000] ^= 1
    path.write_bytes(content)
    with pytest.raises(DataCorruptError, match=rf"{path.name} differs from the original"):
        load_mnist(idx_folder)


def test_another_data_set(idx_folder: Path) -> None:
    path = idx_folder / TEST_IMAGES.name
    path.write_bytes(bytes(TEST_IMAGES.size))
    with pytest.raises(DataCorruptError, match=rf"{path.name} does not start like"):
        load_mnist(idx_folder)


def test_npz_is_checked(mnist: Dataset, tmp_path: Path) -> None:
    folder = write_npz(mnist, tmp_path / "swapped", y_train=mnist.y_test)
    with pytest.raises(DataCorruptError, match=rf"mnist\.npz holds {TEST_LABELS.name} instead"):
        load_mnist(folder)
    wrong = write_npz(mnist, tmp_path / "wrong", x_test=255 - mnist.x_test)
    with pytest.raises(DataCorruptError, match=r"mnist\.npz differs from the original t10k-images"):
        load_mnist(wrong)


def test_npz_of_something_else(tmp_path: Path) -> None:
    np.savez(tmp_path / "mnist.npz", pictures=np.zeros(3))
    with pytest.raises(DataCorruptError, match=r"mnist\.npz is not Keras' mnist\.npz.*x_train"):
        load_mnist(tmp_path)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 but not a zip file", bytes(1000)])
def test_damaged_npz(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "mnist.npz").write_bytes(content)
    with pytest.raises(DataCorruptError, match=r"mnist\.npz is damaged.*fetch it again"):
        load_mnist(tmp_path)


def test_npz_with_pickled_objects_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "mnist.npz", x_train=np.array([{"code": "to run"}], dtype=object))
    with pytest.raises(DataCorruptError, match="is damaged"):
        load_mnist(tmp_path)


def test_errors_share_a_base() -> None:
    assert issubclass(DataNotFoundError, DataError)
    assert issubclass(DataCorruptError, DataError)
    assert issubclass(DataError, DigitReaderError)


def test_small_digits_look_like_mnist() -> None:
    data = load_small_digits()
    assert data.source == SMALL_DIGITS
    assert data.x_train.shape == (1500, 28, 28)
    assert data.x_test.shape == (297, 28, 28)
    assert data.x_train.dtype == np.uint8
    assert data.x_train.max() == 255
    frame = np.ones((28, 28), dtype=bool)
    frame[4:24, 4:24] = False
    assert not data.x_train[:, frame].any()
    assert np.unique(data.y_test).tolist() == list(range(10))


def run_python(code: str, environment: dict[str, str], folder: Path) -> subprocess.CompletedProcess[str]:
    """Run code in a fresh interpreter."""
    script = folder / "script.py"
    script.write_text(code, encoding="utf-8")
    return subprocess.run([sys.executable, script], env=environment, cwd=folder, capture_output=True, text=True)


def test_download_refused(offline: dict[str, str], tmp_path: Path) -> None:
    code = "from digitreader.data import load_mnist\nprint(load_mnist(fallback=True).source)\nload_mnist()"
    finished = run_python(code, offline, tmp_path)
    assert SMALL_DIGITS in finished.stdout.splitlines()
    assert finished.returncode == 1
    assert "DataNotFoundError: MNIST cannot be downloaded" in finished.stderr
    assert "Set MNIST_DIR" in finished.stderr


def notebook_loading(root: Path) -> str:
    """Return the code of the notebook from its start to the arrays of the data set, without the figures' style."""
    notebook = nbformat.read(root / "notebooks" / "mnist_classification.ipynb", as_version=4)
    core = [cell.source for cell in notebook.cells if "core" in cell.metadata.get("tags", ())]
    last = next(k for k, source in enumerate(core) if "load_data()" in source)
    return "\n\n".join(core[: last + 1])


def notebook_arrays(root: Path, environment: dict[str, str], folder: Path) -> Dataset:
    """Return what the notebook's own loading cells load."""
    save = "np.savez('loaded.npz', x_train=x_train, y_train=y_train, x_test=x_test, y_test=y_test, source=DATA)"
    finished = run_python(f"{notebook_loading(root)}\n\n{save}", environment, folder)
    assert finished.returncode == 0, finished.stderr
    with np.load(folder / "loaded.npz") as loaded:
        return Dataset(**{key: loaded[key] for key in ARRAYS}, source=str(loaded["source"]))


def test_notebook_loads_the_same(root: Path, mnist: Dataset, tmp_path: Path) -> None:
    for name, folder in (
        ("zipped", write_idx(mnist, tmp_path / "zipped", lambda name: name.replace("-idx", ".idx"), zipped=True)),
        ("npz", write_npz(mnist, tmp_path / "npz")),
    ):
        work = tmp_path / f"work-{name}"
        work.mkdir()
        loaded = notebook_arrays(root, os.environ | {"MNIST_DIR": str(folder)}, work)
        assert loaded.source == MNIST
        assert_same(loaded, mnist)


def test_notebook_falls_back_to_the_same(root: Path, offline: dict[str, str], tmp_path: Path) -> None:
    loaded = notebook_arrays(root, offline, tmp_path)
    assert loaded.source == SMALL_DIGITS
    assert_same(loaded, load_small_digits())


def test_notebook_names_the_broken_file(root: Path, idx_folder: Path, tmp_path: Path) -> None:
    environment = os.environ | {"MNIST_DIR": str(idx_folder)}
    swapped = idx_folder / TRAIN_LABELS.name
    swapped.write_bytes((idx_folder / TEST_LABELS.name).read_bytes())
    finished = run_python(notebook_loading(root), environment, tmp_path)
    assert finished.returncode == 1
    assert f"ValueError: {swapped} is not the original {TRAIN_LABELS.name}" in finished.stderr
    truncated = swapped.rename(swapped.with_name(swapped.name + ".gz"))
    finished = run_python(notebook_loading(root), environment, tmp_path)
    assert finished.returncode == 1
    assert f"ValueError: {truncated} cannot be read" in finished.stderr
    truncated.unlink()
    finished = run_python(notebook_loading(root), environment, tmp_path)
    assert finished.returncode == 1
    assert f"FileNotFoundError: MNIST_DIR={idx_folder} holds no {TRAIN_LABELS.name}" in finished.stderr


def test_writers_of_mnist(writers: Writers) -> None:
    assert writers.train.shape == writers.census_train.shape == (60000,)
    assert writers.test.shape == writers.census_test.shape == (10000,)
    assert len(np.unique(writers.train)) == 539
    assert len(np.unique(writers.test)) == 297
    assert not np.intersect1d(writers.train, writers.test).size
    for names, census in ((writers.train, writers.census_train), (writers.test, writers.census_test)):
        assert 0.45 < census.mean() < 0.55
        assert not np.intersect1d(names[census], names[~census]).size, "a writer is of one population"


@pytest.mark.parametrize("damage", [lambda content: content[:1000], lambda content: content[::-1]])
def test_damaged_writers(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    name = next(iter(WRITER_FILES))
    (tmp_path / f"{name}.gz").write_bytes(gzip.compress(damage(bytes(range(256)) * 10)))
    with pytest.raises(DataCorruptError, match=f"{name}.gz is not the original"):
        load_writers(tmp_path)


def test_writers_offline(offline: dict[str, str], tmp_path: Path) -> None:
    code = """
from digitreader.data import load_writers
from digitreader.errors import DataNotFoundError
try:
    load_writers()
except DataNotFoundError as error:
    assert "MNIST_DIR" in str(error), error
else:
    raise SystemExit("the labels came from nowhere")
"""
    subprocess.run([sys.executable, "-c", code], env=offline, check=True, cwd=tmp_path)
