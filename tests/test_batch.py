"""Batch jobs, as processes: every picture once, whatever happens."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from filelock import FileLock
from PIL import Image

from digitreader.batch import inputs, plan
from digitreader.batch.plan import Options
from digitreader.batch.run import run
from digitreader.errors import (
    BatchError,
    ImageFormatError,
    InputError,
    JobBusyError,
    JobChangedError,
    MissingExtraError,
)
from tests.helpers import digits, file_of, seven

DIGITS = Options(lines=False, length=None, zip_codes=False, part_size=1000)
WITHOUT_PAUSES = "import digitreader.batch.workers as w; w.PAUSE = 0; from digitreader.cli import app; app()"
GOOD = 20
POISON = b"\x89PNG poison"  # what a process dies of in one test


def encoded(number: int) -> bytes:
    """Return a drawn 7 as a PNG file; no two are alike."""
    return file_of(seven(40 + number))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of pictures, some in folders below, and some that cannot be read."""
    top = tmp_path_factory.mktemp("pictures")
    (top / "more" / "deep").mkdir(parents=True)
    for number in range(GOOD):
        (top / ("", "more", "more/deep")[number % 3] / f"{number}.png").write_bytes(encoded(number))
    (top / "broken.png").write_bytes(encoded(0)[:100])
    (top / "empty.jpg").touch()
    Image.new("1", (8_000, 8_000)).save(top / "bomb.png")
    Image.new("L", (50, 50)).save(top / "blank[1].png")
    (top / os.fsdecode(b"\xe9.png")).write_bytes(b"a name that is no text")
    (top / "notes.txt").write_text("no picture")
    return top


@pytest.fixture(scope="module")
def expected(folder: Path) -> dict[str, dict[str, Any]]:
    """Return what `digits predict` says of the folder's pictures, by name; errors as of bytes without one."""
    rows = map(json.loads, digits("predict", "--json", folder).stdout.splitlines())
    return {
        os.path.relpath(row["file"], folder).replace("\udce9", r"\xe9"): {
            name: value.replace(row["file"], "The image") if name == "error" else value for name, value in row.items()
        }
        for row in rows
    }


def readings(out: Path) -> list[dict[str, Any]]:
    """Return the rows of a job, without what is null."""
    rows = pq.read_table(out).to_pylist()
    return [{name: value for name, value in row.items() if value is not None} for row in rows]


def check(out: Path, expected: dict[str, dict[str, Any]]) -> None:
    """Compare a job's readings with those of `digits predict`."""
    rows = readings(out)
    assert sorted(row["file"] for row in rows) == sorted(expected)
    for row in rows:
        wanted = {**expected[row["file"]], "file": row["file"]}
        kind = row.pop("error_type", None)
        assert row == wanted
        assert (kind is not None) == ("error" in wanted)


def test_a_folder_is_read_as_predict_reads_it(
    folder: Path, expected: dict[str, dict[str, Any]], tmp_path: Path
) -> None:
    done = digits("batch", folder, tmp_path / "out", "--part-size", "7")
    assert done.returncode == 0, done.stderr
    assert f"{GOOD + 5} pictures: " in done.stdout
    assert "5 not readable" in done.stdout
    assert f"{GOOD + 5} of {GOOD + 5} pictures, " in done.stderr
    check(tmp_path / "out", expected)
    kinds = {row["file"]: row.get("error_type") for row in readings(tmp_path / "out")}
    assert kinds["bomb.png"] == "ImageTooLargeError"
    assert kinds["blank[1].png"] == "BlankImageError"
    assert kinds["broken.png"] == "ImageFormatError"
    assert len(list((tmp_path / "out").glob("*.parquet"))) == 4


def test_lines_are_read_as_read_reads_them(root: Path, tmp_path: Path) -> None:
    options = ("--zip", "--length", "5")
    done = digits("batch", root / "docs" / "samples", tmp_path / "out", "--lines", *options, "--jobs", "1")
    assert done.returncode == 0, done.stderr
    wanted = digits("read", "--json", *options, root / "docs" / "samples").stdout.splitlines()
    rows = [row | {"file": Path(row["file"]).name} for row in map(json.loads, wanted)]
    assert sorted(readings(tmp_path / "out"), key=str) == sorted(rows, key=str)


