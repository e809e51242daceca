"""A batch job on a cluster of several Ray nodes, of which one is killed."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from tests.helpers import file_of, seven

PICTURES, PART = 400, 10
SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
    "RAY_agent_register_timeout_ms": "120000",  # where cores are busy
}
AGENTS = ("metrics_agent_port", "metrics_export_port", "dashboard_agent_listen_port", "runtime_env_agent_port")


def node() -> dict[str, Any]:
    """Return what every node of the cluster is started with.

    Where its agents choose their own ports, a node waits for these, and dies where they are slow to start.
    """
    sockets = [socket.socket() for _ in AGENTS]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = {name: one.getsockname()[1] for name, one in zip(AGENTS, sockets, strict=True)}
    for one in sockets:
        one.close()
    least = 80 * 2**20  # bytes, about what Ray needs
    return {"object_store_memory": least, "include_dashboard": False, **ports}


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of pictures, of which two cannot be read."""
    folder = tmp_path_factory.mktemp("pictures")
    for number in range(PICTURES - 2):
        (folder / f"{number}.png").write_bytes(file_of(seven(40 + number % 50)))
    (folder / "bad.png").write_bytes(b"no image")
    (folder / "empty.png").touch()
    return folder


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Return a cluster: a head without cores to work on, and two nodes with one each."""
    for name, value in SETTINGS.items():
        monkeypatch.setenv(name, value)
    from ray.cluster_utils import Cluster

    started = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "no_monitor": True, **node()})
    try:
        yield started
    finally:
        started.shutdown()  # type: ignore[no-untyped-call]


def test_a_node_that_dies_costs_nothing(pictures: Path, tmp_path: Path, cluster: Any) -> None:
    nodes = [cluster.add_node(num_cpus=1, **node()) for _ in range(2)]
    out = tmp_path / "out"
    command = [sys.executable, "-m", "digitreader", "batch", str(pictures), str(out), "--part-size", str(PART)]
    with subprocess.Popen([*command, "--ray", cluster.address], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as job:
        while job.poll() is None and len(list(out.glob("*.parquet"))) < 4:
            time.sleep(0.05)
        written = {path: path.stat().st_mtime_ns for path in out.glob("*.parquet")}
        cluster.remove_node(nodes[0], allow_graceful=False)
        left = PICTURES // PART - len(list(out.glob("*.parquet")))
        printed, said = (stream.decode() for stream in job.communicate(timeout=200))
    assert job.returncode == 0, said
    assert left > 0, "the node was killed in the middle"
    assert f"{PICTURES} pictures: {PICTURES - 2} accepted, 0 to review, 2 not readable" in printed
    assert sorted(pq.read_table(out)["file"].to_pylist()) == sorted(os.listdir(pictures))  # noqa: PTH208
    assert {path: path.stat().st_mtime_ns for path in written} == written, "what is read is not read again"
    here = tmp_path / "here"
    subprocess.run([*command[:-3], str(here), *command[-2:]], check=True, capture_output=True)
    columns = ["file", "digit", "confidence", "error_type"]
    of_ray, of_here = (pq.read_table(folder, columns=columns).sort_by("file") for folder in (out, here))
    assert of_ray.equals(of_here)
