"""Fixtures: a server in the clouds' place, and an environment that leads there, with credentials of no worth."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.cloud.server import CloudServer

SECRETS = {"AWS_SECRET_ACCESS_KEY": "aws4secretKEY0123", "VISION_KEY": "0123456789abcdef0123456789abcdef"}


@pytest.fixture(scope="session")
def service_account(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a file of a service account of Google's, whose key signs the requests' tokens on this machine."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    path = tmp_path_factory.mktemp("google") / "account.json"
    content = {
        "type": "service_account",
        "project_id": "test",
        "client_email": "test@test.iam.gserviceaccount.com",
        "token_uri": "http://127.0.0.1:9",  # the discard port, where nothing listens
        "private_key": key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode(),
    }
    path.write_text(json.dumps(content))
    return path


@pytest.fixture(autouse=True)
def no_credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Hide what this machine has of credentials, and the clouds' addresses for them."""
    for name in os.environ:
        if name.startswith(("AWS_", "AZURE_", "GOOGLE_", "VISION_")) or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / name))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AZURE_TOKEN_CREDENTIALS", "EnvironmentCredential")
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path / "gcloud"))
    monkeypatch.setenv("NO_GCE_CHECK", "true")


@pytest.fixture
def server(no_credentials: None, monkeypatch: pytest.MonkeyPatch, service_account: Path) -> Iterator[CloudServer]:
    """Return a server to which the environment leads, with credentials."""
    with CloudServer() as running:
        for name in ("AWS_ENDPOINT_URL_REKOGNITION", "GOOGLE_VISION_ENDPOINT", "VISION_ENDPOINT"):
            monkeypatch.setenv(name, running.url)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIA0123456789TEST00")
        monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(service_account))
        for name, value in SECRETS.items():
            monkeypatch.setenv(name, value)
        yield running
