"""Files of a batch job that are there complete or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO
from uuid import uuid4

STATE = "_digits"  # readers of data sets pass over names with this first sign
PARTIAL = ".partial"


@contextmanager
def published(path: Path) -> Iterator[BinaryIO]:
    """Write a file that is there complete or not at all, whatever ends the process, or the machine, meanwhile."""
    state = path.parent if path.parent.name == STATE else path.parent / STATE
    partial = state / f"{path.name}.{uuid4().hex}{PARTIAL}"
    try:
        with partial.open("xb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        partial.replace(path)
        if os.name != "nt":  # which opens no folders
            folder = os.open(path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)  # of the new name
            finally:
                os.close(folder)
    finally:
        partial.unlink(missing_ok=True)
