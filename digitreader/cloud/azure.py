"""Azure Computer Vision: Image Analysis, Read."""

from __future__ import annotations

import os
from typing import Any

from digitreader.cloud.recogniser import MAX_WAIT, Limits, TextCandidate, TextRecogniser
from digitreader.errors import CloudError, CloudSetupError, CloudTimeoutError

ENDPOINT, KEY = "VISION_ENDPOINT", "VISION_KEY"  # environment variables, as Azure's own samples name them


class AzureRecogniser(TextRecogniser):
    """Reads with the key in `VISION_KEY`, or else with the credentials that `DefaultAzureCredential` finds."""

    name = "azure"
    # https://learn.microsoft.com/azure/ai-services/computer-vision/overview-image-analysis#input-requirements
    limits = Limits(
        frozenset({"PNG", "JPEG", "GIF", "BMP", "WEBP"}), max_bytes=20 * 2**20, min_side=50, max_side=16_000
    )

    def _import(self) -> None:
        import azure.ai.vision.imageanalysis
        import azure.identity  # noqa: F401

    def _endpoint(self) -> str:
        endpoint = os.environ.get(ENDPOINT)
        if not endpoint:
            raise CloudSetupError(f"azure needs the address of the resource in the environment variable {ENDPOINT}.")
        return endpoint

    def _connect(self) -> Any:
        from azure.ai.vision.imageanalysis import ImageAnalysisClient
        from azure.core.credentials import AzureKeyCredential
        from azure.core.pipeline.policies import RetryPolicy
        from azure.identity import DefaultAzureCredential

        class BoundedRetryPolicy(RetryPolicy[Any, Any]):
            """Waits no longer than we do, whatever the service asks for."""

            def get_retry_after(self, response: Any) -> float | None:
                asked = super().get_retry_after(response)
                return None if asked is None else min(asked, MAX_WAIT)

        retries = self.attempts - 1
        key = os.environ.get(KEY)
        return ImageAnalysisClient(
            self._endpoint(),
            AzureKeyCredential(key) if key else DefaultAzureCredential(),
            connection_timeout=self.timeout,
            read_timeout=self.timeout,
            retry_policy=BoundedRetryPolicy(
                retry_total=retries,
                retry_connect=retries,
                retry_read=retries,
                retry_status=retries,
                retry_backoff_max=MAX_WAIT,
            ),
        )

    def _recognise(self, content: bytes) -> list[TextCandidate]:
        from azure.ai.vision.imageanalysis.models import VisualFeatures

        # Reading changes nothing, so it may be repeated although it is a POST.
        answer = self._client.analyze(content, visual_features=[VisualFeatures.READ], retry_on_methods=["POST"])
        return [
            TextCandidate(word["text"], word["confidence"])
            for block in answer["readResult"]["blocks"]
            for line in block["lines"]
            for word in line["words"]
        ]

    def _typed(self, error: Exception) -> CloudError | None:
        from azure.core.exceptions import (
            ClientAuthenticationError,
            HttpResponseError,
            ServiceRequestError,
            ServiceResponseError,
        )

        name = type(error).__name__
        if isinstance(error, ServiceRequestError | ServiceResponseError):
            return self._error(CloudTimeoutError, name)
        if isinstance(error, HttpResponseError) and error.status_code:
            return self._by_status(error.status_code, error.error.code if error.error else name)
        if isinstance(error, ClientAuthenticationError):
            return self._error(CloudSetupError, name)
        return None
