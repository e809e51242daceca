"""Readings that a person should look at, as files: a copy of each picture, and an index for a labelling tool."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from digitreader.decision import FieldReading, Reading
from digitreader.errors import ImageError, ReviewError
from digitreader.files import SUFFIXES
from digitreader.images import MAX_BYTES

INDEX = "index.jsonl"
Result = Reading | FieldReading | ImageError


class ReviewFolder:
    """A folder of pictures to look at; what it holds already is kept, and nothing is in it twice.

    A line of `index.jsonl` is a JSON object: `image`, the copy's name in the folder, which follows from its content, or
    null if there is no file to copy; `source`, the name that it was read by; the fields of the reading, or `error`; of
    a digit also `runner_up`, the second most probable one. A copy is complete before its line is written, so a run that
    was interrupted can be repeated.

    Parameters
    ----------
    folder : Path
        Made if it is missing.

    Raises
    ------
    ReviewError
        If the folder cannot be written, or its index is not one of these.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._index = folder / INDEX
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with self._index.open("a+b") as index:
                index.seek(0)
                whole = index.read()
                index.truncate(whole.rfind(b"\n") + 1)  # a line that was cut off is written anew
            lines = map(json.loads, whole[: whole.rfind(b"\n") + 1].splitlines())
            self._known = {(line["image"], line["source"]) for line in lines}
        except OSError as error:
            raise ReviewError(f"{folder} cannot be written: {error.strerror}.") from error
        except (KeyError, TypeError, ValueError) as error:
            raise ReviewError(f"{self._index} is damaged ({error!r}): move it away.") from error

    def copying(self, names: Iterable[str], sources: Iterable[str | bytes], results: Iterable[Any]) -> Iterator[Any]:
        """Yield results; before one is yielded, its picture is added if it is to be looked at.

        Parameters
        ----------
        names : iterable of str
        sources : iterable of str or bytes
            Paths, or files' contents.
        results : iterable of Reading, FieldReading or ImageError

        Raises
        ------
        ReviewError
            If a file cannot be written.
        """
        for name, source, result in zip(names, sources, results, strict=True):
            if isinstance(result, ImageError) or result.decision == "review":
                try:
                    self._add(name, source if isinstance(source, bytes) else _content(Path(source)), result)
                except OSError as error:
                    raise ReviewError(f"{self.folder} cannot be written: {error.strerror}.") from error
            yield result

    def _add(self, name: str, content: bytes | None, result: Result) -> None:
        image = None
        if content is not None:
            suffix = Path(name).suffix.lower()
            image = hashlib.sha256(content).hexdigest()[:16] + (suffix if suffix in SUFFIXES else "")
        if (image, name) in self._known:
            return
        if image is not None and content is not None and not (self.folder / image).exists():
            partial = self.folder / f".{image}.part"
            partial.write_bytes(content)
            partial.replace(self.folder / image)
        with self._index.open("a", encoding="utf-8") as index:
            index.write(json.dumps({"image": image, "source": name, **_told(result)}) + "\n")
            index.flush()
            os.fsync(index.fileno())
        self._known.add((image, name))


def _content(path: Path) -> bytes | None:
    """Return a file's content; None if it is no file that could be a picture."""
    try:
        return path.read_bytes() if path.is_file() and path.stat().st_size <= MAX_BYTES else None
    except OSError:
        return None


def _told(result: Result) -> dict[str, Any]:
    """Return what the index says of a picture."""
    if isinstance(result, ImageError):
        return {"error": str(result)}
    told = result.to_dict()
    if isinstance(result, Reading):
        told["runner_up"] = sorted(range(10), key=lambda digit: -result.probabilities[digit])[1]
    return told
