"""The `digits` command, as a process."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from tests.helpers import digits, seven

FIELDS = {"file", "digit", "confidence", "decision", "reason", "probabilities"}


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Return a folder with three pictures of a 7, one in a folder of its own."""
    folder = tmp_path / "pictures"
    (folder / "more").mkdir(parents=True)
    for name, size in (("a.png", 60), ("b.jpg", 200), ("more/c.webp", 120)):
        Image.fromarray(seven(size)).save(folder / name)
    (folder / "notes.txt").write_text("not an image, and not looked at")
    return folder


def test_json_lines(pictures: Path) -> None:
    done = digits("predict", "--json", pictures)
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0, done.stderr
    assert [Path(row["file"]).name for row in rows] == ["a.png", "b.jpg", "c.webp"]
    for row in rows:
        assert set(row) == FIELDS
        assert row["digit"] == 7
        assert row["decision"] == "accept"
        assert len(row["probabilities"]) == 10


def test_piped_output_is_plain_columns(pictures: Path) -> None:
    done = digits("predict", pictures / "a.png", pictures / "b.jpg")
    header, *rows = [line.split("\t") for line in done.stdout.splitlines()]
    assert header == ["file", "digit", "confidence", "decision", "reason"]
    assert [row[1] for row in rows] == ["7", "7"]
    assert "\x1b" not in done.stdout


def test_a_terminal_gets_a_table(pictures: Path) -> None:
    Image.fromarray(seven()).save(pictures / "q[red]b[final].png")
    Image.new("L", (50, 50), "white").save(pictures / "qrbf.png")  # which the name would match if it were a pattern
    leader, follower = pty.openpty()
    environment = os.environ | {"TERM": "xterm", "COLUMNS": "120"}
    process = subprocess.Popen(
        [sys.executable, "-m", "digitreader", "predict", "a.png", "q[red]b[final].png"],
        stdout=follower,
        stderr=follower,
        cwd=pictures,
        env=environment,
    )
    os.close(follower)
    parts = []
    with contextlib.suppress(OSError):  # Linux says that the other end is closed by an error
        while part := os.read(leader, 10_000):
            parts.append(part)
    os.close(leader)
    shown = b"".join(parts).decode()
    assert process.wait(timeout=60) == 0, shown
    assert "┃" in shown
    assert "accept" in shown
    assert "q[red]b[final].png" in shown, "a name is no markup"


def test_a_bad_file_does_not_stop_the_others(pictures: Path) -> None:
    (pictures / "b.jpg").write_bytes(b"no image")
    done = digits("predict", "--json", pictures, pictures / "nowhere.png")
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 1
    assert ["error" in row for row in rows] == [False, True, False, True]
    assert set(rows[1]) == {"file", "error"}
    assert "Traceback" not in done.stderr


def test_a_name_that_is_too_long_does_not_stop_the_others(pictures: Path) -> None:
    done = digits("predict", "--json", "a" * 300, pictures / "a.png")
    long, seven = [json.loads(line) for line in done.stdout.splitlines()]
    assert "cannot be read" in long["error"]
    assert seven["digit"] == 7
    assert "Traceback" not in done.stderr


def test_a_folder_without_images_is_named(pictures: Path) -> None:
    (pictures / "empty").mkdir()
    (pictures / "folder.png").mkdir()
    done = digits("predict", "--json", "empty", ".", cwd=pictures)
    first, *others = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 1
    assert first == {"file": "empty", "error": "empty is a folder, not an image file."}
    assert [row["digit"] for row in others] == [7, 7, 7], "a folder that is named like an image is none"


def test_odd_names_stay_in_their_line(pictures: Path) -> None:
    odd = pictures / "tab\tline\nend.png"
    (pictures / "a.png").rename(odd)
    _, row = digits("predict", odd).stdout.splitlines()
    assert row.split("\t")[0].endswith(r"tab\tline\nend.png")
    assert json.loads(digits("predict", "--json", odd).stdout)["file"] == str(odd)


def test_names_that_the_output_cannot_write(pictures: Path) -> None:
    (pictures / "a.png").rename(pictures / "七.png")
    command = [sys.executable, "-m", "digitreader", "predict", "七.png", "八.png"]
    western = os.environ | {"PYTHONIOENCODING": "cp1252"}
    done = subprocess.run(command, cwd=pictures, env=western, capture_output=True, timeout=60)
    assert done.returncode == 1, "of the missing file"
    _, row, missing = done.stdout.decode("cp1252").splitlines()
    assert row.startswith(r"\u4e03.png" + "\t7\t")
    assert "cannot be read" in missing


def test_standard_input_that_is_too_large_or_closed() -> None:
    done = digits("predict", "-", stdin=bytes(51_000_000))
    assert done.returncode == 1
    assert "50,000,000 bytes" in done.stdout
    shell = f"{sys.executable} -m digitreader predict - <&-"
    closed = subprocess.run(shell, shell=True, capture_output=True, text=True, timeout=60)
    assert closed.returncode == 2
    assert "no standard input" in closed.stderr


