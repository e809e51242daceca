"""From the network's logits to a digit, a calibrated confidence, and whether a person should look at it."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from digitreader.arrays import FloatArray
from digitreader.ctc import NO_DIGIT, Candidate
from digitreader.errors import ModelError
from digitreader.fields import Box
from digitreader.recognizer import sha256
from digitreader.zip_codes import is_zip_code

Decision = Literal["accept", "review"]
EXCEPTION = math.log(0.01)  # what is known of a field in advance is false once in a hundred cases
MAX_MARGIN = 20.0
Reason = Literal["ok", "low_confidence", "not_a_digit", "not_a_zip", "wrong_length"]


@dataclass(frozen=True)
class Reading:
    """What a picture of one digit says.

    Attributes
    ----------
    digit : int
        The most probable digit.
    confidence : float
        The calibrated probability that it is right, given that the picture shows a digit.
    decision : "accept" or "review"
    reason : str
        "ok", or why a person should look: "low_confidence" or "not_a_digit".
    probabilities : tuple of float
        Calibrated, of 0 to 9.
    """

    digit: int
    confidence: float
    decision: Decision
    reason: Reason
    probabilities: tuple[float, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the reading as JSON knows it."""
        return asdict(self)


@dataclass(frozen=True)
class FieldDigit:
    """A digit of a field.

    Attributes
    ----------
    digit : str
        "0" to "9", or the hyphen of a ZIP+4 code; "?" for what is no digit, in a line that cannot be read otherwise.
    confidence : float
        Probability of the symbol at its place in the line.
    box : tuple of int
        Left, top, right and bottom of its ink, in pixels of the picture, right and bottom exclusive.
    runner_up : str
        The second most probable symbol there.
    """

    digit: str
    confidence: float
    box: tuple[int, int, int, int]
    runner_up: str


