"""Calibration of the reader on lines that its network never saw: what `digits calibrate` runs for fields.

What the networks say of such lines was kept when they were trained, so nothing is read here:

- of lines of the notebook's validation digits, by the line reader itself; they say what confidence a margin means;
- of lines by two fifths of the writers, by a network that saw nothing by them, each digit in one line; they certify the
  thresholds.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from digitreader.calibrate import kept_arrays
from digitreader.errors import CalibrationError
from digitreader.guarantee import DELTA, certify
from digitreader.provenance import provenance
from digitreader.recognizer import CALIBRATE_COMMAND, LINE_COMMAND, LineRecognizer, sha256

# Wrong texts among the accepted ones, at most: the smallest round share that so few lines certify for both `WAYS`.
FIELD_RISK = 0.01
VALIDATION, CERTIFYING = "line_reader/validation.npz", "line_reader/certifying.npz"  # in the folder of the results
WAYS = {"free": "fields of unknown length", "known": "fields of known length"}  # the first axis of what was kept
PACKAGES = ("numpy", "scipy", "scikit-learn")


@dataclass(frozen=True)
class Lines:
    """What a network says of lines that it never saw, with their length unknown and known.

    Attributes
    ----------
    model_sha256 : str
        The network.
    margins : ndarray of shape (2, n), dtype float32
        Of the text that is read over the next best one, see `digitreader.decision.choose`.
    right : ndarray of shape (2, n), dtype bool
        Which texts are right.
    usable : ndarray of shape (2, n), dtype bool
        Which lines nothing but their margin can send to review.
    writers : ndarray of shape (n,), dtype int32
    """

    model_sha256: str
    margins: npt.NDArray[np.float32]
    right: npt.NDArray[np.bool_]
    usable: npt.NDArray[np.bool_]
    writers: npt.NDArray[np.int32]


def kept_lines(path: Path) -> Lines:
    """Read what was kept of the lines of one kind.

    Raises
    ------
    CalibrationError
        If it is missing or damaged.
    """
    try:
        kept = kept_arrays(path)
        return Lines(str(kept["model_sha256"]), *(kept[name] for name in list(Lines.__dataclass_fields__)[1:]))
    except KeyError as error:
        raise CalibrationError(f"What the line reader said of lines is not in {path} ({error!r}).") from error


def fit_line(margins: npt.NDArray[np.float32], right: npt.NDArray[np.bool_]) -> tuple[float, float]:
    """Return slope and offset of the logit of the probability that a text is right, over its margin.

    References
    ----------
    Platt, J. (1999). Probabilistic outputs for support vector machines and comparisons to regularized likelihood
    methods.
    """
    from sklearn.linear_model import LogisticRegression

    found = LogisticRegression(C=np.inf).fit(margins[:, np.newaxis], right)
    return float(found.coef_[0, 0]), float(found.intercept_[0])


def doubts(margins: npt.NDArray[np.float32], slope: float, offset: float) -> npt.NDArray[np.float64]:
    """Return one less the confidence of some margins, exact where that is next to one."""
    from scipy.special import expit

    doubt: npt.NDArray[np.float64] = expit(-(slope * margins.astype(np.float64) + offset))
    return doubt


def calibrate_fields(models: Path, results: Path, *, risk: float = FIELD_RISK) -> dict[str, Any]:
    """Fit confidences and thresholds of fields, and return what line_reader.json is to say.

    With 95 % confidence, at most a share `risk` of the accepted readings of lines like these, by other people, is
    wrong; once of lines of which nothing is known, and once of those whose length is: see `digitreader.guarantee`.

    Parameters
    ----------
    models : Path
        The folder of the networks.
    results : Path
        The folder experiments/results: what the networks said of lines that they never saw.
    risk : float
        Share of wrong texts among those that are accepted.

    Raises
    ------
    CalibrationError
        If something that was kept is missing or of another network, or the lines cannot certify so small a risk.
    """
    network = sha256(LineRecognizer(models / "line_reader.onnx").path)
    validation, certifying = kept_lines(results / VALIDATION), kept_lines(results / CERTIFYING)
    if validation.model_sha256 != network:
        raise CalibrationError(
            f"What was kept of lines is of another network than line_reader.onnx: `{LINE_COMMAND}` keeps it anew."
        )
    content: dict[str, Any] = {"onnx_sha256": [network], "risk": risk, "confidence_in_the_risk": 1 - DELTA}
    for way, name in enumerate(WAYS):
        slope, offset = fit_line(validation.margins[way], validation.right[way])
        doubt = doubts(certifying.margins[way], slope, offset)
        right, usable = certifying.right[way], certifying.usable[way]
        threshold = certify(doubt[usable], right[usable], certifying.writers[usable], risk)
        accepted = usable & (doubt <= threshold)
        content[name] = {
            "slope": slope,
            "offset": offset,
            "min_confidence": 1 - threshold,
            "certifying": {
                "lines": len(right),
                "writers": len(np.unique(certifying.writers)),
                "wrong": int((~right).sum()),
                "accepted": int(accepted.sum()),
                "wrong_among_accepted": int((accepted & ~right).sum()),
            },
        }
    return content | provenance(CALIBRATE_COMMAND, *PACKAGES)
