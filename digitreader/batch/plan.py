"""The plan of a batch job, which makes its resumption exact.

The pictures are listed once, into Parquet files `_digits/plan-000000` and so on of the output folder, each group of
rows for a part; a part is read if its file is there. `_digits/job.json` says what else the readings depend on.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from itertools import chain, count, islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from filelock import FileLock, Timeout

from digitreader.batch.inputs import Digest, Entry, Source
from digitreader.batch.published import PARTIAL, STATE, published
from digitreader.errors import BatchError, InputError, JobBusyError, JobChangedError, ModelError
from digitreader.files import SUFFIXES
from digitreader.recognizer import MODELS, sha256

MODEL_FILES = ("mnist_cnn.onnx", "reader.onnx", "line_reader.onnx", "reader.json", "line_reader.json")
PLANNED = 1000  # parts in a file of the plan: to read one, no more of the plan need be known in a job of any size
PLAN = pa.schema([("file", pa.binary()), ("offset", pa.int64()), ("size", pa.int64())])  # a name may be no text
DEPENDS = {"input": "another input", "models": "other networks or another calibration", "options": "other options"}
URL = re.compile(r"[a-z][a-z0-9+.-]+:/")  # as a `Path` has it, with one stroke
FLAGS = {"lines": "--lines", "length": "--length", "zip_codes": "--zip", "part_size": "--part-size"}


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
        with pq.ParquetFile(_plan(self.folder, part)) as plan:
            rows = plan.read_row_group(part % PLANNED).to_pydict()
        names = (name.decode(errors="surrogateescape") for name in rows["file"])
        return list(map(Entry, names, rows["offset"], rows["size"]))


def model_hashes() -> dict[str, str]:
    """Return the SHA-256 of each file of the reader that this process would use.

    Raises
    ------
    ModelError
        If one cannot be read.
    """
    try:
        return {name: sha256(MODELS / name) for name in MODEL_FILES}
    except OSError as error:
        raise ModelError(f"{error.filename} cannot be read: {error.strerror}.") from error


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
    ModelError
        As `model_hashes`.
    """
    if URL.match(str(folder)):
        raise BatchError(f"{folder} is a URL: the readings go to a folder, from which they can be copied there.")
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
    begun = _begun(record)
    if begun is None and any(folder.glob("*.parquet")):
        raise BatchError(f"{folder} holds Parquet files that are of no batch job: choose another folder.")
    digest = Digest()
    found: dict[str, Any] = {"models": model_hashes(), "options": asdict(options)}
    if begun is None:
        found["inputs"] = _write_plan(folder, source.entries(digest.seeing(source.files())), options.part_size)
        if not found["inputs"]:
            raise InputError(
                f"{source.name} has no pictures. Of a folder or a tar these are the files named as images are "
                f"({', '.join(sorted(SUFFIXES))}); a tar or a Parquet file in it is an input of its own."
            )
    else:
        for _ in digest.seeing(source.files()):
            pass
        found["inputs"] = begun["inputs"]
    found["input"] = str(digest)
    if begun is None:
        with published(record) as stream:
            stream.write(json.dumps(found, indent=1).encode())
    elif changed := [what for key, what in DEPENDS.items() if begun[key] != found[key]]:
        raise JobChangedError(
            f"{folder} holds a job with {' and '.join(changed)}{_other_options(begun['options'], found['options'])}: "
            "choose another folder, or give it what it was begun with."
        )
    job = Job(source, folder, options, found["models"], found["inputs"])
    if source.spooled and not source.container.exists() and job.missing():  # parts were taken away after the job's end
        for _ in source.entries(source.files()):
            pass
    return job


def _begun(record: Path) -> dict[str, Any] | None:
    """Return what a job was begun with, or None if there is none."""
    if not record.exists():
        return None
    try:
        begun: dict[str, Any] = json.loads(record.read_text())
        if begun.keys() >= {*DEPENDS, "inputs"}:
            return begun
    except (ValueError, AttributeError):
        pass
    raise BatchError(f"{record} is damaged: choose another folder.")


def _other_options(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """Return which options differ, in brackets, or nothing."""

    def told(value: Any) -> str:
        return "given" if value is True else str(value or "not given")

    other = [
        f"{FLAGS[name]} was {told(before.get(name))}, is {told(value)}"
        for name, value in now.items()
        if before.get(name) != value
    ]
    return f" ({'; '.join(other)})" if other else ""


def _write_plan(folder: Path, entries: Iterable[Entry], part_size: int) -> int:
    """Write a plan and return how many pictures it has."""
    entries, number = iter(entries), 0
    parts = iter(lambda: list(islice(entries, part_size)), [])
    for first in count(step=PLANNED):
        planned = list(islice(parts, 1))
        if not planned:
            break
        with published(_plan(folder, first)) as stream, pq.ParquetWriter(stream, PLAN) as writer:
            for part in chain(planned, islice(parts, PLANNED - 1)):
                rows = [(file.encode(errors="surrogateescape"), offset, size) for file, offset, size in part]
                writer.write_table(pa.table(list(zip(*rows, strict=True)), schema=PLAN))
                number += len(part)
    return number


def _plan(folder: Path, part: int) -> Path:
    """Return the file of the plan that has a part."""
    return folder / STATE / f"plan-{part // PLANNED:06}"
