"""Three hundred malformed files through `digits predict`, each in a process of its own.

Every file must end in an error message or a reading: no traceback, no signal, at most 1 GB, and at most 2 seconds more
than a small drawing, whose time is the start of the process.

    python -m benchmarks.bad_input
"""

from __future__ import annotations

import json
import os
import statistics
import struct
import subprocess
import sys
import tempfile
import threading
import time
import zlib
from collections import Counter
from collections.abc import Iterator
from io import BytesIO
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw
from tqdm import tqdm

from benchmarks.results import write_result
from digitreader.images import FORMATS

SEED = 0
FILES = 300
SECONDS = 2.0
STARTS = 5
HANGING = 60.0
BYTES = 1_000_000_000


def drawing(size: int = 60) -> Image.Image:
    """Return a picture of a stroke."""
    image = Image.new("RGB", (size, size), "white")
    ImageDraw.Draw(image).line((size * 0.2, size * 0.2, size * 0.7, size * 0.8), fill="black", width=size // 10)
    return image


def saved(image: Image.Image, form: str = "PNG", **options: Any) -> bytes:
    """Return an image as the bytes of a file."""
    stream = BytesIO()
    image.save(stream, form, **options)
    return stream.getvalue()


def png(width: int, height: int, data: bytes, *, depth: int = 8, colour: int = 0) -> bytes:
    """Return a PNG with any header and any data."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def costly() -> dict[str, bytes]:
    """Return small files, by what makes decoding them cost far more than their size and their pixels tell."""
    progressive = saved(drawing(2000), "JPEG", progressive=True)
    last, end = progressive.rindex(b"\xff\xda"), progressive.rindex(b"\xff\xd9")
    scans = progressive[:end] + progressive[last:end] * 1000 + progressive[end:]
    runs = b"\x01\x00" * 3_000_000  # each of one pixel
    bitmap = struct.pack("<IiiHHIIiiII", 40, 2000, 1500, 1, 8, 1, len(runs), 0, 0, 256, 0) + bytes(1024) + runs
    return {
        "a JPEG of many scans": scans,
        "a PGM of odd depth": b"P5\n5000 5000\n100\n" + bytes(25_000_000),
        "a PGM in figures": b"P2\n3000 3000\n255\n" + b"0 " * 9_000_000,
        "a PGM with a long comment": b"P5\n#" + b"a" * 20_000_000 + b"\n50 50\n255\n" + bytes(2500),
        "a BMP of short runs": b"BM" + struct.pack("<IHHI", 1078 + len(runs), 0, 0, 1078) + bitmap,
        "a TIFF of one large tile": tile_of(40_000),
        "a WebP of 50 megapixels": bytes.fromhex(
            "524946461e000000574542505650384c110000002ffebffa1207d0842634a1098188e87f0000"
        ),
    }


def tile_of(side: int) -> bytes:
    """Return a TIFF of 64 × 64 pixels whose only tile claims a larger side."""
    data = zlib.compress(bytes(1000))
    tags = {256: 64, 257: 64, 258: 8, 259: 8, 262: 1, 277: 1, 322: side, 323: side, 324: 8, 325: len(data)}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    return b"II*\0" + struct.pack("<I", 8 + len(data)) + data + struct.pack("<H", len(tags)) + entries + bytes(4)


def malformed() -> Iterator[tuple[str, bytes]]:
    """Yield kinds and contents of files, without end."""
    rng = np.random.default_rng(SEED)
    whole = {form: saved(drawing(), form) for form in FORMATS}
    yield "empty", b""
    yield "one byte", b"\x89"
    yield "text", b"seven"
    yield "zeros", bytes(100_000)
    yield "markup", b"<svg xmlns='http://www.w3.org/2000/svg'/>"
    yield "document", b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n"
    yield "archive", b"PK\x03\x04" + bytes(200)
    for width, height in ((100_000, 100_000), (2**31 - 1, 2**31 - 1), (1, 60_000_000), (0, 0), (0, 5), (7100, 7100)):
        yield "declared size", png(width, height, zlib.compress(b"\0"))
    yield "bomb within the limit", png(7000, 7000, zlib.compress(bytes(7000 * 7001), 9))
    yield "bomb over the limit", png(20_000, 20_000, zlib.compress(bytes(20_000_000), 9))
    for depth, colour in ((3, 0), (8, 1), (16, 3), (0, 0), (8, 7), (255, 255)):
        yield "impossible header", png(28, 28, zlib.compress(bytes(1000)), depth=depth, colour=colour)
    yield from costly().items()
    yield "blank", saved(Image.new("RGB", (50, 50), "white"), "PNG")
    yield "many frames", saved_frames()
    for form, content in whole.items():
        for share in (0.05, 0.3, 0.6, 0.9, 0.99):
            yield f"truncated {form}", content[: int(share * len(content))]
        yield f"{form} with a tail", content + bytes(rng.integers(0, 256, 5000, dtype=np.uint8))
        yield f"{form} with another's start", whole["PNG" if form != "PNG" else "GIF"][:8] + content[8:]
    for mode in ("I", "F", "RGBA"):
        yield f"as large as allowed, {mode}", saved(Image.new(mode, (7070, 7070)), "TIFF", compression="tiff_deflate")
    for form in cycle(FORMATS):
        damaged = bytearray(whole[form])
        for place in rng.integers(0, len(damaged), int(rng.integers(1, 30))):
            damaged[place] = rng.integers(0, 256)
        yield f"{form} with changed bytes", bytes(damaged)


def saved_frames() -> bytes:
    """Return an animation of 200 frames."""
    stream = BytesIO()
    drawing().save(stream, "GIF", save_all=True, append_images=[drawing()] * 199)
    return stream.getvalue()


def run(path: Path) -> tuple[int, bytes, bytes, float, int]:
    """Return exit code, output, error output, seconds and peak of bytes of `digits predict` on a file."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        started = time.perf_counter()
        command = [sys.executable, "-m", "digitreader", "predict", "--json", str(path)]
        process = subprocess.Popen(command, stdout=out, stderr=err)
        watchdog = threading.Timer(HANGING, process.kill)
        watchdog.start()
        _, status, usage = os.wait4(process.pid, 0)  # of this child alone
        watchdog.cancel()
        process.returncode = os.waitstatus_to_exitcode(status)
        seconds = time.perf_counter() - started
        for stream in (out, err):
            stream.seek(0)
        return process.returncode, out.read(), err.read(), seconds, usage.ru_maxrss * 1024


def main() -> None:
    """Run the command on each file and write results/bad_input.json."""
    outcomes: Counter[str] = Counter()
    slowest = largest = 0.0
    failures = []
    with tempfile.TemporaryDirectory() as folder:
        small = Path(folder) / "small.png"
        drawing().save(small)
        start = statistics.median(run(small)[3] for _ in range(STARTS))
        for number, (kind, content) in enumerate(tqdm(islice(malformed(), FILES), total=FILES, unit="file")):
            path = Path(folder) / f"{number}.bin"
            path.write_bytes(content)
            code, out, err, seconds, peak = run(path)
            seconds -= start
            slowest, largest = max(slowest, seconds), max(largest, peak)
            answer = json.loads(out) if code in (0, 1) and out else {}
            outcome = "error" if "error" in answer else "reading" if "digit" in answer else "failure"
            outcomes[outcome] += 1
            if outcome == "failure" or b"Traceback" in err or seconds > SECONDS or peak > BYTES:
                failures.append({"kind": kind, "seconds": seconds, "peak": peak, "stderr": err.decode()[-300:]})
            path.unlink()
    write_result(
        "bad_input",
        "python -m benchmarks.bad_input",
        seed=SEED,
        files=sum(outcomes.values()),
        outcomes=dict(outcomes),
        start_seconds=start,
        slowest_seconds=slowest,
        largest_bytes=largest,
        failures=failures,
    )
    if failures:
        raise SystemExit(f"{len(failures)} files were not handled: {failures[:3]}")


if __name__ == "__main__":
    main()
