"""HTTP whose headers are bounded in size and in time, which uvicorn leaves to a proxy in front."""

from __future__ import annotations

import asyncio
from functools import cache

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from digitreader.service.settings import Settings

HEADERS = 65536  # bytes before the body, about; one more piece from the network may be read
TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"


class BoundedHeaders(HttpToolsProtocol):
    """A connection that is closed if the headers of a request are too long or too long in coming."""

    _heard = 0  # bytes, while headers are awaited
    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Await the first request."""
        super().connection_made(transport)
        self._await_headers()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the deadline."""
        self._stop_waiting()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        """Await the headers of a further request."""
        super().on_message_begin()
        if self._deadline is None:
            self._await_headers()

    def on_headers_complete(self) -> None:
        """Leave the rest to the application, which has limits of its own."""
        self._stop_waiting()
        super().on_headers_complete()

    def data_received(self, data: bytes) -> None:
        """Close the connection if headers have gone on for too long, else pass on what came."""
        if self._deadline is not None:
            if self._heard > HEADERS:
                self._stop_waiting()
                self.transport.write(TOO_LARGE)
                self.transport.close()
                return
            self._heard += len(data)
        super().data_received(data)

    def _await_headers(self) -> None:
        self._heard = 0
        self._deadline = self.loop.call_later(_seconds(), self.transport.close)

    def _stop_waiting(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


@cache
def _seconds() -> float:
    return Settings().seconds
