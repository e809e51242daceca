"""Fixtures of the service's tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.service.server import Server


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """Return a server with small limits."""
    with Server(DIGITS_MAX_BYTES="300000", DIGITS_MAX_BATCH="4", DIGITS_MAX_PIXELS="1000000") as running:
        yield running


@pytest.fixture(scope="session")
def client(server: Server) -> Iterator[httpx.Client]:
    """Return a client of that server."""
    with httpx.Client(base_url=server.url, timeout=30) as one:
        yield one


@pytest.fixture(scope="session")
def samples(root: Path) -> dict[str, bytes]:
    """Return the sample pictures by name."""
    return {file.stem: file.read_bytes() for file in (root / "docs" / "samples").glob("*.jpg")}
