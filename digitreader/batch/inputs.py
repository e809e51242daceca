"""What a batch job reads: the pictures of a folder, a tar or a Parquet file, on this machine or behind a URL."""

from __future__ import annotations

import errno
import gzip
import os
import shutil
import tarfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, NamedTuple
from urllib.parse import urlsplit

import pyarrow as pa
import pyarrow.parquet as pq
from fsspec.core import url_to_fs
from fsspec.implementations.local import LocalFileSystem

from digitreader.batch.published import published
from digitreader.errors import ImageError, ImageFormatError, ImageTooLargeError, InputError, MissingExtraError
from digitreader.files import SUFFIXES
from digitreader.images import MAX_BYTES

TAR, TAR_GZ, PARQUET = "tar", "tar.gz", "Parquet"
KINDS = {".tar": TAR, ".tar.gz": TAR_GZ, ".tgz": TAR_GZ, ".parquet": PARQUET}
VERSIONS = ("mtime", "ETag", "etag", "Last-Modified", "LastModified", "last_modified", "updated")  # as fsspec has them
FETCHES = 16  # objects that a process asks a store for side by side
ROWS = 64  # of a Parquet file that are in memory at once
STREAM_BYTES = 2**20  # that are read of a Parquet file at once
IMAGE, FILE = "image", "file"  # columns of a Parquet file
NO_ROOM = (errno.ENOSPC, errno.EDQUOT)


class File(NamedTuple):
    """A file of the input, with what tells that it has changed; `name` is relative to the input."""

    name: str
    size: int | None
    version: str


class Entry(NamedTuple):
    """A picture of the input: its name there, and where its bytes are in the container, if it is in one.

    A picture of a container without a place has no bytes: a link of a tar, a null of a Parquet file.
    """

    file: str
    offset: int | None
    size: int | None


