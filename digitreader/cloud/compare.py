"""The same images read by the reader and by text recognisers in clouds."""

from __future__ import annotations

import csv
import statistics
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from digitreader.cloud.aws import AwsRecogniser
from digitreader.cloud.azure import AzureRecogniser
from digitreader.cloud.google import GoogleRecogniser
from digitreader.cloud.images import fit
from digitreader.cloud.recogniser import PRICES, TextRecogniser, least_confidence, to_digits
from digitreader.errors import (
    BlankImageError,
    CloudError,
    CloudSetupError,
    DataCorruptError,
    DataNotFoundError,
    ImageError,
)
from digitreader.images import load_image
from digitreader.intervals import wilson
from digitreader.reader import DigitReader

OURS = "digitreader"
RECOGNISERS: dict[str, type[TextRecogniser]] = {
    recogniser.name: recogniser for recogniser in (GoogleRecogniser, AwsRecogniser, AzureRecogniser)
}


@dataclass(frozen=True)
class Answer:
    """What one of those compared says of an image.

    Attributes
    ----------
    reader : str
        "digitreader", or the name of a cloud.
    text : str, optional
        As it was given, words apart by spaces; None if there is no answer.
    confidence : float, optional
        Ours is the calibrated probability that the whole text is right, that of a cloud the least of its words with
        digits: they do not mean the same.
    seconds : float, optional
        Until the answer was there; of a cloud with the way there and back, and with repetitions.
    sent : dict, optional
        The file that a cloud got, see `SentImage.to_dict`.
    error : str, optional
        Why there is no answer.
    """

    reader: str
    text: str | None = None
    confidence: float | None = None
    seconds: float | None = None
    sent: dict[str, Any] | None = None
    error: str | None = None

    @property
    def digits(self) -> str | None:
        """The digits of the text; None if there is no answer."""
        return None if self.text is None else to_digits(self.text)


@dataclass(frozen=True)
class Comparison:
    """What all say of an image.

    Attributes
    ----------
    file : str
    label : str, optional
        Its digits, if they are known.
    answers : tuple of Answer
        Ours first; empty if the file cannot be read.
    error : str, optional
        Why the file cannot be read.
    """

    file: str
    label: str | None
    answers: tuple[Answer, ...] = ()
    error: str | None = None

    @property
    def complete(self) -> bool:
        """Whether all have answered."""
        return self.error is None and all(answer.error is None for answer in self.answers)

    def agrees(self, answer: Answer) -> bool | None:
        """Return whether an answer has the same digits as ours; None for ours, and without an answer."""
        ours = self.answers[0]
        return None if answer is ours or answer.digits is None else answer.digits == ours.digits

    def right(self, answer: Answer) -> bool | None:
        """Return whether an answer has the digits of the label; None without a label or an answer."""
        return None if self.label is None or answer.digits is None else answer.digits == self.label

    def to_dict(self) -> dict[str, Any]:
        """Return the comparison as JSON knows it."""
        if self.error is not None:
            return {"file": self.file, "error": self.error}
        answers = [
            {
                "reader": answer.reader,
                "digits": answer.digits,
                "text": answer.text,
                "confidence": answer.confidence,
                "seconds": answer.seconds,
                "usd_per_1000": price(answer.reader),
                "agrees": self.agrees(answer),
                "right": self.right(answer),
                "sent": answer.sent,
                "error": answer.error,
            }
            for answer in self.answers
        ]
        return {"file": self.file, "label": self.label, "answers": answers}


def price(reader: str) -> float | None:
    """Return the US dollars for a thousand images; None for ours, which has no price an image."""
    return PRICES[reader].usd_per_1000 if reader in PRICES else None


def compare(
    names: Iterable[str],
    sources: Iterable[str | bytes],
    recognisers: Sequence[TextRecogniser],
    reader: DigitReader,
    *,
    single: bool = False,
    labels: Mapping[str, str] | None = None,
) -> Iterator[Comparison]:
    """Send each image to each recogniser, and yield what they and the reader say of it.

    What goes wrong at one of them stops neither the others nor the next image. One that has no credentials, or whose
    credentials are refused, is not asked again.

    Parameters
    ----------
    names : iterable of str
    sources : iterable of str or bytes
        Paths, or files' contents.
    recognisers : sequence of TextRecogniser
    reader : DigitReader
    single : bool
        Each picture shows one digit; otherwise a line of them.
    labels : mapping of str to str, optional
        The digits of each name.
    """
    useless: dict[str, str] = {}

    def ours(content: bytes) -> Answer:
        started = time.perf_counter()
        try:
            if single:
                digit = reader.predict_image(content)
                text, confidence = str(digit.digit), digit.confidence
            else:
                line = reader.read(content)
                text, confidence = line.text, line.confidence
        except BlankImageError:  # a recogniser says as much by finding no text
            return Answer(OURS, "", None, time.perf_counter() - started)
        return Answer(OURS, text, confidence, time.perf_counter() - started)

    def theirs(recogniser: TextRecogniser, content: bytes) -> Answer:
        name = recogniser.name
        if name in useless:
            return Answer(name, error=useless[name])
        sent = None
        try:
            image = fit(content, recogniser.limits)
            sent = image.to_dict()
            started = time.perf_counter()
            words = recogniser.recognise(image.content)
            seconds = time.perf_counter() - started
        except (CloudError, ImageError) as error:
            if isinstance(error, CloudSetupError):
                useless[name] = str(error)
            return Answer(name, sent=sent, error=str(error))
        return Answer(name, " ".join(word.text for word in words), least_confidence(words), seconds, sent)

    for name, source in zip(names, sources, strict=True):
        label = labels[name] if labels else None
        try:
            content = _content(source)
        except ImageError as error:
            yield Comparison(name, label, error=str(error))
            continue
        yield Comparison(name, label, (ours(content), *(theirs(recogniser, content) for recogniser in recognisers)))


