"""A long day: 200,000 mixed requests, a tenth of them bad, and what becomes of the memory.

Needs wrk (Debian: apt install wrk).

    python -m benchmarks.soak
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import psutil
from tqdm import tqdm

from benchmarks.load import SERVE, TIMEOUT, encoded, free_port, running
from benchmarks.results import write_result
from digitreader.cores import cores
from digitreader.data import load_mnist
from experiments.compose import PLAIN, lines

REQUESTS = 200_000
PIECE = 10  # seconds, after each of which the clients leave, whatever they wait for, and the memory is looked at
WARM_UP = 0.1  # share of the requests after which the memory should not grow
CONCURRENCY = 8
SEED = 0
# One request after another, by turns; what was answered is counted by its status.
SCRIPT = """
local requests, n, counts = {}, %d, {}
for line in io.lines("%s") do
  local path, kind, body = line:match("^(%%S+) (%%S+) (.*)$")
  requests[#requests + 1] = wrk.format("POST", path, {["Content-Type"] = kind}, body)
end
function setup(thread) Thread = thread end
function request() n = n %% #requests + 1; return requests[n] end
function response(status)
  counts[status] = (counts[status] or 0) + 1
  answered = ""
  for code, times in pairs(counts) do answered = answered .. string.format('"%%d": %%d, ', code, times) end
end
function done(summary, latency)
  io.write(string.format('{%%s"lost": %%d}\\n', Thread:get("answered"),
    summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout))
end
"""


def requests(count: int) -> list[str]:
    """Return requests of all kinds, a line each: path, content type and body; a tenth is bad."""
    data = load_mnist()
    random.seed(SEED)
    fields = list(lines(data.x_test, data.y_test, np.zeros(len(data.x_test), np.int32), PLAIN, count=20, seed=SEED))

    def digit() -> str:
        return encoded(data.x_test[random.randrange(len(data.x_test))])

    def good() -> tuple[str, str, str]:
        path = random.choices(("/predict", "/predict/batch", "/read", "/explain"), (80, 5, 10, 5))[0]
        body: dict[str, object] = {"image": digit()}
        if path == "/predict/batch":
            body = {"images": [digit() for _ in range(4)]}
        elif path == "/read":
            body = {"image": encoded(random.choice(fields).picture.pixels, "JPEG")}
        return path, "application/json", json.dumps(body)

    def bad() -> tuple[str, str, str]:
        image = digit()
        return random.choice(
            [
                ("/predict", "application/json", "{"),
                ("/predict", "application/json", json.dumps({"image": image[: len(image) // 8 * 4]})),
                ("/predict", "application/json", json.dumps({"image": image + "!"})),
                ("/predict", "text/plain", image),
                ("/predict", "application/json", json.dumps({"image": encoded(np.zeros((30, 30), np.uint8))})),
                ("/read?length=0", "application/json", json.dumps({"image": image})),
                ("/nowhere", "application/json", "{}"),
                ("/predict/batch", "application/json", json.dumps({"images": []})),
            ]
        )

    return [" ".join(bad() if number % 10 == 9 else good()) for number in range(count)]


def main() -> None:
    """Send, watch, write results/soak.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=REQUESTS)
    total = parser.parse_args().requests
    if not shutil.which("wrk"):
        raise SystemExit("wrk is not installed.")
    port = free_port()
    statuses: dict[str, int] = {}
    held: list[int] = []
    server = running(*SERVE, "--port", str(port), port=port)
    with tempfile.TemporaryDirectory() as folder, server as process, tqdm(total=total, unit="request") as progress:
        listed, script = Path(folder) / "requests", Path(folder) / "mixed.lua"
        listed.write_text("\n".join(requests(2000)))
        limits = [f"-c{CONCURRENCY}", f"-d{PIECE}s", f"--timeout={TIMEOUT}s"]
        command = ["wrk", "-t1", *limits, "-s", str(script), f"http://127.0.0.1:{port}"]
        while progress.n < total:
            script.write_text(SCRIPT % (progress.n, listed))
            out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            counted = json.loads(out[out.index("{") :])
            for status, times in counted.items():
                statuses[status] = statuses.get(status, 0) + times
            progress.update(sum(counted.values()))
            held.append(psutil.Process(process.pid).memory_info().rss)
    warm = held[max(int(WARM_UP * len(held)), 1) - 1]
    write_result(
        "soak",
        "python -m benchmarks.soak",
        seed=SEED,
        cores=cores(),
        requests=progress.n,
        statuses=statuses,
        bytes_after_warm_up=warm,
        bytes_at_the_end=held[-1],
        growth=held[-1] / warm - 1,
        bytes_held=held,
    )


if __name__ == "__main__":
    main()