def test_standard_input(pictures: Path) -> None:
    done = digits("predict", "--json", "-", stdin=(pictures / "a.png").read_bytes())
    assert (json.loads(done.stdout)["file"], json.loads(done.stdout)["digit"]) == ("-", 7)


def scrawl(path: Path) -> None:
    """Draw what is no digit."""
    canvas = Image.new("L", (120, 120), "white")
    ImageDraw.Draw(canvas).line([(20, 20), (100, 30), (30, 60), (100, 90), (20, 100), (60, 15)], "black", 6)
    canvas.save(path)


def test_what_a_person_should_look_at_is_copied(pictures: Path, tmp_path: Path) -> None:
    scrawl(pictures / "scrawl.PNG")
    (pictures / "bad.png").write_bytes(b"no image")
    (pictures / "empty.png").touch()
    review = tmp_path / "some" / "review"
    arguments = ("predict", "--json", pictures, pictures / "nowhere.png", "-", "--review-dir", review)
    content = (pictures / "scrawl.PNG").read_bytes()
    done = digits(*arguments, stdin=content)
    rows = {Path(row["file"]).name: row for row in map(json.loads, done.stdout.splitlines())}
    assert rows["a.png"]["decision"] == "accept"
    assert rows["scrawl.PNG"]["decision"] == "review"
    index = (review / "index.jsonl").read_text()
    items = {Path(item["source"]).name: item for item in map(json.loads, index.splitlines())}
    assert set(items) == {"scrawl.PNG", "bad.png", "empty.png", "nowhere.png", "-"}
    item = items["scrawl.PNG"]
    assert (review / item["image"]).read_bytes() == content
    assert all(item[name] == rows["scrawl.PNG"][name] for name in FIELDS - {"file"})
    probabilities = dict(enumerate(item["probabilities"]))
    assert probabilities[item["runner_up"]] == sorted(probabilities.values())[-2]
    assert (review / items["bad.png"]["image"]).read_bytes() == b"no image"
    assert (items["nowhere.png"]["image"], "cannot be read" in items["nowhere.png"]["error"]) == (None, True)
    assert (review / items["empty.png"]["image"]).read_bytes() == b""
    assert len(list(review.iterdir())) == 5, "the same picture is there once"

    with (review / "index.jsonl").open("a") as file:
        file.write('{"image": "cut off')
    digits(*arguments, stdin=content)
    assert (review / "index.jsonl").read_text() == index, "a second run adds nothing"


def test_fields_to_look_at_are_copied(pictures: Path, tmp_path: Path) -> None:
    done = digits("read", "--json", "--length", "5", pictures / "a.png", "--review-dir", tmp_path / "review")
    (item,) = map(json.loads, (tmp_path / "review" / "index.jsonl").read_text().splitlines())
    row = json.loads(done.stdout)
    assert row["reason"] == "wrong_length"
    assert all(item[name] == row[name] for name in row.keys() - {"file"})


def test_a_review_folder_that_cannot_be_used_is_named(pictures: Path, tmp_path: Path) -> None:
    (tmp_path / "review").mkdir()
    (tmp_path / "review" / "index.jsonl").write_text("something else\n")
    done = digits("predict", pictures / "a.png", "--review-dir", tmp_path / "review")
    assert done.returncode == 1
    assert "index.jsonl is damaged" in done.stderr
    assert "Traceback" not in done.stderr


def test_patterns_are_expanded_where_the_shell_did_not(pictures: Path) -> None:
    done = digits("predict", "--json", "**/*.webp", cwd=pictures)
    assert [json.loads(line)["file"] for line in done.stdout.splitlines()] == [str(Path("more") / "c.webp")]
    folders = digits("predict", "--json", "mor*", cwd=pictures)
    assert [json.loads(line)["file"] for line in folders.stdout.splitlines()] == [str(Path("more") / "c.webp")]


