"""Each cloud's recogniser, its SDK included, against a server that speaks as the cloud does."""

from __future__ import annotations

import sys
import traceback
from pathlib import Path

import pytest

from digitreader.cloud.compare import RECOGNISERS
from digitreader.cloud.recogniser import TextCandidate, TextRecogniser, least_confidence, to_digits
from digitreader.errors import (
    CloudError,
    CloudResponseError,
    CloudSetupError,
    CloudThrottledError,
    CloudTimeoutError,
)
from tests.cloud.conftest import SECRETS
from tests.cloud.server import HANGING, CloudServer, Reply, refusal, words

IMAGE = b"some image"
THROTTLED = {
    "google": refusal("google", 429, "RATE_LIMIT_EXCEEDED"),
    "aws": refusal("aws", 400, "ThrottlingException"),
    "azure": refusal("azure", 429, "TooManyRequests"),
}
FAILING = {
    "google": refusal("google", 503, "UNAVAILABLE"),
    "aws": refusal("aws", 500, "InternalServerError"),
    "azure": refusal("azure", 503, "ServiceUnavailable"),
}

clouds = pytest.mark.parametrize("cloud", list(RECOGNISERS))


def recogniser(cloud: str, attempts: int = 2, timeout: float = 10) -> TextRecogniser:
    return RECOGNISERS[cloud](timeout=timeout, attempts=attempts)


def error_of(cloud: str, attempts: int = 1, timeout: float = 10) -> CloudError:
    """Return the error of a recogniser that must fail."""
    with pytest.raises(CloudError) as caught:
        recogniser(cloud, attempts, timeout).recognise(IMAGE)
    return caught.value


@clouds
def test_words_come_in_order_with_their_confidence(server: CloudServer, cloud: str) -> None:
    server.replies[cloud] = [words(cloud, "ZIP", "94103", confidence=0.5)]
    found = recogniser(cloud).recognise(IMAGE)
    assert [(word.text, word.confidence) for word in found] == [("ZIP", 0.5), ("94103", 0.5)]
    assert server.images[cloud] == [IMAGE], "the bytes as they are"
    assert recogniser(cloud).endpoint() == server.url


@pytest.mark.parametrize(
    ("cloud", "nothing"),
    [
        ("google", Reply.of({"responses": [{}]})),
        ("aws", Reply.of({"TextDetections": []})),
        ("azure", Reply.of({"readResult": {"blocks": []}})),
    ],
)
def test_no_text_is_an_answer(server: CloudServer, cloud: str, nothing: Reply) -> None:
    server.replies[cloud] = [nothing]
    assert recogniser(cloud).recognise(IMAGE) == []


@clouds
@pytest.mark.parametrize("busy", [THROTTLED, FAILING])
def test_a_busy_service_is_asked_again(server: CloudServer, cloud: str, busy: dict[str, Reply]) -> None:
    server.replies[cloud] = [busy[cloud], words(cloud, "7")]
    assert [word.text for word in recogniser(cloud).recognise(IMAGE)] == ["7"]
    assert len(server.images[cloud]) == 2


@clouds
@pytest.mark.parametrize(("busy", "kind"), [(THROTTLED, CloudThrottledError), (FAILING, CloudResponseError)])
def test_not_for_ever(server: CloudServer, cloud: str, busy: dict[str, Reply], kind: type[CloudError]) -> None:
    server.replies[cloud] = [busy[cloud]]
    assert type(error_of(cloud, attempts=2)) is kind
    assert len(server.images[cloud]) == 2


