"""Reads a part of a batch job, in a process of its own, and writes it as a Parquet file."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from digitreader.batch.inputs import Entry
from digitreader.batch.plan import Job, model_hashes
from digitreader.batch.published import published
from digitreader.errors import BatchError, CrashError, ImageError
from digitreader.reader import GROUP, DigitReader

NOWHERE = -1  # what `at` says while no picture is read alone
DIGIT = [
    ("digit", pa.int8()),
    ("confidence", pa.float64()),
    ("decision", pa.string()),
    ("reason", pa.string()),
    ("probabilities", pa.list_(pa.float32())),
]
FIELD_DIGIT = [
    ("digit", pa.string()),
    ("confidence", pa.float64()),
    ("box", pa.list_(pa.int32())),
    ("runner_up", pa.string()),
]
LINE = [
    ("text", pa.string()),
    ("confidence", pa.float64()),
    ("decision", pa.string()),
    ("reason", pa.string()),
    ("digits", pa.list_(pa.struct(FIELD_DIGIT))),
]
at: Any = None  # of this process: the place in its part of the picture that it reads alone, shared with its parent


def schema(*, lines: bool) -> pa.Schema:
    """Return the columns of a part: `file`, the fields of the reading, and the error if there is one."""
    fields = LINE if lines else DIGIT
    return pa.schema([("file", pa.string()), *fields, ("error", pa.string()), ("error_type", pa.string())])


def begin(shared_at: Any) -> None:
    """Prepare this process: it ends with its parent, and at once when it is interrupted."""
    global at
    at = shared_at
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    parent = multiprocessing.parent_process()

    def follow() -> None:
        if parent:
            parent.join()
            os._exit(1)

    threading.Thread(target=follow, daemon=True).start()


@cache
def _models() -> dict[str, str]:
    return model_hashes()  # once: the reader is loaded once, too


@cache
def _reader() -> DigitReader:
    import cv2

    cv2.setNumThreads(1)  # the other cores have processes of their own
    return DigitReader(threads=1)


def read_part(job: Job, part: int, blamed: Mapping[int, str] | None) -> None:
    """Read a part and write its file.

    Parameters
    ----------
    job : Job
    part : int
    blamed : dict or None
        Pictures, by their places in the part, that are not to be read, and why. None if no process has died of the part
        yet; else each picture is read alone, and `at` says which.

    Raises
    ------
    BatchError
        If this process would use other networks than the job.
    InputError
        If the input cannot be reached.
    """
    if _models() != job.models:
        raise BatchError("The networks or their calibration are not those that the job was begun with.")
    entries = job.entries(part)
    rows = []
    for place, result in enumerate(_results(job, entries, blamed)):
        error = isinstance(result, ImageError)
        found = {"error": _text(str(result)), "error_type": type(result).__name__} if error else result.to_dict()
        rows.append({"file": _text(entries[place].file), **found})
    if blamed is not None:
        at.value = NOWHERE
    with published(job.path(part)) as stream:
        pq.write_table(pa.Table.from_pylist(rows, schema(lines=job.options.lines)), stream)


def _text(name: str) -> str:
    """Return a text with escapes for what is none, as names of files may have it."""
    return name.encode(errors="surrogateescape").decode(errors="backslashreplace")


def _results(job: Job, entries: Sequence[Entry], blamed: Mapping[int, str] | None) -> Iterator[Any]:
    """Yield a reading or an error for each picture."""
    step = GROUP if blamed is None else 1
    for first in range(0, len(entries), step):
        if blamed is not None:
            if first in blamed:
                yield CrashError(blamed[first])
                continue
            at.value = first
        fetched = job.source.fetch(entries[first : first + step])
        sources = [source for source in fetched if not isinstance(source, ImageError)]
        read: Iterator[Any] = (
            _reader().read_fields(sources, job.options.length, zip_codes=job.options.zip_codes)
            if job.options.lines
            else _reader().predict_images(sources)
        )
        for source in fetched:
            yield source if isinstance(source, ImageError) else next(read)
