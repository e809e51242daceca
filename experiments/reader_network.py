"""Train the reader's own network: pictures as people have them to ten digits, or to none of them.

The graded network knows MNIST's digits alone. This one, a smaller one, is trained on pictures of these digits as the
reader prepares them, plain, composed and handled roughly, and with outlier exposure: an eleventh class is what is no
digit. It is trained six times by one recipe, fixed beforehand:

- on all of it, for models/reader.onnx;
- five times without a fifth of the writers, those of `experiments.crossval`, and without one family of non-digits. Such
  a network says honestly how digits by new hands are read (its logits are kept in results/reader_network/), and how it
  takes a kind of non-digit that it has never seen.

The layout was chosen among six by the log-loss, after five epochs, on one fold's validation digits and on non-digits
made of these, of kinds that were trained on. What the pictures lacked, an earlier network's benchmarks had shown.

Each network is then quantised to 8 bits: by ranges that its training pictures show, and but for its last layer. What is
kept, and what is shipped, are quantised networks.

A finished training is a row of results/reader_network.json and is not repeated. Afterwards run `digits calibrate`.

    python -m experiments.reader_network --jobs 2

References
----------
Hendrycks, D., Mazeika, M. and Dietterich, T. (2019). Deep anomaly detection with outlier exposure. ICLR.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from digitreader.arrays import FloatArray
from digitreader.calibrate import FOLDS, PICTURES, PLAIN
from digitreader.data import load_mnist
from digitreader.export import quantise_onnx, write_onnx
from digitreader.provenance import provenance
from digitreader.recognizer import (
    BATCH,
    PICTURE_COMMAND,
    PICTURE_INPUT,
    PICTURE_OUTPUT,
    PictureRecognizer,
    Recognizer,
    as_input,
    sha256,
)
from experiments.crossval import fold_rows
from experiments.lines import validation_mask
from experiments.non_digits import NON_DIGITS
from experiments.outlines import Rng
from experiments.pictures import NONE, POOL, WAYS, Pictures, load_pictures
from experiments.runs import ROOT, Row, Run, read_rows, read_rows_of, ship, threads_in_use, train_missing, write_arrays

SEED = 42
FAMILIES = (  # of non-digits: those of a family are alike, so they are left out together
    ("sign", "letter", "mirrored"),
    ("symbol", "foreign letter"),
    ("scribble", "glyph", "blots", "silhouette"),
    ("shape", "texture", "noise"),
    ("fragment", "shuffled", "pair"),
)
RECIPE: dict[str, Any] = {
    "BLOCKS": [[24], [40, 40], [96, 96]],
    "DENSE_UNITS": 160,
    "EPOCHS": 18,
    "BATCH_SIZE": 128,
    "LEARNING_RATE": 2e-3,
    "SHARES": [0.4, 0.3, 0.3],  # of an epoch's digits: plain, composed, rough
    "NON_DIGITS": 1 / 4,  # of those that there are, in an epoch
    "PICTURES": POOL,
    "QUANTISED_ON": 1024,  # of the pictures that it was trained on
    "SEED": SEED,
}
RUNS = [Run(RECIPE, {"fold": fold}) for fold in (None, *range(FOLDS))]
STATE = ROOT / "runs" / "reader_network" / POOL
PACKAGES = ("tensorflow", "keras", "numpy", "opencv-python-headless")


def network(settings: dict[str, Any]) -> Any:
    """Return the untrained network: images (n, 28, 28, 1) to logits (n, 11)."""
    from keras import Input, Model, layers

    image = x = Input((28, 28, 1), name=PICTURE_INPUT)
    for filter_counts in settings["BLOCKS"]:
        for filters in filter_counts:
            x = layers.Conv2D(filters, 3, padding="same", use_bias=False)(x)
            x = layers.ReLU()(layers.BatchNormalization(momentum=0.95)(x))
        x = layers.Dropout(0.1)(layers.MaxPooling2D(2)(x))
    x = layers.Dense(settings["DENSE_UNITS"], use_bias=False)(layers.Flatten()(x))
    x = layers.Dropout(0.3)(layers.ReLU()(layers.BatchNormalization(momentum=0.95)(x)))
    return Model(image, layers.Dense(NONE + 1, name=PICTURE_OUTPUT)(x), name="reader")


def moved(image: npt.NDArray[np.uint8], rng: Rng) -> npt.NDArray[np.uint8]:
    """Return an image a little turned, slanted, scaled and shifted."""
    angle, slant = rng.uniform(-0.15, 0.15), rng.uniform(-0.1, 0.1)
    linear = np.exp(rng.uniform(-0.1, 0.1)) * np.array(
        [[np.cos(angle), np.sin(angle) + slant], [-np.sin(angle), np.cos(angle)]]
    )
    shift = np.full(2, 13.5) + rng.uniform(-1.5, 1.5, 2) - linear @ np.full(2, 13.5)
    matrix = np.column_stack([linear, shift])
    turned: npt.NDArray[np.uint8] = cv2.warpAffine(image, matrix, image.shape[::-1], flags=cv2.INTER_LINEAR)
    return turned


def epoch_of(pictures: Pictures, settings: dict[str, Any], rng: Rng) -> tuple[FloatArray, npt.NDArray[np.uint8]]:
    """Return the images (n, 28, 28, 1) and labels of one epoch: one picture of each digit, and some non-digits."""
    places = rng.permutation(len(pictures.rows))
    way = rng.choice(len(WAYS), size=pictures.rows.max() + 1, p=settings["SHARES"])
    fitting = places[(pictures.labels[places] != NONE) & (pictures.ways[places] == way[pictures.rows[places]])]
    _, first = np.unique(pictures.rows[fitting], return_index=True)
    others = places[pictures.labels[places] == NONE]
    others = others[: round(settings["NON_DIGITS"] * len(others))]
    chosen = rng.permutation(np.concatenate([fitting[first], others]))
    images = np.stack([moved(pictures.images[place], rng) for place in chosen])
    return as_input(images), pictures.labels[chosen]


def fit(pictures: Pictures, settings: dict[str, Any]) -> tuple[Any, list[float]]:
    """Return a network trained on some pictures, and the training loss of each epoch."""
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # faster where TensorFlow leaves it off
    os.environ["TF_NUM_INTEROP_THREADS"] = "2"  # with a single one, what feeds the network can wait for itself forever
    import keras

    keras.utils.set_random_seed(settings["SEED"])
    rng = np.random.default_rng(settings["SEED"])
    model = network(settings)
    losses: list[float] = []
    for epoch in range(settings["EPOCHS"]):
        images, labels = epoch_of(pictures, settings, rng)
        if not epoch:
            steps = settings["EPOCHS"] * -(-len(images) // settings["BATCH_SIZE"])
            rate = keras.optimizers.schedules.PolynomialDecay(settings["LEARNING_RATE"], steps, 0.0)
            loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
            model.compile(keras.optimizers.Adam(rate), loss=loss)
        history = model.fit(images, labels, batch_size=settings["BATCH_SIZE"], shuffle=False, verbose=0)
        losses.append(round(float(history.history["loss"][0]), 5))
        print(f"epoch {epoch + 1}: loss {losses[-1]}", flush=True)
    return model, losses


def of_family(pictures: Pictures, fold: int) -> npt.NDArray[np.bool_]:
    """Return which pictures are non-digits of the family that is left out with a fold, shape (n,)."""
    return np.isin(pictures.kinds, [NON_DIGITS.index(kind) for kind in FAMILIES[fold]])


def without(pictures: Pictures, fold: int) -> npt.NDArray[np.bool_]:
    """Return which pictures are left if a fold's writers and a family of non-digits are left out, shape (n,)."""
    return ~np.isin(pictures.rows, fold_rows("writer", fold)) & ~of_family(pictures, fold)


