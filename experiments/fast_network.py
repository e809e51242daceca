"""Train the fast network: a tiny one that reads every digit, and a larger one that reads what the tiny one doubts.

Both are trained at once, on MNIST's arrays, moved a little anew each time, mostly on those that are hard: the larger
one by the labels, the tiny one by what the larger one says of the same image (distillation). Each is then quantised to
8 bits, by ranges that its training digits show, and both become one ONNX file. In it a digit goes to the larger network
if the tiny one is less sure than of nearly all validation digits.

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
from itertools import islice
from pathlib import Path
from typing import Any

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
from experiments.selective import batches, moved

SEEDS = (42, 1, 2)
RECIPE: dict[str, Any] = {
    "TINY": [32, 48],
    "TINY_DENSE_UNITS": 64,
    "STEM": 32,
    "BLOCKS": [[48, 48], [96]],
    "DENSE_UNITS": 96,
    "EPOCHS": 18,  # of as many steps as showing each digit once takes
    "BATCH_SIZE": 128,
    "LEARNING_RATE": 2e-3,
    "SOFTNESS": 2.0,
    "KEPT": 0.5,  # this and the next five: see `experiments.selective`
    "AT_RANDOM": 0.3,
    "TURN": 0.2,
    "SLANT": 0.2,
    "STRETCH": 0.15,
    "SHIFT": 2.0,
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


def _normalised(x: Any) -> Any:
    from keras import layers

    return layers.ReLU()(layers.BatchNormalization(momentum=0.95)(x))


def _convolution(x: Any, filters: int, size: int = 3, strides: int = 1, padding: str = "same") -> Any:
    from keras import layers

    return _normalised(layers.Conv2D(filters, size, strides=strides, padding=padding, use_bias=False)(x))


def _dense(x: Any, units: int) -> Any:
    from keras import layers

    return _normalised(layers.Dense(units, use_bias=False)(layers.Flatten()(x)))


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
    x = _convolution(_patches(image, 4), settings["TINY"][0], size=2, padding="valid")
    x = _convolution(x, settings["TINY"][1], strides=2)
    x = _dense(x, settings["TINY_DENSE_UNITS"])
    tiny = Model(image, layers.Dense(10, name="tiny_logits")(x), name="tiny")

    x = _convolution(_patches(image, 2), settings["STEM"])
    for filter_counts in settings["BLOCKS"]:
        for filters in filter_counts:
            x = _convolution(x, filters)
        x = layers.Dropout(0.1)(layers.MaxPooling2D(2)(x))
    x = layers.Dropout(0.3)(_dense(x, settings["DENSE_UNITS"]))
    return tiny, Model(image, layers.Dense(10, name="larger_logits")(x), name="larger")


def fit(images: ByteArray, labels: ByteArray, settings: dict[str, Any]) -> tuple[Any, Any, list[float]]:
    """Return both networks, trained on images (n, 28, 28) and labels (n,), and each epoch's mean loss of the larger."""
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # faster where TensorFlow leaves it off
    import keras
    import tensorflow as tf
    from keras import losses, ops

    keras.utils.set_random_seed(settings["SEED"])
    rng, softness = np.random.default_rng(settings["SEED"]), settings["SOFTNESS"]
    tiny, larger = networks(settings)
    both = keras.Model(tiny.input, [tiny.output, larger(tiny.input)])
    steps = round(settings["EPOCHS"] * len(images) / settings["BATCH_SIZE"])
    optimizer = keras.optimizers.Adam(keras.optimizers.schedules.PolynomialDecay(settings["LEARNING_RATE"], steps, 0.0))

    @tf.function(reduce_retracing=True)  # type: ignore[untyped-decorator]
    def train(batch: Any, labels: Any) -> Any:
        with tf.GradientTape() as tape:
            by_tiny, by_larger = both(batch, training=True)
            taught = ops.softmax(ops.stop_gradient(by_larger) / softness)
            of_tiny = softness * losses.categorical_crossentropy(taught, by_tiny / softness, from_logits=True)
            of_larger = losses.sparse_categorical_crossentropy(labels, by_larger, from_logits=True)
            loss = ops.mean(of_tiny + of_larger)
        optimizer.apply(tape.gradient(loss, both.trainable_variables), both.trainable_variables)
        return of_larger

    latest = np.full(len(images), np.inf, np.float32)
    taken: list[float] = []
    for batch in tqdm(islice(batches(latest, settings, rng), steps), "steps", steps):
        latest[batch] = train(as_input(moved(images[batch], settings, rng)), labels[batch])
        taken.append(float(latest[batch].mean()))
    return tiny, larger, [round(float(part.mean()), 5) for part in np.array_split(taken, settings["EPOCHS"])]


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
