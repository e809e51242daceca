"""The application: its routes, and what it loads before it is ready."""

from __future__ import annotations

import asyncio
import gc
import hashlib
import os
import secrets
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from importlib.metadata import version
from io import BytesIO
from pathlib import Path
from typing import Annotated, TypeVar

import cv2
import prometheus_client
import prometheus_client.multiprocess
from fastapi import APIRouter, Depends, FastAPI, Query, Request, Response
from fastapi.security import APIKeyHeader
from fastapi.staticfiles import StaticFiles
from fastapi_offline import FastAPIOffline
from fastapi_problem.handler import add_exception_handler
from PIL import Image, ImageDraw
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import FileResponse
from starlette.types import ASGIApp

from digitreader.cores import cores
from digitreader.errors import ImageError
from digitreader.explain import hires_cam, side_by_side
from digitreader.files import shipped
from digitreader.reader import DigitReader
from digitreader.service import bodies, logs, problems, schemas
from digitreader.service.batcher import Batcher
from digitreader.service.limits import Limits
from digitreader.service.observe import Observe, count, log
from digitreader.service.settings import Settings
from digitreader.zip_codes import existing_codes

PAGE = Path(__file__).parent / "page"
SAMPLES = shipped("samples", "docs/samples")
WINDOW = 8  # pictures of a batch that wait to be read at once: others are to have their turn
PACKAGES = ("fastapi", "numpy", "onnxruntime", "opencv-python-headless", "pillow")
Result = TypeVar("Result")
OneImage = Annotated[bytes, Depends(bodies.one_image)]
ManyImages = Annotated[list[bytes], Depends(bodies.many_images)]
key_header = APIKeyHeader(name="X-API-Key", auto_error=False, description="Needed if the operator has set keys.")


async def allowed(request: Request, key: Annotated[str | None, Depends(key_header)]) -> None:
    """Raise unless the request has one of the keys."""
    given = _digest(key or "")
    # All are compared, in constant time each and whatever their lengths: the time tells nothing of them.
    matches = [secrets.compare_digest(given, one) for one in request.app.state.key_digests]
    if not any(matches):
        raise problems.UnauthorizedProblem()


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()


reading = APIRouter(tags=["reading"], responses=problems.documented(*problems.OF_IMAGES))
model = APIRouter(tags=["operation"])
operation = APIRouter(tags=["operation"])


async def worked(request: Request, call: Callable[[], Result]) -> Result:
    """Return what a call gives that would block the event loop."""
    return await asyncio.get_running_loop().run_in_executor(request.app.state.pool, call)


@reading.post("/predict", openapi_extra=bodies.documented(schemas.ImageRequest, "image"))
async def predict(image: OneImage, request: Request) -> schemas.Reading:
    """Read a picture of one digit."""
    found = await request.app.state.batcher.predict(image)
    count(found)
    return schemas.Reading.model_validate(found)


@reading.post("/predict/batch", openapi_extra=bodies.documented(schemas.BatchRequest, "images", many=True))
async def predict_batch(images: ManyImages, request: Request) -> list[schemas.BatchItem]:
    """Read pictures of one digit each; each has its own reading or problem, in their order."""
    window = asyncio.Semaphore(WINDOW)

    async def item(image: bytes) -> schemas.BatchItem:
        async with window:
            try:
                found = await request.app.state.batcher.predict(image)
            except Exception as error:
                if not isinstance(error, ImageError):
                    log.exception("picture of a batch")
                problem = problems.of_image(error) if isinstance(error, ImageError) else problems.InternalProblem()
                return schemas.BatchItem(problem=schemas.Problem(**problem.marshal(uri=problems.TYPES)))
        count(found)
        return schemas.BatchItem(reading=schemas.Reading.model_validate(found))

    return await asyncio.gather(*map(item, images))


@reading.post("/read", openapi_extra=bodies.documented(schemas.ImageRequest, "image"))
async def read(
    image: OneImage,
    request: Request,
    length: Annotated[int | None, Query(ge=1, le=50, description="How many digits the line has.")] = None,
    zip_code: Annotated[bool, Query(alias="zip", description="The line is a US ZIP code.")] = False,
) -> schemas.FieldReading:
    """Read a picture of a line of digits, such as a ZIP code."""
    found = await worked(request, lambda: request.app.state.reader.read(image, length, zip_codes=zip_code))
    count(found)
    return schemas.FieldReading.model_validate(found)


@reading.post(
    "/explain",
    openapi_extra=bodies.documented(schemas.ImageRequest, "image"),
    response_class=Response,
    responses={200: {"content": {"image/png": {}}, "description": "Two squares side by side, as PNG."}},
)
async def explain(
    image: OneImage,
    request: Request,
    digit: Annotated[int | None, Query(ge=0, le=9, description="Explain this digit; else the one read.")] = None,
) -> Response:
    """Show what the digits' network sees of a picture, and beside it where that speaks for a digit (Grad-CAM)."""
    picture = await worked(request, lambda: explanation(request.app.state.reader, image, digit))
    return Response(picture, media_type="image/png")