def pack(folder: Path, path: Path, mode: Any) -> None:
    with tarfile.open(path, mode) as archive:
        archive.add(folder, ".")


@pytest.mark.parametrize(("name", "mode"), [("a.tar", "w"), ("a.tar.gz", "w:gz"), ("a.TGZ", "w:gz")])
def test_a_tar(folder: Path, expected: dict[str, dict[str, Any]], tmp_path: Path, name: str, mode: str) -> None:
    pack(folder, tmp_path / name, mode)
    done = digits("batch", tmp_path / name, tmp_path / "out", "--part-size", "9", "--jobs", "1")
    assert done.returncode == 0, done.stderr
    check(tmp_path / "out", {f"./{file}": row for file, row in expected.items()})
    assert not (tmp_path / "out" / "_digits" / "spool").exists()


def test_links_in_a_tar_are_named(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(encoded(0))
    (tmp_path / "b.png").symlink_to("a.png")
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        archive.add(tmp_path / "a.png", "a.png")
        archive.add(tmp_path / "b.png", "b.png")
    assert digits("batch", tmp_path / "a.tar", tmp_path / "out").returncode == 0
    first, second = readings(tmp_path / "out")
    assert (first["digit"], "is a link" in second["error"]) == (7, True)


@pytest.mark.parametrize("name", ["a.tar", "a.tar.gz"])
@pytest.mark.parametrize("share", [0.3, 0.995])
def test_a_tar_that_is_cut_off_is_refused(folder: Path, tmp_path: Path, name: str, share: float) -> None:
    pack(folder, tmp_path / name, "w:gz" if name.endswith("gz") else "w")
    content = (tmp_path / name).read_bytes()
    end = content.rstrip(b"\0") if name == "a.tar" else content
    (tmp_path / name).write_bytes(content[: int(share * len(end)) // 512 * 512])
    with pytest.raises(InputError, match="is damaged"):
        run(str(tmp_path / name), tmp_path / "out", DIGITS)


@pytest.mark.parametrize("form", ["plain", "Hugging Face"])
def test_a_parquet_file(expected: dict[str, dict[str, Any]], folder: Path, tmp_path: Path, form: str) -> None:
    files = [file for file in sorted(expected) if "xe9" not in file]
    contents: list[Any] = [(folder / file).read_bytes() for file in files]
    columns: dict[str, Any] = {"image": [*contents, None], "other": [b"", *[None] * len(files)]}
    if form == "plain":
        columns["file"] = [*files, "null.png"]
    else:
        columns["image"] = [*({"bytes": content, "path": None} for content in contents), None]
    pq.write_table(pa.table(columns), tmp_path / "a.parquet", row_group_size=11)
    done = digits("batch", tmp_path / "a.parquet", tmp_path / "out", "--part-size", "6", "--jobs", "1")
    assert done.returncode == 0, done.stderr
    names = [*files, "null.png"] if form == "plain" else [str(number) for number in range(len(files) + 1)]
    no_bytes = {"error": f"{names[-1]} has no bytes: it is a link, or null."}
    wanted = dict(zip(names, [*(expected[file] for file in files), no_bytes], strict=True))
    check(tmp_path / "out", wanted)


def test_a_parquet_file_without_pictures_is_refused(tmp_path: Path) -> None:
    pq.write_table(pa.table({"a": [b""], "b": [b""], "c": ["text"]}), tmp_path / "a.parquet")
    with pytest.raises(InputError, match="there are: a, b"):
        run(str(tmp_path / "a.parquet"), tmp_path / "out", DIGITS)


def start(*arguments: str | Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "digitreader", "batch", *map(str, arguments)]
    return subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)


def wait_for(condition: Any, process: subprocess.Popen[bytes]) -> bool:
    """Wait until something holds, and return whether it came to it before the process ended."""
    while not condition():
        if process.poll() is not None:
            return False
        time.sleep(0.01)
    return True


@pytest.fixture
def many(tmp_path: Path) -> Path:
    """Return a folder with enough pictures that a job takes a while."""
    (tmp_path / "many").mkdir()
    for number in range(600):
        (tmp_path / "many" / f"{number}.png").write_bytes(encoded(number % 100))
    return tmp_path / "many"


def test_killed_at_any_moment_the_next_run_finishes_the_rest(many: Path, tmp_path: Path) -> None:
    out, kills = tmp_path / "out", 0
    rng = np.random.default_rng(0)
    options = ("--part-size", "10", "--jobs", "2")
    moments = [
        lambda: (out / "_digits").exists(),
        lambda: any((out / "_digits").glob("plan*")),
        lambda: (out / "_digits" / "job.json").exists(),
        *[lambda have=have: len(list(out.glob("*.parquet"))) >= have for have in (1, 30)],
    ]
    written: dict[Path, int] = {}
    for moment in moments:
        with start(many, out, *options) as process:
            reached = wait_for(moment, process)
            time.sleep(rng.uniform(0, 0.05))
            children = psutil.Process(process.pid).children(recursive=True) if reached else []
            process.kill()
        kills += reached
        assert not psutil.wait_procs(children, timeout=30)[1], "no process outlives its job"
        for path, changed in written.items():
            assert path.stat().st_mtime_ns == changed, "what is read is not read again"
        written = {path: path.stat().st_mtime_ns for path in out.glob("*.parquet")}
    assert kills == len(moments)
    assert 0 < len(written) < 60
    done = digits("batch", many, out, *options)
    assert done.returncode == 0, done.stderr
    assert "600 pictures: 600 accepted" in done.stdout
    assert sorted(row["file"] for row in readings(out)) == sorted(path.name for path in many.iterdir())
    assert {path.name for path in (out / "_digits").iterdir()} == {"job.json", "lock", "plan-000000"}


def test_a_process_that_is_killed_costs_nothing(many: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with start(many, out, "--part-size", "100", "--jobs", "2") as process:
        assert wait_for(lambda: any(out.glob("*.parquet")), process)
        readers = [
            child for child in psutil.Process(process.pid).children() if "spawn_main" in " ".join(child.cmdline())
        ]
        readers[0].kill()
        assert process.wait(timeout=120) == 0
    assert len(readings(out)) == 600
    assert not any("error" in row for row in readings(out))


def test_a_picture_that_ends_the_process_is_isolated(
    folder: Path, expected: dict[str, dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = f"""
import os, signal
from PIL import Image
opened = Image.open
def open(file, *arguments, **options):
    content = file.getvalue()
    if content == {POISON!r}:
        os.kill(os.getpid(), signal.SIGKILL)
    return opened(file, *arguments, **options)
Image.open = open
"""
    (tmp_path / "sitecustomize.py").write_text(code)
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    (tmp_path / "in").mkdir()
    for number in range(GOOD):
        (tmp_path / "in" / f"{number}.png").write_bytes(encoded(number))
    (tmp_path / "in" / "poison.png").write_bytes(POISON)
    done = digits("batch", tmp_path / "in", tmp_path / "out", "--jobs", "1")
    assert done.returncode == 0, done.stderr
    rows = {row["file"]: row for row in readings(tmp_path / "out")}
    poison = rows.pop("poison.png")
    assert poison["error_type"] == "CrashError"
    assert "died" in poison["error"]
    assert len(rows) == GOOD
    assert {row["digit"] for row in rows.values()} == {7}


def test_a_job_with_anything_else_is_refused(tmp_path: Path) -> None:
    pictures, out = tmp_path / "pictures", tmp_path / "out"
    pictures.mkdir()
    (pictures / "a.png").write_bytes(encoded(1))
    assert run(str(pictures), out, DIGITS) == {"accept": 1}
    assert run(str(pictures), out, DIGITS) == {"accept": 1}, "a job that is done is done"

    def refused(what: str, options: Options = DIGITS) -> None:
        with pytest.raises(JobChangedError, match=f" with {what}:"):
            run(str(pictures), out, options)

    refused(r"other options \(--lines was not given, is given\)", replace(DIGITS, lines=True))
    other = replace(DIGITS, part_size=7, length=5)
    refused(r"other options \(--length was not given, is 5; --part-size was 1000, is 7\)", other)
    record = json.loads((out / "_digits" / "job.json").read_text())
    changed = record | {"models": record["models"] | {"reader.json": "0"}}
    (out / "_digits" / "job.json").write_text(json.dumps(changed))
    refused("other networks or another calibration")
    for damaged in ("{", "[]", "{}"):
        (out / "_digits" / "job.json").write_text(damaged)
        with pytest.raises(BatchError, match=r"job\.json is damaged"):
            run(str(pictures), out, DIGITS)
    (out / "_digits" / "job.json").write_text(json.dumps(record))
    content = (pictures / "a.png").read_bytes()
    (pictures / "a.png").write_bytes(encoded(2))
    refused("another input")
    (pictures / "a.png").unlink()
    (pictures / "b.png").write_bytes(content)
    refused("another input")
    with FileLock(out / "_digits" / "lock"), pytest.raises(JobBusyError):
        run(str(pictures), out, DIGITS)


def test_a_part_that_is_damaged_or_deleted(tmp_path: Path) -> None:
    names = [f"{number}.png" for number in range(4)]
    pq.write_table(pa.table({"image": list(map(encoded, range(4))), "file": names}), tmp_path / "a.parquet")
    source, out, options = str(tmp_path / "a.parquet"), tmp_path / "out", replace(DIGITS, part_size=2)
    assert run(source, out, options) == {"accept": 4}
    part = out / "part-000001.parquet"
    part.write_bytes(part.read_bytes()[:-20])
    with pytest.raises(BatchError, match=part.name):
        run(source, out, options)
    part.unlink()
    assert run(source, out, options) == {"accept": 4}
    assert [row["file"] for row in readings(out)] == names


def test_what_was_being_unpacked_when_the_machine_stopped_is_unpacked_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "in").mkdir()
    for number in range(4):
        (tmp_path / "in" / f"{number}.png").write_bytes(encoded(number))
    pack(tmp_path / "in", tmp_path / "a.tar.gz", "w:gz")
    source, out, options = str(tmp_path / "a.tar.gz"), tmp_path / "out", replace(DIGITS, part_size=2)
    assert run(source, out, options) == {"accept": 4}
    (out / "part-000001.parquet").unlink()

    def stop(content: Any, spool: Any, size: int) -> None:
        spool.write(content.read(100))
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(shutil, "copyfileobj", stop)
        patched.setattr(Path, "unlink", lambda *_, **__: None)  # which a kill leaves no time for
        with pytest.raises(KeyboardInterrupt):
            run(source, out, options)
    (begun,) = (out / "_digits").glob("spool*")
    assert begun.suffix == ".partial"
    assert run(source, out, options) == {"accept": 4}
    assert not any((out / "_digits").glob("spool*"))


def test_a_part_finds_its_pictures_in_a_plan_of_several_files(folder: Path, tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(plan, "PLANNED", 2)
        with plan.opened(str(folder), tmp_path / "out", replace(DIGITS, part_size=3)) as job:
            parts = [[entry.file for entry in job.entries(part)] for part in job.parts()]
            listed = [file.name for file in job.source.files()]
    assert [len(part) for part in parts] == [*[3] * 8, 1]
    assert [name for part in parts for name in part] == listed
    assert len(list((tmp_path / "out" / "_digits").glob("plan-*"))) == 5


def test_a_folder_that_is_taken_away_is_no_folder_of_damaged_pictures(many: Path, tmp_path: Path) -> None:
    out, away = tmp_path / "out", tmp_path / "away"
    arguments = ("batch", str(many), str(out), "--part-size", "20", "--jobs", "1")
    with subprocess.Popen([sys.executable, "-c", WITHOUT_PAUSES, *arguments], stderr=subprocess.PIPE) as process:
        assert wait_for(lambda: any(out.glob("*.parquet")), process)
        many.rename(away)
        many.mkdir()  # as a mount leaves it
        _, said = process.communicate(timeout=120)
    assert process.returncode == 1
    assert b"cannot be read any more" in said
    assert not any("error" in row for row in readings(out))
    many.rmdir()
    away.rename(many)
    assert digits(*arguments).returncode == 0
    assert [row["digit"] for row in readings(out)] == [7] * 600


def test_a_single_file_that_is_taken_away_is_a_row(folder: Path, tmp_path: Path) -> None:
    source = inputs.Source(str(folder), tmp_path / "spool")
    gone = inputs.Entry("gone.png", None, 1)
    there = next(iter(source.entries(source.files())))
    missing, found = source.fetch([gone, there])
    assert isinstance(missing, ImageFormatError)
    assert "gone.png cannot be read" in str(missing)
    assert found == (folder / there.file).read_bytes()
    with pytest.raises(InputError, match="cannot be read any more"):
        source.fetch([inputs.Entry("away/gone.png", None, 1)])


@pytest.mark.parametrize("error", [PermissionError("ExpiredToken"), FileNotFoundError("NoSuchBucket")])
def test_a_store_that_gives_nothing_more_is_no_store_of_damaged_pictures(
    error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fsspec.implementations.memory import MemoryFileSystem

    store = MemoryFileSystem()
    store.pipe("/day/a.png", encoded(1))
    source = inputs.Source("memory://day", tmp_path / "spool")
    entries = [*source.entries(source.files()), inputs.Entry("gone.png", None, 1)]
    found, gone = source.fetch(entries)
    assert found == encoded(1)
    assert isinstance(gone, ImageFormatError)

    def refuse(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(MemoryFileSystem, "cat_file", refuse)
    monkeypatch.setattr(MemoryFileSystem, "info", refuse)
    with pytest.raises(InputError, match=str(error)):
        source.fetch(entries)


def test_wrong_inputs_and_outputs_are_named(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.txt").touch()
    (tmp_path / "a.tar").write_bytes(b"no tar")
    (tmp_path / "a.tgz").write_bytes(b"no tar")
    (tmp_path / "a.parquet").write_bytes(b"no Parquet file")
    (tmp_path / "b.parquet").mkdir()
    messages = {
        "empty": "no pictures",
        "b.parquet": "no pictures",
        "text.txt": "no folder, tar or Parquet",
        "nowhere": "is missing",
        "nowhere.tar": "is missing",
        "a.tar": "is damaged",
        "a.tgz": "is damaged",
        "a.parquet": "is damaged",
    }
    for name, message in messages.items():
        with pytest.raises(InputError, match=message):
            run(str(tmp_path / name), tmp_path / "out", DIGITS)
    with pytest.raises(InputError, match="nonsense"):
        run("nonsense://a", tmp_path / "out", DIGITS)
    with pytest.raises(MissingExtraError, match="gcsfs"):
        run("gs://a", tmp_path / "out", DIGITS)
    (tmp_path / "empty" / "a.png").write_bytes(encoded(1))
    with pytest.raises(BatchError, match="of no batch job"):
        run(str(tmp_path / "empty"), tmp_path, DIGITS)
    with pytest.raises(BatchError, match="cannot be written"):
        run(str(tmp_path / "empty"), tmp_path / "text.txt" / "out", DIGITS)
    for url in ("s3://post/out", "memory://out"):
        done = digits("batch", tmp_path / "empty", url, cwd=tmp_path)
        assert done.returncode == 1
        assert "is a URL" in done.stderr
        assert not (tmp_path / url.split("/")[0]).exists()
    done = digits("batch", tmp_path / "nowhere", tmp_path / "out")
    assert (done.returncode, done.stderr) == (1, f"{tmp_path / 'nowhere'} is missing.\n")


@pytest.mark.parametrize(("module", "extra"), [("pyarrow", "batch"), ("ray", "scale"), ("zipcodes", "zip")])
def test_a_missing_extra_is_named(folder: Path, tmp_path: Path, module: str, extra: str) -> None:
    code = f"import sys; sys.modules[{module!r}] = None; from digitreader.cli import app; app()"
    command = [sys.executable, "-c", code, "batch", str(folder), str(tmp_path / "out"), "--ray", "local", "--zip"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert f"digitreader[{extra}]" in done.stderr


class Handler(SimpleHTTPRequestHandler):
    """A server of files that is out of order while `refused` says so."""

    refused = ""

    def do_GET(self) -> None:
        """Answer."""
        if self.refused and self.refused in self.path:
            self.send_error(503)
        else:
            super().do_GET()

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def web(tmp_path: Path) -> Iterator[str]:
    """Serve a folder with three pictures and a tar of them."""
    (tmp_path / "web" / "in").mkdir(parents=True)
    for number in range(3):
        (tmp_path / "web" / "in" / f"{number}.png").write_bytes(encoded(number))
    pack(tmp_path / "web" / "in", tmp_path / "web" / "a.tar.gz", "w:gz")
    handler = partial(Handler, directory=str(tmp_path / "web"))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_over_http(web: str, tmp_path: Path) -> None:
    for source, prefix in ((f"{web}/in/", ""), (f"{web}/a.tar.gz", "./")):
        out = tmp_path / f"out{len(prefix)}"
        done = digits("batch", source, out, "--jobs", "1")
        assert done.returncode == 0, done.stderr
        assert sorted(row["file"] for row in readings(out)) == [f"{prefix}{number}.png" for number in range(3)]
        assert {row["digit"] for row in readings(out)} == {7}


def test_no_more_is_taken_of_a_file_than_is_needed_to_refuse_it(
    web: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = inputs.Source(f"{web}/in/", tmp_path / "spool")
    entries = list(source.entries(source.files()))
    assert {entry.size for entry in entries} == {None}, "the server lists no sizes"
    whole = source.fetch(entries)
    monkeypatch.setattr(inputs, "MAX_BYTES", 100)
    assert source.fetch(entries) == [content[:101] for content in whole if isinstance(content, bytes)]


def test_an_outage_stops_the_job_and_is_no_reading(web: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Handler, "refused", "/1.png")
    arguments = ("batch", f"{web}/in/", str(tmp_path / "out"), "--part-size", "1", "--jobs", "1")
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_PAUSES, *arguments], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 1
    assert "503" in done.stderr
    assert "Traceback" not in done.stderr
    monkeypatch.setattr(Handler, "refused", "")
    assert digits(*arguments).returncode == 0
    assert [row["digit"] for row in readings(tmp_path / "out")] == [7, 7, 7]


def test_on_an_object_store(
    folder: Path, expected: dict[str, dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        for name, value in (("ACCESS_KEY_ID", "test"), ("SECRET_ACCESS_KEY", "test"), ("DEFAULT_REGION", "us-east-1")):
            monkeypatch.setenv(f"AWS_{name}", value)
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        client = boto3.client("s3")
        client.create_bucket(Bucket="post")
        names = [file for file in expected if "xe9" not in file]
        for name in names:
            client.put_object(Bucket="post", Key=f"day/one/{name}", Body=(folder / name).read_bytes())
        pack(folder, tmp_path / "a.tar", "w")
        client.upload_file(str(tmp_path / "a.tar"), "post", "a.tar")
        client.close()
        done = digits("batch", "s3://post/day/one", tmp_path / "out", "--part-size", "10")
        assert done.returncode == 0, done.stderr
        check(tmp_path / "out", {name: expected[name] for name in names})
        done = digits("batch", "s3://post/a.tar", tmp_path / "tar")
        assert done.returncode == 0, done.stderr
        check(tmp_path / "tar", {f"./{name}": row for name, row in expected.items()})
        missing = digits("batch", "s3://nowhere/day", tmp_path / "missing")
        assert missing.returncode == 1
        assert "s3://nowhere/day" in missing.stderr
    finally:
        server.stop()
