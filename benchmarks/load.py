"""Requests a second and their latency, beside the obvious Flask service, in one run; and where the time goes.

Needs wrk (Debian: apt install wrk) and Flask.

    python -m benchmarks.load
"""

from __future__ import annotations

import base64
import json
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import numpy.typing as npt
from PIL import Image
from tqdm import tqdm

from benchmarks.bad_input import saved
from benchmarks.results import write_result
from digitreader.cores import cores
from digitreader.data import load_mnist
from digitreader.decision import Reading
from digitreader.reader import GROUP, DigitReader
from digitreader.service.schemas import ImageRequest
from digitreader.service.schemas import Reading as Answer

CONCURRENCIES = (1, 16, 64)
SECONDS = 10
ROUNDS = 3
SERVE = (sys.executable, "-m", "digitreader", "serve")
TIMEOUT = 30  # seconds; wrk's own two would count slow answers as lost
REPORT = """
done = function(summary, latency)
  io.write(string.format('{"requests": %d, "seconds": %f, "errors": %d, "p50_ms": %f, "p99_ms": %f}\\n',
    summary.requests, summary.duration / 1e6,
    summary.errors.status + summary.errors.connect + summary.errors.read + summary.errors.write +
    summary.errors.timeout,
    latency:percentile(50) / 1e3, latency:percentile(99) / 1e3))
end
"""
POST = """
local bodies = {}
for line in io.lines("%s") do bodies[#bodies + 1] = line end
local n = 0
wrk.method, wrk.headers["Content-Type"] = "POST", "application/json"
request = function() n = n %% #bodies + 1; return wrk.format(nil, nil, nil, bodies[n]) end
"""


def encoded(pixels: npt.NDArray[np.uint8], form: str = "PNG") -> str:
    """Return an image as a file's bytes, in Base64."""
    return base64.b64encode(saved(Image.fromarray(pixels), form)).decode()


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


@contextmanager
def running(*command: str, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server until the block ends; it is there when the block starts."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while process.poll() is None:
            try:
                httpx.get(f"http://127.0.0.1:{port}/")
                break
            except httpx.TransportError:
                time.sleep(0.1)
        else:
            raise SystemExit(f"{' '.join(command)} ended with {process.returncode}.")
        time.sleep(5)  # other workers may still be starting
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=30)


def wrk(port: int, concurrency: int, script: Path, path: str = "/predict") -> dict[str, float]:
    """Return what wrk measures of a path of a server at some open connections."""
    limits = [f"-c{concurrency}", f"-d{SECONDS}s", f"--timeout={TIMEOUT}s"]
    command = ["wrk", "-t1", *limits, "-s", str(script), f"http://127.0.0.1:{port}{path}"]
    out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    found = re.search(r"^\{.*\}$", out, re.MULTILINE)
    assert found, out
    measured: dict[str, float] = json.loads(found[0])
    if measured["errors"]:
        raise SystemExit(f"{measured['errors']} requests failed at {concurrency}")
    return measured | {"requests_a_second": measured["requests"] / measured["seconds"]}


def microseconds(call: Callable[[], Any], times: int = 300) -> float:
    """Return the median time of a call."""
    taken = []
    for _ in range(times):
        started = time.perf_counter()
        call()
        taken.append(time.perf_counter() - started)
    return 1e6 * statistics.median(taken)


def breakdown(bodies: list[str]) -> dict[str, float]:
    """Return what the parts of a request cost in microseconds, on one thread; the rest is the framework's."""
    reader = DigitReader(threads=1)
    image = ImageRequest.model_validate_json(bodies[0]).image
    prepared = reader.prepare(image)
    (reading,) = reader.decide([prepared])
    assert isinstance(reading, Reading)
    return {
        "JSON and Base64": microseconds(lambda: ImageRequest.model_validate_json(bodies[0])),
        "decoding and normalising": microseconds(lambda: reader.prepare(image)),
        "networks, one picture": microseconds(lambda: reader.decide([prepared])),
        "networks, of a full group": microseconds(lambda: reader.decide([prepared] * GROUP), 50) / GROUP,
        "answer": microseconds(lambda: Answer.model_validate(reading).model_dump_json()),
    }


def main() -> None:
    """Measure both services by turns, and write results/load.json."""
    if not shutil.which("wrk"):
        raise SystemExit("wrk is not installed.")
    bodies = [json.dumps({"image": encoded(image)}) for image in load_mnist().x_test[:200]]
    servers = {
        "service": (*SERVE, "--workers", "1"),
        "a worker a core": (*SERVE, "--workers", str(cores())),
        "flask": (sys.executable, "-m", "benchmarks.flask_peer"),
    }
    rounds: dict[str, dict[int, list[dict[str, float]]]] = {
        name: {concurrency: [] for concurrency in CONCURRENCIES} for name in servers
    }
    without_reading: list[float] = []
    steps = tqdm(total=len(CONCURRENCIES) * ROUNDS * len(servers), unit="measurement")
    with tempfile.TemporaryDirectory() as folder, steps:
        lines, script, plain = (Path(folder) / name for name in ("bodies", "post.lua", "get.lua"))
        lines.write_text("\n".join(bodies))
        script.write_text(POST % lines + REPORT)
        plain.write_text(REPORT)
        for concurrency in CONCURRENCIES:
            for _ in range(ROUNDS):
                for name, command in servers.items():
                    port = free_port()
                    with running(*command, "--port", str(port), port=port):
                        rounds[name][concurrency].append(wrk(port, concurrency, script))
                        if name == "service":
                            without_reading.append(wrk(port, concurrency, plain, "/livez")["requests_a_second"])
                    steps.update()
    measured = {
        name: {
            str(concurrency): {
                key: statistics.median(one[key] for one in found) for key in ("requests_a_second", "p50_ms", "p99_ms")
            }
            for concurrency, found in by_concurrency.items()
        }
        for name, by_concurrency in rounds.items()
    }
    ratios = {
        str(concurrency): statistics.median(
            mine["requests_a_second"] / theirs["requests_a_second"]
            for mine, theirs in zip(rounds["service"][concurrency], rounds["flask"][concurrency], strict=True)
        )
        for concurrency in CONCURRENCIES
    }
    write_result(
        "load",
        "python -m benchmarks.load",
        seed=None,
        cores=cores(),
        seconds=SECONDS,
        rounds=ROUNDS,
        measured=measured,
        ratio=ratios,
        livez_a_second=statistics.median(without_reading),
        microseconds=breakdown(bodies),
    )


if __name__ == "__main__":
    main()
