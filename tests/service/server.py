"""A server of the committed reader, as a process."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any

START = 60.0  # seconds that a start may take


class Server:
    """`digits serve` on a free port, until the block ends.

    Parameters
    ----------
    arguments : str
        Of the command.
    settings : str
        Environment variables.
    """

    def __init__(self, *arguments: str, **settings: str) -> None:
        self._arguments, self._settings = arguments, settings
        self.lines: list[str] = []

    def __enter__(self) -> Server:
        """Start it, and wait until it listens."""
        environment: Mapping[str, str] = {**os.environ, "OMP_NUM_THREADS": "1", **self._settings}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "digitreader", "serve", "--port", "0", *self._arguments],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        address: queue.Queue[str] = queue.Queue()

        def collect() -> None:
            assert self.process.stdout is not None
            for line in self.process.stdout:
                self.lines.append(line)
                if "running on http" in line:
                    address.put(json.loads(line)["event"].split()[3])

        self._reader = threading.Thread(target=collect, daemon=True)
        self._reader.start()
        try:
            self.url = address.get(timeout=START)
        except queue.Empty:
            self.process.kill()
            raise AssertionError("".join(self.lines)) from None
        self.port = int(self.url.rpartition(":")[2])
        self._wait_until_it_listens()
        return self

    def _wait_until_it_listens(self) -> None:
        """Wait for what follows the line of the log: with several workers, the port is opened a moment after it."""
        ends = time.monotonic() + START
        while time.monotonic() < ends:
            with contextlib.suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", self.port)):
                return
            time.sleep(0.01)
        raise AssertionError("".join(self.lines))

    def stop(self) -> int:
        """End the server as an operator would, and return its exit code."""
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(timeout=START)
        self._reader.join(timeout=START)
        return code

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Kill what is left of it."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)  # its workers too
        self.process.wait()
        self._reader.join(timeout=START)
        assert self.process.stdout is not None
        self.process.stdout.close()

    def log(self) -> list[dict[str, Any]]:
        """Return the lines of the log."""
        return [json.loads(line) for line in self.lines]
