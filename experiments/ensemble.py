"""What an ensemble is worth: the five networks of `experiments.seeds` averaged, with and without small shifts.

The networks of the seeds beside the committed one are trained again by the notebook's core cells, since only their
results were kept, into runs/ensemble/. The probabilities are averaged, with shifts also over the nine places that are
at most one pixel away. Nothing is chosen: members and shifts were fixed beforehand. Each row is tested once.

    python -m experiments.ensemble --jobs 2

References
----------
Dietterich, T. (1998). Approximate statistical tests for comparing supervised learning algorithms. Neural computation
10(7): McNemar's test.
"""

from __future__ import annotations

import itertools
import shutil
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.ndimage import shift
from scipy.stats import binomtest
from sklearn.metrics import confusion_matrix
from tqdm import tqdm

from digitreader.arrays import FloatArray
from digitreader.data import load_mnist
from digitreader.decision import log_loss
from digitreader.intervals import wilson
from digitreader.provenance import provenance
from digitreader.recognizer import as_input, sha256
from digitreader.training import MODEL
from experiments import committed
from experiments.runs import (
    QUICK,
    QUICK_RESULTS,
    RESULTS,
    ROOT,
    Row,
    Run,
    command_line,
    read_rows,
    shortened,
    stated_command,
    train,
    train_missing,
    write_rows,
)

MEMBERS = ROOT / "runs" / "ensemble"
SHIFTS = tuple(itertools.product((-1, 0, 1), repeat=2))  # pixels down and right


def keep(results: Path, model: Path) -> Row:
    """Keep a trained network beside the results."""
    digest = sha256(model)
    (results / "models").mkdir(parents=True, exist_ok=True)
    shutil.copyfile(model, results / "models" / f"{digest}.keras")
    return {"file": f"models/{digest}.keras"}


def probabilities(model: Path, images: npt.NDArray[np.uint8]) -> tuple[FloatArray, FloatArray]:
    """Return what a network gives for images (n, 28, 28): probabilities (n, 10), and their mean over the shifts."""
    import keras

    network = keras.models.load_model(model)
    found = {
        place: network.predict(as_input(shift(images, (0, *place), order=0)), batch_size=500, verbose=0)
        for place in SHIFTS
    }
    return found[0, 0], np.mean(list(found.values()), axis=0)


def mcnemar(right: npt.NDArray[np.bool_], reference: npt.NDArray[np.bool_]) -> Row:
    """Return on how many images one of two readers alone is right, and the p-value of McNemar's exact test.

    That is the probability of so uneven a split, or of a more uneven one, if both were equally good.
    """
    better, worse = int((right & ~reference).sum()), int((reference & ~right).sum())
    p_value = binomtest(better, better + worse).pvalue if better + worse else 1.0
    return {"only_this_right": better, "only_single_right": worse, "p_value": float(p_value)}


def train_and_keep(run: Run, results: Path) -> Row:
    """Train one member, keep it, and return its row."""
    return train(run, results, finish=partial(keep, results))


def compare(models: Sequence[Path], seeds: Sequence[int], limit: int | None) -> list[Row]:
    """Return the rows of the first network alone and of all averaged, each with and without shifts.

    The row of all without shifts tells in addition what each of them makes of the digits, and which it misreads. With a
    `limit`, only so many test digits are read, for a quick trial.
    """
    data = load_mnist()
    images, labels = data.x_test[:limit], data.y_test[:limit]
    started = time.perf_counter()
    found = np.array([probabilities(model, images) for model in tqdm(models, unit="network")])
    alone, together = found[0], found.mean(axis=0)
    reference = alone[0].argmax(axis=1) == labels
    rows: list[Row] = []
    for name, count, pair in (("single", 1, alone), ("ensemble", len(models), together)):
        for shifts, mean in zip((False, True), pair, strict=True):
            right = mean.argmax(axis=1) == labels
            rows.append(
                {
                    "reader": name,
                    "networks": count,
                    "shifts": shifts,
                    "seed": list(seeds[:count]),
                    "split": "test",
                    "model_sha256": [sha256(model) for model in models[:count]],
                    "test_accuracy": float(right.mean()),
                    "test_accuracy_95": wilson(int(right.sum()), len(right)),
                    "errors": int((~right).sum()),
                    "log_loss": log_loss(mean, labels),
                    "against_single": mcnemar(right, reference),
                    "seconds": round(time.perf_counter() - started, 1),
                }
                | provenance("python -m experiments.ensemble", "tensorflow", "keras", "numpy", "scipy")
            )
    read = found[:, 0].argmax(axis=2)  # by each of the networks, without shifts
    rows[-2]["members_confusion"] = [confusion_matrix(labels, digits, labels=range(10)).tolist() for digits in read]
    rows[-2]["members_misread"] = [np.flatnonzero(digits != labels).tolist() for digits in read]
    return rows


def tested(settings: Row) -> bool:
    """Return whether the committed result is of the committed network and of these settings."""
    rows = read_rows("ensemble")
    return bool(rows) and rows[0]["model_sha256"] == [sha256(ROOT / MODEL)] and rows[0]["settings"] == settings


def main() -> None:
    """Train the members that are missing, test and write results/ensemble.json, unless that is of this network."""
    arguments, runs = command_line(__doc__).parse_args(), committed.runs()
    results, where, limit = MEMBERS, RESULTS, None
    settings = runs[0].settings | {"SEEDS": [run.settings["SEED"] for run in runs], "SHIFTS": list(map(list, SHIFTS))}
    if arguments.quick:
        runs, results, limit = [runs[0], *shortened(runs[1:])], ROOT / QUICK_RESULTS, QUICK["LIMIT"]
        where = results / "tested"
    elif tested(settings):
        return
    command = stated_command("ensemble", arguments)
    train_missing("ensemble", runs[1:], train_and_keep, jobs=arguments.jobs, command=command, results=results)
    members = read_rows("ensemble", results)
    models = [ROOT / MODEL, *(results / row["file"] for row in members)]
    rows = compare(models, [runs[0].settings["SEED"], *(row["seed"] for row in members)], limit)
    kept = ("seed", "val_loss", "seconds", "threads", "cpu_seconds")
    trained = [{name: row[name] for name in kept} for row in members]
    for row in rows:
        row |= {"trained_for_it": trained[: row["networks"] - 1], "settings": settings}
    write_rows("ensemble", rows, where)


if __name__ == "__main__":
    main()
