"""What a request may cost: bytes while they arrive, time, and how many are worked on at once."""

from __future__ import annotations

import asyncio

from fastapi import Request
from fastapi_problem.error import StatusProblem
from fastapi_problem.handler import ExceptionHandler
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from digitreader.service import problems
from digitreader.service.settings import Settings

DIGITS = 15  # of a length; more than any disk has


class Limits:
    """ASGI middleware around all requests that bring something."""

    def __init__(self, app: ASGIApp, settings: Settings, handler: ExceptionHandler) -> None:
        self._app, self._settings, self._handler = app, settings, handler
        self._running = self._held = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer with what it goes beyond."""
        if scope["type"] != "http" or scope["method"] != "POST":
            await self._app(scope, receive, send)
            return
        if problem := self._refusal(dict(scope["headers"])):
            await self._answer(problem, scope, receive, send)
            return
        received, whole, started = 0, False, False
        task, watch = asyncio.current_task(), None
        left = False

        async def watched() -> None:
            nonlocal left
            await receive()  # once the body is whole nothing comes but the client's leave
            left = True
            if task:
                task.cancel()

        async def counted() -> Message:
            nonlocal received, whole, watch
            message = await receive()
            if message["type"] == "http.request":
                size = len(message.get("body", b""))
                received, self._held = received + size, self._held + size
                whole = not message.get("more_body", False)
                if received > self._settings.max_bytes:
                    raise self._too_large()
                if self._held > self._settings.max_bytes_together:
                    raise problems.BusyProblem()
                if whole:
                    watch = asyncio.create_task(watched())
            return message

        async def noticed(message: Message) -> None:
            nonlocal started
            if watch:
                watch.cancel()  # from here on, whoever receives learns of the answer's end
            started = True
            await send(message)

        self._running += 1
        try:
            async with asyncio.timeout(self._settings.seconds):
                await self._app(scope, counted, noticed)
        except TimeoutError:
            if started:
                raise
            allowed = f"It may take {self._settings.seconds:g} seconds."
            problem = (problems.TimeoutProblem if whole else problems.SlowBodyProblem)(allowed)
            await self._answer(problem, scope, receive, send)
        except asyncio.CancelledError:
            if not left:
                raise
            raise ClientDisconnect from None
        finally:
            self._running -= 1
            self._held -= received
            if watch:
                watch.cancel()

    def _refusal(self, headers: dict[bytes, bytes]) -> StatusProblem | None:
        """Return what speaks against a request before its body is read."""
        if self._running >= self._settings.max_concurrent:
            return problems.BusyProblem()
        if headers.get(b"content-encoding", b"identity").lower() != b"identity":
            return problems.UnsupportedMediaProblem("Compressed bodies are not read.")
        length = headers.get(b"content-length", b"0").lstrip(b"0") or b"0"
        # Python refuses to convert numbers of thousands of digits.
        if length.isdigit() and (len(length) > DIGITS or int(length) > self._settings.max_bytes):
            return self._too_large()
        return None

    def _too_large(self) -> StatusProblem:
        return problems.TooLargeProblem(f"A body may have {self._settings.max_bytes:,} bytes.")

    async def _answer(self, problem: StatusProblem, scope: Scope, receive: Receive, send: Send) -> None:
        await self._handler(Request(scope), problem)(scope, receive, send)