@dataclass(frozen=True)
class FieldReading:
    """What a picture of a line of digits says.

    Attributes
    ----------
    text : str
        The most probable text.
    confidence : float
        The calibrated probability that it is right, from its margin over the next best text.
    decision : "accept" or "review"
    reason : str
        "ok", or why a person should look: "low_confidence", "not_a_digit", "not_a_zip" or "wrong_length".
    digits : tuple of FieldDigit
    """

    text: str
    confidence: float
    decision: Decision
    reason: Reason
    digits: tuple[FieldDigit, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the reading as JSON knows it."""
        return asdict(self)


@dataclass(frozen=True)
class Calibration:
    """What `digits calibrate` found on validation images; stored in models/reader.json.

    Attributes
    ----------
    onnx_sha256 : list of str
        The digits' network and the picture network that it belongs to.
    weight : float
        Of the picture network's logits, which are added to those of the digits' network.
    temperature : float
        The sums are divided by it.
    min_confidence : float
        Less goes to review.
    min_evidence : float
        If the picture network holds it for less probable that the picture shows exactly one digit, it shows none.
    """

    onnx_sha256: list[str]
    weight: float
    temperature: float
    min_confidence: float
    min_evidence: float


class Scale(NamedTuple):
    """What margins mean.

    Attributes
    ----------
    slope, offset : float
        The logit of the probability that a text is right is a straight line over its margin.
    min_confidence : float
        Less goes to review.
    """

    slope: float
    offset: float
    min_confidence: float


@dataclass(frozen=True)
class FieldCalibration:
    """What `digits calibrate` found on lines; stored in models/line_reader.json.

    Attributes
    ----------
    onnx_sha256 : list of str
        The line reader that it belongs to.
    free, known : Scale
        Where nothing is known of a text, and where its length is.
    """

    onnx_sha256: list[str]
    free: Scale
    known: Scale


AnyCalibration = TypeVar("AnyCalibration", Calibration, FieldCalibration)


def load_calibration(kind: type[AnyCalibration], path: Path, networks: Sequence[Path], command: str) -> AnyCalibration:
    """Read a calibration that belongs to some networks.

    Parameters
    ----------
    kind : type
    path : Path
    networks : sequence of Path
        The ONNX files.
    command : str
        What writes the calibration: named where it is not as it should be.

    Raises
    ------
    ModelError
        If it is missing or damaged, or belongs to another network.
    """
    try:
        content = json.loads(path.read_text())
        for name in ("free", "known") if kind is FieldCalibration else ():
            content[name] = Scale(*(content[name][number] for number in Scale._fields))
        calibration = kind(**{name: content[name] for name in kind.__dataclass_fields__})
        numbers = np.hstack([value for name, value in vars(calibration).items() if name != "onnx_sha256"])
        if not np.isfinite(numbers).all() or content.get("temperature", 1) <= 0:
            raise ValueError(numbers)
    except FileNotFoundError as error:
        raise ModelError(f"{path} is missing: `{command}` writes it.") from error
    except (AttributeError, KeyError, OSError, TypeError, ValueError) as error:
        raise ModelError(f"{path} is damaged ({error!r}): `{command}` writes it anew.") from error
    if calibration.onnx_sha256 != [sha256(network) for network in networks]:
        raise ModelError(f"{path} belongs to another network: `{command}` writes it anew.")
    return calibration


def calibrated(logits: FloatArray, temperature: float) -> FloatArray:
    """Return probabilities (n, 10) from logits (n, 10) that are divided by a temperature.

    References
    ----------
    Guo, C., Pleiss, G., Sun, Y. and Weinberger, K. Q. (2017). On calibration of modern neural networks. ICML.
    """
    scaled = logits / np.float32(temperature)
    scaled -= scaled.max(axis=1, keepdims=True)
    exponentials = np.exp(scaled)
    probabilities: FloatArray = exponentials / exponentials.sum(axis=1, keepdims=True)
    return probabilities


def combined(logits: FloatArray, pictures: FloatArray, weight: float) -> FloatArray:
    """Return the logits (n, 10) of the digits' network with those (n, 11) of the picture network added.

    Parameters
    ----------
    logits : ndarray of shape (n, 10), dtype float32
    pictures : ndarray of shape (n, 11), dtype float32
        Of the ten digits, and of no digit.
    weight : float
    """
    return logits + np.float32(weight) * pictures[:, :-1]


def evidence(pictures: FloatArray) -> FloatArray:
    """Return the probability that a picture shows exactly one digit, shape (n,), from the logits in `combined`."""
    shown: FloatArray = 1 - calibrated(pictures, 1)[:, -1]
    return shown


def decide(logits: FloatArray, pictures: FloatArray, calibration: Calibration) -> list[Reading]:
    """Return the reading of each picture, from what both networks say of it.

    Parameters
    ----------
    logits, pictures : ndarray of shape (n, 10) and (n, 11), dtype float32
        See `combined`.
    calibration : Calibration
    """
    readings = []
    probabilities = calibrated(combined(logits, pictures, calibration.weight), calibration.temperature)
    for row, support in zip(probabilities, evidence(pictures), strict=True):
        digit = int(row.argmax())
        confidence = float(row[digit])
        reason: Reason = "low_confidence"
        if not support >= calibration.min_evidence:
            reason = "not_a_digit"
        elif confidence >= calibration.min_confidence:
            reason = "ok"
        readings.append(
            Reading(digit, confidence, "accept" if reason == "ok" else "review", reason, tuple(map(float, row)))
        )
    return readings


@dataclass(frozen=True)
class Choice:
    """The text that a line is read as.

    Attributes
    ----------
    text : str
    margin : float
        How much more probable it is than the best other text, as a logarithm, up to `MAX_MARGIN`; less than 0 if
        something that is no digit is more probable.
    shares : tuple of float
        For each symbol: the share of the candidates' probability that has it at this place.
    reason : str
        "ok", or why the text cannot be right as it stands.
    """

    text: str
    margin: float
    shares: tuple[float, ...]
    reason: Reason


def length_of(text: str) -> int:
    """Return how many digits a text has, hyphens aside."""
    return len(text.replace("-", ""))


def choose(candidates: Sequence[Candidate], length: int | None = None, codes: frozenset[str] | None = None) -> Choice:
    """Choose among the candidates for a line's text.

    The most probable text of digits is chosen, even if something in the line is more probably no digit.
    What is known of the text, its length or that it is a ZIP code, holds but for one case in a hundred: it decides
    between texts that are about as probable, not against what stands there.

    Parameters
    ----------
    candidates : sequence of Candidate
        Best first; at least one.
    length : int, optional
        Number of digits that the text is known to have.
    codes : frozenset of str, optional
        The ZIP codes of which the text is known to be one.
    """

    def doubt(text: str) -> tuple[Reason, float]:
        """Return what speaks against a text, and the logarithm of its probability that this leaves."""
        if length is not None and length_of(text) != length:
            return "wrong_length", EXCEPTION
        if codes is not None and not is_zip_code(text, codes):
            return "not_a_zip", EXCEPTION
        return "ok", 0.0

    weighed = [Candidate(text, score + doubt(text)[1]) for text, score in candidates]
    ranked = sorted(weighed, key=lambda candidate: -candidate.log_probability)
    readable = [candidate for candidate in ranked if NO_DIGIT not in candidate.text and candidate.text.strip("-")]
    best = readable[0] if readable else ranked[0]
    reason = doubt(best.text)[0] if readable and best is ranked[0] else "not_a_digit"
    others = [candidate.log_probability for candidate in ranked if candidate is not best]
    margin = -MAX_MARGIN
    if readable:
        margin = max(-MAX_MARGIN, min(best.log_probability - others[0], MAX_MARGIN)) if others else MAX_MARGIN
    weights = {other.text: math.exp(other.log_probability - ranked[0].log_probability) for other in weighed}
    total = sum(weights.values())
    shares = tuple(
        sum(weight for text, weight in weights.items() if len(text) == len(best.text) and text[place] == symbol) / total
        for place, symbol in enumerate(best.text)
    )
    return Choice(best.text, margin, shares, reason)


def decide_field(choice: Choice, boxes: Sequence[Box], runners_up: Sequence[str], scale: Scale) -> FieldReading:
    """Return the reading of a line.

    Parameters
    ----------
    choice : Choice
    boxes, runners_up : sequence
        The box and the second most probable symbol of each symbol of the text.
    scale : Scale
    """
    confidence = 1 / (1 + math.exp(-(scale.slope * choice.margin + scale.offset)))
    reason = choice.reason
    if reason == "ok" and confidence < scale.min_confidence:
        reason = "low_confidence"
    digits = tuple(map(FieldDigit, choice.text, choice.shares, boxes, runners_up))
    return FieldReading(choice.text, confidence, "accept" if reason == "ok" else "review", reason, digits)


def log_loss(probabilities: FloatArray, labels: npt.NDArray[Any]) -> float:
    """Return the mean negative logarithm of the labels' probabilities; probabilities (n, 10), labels (n,)."""
    return float(-np.log(np.maximum(probabilities[np.arange(len(labels)), labels], 1e-12)).mean())


def fit_temperature(logits: FloatArray, labels: npt.NDArray[Any]) -> float:
    """Return the temperature with the least log-loss on logits (n, 10) and labels (n,)."""
    from scipy.optimize import minimize_scalar

    def loss(log_temperature: float) -> float:
        return log_loss(calibrated(logits, float(np.exp(log_temperature))), labels)

    return float(np.exp(minimize_scalar(loss, bounds=(-2, 2), method="bounded").x))


def calibration_error(probabilities: FloatArray, labels: npt.NDArray[Any], bins: int = 15) -> float:
    """Return the expected calibration error of probabilities (n, 10), over bins of equal numbers of images.

    References
    ----------
    Guo et al. (2017), as above; Nguyen, K. and O'Connor, B. (2015), for the bins.
    """
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == labels
    parts = np.array_split(np.argsort(confidence), bins)
    return float(sum(abs(confidence[part].sum() - right[part].sum()) for part in parts) / len(labels))
