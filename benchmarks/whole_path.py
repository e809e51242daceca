"""Where the time of a reading goes, from a file's bytes to the decision, and how many files two cores read.

Small files, photos and ZIP codes, each read one at a time on one thread, with a watch on every step; then all of them
by the threads of one reader, and by a process a core.

    python -m benchmarks.whole_path
"""

from __future__ import annotations

import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import cache, partial
from itertools import islice
from typing import Any, TypeVar
from unittest.mock import patch

import cv2
from PIL import Image
from tqdm import tqdm

import digitreader.lines
import digitreader.reader
from benchmarks.bad_input import saved
from benchmarks.results import write_result
from benchmarks.speed import QUALITY, SEED, photo, seconds
from digitreader.cores import cores
from digitreader.data import load_mnist, load_writers
from digitreader.reader import DigitReader
from digitreader.recognizer import LineRecognizer
from experiments.compose import FIELDS, jpeg, lines
from experiments.runs import fresh_processes

FILES = 600
ROUNDS = 5
Result = TypeVar("Result")
SMALL, PICTURE, LINE = "a file of 28 × 28 pixels", "a photo of a digit", "a photo of a ZIP code"
LINE_NETWORK = "a line: its network, three views"
# The steps of a reading, and where the reader finds each: what is replaced by the same with a watch.
STEPS: dict[str, tuple[Any, str]] = {
    "decoding": (digitreader.reader, "load_image"),
    "finding the ink": (digitreader.reader, "find_ink"),
    "one digit: in MNIST's form": (digitreader.reader, "prepare"),
    "one digit: both networks": (digitreader.reader, "run_both"),
    "a line: level and of one height": (digitreader.reader, "line_image"),
    LINE_NETWORK: (LineRecognizer, "run"),
    "a line: the most probable texts": (digitreader.lines, "beam_search"),
    "a line: where each digit stands": (digitreader.reader, "align"),
}


def sources() -> dict[str, list[bytes]]:
    """Return `FILES` files of each kind, of test digits."""
    data, writers = load_mnist(), load_writers()
    small = [saved(Image.fromarray(image), "PNG") for image in data.x_test[:FILES]]
    photos = [photo(data.x_test, number) for number in range(FILES)]
    codes = []
    for style in FIELDS.values():
        composed = lines(data.x_test, data.y_test, writers.test, style, count=FILES // len(FIELDS), seed=SEED)
        codes += [jpeg(line.picture.pixels, QUALITY) for line in composed]
    return {SMALL: small, PICTURE: photos, LINE: codes}


@contextmanager
def watched() -> Iterator[dict[str, float]]:
    """Take the time of each of `STEPS` while the block runs: seconds by the step's name."""
    spent: defaultdict[str, float] = defaultdict(float)

    def with_watch(step: str, call: Callable[..., Result]) -> Callable[..., Result]:
        def timed(*arguments: Any, **options: Any) -> Result:
            started = time.perf_counter()
            try:
                return call(*arguments, **options)
            finally:
                spent[step] += time.perf_counter() - started

        return timed

    with ExitStack() as stack:
        for step, (owner, name) in STEPS.items():
            stack.enter_context(patch.object(owner, name, with_watch(step, getattr(owner, name))))
        yield spent


def read_all(reader: DigitReader, kind: str, files: Sequence[bytes]) -> int:
    """Read files one after the other, and return how many."""
    for file in files:
        if kind == LINE:
            reader.read(file)
        else:
            reader.predict_image(file)
    return len(files)


def breakdown(reader: DigitReader, kind: str, files: Sequence[bytes]) -> dict[str, float]:
    """Return the milliseconds that each step of a reading takes, and the whole of it: the median of some rounds."""
    read_all(reader, kind, files[:50])
    rounds: list[dict[str, float]] = []
    for _ in range(ROUNDS):
        with watched() as spent:
            spent["all"] = seconds(partial(read_all, reader, kind, files))
        rounds.append({step: 1e3 * taken / len(files) for step, taken in spent.items()})
    return {step: statistics.median(one[step] for one in rounds) for step in rounds[0]}


@cache
def own_reader() -> DigitReader:
    """Return a reader that keeps to one core."""
    cv2.setNumThreads(1)
    return DigitReader(threads=1)


def read_part(kind: str, files: Sequence[bytes]) -> int:
    """Read files in a process of its own."""
    return read_all(own_reader(), kind, files)


def rates(kinds: dict[str, list[bytes]]) -> dict[str, dict[str, float]]:
    """Return how many files of each kind are read a second by threads and by processes: the median of some rounds."""
    processes, reader = cores(), DigitReader()
    found: dict[str, dict[str, float]] = {}
    with fresh_processes(processes) as pool:
        for kind, files in tqdm(kinds.items(), "rates"):
            read = reader.read_fields if kind == LINE else reader.predict_images
            parts = [list(islice(files, first, None, 4 * processes)) for first in range(4 * processes)]
            ways: dict[str, Callable[[], Any]] = {
                "threads": lambda read=read, files=files: sum(1 for _ in read(files)),  # type: ignore[misc]
                "processes": lambda kind=kind, parts=parts: sum(pool.map(read_part, [kind] * len(parts), parts)),  # type: ignore[misc]
            }
            taken: dict[str, list[float]] = {way: [] for way in ways}
            for call in ways.values():
                call()
            for _ in range(ROUNDS):
                for way, call in ways.items():
                    taken[way].append(seconds(call))
            found[kind] = {way: len(files) / statistics.median(rounds) for way, rounds in taken.items()}
    return found


def main() -> None:
    """Measure, print where the time goes, and write results/whole_path.json."""
    kinds = sources()
    a_second = rates(kinds)
    milliseconds = {kind: breakdown(own_reader(), kind, files) for kind, files in tqdm(kinds.items(), "steps")}
    for kind, spent in milliseconds.items():
        print(kind, *(f"{step}: {taken:.2f} ms" for step, taken in spent.items()), sep="\n  ")
    write_result(
        "whole_path",
        "python -m benchmarks.whole_path",
        seed=SEED,
        cores=cores(),
        files=FILES,
        milliseconds=milliseconds,
        files_a_second=a_second,
    )


if __name__ == "__main__":
    main()
