"""The experiments' runner: rows are added as runs end, and finished runs are not repeated."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import experiments.runs
from digitreader.errors import TrainingError
from digitreader.training import MODEL
from experiments.runs import Row, Run, committed_settings, read_rows, saved_on_test, train_missing, write_rows


def pretend(run: Run, results: Path) -> Row:
    """Do a run that costs nothing."""
    if run.settings["SEED"] == 13:
        raise RuntimeError("unlucky")
    return {"results": str(results)} | run.labels | {"settings": run.settings}


def missing(runs: Sequence[Run], results: Path, *, jobs: int, command: str) -> list[Row]:
    """Do the runs that are missing, and return all rows."""
    train_missing("trial", runs, pretend, jobs=jobs, command=command, results=results)
    return read_rows("trial", results)


@pytest.mark.usefixtures("mnist")
def test_finished_runs_are_not_repeated(tmp_path: Path) -> None:
    first, second = (Run({"SEED": seed}, {"candidate": "tiny"}) for seed in (5, 6))
    missing([first], tmp_path, jobs=1, command="first call")
    rows = missing([first, second], tmp_path, jobs=2, command="second call")
    assert [(row["settings"]["SEED"], row["command"]) for row in rows] == [(5, "first call"), (6, "second call")]
    assert all(row["results"] == str(tmp_path) for row in rows)
    assert list(tmp_path.iterdir()) == [tmp_path / "trial.json"]
    assert missing([second], tmp_path, jobs=1, command="third call") == rows[1:], "rows of no run are dropped"


@pytest.mark.usefixtures("mnist")
def test_failed_run_leaves_the_others(tmp_path: Path) -> None:
    write_rows("trial", [{"settings": {"SEED": 1, "from": "an earlier recipe"}}], tmp_path)
    bad, good = Run({"SEED": 13}), Run({"SEED": 5})
    with pytest.raises(TrainingError, match="'SEED': 13}: unlucky"):
        missing([bad, good], tmp_path, jobs=1, command="call")
    (row,) = read_rows("trial", tmp_path)
    assert good.made(row)


@pytest.mark.usefixtures("mnist")
def test_what_is_told_of_the_test_set_is_that_of_the_card(root: Path, card: dict[str, Any]) -> None:
    found = saved_on_test(root / MODEL)
    assert found["test_accuracy"] == pytest.approx(card["test"]["accuracy"], abs=1e-4)
    assert np.trace(found["confusion"]) == round(found["test_accuracy"] * 10_000)


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

    def killed(self: Path, target: Path) -> Path:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        write_rows("some", [{"seed": 3}])
    assert read_rows("some") == [{"seed": 1}, {"seed": 2}]


@pytest.mark.usefixtures("mnist")
def test_a_run_whose_file_is_lost_is_repeated(tmp_path: Path) -> None:
    kept, lost = Run({"SEED": 5}), Run({"SEED": 6})
    (tmp_path / "kept.npz").touch()
    rows = [{"settings": run.settings, "file": name} for run, name in ((kept, "kept.npz"), (lost, "lost.npz"))]
    write_rows("trial", rows, tmp_path)
    found = missing([kept, lost], tmp_path, jobs=1, command="again")
    assert [row.get("command") for row in found] == [None, "again"]
    assert found[1]["cpu_seconds"] >= 0
