"""AWS Rekognition: DetectText."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from digitreader.cloud.recogniser import Limits, TextCandidate, TextRecogniser
from digitreader.errors import CloudError, CloudSetupError, CloudThrottledError, CloudTimeoutError

# Rekognition says all of these with status 400.
KINDS: dict[str, type[CloudError]] = {
    "AccessDeniedException": CloudSetupError,
    "ExpiredTokenException": CloudSetupError,
    "IncompleteSignatureException": CloudSetupError,
    "InvalidSignatureException": CloudSetupError,
    "MissingAuthenticationTokenException": CloudSetupError,
    "UnrecognizedClientException": CloudSetupError,
    "LimitExceededException": CloudThrottledError,
    "ProvisionedThroughputExceededException": CloudThrottledError,
    "ThrottlingException": CloudThrottledError,
}


class AwsRecogniser(TextRecogniser):
    """Reads with the credentials, the region and the endpoint that boto3 finds."""

    name = "aws"
    # https://docs.aws.amazon.com/rekognition/latest/dg/limits.html; the largest side is stated for other operations.
    limits = Limits(frozenset({"PNG", "JPEG"}), max_bytes=5 * 2**20, min_side=80, max_side=10_000)

    def _import(self) -> None:
        import boto3  # noqa: F401

    def _connect(self) -> Any:
        import boto3
        from botocore.config import Config

        config = Config(
            connect_timeout=self.timeout,
            read_timeout=self.timeout,
            retries={"mode": "standard", "total_max_attempts": self.attempts},
        )
        return boto3.Session().client("rekognition", config=config)

    @cached_property
    def _address(self) -> str:
        import boto3
        from botocore import UNSIGNED
        from botocore.config import Config

        unsigned = Config(signature_version=UNSIGNED)  # a client that signs looks for credentials when it is made
        return str(boto3.Session().client("rekognition", config=unsigned).meta.endpoint_url)

    def _endpoint(self) -> str:
        return self._address

    def _recognise(self, content: bytes) -> list[TextCandidate]:
        answer = self._client.detect_text(Image={"Bytes": content})
        return [
            TextCandidate(found["DetectedText"], found["Confidence"] / 100)
            for found in answer["TextDetections"]
            if found["Type"] == "WORD"
        ]

    def _typed(self, error: Exception) -> CloudError | None:
        from botocore.exceptions import BotoCoreError, ClientError, ConnectionError, HTTPClientError, NoRegionError

        name = type(error).__name__
        if isinstance(error, ClientError):
            code = error.response.get("Error", {}).get("Code")
            status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
            return self._error(KINDS[code], code) if code in KINDS else self._by_status(status, code)
        if isinstance(error, NoRegionError):
            return CloudSetupError("aws needs a region, as in the environment variable AWS_DEFAULT_REGION.")
        if isinstance(error, HTTPClientError | ConnectionError):
            return self._error(CloudTimeoutError, name)
        if isinstance(error, BotoCoreError):  # of the many kinds the others are of credentials and settings
            return self._error(CloudSetupError, name)
        return None
