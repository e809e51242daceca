"""Calibrate the line reader on lines of the digits that the notebook validates on: models/line_reader.json.

What confidence a margin means, and which confidence keeps the risk.

    python -m experiments.field_calibration
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from digitreader.ctc import Candidate
from digitreader.decision import Choice, FieldCalibration, choose, length_of, load_calibration, threshold_for
from digitreader.errors import DataNotFoundError
from digitreader.lines import read_line
from digitreader.provenance import provenance, write_json
from digitreader.recognizer import FIELDS_COMMAND, MODELS, LineRecognizer, sha256
from experiments.lines import VALIDATION_PARTS, compose_missing, read_part

RISK = 0.003  # wrong texts among the accepted ones, over all styles of the validation lines
PACKAGES = ("onnxruntime", "numpy", "opencv-python-headless", "scikit-learn")
TARGET = MODELS / "line_reader.json"


def read_lines(network: LineRecognizer, parts: Sequence[Path]) -> tuple[list[list[Candidate]], list[str]]:
    """Return the candidates for the lines of some files, and what the lines say."""
    candidates, texts = [], []
    for path in parts:
        part = read_part(path)
        candidates += [read_line(pixels, network)[0] for pixels in tqdm(part.pixels, path.stem)]
        texts += part.texts
    return candidates, texts


def calibrate(choices: Sequence[Choice], texts: Sequence[str]) -> dict[str, Any]:
    """Return how a margin becomes a confidence, and which confidence keeps the risk.

    References
    ----------
    Platt, J. (1999). Probabilistic outputs for support vector machines and comparisons to regularized likelihood
    methods.
    """
    from sklearn.linear_model import LogisticRegression

    margins = np.array([choice.margin for choice in choices])
    right = np.array([choice.text == text for choice, text in zip(choices, texts, strict=True)])
    found = LogisticRegression(C=np.inf).fit(margins[:, np.newaxis], right)
    slope, offset = float(found.coef_[0, 0]), float(found.intercept_[0])
    confidence = 1 / (1 + np.exp(-(slope * margins + offset)))
    threshold = threshold_for(confidence, right, RISK)
    accepted = np.array([choice.reason == "ok" for choice in choices]) & (confidence >= threshold)
    return {
        "slope": slope,
        "offset": offset,
        "min_confidence": threshold,
        "risk": RISK,
        "validation": {
            "lines": len(texts),
            "wrong": int((~right).sum()),
            "accepted": int(accepted.sum()),
            "wrong_among_accepted": int((accepted & ~right).sum()),
        },
    }


def main() -> None:
    """Compose, read, calibrate."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, help="processes that compose; one for each core unless given")
    jobs = parser.parse_args().jobs
    network = LineRecognizer()
    try:
        parts = compose_missing(VALIDATION_PARTS, validation=True, jobs=jobs)
    except DataNotFoundError as error:
        load_calibration(FieldCalibration, TARGET, [network.path], FIELDS_COMMAND)
        print(f"NOT CALIBRATED: {error} {TARGET.name} is unchanged; it belongs to the network.")
        return
    candidates, texts = read_lines(network, parts)
    content = {
        "onnx_sha256": [sha256(network.path)],
        "free": calibrate(list(map(choose, candidates)), texts),
        "known": calibrate(list(map(choose, candidates, map(length_of, texts))), texts),
    } | provenance(FIELDS_COMMAND, *PACKAGES)
    write_json(TARGET, content)


if __name__ == "__main__":
    main()