class Source:
    """The pictures of a folder, or of a container: a tar or a Parquet file.

    Bytes are taken from a container by their place, so one that is behind a URL, is compressed, or is a Parquet file is
    unpacked into the spool first.

    Parameters
    ----------
    name : str
        A path, or a URL of a kind that fsspec knows.
    spool : Path
        A file that `entries` may write.

    Raises
    ------
    InputError
        If it is missing, or is no folder, tar or Parquet file.
    MissingExtraError
        If the package for this kind of URL is not installed.
    """

    def __init__(self, name: str, spool: Path) -> None:
        self.name = name
        try:
            self.fs, self.root = url_to_fs(name, use_listings_cache=False)
        except ImportError as error:  # s3fs, gcsfs, …
            raise MissingExtraError(f"{name} cannot be read: {error}.") from error
        except ValueError as error:
            raise InputError(f"{name} cannot be read: {error}.") from error
        self.local = isinstance(self.fs, LocalFileSystem)
        path = PurePosixPath(urlsplit(self.root).path if "://" in self.root else self.root)
        kinds = (kind for suffix, kind in KINDS.items() if path.name.lower().endswith(suffix))
        self.kind = None if self.local and Path(self.root).is_dir() else next(kinds, None)
        if self.local and not Path(self.root).exists():
            raise InputError(f"{name} is missing.")
        if self.local and not self.kind and not Path(self.root).is_dir():
            raise InputError(f"{name} is no folder, tar or Parquet file.")
        self.spooled = self.kind is not None and not (self.kind == TAR and self.local)
        self.container = spool if self.spooled else Path(self.root)

    def files(self) -> Iterator[File]:
        """Yield the container, or each picture of the folder and those below, in no order.

        Raises
        ------
        InputError
            If the input cannot be listed.
        """
        try:
            if self.kind:
                yield self._file("", self.fs.info(self.root))
            elif self.local:
                for entry in _walk(self.root):
                    if _is_picture(entry.name) and entry.is_file():
                        found = entry.stat()
                        name = os.path.relpath(entry.path, self.root).replace(os.sep, "/")
                        yield File(name, found.st_size, str(found.st_mtime_ns))
            else:
                prefix = self.root.rstrip("/") + "/"
                for _, _, infos in self.fs.walk(self.root, detail=True, on_error="raise"):
                    for info in infos.values():
                        if _is_picture(info["name"]):
                            yield self._file(info["name"].removeprefix(prefix), info)
        except Exception as error:  # each file system has errors of its own
            raise InputError(f"{self.name} cannot be listed: {error!r}.") from error

    def _file(self, name: str, info: dict[str, Any]) -> File:
        return File(name, info.get("size"), " ".join(str(info[key]) for key in VERSIONS if key in info))

    def entries(self, files: Iterable[File]) -> Iterator[Entry]:
        """Yield the pictures; those of a container in its order, as it is unpacked.

        Parameters
        ----------
        files : iterable of File
            What `files` gives.

        Raises
        ------
        InputError
            If the container is damaged, or cannot be unpacked.
        OSError
            If there is no room to unpack it.
        """
        if not self.kind:
            yield from (Entry(file.name, None, file.size) for file in files)
            return
        for _ in files:  # a container is there, then
            pass
        try:
            if self.kind == PARQUET:
                with self.fs.open(self.root, "rb") as stream, published(self.container) as spool:
                    yield from self._rows(stream, spool)
                return
            if self.spooled:
                with (
                    self.fs.open(self.root, "rb") as stream,
                    gzip.open(stream) if self.kind == TAR_GZ else stream as content,
                    published(self.container) as spool,
                ):
                    shutil.copyfileobj(content, spool, STREAM_BYTES)
            yield from self._members()
        except (EOFError, OSError, pa.ArrowException, tarfile.TarError, zlib.error) as error:
            if isinstance(error, OSError) and error.errno in NO_ROOM:
                raise
            raise InputError(f"{self.name} is damaged, or cannot be read: {error}.") from error

    def _members(self) -> Iterator[Entry]:
        """Yield the pictures of the tar."""
        with self.container.open("rb") as stream, tarfile.open(fileobj=stream, mode="r:") as archive:
            while member := archive.next():
                archive.members = []  # type: ignore[attr-defined]  # it would keep all
                if _is_picture(member.name) and not member.isdir():
                    whole = member.isreg() and not member.issparse()
                    yield Entry(member.name, member.offset_data if whole else None, member.size)
            stream.seek(archive.offset)
            # The module takes a damaged header for the end.
            if stream.read(tarfile.BLOCKSIZE) != tarfile.NUL * tarfile.BLOCKSIZE:
                raise InputError(f"{self.name} is damaged: it does not end as a tar does.")

    def _rows(self, stream: BinaryIO, spool: BinaryIO) -> Iterator[Entry]:
        """Write the bytes of the Parquet file's pictures to the spool, and yield where they are."""
        table = pq.ParquetFile(stream, buffer_size=STREAM_BYTES)
        column = _image_column(table.schema_arrow, self.name)
        named = [FILE] if FILE in table.schema_arrow.names else []
        number = offset = 0
        for batch in table.iter_batches(ROWS, columns=[column, *named], use_threads=False):
            names = batch[FILE].to_pylist() if named else [None] * len(batch)
            for name, value in zip(names, batch[column].to_pylist(), strict=True):
                content = value["bytes"] if isinstance(value, dict) else value
                file = str(number) if name is None else str(name)
                if content is None:
                    yield Entry(file, None, None)
                else:
                    yield Entry(file, offset, len(content))
                    offset += spool.write(content)
                number += 1

    def fetch(self, entries: Sequence[Entry]) -> list[bytes | ImageError]:
        """Return the bytes of each of some pictures, or why there is nothing to read.

        Raises
        ------
        InputError
            If the input cannot be reached, or is not what it was any more.
        """
        try:
            if self.kind:
                with self.container.open("rb") as stream:
                    return [self._cut(stream, entry) for entry in entries]
            if self.local:
                return list(map(self._content, entries))
            with ThreadPoolExecutor(FETCHES) as pool:
                return list(pool.map(self._content, entries))
        except InputError:
            raise
        except Exception as error:  # each file system has errors of its own
            raise InputError(f"{self.name} cannot be read any more: {error!r}.") from error

    def _cut(self, stream: BinaryIO, entry: Entry) -> bytes | ImageError:
        if entry.offset is None or entry.size is None:
            return ImageFormatError(f"{entry.file} has no bytes: it is a link, or null.")
        stream.seek(entry.offset)
        wanted = min(entry.size, MAX_BYTES + 1)
        content = stream.read(wanted)
        if len(content) < wanted:
            raise InputError(f"{self.name} is shorter than it was.")
        return content

    def _content(self, entry: Entry) -> bytes | ImageError:
        """Return the bytes of a file, of a large one no more than the reader needs to refuse it, or why there are none.

        If more is gone or forbidden than this file, that is raised: what a folder without its mount, or an object store
        without credentials, does not give is no reading.
        """
        if entry.size is not None and entry.size > MAX_BYTES:
            return ImageTooLargeError(f"{entry.file} is larger than the {MAX_BYTES:,} bytes allowed.")
        try:
            return self._content_here(entry) if self.local else self._content_there(entry)
        except (FileNotFoundError, PermissionError) as error:
            if self.local:
                with os.scandir(Path(self.root, entry.file).parent) as beside:
                    if not any(beside):
                        raise
            else:
                self.fs.info(self.root)
            return ImageFormatError(f"{entry.file} cannot be read: {error.strerror or error}.")

    def _content_here(self, entry: Entry) -> bytes:
        with Path(self.root, entry.file).open("rb") as stream:
            return stream.read(MAX_BYTES + 1)

    def _content_there(self, entry: Entry) -> bytes:
        path = f"{self.root.rstrip('/')}/{entry.file}"
        if entry.size is not None:
            content: bytes = self.fs.cat_file(path)
            return content
        received = bytearray()
        with self.fs.open(path, "rb") as stream:  # of any size: the server has not said which
            while piece := stream.read(MAX_BYTES + 1 - len(received)):
                received += piece
        return bytes(received)