@pytest.mark.parametrize(
    "arguments",
    [
        ("predict",),
        ("predict", "--nonsense"),
        ("nonsense",),
        ("predict", ""),
        ("predict", "-", "-"),
        ("explain", "a.png"),
        ("explain", "*.png", "-o", "why.png"),
        ("explain", "a.png", "-o", "why.jpg"),
        ("explain", "a.png", "-o", "nowhere/why.png"),
        ("explain", "a.png", "-o", "a.png"),
    ],
)
def test_usage_errors_exit_with_two(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    for name in ("a.png", "b.png"):
        Image.fromarray(seven()).save(tmp_path / name)
    done = digits(*arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


def test_explain_writes_a_picture(pictures: Path, tmp_path: Path) -> None:
    out = tmp_path / "why.png"
    done = digits("explain", pictures / "a.png", "-o", out, "--digit", "1")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("7 (")
    with Image.open(out) as picture:
        assert picture.width > 1000
        assert np.asarray(picture).std() > 20


@pytest.mark.parametrize("older", [False, True])
def test_explain_says_what_is_wrong(tmp_path: Path, older: bool) -> None:
    if older:
        (tmp_path / "why.png").write_bytes(b"an older one")
    done = digits("explain", tmp_path / "nowhere.png", "-o", tmp_path / "why.png")
    assert done.returncode == 1
    assert "nowhere.png cannot be read" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.usefixtures("mnist")
def test_evaluate_agrees_with_the_card(root: Path) -> None:
    done = digits("evaluate", "--json", cwd=root)
    measured = json.loads(done.stdout)
    card = json.loads((root / "models" / "mnist_cnn.json").read_text())
    assert measured["images"] == 10_000
    assert measured["accuracy"] == pytest.approx(card["test"]["accuracy"], abs=2e-4)
    assert measured["accuracy_as_pictures"] >= measured["accuracy"] - 2e-4
    assert measured["accepted"] > 0.95
    assert measured["wrong_among_accepted"] < 0.001


def test_without_mnist_the_calibration_is_kept(root: Path, offline: dict[str, str]) -> None:
    files = [root / "models" / name for name in ("reader.json", "fast.json")]
    before = [path.read_bytes() for path in files]
    command = [sys.executable, "-m", "digitreader", "calibrate"]
    done = subprocess.run(command, cwd=root, env=offline, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("NOT CALIBRATED") == len(files)
    for risk in ("--risk", "--fast-risk"):
        asked = subprocess.run([*command, risk, "0.002"], cwd=root, env=offline, capture_output=True, text=True)
        assert asked.returncode == 1, "who asks for a risk must not go on with another one"
    assert [path.read_bytes() for path in files] == before


@pytest.mark.usefixtures("mnist", "writers")
def test_thresholds_are_written_if_both_risks_can_be_certified(root: Path, tmp_path: Path) -> None:
    for folder in ("models", "notebooks", "experiments/results"):
        shutil.copytree(root / folder, tmp_path / folder)
    files = [tmp_path / "models" / name for name in ("reader.json", "fast.json", "line_reader.json")]
    before = [path.read_bytes() for path in files]
    refused = digits("calibrate", "--risk", "0.002", "--field-risk", "0.0001", cwd=tmp_path)
    assert refused.returncode == 1
    assert "0.0001 cannot be certified" in refused.stderr
    assert [path.read_bytes() for path in files] == before
    done = digits("calibrate", "--risk", "0.002", "--fast-risk", "0.003", "--field-risk", "0.02", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert [json.loads(path.read_text())["risk"] for path in files] == [0.002, 0.003, 0.02]


def metrics_text(counts: dict[str, dict[str, int]]) -> str:
    """Return what /metrics says if the service has read digits with these confidences and reasons."""
    lines = ["# TYPE digits_confidence histogram"]
    total = 0
    for bound, number in counts["confidence"].items():
        total += number
        lines.append(f'digits_confidence_bucket{{kind="digit",le="{bound}"}} {total}')
    lines += [f'digits_confidence_bucket{{kind="digit",le="+Inf"}} {total}', "# TYPE digits_decisions counter"]
    for reason, number in counts["reason"].items():
        decision = "accept" if reason == "ok" else "review"
        lines.append(f'digits_decisions_total{{decision="{decision}",kind="digit",reason="{reason}"}} {number}')
    return "\n".join([*lines, ""])


def test_drift_compares_a_service_with_the_reference(root: Path, tmp_path: Path) -> None:
    reference = json.loads((root / "models" / "reader.json").read_text())["reference"]
    alike = {kind: {name: number // 20 for name, number in of.items()} for kind, of in reference.items()}
    other = json.loads(json.dumps(alike))
    other["confidence"]["0.5"] += other["confidence"]["1.0"] // 2
    other["confidence"]["1.0"] //= 2
    for name, counts, code, verdict in (("alike", alike, 0, "no alarm"), ("other", other, 3, "ALARM")):
        path = tmp_path / f"{name}.txt"
        path.write_text(metrics_text(counts))
        result = digits("drift", path)
        assert result.returncode == code, result.stderr
        assert f"confidence: {sum(counts['confidence'].values()):,} readings" in result.stdout
        assert verdict in result.stdout.splitlines()[0]
    refused = digits("drift", tmp_path / "other.txt", "--since", tmp_path / "alike.txt")
    assert refused.returncode == 1
    assert "started anew" in refused.stderr
    (tmp_path / "text.txt").write_text("no metrics")
    for source in ("text.txt", "missing.txt"):
        result = digits("drift", tmp_path / source)
        assert result.returncode == 1
        assert "Traceback" not in result.stderr
