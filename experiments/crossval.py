"""How far a random split flatters: the committed recipe on five folds by writer and on five by image.

The folds are of the training set. Each network is trained by the notebook's core cells on four fifths of it, of which
the usual tenth chooses the epoch, and reads the fifth that was held out from both: once. By writer, nobody's
handwriting is in two folds (scikit-learn's StratifiedGroupKFold, with the writers of QMNIST). What the networks give
for the digits that they never saw is kept in results/crossval/: by writer 60,000 honest logits (float16), by image only
which digits these are.

Finished folds are rows of results/crossval.json and are not repeated.

    python -m experiments.crossval --jobs 2
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import softmax

from digitreader.arrays import FloatArray
from digitreader.calibrate import FOLDS
from digitreader.data import load_mnist, load_writers
from digitreader.decision import log_loss
from digitreader.errors import DataNotFoundError
from digitreader.recognizer import as_input, sha256
from experiments.runs import (
    RESULTS,
    Row,
    Run,
    committed_settings,
    read_rows,
    study,
    train,
    without_softmax,
    write_arrays,
)

SPLITS = ("writer", "image")
SEED = 42  # of the folds and of the trainings
FOLDER = "crossval"  # in that of the results
RUNS = [
    Run(committed_settings() | {"SEED": SEED}, {"split_by": by, "fold": fold}) for by in SPLITS for fold in range(FOLDS)
]


def fold_rows(by: str, fold: int) -> npt.NDArray[np.int64]:
    """Return the rows of the training set that a fold holds out, in ascending order."""
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

    labels = load_mnist().y_train
    splits: Iterator[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]]
    if by == "writer":
        writers = load_writers().train
        splits = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=SEED).split(labels, labels, writers)
    else:
        splits = StratifiedKFold(FOLDS, shuffle=True, random_state=SEED).split(labels, labels)
    return [held_out for _, held_out in splits][fold]


def logits(model: Path, images: npt.NDArray[np.uint8]) -> FloatArray:
    """Return the logits (n, 10), float32, that a saved network gives for images (n, 28, 28)."""
    scores: FloatArray = without_softmax(model).predict(as_input(images), batch_size=500, verbose=0)
    return scores


def hold_out(run: Run, results: Path) -> Row:
    """Train without a fold, and return the row with what the network makes of that fold."""
    by, fold = run.labels["split_by"], run.labels["fold"]
    rows, file = fold_rows(by, fold), f"{FOLDER}/{by}_{fold}.npz"

    def read_fold(model: Path) -> Row:
        data = load_mnist()
        scores, labels = logits(model, data.x_train[rows]).astype(np.float16), data.y_train[rows]
        digits = scores.argmax(axis=1)
        kept = {"logits": scores} if by == "writer" else {"digits": digits.astype(np.uint8)}
        write_arrays(results / file, rows=rows.astype(np.int32), model_sha256=np.array(sha256(model)), **kept)
        loss = log_loss(softmax(scores.astype(np.float32), axis=1), labels)
        errors = int((digits != labels).sum())
        return {"held_out": {"images": len(rows), "errors": errors, "log_loss": loss}, "file": file}

    with tempfile.TemporaryDirectory() as folder:
        held_out = Path(folder) / "rows.npy"
        np.save(held_out, rows)
        held_out_run = Run(run.settings | {"HELD_OUT_ROWS": str(held_out)}, run.labels)
        return train(held_out_run, results, finish=read_fold) | {"settings": run.settings}


def kept(by: str, name: str, results: Path = RESULTS) -> tuple[npt.NDArray[Any], list[Row]]:
    """Return what the networks of one split give for the 60,000 training digits, and the rows of the networks.

    Raises
    ------
    DataNotFoundError
        If a fold is missing, or what is kept is not of the network in crossval.json.
    """
    networks = [row for row in read_rows("crossval", results) if row["split_by"] == by]
    rows, values = [np.array([], np.int32)], []
    for network in networks:
        path = results / FOLDER / f"{by}_{network['fold']}.npz"
        if not path.exists():
            break
        with np.load(path) as content:
            if str(content["model_sha256"]) != network["model_sha256"]:
                raise DataNotFoundError(f"{path} is of another network than crossval.json tells of.")
            rows.append(content["rows"])
            values.append(content[name])
    order = np.concatenate(rows).argsort()
    if len(order) < len(load_mnist().y_train):
        raise DataNotFoundError(f"Not every fold by {by} is there: run `python -m experiments.crossval`.")
    return np.concatenate(values)[order], networks


def out_of_fold(results: Path = RESULTS) -> tuple[FloatArray, list[Row]]:
    """Return the logits (60000, 10), float32, of networks that never saw the digit nor anything by its writer.

    The rows of the networks come with them.

    Raises
    ------
    DataNotFoundError
        As `kept`.
    """
    logits, networks = kept("writer", "logits", results)
    return logits.astype(np.float32), networks


if __name__ == "__main__":
    study("crossval", __doc__, RUNS, hold_out)
