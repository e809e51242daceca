"""Where benchmarks leave what they measured, with how it was measured."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from digitreader.provenance import provenance, write_json
from digitreader.recognizer import MODELS, sha256

RESULTS = Path(__file__).parent / "results"
OF_DIGITS = ("mnist_cnn.onnx", "reader.onnx")  # that read single digits
NETWORKS = (*OF_DIGITS, "line_reader.onnx")
PACKAGES = ("numpy", "onnxruntime", "opencv-python-headless", "pillow", "tensorflow", "keras")


def write_result(name: str, command: str, *, networks: Sequence[str] = NETWORKS, **measured: Any) -> None:
    """Write results/`name`.json: what was measured, on which networks, the versions, the machine and the command."""
    hashes = {"onnx_sha256": {network: sha256(MODELS / network) for network in networks}}
    content = provenance(command, *PACKAGES) | hashes | measured
    write_json(RESULTS / f"{name}.json", content)


def read_result(name: str) -> dict[str, Any]:
    """Return the content of results/`name`.json."""
    content: dict[str, Any] = json.loads((RESULTS / f"{name}.json").read_text())
    return content
