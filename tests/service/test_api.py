"""What the service answers."""

from __future__ import annotations

import base64
import io
from typing import Any

import httpx
import pytest
from PIL import Image

from benchmarks.bad_input import saved
from digitreader.reader import DigitReader
from tests.service.server import Server

JSON = "application/json"
PROBLEM = "application/problem+json"


def text(content: bytes) -> str:
    """Return bytes as Base64."""
    return base64.b64encode(content).decode()


def problem(answer: httpx.Response, status: int, kind: str) -> dict[str, Any]:
    """Return the problem that an answer states, after checking which it is."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == PROBLEM
    content: dict[str, Any] = answer.json()
    assert content["type"] == f"urn:digitreader:problem:{kind}"
    assert content["status"] == status
    assert content["title"]
    return content


def test_a_digit_as_file_and_as_json(client: httpx.Client, samples: dict[str, bytes], reader: DigitReader) -> None:
    expected = reader.predict_image(samples["seven"])
    for answer in (
        client.post("/predict", files={"image": samples["seven"]}),
        client.post("/predict", json={"image": text(samples["seven"])}),
    ):
        assert answer.status_code == 200
        found = answer.json()
        assert found.keys() == expected.to_dict().keys()
        assert (found["digit"], found["decision"], found["reason"]) == (7, "accept", "ok")
        assert found["confidence"] == pytest.approx(expected.confidence, abs=1e-6)
        assert found["probabilities"] == pytest.approx(expected.probabilities, abs=1e-6)


def test_a_field(client: httpx.Client, samples: dict[str, bytes], reader: DigitReader) -> None:
    answer = client.post("/read", params={"zip": True, "length": 5}, files={"image": samples["zip"]})
    expected = reader.read(samples["zip"], 5, zip_codes=True).to_dict()
    found = answer.json()
    assert found["text"] == expected["text"] == "94103"
    assert [digit["box"] for digit in found["digits"]] == [list(digit["box"]) for digit in expected["digits"]]
    other = client.post("/read", params={"length": 4}, files={"image": samples["zip"]}).json()
    assert other["decision"] == "review"


@pytest.mark.parametrize("form", ["files", "json"])
def test_a_batch_keeps_its_order(client: httpx.Client, samples: dict[str, bytes], form: str) -> None:
    images = [samples["seven"], b"no image", samples["seven"]]
    sent: dict[str, Any] = {"json": {"images": [text(image) for image in images]}}
    if form == "files":
        sent = {"files": [("images", image) for image in images]}
    answer = client.post("/predict/batch", **sent)
    first, bad, last = answer.json()
    assert first == last
    assert first["reading"]["digit"] == 7
    assert first["problem"] is None
    assert bad["reading"] is None
    assert bad["problem"]["type"] == "urn:digitreader:problem:no-image"
    assert "not an image" in bad["problem"]["detail"]


def test_an_explanation_is_a_picture(client: httpx.Client, samples: dict[str, bytes]) -> None:
    own = client.post("/explain", files={"image": samples["seven"]})
    other = client.post("/explain", params={"digit": 1}, files={"image": samples["seven"]})
    assert own.headers["content-type"] == "image/png"
    with Image.open(io.BytesIO(own.content)) as picture:
        assert picture.width == 2 * picture.height
    assert own.content != other.content


@pytest.mark.parametrize("path", ["/predict", "/read", "/explain"])
@pytest.mark.parametrize(
    ("sent", "status", "kind"),
    [
        ({"content": b"{", "headers": {"content-type": JSON}}, 400, "malformed-body"),
        (
            {"content": b"garbage", "headers": {"content-type": "multipart/form-data; boundary=x"}},
            400,
            "malformed-body",
        ),
        ({"content": b"--x", "headers": {"content-type": "multipart/form-data"}}, 400, "malformed-body"),
        (
            {
                "content": b'--x\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\nhalf',
                "headers": {"content-type": "multipart/form-data; boundary=x"},
            },
            400,
            "malformed-body",
        ),
        (
            {
                "content": b'--x\r\nContent-Disposition: form-data; name="\xff"; filename="a"\r\n\r\n1\r\n--x--\r\n',
                "headers": {"content-type": "multipart/form-data; boundary=x"},
            },
            422,
            "invalid-request",
        ),
        (
            {
                "content": b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n--x--\r\n',
                "headers": {"content-type": "multipart/form-data; boundary=x; charset=punycode"},
            },
            415,
            "unsupported-media-type",
        ),
        ({"content": b"seven"}, 415, "unsupported-media-type"),
        ({"content": b"seven", "headers": {"content-type": "image/png"}}, 415, "unsupported-media-type"),
        ({"json": {"image": "=="}}, 422, "invalid-request"),
        ({"json": {"picture": ""}}, 422, "invalid-request"),
        ({"json": {"image": "", "length": 5}}, 422, "invalid-request"),
        ({"json": {"image": "", **{f"key {number}": 0 for number in range(10_000)}}}, 422, "invalid-request"),
        ({"data": {"image": "seven", "other": "1"}}, 415, "unsupported-media-type"),
        ({"json": ["image"]}, 422, "invalid-request"),
        ({"files": {"picture": b"seven"}}, 422, "invalid-request"),
        ({"data": {"image": "seven"}, "files": {"other": b""}}, 422, "invalid-request"),
        ({"files": [("image", b"1"), ("image", b"2")]}, 422, "invalid-request"),
        ({"files": [("image", b"1")] * 50}, 422, "invalid-request"),
        ({"files": {"image": b"no image"}}, 422, "no-image"),
        ({"files": {"image": b""}}, 422, "no-image"),
        ({"json": {"image": ""}}, 422, "no-image"),
        (
            {"content": b"{}", "headers": {"content-type": JSON, "content-encoding": "gzip"}},
            415,
            "unsupported-media-type",
        ),
        ({"content": bytes(400_000), "headers": {"content-type": JSON}}, 413, "too-large"),
    ],
)
def test_bad_bodies(client: httpx.Client, path: str, sent: dict[str, Any], status: int, kind: str) -> None:
    problem(client.post(path, **sent), status, kind)


def drawn(width: int, height: int, ink: int = 0) -> bytes:
    """Return a PNG, white but for one stroke."""
    image = Image.new("L", (width, height), 255)
    image.paste(ink, (width // 3, height // 4, width // 3 + width // 9, height // 2))
    return saved(image)


def test_bad_pictures(client: httpx.Client) -> None:
    blank = problem(client.post("/predict", files={"image": drawn(50, 50, ink=255)}), 422, "blank-image")
    assert "no ink" in blank["detail"]
    large = problem(client.post("/predict", files={"image": drawn(2000, 2000)}), 413, "too-large")
    assert "1,000,000" in large["detail"]
    broken = drawn(60, 60)[:-40]
    assert "damaged" in problem(client.post("/read", json={"image": text(broken)}), 422, "no-image")["detail"]


def test_bad_batches(client: httpx.Client, samples: dict[str, bytes]) -> None:
    problem(client.post("/predict/batch", json={"images": []}), 422, "invalid-request")
    for many in (5, 50):
        for sent in ({"json": {"images": ["AA=="] * many}}, {"files": [("images", b"1")] * many}):
            assert "4" in problem(client.post("/predict/batch", **sent), 422, "invalid-request")["detail"]
    problem(client.post("/predict/batch", json={"images": ["AA=="] * 2000}), 422, "invalid-request")
    problem(client.post("/predict/batch", json={"images": [0] * 100_000}), 422, "invalid-request")
    problem(client.post("/predict/batch", files={"image": samples["seven"]}), 422, "invalid-request")


def test_narrow_strips(client: httpx.Client, samples: dict[str, bytes]) -> None:
    strip = Image.new("L", (1, 5000), 255)
    strip.paste(0, (0, 0, 1, 2500))
    assert client.post("/predict", files={"image": saved(strip)}).status_code in (200, 422)
    images = [samples["seven"], saved(strip), samples["seven"]]
    first, _, last = client.post("/predict/batch", files=[("images", image) for image in images]).json()
    assert first["reading"]["digit"] == last["reading"]["digit"] == 7


def test_bad_parameters(client: httpx.Client, samples: dict[str, bytes]) -> None:
    for path, parameters in (("/read", {"length": 0}), ("/read", {"zip": "maybe"}), ("/explain", {"digit": 10})):
        answer = client.post(path, params=parameters, files={"image": samples["seven"]})
        assert next(iter(parameters)) in problem(answer, 422, "invalid-request")["detail"]


def test_head(client: httpx.Client) -> None:
    for path in ("/", "/livez", "/readyz", "/version", "/metrics", "/docs"):
        answer = client.head(path)
        assert answer.is_success
        assert not answer.content


def test_unknown_paths_and_methods(client: httpx.Client) -> None:
    problem(client.get("/nowhere"), 404, "http-not-found")
    problem(client.get("/predict"), 405, "http-method-not-allowed")


def test_what_operators_ask_for(client: httpx.Client, reader: DigitReader) -> None:
    assert client.get("/livez").status_code == 204
    assert client.get("/readyz").status_code == 204
    version = client.get("/version").json()
    assert version["thresholds"]["digit_min_confidence"] == reader.calibration.min_confidence
    assert version["versions"].keys() >= {"onnxruntime", "numpy", "fastapi"}
    for path in ("/livez", "/nowhere", "/predict"):
        assert client.get(path).headers["x-model"] == version["model"]


def test_metrics_count_decisions_and_confidences(client: httpx.Client, samples: dict[str, bytes]) -> None:
    def value(name: str) -> float:
        lines = client.get("/metrics").text.splitlines()
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name))

    names = (
        'digits_decisions_total{decision="accept",kind="digit",reason="ok"}',
        'digits_confidence_count{kind="digit"}',
        'digits_requests_total{method="POST",path="/predict",status="200"}',
        'digits_requests_total{method="POST",path="/predict",status="422"}',
        'digits_request_seconds_count{path="/predict"}',
        'digits_request_bytes_count{path="/predict"}',
    )
    before = [value(name) for name in names]
    client.post("/predict", files={"image": samples["seven"]})
    client.post("/predict", files={"image": b"no image"})
    assert [value(name) - was for name, was in zip(names, before, strict=True)] == [1, 1, 1, 1, 2, 2]


def test_headers_of_every_answer(client: httpx.Client) -> None:
    for path in ("/", "/livez", "/nowhere", "/page/app.js"):
        headers = client.get(path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]
        assert "server" not in headers
        assert "access-control-allow-origin" not in headers
    given = client.get("/livez", headers={"x-request-id": "parcel-17"})
    assert given.headers["x-request-id"] == "parcel-17"
    made = client.get("/livez", headers={"x-request-id": "two words\t!"})
    assert made.headers["x-request-id"] != "two words\t!"


def test_documentation_needs_no_other_site(client: httpx.Client) -> None:
    page = client.get("/docs").text
    assert "://" not in page.replace("http://www.w3.org", "")
    document = client.get("/openapi.json").json()
    assert document["paths"].keys() >= {"/predict", "/predict/batch", "/read", "/explain", "/version"}


def test_documented_examples_are_what_is_answered(client: httpx.Client, samples: dict[str, bytes]) -> None:
    document = client.get("/openapi.json").json()
    request = document["paths"]["/predict"]["post"]["requestBody"]["content"][JSON]["schema"]
    (picture,) = request["properties"]["image"]["examples"]
    (reading,) = document["components"]["schemas"]["Reading"]["examples"]
    found = client.post("/predict", json={"image": picture}).json()
    probabilities = found.pop("probabilities")
    assert probabilities == pytest.approx(reading.pop("probabilities"), abs=5e-4)
    assert found == pytest.approx(reading, abs=5e-4)
    (field,) = document["components"]["schemas"]["FieldReading"]["examples"]
    found = client.post("/read", params={"zip": True}, files={"image": samples["zip"]}).json()
    for digit, documented in zip(found.pop("digits"), field.pop("digits"), strict=True):
        assert digit.pop("box") == documented.pop("box")
        assert digit == pytest.approx(documented, abs=5e-4)
    assert found == pytest.approx(field, abs=5e-4)
    (malformed,) = document["paths"]["/read"]["post"]["responses"]["400"]["content"][PROBLEM]["examples"].values()
    answered = client.post("/read", content=b"{", headers={"content-type": JSON}).json()
    assert malformed["value"].items() <= answered.items()


def test_the_log_names_requests_and_holds_no_image() -> None:
    with Server(DIGITS_API_KEYS="secret-one,secret-two") as server, httpx.Client(base_url=server.url) as client:
        picture = drawn(60, 60)
        problem(client.post("/predict", files={"image": picture}), 401, "unauthorized")
        problem(
            client.post("/predict", headers={"X-API-Key": "secret"}, json={"image": text(picture)}), 401, "unauthorized"
        )
        headers = {"X-API-Key": "secret-two", "X-Request-ID": "one"}
        assert client.post("/predict", headers=headers, json={"image": text(picture)}).status_code == 200
        assert client.post("/predict", headers=headers, json={"image": f"{text(picture)}!"}).status_code == 422
        assert client.get("/livez").status_code == 204, "probes have no key"
        assert client.get("/version").status_code == 401
        assert server.stop() == 0
    entries = [entry for entry in server.log() if entry["event"] == "request"]
    assert [entry["status"] for entry in entries] == [401, 401, 200, 422, 204, 401]
    assert entries[2]["id"] == "one"
    assert entries[2].keys() >= {"method", "path", "milliseconds", "bytes", "timestamp", "level"}
    everything = "".join(server.lines)
    assert "secret" not in everything
    assert text(picture)[:20] not in everything


def test_other_sites_are_let_in_by_name_alone(samples: dict[str, bytes]) -> None:
    origin = {"Origin": "https://sorting.example"}
    with Server(DIGITS_CORS_ORIGINS="https://sorting.example") as server, httpx.Client(base_url=server.url) as client:
        answer = client.post("/predict", headers=origin, files={"image": samples["seven"]})
        assert answer.headers["access-control-allow-origin"] == "https://sorting.example"
        other = client.post("/predict", headers={"Origin": "https://other.example"}, files={"image": samples["seven"]})
        assert "access-control-allow-origin" not in other.headers
        asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type,x-api-key"}
        preflight = client.options("/predict", headers=origin | asked)
        assert preflight.status_code == 200
        assert "x-api-key" in preflight.headers["access-control-allow-headers"].lower()
        refused = client.post("/predict", headers=origin | {"content-encoding": "gzip"}, content=b"")
        assert refused.status_code == 415
        assert refused.headers["access-control-allow-origin"] == "https://sorting.example"
        assert "X-Model" in refused.headers["access-control-expose-headers"]


def test_without_the_page() -> None:
    with Server("--no-page") as server, httpx.Client(base_url=server.url) as client:
        for path in ("/", "/page/app.js", "/docs"):
            assert client.get(path).status_code == 404
        assert client.get("/readyz").status_code == 204
