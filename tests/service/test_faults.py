"""What the service bears: floods, slow and broken clients, and its own end."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import httpx
import psutil
import pytest
from PIL import Image

from benchmarks.bad_input import saved
from benchmarks.soak import requests
from digitreader.data import Dataset
from tests.service.server import Server

HEAD = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"


def connected(server: Server) -> socket.socket:
    """Return a connection to a server."""
    return socket.create_connection(("127.0.0.1", server.port), timeout=20)


def answered(client: httpx.Client, samples: dict[str, bytes]) -> bool:
    """Return whether the service reads a digit."""
    answer = client.post("/predict", files={"image": samples["seven"]})
    return answer.status_code == 200 and answer.json()["digit"] == 7


def status(connection: socket.socket) -> int:
    """Return the status of the answer on a connection."""
    start = connection.recv(65536)
    found = re.match(rb"HTTP/1.1 (\d+)", start)
    assert found, start
    return int(found[1])


def workers(server: Server) -> list[psutil.Process]:
    """Return the processes that serve and run."""
    children = psutil.Process(server.process.pid).children()
    return [
        child
        for child in children
        if child.status() != psutil.STATUS_ZOMBIE and any("spawn_main" in part for part in child.cmdline())
    ]


def test_a_term_signal_loses_no_request(samples: dict[str, bytes]) -> None:
    with Server() as server:
        outcomes: Counter[str] = Counter()
        ended = threading.Event()

        def flood() -> None:
            with httpx.Client(base_url=server.url, timeout=30) as client:
                while not ended.is_set():
                    try:
                        outcomes[str(client.post("/predict", files={"image": samples["seven"]}).status_code)] += 1
                    except httpx.ConnectError:  # the server takes no more connections: none was accepted
                        return
                    except httpx.HTTPError as error:
                        outcomes[repr(error)] += 1

        with ThreadPoolExecutor(8) as pool:
            floods = [pool.submit(flood) for _ in range(8)]
            until = time.monotonic() + 60
            while outcomes["200"] <= 20 and time.monotonic() < until:
                time.sleep(0.1)
            try:
                code = server.stop()
            finally:
                ended.set()
            for one in floods:
                one.result()
    assert code == 0
    # A kept connection may be closed just as the next request starts on it: that one was not accepted.
    closed = {name for name in outcomes if "disconnected without sending a response" in name or "ReadError" in name}
    assert set(outcomes) - closed == {"200"}, outcomes
    assert outcomes["200"] > 20
    finished = [entry for entry in server.log() if entry["event"] == "request"]
    assert len(finished) == outcomes["200"], "what was accepted was answered"


def test_a_killed_worker_is_replaced(samples: dict[str, bytes]) -> None:
    with Server("--workers", "2") as server:
        with httpx.Client(base_url=server.url, timeout=30) as client:
            assert answered(client, samples)
            victim = workers(server)[0]
        victim.kill()
        read = 0
        for _ in range(100):
            with contextlib.suppress(httpx.TransportError), httpx.Client(base_url=server.url, timeout=5) as client:
                read += answered(client, samples)
            if len(workers(server)) == 2 and read > 20:
                break
            time.sleep(0.1)
        assert read > 20
        assert len(workers(server)) == 2
        with httpx.Client(base_url=server.url) as client:
            counted = sum(
                float(line.rpartition(" ")[2])
                for line in client.get("/metrics").text.splitlines()
                if line.startswith("digits_decisions_total")
            )
        assert counted >= read, "the metrics are of all workers"
        assert server.stop() == 0


def test_too_many_at_once_are_turned_away(samples: dict[str, bytes]) -> None:
    with Server(DIGITS_MAX_CONCURRENT="2") as server, httpx.Client(base_url=server.url, timeout=30) as client:
        waiting = [connected(server) for _ in range(2)]
        for connection in waiting:
            connection.sendall(HEAD + b"Content-Length: 100\r\n\r\n{")
        time.sleep(0.5)
        busy = client.post("/predict", files={"image": samples["seven"]})
        assert busy.status_code == 503
        assert busy.json()["type"] == "urn:digitreader:problem:busy"
        assert int(busy.headers["retry-after"]) >= 1
        assert client.get("/livez").status_code == 204
        for connection in waiting:
            connection.close()
        time.sleep(0.5)
        assert answered(client, samples)


def test_slow_bodies_are_given_up(samples: dict[str, bytes]) -> None:
    with Server(DIGITS_SECONDS="1") as server, httpx.Client(base_url=server.url, timeout=30) as client:
        with connected(server) as connection:
            connection.sendall(HEAD + b"Content-Length: 100\r\n\r\n{")
            started = time.monotonic()
            assert status(connection) == 408
            assert time.monotonic() - started < 5
        assert answered(client, samples)


def half_sent(connection: socket.socket) -> None:
    connection.sendall(HEAD + b'Content-Length: 1000\r\n\r\n{"image": "AAAA')
    connection.shutdown(socket.SHUT_WR)


def longer_than_stated(connection: socket.socket) -> None:
    connection.sendall(HEAD + b'Content-Length: 5\r\n\r\n{"image": "AAAA"}garbage\r\n\r\n')


def without_end(connection: socket.socket) -> None:
    connection.sendall(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
    with contextlib.suppress(OSError):
        for _ in range(1000):
            connection.sendall(b"10000\r\n" + bytes(65536) + b"\r\n")


def no_http(connection: socket.socket) -> None:
    connection.sendall(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" * 20)


def two_lengths(connection: socket.socket) -> None:
    connection.sendall(HEAD + b"Content-Length: 5\r\nContent-Length: 7\r\n\r\n{}")


def long_length(connection: socket.socket) -> None:
    connection.sendall(HEAD + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n")


def padded_length(connection: socket.socket) -> None:
    connection.sendall(HEAD + b"Content-Length: " + b"0" * 5000 + b"2\r\n\r\n{}")


def long_header(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.sendall(HEAD + b"X-Long: " + b"a" * 10_000_000)


@pytest.mark.parametrize(
    ("misbehave", "expected"),
    [
        (half_sent, None),
        (longer_than_stated, 400),
        (without_end, 413),
        (no_http, 400),
        (two_lengths, 400),
        (long_length, 400),
        (padded_length, 422),
        (long_header, 431),
    ],
)
def test_broken_clients(
    server: Server,
    client: httpx.Client,
    samples: dict[str, bytes],
    misbehave: Callable[[socket.socket], None],
    expected: int | None,
) -> None:
    before = len(server.lines)
    for _ in range(5):
        with connected(server) as connection:
            misbehave(connection)
            if expected:
                with contextlib.suppress(ConnectionResetError):  # the answer may go where the rest was refused
                    assert status(connection) == expected
    assert answered(client, samples)
    time.sleep(0.2)
    log = "".join(server.lines[before:])
    assert "Traceback" not in log
    assert '"status": 500' not in log


def test_headers_that_never_come_are_given_up(samples: dict[str, bytes]) -> None:
    with Server(DIGITS_SECONDS="1") as server, httpx.Client(base_url=server.url, timeout=30) as client:
        for start in (b"", b"GET /livez HTTP/1.1\r\nHost: x\r\nX-Half"):
            with connected(server) as connection:
                connection.sendall(start)
                started = time.monotonic()
                assert connection.recv(100) == b""
                assert time.monotonic() - started < 5
        assert answered(client, samples)


def test_work_that_takes_too_long_is_given_up(samples: dict[str, bytes]) -> None:
    blank = saved(Image.new("L", (4000, 4000), 255))
    with (
        Server(DIGITS_SECONDS="0.4", DIGITS_THREADS="1") as server,
        httpx.Client(base_url=server.url, timeout=30) as client,
    ):
        late = client.post("/predict/batch", files=[("images", blank)] * 40)
        assert late.status_code == 503
        assert late.json()["type"] == "urn:digitreader:problem:timeout"
        assert int(late.headers["retry-after"]) >= 1
        for _ in range(20):  # what nobody waits for any more is not read
            if answered(client, samples):
                break
        else:
            raise AssertionError("others got no turn")


def test_who_leaves_is_not_read_for(samples: dict[str, bytes]) -> None:
    with Server(DIGITS_THREADS="1") as server, httpx.Client(base_url=server.url, timeout=30) as client:
        body = json.dumps({"image": base64.b64encode(samples["seven"]).decode()}).encode()
        request = HEAD + f"Content-Length: {len(body)}\r\n\r\n".encode() + body
        for _ in range(60):
            with connected(server) as connection:
                connection.sendall(request)
        assert answered(client, samples)
        time.sleep(0.5)
        counted = [
            line for line in client.get("/metrics").text.splitlines() if line.startswith("digits_decisions_total")
        ]
        statuses = Counter(entry["status"] for entry in server.log() if entry.get("path") == "/predict")
        assert statuses[499] > 20
        assert sum(float(line.rpartition(" ")[2]) for line in counted) == statuses[200]


def test_too_many_bytes_at_once_are_turned_away(samples: dict[str, bytes]) -> None:
    limits = {"DIGITS_MAX_BYTES": "300000", "DIGITS_MAX_BYTES_TOGETHER": "500000"}
    with Server(**limits) as server, httpx.Client(base_url=server.url, timeout=30) as client:
        with connected(server) as first, connected(server) as second:
            for connection in (first, second):
                connection.sendall(HEAD + b"Content-Length: 280000\r\n\r\n" + bytes(260_000))
            assert status(second) == 503
        time.sleep(0.3)
        assert answered(client, samples)


def test_a_thousand_open_connections(server: Server, client: httpx.Client, samples: dict[str, bytes]) -> None:
    with contextlib.ExitStack() as stack:
        for number in range(1000):
            connection = stack.enter_context(connected(server))
            if number % 2:
                connection.sendall(HEAD)
        assert answered(client, samples)
        assert client.get("/livez").status_code == 204
    assert answered(client, samples)


def test_mixed_requests_neither_fail_nor_pile_up(mnist: Dataset) -> None:  # which `requests` takes its pictures from
    sent = [line.split(" ", 2) for line in requests(300)]
    held = []
    with Server() as server, httpx.Client(base_url=server.url, timeout=30) as client:

        def status_of(request: list[str]) -> int:
            path, kind, body = request
            return client.post(path, content=body, headers={"Content-Type": kind}).status_code

        with ThreadPoolExecutor(4) as pool:
            for _ in range(4):
                statuses = Counter(pool.map(status_of, sent))
                assert statuses[200] == 270
                assert set(statuses) == {200, 400, 404, 415, 422}
                held.append(psutil.Process(server.process.pid).memory_info().rss)
    assert held[-1] < 1.05 * held[1]


@pytest.mark.parametrize("settings", [{}, {"DIGITS_API_KEYS": " , "}])
def test_without_a_key_it_serves_this_machine_alone(settings: dict[str, str]) -> None:
    command = [sys.executable, "-m", "digitreader", "serve", "--host", "0.0.0.0", "--port", "0"]
    refused = subprocess.run(command, env=os.environ | settings, capture_output=True, text=True, timeout=60)
    assert refused.returncode == 1
    assert "DIGITS_API_KEYS" in refused.stderr
    with Server("--host", "0.0.0.0", DIGITS_WITHOUT_KEYS="true") as meant:
        assert httpx.get(f"http://127.0.0.1:{meant.port}/readyz").status_code == 204


def test_settings_that_make_no_sense_are_named() -> None:
    command = [sys.executable, "-m", "digitreader", "serve", "--port", "0"]
    for name, value in (("DIGITS_MAX_BYTES", "many"), ("DIGITS_SECONDS", "inf"), ("DIGITS_API_KEYS", "schlüssel")):
        refused = subprocess.run(command, env=os.environ | {name: value}, capture_output=True, text=True, timeout=60)
        assert refused.returncode == 1
        assert name in refused.stderr
        assert "Traceback" not in refused.stderr


def test_what_is_not_installed_is_named() -> None:
    program = "import sys; sys.modules['uvicorn'] = None; from digitreader.cli import app; app(['serve'])"
    refused = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert refused.returncode == 1
    assert "digitreader[serve]" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_a_port_in_use_is_named(server: Server) -> None:
    command = [sys.executable, "-m", "digitreader", "serve", "--port", str(server.port)]
    refused = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert refused.returncode != 0
    assert "address already in use" in refused.stdout + refused.stderr
    assert "Traceback" not in refused.stdout + refused.stderr
