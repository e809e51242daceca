"""Calibrate the line reader on lines of the digits that the notebook validates on: models/line_reader.json.

How much the second opinion of the digits' network weighs, what confidence a margin means, and which confidence keeps
the risk.

    python -m experiments.field_calibration
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from digitreader.arrays import FloatArray
from digitreader.ctc import Candidate, beam_search
from digitreader.decision import Choice, FieldCalibration, choose, load_calibration, reconsider, threshold_for
from digitreader.errors import DataNotFoundError
from digitreader.fields import LineImage
from digitreader.lines import find_pieces, second_opinion
from digitreader.recognizer import FIELDS_COMMAND, MODELS, LineRecognizer, Recognizer, sha256
from experiments.lines import VALIDATION_PARTS, compose_missing, read_part
from experiments.provenance import provenance

RISK = 0.003  # wrong texts among the accepted ones, over all styles of the validation lines
WEIGHTS = (0.0, 0.25, 0.5, 0.75, 1.0, 1.5)
PACKAGES = ("onnxruntime", "numpy", "opencv-python-headless", "scikit-learn")
TARGET = MODELS / "line_reader.json"


@dataclass(frozen=True)
class Case:
    """What both networks say of a validation line, and what it says."""

    candidates: list[Candidate]
    opinions: FloatArray
    text: str

    def choice(self, weight: float) -> Choice:
        """Return the text that is chosen if the second opinion has this weight."""
        return choose(reconsider(self.candidates, self.candidates[0].text, self.opinions, weight))


def read_cases(lines: LineRecognizer, digits: Recognizer, parts: Sequence[Path]) -> list[Case]:
    """Return what both networks say of the lines of some files."""
    cases = []
    for path in parts:
        part = read_part(path)
        for pixels, text in zip(tqdm(part.pixels, path.stem), part.texts, strict=True):
            (steps,) = lines.run(pixels[np.newaxis])
            candidates = beam_search(steps)
            _, pieces = find_pieces(LineImage(pixels, np.eye(2, 3)), steps, candidates[0].text)
            cases.append(Case(candidates, second_opinion(candidates[0].text, pieces, digits), text))
    return cases


def calibrate(cases: Sequence[Case]) -> dict[str, Any]:
    """Return the second opinion's weight, how a margin becomes a confidence, and which confidence keeps the risk.

    References
    ----------
    Platt, J. (1999). Probabilistic outputs for support vector machines and comparisons to regularized likelihood
    methods.
    """
    from sklearn.linear_model import LogisticRegression

    wrong = {weight: sum(case.choice(weight).text != case.text for case in cases) for weight in WEIGHTS}
    weight = min(WEIGHTS, key=lambda weight: wrong[weight])
    choices = [case.choice(weight) for case in cases]
    margins = np.array([choice.margin for choice in choices])
    right = np.array([choice.text == case.text for choice, case in zip(choices, cases, strict=True)])
    found = LogisticRegression(C=np.inf).fit(margins[:, np.newaxis], right)
    slope, offset = float(found.coef_[0, 0]), float(found.intercept_[0])
    confidence = 1 / (1 + np.exp(-(slope * margins + offset)))
    threshold = threshold_for(confidence, right, RISK)
    accepted = confidence >= threshold
    return {
        "weight": weight,
        "slope": slope,
        "offset": offset,
        "min_confidence": threshold,
        "risk": RISK,
        "validation": {
            "lines": len(cases),
            "wrong_by_weight": wrong,
            "accepted": int(accepted.sum()),
            "wrong_among_accepted": int((accepted & ~right).sum()),
        },
    }


def main() -> None:
    """Compose, read, calibrate."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, help="processes that compose; one for each core unless given")
    jobs = parser.parse_args().jobs
    lines, digits = LineRecognizer(), Recognizer()
    try:
        parts = compose_missing(VALIDATION_PARTS, validation=True, jobs=jobs)
    except DataNotFoundError as error:
        load_calibration(FieldCalibration, TARGET, [digits.path, lines.path], FIELDS_COMMAND)
        print(f"NOT CALIBRATED: {error} {TARGET.name} is unchanged; it belongs to the networks.")
        return
    content = {
        "onnx_sha256": [sha256(digits.path), sha256(lines.path)],
        **calibrate(read_cases(lines, digits, parts)),
    } | provenance(FIELDS_COMMAND, *PACKAGES)
    TARGET.write_text(json.dumps(content, indent=2) + "\n")


if __name__ == "__main__":
    main()
