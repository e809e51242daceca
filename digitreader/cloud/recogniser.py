"""What the recognisers of all clouds have in common: the interface, their limits, prices and errors."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

from digitreader.errors import (
    CloudError,
    CloudResponseError,
    CloudSetupError,
    CloudThrottledError,
    CloudTimeoutError,
    DigitReaderError,
    extra,
)

TIMEOUT = 20.0  # seconds that an attempt may take
ATTEMPTS = 4  # at most, the first included
MAX_WAIT = 10.0  # seconds between two of them
CODE = re.compile(r"[A-Za-z_]{3,60}")  # what errors of services are called; keys and tokens have digits
SAYS: dict[type[CloudError], str] = {
    CloudSetupError: "has no usable credentials or settings, or refuses them",
    CloudThrottledError: "refuses so many requests, or a quota is used up",
    CloudTimeoutError: "cannot be reached, or does not answer in time",
    CloudResponseError: "refuses the image, fails, or answers what cannot be understood",
}


@dataclass(frozen=True)
class TextCandidate:
    """A word that a recogniser found.

    Attributes
    ----------
    text : str
        As the recogniser gives it.
    confidence : float, optional
        From 0 to 1, as the recogniser gives it; None if it gives none.
    """

    text: str
    confidence: float | None

    def __post_init__(self) -> None:
        """Raise unless it is what a service should answer."""
        if not isinstance(self.text, str) or not (self.confidence is None or 0 <= self.confidence <= 1):
            raise ValueError("A word is a text with a confidence from 0 to 1.")


@dataclass(frozen=True)
class Limits:
    """What a recogniser accepts.

    Attributes
    ----------
    formats : frozenset of str
        As Pillow names them.
    max_bytes : int
    min_side, max_side : int
        In pixels, of width and height.

    Notes
    -----
    How many pixels an image has in all is limited by `digitreader.images.MAX_PIXELS`, to less than any of the services
    does.
    """

    formats: frozenset[str]
    max_bytes: int
    min_side: int
    max_side: int


@dataclass(frozen=True)
class Price:
    """What the first paid tier costs by the provider's list.

    Attributes
    ----------
    usd_per_1000 : float
        US dollars for a thousand images.
    source : str
        The page that has it.
    """

    usd_per_1000: float
    source: str


PRICES = {
    "google": Price(1.50, "https://cloud.google.com/vision/pricing"),
    "aws": Price(1.00, "https://aws.amazon.com/rekognition/pricing/"),
    "azure": Price(1.50, "https://azure.microsoft.com/pricing/details/cognitive-services/computer-vision/"),
}
"""List prices in November 2026, of US regions, free quotas aside; Azure's is not confirmed, since its page has no fixed
figures. They change: look at the pages before a large run."""


class TextRecogniser(ABC):
    """A service that finds text in images. Nothing is sent, and no credentials are looked for, before `recognise`.

    Parameters
    ----------
    timeout : float
        Seconds that an attempt may take.
    attempts : int
        How often an image is sent at most, if the service is busy, fails or does not answer.

    Raises
    ------
    MissingExtraError
        If the service's SDK is not installed.
    """

    name: ClassVar[str]
    limits: ClassVar[Limits]

    def __init__(self, *, timeout: float = TIMEOUT, attempts: int = ATTEMPTS) -> None:
        self.timeout = timeout
        self.attempts = attempts
        with extra("cloud", "the comparison with clouds needs"):
            self._import()

    def recognise(self, content: bytes) -> list[TextCandidate]:
        """Send an image and return the words that the service finds, in reading order.

        Parameters
        ----------
        content : bytes
            A file within `limits`.

        Raises
        ------
        CloudSetupError
            If credentials, region or endpoint are missing or refused.
        CloudThrottledError, CloudTimeoutError, CloudResponseError
            If there is no proper answer after all attempts.
        """
        with self._typed_errors(CloudResponseError):
            return self._recognise(content)

    def endpoint(self) -> str:
        """Return the address that images are sent to.

        Raises
        ------
        CloudSetupError
            If the settings do not say it.
        """
        with self._typed_errors(CloudSetupError):
            return self._endpoint()

    @cached_property
    def _client(self) -> Any:
        with self._typed_errors(CloudSetupError):
            return self._connect()

    @contextmanager
    def _typed_errors(self, otherwise: type[CloudError]) -> Iterator[None]:
        try:
            yield
        except DigitReaderError:
            raise
        except Exception as error:  # SDKs let many kinds through
            # What a service or an SDK says may hold keys, tokens or what was signed: it is neither passed on nor shown
            # in a traceback.
            raise self._typed(error) or self._error(otherwise, type(error).__name__) from None

    @abstractmethod
    def _import(self) -> None:
        """Import the SDK."""

    @abstractmethod
    def _endpoint(self) -> str: ...

    @abstractmethod
    def _connect(self) -> Any:
        """Return the SDK's client."""

    @abstractmethod
    def _recognise(self, content: bytes) -> list[TextCandidate]: ...

    @abstractmethod
    def _typed(self, error: Exception) -> CloudError | None:
        """Return the error of this package for one of the SDK; None if what it means depends on when it comes."""

    def _by_status(self, status: int, *codes: object) -> CloudError:
        """Return the error for an HTTP status."""
        kinds: dict[int, type[CloudError]] = {
            401: CloudSetupError,
            403: CloudSetupError,
            408: CloudTimeoutError,
            429: CloudThrottledError,
            504: CloudTimeoutError,
        }
        return self._error(kinds.get(status, CloudResponseError), status, *codes)

    def _error(self, kind: type[CloudError], *codes: object) -> CloudError:
        """Return an error that names the recogniser and, of some codes of the service or the SDK, the harmless ones."""
        harmless = (code for code in codes if isinstance(code, int) or (isinstance(code, str) and CODE.fullmatch(code)))
        told = " ".join(map(str, harmless))
        return kind(f"{self.name} {SAYS[kind]}{f' ({told})' if told else ''}.")


def to_digits(text: str) -> str:
    """Return the digits of a text, those of other scripts as 0 to 9. All else is left out, so an O is no 0."""
    return "".join(str(int(symbol)) for symbol in text if symbol.isdecimal())


def least_confidence(candidates: Sequence[TextCandidate]) -> float | None:
    """Return the least confidence of the words with digits; None if none states one."""
    stated = (candidate.confidence for candidate in candidates if to_digits(candidate.text))
    return min((confidence for confidence in stated if confidence is not None), default=None)
