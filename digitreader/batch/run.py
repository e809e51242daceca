"""Runs a batch job to its end."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from tqdm import tqdm

from digitreader.batch.plan import Job, Options, opened
from digitreader.batch.workers import read_here
from digitreader.cores import cores
from digitreader.errors import BatchError, extra
from digitreader.zip_codes import existing_codes

LOG_SECONDS = 10  # between two lines of progress, at least, where there is no terminal
LOG_LINE = "{n_fmt} of {total_fmt} pictures, {rate_fmt}, {remaining} left\n"


def run(name: str, folder: Path, options: Options, *, jobs: int | None = None, ray: str | None = None) -> Counter[str]:
    """Read what has not been read of a job, and return how many pictures each decision has, `error` included.

    Parameters
    ----------
    name : str
        The input: a folder, a tar or a Parquet file, or a URL of one.
    folder : Path
        Where the readings go.
    options : Options
    jobs : int, optional
        Processes, or workers on Ray; else one for each core.
    ray : str, optional
        Address of a Ray cluster to read on.

    Raises
    ------
    BatchError
        If the job cannot be started, continued or finished; see `digitreader.batch.plan.opened`.
    MissingExtraError
        If a package is missing that this input, the options or Ray need.
    """
    if options.zip_codes:
        existing_codes()  # what is missing is told before anything is begun
    with opened(name, folder, options) as job:
        missing = job.missing()
        done = job.inputs - sum(map(job.size, missing))
        if missing:
            if ray is None:
                counts = read_here(job, missing, min(jobs or cores(), len(missing)))
            else:
                with extra("scale", "--ray needs"):
                    from digitreader.batch.on_ray import read_on_ray
                counts = read_on_ray(job, missing, jobs, ray)
            style = {} if sys.stderr.isatty() else {"mininterval": LOG_SECONDS, "bar_format": LOG_LINE}
            with tqdm(total=job.inputs, initial=done, unit=" pictures", **style) as progress:
                for pictures in counts:
                    progress.update(pictures)
        return _finished(job)


def _finished(job: Job) -> Counter[str]:
    """Return how many pictures each decision has, once all are there."""
    decisions: Counter[str] = Counter()
    for path in map(job.path, job.parts()):
        try:
            with pq.ParquetFile(path) as file:
                found = file.read(columns=["decision"])["decision"]
        except (OSError, pa.ArrowException) as error:
            raise BatchError(f"{path} is damaged ({error}): delete it, and run the job again.") from error
        for count in found.value_counts().to_pylist():
            decisions[count["values"] or "error"] += count["counts"]
    if decisions.total() != job.inputs:
        raise BatchError(f"{job.folder} holds {decisions.total():,} readings of {job.inputs:,} pictures.")
    if job.source.spooled:
        job.source.container.unlink(missing_ok=True)
    return decisions
