"""The wheel: what a user installs who has no checkout."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from PIL import Image

from tests.helpers import seven


@pytest.fixture(scope="module")
def site(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder that holds what the wheel holds."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("out")
    for name in ("digitreader", "docs/samples", "models"):
        shutil.copytree(root / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(root / name, source)
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "-w", str(out), str(source)]
    subprocess.run(command, check=True, capture_output=True)
    (wheel,) = out.glob("*.whl")
    assert wheel.stat().st_size < 15e6
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(out / "site")
    return out / "site"


def test_the_wheel_brings_its_models(site: Path) -> None:
    names = {path.name for path in (site / "digitreader" / "models").iterdir()}
    assert {"mnist_cnn.onnx", "reader.onnx", "reader.json", "line_reader.onnx", "line_reader.json"} <= names
    assert "mnist_cnn.keras" not in names, "the reader needs no Keras"
    for name in ("py.typed", "samples/seven.jpg", "service/page/index.html", "service/page/app.js"):
        assert (site / "digitreader" / name).exists()


def test_the_wheel_reads_outside_a_checkout(site: Path, tmp_path: Path) -> None:
    Image.fromarray(seven()).save(tmp_path / "seven.png")
    environment = os.environ | {"PYTHONPATH": str(site)}
    program = "import digitreader, digitreader.recognizer as r; print(digitreader.__file__); print(r.MODELS)"

    def printed(*arguments: str) -> str:
        command = [sys.executable, *arguments]
        return subprocess.run(command, cwd=tmp_path, env=environment, check=True, capture_output=True, text=True).stdout

    assert all(line.startswith(str(site)) for line in printed("-c", program).split())
    assert json.loads(printed("-m", "digitreader", "predict", "--json", "seven.png"))["digit"] == 7
    assert json.loads(printed("-m", "digitreader", "read", "--json", "seven.png"))["text"] == "7"