def train(run: Run, results: Path) -> Row:
    """Train one network; of one that left a fold out, keep what it says of the fold's digits. Return its row."""
    fold, settings, started = run.labels["fold"], run.settings, time.perf_counter()
    pictures = load_pictures()
    trained_on = pictures if fold is None else pictures[without(pictures, fold)]
    model, losses = fit(trained_on, settings)
    STATE.mkdir(parents=True, exist_ok=True)
    network = STATE / f"fold_{fold}.onnx"
    export(model, trained_on, network, settings)
    row: Row = {
        "seed": settings["SEED"],
        "split": "all training digits" if fold is None else "without a fold by writer",
        "model_sha256": sha256(network),
        "weights": model.count_params(),
        "losses": losses,
        "seconds": round(time.perf_counter() - started, 1),
        "threads": threads_in_use(),
        "settings": settings,
    }
    if fold is not None:
        row |= keep(PictureRecognizer(network), pictures, fold, results)
    return row | run.labels | provenance("", *PACKAGES)


def export(model: Any, trained_on: Pictures, target: Path, settings: dict[str, Any]) -> None:
    """Write a network as an ONNX file of 8 bits, but for its last layer."""
    import keras

    exported = keras.Model(model.input, {PICTURE_OUTPUT: model.output})
    exported(np.zeros((1, 28, 28, 1), np.float32))  # Keras exports only models that have been called
    write_onnx(exported, target, {})
    rng = np.random.default_rng(settings["SEED"])
    shown = trained_on.images[rng.choice(len(trained_on.images), settings["QUANTISED_ON"], replace=False)]
    said = {"command": PICTURE_COMMAND, "seed": str(settings["SEED"])}
    quantise_onnx(target, np.array_split(as_input(shown), len(shown) // BATCH), said, fine_logits=True)


def keep(network: PictureRecognizer, pictures: Pictures, fold: int, results: Path) -> Row:
    """Keep what is said (float16) of a fold's digits, and return what a row tells of them.

    Of plain pictures, that is what this network says. Of all pictures of the notebook's validation digits, it is also
    what the committed digits' network says, which never saw them. And of the non-digits that were left out with the
    fold, made from its digits, it is what this network says of kinds that it has never seen.
    """
    data, own = load_mnist(), np.isin(pictures.rows, fold_rows("writer", fold))
    digits, unseen = pictures[own & (pictures.labels != NONE)], pictures[own & of_family(pictures, fold)]
    logits, of_unseen = (network.run(some.images).astype(np.float16) for some in (digits, unseen))
    plain, validated = digits.ways == PLAIN, validation_mask(data.y_train)[digits.rows]
    (of_digits,) = Recognizer().run(digits.images[validated], "logits")
    file = PICTURES.format(fold)
    write_arrays(
        results / file,
        rows=digits.rows[plain],
        logits=logits[plain],
        validation_rows=digits.rows[validated],
        validation_ways=digits.ways[validated],
        validation_logits=of_digits.astype(np.float16),
        validation_pictures=logits[validated],
        unseen_kinds=unseen.kinds,
        unseen_pictures=of_unseen,
    )
    wrong = logits[:, :NONE].argmax(axis=1) != data.y_train[digits.rows]
    ways = {
        name: {"images": int(of_way.sum()), "errors": int(wrong[of_way].sum())}
        for place, name in enumerate(WAYS)
        for of_way in [digits.ways == place]
    }
    return {"held_out": ways, "file": file}


def certifying_networks() -> list[str]:
    """Return the hashes of the networks whose logits certify thresholds: those of the folds by writer."""
    of_digits = [row["model_sha256"] for row in read_rows("crossval") if row["split_by"] == "writer"]
    return of_digits + [row["model_sha256"] for row in read_rows("reader_network") if row["fold"] is not None]


def main() -> None:
    """Compose, train what is missing, export."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=1, help="networks trained side by side")
    jobs = parser.parse_args().jobs
    if len(read_rows_of("reader_network", RUNS)) < len(RUNS):
        load_pictures(jobs)  # here, not by all networks at once
    train_missing("reader_network", RUNS, train, jobs=jobs, command=f"{PICTURE_COMMAND} --jobs {jobs}")
    if (trained := STATE / "fold_None.onnx").exists():
        ship(trained, "reader.onnx")


if __name__ == "__main__":
    main()
