"""The plan of a batch job, which makes its resumption exact.

The pictures are listed once, into `_digits/plan` of the output folder, a Parquet file. Its group of rows k is what part
k reads; a part is read if its file is there. `_digits/job.json` says what else the readings depend on.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO
from uuid import uuid4

import pyarrow as pa
import pyarrow.parquet as pq
from filelock import FileLock, Timeout

from digitreader.batch.inputs import Digest, Entry, Source
from digitreader.errors import BatchError, InputError, JobBusyError, JobChangedError
from digitreader.recognizer import MODELS, sha256

STATE = "_digits"  # readers of data sets pass over names with this first sign
MODEL_FILES = ("mnist_cnn.onnx", "reader.onnx", "line_reader.onnx", "reader.json", "line_reader.json")
PARTIAL = ".partial"
PLAN = pa.schema([("file", pa.binary()), ("offset", pa.int64()), ("size", pa.int64())])  # a name may be no text
DEPENDS = {"input": "input", "models": "networks or calibration", "options": "options"}


@dataclass(frozen=True)
class Options:
    """How the pictures are read.

    Attributes
    ----------
    lines : bool
        Each shows a line of digits; else one digit.
    length : int or None
    zip_codes : bool
        Of `DigitReader.read`.
    part_size : int
        Pictures a part.
    """

    lines: bool
    length: int | None
    zip_codes: bool
    part_size: int


@dataclass(frozen=True)
class Job:
    """A batch job with its plan.

    Attributes
    ----------
    source : Source
    folder : Path
        Of the parts.
    options : Options
    models : dict of str
        SHA-256 of each file of the reader.
    inputs : int
        How many pictures there are.
    """

    source: Source
    folder: Path
    options: Options
    models: dict[str, str]
    inputs: int

    def parts(self) -> range:
        """Return the numbers of the parts."""
        return range(-(-self.inputs // self.options.part_size))

    def path(self, part: int) -> Path:
        """Return the file of a part."""
        return self.folder / f"part-{part:06}.parquet"

    def missing(self) -> list[int]:
        """Return the parts that are still to be read."""
        return [part for part in self.parts() if not self.path(part).exists()]

    def size(self, part: int) -> int:
        """Return how many pictures a part has."""
        return min(self.options.part_size, self.inputs - part * self.options.part_size)

    def entries(self, part: int) -> list[Entry]:
        """Return the pictures of a part."""
        with pq.ParquetFile(_plan(self.folder)) as plan:
            rows = plan.read_row_group(part).to_pydict()
        names = (name.decode(errors="surrogateescape") for name in rows["file"])
        return list(map(Entry, names, rows["offset"], rows["size"]))


def model_hashes() -> dict[str, str]:
    """Return the SHA-256 of each file of the reader that this process would use."""
    return {name: sha256(MODELS / name) for name in MODEL_FILES}


@contextmanager
def opened(name: str, folder: Path, options: Options) -> Iterator[Job]:
    """Begin a job or continue it, and keep others from it until the block ends.

    Parameters
    ----------
    name : str
        The input, see `Source`.
    folder : Path
        Of the parts; made if it is missing.
    options : Options

    Raises
    ------
    BatchError
        If the folder cannot be written, or has files that are not of such a job.
    InputError, MissingExtraError
        As `Source`; or if there are no pictures.
    JobBusyError
        If another process works on this job.
    JobChangedError
        If the folder holds a job with another input, other networks or other options.
    """
    source = Source(name, folder.absolute() / STATE / "spool")
    with ExitStack() as held:
        try:
            (folder / STATE).mkdir(parents=True, exist_ok=True)
            held.enter_context(FileLock(folder / STATE / "lock", blocking=False))  # it goes with this process
            for partial in (folder / STATE).glob(f"*{PARTIAL}"):  # of a run that was killed
                partial.unlink()
            job = _planned(source, folder.absolute(), options)
        except Timeout as error:
            raise JobBusyError(f"Another process works on the job in {folder}.") from error
        except OSError as error:
            raise BatchError(f"{folder} cannot be written: {error.strerror or error}.") from error
        yield job


def _planned(source: Source, folder: Path, options: Options) -> Job:
    record = folder / STATE / "job.json"
    begun = json.loads(record.read_text()) if record.exists() else None
    if begun is None and any(folder.glob("*.parquet")):
        raise BatchError(f"{folder} holds Parquet files that are of no batch job: choose another folder.")
    digest = Digest()
    found: dict[str, Any] = {"models": model_hashes(), "options": asdict(options)}
    if begun is None:
        with published(_plan(folder)) as stream:
            found["inputs"] = _write_plan(stream, source.entries(digest.seeing(source.files())), options.part_size)
    else:
        for _ in digest.seeing(source.files()):
            pass
        found["inputs"] = begun["inputs"]
    found["input"] = str(digest)
    if begun is None:
        with published(record) as stream:
            stream.write(json.dumps(found, indent=1).encode())
    elif changed := " and ".join(what for key, what in DEPENDS.items() if begun[key] != found[key]):
        raise JobChangedError(
            f"{folder} holds a job with another {changed}: choose another folder, or give it what it was begun with."
        )
    job = Job(source, folder, options, found["models"], found["inputs"])
    if source.spooled and not source.container.exists() and job.missing():  # parts were taken away after the job's end
        for _ in source.entries(source.files()):
            pass
    return job


def _write_plan(stream: BinaryIO, entries: Iterable[Entry], part_size: int) -> int:
    """Write a plan and return how many pictures it has."""
    entries, number = iter(entries), 0
    with pq.ParquetWriter(stream, PLAN) as writer:
        for first in entries:
            part = [first, *islice(entries, part_size - 1)]
            rows = [(file.encode(errors="surrogateescape"), offset, size) for file, offset, size in part]
            writer.write_table(pa.table(list(zip(*rows, strict=True)), schema=PLAN))
            number += len(part)
    if not number:
        raise InputError("The input has no pictures.")
    return number


def _plan(folder: Path) -> Path:
    return folder / STATE / "plan"


@contextmanager
def published(path: Path) -> Iterator[BinaryIO]:
    """Write a file that is there complete or not at all, whatever ends the process, or the machine, meanwhile."""
    state = path.parent if path.parent.name == STATE else path.parent / STATE
    partial = state / f"{path.name}.{uuid4().hex}{PARTIAL}"
    try:
        with partial.open("xb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        partial.replace(path)
        if os.name != "nt":  # which opens no folders
            folder = os.open(path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)  # of the new name
            finally:
                os.close(folder)
    finally:
        partial.unlink(missing_ok=True)
