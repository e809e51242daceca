"""How fast `digits batch` reads, alone and on Ray, with one process and two; and what growth costs.

    python -m benchmarks.batch rates
    python -m benchmarks.batch growth

The rate is what more pictures cost: of two runs of different sizes, the pictures that one has more, over the seconds
that it takes more; the rest is the start. Growth is measured on a Parquet file of tiny pictures and on a folder of
them, with the memory of all processes together.
"""

from __future__ import annotations

import argparse
import io
import itertools
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import psutil
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image
from tqdm import tqdm

from benchmarks.results import write_result
from digitreader.data import load_mnist

RATE_PICTURES = (2_000, 32_000)  # of the smaller and the larger run: Ray's start differs by seconds
ROUNDS = 3
LARGEST = 1_000_000
LARGEST_FOLDER = 100_000
STEP = 10
SAMPLED = 0.1  # seconds between two looks at the memory
ROWS = 1_000


def pictures(count: int) -> Iterator[bytes]:
    """Yield PNG files of MNIST's test digits, again and again."""
    images = load_mnist().x_test
    files = []
    for image in images[: min(count, len(images))]:
        file = io.BytesIO()
        Image.fromarray(image).save(file, "PNG")
        files.append(file.getvalue())
    yield from itertools.islice(itertools.cycle(files), count)


def write_folder(path: Path, count: int) -> None:
    """Write a folder of pictures, a thousand in each folder below."""
    for number, content in enumerate(pictures(count)):
        folder = path / f"{number // ROWS}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{number}.png").write_bytes(content)


def write_parquet(path: Path, count: int) -> None:
    """Write a Parquet file of pictures."""
    schema, remaining = pa.schema([("image", pa.binary())]), pictures(count)
    with pq.ParquetWriter(path, schema) as writer:
        while rows := list(itertools.islice(remaining, ROWS)):
            writer.write_table(pa.table([rows], schema=schema))


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


def rates(folder: Path, rounds: int) -> dict[str, dict[str, float]]:
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
    for _ in tqdm(range(rounds), "rates"):
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


def growth(folder: Path, largest: int) -> dict[str, list[dict[str, float]]]:
    """Return seconds and memory of jobs of a thousand pictures and more, up to some number."""
    found: dict[str, list[dict[str, float]]] = {"folder": [], "Parquet": []}
    counts = list(itertools.takewhile(lambda count: count <= largest, (1_000 * STEP**k for k in itertools.count())))
    for count in tqdm(counts, "growth"):
        for kind, write in (("folder", write_folder), ("Parquet", write_parquet)):
            if kind == "folder" and count > LARGEST_FOLDER:
                continue
            source = folder / f"growth-{count}{'.parquet' * (kind == 'Parquet')}"
            write(source, count)
            found[kind].append({"pictures": count, **measure(source)})
    return found


def main() -> None:
    """Measure and write results/batch.json or results/batch_growth.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("rates", "growth"))
    parser.add_argument("--largest", type=int, default=LARGEST, help="pictures of the largest job of `growth`")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="of `rates`")
    options = parser.parse_args()
    made = {
        "command": f"python -m benchmarks.batch {options.what}",
        "seed": None,
        "cores": os.cpu_count(),
        "libraries": {name: version(name) for name in ("pyarrow", "ray")},
    }
    with tempfile.TemporaryDirectory() as folder:
        if options.what == "growth":
            write_result("batch_growth", **made, growth=growth(Path(folder), options.largest))
        else:
            measured = rates(Path(folder), options.rounds)
            write_result("batch", **made, rounds=options.rounds, rates=measured, efficiency=efficiency(measured))


def efficiency(measured: dict[str, dict[str, float]]) -> dict[str, float]:
    """Return which share of twice the rate of one process, or worker, two have."""
    rate = {name: found["pictures_a_second"] for name, found in measured.items()}
    return {where: rate[f"{where}, 2"] / rate[f"{where}, 1"] / 2 for where in ("processes", "Ray workers")}


if __name__ == "__main__":
    main()