class Digest:
    """A fingerprint of the files that it has seen, whatever their order: their hashes are added."""

    def __init__(self) -> None:
        self._total = 0

    def seeing(self, files: Iterable[File]) -> Iterator[File]:
        """Yield the files."""
        for file in files:
            self._total += int.from_bytes(sha256(repr(tuple(file)).encode()).digest())
            yield file

    def __str__(self) -> str:
        """Return the fingerprint."""
        return f"{self._total % 2**256:064x}"


def _walk(folder: str) -> Iterator[os.DirEntry[str]]:
    """Yield the files below a folder; unlike `os.walk` it holds no list of them."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                yield from _walk(entry.path)
            else:
                yield entry


def _is_picture(name: str) -> bool:
    return PurePosixPath(name).suffix.lower() in SUFFIXES


def _image_column(schema: pa.Schema, name: str) -> str:
    """Return the name of the column that holds images: bytes, or as Hugging Face has them a struct with `bytes`."""

    def is_binary(kind: pa.DataType) -> bool:
        return pa.types.is_binary(kind) or pa.types.is_large_binary(kind)

    def holds_images(kind: pa.DataType) -> bool:
        if pa.types.is_struct(kind):
            place = kind.get_field_index("bytes")
            return place >= 0 and is_binary(kind.field(place).type)
        return is_binary(kind)

    found = [field.name for field in schema if holds_images(field.type)]
    if IMAGE in found or len(found) == 1:
        return IMAGE if IMAGE in found else found[0]
    listed = ", ".join(found) or "none"
    raise InputError(f"{name} needs one column of image bytes, or one named `{IMAGE}`; there are: {listed}.")
