"""Where benchmarks leave what they measured, with how it was measured."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
PACKAGES = ("numpy", "onnxruntime", "opencv-python-headless", "pillow", "tensorflow", "keras")


def write_result(name: str, command: str, **measured: Any) -> None:
    """Write results/`name`.json: what was measured, the versions, the machine and the command."""
    versions = {"python": platform.python_version()}
    versions |= {package: importlib.metadata.version(package) for package in PACKAGES}
    machine = f"{platform.system()} {platform.machine()}, {os.cpu_count()} CPUs"
    RESULTS.mkdir(exist_ok=True)
    content = {"command": command, "versions": versions, "machine": machine, **measured}
    (RESULTS / f"{name}.json").write_text(json.dumps(content, indent=1) + "\n")


def read_result(name: str) -> dict[str, Any]:
    """Return the content of results/`name`.json."""
    content: dict[str, Any] = json.loads((RESULTS / f"{name}.json").read_text())
    return content
