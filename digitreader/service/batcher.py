"""Reads what requests bring at the same time in groups: each picture of a group costs less than one alone."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from digitreader.decision import Reading
from digitreader.reader import GROUP, DigitReader

SLICE = 0.03  # seconds after which a thread adds no picture to its group: small ones must not wait for many large ones
Outcome = tuple[asyncio.Future[Reading], Any]


class Batcher:
    """Gives the pictures that wait to some threads; each takes what waits when it has time for it.

    Parameters
    ----------
    reader : DigitReader
    pool : ThreadPoolExecutor
    threads : int
        Groups that are read side by side.
    """

    def __init__(self, reader: DigitReader, pool: ThreadPoolExecutor, threads: int) -> None:
        self._reader, self._pool, self._idle = reader, pool, threads
        self._waiting: deque[tuple[bytes, asyncio.Future[Reading]]] = deque()

    async def predict(self, image: bytes) -> Reading:
        """Read a picture of one digit.

        Raises
        ------
        ImageError
            As `DigitReader.predict_image`.
        """
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Reading] = loop.create_future()
        self._waiting.append((image, answer))
        self._start(loop)
        return await answer

    def _start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Wake a thread if one is idle and something waits."""
        if self._idle and self._waiting:
            self._idle -= 1
            self._pool.submit(self._work, loop)

    def _work(self, loop: asyncio.AbstractEventLoop) -> None:
        """Read group after group until nothing waits; in a thread."""
        while group := self._take():
            loop.call_soon_threadsafe(_deliver, self._read(group))
        loop.call_soon_threadsafe(self._rest, loop)

    def _rest(self, loop: asyncio.AbstractEventLoop) -> None:
        """Note that a thread is idle; what came since it looked last needs it once more."""
        self._idle += 1
        self._start(loop)

    def _take(self) -> list[Outcome]:
        """Return pictures that waited, prepared, or what is wrong with each."""
        group: list[Outcome] = []
        ends = time.monotonic() + SLICE
        while len(group) < GROUP and (not group or time.monotonic() < ends):
            try:
                image, answer = self._waiting.popleft()
            except IndexError:
                break
            if not answer.cancelled():  # whoever has left, or waited too long, needs no answer
                group.append((answer, _outcome(self._reader.prepare, image)))
        return group

    def _read(self, group: list[Outcome]) -> list[Outcome]:
        """Return the readings of prepared pictures; one that makes the networks fail does so alone."""
        prepared = [item for _, item in group if not isinstance(item, Exception)]
        try:
            readings: list[Any] = self._reader.decide(prepared)
        except Exception:
            readings = [_outcome(lambda one: self._reader.decide([one])[0], item) for item in prepared]
        found = iter(readings)
        return [(answer, item if isinstance(item, Exception) else next(found)) for answer, item in group]


def _outcome(call: Callable[[Any], Any], item: Any) -> Any:
    """Return what a call makes of an item, or the exception that it raises: no picture may fail another's."""
    try:
        return call(item)
    except Exception as error:
        return error


def _deliver(outcomes: list[Outcome]) -> None:
    """Answer those who wait; in the event loop."""
    for answer, outcome in outcomes:
        if answer.done():
            continue
        if isinstance(outcome, Exception):
            answer.set_exception(outcome)
        else:
            answer.set_result(outcome)