def summarise(comparisons: Sequence[Comparison]) -> list[dict[str, Any]]:
    """Return for each of those compared what it says of all images.

    Returns
    -------
    list of dict
        `reader`; `images` that were read or sent, of which `failed` got no answer: all else is of the others;
        `right`, of `labelled` ones, and this share with its 95 % interval, `accuracy` and `accuracy_95`; `agrees`, the
        share with the same digits as ours; `median_seconds`; `usd_per_1000`; `usd`, the price of the answers.
    """
    answers: dict[str, list[tuple[Comparison, Answer]]] = {}
    for comparison in comparisons:
        for answer in comparison.answers:
            answers.setdefault(answer.reader, []).append((comparison, answer))
    rows = []
    for reader, given in answers.items():
        rights = [right for comparison, answer in given if (right := comparison.right(answer)) is not None]
        alike = [agrees for comparison, answer in given if (agrees := comparison.agrees(answer)) is not None]
        seconds = [answer.seconds for _, answer in given if answer.seconds is not None]
        usd_per_1000 = price(reader)
        rows.append(
            {
                "reader": reader,
                "images": len(given),
                "failed": len(given) - len(seconds),
                "labelled": len(rights),
                "right": sum(rights),
                "accuracy": sum(rights) / len(rights) if rights else None,
                "accuracy_95": wilson(sum(rights), len(rights)) if rights else None,
                "agrees": sum(alike) / len(alike) if alike else None,
                "median_seconds": statistics.median(seconds) if seconds else None,
                "usd_per_1000": usd_per_1000,
                "usd": None if usd_per_1000 is None else usd_per_1000 * len(seconds) / 1000,
            }
        )
    return rows


def plan(name: str, source: str | bytes, recognisers: Sequence[TextRecogniser]) -> dict[str, Any]:
    """Return what would be sent of an image: nothing is, and credentials are not looked for.

    Returns
    -------
    dict
        `file`, and `would_send`: for each recogniser `reader` and `endpoint`, with the file as in `SentImage.to_dict`,
        or with an `error`; instead of it an `error` if the file cannot be read.
    """
    try:
        content = _content(source)
    except ImageError as error:
        return {"file": name, "error": str(error)}
    rows = []
    for recogniser in recognisers:
        row: dict[str, Any] = {"reader": recogniser.name}
        try:
            row["endpoint"] = recogniser.endpoint()
            row |= fit(content, recogniser.limits).to_dict()
        except (CloudError, ImageError) as error:
            row["error"] = str(error)
        rows.append(row)
    return {"file": name, "would_send": rows}


def summarise_plans(plans: Sequence[Mapping[str, Any]], recognisers: Iterable[TextRecogniser]) -> list[dict[str, Any]]:
    """Return what each recogniser would get of all images: `reader`, `images`, `bytes`, `usd_per_1000` and `usd`."""
    rows = []
    for recogniser in recognisers:
        reader = recogniser.name
        sizes = [
            sent["bytes"]
            for planned in plans
            for sent in planned.get("would_send", ())
            if sent["reader"] == reader and "error" not in sent
        ]
        usd = PRICES[reader].usd_per_1000
        rows.append(
            {
                "reader": reader,
                "images": len(sizes),
                "bytes": sum(sizes),
                "usd_per_1000": usd,
                "usd": usd * len(sizes) / 1000,
            }
        )
    return rows


def load_labels(path: Path, names: Iterable[str]) -> dict[str, str]:
    """Return the digits of each of some files from a table.

    Parameters
    ----------
    path : Path
        A CSV file with the columns `file`, relative to its own folder, and `text`.
    names : iterable of str
        Paths.

    Raises
    ------
    DataNotFoundError
        If the table cannot be read, or lacks one of the files.
    DataCorruptError
        If it is no such table, names a file twice, or has a text without digits.
    """
    labels: dict[Path, str] = {}
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            table = csv.DictReader(file)
            for row in table:
                name, digits = row.get("file"), to_digits(row.get("text") or "")
                if not name or not digits:
                    raise DataCorruptError(
                        f"{path}, line {table.line_num}: a name under `file` and digits under `text` are needed."
                    )
                key = (path.parent / name).resolve()
                if key in labels:
                    raise DataCorruptError(f"{path}, line {table.line_num}: {name} is there already.")
                labels[key] = digits
    except OSError as error:
        raise DataNotFoundError(f"{path} cannot be read: {error.strerror}.") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataCorruptError(f"{path} is no CSV file in UTF-8: {error}.") from error
    found = {name: labels.get(Path(name).resolve()) for name in names}
    missing = [name for name, label in found.items() if label is None]
    if missing:
        raise DataNotFoundError(f"{path} has no label for {missing[0]}, one of {len(missing)} that it lacks.")
    return {name: label for name, label in found.items() if label is not None}


def _content(source: str | bytes) -> bytes:
    """Return the content of a file that is an image, within our own limits."""
    load_image(source)
    return source if isinstance(source, bytes) else Path(source).read_bytes()
