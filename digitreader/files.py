"""Which image files a command line names."""

from __future__ import annotations

import glob
from collections.abc import Iterable, Iterator
from pathlib import Path

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".gif", ".bmp", ".tif", ".tiff", ".webp", ".ppm", ".pgm", ".pbm"})
STDIN = "-"


def expand(arguments: Iterable[str]) -> Iterator[str]:
    """Yield the files that arguments name: a folder stands for the images in it, a pattern for what matches it.

    A name that is neither there nor a pattern that matches is yielded as it is: reading it tells what is wrong.
    """
    for argument in arguments:
        path = Path(argument)
        if argument == STDIN or path.is_file():
            yield argument
        elif path.is_dir():
            yield from sorted(str(file) for file in path.rglob("*") if file.suffix.lower() in SUFFIXES)
        else:
            # A shell of Windows leaves patterns to the program.
            yield from sorted(glob.glob(argument, recursive=True)) or [argument]  # noqa: PTH207 (may be absolute)
