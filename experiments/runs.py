"""What the experiments share: training by the notebook's core cells, and result files that grow row by row."""

from __future__ import annotations

import argparse
import ast
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import papermill
from tqdm import tqdm

from digitreader.arrays import FloatArray
from digitreader.cores import cores
from digitreader.data import load_mnist
from digitreader.errors import TrainingError
from digitreader.provenance import write_json
from digitreader.recognizer import MODELS, as_input
from digitreader.training import CARD, MODEL, NOTEBOOK, find_root, run_notebook

ROOT = find_root(Path(__file__).parent)
RESULTS = ROOT / "experiments" / "results"
QUICK_RESULTS = Path("runs") / "quick"
QUICK = {"EPOCHS": 1, "LIMIT": 500}

Row = dict[str, Any]


@dataclass(frozen=True)
class Run:
    """A training run: values for the notebook's parameters that matter to it, and what its row says in addition."""

    settings: dict[str, Any]
    labels: dict[str, Any] = field(default_factory=dict)

    def made(self, row: Row) -> bool:
        """Return whether the row is of this run."""
        return (self.labels | {"settings": self.settings}).items() <= row.items()


Work = Callable[[Run, Path], Row]
"""What does a run and returns its row; the folder of the results is for what does not fit into a row."""


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


def train(run: Run, results: Path, *, finish: Callable[[Path], Row] | None = None) -> Row:
    """Train one network by the notebook's `core` cells and return its row, with what `finish` makes of the model file.

    `results` is not needed, since a row holds all that there is to tell.
    """
    with tempfile.TemporaryDirectory() as folder:
        card = run_notebook(ROOT, Path(folder), run.settings, core=True)
        row = card_row(card) | run.labels | {"settings": run.settings}
        return row | (finish(Path(folder) / MODEL) if finish else {})


def on_test(predict: Callable[[FloatArray], FloatArray]) -> Row:
    """Return what a finished network makes of MNIST's test set: its accuracy, and which digits it takes for which."""
    from sklearn.metrics import confusion_matrix

    data = load_mnist()
    found = predict(as_input(data.x_test)).argmax(axis=1)
    confusion = confusion_matrix(data.y_test, found, labels=range(10))
    return {"test_accuracy": float((found == data.y_test).mean()), "confusion": confusion.tolist()}


def saved_on_test(model: Path) -> Row:
    """Return what a saved network makes of MNIST's test set, see `on_test`."""
    import keras

    network = keras.models.load_model(model)
    return on_test(lambda images: network.predict(images, batch_size=500, verbose=0))


def without_softmax(model: Path) -> Any:
    """Return a saved network that gives logits: where a softmax is sure, it leaves nothing to tell apart."""
    import keras

    network = keras.models.load_model(model)
    network.layers[-1].activation = keras.activations.linear
    return network


def read_rows(name: str, results: Path | None = None) -> list[Row]:
    """Return the rows of `name`.json, by default of the committed results; none if there is no such file."""
    path = (results or RESULTS) / f"{name}.json"
    rows: list[Row] = json.loads(path.read_text()) if path.exists() else []
    return rows


def read_rows_of(name: str, runs: Sequence[Run], results: Path | None = None) -> list[Row]:
    """Return the rows of `name`.json that are of one of the runs, and whose `file`, if they tell of one, is there."""
    return [
        row
        for row in read_rows(name, results)
        if any(run.made(row) for run in runs) and ((results or RESULTS) / row.get("file", "")).exists()
    ]


def write_rows(name: str, rows: Sequence[Row], results: Path | None = None) -> None:
    """Write `name`.json, by default into the committed results."""
    write_json((results or RESULTS) / f"{name}.json", rows)


def write_arrays(path: Path, **arrays: npt.ArrayLike) -> None:
    """Write arrays into an .npz file; whoever is killed meanwhile leaves the one that was there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".part.npz")
    np.savez_compressed(partial, **arrays)  # type: ignore[arg-type]
    partial.replace(path)


def ship(network: Path, name: str) -> None:
    """Put a finished network among the models; whoever is killed meanwhile leaves the one that was there."""
    partial = (MODELS / name).with_suffix(".part")
    shutil.copyfile(network, partial)
    partial.replace(MODELS / name)


def share_threads(jobs: int) -> None:
    """Let TensorFlow, once it is imported, use the threads that each of some processes side by side can have."""
    threads = max(cores() // jobs, 1)
    os.environ |= {"TF_NUM_INTRAOP_THREADS": str(threads), "TF_NUM_INTEROP_THREADS": str(threads)}


def threads_in_use() -> int:
    """Return the threads that TensorFlow uses in this process."""
    return int(os.environ.get("TF_NUM_INTRAOP_THREADS", cores()))


def measured(work: Work, run: Run, results: Path) -> Row:
    """Return the row of a run with the seconds of processor time that it took, in this process and those it began."""
    before = sum(os.times()[:4])
    row = work(run, results)
    return row | {"cpu_seconds": round(sum(os.times()[:4]) - before, 1)}


def fresh_processes(jobs: int | None = None) -> ProcessPoolExecutor:
    """Return a pool of processes that are started anew, one for each core unless `jobs` are asked for.

    TensorFlow may run in this process, if only to load MNIST: one forked from it can wait for its locks forever.
    """
    return ProcessPoolExecutor(jobs or cores(), get_context("spawn"))


def train_missing(
    name: str, runs: Sequence[Run], work: Work, *, jobs: int, command: str, results: Path | None = None
) -> None:
    """Do the runs that `name`.json has no row of, `jobs` of them side by side.

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
    rows = read_rows_of(name, runs, results)
    write_rows(name, rows, results)
    missing = [run for run in runs if not any(run.made(row) for row in rows)]
    failed = []
    # A fresh process a run: TensorFlow keeps its threads and seeds as long as its process lives.
    with ProcessPoolExecutor(jobs, max_tasks_per_child=1, initializer=share_threads, initargs=(jobs,)) as pool:
        futures = {pool.submit(measured, work, run, results or RESULTS): run for run in missing}
        for future in tqdm(as_completed(futures), total=len(futures), unit="run"):
            try:
                rows.append(future.result() | {"command": command})
            except Exception as error:  # of whatever kind: the other runs' rows must not be lost
                failed.append(f"{futures[future].labels | futures[future].settings}: {error}")
            else:
                rows.sort(key=lambda row: [run.made(row) for run in runs].index(True))
                write_rows(name, rows, results)
    if failed:
        raise TrainingError("\n".join(failed))


def command_line(description: str | None) -> argparse.ArgumentParser:
    """Return the command line that all studies share."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=1, help="networks trained side by side")
    parser.add_argument("--quick", action="store_true", help=f"try two short runs, with results in {QUICK_RESULTS}/")
    return parser


def stated_command(name: str, arguments: argparse.Namespace) -> str:
    """Return the command that a study's rows state, from what `command_line` has parsed."""
    return f"python -m experiments.{name} --jobs {arguments.jobs}" + " --quick" * arguments.quick


def shortened(runs: Sequence[Run]) -> list[Run]:
    """Return the first and the last run, made short."""
    return [replace(run, settings=run.settings | QUICK) for run in (*runs[:1], *runs[1:][-1:])]


def study(name: str, description: str | None, runs: Sequence[Run], work: Work = train) -> None:
    """Be the command line of a study: do what is missing of its runs."""
    arguments = command_line(description).parse_args()
    results = RESULTS
    if arguments.quick:
        runs, results = shortened(runs), ROOT / QUICK_RESULTS
    command = stated_command(name, arguments)
    train_missing(name, runs, work, jobs=arguments.jobs, command=command, results=results)
