"""Processes that read the parts of a batch job, and what becomes of a part that a process died of."""

from __future__ import annotations

import multiprocessing
import threading
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, ThreadPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from itertools import islice

from digitreader.batch.parts import NOWHERE, begin, read_part
from digitreader.batch.plan import Job
from digitreader.errors import BatchError, DigitReaderError, InputError

ATTEMPTS = 3  # at a picture, or at a part where it is no picture's fault
PAUSE = 2  # seconds before an input that could not be reached is tried again; then twice as many


class Worker:
    """A process that reads parts; if it dies, another takes its place.

    Parameters
    ----------
    job : Job
    """

    def __init__(self, job: Job) -> None:
        self._job = job
        self._context = multiprocessing.get_context("spawn")  # it shares no lock, thread or open file with this one
        self._at = self._context.RawValue("q", NOWHERE)
        self._closed = threading.Event()
        self._start()

    def _start(self) -> None:
        self._process = ProcessPoolExecutor(1, self._context, begin, (self._at,))

    def close(self) -> None:
        """End the process after the part that it reads, which is not tried again."""
        self._closed.set()
        self._process.shutdown(cancel_futures=True)

    def read(self, part: int) -> int:
        """Read a part, whatever its pictures do to the process, and return how many it has.

        If the process dies, the pictures are read one by one; one that it died of again and again gets an error.

        Raises
        ------
        BatchError
            If processes die, or fail, before they read a picture, or after.
        InputError
            If the input cannot be reached.
        DigitReaderError
            If the reader cannot be used.
        """
        failures: Counter[int] = Counter()
        blamed: dict[int, str] | None = None
        while True:
            self._at.value = NOWHERE
            try:
                self._process.submit(read_part, self._job, part, blamed).result()
                return self._job.size(part)
            except InputError:
                failures[NOWHERE] += 1
                if failures[NOWHERE] == ATTEMPTS or self._closed.wait(PAUSE * failures[NOWHERE]):
                    raise
                continue
            except DigitReaderError:
                raise
            except BrokenProcessPool:
                reason = "the process that read it died"
                self._process.shutdown()
                self._start()
            except Exception as error:
                reason = repr(error)
            if self._closed.is_set():
                raise BatchError("The job was stopped.")
            place = self._at.value
            failures[place] += 1
            blamed = blamed or {}
            if failures[place] == ATTEMPTS:
                if place == NOWHERE:
                    raise BatchError(f"Part {part} failed {ATTEMPTS} times: {reason}.")
                blamed[place] = f"The image could not be read {ATTEMPTS} times: {reason}."


def read_here(job: Job, parts: Iterable[int], processes: int) -> Iterator[int]:
    """Read parts with some processes on this machine, and yield how many pictures each has as it is there."""
    workers = [Worker(job) for _ in range(processes)]
    remaining = iter(parts)
    with ThreadPoolExecutor(processes) as pool:
        try:
            busy: dict[Future[int], Worker] = {
                pool.submit(worker.read, part): worker for worker, part in zip(workers, remaining, strict=False)
            }
            while busy:
                done, _ = wait(busy, return_when=FIRST_COMPLETED)
                for future in done:
                    worker = busy.pop(future)
                    for part in islice(remaining, 1):
                        busy[pool.submit(worker.read, part)] = worker
                    yield future.result()
        finally:
            for worker in workers:
                worker.close()
