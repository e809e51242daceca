"""Show that the committed model predicts the same on TensorFlow, PyTorch and JAX.

Each backend runs in a process of its own, since Keras chooses its backend once, when it is imported. The probabilities
of all 10,000 test digits are compared with TensorFlow's. Needs the extra packages of `pip install -e ".[backends]"`.

    python -m experiments.backends
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from tqdm import tqdm

from digitreader.data import load_mnist
from digitreader.provenance import provenance
from digitreader.recognizer import as_input, sha256
from digitreader.training import MODEL
from experiments.runs import ROOT, Row, read_card, write_rows

COMMAND = "python -m experiments.backends"
BACKENDS = ("tensorflow", "torch", "jax")
PREDICT = """
import sys, keras, numpy as np
images = np.load(sys.argv[2])
np.save(sys.argv[3], keras.models.load_model(sys.argv[1]).predict(images, batch_size=500, verbose=0))
"""


def predict(backend: str, images: Path, out: Path) -> np.ndarray:
    """Return the probabilities (n, 10) that the committed model gives for saved images on `backend`."""
    environment = os.environ | {"KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"}
    subprocess.run([sys.executable, "-c", PREDICT, ROOT / MODEL, images, out], env=environment, check=True)
    probabilities: np.ndarray = np.load(out)
    return probabilities


def main() -> None:
    """Compare the backends and write results/backends.json."""
    data = load_mnist()
    seed = read_card()["seed"]
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        images = Path(folder) / "images.npy"
        np.save(images, as_input(data.x_test))
        for backend in tqdm(BACKENDS, unit="backend"):
            started = time.perf_counter()
            probabilities = predict(backend, images, Path(folder) / f"{backend}.npy")
            seconds = time.perf_counter() - started
            if not rows:
                reference = probabilities
            rows.append(
                {
                    "backend": backend,
                    "seed": seed,
                    "split": "test",
                    "model_sha256": sha256(ROOT / MODEL),
                    "largest_difference": float(np.abs(probabilities - reference).max()),
                    "changed_digits": int((probabilities.argmax(1) != reference.argmax(1)).sum()),
                    "test_accuracy": float((probabilities.argmax(1) == data.y_test).mean()),
                    "seconds": round(seconds, 1),
                }
                | provenance(COMMAND, "keras", backend)
            )
    write_rows("backends", rows)


if __name__ == "__main__":
    main()
