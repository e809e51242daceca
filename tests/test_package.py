"""The wheel: what a user installs who has no checkout."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from tests.helpers import seven


def run(*command: str | Path, cwd: Path, **variables: str) -> str:
    """Return what a command prints that finds nothing of this project but what is installed."""
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run(
        command, cwd=cwd, env=inherited | variables, check=True, capture_output=True, text=True
    ).stdout


@pytest.fixture(scope="module")
def environment(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an environment into which nothing but the wheel was installed, with what it asks for."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("out")
    for name in ("digitreader", "docs/samples", "models"):
        shutil.copytree(root / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(root / name, source)
    pip = (sys.executable, "-m", "pip", "--quiet")
    run(*pip, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", out, source, cwd=out)
    (wheel,) = out.glob("*.whl")
    assert wheel.stat().st_size < 15e6
    environment, tested = out / "environment", root / "requirements.txt"
    run(sys.executable, "-m", "venv", "--without-pip", environment, cwd=out)
    run(*pip, "--python", environment, "install", "--constraint", tested, wheel, cwd=out)
    return environment


def test_the_wheel_brings_its_models(environment: Path) -> None:
    (package,) = environment.glob("lib/python*/site-packages/digitreader")
    names = {path.name for path in (package / "models").iterdir()}
    networks, calibrations = {"mnist_cnn", "fast", "reader", "line_reader"}, {"reader", "fast", "line_reader"}
    assert {f"{name}.onnx" for name in networks} | {f"{name}.json" for name in calibrations} <= names
    assert "mnist_cnn.keras" not in names, "the reader needs no Keras"
    for name in ("py.typed", "samples/seven.jpg", "service/page/index.html", "service/page/app.js"):
        assert (package / name).exists()
    assert not list(package.parent.glob("tensorflow*"))


def test_the_wheel_reads_outside_a_checkout(environment: Path, tmp_path: Path) -> None:
    Image.fromarray(seven()).save(tmp_path / "seven.png")
    python, digits = environment / "bin" / "python", environment / "bin" / "digits"
    program = "import digitreader, digitreader.recognizer as r; print(digitreader.__file__); print(r.MODELS)"
    assert all(line.startswith(str(environment)) for line in run(python, "-c", program, cwd=tmp_path).split())
    assert json.loads(run(digits, "predict", "--json", "seven.png", cwd=tmp_path))["digit"] == 7
    assert json.loads(run(python, "-m", "digitreader", "read", "--json", "seven.png", cwd=tmp_path))["text"] == "7"


def test_the_shell_completes_commands_and_options(environment: Path, tmp_path: Path) -> None:
    digits = environment / "bin" / "digits"

    def completed(line: str) -> list[str]:
        words = {"COMP_WORDS": line, "COMP_CWORD": str(line.count(" "))}
        return run(digits, cwd=tmp_path, _DIGITS_COMPLETE="complete_bash", **words).split()

    shown = run("bash", "-c", f"{digits} --show-completion; exit $?", cwd=tmp_path)
    assert "complete -o default -F" in shown
    assert "_DIGITS_COMPLETE=complete_bash" in shown
    assert completed("digits pre") == ["predict"]
    assert completed("digits read --zi") == ["--zip"]
