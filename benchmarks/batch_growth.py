"""What growth costs `digits batch`: seconds and memory of jobs of a thousand pictures and more.

The pictures are tiny, in a folder and in a Parquet file; the memory is that of all processes together.

    python -m benchmarks.batch_growth
"""

from __future__ import annotations

import argparse
import itertools
import tempfile
from importlib.metadata import version
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from tqdm import tqdm

from benchmarks.batch import LIBRARIES, ROWS, measure, pictures, write_folder
from benchmarks.results import write_result
from digitreader.cores import cores

LARGEST = 1_000_000
STEP = 10


def write_parquet(path: Path, count: int) -> None:
    """Write a Parquet file of pictures."""
    schema, remaining = pa.schema([("image", pa.binary())]), pictures(count)
    with pq.ParquetWriter(path, schema) as writer:
        while rows := list(itertools.islice(remaining, ROWS)):
            writer.write_table(pa.table([rows], schema=schema))


def growth(folder: Path, largest: int) -> dict[str, list[dict[str, float]]]:
    """Return seconds and memory of jobs of a thousand pictures and more, up to some number."""
    found: dict[str, list[dict[str, float]]] = {"folder": [], "Parquet": []}
    counts = list(itertools.takewhile(lambda count: count <= largest, (1_000 * STEP**k for k in itertools.count())))
    for count in tqdm(counts, "growth"):
        for kind, write in (("folder", write_folder), ("Parquet", write_parquet)):
            source = folder / f"growth-{count}{'.parquet' * (kind == 'Parquet')}"
            write(source, count)
            found[kind].append({"pictures": count, **measure(source)})
    return found


def main() -> None:
    """Measure and write results/batch_growth.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--largest", type=int, default=LARGEST, help="pictures of the largest job")
    largest = parser.parse_args().largest
    with tempfile.TemporaryDirectory() as folder:
        measured = growth(Path(folder), largest)
    write_result(
        "batch_growth",
        "python -m benchmarks.batch_growth",
        seed=None,
        cores=cores(),
        libraries={name: version(name) for name in LIBRARIES},
        growth=measured,
    )


if __name__ == "__main__":
    main()