def test_azure_cannot_make_us_wait_for_an_hour(server: CloudServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("digitreader.cloud.azure.MAX_WAIT", 0.1)
    server.replies["azure"] = [refusal("azure", 429, "429", Retry_After="3600"), words("azure", "7")]
    assert [word.text for word in recogniser("azure").recognise(IMAGE)] == ["7"]


@clouds
def test_a_service_that_does_not_answer(server: CloudServer, cloud: str) -> None:
    server.replies[cloud] = [HANGING]
    assert type(error_of(cloud, attempts=2, timeout=0.3)) is CloudTimeoutError
    assert len(server.images[cloud]) == 2


@clouds
def test_nobody_listens(server: CloudServer, cloud: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ENDPOINT_URL_REKOGNITION", "GOOGLE_VISION_ENDPOINT", "VISION_ENDPOINT"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert type(error_of(cloud)) is CloudTimeoutError


@pytest.mark.parametrize(
    ("cloud", "status", "code"),
    [
        ("google", 401, "ACCESS_TOKEN_EXPIRED"),
        ("google", 403, "SERVICE_DISABLED"),
        ("aws", 400, "UnrecognizedClientException"),
        ("aws", 400, "AccessDeniedException"),
        ("azure", 401, "Unauthorized"),
        ("azure", 403, "Forbidden"),
    ],
)
def test_refused_credentials_are_named_but_not_told(server: CloudServer, cloud: str, status: int, code: str) -> None:
    echo = f"{SECRETS} {code}"
    server.replies[cloud] = [refusal(cloud, status, code, echo)]
    error = error_of(cloud)
    assert type(error) is CloudSetupError
    assert code in str(error)
    told = "".join(traceback.format_exception(error))
    assert not any(secret in told for secret in (*SECRETS.values(), *server.credentials))


@clouds
def test_a_secret_in_place_of_a_code_is_not_told(server: CloudServer, cloud: str) -> None:
    secret = SECRETS["VISION_KEY"]
    server.replies[cloud] = [refusal(cloud, 400, secret, secret)]
    assert secret not in str(error_of(cloud))


@clouds
def test_no_credentials(cloud: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    monkeypatch.setenv("VISION_ENDPOINT", "https://127.0.0.1:9")
    assert type(error_of(cloud)) is CloudSetupError


def test_the_endpoint_is_told_without_a_look_at_credentials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looked = tmp_path / "looked"
    program = f"{sys.executable} -c \"open(r'{looked}', 'w')\""
    (tmp_path / "AWS_CONFIG_FILE").write_text(f"[default]\nregion = eu-west-1\ncredential_process = {program}\n")
    assert recogniser("aws").endpoint() == "https://rekognition.eu-west-1.amazonaws.com"
    assert not looked.exists()
    monkeypatch.setenv("AWS_ENDPOINT_URL_REKOGNITION", "http://127.0.0.1:9")
    assert type(error_of("aws")) is CloudSetupError
    assert looked.exists(), "sending does look"


def test_settings_that_are_missing_are_named() -> None:
    with pytest.raises(CloudSetupError, match="AWS_DEFAULT_REGION"):
        recogniser("aws").endpoint()
    with pytest.raises(CloudSetupError, match="VISION_ENDPOINT"):
        recogniser("azure").endpoint()
    assert recogniser("google").endpoint() == "vision.googleapis.com"


def test_settings_that_cannot_be_used_are_told_apart_from_answers(
    server: CloudServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "account.json").write_text("{")
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "account.json"))
    assert type(error_of("google")) is CloudSetupError
    monkeypatch.setenv("AWS_ENDPOINT_URL_REKOGNITION", "no address")
    with pytest.raises(CloudSetupError):
        recogniser("aws").endpoint()
    assert type(error_of("aws")) is CloudSetupError


@clouds
@pytest.mark.parametrize(
    "reply",
    [
        Reply(body=b""),
        Reply(body=b"<html>Welcome to the hotel</html>", headers={"Content-Type": "text/html"}),
        Reply(body=b"{"),
        Reply(body=b"{}"),
        Reply(body=b"[]"),
        Reply(body=b'"text"'),
        Reply(400, b"<html>"),
        Reply(404, b""),
    ],
)
def test_answers_that_are_none(server: CloudServer, cloud: str, reply: Reply) -> None:
    server.replies[cloud] = [reply]
    assert type(error_of(cloud)) is CloudResponseError


@pytest.mark.parametrize(
    ("cloud", "content"),
    [
        ("google", {"responses": []}),
        ("google", {"responses": [{"error": {"code": 3, "message": "Bad image data."}}]}),
        ("google", {"responses": [{"fullTextAnnotation": {"pages": 7}}]}),
        ("aws", {"TextDetections": [{"Type": "WORD"}]}),
        ("aws", {"TextDetections": [{"Type": "WORD", "DetectedText": "7", "Confidence": "high"}]}),
        ("azure", {"readResult": {"blocks": [{"lines": [{"text": "7"}]}]}}),
        ("azure", {"readResult": {"blocks": [{"lines": [{"words": [{"text": 7, "confidence": 1}]}]}]}}),
        ("azure", {"readResult": {"blocks": [{"lines": [{"words": [{"text": "7", "confidence": 99}]}]}]}}),
    ],
)
def test_answers_that_lack_something(server: CloudServer, cloud: str, content: object) -> None:
    server.replies[cloud] = [Reply.of(content)]
    assert type(error_of(cloud)) is CloudResponseError


def test_digits_of_a_text() -> None:
    assert to_digits("20500-0003") == "205000003"
    assert to_digits("O1 l٣, ７½²") == "137", "of other scripts too, but letters, fractions and exponents are none"


def test_the_least_confident_word_with_digits_counts() -> None:
    found = [TextCandidate("ZIP", 0.1), TextCandidate("94", 0.9), TextCandidate("103", 0.8), TextCandidate("7", None)]
    assert least_confidence(found) == 0.8
    assert least_confidence(found[:1]) is None
