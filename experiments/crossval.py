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

from digitreader.arrays import FloatArray
from digitreader.data import load_mnist, load_writers
from digitreader.recognizer import as_input
from experiments.runs import RESULTS, Row, Run, committed_settings, study, train

FOLDS = 5
SPLITS = ("writer", "image")
SEED = 42  # of the folds and of the trainings
LOGITS = "crossval"  # the folder, in that of the results


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


def log_loss(scores: FloatArray, labels: npt.NDArray[np.uint8]) -> float:
    """Return the mean of -log p(true digit) of logits (n, 10)."""
    from scipy.special import log_softmax

    return float(-log_softmax(scores.astype(np.float64), axis=1)[np.arange(len(labels)), labels].mean())


def hold_out(run: Run, results: Path) -> Row:
    """Train without a fold, and return the row with what the network makes of that fold."""
    by, fold = run.labels["split_by"], run.labels["fold"]
    rows = fold_rows(by, fold)

    def read_fold(model: Path) -> Row:
        data = load_mnist()
        scores, labels = logits(model, data.x_train[rows]), data.y_train[rows]
        if by == "writer":
            (results / LOGITS).mkdir(parents=True, exist_ok=True)
            np.savez(
                results / LOGITS / f"{by}_{fold}.npz", rows=rows.astype(np.int32), logits=scores.astype(np.float16)
            )
        held_out = {"images": len(rows), "errors": int((scores.argmax(axis=1) != labels).sum())}
        return {"held_out": held_out | {"log_loss": log_loss(scores, labels)}}

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "rows.npy"
        np.save(file, rows)
        held_out_run = Run(run.settings | {"HELD_OUT_ROWS": str(file)}, run.labels)
        return train(held_out_run, results, finish=read_fold) | {"settings": run.settings}


def out_of_fold_logits(results: Path = RESULTS) -> FloatArray:
    """Return the logits (60000, 10), float32, of networks that never saw the digit nor anything by its writer."""
    found = np.full((len(load_mnist().y_train), 10), np.nan, np.float32)
    for fold in range(FOLDS):
        with np.load(results / LOGITS / f"writer_{fold}.npz") as kept:
            found[kept["rows"]] = kept["logits"]
    return found


if __name__ == "__main__":
    SETTINGS = committed_settings() | {"SEED": SEED}
    study(
        "crossval",
        __doc__,
        [Run(SETTINGS, {"split_by": by, "fold": fold}) for by in SPLITS for fold in range(FOLDS)],
        hold_out,
    )
