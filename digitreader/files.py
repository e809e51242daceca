"""Which image files a command line names, and where the package has its own."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

SUFFIXES = frozenset(  # of `images.FORMATS`
    f".{name}"
    for name in ("png", "jpg", "jpeg", "jpe", "jfif", "gif", "bmp", "tif", "tiff", "webp", "ppm", "pgm", "pbm", "pnm")
)
STDIN = "-"


def shipped(packaged: str, in_checkout: str) -> Path:
    """Return a folder that comes with the package: in the wheel it is inside the package, in a checkout beside it."""
    package = Path(__file__).parent
    return package / packaged if (package / packaged).is_dir() else package.parent / in_checkout


def expand(arguments: Iterable[str]) -> Iterator[str]:
    """Yield the files that arguments name: a folder stands for the images in it, a pattern for what matches it.

    A name that is neither there nor a pattern that matches is yielded as it is: reading it tells what is wrong. So is a
    folder without images.
    """
    for argument in arguments:
        if argument == STDIN or os.path.exists(argument):  # noqa: PTH110 (a name like scan[1].png; or one too long)
            yield from _images(argument)
        else:
            # A shell of Windows leaves patterns to the program.
            matching = sorted(glob.glob(argument, recursive=True))  # noqa: PTH207 (may be absolute)
            named = [file for name in matching for file in _images(name)]
            yield from dict.fromkeys(named) or [argument]  # ** names a folder and what is in it


def _images(name: str) -> Iterable[str]:
    """Return the images in a folder; what is no folder, or has none, stands for itself."""
    if name == STDIN or not os.path.isdir(name):  # noqa: PTH112
        return [name]
    files = (file for file in Path(name).rglob("*") if file.suffix.lower() in SUFFIXES and file.is_file())
    return sorted(map(str, files)) or [name]
