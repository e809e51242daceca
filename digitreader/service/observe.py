"""What a request leaves behind: headers of the answer, a line of the log, metrics; never an image or a key."""

from __future__ import annotations

import re
import time
import uuid

import structlog
from fastapi_problem.handler import ExceptionHandler
from prometheus_client import Counter, Histogram
from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from digitreader.decision import FieldReading, Reading
from digitreader.drift import BOUNDS
from digitreader.service import problems

REQUESTS = Counter("digits_requests", "Requests", ["path", "method", "status"])
SECONDS = Histogram(
    "digits_request_seconds",
    "Time from the request's headers to the end of the answer",
    ["path"],
    buckets=(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10),
)
BYTES = Histogram("digits_request_bytes", "Size of the body", ["path"], buckets=[4**k for k in range(3, 13)])
DECISIONS = Counter("digits_decisions", "Readings by what was decided, and why", ["kind", "decision", "reason"])
CONFIDENCE = Histogram(
    "digits_confidence",
    "Confidence of the readings: it shifts when other writing or other pictures come in",
    ["kind"],
    buckets=BOUNDS,
)
GONE = 499  # the client left before its request was whole: nobody was answered
REQUEST_ID = re.compile(rb"[\w.-]{1,64}")
STRICT = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
STRICT += "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
# Swagger UI starts from a script in its page.
DOCS = "default-src 'none'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; "
DOCS += "img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
SECURITY = [
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=()"),
]

log = structlog.get_logger()


def count(reading: Reading | FieldReading) -> None:
    """Add a reading to the metrics."""
    kind = "digit" if isinstance(reading, Reading) else "field"
    DECISIONS.labels(kind, reading.decision, reading.reason).inc()
    CONFIDENCE.labels(kind).observe(reading.confidence)


class Observe:
    """The outermost ASGI middleware: nothing leaves without it."""

    def __init__(self, app: ASGIApp, handler: ExceptionHandler, model: str) -> None:
        self._app, self._handler, self._model = app, handler, model.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if scope["method"] == "HEAD":  # whoever sends it leaves the body out
            scope = {**scope, "method": "GET"}
        started, status, received = time.perf_counter(), 0, 0
        given = dict(scope["headers"]).get(b"x-request-id", b"")
        request_id = given if REQUEST_ID.fullmatch(given) else uuid.uuid4().hex.encode()
        policy = DOCS if scope["path"] == "/docs" else STRICT
        headers = [
            *SECURITY,
            (b"content-security-policy", policy.encode()),
            (b"x-request-id", request_id),
            (b"x-model", self._model),
        ]

        async def measured() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            return message

        async def signed(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message = {**message, "headers": [*message.get("headers", []), *headers]}
            await send(message)

        failure: Exception | None = None
        try:
            await self._app(scope, measured, signed)
        except ClientDisconnect:
            status = GONE
        except Exception as error:
            failure = error
            if not status:
                await self._handler(Request(scope), problems.InternalProblem())(scope, receive, signed)
        seconds = time.perf_counter() - started
        path = getattr(scope.get("route"), "path", "/page" if scope["path"].startswith("/page/") else "other")
        REQUESTS.labels(path, scope["method"], status).inc()
        SECONDS.labels(path).observe(seconds)
        BYTES.labels(path).observe(received)
        log.log(
            40 if failure else 20,
            "request",
            id=request_id.decode(),
            method=scope["method"],
            path=path,
            status=status,
            bytes=received,
            milliseconds=round(1e3 * seconds, 2),
            exc_info=failure,
        )
