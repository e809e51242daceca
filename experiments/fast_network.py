"""Train the fast network: a tiny one that reads every digit, and a larger one that reads what the tiny one doubts.

Both are trained at once, on MNIST's arrays, a little moved anew in each epoch: the larger one by the labels, the tiny
one by what the larger one says of the same image (distillation). Each is then quantised to 8 bits, by ranges that its
training digits show, and both become one ONNX file. In it a digit goes to the larger network if the tiny one is less
sure than of nearly all validation digits.

They are trained four times by one recipe, fixed beforehand:

- with three seeds on the notebook's training digits, each tested once; that of the committed network's seed becomes
  models/fast.onnx;
- once without two fifths of the writers: what that network says of their digits certifies the fast reader's threshold.

What they say of digits that they never saw is kept in results/fast_network/. A finished training is a row of
results/fast_network.json and is not repeated. Afterwards run `digits calibrate`.

    python -m experiments.fast_network --jobs 2

References
----------
Hinton, G., Vinyals, O. and Dean, J. (2015). Distilling the knowledge in a neural network. arXiv:1503.02531.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from digitreader.arrays import ByteArray
from digitreader.calibrate import FAST_DIGITS, FAST_VALIDATION
from digitreader.data import Dataset, load_mnist
from digitreader.decision import calibrated
from digitreader.export import quantise_onnx, write_onnx
from digitreader.provenance import provenance
from digitreader.recognizer import BATCH, FAST_COMMAND, INPUT, FastRecognizer, as_input, sha256
from experiments.cascade import write_cascade
from experiments.crossval import fold_rows
from experiments.lines import CERTIFYING_FOLDS, validation_mask
from experiments.outlines import Rng
from experiments.pictures import NONE, joined, pictures_of
from experiments.runs import (
    RESULTS,
    ROOT,
    Row,
    Run,
    fresh_processes,
    on_test,
    read_rows_of,
    ship,
    threads_in_use,
    train_missing,
    write_arrays,
)

SEEDS = (42, 1, 2)
RECIPE: dict[str, Any] = {
    "TINY": [48, 48],
    "STEM": 32,
    "BLOCKS": [[48], [96]],
    "DENSE_UNITS": 96,
    "EPOCHS": 30,
    "BATCH_SIZE": 128,
    "LEARNING_RATE": 2e-3,
    "SOFTNESS": 2.0,
    "TURN": 0.2,  # radians; this and the next three are at most, of each digit in each epoch
    "SLANT": 0.2,
    "STRETCH": 0.15,  # of width and height, each by its own, as a logarithm
    "SHIFT": 2.0,  # pixels
    "DOUBTFUL": 0.03,  # of the validation digits: the larger network decides of so many
    "QUANTISED_ON": 1024,  # of the digits that it was trained on
}
RUNS = [
    *(Run(RECIPE | {"SEED": seed}, {"certifies": False}) for seed in SEEDS),
    Run(RECIPE | {"SEED": SEEDS[0]}, {"certifies": True}),
]
STATE = ROOT / "runs" / "fast_network"
PACKAGES = ("tensorflow", "keras", "numpy", "onnxruntime", "opencv-python-headless")
ROWS_AT_ONCE = 250  # of which a process composes pictures


def _convolution(x: Any, filters: int, strides: int = 1) -> Any:
    from keras import layers

    x = layers.Conv2D(filters, 3, strides=strides, padding="same", use_bias=False)(x)
    return layers.ReLU()(layers.BatchNormalization(momentum=0.95)(x))


def _patches(image: Any, side: int) -> Any:
    """Return an image (n, 28, 28, 1) as squares of pixels, (n, 28 / side, 28 / side, side²).

    A convolution of a single channel takes a processor longer than its multiply-adds tell.
    """
    from keras import layers

    count = 28 // side
    x = layers.Permute((1, 3, 2, 4))(layers.Reshape((count, side, count, side))(image))
    return layers.Reshape((count, count, side * side))(x)


def networks(settings: dict[str, Any]) -> tuple[Any, Any]:
    """Return the untrained networks, the tiny one first: images (n, 28, 28, 1) to logits (n, 10)."""
    from keras import Input, Model, layers

    image = Input((28, 28, 1), name=INPUT)
    x = _convolution(_patches(image, 4), settings["TINY"][0])
    x = _convolution(x, settings["TINY"][1], strides=2)
    tiny = Model(image, layers.Dense(10, name="tiny_logits")(layers.Flatten()(x)), name="tiny")

    x = _convolution(_patches(image, 2), settings["STEM"])
    for filter_counts in settings["BLOCKS"]:
        for filters in filter_counts:
            x = _convolution(x, filters)
        x = layers.Dropout(0.1)(layers.MaxPooling2D(2)(x))
    x = layers.Dense(settings["DENSE_UNITS"], use_bias=False)(layers.Flatten()(x))
    x = layers.Dropout(0.3)(layers.ReLU()(layers.BatchNormalization(momentum=0.95)(x)))
    return tiny, Model(image, layers.Dense(10, name="larger_logits")(x), name="larger")


def moved(image: ByteArray, settings: dict[str, Any], rng: Rng) -> ByteArray:
    """Return an image (28, 28) turned, slanted, stretched and shifted."""
    turn, slant = (rng.uniform(-settings[name], settings[name]) for name in ("TURN", "SLANT"))
    stretch = np.exp(rng.uniform(-settings["STRETCH"], settings["STRETCH"], 2))
    linear = stretch * np.array([[np.cos(turn), np.sin(turn) + slant], [-np.sin(turn), np.cos(turn)]])
    middle = np.full(2, 13.5)
    shift = middle + rng.uniform(-settings["SHIFT"], settings["SHIFT"], 2) - linear @ middle
    found: ByteArray = cv2.warpAffine(image, np.column_stack([linear, shift]), image.shape[::-1])
    return found


def fit(images: ByteArray, labels: ByteArray, settings: dict[str, Any]) -> tuple[Any, Any, list[float]]:
    """Return both networks, trained on images (n, 28, 28) and labels (n,), and the training loss of each epoch."""
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # faster where TensorFlow leaves it off
    os.environ["TF_NUM_INTEROP_THREADS"] = "2"  # with a single one, what feeds the network can wait for itself forever
    import keras
    from keras import ops

    softness = settings["SOFTNESS"]

    def loss(labels: Any, logits: Any) -> Any:
        by_tiny, by_larger = logits[:, :10], logits[:, 10:]
        taught = ops.softmax(ops.stop_gradient(by_larger) / softness)
        return keras.losses.sparse_categorical_crossentropy(
            labels, by_larger, from_logits=True
        ) + softness * keras.losses.categorical_crossentropy(taught, by_tiny / softness, from_logits=True)

    keras.utils.set_random_seed(settings["SEED"])
    rng = np.random.default_rng(settings["SEED"])
    tiny, larger = networks(settings)
    both = keras.Model(tiny.input, keras.layers.Concatenate()([tiny.output, larger(tiny.input)]))
    steps = settings["EPOCHS"] * -(-len(images) // settings["BATCH_SIZE"])
    rate = keras.optimizers.schedules.PolynomialDecay(settings["LEARNING_RATE"], steps, 0.0)
    both.compile(keras.optimizers.Adam(rate), loss=loss)
    losses: list[float] = []
    for epoch in range(settings["EPOCHS"]):
        order = rng.permutation(len(images))
        batch = as_input(np.stack([moved(images[place], settings, rng) for place in order]))
        history = both.fit(batch, labels[order], batch_size=settings["BATCH_SIZE"], shuffle=False, verbose=0)
        losses.append(round(float(history.history["loss"][0]), 5))
        print(f"epoch {epoch + 1}: loss {losses[-1]}", flush=True)
    return tiny, larger, losses


def export(
    tiny: Any, larger: Any, trained_on: ByteArray, validated: ByteArray, target: Path, settings: dict[str, Any]
) -> float:
    """Write both networks as one ONNX file of 8 bits, and return of what confidence the tiny one is left alone.

    Parameters
    ----------
    tiny, larger : keras.Model
    trained_on, validated : ndarray of shape (n, 28, 28), dtype uint8
        Digits that show the ranges of values, and digits that show how sure the tiny network is.
    target : Path
    settings : dict
    """
    import keras
    import onnxruntime

    rng = np.random.default_rng(settings["SEED"])
    shown = as_input(trained_on[rng.choice(len(trained_on), settings["QUANTISED_ON"], replace=False)])
    said = {"command": FAST_COMMAND, "seed": str(settings["SEED"])}
    with tempfile.TemporaryDirectory() as folder:
        first, second = (Path(folder) / f"{name}.onnx" for name in ("tiny", "larger"))
        for network, path in ((tiny, first), (larger, second)):
            exported = keras.Model(network.input, {"logits": network.output})
            exported(np.zeros((1, 28, 28, 1), np.float32))  # Keras exports only models that have been called
            write_onnx(exported, path, {})
            quantise_onnx(path, np.array_split(shown, len(shown) // BATCH), said, fine_logits=True)
        session = onnxruntime.InferenceSession(first, providers=["CPUExecutionProvider"])
        (logits,) = session.run(None, {session.get_inputs()[0].name: as_input(validated)})
        sure = float(np.quantile(calibrated(logits, 1).max(axis=1), settings["DOUBTFUL"]))
        write_cascade(first, second, sure, target, said)
    return sure


def train(run: Run, results: Path) -> Row:
    """Train one pair of networks and keep what it says of digits that it never saw. Return its row."""
    settings, certifies, started = run.settings, run.labels["certifies"], time.perf_counter()
    data = load_mnist()
    validated = validation_mask(data.y_train)
    held_out = np.concatenate([fold_rows("writer", fold) for fold in CERTIFYING_FOLDS])
    rows = np.flatnonzero(~validated)
    if certifies:
        rows = np.setdiff1d(rows, held_out)
    tiny, larger, losses = fit(data.x_train[rows], data.y_train[rows], settings)
    STATE.mkdir(parents=True, exist_ok=True)
    network = STATE / ("certifying.onnx" if certifies else f"seed_{settings['SEED']}.onnx")
    sure = export(tiny, larger, data.x_train[rows], data.x_train[validated], network, settings)
    row: Row = {
        "seed": settings["SEED"],
        "split": "without two fifths of the writers" if certifies else "the notebook's training digits",
        "model_sha256": sha256(network),
        "bytes": network.stat().st_size,
        "weights": {"tiny": tiny.count_params(), "larger": larger.count_params()},
        "sure": sure,
        "losses": losses,
        "seconds": round(time.perf_counter() - started, 1),
        "threads": threads_in_use(),
        "settings": settings,
        **_read(FastRecognizer(network), data, held_out if certifies else None, results),
    }
    return row | run.labels | provenance("", *PACKAGES)


def _read(network: FastRecognizer, data: Dataset, held_out: npt.NDArray[np.int64] | None, results: Path) -> Row:
    """Return what a row tells of digits that a network never saw; of writers that were held out, keep what it says."""
    if held_out is not None:
        (logits,) = network.run(data.x_train[held_out], "logits")
        write_arrays(results / FAST_DIGITS, rows=held_out.astype(np.int32), logits=logits.astype(np.float16))
        errors = int((logits.argmax(axis=1) != data.y_train[held_out]).sum())
        return {"held_out": {"images": len(held_out), "errors": errors}, "file": FAST_DIGITS}
    validated = validation_mask(data.y_train)
    (logits,) = network.run(data.x_train[validated], "logits")
    errors = int((logits.argmax(axis=1) != data.y_train[validated]).sum())
    tested = on_test(lambda images: network.predict_proba(images[..., 0]))
    return {"validation": {"images": int(validated.sum()), "errors": errors}} | tested


def keep_validation(network: FastRecognizer, results: Path, jobs: int) -> None:
    """Keep what the committed network says of all pictures of validation digits, as the picture networks saw them."""
    rows = np.flatnonzero(validation_mask(load_mnist().y_train))
    parts = np.array_split(rows, len(rows) // ROWS_AT_ONCE)
    with fresh_processes(jobs) as pool:
        pictures = joined(list(tqdm(pool.map(pictures_of, parts), "pictures", len(parts), unit="part")))
    digits = pictures[pictures.labels != NONE]
    (logits,) = network.run(digits.images, "logits")
    write_arrays(
        results / FAST_VALIDATION,
        network=sha256(network.path),
        rows=digits.rows,
        ways=digits.ways,
        logits=logits.astype(np.float16),
    )


def main() -> None:
    """Train what is missing, put the fast network among the models, and keep what it says of validation digits."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=1, help="networks trained side by side")
    jobs = parser.parse_args().jobs
    train_missing("fast_network", RUNS, train, jobs=jobs, command=f"{FAST_COMMAND} --jobs {jobs}")
    shipped = read_rows_of("fast_network", RUNS)[0]
    trained = STATE / f"seed_{shipped['seed']}.onnx"
    if trained.exists() and sha256(trained) == shipped["model_sha256"]:
        ship(trained, "fast.onnx")
        keep_validation(FastRecognizer(), RESULTS, jobs)


if __name__ == "__main__":
    main()
