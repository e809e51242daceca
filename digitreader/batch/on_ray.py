"""Reads the parts of a batch job on the machines of a Ray cluster, with Ray Data."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from typing import Any

import ray
from ray.data import ActorPoolStrategy, DataContext

from digitreader.batch.plan import Job
from digitreader.batch.workers import Worker
from digitreader.errors import BatchError, DigitReaderError

BLOCKS = 1000  # of parts, at most: each is an object that Ray keeps count of


class RayWorker:
    """A worker on some machine of the cluster."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._worker = Worker(job)

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[Any]]:
        """Read one part, and return how many pictures it has, or what stops the job: Ray would wrap an error."""
        (part,) = batch["item"].tolist()
        try:
            # A part that is there was read by a worker whose answer was lost.
            pictures = self._job.size(part) if self._job.path(part).exists() else self._worker.read(part)
        except DigitReaderError as error:
            return {"pictures": [0], "error": [str(error)]}
        return {"pictures": [pictures], "error": [""]}


def read_on_ray(job: Job, parts: Sequence[int], workers: int | None, address: str) -> Iterator[int]:
    """Read parts on a cluster, and yield how many pictures each has as it is known.

    Parameters
    ----------
    job : Job
        With an input and an output folder that every machine sees under the same name.
    parts : sequence of int
    workers : int or None
        How many, of a core each; None for as many as there are cores.
    address : str
        As `ray.init` takes it.

    Raises
    ------
    BatchError
        If there is no such cluster, it fails, or what stops the job, see `Worker.read`.
    """
    try:
        ray.init(address, log_to_driver=False, logging_level=logging.WARNING)
    except Exception as error:  # Ray has no common base of these
        raise BatchError(f"The Ray cluster {address} cannot be reached or started: {error}") from error
    try:
        logging.getLogger("ray.data").setLevel(logging.WARNING)
        DataContext.get_current().enable_progress_bars = False
        cores = int(ray.cluster_resources().get("CPU", 0)) or 1  # type: ignore[no-untyped-call]
        dataset = ray.data.from_items(list(parts), override_num_blocks=min(len(parts), BLOCKS)).map_batches(
            RayWorker,
            fn_constructor_args=[job],
            batch_size=1,
            num_cpus=1,
            compute=ActorPoolStrategy(min_size=1, max_size=min(workers or cores, len(parts))),
        )
        for row in dataset.iter_rows():
            if row["error"]:
                raise BatchError(row["error"])
            yield row["pictures"]
    except BatchError:
        raise
    except Exception as error:  # of Ray's own, or of its workers where this package is missing
        reason = (str(error).splitlines() or [repr(error)])[-1]  # below the traceback of another process
        raise BatchError(f"Reading on the Ray cluster {address} failed: {reason}") from error
    finally:
        ray.shutdown()
