"""The images that a request brings, as files of a form or as JSON."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any, TypeVar

from fastapi import Request
from pydantic import BaseModel, ValidationError
from python_multipart.multipart import parse_options_header
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from digitreader.service import problems
from digitreader.service.schemas import BatchRequest, ImageRequest

LONG = 65536  # bytes of JSON whose parsing would keep other requests waiting
SHOWN = 50  # characters of what was wrong that are shown again
JSON, FORM = b"application/json", b"multipart/form-data"
CHARSETS = (b"utf-8", b"us-ascii")
Body = TypeVar("Body", bound=BaseModel)


async def one_image(request: Request) -> bytes:
    """Return the bytes of the image that a request brings."""
    kind, parameters = _content_type(request)
    if kind == JSON:
        return (await _json(request, ImageRequest)).image
    (image,) = await _files(request, parameters, "image", 1)
    return image


async def many_images(request: Request) -> list[bytes]:
    """Return the bytes of the images that a request brings."""
    limit: int = request.app.state.settings.max_batch
    kind, parameters = _content_type(request)
    if kind == JSON:
        images = (await _json(request, BatchRequest)).images
        if len(images) > limit:
            raise problems.InvalidRequestProblem(f"At most {limit} images are read.")
        return images
    return await _files(request, parameters, "images", limit)


def _content_type(request: Request) -> tuple[bytes, dict[bytes, bytes]]:
    """Return the content type, which is one of the two that are read, and its parameters."""
    kind, parameters = parse_options_header(request.headers.get("content-type", ""))
    if kind not in (JSON, FORM):
        raise problems.UnsupportedMediaProblem("Send application/json or multipart/form-data.")
    if parameters.get(b"charset", b"utf-8").lower() not in CHARSETS:  # some can be made to take minutes
        raise problems.UnsupportedMediaProblem("Send UTF-8.")
    return kind, parameters


async def _json(request: Request, model: type[Body]) -> Body:
    content = await request.body()
    try:
        if len(content) > LONG:
            body = await asyncio.to_thread(model.model_validate_json, content)
        else:
            body = model.model_validate_json(content)
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False, include_context=False)[0]
        if found["type"] == "json_invalid":
            raise problems.MalformedBodyProblem(found["msg"]) from error
        described = f"{'.'.join(map(str, found['loc'])) or 'body'}: {found['msg']}"
        raise problems.InvalidRequestProblem(described) from error
    # Pydantic's own way to forbid them would describe each of a million.
    if body.model_extra:
        raise problems.InvalidRequestProblem(f"Nobody knows the key {next(iter(body.model_extra))[:SHOWN]!r}.")
    return body


async def _files(request: Request, parameters: dict[bytes, bytes], name: str, limit: int) -> list[bytes]:
    closing, end = b"--" + parameters.get(b"boundary", b"") + b"--", b""

    async def stream() -> AsyncGenerator[bytes, None]:
        nonlocal end
        async for chunk in request.stream():
            end = (end + chunk)[-len(closing) - 4 :]
            yield chunk

    parser = MultiPartParser(request.headers, stream(), max_files=limit, max_fields=0)
    parser.spool_max_size = request.app.state.settings.max_bytes  # nothing is written to the disk
    try:
        form = await parser.parse()
    except MultiPartException as error:
        if error.message.startswith("Too many files"):
            raise problems.InvalidRequestProblem(f"At most {limit} files `{name}` are read.") from error
        if error.message.startswith("Too many fields"):
            raise problems.InvalidRequestProblem(f"The form needs a file `{name}`, and nothing else.") from error
        raise problems.MalformedBodyProblem(error.message) from error
    except UnicodeError as error:
        raise problems.MalformedBodyProblem("The form is not in UTF-8.") from error
    if closing not in end:  # the parser would leave out a file that was cut off
        raise problems.MalformedBodyProblem("The form has no end.")
    files = [file for key, file in form.multi_items() if key == name and isinstance(file, UploadFile)]
    if not files or len(files) < len(form.multi_items()):
        raise problems.InvalidRequestProblem(f"The form needs a file `{name}`, and nothing else.")
    return [await file.read() for file in files]


def documented(schema: type[BaseModel], name: str, *, many: bool = False) -> dict[str, Any]:
    """Return what OpenAPI says of a body in either form."""
    file: dict[str, Any] = {"type": "string", "format": "binary"}
    content = {"type": "array", "minItems": 1, "items": file} if many else file
    return {
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {"schema": schema.model_json_schema()},
                "multipart/form-data": {
                    "schema": {
                        "type": "object",
                        "required": [name],
                        "properties": {name: content},
                        "additionalProperties": False,
                    }
                },
            },
        }
    }
