"""How far a random split flatters: the committed recipe on five folds by writer and on five by image.

The folds are of the training set. Each network is trained by the notebook's core cells on four fifths of it, of which
the usual tenth chooses the epoch, and reads the fifth that was held out from both: once. By writer, nobody's
handwriting is in two folds (scikit-learn's StratifiedGroupKFold, with the writers of QMNIST). What the networks by
writer give for the digits that they never saw is kept: 60,000 honest logits (float16), in results/crossval/.

Finished folds are rows of results/crossval.json and are not repeated.

    python -m experiments.crossval --jobs 2
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.special import softmax

from digitreader.arrays import FloatArray
from digitreader.data import load_mnist, load_writers
from digitreader.decision import log_loss
from digitreader.errors import DataNotFoundError
from digitreader.recognizer import as_input, sha256
from experiments.runs import RESULTS, Row, Run, committed_settings, read_rows, study, train

FOLDS = 5
SPLITS = ("writer", "image")
SEED = 42  # of the folds and of the trainings
LOGITS = "crossval"  # the folder, in that of the results
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
    import keras

    network = keras.models.load_model(model)
    network.layers[-1].activation = keras.activations.linear
    scores: FloatArray = network.predict(as_input(images), batch_size=500, verbose=0)
    return scores


def hold_out(run: Run, results: Path) -> Row:
    """Train without a fold, and return the row with what the network makes of that fold."""
    by, fold = run.labels["split_by"], run.labels["fold"]
    rows = fold_rows(by, fold)

    def read_fold(model: Path) -> Row:
        data = load_mnist()
        scores, labels = logits(model, data.x_train[rows]), data.y_train[rows]
        if by == "writer":
            keep(results / LOGITS / f"{by}_{fold}.npz", rows, scores, sha256(model))
        held_out = {"images": len(rows), "errors": int((scores.argmax(axis=1) != labels).sum())}
        return {"held_out": held_out | {"log_loss": log_loss(softmax(scores, axis=1), labels)}}

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "rows.npy"
        np.save(file, rows)
        held_out_run = Run(run.settings | {"HELD_OUT_ROWS": str(file)}, run.labels)
        return train(held_out_run, results, finish=read_fold) | {"settings": run.settings}


def keep(path: Path, rows: npt.NDArray[np.int64], scores: FloatArray, model_sha256: str) -> None:
    """Store the logits of the digits that a network never saw, with the network's hash."""
    path.parent.mkdir(parents=True, exist_ok=True)
    logits = scores.astype(np.float16)
    np.savez(path, rows=rows.astype(np.int32), logits=logits, model_sha256=np.array(model_sha256))


def out_of_fold(results: Path = RESULTS) -> tuple[FloatArray, list[Row]]:
    """Return the logits (60000, 10), float32, of networks that never saw the digit nor anything by its writer.

    The rows of the networks come with them.

    Raises
    ------
    DataNotFoundError
        If a fold is missing, or its logits are not of the network in crossval.json.
    """
    rows = [row for row in read_rows("crossval", results) if row["split_by"] == "writer"]
    found = np.full((len(load_mnist().y_train), 10), np.nan, np.float32)
    for row in rows:
        path = results / LOGITS / f"writer_{row['fold']}.npz"
        with np.load(path) as kept:
            if str(kept["model_sha256"]) != row["model_sha256"]:
                raise DataNotFoundError(f"{path} is of another network than crossval.json tells of.")
            found[kept["rows"]] = kept["logits"]
    if np.isnan(found).any():
        raise DataNotFoundError("Not every fold by writer is there: run `python -m experiments.crossval`.")
    return found, rows


if __name__ == "__main__":
    study("crossval", __doc__, RUNS, hold_out)
