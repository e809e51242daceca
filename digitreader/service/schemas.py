"""What the service takes and gives, as OpenAPI shows it."""

from __future__ import annotations

import base64
import binascii
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, FailFast, Field
from pydantic.config import JsonDict

from digitreader.decision import Decision, Reason

BATCH = 1024  # images that a batch may have at most; the settings have the limit in use
# A drawn 7, 22 × 30 pixels, as PNG.
EXAMPLE = (
    "iVBORw0KGgoAAAANSUhEUgAAABYAAAAeAgMAAABViQbFAAAADFBMVEX////+/v75+flUVFQtq/W4AAAAeUlEQVR42o3OsREBURgA4e/9926EjpFJdOAq"
    "4EoQoAFlSOXaUIXRiwJIzAjwBCQyG220s/ySVsuvdZJ6UR2wL2UnIMu24/oB5hOhXpcr5GMnyLNO8HycYHgjGDwJ7heC9kyQR1RSLx0R04ZQ+otPqyGk"
    "V/t5QrDxF29PSxeNgrMp6gAAAABJRU5ErkJggg=="
)
# What is answered to it, and for docs/samples/zip.jpg; a test holds both to it.
READING: JsonDict = {
    "digit": 7,
    "confidence": 1.0,
    "decision": "accept",
    "reason": "ok",
    "probabilities": [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0],
}
FIELD_READING: JsonDict = {
    "text": "94103",
    "confidence": 0.985,
    "decision": "accept",
    "reason": "ok",
    "digits": [
        {"digit": "9", "confidence": 1.0, "box": [58, 29, 94, 96], "runner_up": "3"},
        {"digit": "4", "confidence": 1.0, "box": [105, 32, 137, 95], "runner_up": "?"},
        {"digit": "1", "confidence": 0.997, "box": [163, 31, 184, 94], "runner_up": "?"},
        {"digit": "0", "confidence": 1.0, "box": [203, 27, 239, 94], "runner_up": "?"},
        {"digit": "3", "confidence": 1.0, "box": [250, 30, 286, 96], "runner_up": "?"},
    ],
}


def _decoded(value: object) -> object:
    """Return the bytes that Base64 stands for; other signs in it are an error, not left out."""
    if not isinstance(value, str):
        raise ValueError("Base64 text is needed")
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError(f"this is no Base64: {error}") from error


Base64Image = Annotated[
    bytes,
    BeforeValidator(_decoded),
    Field(
        description="The bytes of an image file, in Base64.",
        json_schema_extra={"type": "string", "format": "base64", "contentEncoding": "base64", "examples": [EXAMPLE]},
    ),
]


# Other keys are refused by `bodies`: Pydantic's own way describes each of them, be it a million.
OF_REQUESTS = ConfigDict(extra="allow", hide_input_in_errors=True, json_schema_extra={"additionalProperties": False})


class ImageRequest(BaseModel):
    """One image."""

    model_config = OF_REQUESTS

    image: Base64Image


class BatchRequest(BaseModel):
    """Several images."""

    model_config = OF_REQUESTS

    images: Annotated[list[Base64Image], Field(min_length=1, max_length=BATCH), FailFast()]


class Reading(BaseModel):
    """What a picture of one digit says."""

    model_config = ConfigDict(from_attributes=True, json_schema_extra={"examples": [READING]})

    digit: int = Field(ge=0, le=9)
    confidence: float = Field(ge=0, le=1, description="Calibrated probability that the digit is right.")
    decision: Decision
    reason: Reason
    probabilities: list[float] = Field(min_length=10, max_length=10, description="Of the digits 0 to 9.")


class FieldDigit(BaseModel):
    """A digit of a field."""

    model_config = ConfigDict(from_attributes=True)

    digit: str = Field(description="0 to 9, the hyphen of ZIP+4, or ? for what is no digit.")
    confidence: float = Field(ge=0, le=1, description="Not calibrated: tells which are the less sure ones.")
    box: tuple[int, int, int, int] = Field(description="Left, top, right and bottom of its ink, in pixels.")
    runner_up: str = Field(description="The second most probable symbol there.")


class FieldReading(BaseModel):
    """What a picture of a line of digits says."""

    model_config = ConfigDict(from_attributes=True, json_schema_extra={"examples": [FIELD_READING]})

    text: str
    confidence: float = Field(ge=0, le=1, description="Calibrated probability that the whole text is right.")
    decision: Decision
    reason: Reason
    digits: list[FieldDigit]


class Problem(BaseModel):
    """What is wrong with one image of a batch."""

    type: str
    title: str
    status: int
    detail: str


class BatchItem(BaseModel):
    """What became of one image of a batch: its reading, or what is wrong with it."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"reading": READING, "problem": None}]})

    reading: Reading | None = None
    problem: Problem | None = None


class Version(BaseModel):
    """What answers."""

    version: str = Field(examples=["0.1.0"])
    model: str = Field(description="Names both networks and both calibrations; in the header X-Model of every answer.")
    versions: dict[str, str]
    thresholds: dict[str, float]
