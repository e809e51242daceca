"""Fixtures: the project, MNIST where it can be had, and an environment without network."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from digitreader.data import Dataset, Writers, load_mnist, load_writers
from digitreader.errors import DataNotFoundError
from digitreader.reader import DigitReader

if TYPE_CHECKING:
    from playwright.sync_api import Browser

REQUIRED_FIGURES = (
    "sample_digits",
    "class_distribution",
    "augmentation_examples",
    "training_history",
    "confusion_matrix",
    "misclassified",
)


@pytest.fixture(scope="session")
def root() -> Path:
    """Return the project's folder."""
    return Path(__file__).parents[1]


@pytest.fixture(scope="session", autouse=True)
def absolute_mnist_dir() -> None:
    """Make MNIST_DIR absolute: tests start processes in other folders."""
    if os.environ.get("MNIST_DIR"):
        os.environ["MNIST_DIR"] = str(Path(os.environ["MNIST_DIR"]).resolve())


@pytest.fixture(scope="session")
def card(root: Path) -> dict[str, Any]:
    """Return the card of the committed network."""
    content: dict[str, Any] = json.loads((root / "models" / "mnist_cnn.json").read_text())
    return content


@pytest.fixture(scope="session")
def reader() -> DigitReader:
    """Return the committed reader."""
    return DigitReader()


@pytest.fixture(scope="session")
def mnist() -> Dataset:
    """Return MNIST, or skip the test where it can be had neither from MNIST_DIR nor by download."""
    try:
        return load_mnist()
    except DataNotFoundError as error:
        pytest.skip(f"needs MNIST: {error}")


@pytest.fixture(scope="session")
def writers() -> Writers:
    """Return who wrote MNIST's digits, or skip the test where that cannot be had."""
    try:
        return load_writers()
    except DataNotFoundError as error:
        pytest.skip(f"needs QMNIST's labels: {error}")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Return a browser, or skip the test where there is none."""
    from playwright.sync_api import sync_playwright

    from experiments.screenshot import chromium

    with sync_playwright() as playwright:
        one = chromium(playwright)
        if one is None:
            pytest.skip("NO BROWSER: apt install chromium, or playwright install chromium")
        with one:
            yield one


@pytest.fixture
def offline(tmp_path: Path) -> dict[str, str]:
    """Return an environment without MNIST: no folder, no cache, and every download refused."""
    environment = {name: value for name, value in os.environ.items() if name != "MNIST_DIR"}
    refused = "http://127.0.0.1:9"  # the discard port, where nothing listens
    proxies = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), refused)
    return environment | proxies | {"KERAS_HOME": str(tmp_path / "keras"), "no_proxy": "localhost,127.0.0.1"}
