"""What can go wrong with a request, as problem+json (RFC 9457)."""

from __future__ import annotations

from typing import Any

from fastapi.exceptions import RequestValidationError
from fastapi_problem.error import StatusProblem
from fastapi_problem.handler import ExceptionHandler, new_exception_handler
from starlette.requests import Request

from digitreader.errors import BlankImageError, ImageError, ImageTooLargeError

TYPES = "urn:digitreader:problem:{type}"


class MalformedBodyProblem(StatusProblem):
    """The body cannot be parsed."""

    type_, title, status = "malformed-body", "The body is not what its content type says.", 400


class UnauthorizedProblem(StatusProblem):
    """No API key, or a wrong one."""

    type_, title, status = "unauthorized", "A valid API key is needed in the header X-API-Key.", 401
    headers_ = {"WWW-Authenticate": 'ApiKey header="X-API-Key"'}  # noqa: RUF012 (the library's own form)


class SlowBodyProblem(StatusProblem):
    """The client takes too long to send its body."""

    type_, title, status = "slow-body", "The body took longer to arrive than allowed.", 408
    headers_ = {"Connection": "close"}  # noqa: RUF012


class TooLargeProblem(StatusProblem):
    """The body or the image is over a limit."""

    type_, title, status = "too-large", "The request is larger than allowed.", 413
    headers_ = {"Connection": "close"}  # noqa: RUF012 (the rest of the body is not waited for)


class UnsupportedMediaProblem(StatusProblem):
    """The body has another type or encoding."""

    type_, title, status = "unsupported-media-type", "The body is of a type that is not read.", 415


class InvalidRequestProblem(StatusProblem):
    """The request parses, but lacks something."""

    type_, title, status = "invalid-request", "The request lacks something or holds something wrong.", 422


class NoImageProblem(StatusProblem):
    """The bytes are no image."""

    type_, title, status = "no-image", "This is no image that can be read.", 422


class BlankImageProblem(StatusProblem):
    """The image is blank."""

    type_, title, status = "blank-image", "The image shows no ink.", 422


class InternalProblem(StatusProblem):
    """A mistake of the service: the log has it, the answer tells nothing of it."""

    type_, title, status = "internal", "The service made a mistake; it has been logged.", 500

    def __init__(self, *_: Any, **__: Any) -> None:
        super().__init__()


class BusyProblem(StatusProblem):
    """More requests at once than allowed."""

    type_, title, status = "busy", "The service has more to do than it can: try again.", 503
    headers_ = {"Retry-After": "1", "Connection": "close"}  # noqa: RUF012


class TimeoutProblem(StatusProblem):
    """The work took too long."""

    type_, title, status = "timeout", "The request took longer than allowed: try again.", 503
    headers_ = {"Retry-After": "1"}  # noqa: RUF012


class NotReadyProblem(StatusProblem):
    """The model is not loaded, or does not read."""

    type_, title, status = "not-ready", "The service is not ready.", 503
    headers_ = {"Retry-After": "1"}  # noqa: RUF012


OF_IMAGES = (
    MalformedBodyProblem,
    SlowBodyProblem,
    TooLargeProblem,
    UnsupportedMediaProblem,
    InvalidRequestProblem,
    NoImageProblem,
    BlankImageProblem,
    BusyProblem,
    TimeoutProblem,
)
"""What can be wrong with a request that brings images."""


def documented(*kinds: type[StatusProblem]) -> dict[int | str, dict[str, Any]]:
    """Return what OpenAPI says of some problems."""
    schema = {"$ref": "#/components/schemas/Problem"}
    found: dict[int | str, dict[str, Any]] = {}
    for kind in kinds:
        content = {"application/problem+json": {"schema": schema, "examples": {}}}
        of_status = found.setdefault(kind.status, {"content": content})
        of_status["description"] = f"{of_status.get('description', '')} {kind.title}".strip()
        example = kind().marshal(uri=TYPES)
        of_status["content"]["application/problem+json"]["examples"][kind.type_] = {"value": example}
    return found


def of_image(error: ImageError) -> StatusProblem:
    """Return the problem for what is wrong with an image."""
    if isinstance(error, ImageTooLargeError):
        return TooLargeProblem(str(error))
    return (BlankImageProblem if isinstance(error, BlankImageError) else NoImageProblem)(str(error))


def _of_image(_: ExceptionHandler, __: Request, error: ImageError) -> StatusProblem:
    return of_image(error)


def _invalid(_: ExceptionHandler, __: Request, error: RequestValidationError) -> StatusProblem:
    """Return the problem for parameters of a wrong kind; without their values, which may be an image."""
    described = (f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors())
    return InvalidRequestProblem("; ".join(described))


def handler() -> ExceptionHandler:
    """Return what turns every exception into an answer."""
    return new_exception_handler(
        unhandled_wrappers={"default": InternalProblem, "400": MalformedBodyProblem},
        handlers={ImageError: _of_image},
        documentation_uri_template=TYPES,
        request_validation_handler=_invalid,
    )
