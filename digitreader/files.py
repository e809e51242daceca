"""Which image files a command line names."""

from __future__ import annotations

import glob
from collections.abc import Iterable, Iterator
from pathlib import Path

SUFFIXES = frozenset(  # of `images.FORMATS`
    f".{name}"
    for name in ("png", "jpg", "jpeg", "jpe", "jfif", "gif", "bmp", "tif", "tiff", "webp", "ppm", "pgm", "pbm", "pnm")
)
STDIN = "-"


def expand(arguments: Iterable[str]) -> Iterator[str]:
    """Yield the files that arguments name: a folder stands for the images in it, a pattern for what matches it.

    A name that is neither there nor a pattern that matches is yielded as it is: reading it tells what is wrong. So is a
    folder without images.
    """
    for argument in arguments:
        if argument in (STDIN, "") or Path(argument).is_file():  # which may have a name like scan[1].png
            yield argument
        elif Path(argument).is_dir():
            files = (file for file in Path(argument).rglob("*") if file.suffix.lower() in SUFFIXES and file.is_file())
            yield from sorted(map(str, files)) or [argument]
        else:
            # A shell of Windows leaves patterns to the program.
            matching = glob.glob(argument, recursive=True)  # noqa: PTH207 (may be absolute)
            yield from sorted(name for name in matching if Path(name).is_file()) or [argument]