@model.get("/version")
async def versions(request: Request) -> schemas.Version:
    """Say what answers: the networks, the thresholds, the libraries."""
    found: schemas.Version = request.app.state.version
    return found


@operation.get("/livez", status_code=204)
async def livez() -> None:
    """Say that the process answers."""


@operation.get("/readyz", status_code=204, responses=problems.documented(problems.NotReadyProblem))
async def readyz(request: Request) -> None:
    """Say that the model is loaded and has read a digit."""
    if not request.app.state.ready:
        raise problems.NotReadyProblem()


@operation.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
async def metrics() -> Response:
    """Give counts, times and confidences to Prometheus; with several workers, of all of them."""
    registry = prometheus_client.REGISTRY
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        registry = prometheus_client.CollectorRegistry()
        prometheus_client.multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return Response(prometheus_client.generate_latest(registry), media_type=prometheus_client.CONTENT_TYPE_LATEST)


def version_of(reader: DigitReader) -> schemas.Version:
    """Return what `/version` answers."""
    parts = [*reader.calibration.onnx_sha256, repr(reader.calibration), repr(reader.field_calibration)]
    return schemas.Version(
        version=version("digitreader"),
        model=hashlib.sha256("".join(parts).encode()).hexdigest()[:16],
        versions={name: version(name) for name in PACKAGES},
        thresholds={
            "digit_min_confidence": reader.calibration.min_confidence,
            "digit_min_evidence": reader.calibration.min_evidence,
            "field_min_confidence": reader.field_calibration.free.min_confidence,
            "known_length_min_confidence": reader.field_calibration.known.min_confidence,
        },
    )


def explanation(reader: DigitReader, image: bytes, digit: int | None) -> bytes:
    """Return what `explain` answers, as a PNG file."""
    prepared = reader.prepare(image)
    explained = reader.decide([prepared])[0].digit if digit is None else digit
    picture = side_by_side(prepared, hires_cam(reader.recognizer, prepared, explained))
    stream = BytesIO()
    picture.save(stream, "PNG")
    return stream.getvalue()


def self_test(reader: DigitReader) -> bool:
    """Return whether the reader reads a 7 that is drawn for it."""
    sheet = Image.new("L", (300, 400), "white")
    ImageDraw.Draw(sheet).line([(90, 80), (210, 80), (130, 300)], fill="black", width=18, joint="curve")
    stream = BytesIO()
    sheet.save(stream, "PNG")
    return reader.predict_image(stream.getvalue()).digit == 7


def create_app(settings: Settings | None = None) -> ASGIApp:
    """Return the application; the reader is loaded when it starts, before it answers.

    Parameters
    ----------
    settings : Settings, optional
        From the environment unless given.
    """
    logs.configure()
    settings = settings or Settings()
    threads = settings.threads or cores()
    cv2.setNumThreads(1)  # its own threads would wait busily for the next picture, and take twice the processor's time
    reader = DigitReader(threads=1, max_bytes=settings.max_bytes, max_pixels=settings.max_pixels)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        with ThreadPoolExecutor(threads) as pool:
            app.state.pool, app.state.batcher = pool, Batcher(reader, pool, threads)
            existing_codes()  # read once, before the first request needs it
            app.state.ready = self_test(reader)
            # What is loaded stays: looking through it for garbage would stop all answers for a fifth of a second.
            gc.freeze()
            yield

    make = FastAPIOffline if settings.page else FastAPI
    app = make(
        title="Digit reader",
        summary="Reads handwritten digits and ZIP codes, and says when it is not sure.",
        version=version("digitreader"),
        lifespan=lifespan,
        docs_url="/docs" if settings.page else None,
        redoc_url=None,
    )
    app.state.settings, app.state.reader, app.state.version = settings, reader, version_of(reader)
    app.state.key_digests = [_digest(key.get_secret_value()) for key in settings.api_keys]
    for router in (reading, model):
        if settings.api_keys:
            refused = problems.documented(problems.UnauthorizedProblem)
            app.include_router(router, dependencies=[Depends(allowed)], responses=refused)
        else:
            app.include_router(router)
    app.include_router(operation)
    if settings.page:
        app.mount("/page/samples", StaticFiles(directory=SAMPLES), name="samples")
        app.mount("/page", StaticFiles(directory=PAGE), name="page")

        @app.get("/", include_in_schema=False)
        async def page() -> FileResponse:
            return FileResponse(PAGE / "index.html")

    handler = problems.handler()
    add_exception_handler(app, handler, generic_swagger_defaults=False)
    app.add_exception_handler(ImageError, handler)
    forms = app.openapi()["paths"]["/predict/batch"]["post"]["requestBody"]["content"].values()
    for form in forms:  # the document is to state the limit in use
        form["schema"]["properties"]["images"]["maxItems"] = settings.max_batch
    served: ASGIApp = Limits(app, settings, handler)
    if settings.cors_origins:
        served = CORSMiddleware(
            served,
            allow_origins=settings.cors_origins,
            allow_methods=["GET", "POST"],
            allow_headers=["X-API-Key", "X-Request-ID"],
            expose_headers=["X-Model", "X-Request-ID", "Retry-After"],
        )
    return Observe(served, handler, app.state.version.model)
