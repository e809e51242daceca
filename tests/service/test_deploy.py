"""The container without a container engine: the Dockerfile's own steps in an empty environment, and the manifests."""

from __future__ import annotations

import io
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import kubernetes_validate
import pytest
import yaml
from dockerfile_parse import DockerfileParser

from benchmarks.load import free_port
from digitreader.reader import DigitReader

PREFIX = "/app"  # where the image has its environment
MEGABYTES = 400
USER = 10001


def steps(root: Path) -> list[tuple[str, str]]:
    """Return the instructions of the Dockerfile and their values."""
    parser = DockerfileParser(fileobj=io.BytesIO((root / "deploy" / "Dockerfile").read_bytes()))
    return [(step["instruction"], step["value"]) for step in parser.structure if step["instruction"] != "COMMENT"]


@pytest.fixture(scope="module")
def image(root: Path) -> Iterator[Path]:
    """Return a folder in which the steps of the first stage were taken; /app is the folder `app` in it."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)  # another user will start what is in it
        source = folder / "src"
        for instruction, value in steps(root)[1:]:
            if instruction == "FROM":
                break
            if instruction == "WORKDIR":
                source.mkdir()
            elif instruction == "COPY":
                *origins, target = value.split()
                for origin in origins:
                    place = source / target / ("" if (root / origin).is_dir() or target.endswith("txt") else origin)
                    place.parent.mkdir(parents=True, exist_ok=True)
                    (shutil.copytree if (root / origin).is_dir() else shutil.copy2)(root / origin, place)
            else:
                assert instruction == "RUN", instruction
                command = value.replace(PREFIX, str(folder / "app")).replace("python -m", f"{sys.executable} -m")
                subprocess.run(command, shell=True, check=True, cwd=source, capture_output=True)
        yield folder


def another_user() -> dict[str, Any]:
    """Return whom to run a process as: the image's user, if this one may become it and it may read Python itself."""
    interpreter = Path(sys.executable).resolve()
    readable = all(folder.stat().st_mode & 0o001 for folder in interpreter.parents)
    return {"user": USER, "group": USER, "extra_groups": []} if os.getuid() == 0 and readable else {}


def values(root: Path, wanted: str) -> list[str]:
    """Return the values of one instruction, in their order."""
    return [value for instruction, value in steps(root) if instruction == wanted]


def test_the_environment_is_light(image: Path) -> None:
    held = sum(file.lstat().st_size for file in (image / "app").rglob("*") if file.is_file())
    assert held < MEGABYTES * 1e6
    assert not list((image / "app").rglob("site-packages/tensorflow*"))
    assert not list((image / "app").rglob("site-packages/pip"))


def test_its_command_serves_as_another_user(image: Path, root: Path) -> None:
    command = yaml.safe_load(values(root, "CMD")[-1])
    health = values(root, "HEALTHCHECK")[0].partition("CMD")[2]
    environment = dict(pair.split("=", 1) for pair in shlex.split(values(root, "ENV")[0]))
    assert environment["PORT"] == values(root, "EXPOSE")[0]
    port = str(free_port())  # the image obeys it
    environment |= {"PATH": f"{image}/app/bin:/usr/bin:/bin", "DIGITS_API_KEYS": "key", "PORT": port}
    assert int(values(root, "USER")[0]) == USER
    other = another_user()
    before = sorted((image / "app").rglob("*"))
    server = subprocess.Popen(
        command, cwd="/", env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **other
    )
    try:
        healthy = yaml.safe_load(health)
        for _ in range(300):
            if not subprocess.run(healthy, env=environment, capture_output=True, **other).returncode:
                break
            assert server.poll() is None, server.communicate()[0].decode()
            time.sleep(0.1)
        else:
            raise AssertionError("it has never become healthy")
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers={"X-API-Key": "key"}) as client:
            seven = {"image": (root / "docs" / "samples" / "seven.jpg").read_bytes()}
            answer = client.post("/predict", files=seven)
            assert answer.json()["digit"] == 7
            assert client.post("/explain", files=seven).content.startswith(b"\x89PNG")
            assert client.get("/page/samples/seven.jpg").content == seven["image"], "the package has the samples"
            assert client.get("/page/app.js").status_code == 200
            calibration = DigitReader().calibration
            assert client.get("/version").json()["thresholds"]["digit_min_confidence"] == calibration.min_confidence
    finally:
        server.terminate()
        output = server.communicate(timeout=30)[0].decode()
    assert server.returncode == 0, output
    assert sorted((image / "app").rglob("*")) == before, "nothing is written beside the package"


def test_the_container_is_as_small_as_it_can_be_held(root: Path) -> None:
    froms = values(root, "FROM")
    assert len(froms) == 2, "what builds is not what runs"
    assert all("slim" in base and base.split()[0].count(".") >= 1 for base in froms), "pinned, and slim"
    pinned = [line for line in (root / "deploy" / "requirements.txt").read_text().splitlines() if line[0] != "#"]
    assert all("==" in line for line in pinned)
    assert not any(line.startswith(("tensorflow", "keras")) for line in pinned)


def test_kubernetes_manifests_are_valid(root: Path) -> None:
    documents = list(yaml.safe_load_all((root / "deploy" / "kubernetes.yaml").read_text()))
    for document in documents:
        kubernetes_validate.validate(document, kubernetes_validate.latest_version(), strict=True)
    kinds = {document["kind"]: document for document in documents}
    assert kinds.keys() >= {"Deployment", "Service", "HorizontalPodAutoscaler"}
    pod = kinds["Deployment"]["spec"]["template"]
    (container,) = pod["spec"]["containers"]
    assert container["args"][:2] == shlex.split("digits serve")
    assert container["securityContext"]["readOnlyRootFilesystem"]
    assert {"startupProbe", "readinessProbe", "livenessProbe", "resources"} <= container.keys()
    assert kinds["Service"]["spec"]["selector"].items() <= pod["metadata"]["labels"].items()
    assert kinds["HorizontalPodAutoscaler"]["spec"]["scaleTargetRef"]["name"] == kinds["Deployment"]["metadata"]["name"]


def test_compose_is_valid(root: Path) -> None:
    path = root / "deploy" / "compose.yaml"
    checked = subprocess.run(
        [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", path],
        capture_output=True,
        text=True,
    )
    assert checked.returncode == 0, checked.stdout
    services = yaml.safe_load(path.read_text())["services"]
    assert services["digits"]["read_only"]
    scraped = yaml.safe_load((root / "deploy" / "prometheus.yaml").read_text())["scrape_configs"]
    (target,) = scraped[0]["static_configs"][0]["targets"]
    assert target.partition(":")[0] in services
