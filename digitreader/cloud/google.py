"""Google Cloud Vision: document text detection."""

from __future__ import annotations

import os
from functools import partial
from itertools import count
from typing import Any

from digitreader.cloud.recogniser import MAX_WAIT, Limits, TextCandidate, TextRecogniser
from digitreader.errors import CloudError, CloudResponseError, CloudSetupError, CloudTimeoutError

ENDPOINT = "GOOGLE_VISION_ENDPOINT"
"""Environment variable with another endpoint, such as eu-vision.googleapis.com, which keeps images in the EU."""


class GoogleRecogniser(TextRecogniser):
    """Reads with Google's application default credentials."""

    name = "google"
    # https://cloud.google.com/vision/docs/supported-files; a request of 10 MB holds the image as base64. Sides are not
    # limited, but by JPEG.
    limits = Limits(frozenset({"PNG", "JPEG", "GIF", "BMP", "WEBP"}), max_bytes=7_000_000, min_side=1, max_side=65_535)

    def _import(self) -> None:
        from google.cloud import vision  # noqa: F401

    def _endpoint(self) -> str:
        return os.environ.get(ENDPOINT) or "vision.googleapis.com"

    def _connect(self) -> Any:
        from google.cloud import vision

        return vision.ImageAnnotatorClient(transport="rest", client_options={"api_endpoint": self._endpoint()})

    def _recognise(self, content: bytes) -> list[TextCandidate]:
        from google.api_core.retry import Retry, if_transient_error
        from google.cloud import vision
        from requests import Timeout

        attempt = count(1)

        def again(error: Exception) -> bool:
            passing = if_transient_error(error) or isinstance(error, Timeout) or getattr(error, "code", 0) in (502, 504)
            return passing and next(attempt) < self.attempts

        answer = self._client.batch_annotate_images(
            requests=[
                {
                    "image": {"content": content},
                    "features": [{"type_": vision.Feature.Type.DOCUMENT_TEXT_DETECTION}],
                }
            ],
            retry=Retry(again, initial=1, maximum=MAX_WAIT, timeout=self.attempts * (self.timeout + MAX_WAIT)),
            timeout=lambda call: partial(call, timeout=self.timeout),  # of each attempt
        )
        (result,) = answer.responses
        if result.error.code:
            raise self._error(CloudResponseError, result.error.code)
        return [
            TextCandidate("".join(symbol.text for symbol in word.symbols), word.confidence or None)
            for page in result.full_text_annotation.pages
            for block in page.blocks
            for paragraph in block.paragraphs
            for word in paragraph.words
        ]

    def _typed(self, error: Exception) -> CloudError | None:
        from google.api_core.exceptions import GoogleAPICallError, RetryError
        from google.auth.exceptions import GoogleAuthError, TransportError
        from requests import RequestException

        if isinstance(error, RetryError):
            error = error.cause or error
        if isinstance(error, RequestException | RetryError | TransportError):
            return self._error(CloudTimeoutError, type(error).__name__)
        if isinstance(error, GoogleAuthError):
            return self._error(CloudSetupError, type(error).__name__)
        if isinstance(error, GoogleAPICallError) and error.code:
            return self._by_status(int(error.code), error.reason)
        return None
