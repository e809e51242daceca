"""`digits compare` as a process, its SDKs included, against a server that speaks as the clouds do."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from digitreader.cloud.compare import compare, load_labels
from digitreader.cloud.google import GoogleRecogniser
from digitreader.cloud.recogniser import PRICES
from digitreader.errors import DataError
from digitreader.reader import DigitReader
from tests.cloud.conftest import SECRETS
from tests.cloud.server import CloudServer, refusal, words
from tests.helpers import digits, seven

ALL = "google,aws,azure"


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Return a folder of two pictures of a 7, the second too small for two of the clouds, with labels."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    Image.fromarray(seven()).save(folder / "large.png")
    Image.fromarray(seven(28)).save(folder / "small.png")
    (folder / "labels.csv").write_text("file,text\nlarge.png,7\nsmall.png,7\nanother.png,3\n")
    return folder


def lines(done: subprocess.CompletedProcess[str]) -> tuple[list[dict[str, Any]], dict[str, dict[str, Any]]]:
    """Return the objects of the images, and the summary by reader."""
    *images, last = map(json.loads, done.stdout.splitlines())
    return images, {row["reader"]: row for row in last["summary"]}


def test_all_are_compared(server: CloudServer, pictures: Path) -> None:
    server.replies["aws"] = [words("aws", "1", confidence=0.5), words("aws", "No", "7.", confidence=0.5)]
    server.replies["azure"] = [words("azure")]
    done = digits("compare", pictures, "--with", ALL, "--single", "--labels", pictures / "labels.csv", "--json")
    assert done.returncode == 0, done.stderr
    images, summary = lines(done)
    assert [Path(image["file"]).name for image in images] == ["large.png", "small.png"]
    large, small = ({answer["reader"]: answer for answer in image["answers"]} for image in images)
    assert list(large) == list(summary) == ["digitreader", "google", "aws", "azure"]
    assert [large[reader]["digits"] for reader in large] == ["7", "7", "1", ""]
    assert [large[reader]["right"] for reader in large] == [True, True, False, False]
    assert [large[reader]["agrees"] for reader in large] == [None, True, False, False]
    assert (small["aws"]["text"], small["aws"]["digits"], small["aws"]["confidence"]) == ("No 7.", "7", 0.5)
    assert all(answer["seconds"] > 0 and answer["error"] is None for answer in (*large.values(), *small.values()))
    assert large["aws"]["sent"] == {
        "format": "PNG", "width": 300, "height": 200, "bytes": (pictures / "large.png").stat().st_size,
        "re_encoded": False,
    }  # fmt: skip
    assert server.images["aws"][0] == (pictures / "large.png").read_bytes()
    assert small["aws"]["sent"]["re_encoded"]
    assert (summary["aws"]["images"], summary["aws"]["right"], summary["aws"]["agrees"]) == (2, 1, 0.5)
    low, high = summary["aws"]["accuracy_95"]
    assert low < summary["aws"]["accuracy"] == 0.5 < high
    for reader, price in PRICES.items():
        assert large[reader]["usd_per_1000"] == price.usd_per_1000
        assert summary[reader]["usd"] == pytest.approx(2 * price.usd_per_1000 / 1000)
    assert large["digitreader"]["usd_per_1000"] is summary["digitreader"]["usd"] is None
    assert list(map(len, server.images.values())) == [2, 2, 2]


def test_a_line_is_read_unless_single_digits_are_said(server: CloudServer, root: Path) -> None:
    server.replies["google"] = [words("google", "20500-", "0003")]
    done = digits("compare", root / "docs" / "samples" / "zip_plus_4.jpg", "--with", "google", "--json")
    (image,), summary = lines(done)
    ours, google = image["answers"]
    assert ours["text"] == "20500-0003"
    assert ours["digits"] == google["digits"] == "205000003"
    assert (google["agrees"], google["right"], image["label"]) == (True, None, None)
    assert summary["google"]["accuracy"] is summary["google"]["accuracy_95"] is None


def test_tables_for_people(server: CloudServer, pictures: Path) -> None:
    done = digits("compare", pictures, "--with", "google, aws", "--single")
    assert done.returncode == 0, done.stderr
    images, summary = ([line.split("\t") for line in part.splitlines()] for part in done.stdout.split("\n\n"))
    assert [row[1] for row in images] == ["reader", *["digitreader", "google", "aws"] * 2]
    assert images[-1][-1] == "sent as PNG, 126 × 84"
    assert [dict(zip(summary[0], row, strict=True))["usd per 1000"] for row in summary[1:]] == ["–", "1.5", "1"]


def test_what_fails_stops_nothing_else(server: CloudServer, pictures: Path) -> None:
    (pictures / "broken.png").write_bytes(b"no image")
    server.replies["aws"] = [refusal("aws", 400, "InvalidImageFormatException", str(SECRETS)), words("aws", "7")]
    server.replies["google"] = [refusal("google", 403, "BILLING_DISABLED", str(SECRETS))]
    done = digits("compare", pictures, "--with", ALL, "--single", "--json")
    assert done.returncode == 1
    (broken, large, small), summary = lines(done)
    assert set(broken) == {"file", "error"}
    errors = [{answer["reader"]: answer["error"] for answer in image["answers"]} for image in (large, small)]
    assert "BILLING_DISABLED" in errors[0]["google"]
    assert errors[1]["google"] == errors[0]["google"]
    assert len(server.images["google"]) == 1, "whose credentials are refused is not asked again"
    assert "InvalidImageFormatException" in errors[0]["aws"]
    assert [(error["digitreader"], error["azure"]) for error in errors] == [(None, None)] * 2
    assert errors[1]["aws"] is None
    assert [summary[reader]["failed"] for reader in summary] == [0, 2, 1, 0]
    assert summary["google"]["median_seconds"] is None
    assert summary["google"]["usd"] == 0
    assert not any(secret in done.stdout + done.stderr for secret in (*SECRETS.values(), *server.credentials))


def test_an_empty_sheet_is_sent_too(server: CloudServer, reader: DigitReader, tmp_path: Path) -> None:
    path = str(tmp_path / "blank.png")
    Image.new("L", (200, 200), "white").save(path)
    server.replies["google"] = [words("google")]
    (comparison,) = compare([path], [path], [GoogleRecogniser()], reader)
    ours, google = comparison.answers
    assert (ours.digits, ours.confidence, ours.error, google.digits) == ("", None, None, "")
    assert comparison.agrees(google)


def test_a_dry_run_sends_nothing_and_needs_no_credentials(
    server: CloudServer, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "GOOGLE_APPLICATION_CREDENTIALS", *SECRETS):
        monkeypatch.delenv(name)
    done = digits("compare", pictures, "--with", ALL, "--dry-run", "--json")
    assert done.returncode == 0, done.stderr
    (large, small), summary = lines(done)
    assert [sent["endpoint"] for sent in large["would_send"]] == [server.url] * 3
    assert [sent["re_encoded"] for sent in small["would_send"]] == [False, True, True]
    assert {reader: row["usd"] for reader, row in summary.items()} == {"google": 0.003, "aws": 0.002, "azure": 0.003}
    assert summary["google"]["bytes"] == sum(file.stat().st_size for file in pictures.glob("*.png"))
    monkeypatch.delenv("VISION_ENDPOINT")
    plain = digits("compare", pictures / "large.png", pictures / "none.png", "--with", "aws,azure", "--dry-run")
    assert plain.returncode == 1
    assert "300\t200" in plain.stdout
    assert "VISION_ENDPOINT" in plain.stdout
    assert "none.png cannot be read" in plain.stdout
    assert not any(server.images.values())


@pytest.mark.parametrize("arguments", [(), ("--with", ""), ("--with", "google,oracle")])
def test_nothing_is_sent_that_was_not_asked_for(
    server: CloudServer, pictures: Path, arguments: tuple[str, ...]
) -> None:
    done = digits("compare", pictures, *arguments)
    assert done.returncode == 2
    assert "--with" in done.stderr
    assert not any(server.images.values())


@pytest.mark.parametrize(
    ("table", "error"),
    [
        (b"file,text\nlarge.png,7\n", "no label for"),
        (b"file,text\nlarge.png,7\nlarge.png,7\n", "line 3: large.png is there already"),
        (b"name,digit\nlarge.png,7\n", "line 2: a name under `file`"),
        (b"file,text\nlarge.png,seven\n", "line 2: a name under `file`"),
        (b"file,text\nlarge.png,\xff\n", "no CSV file in UTF-8"),
        (None, "cannot be read"),
    ],
)
def test_labels_that_cannot_be_used_are_named(tmp_path: Path, table: bytes | None, error: str) -> None:
    path = tmp_path / "table.csv"
    if table is not None:
        path.write_bytes(table)
    with pytest.raises(DataError, match=error):
        load_labels(path, [str(tmp_path / "large.png"), str(tmp_path / "small.png")])


def test_labels_are_looked_at_before_anything_is_sent(server: CloudServer, pictures: Path) -> None:
    (pictures / "labels.csv").write_text("file,text\nlarge.png,7\n")
    done = digits("compare", pictures, "--with", "google", "--labels", pictures / "labels.csv")
    assert done.returncode == 1
    assert "no label for" in done.stderr
    assert not any(server.images.values())


def test_without_the_extra_it_is_named(pictures: Path, tmp_path: Path) -> None:
    (tmp_path / "boto3.py").write_text("raise ModuleNotFoundError(\"No module named 'boto3'\", name='boto3')")
    environment = os.environ | {"PYTHONPATH": f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"}
    command = [sys.executable, "-m", "digitreader", "compare", str(pictures), "--with", "aws", "--dry-run"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "boto3 is not installed" in done.stderr
    assert "digitreader[cloud]" in done.stderr


def test_the_documentation_has_the_prices_in_use(root: Path) -> None:
    text = (root / "docs" / "cloud.md").read_text()
    for name, price in PRICES.items():
        assert f"| `{name}` | {price.usd_per_1000:.2f} | [pricing]({price.source}) |" in text
