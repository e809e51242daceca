"""The service against its own OpenAPI document, and against bytes of any kind."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.service.schemathesis_hooks import image_files
from tests.service.server import Server


@pytest.mark.parametrize("keys", ["", "key"])
def test_all_checks_of_schemathesis(root: Path, tmp_path: Path, keys: str) -> None:
    with Server(DIGITS_API_KEYS=keys) as server:
        checked = subprocess.run(
            [
                *(sys.executable, "-m", "schemathesis.cli", "run", f"{server.url}/openapi.json", "--checks", "all"),
                *("--max-examples", "40", "--generation-deterministic", "--no-color"),
                *(["--header", f"X-API-Key: {keys}"] if keys else []),
            ],
            env=os.environ | {"SCHEMATHESIS_HOOKS": "tests.service.schemathesis_hooks", "PYTHONPATH": str(root)},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=300,
        )
    assert checked.returncode == 0, checked.stdout[-5000:] + checked.stderr
    assert "8 selected / 8 total" in checked.stdout
    assert "skipped parts of the schema" not in checked.stdout
    assert not any(entry.get("status", 200) >= 500 for entry in server.log())


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    content=st.binary(max_size=2000) | st.builds(lambda file, tail: file + tail, image_files(), st.binary(max_size=50)),
    cut=st.integers(0, 400),
)
def test_any_bytes_get_a_reading_or_a_problem(client: httpx.Client, content: bytes, cut: int) -> None:
    for path in ("/predict", "/read", "/explain"):
        answer = client.post(path, files={"image": content[: len(content) - cut]})
        assert answer.status_code in (200, 413, 422)
        if answer.status_code != 200:
            assert answer.headers["content-type"] == "application/problem+json"
