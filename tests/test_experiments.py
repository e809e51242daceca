"""The experiments' runner: rows are added as runs end, and finished runs are not repeated."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import pytest

import experiments.runs
from digitreader.errors import TrainingError
from experiments.runs import Run, accuracy_on_test, committed_settings, read_rows, train, train_missing, write_rows

TINY = {"EPOCHS": 1, "LIMIT": 200}


@pytest.mark.usefixtures("mnist")
def test_finished_runs_are_not_repeated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(experiments.runs, "RESULTS", tmp_path)
    first, second = (Run({"SEED": seed, **TINY}, {"candidate": "tiny"}) for seed in (5, 6))
    train_missing("trial", [first], train, jobs=1, command="first call")
    train_missing("trial", [first, second], train, jobs=2, command="second call")
    rows = read_rows("trial")
    assert [(row["seed"], row["command"]) for row in rows] == [(5, "first call"), (6, "second call")]
    assert all(row["candidate"] == "tiny" for row in rows)
    assert rows[0]["model_sha256"] != rows[1]["model_sha256"]
    assert all("test_accuracy" not in row and row["split"]["training"] == 200 for row in rows)
    assert json.loads((tmp_path / "trial.json").read_text()) == rows
    assert list(tmp_path.iterdir()) == [tmp_path / "trial.json"]
    train_missing("trial", [second], train, jobs=1, command="third call")
    assert read_rows("trial") == rows[1:], "rows of no run are dropped, also when nothing is missing"


@pytest.mark.usefixtures("mnist")
def test_failed_run_leaves_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(experiments.runs, "RESULTS", tmp_path)
    write_rows("trial", [{"seed": 1, "settings": {"SEED": 1, "from": "an earlier recipe"}}])
    good, bad = Run({"SEED": 5, **TINY}), Run({"SEED": 5, "DEVICE": "abacus"})
    with pytest.raises(TrainingError, match="abacus"):
        train_missing("trial", [bad, good], partial(train, finish=accuracy_on_test), jobs=1, command="call")
    (row,) = read_rows("trial")
    assert good.made(row)
    assert 0 < row["test_accuracy"] < 1


def test_committed_settings_are_those_of_the_notebook() -> None:
    settings = committed_settings()
    assert settings["SEED"] == 42
    assert settings["AUGMENT"] is True
    assert settings["LIMIT"] == 0


def test_rows_are_replaced_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(experiments.runs, "RESULTS", tmp_path / "new")
    assert read_rows("nothing") == []
    write_rows("some", [{"seed": 1}])
    write_rows("some", [{"seed": 1}, {"seed": 2}])
    assert read_rows("some") == [{"seed": 1}, {"seed": 2}]
