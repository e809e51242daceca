"""How fast `digits batch` reads, alone and on Ray, with one process and two.

The rate is what more pictures cost: of two runs of different sizes, the pictures that one has more, over the seconds
that it takes more; the rest is the start. It needs a machine to itself: what keeps the second core busy slows one
process and not two.

    python -m benchmarks.batch
"""

from __future__ import annotations

import itertools
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import psutil
from PIL import Image
from tqdm import tqdm

from benchmarks.bad_input import saved
from benchmarks.results import write_result
from digitreader.cores import cores
from digitreader.data import load_mnist

RATE_PICTURES = (2_000, 32_000)  # of the smaller and the larger run: Ray's start differs by seconds
ROUNDS = 2
SAMPLED = 0.1  # seconds between two looks at the memory
ROWS = 1_000
LIBRARIES = ("pyarrow", "ray")


def pictures(count: int) -> Iterator[bytes]:
    """Yield PNG files of MNIST's test digits, again and again."""
    images = load_mnist().x_test
    files = [saved(Image.fromarray(image)) for image in images[:count]]
    yield from itertools.islice(itertools.cycle(files), count)


def write_folder(path: Path, count: int) -> None:
    """Write a folder of pictures, a thousand in each folder below."""
    for number, content in enumerate(pictures(count)):
        folder = path / f"{number // ROWS}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{number}.png").write_bytes(content)


def measure(source: Path, *options: str) -> dict[str, float]:
    """Run a job; return its seconds, and the most memory that all of its processes, Ray's included, had together."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "digitreader", "batch", str(source), str(Path(folder) / "out"), *options]
        started, most = time.perf_counter(), 0
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as job:
            while job.poll() is None:
                most = max(most, held(psutil.Process(job.pid)))
                time.sleep(SAMPLED)
        if job.returncode:
            raise SystemExit(f"{' '.join(command)} ended with {job.returncode}.")
        return {"seconds": time.perf_counter() - started, "bytes": most}


def held(process: psutil.Process) -> int:
    """Return the memory of a process and its descendants, what they share counted once."""
    total = 0
    try:
        for one in [process, *process.children(recursive=True)]:
            total += one.memory_full_info().pss
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return total
    return total


def rates(folder: Path) -> dict[str, dict[str, float]]:
    """Return the rate and the start of each way to read, all of them by turns."""
    sources = {count: folder / f"{count}" for count in RATE_PICTURES}
    for count, source in sources.items():
        write_folder(source, count)
    ways = {
        f"{where}, {jobs}": [*options, "--jobs", str(jobs)]
        for where, options in (("processes", []), ("Ray workers", ["--ray", "local"]))
        for jobs in (1, 2)
    }
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    fewer, more = RATE_PICTURES
    for _ in tqdm(range(ROUNDS), "rates"):
        for name, options in ways.items():
            small, large = (measure(sources[count], *options)["seconds"] for count in RATE_PICTURES)
            rate = (more - fewer) / (large - small)
            found[name].append((rate, small - fewer / rate))
    return {
        name: {
            "pictures_a_second": statistics.median(rate for rate, _ in measured),
            "start_s": statistics.median(start for _, start in measured),
        }
        for name, measured in found.items()
    }


def efficiency(measured: dict[str, dict[str, float]]) -> dict[str, float]:
    """Return which share of twice the rate of one process, or worker, two have."""
    rate = {name: found["pictures_a_second"] for name, found in measured.items()}
    return {where: rate[f"{where}, 2"] / rate[f"{where}, 1"] / 2 for where in ("processes", "Ray workers")}


def main() -> None:
    """Measure and write results/batch.json."""
    with tempfile.TemporaryDirectory() as folder:
        measured = rates(Path(folder))
    write_result(
        "batch",
        "python -m benchmarks.batch",
        seed=None,
        cores=cores(),
        libraries={name: version(name) for name in LIBRARIES},
        rounds=ROUNDS,
        rates=measured,
        efficiency=efficiency(measured),
    )


if __name__ == "__main__":
    main()
