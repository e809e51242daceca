"""What the experiments share: training by the notebook's core cells, and result files that grow row by row."""

from __future__ import annotations

import ast
import json
import os
import tempfile
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import papermill
from tqdm import tqdm

from digitreader.data import load_mnist
from digitreader.errors import TrainingError
from digitreader.provenance import write_json
from digitreader.recognizer import as_input
from digitreader.training import CARD, MODEL, NOTEBOOK, find_root, run_notebook

ROOT = find_root(Path(__file__).parent)
RESULTS = ROOT / "experiments" / "results"

Row = dict[str, Any]


@dataclass(frozen=True)
class Run:
    """A training run: values for the notebook's parameters that matter to it, and what its row says in addition."""

    settings: dict[str, Any]
    labels: dict[str, Any] = field(default_factory=dict)

    def made(self, row: Row) -> bool:
        """Return whether the row is of this run."""
        return (self.labels | {"settings": self.settings}).items() <= row.items()


def committed_settings() -> dict[str, Any]:
    """Return the values of the notebook's cell tagged `parameters`."""
    parameters = papermill.inspect_notebook(ROOT / NOTEBOOK)
    return {name: ast.literal_eval(parameter["default"]) for name, parameter in parameters.items()}


def read_card() -> dict[str, Any]:
    """Return the card of the committed network."""
    card: dict[str, Any] = json.loads((ROOT / CARD).read_text())
    return card


def card_row(card: dict[str, Any]) -> Row:
    """Return what a row tells of a training run, from the card that the notebook wrote."""
    return {
        "seed": card["seed"],
        "data": card["data"],
        "val_accuracy": card["validation"]["accuracy"],
        "val_loss": card["validation"]["loss"],
        "epochs": card["training"]["epochs"],
        "seconds": card["training"]["seconds"],
        "threads": card["training"]["threads"],
        "weights": card["architecture"]["parameters"],
        "split": card["split"],
        "model_sha256": card["model_sha256"],
        "versions": card["versions"],
        "machine": card["machine"],
    }


def train(run: Run, *, test: bool, threads: int | None) -> Row:
    """Train one network by the notebook's `core` cells and return its row.

    With `test`, the finished network is evaluated on MNIST's test set besides; `threads` limits the threads of
    TensorFlow, so that several networks can be trained side by side.
    """
    if threads:
        os.environ |= {"TF_NUM_INTRAOP_THREADS": str(threads), "TF_NUM_INTEROP_THREADS": str(threads)}
    with tempfile.TemporaryDirectory() as folder:
        card = run_notebook(ROOT, Path(folder), run.settings, core=True)
        row = card_row(card) | run.labels | {"settings": run.settings}
        if test:
            row["test_accuracy"] = test_accuracy(Path(folder) / MODEL)
    return row


def test_accuracy(model: Path) -> float:
    """Return the share of MNIST's test digits that a saved network reads right."""
    import keras

    data = load_mnist()
    probabilities = keras.models.load_model(model).predict(as_input(data.x_test), batch_size=500, verbose=0)
    return float((probabilities.argmax(axis=1) == data.y_test).mean())


def read_rows(name: str) -> list[Row]:
    """Return the rows of results/`name`.json, none if there is no such file."""
    path = RESULTS / f"{name}.json"
    rows: list[Row] = json.loads(path.read_text()) if path.exists() else []
    return rows


def read_rows_of(name: str, runs: Sequence[Run]) -> list[Row]:
    """Return the rows of results/`name`.json that are of one of the runs."""
    return [row for row in read_rows(name) if any(run.made(row) for run in runs)]


def write_rows(name: str, rows: Sequence[Row]) -> None:
    """Write results/`name`.json."""
    write_json(RESULTS / f"{name}.json", rows)


def train_missing(name: str, runs: Sequence[Run], *, test: bool, jobs: int, command: str) -> None:
    """Train the runs that results/`name`.json has no row of, `jobs` of them side by side.

    Each row is added when its run ends, in the order of the runs. Rows of no run, such as those of an earlier recipe,
    are dropped.

    Raises
    ------
    DataNotFoundError
        If MNIST cannot be had: a stand-in must not get into a result file.
    TrainingError
        If runs failed, after all others have ended.
    """
    load_mnist()
    rows = read_rows_of(name, runs)
    write_rows(name, rows)
    missing = [run for run in runs if not any(run.made(row) for row in rows)]
    threads = max((os.cpu_count() or 1) // jobs, 1) if jobs > 1 else None
    failed = []
    # A fresh process a run: TensorFlow keeps its threads and seeds as long as its process lives.
    with ProcessPoolExecutor(jobs, max_tasks_per_child=1) as pool:
        futures = {pool.submit(train, run, test=test, threads=threads): run for run in missing}
        for future in tqdm(as_completed(futures), total=len(futures), unit="run"):
            try:
                rows.append(future.result() | {"command": command})
            except TrainingError as error:
                failed.append(f"{futures[future].settings}: {error}")
            else:
                rows.sort(key=lambda row: [run.made(row) for run in runs].index(True))
                write_rows(name, rows)
    if failed:
        raise TrainingError("\n".join(failed))
