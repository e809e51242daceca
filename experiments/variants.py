"""Variants of the network, by structure and by training, and the one way in which they are fitted.

The graded network itself is trained by the notebook alone; `cnn` with STRUCTURE is of the same structure.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from digitreader.arrays import FloatArray
from digitreader.data import load_mnist
from digitreader.provenance import provenance
from digitreader.recognizer import as_input, sha256
from experiments.runs import Row, Run, committed_settings, threads_in_use

COMMITTED = committed_settings()
STRUCTURE = {  # of the committed network, as arguments of `cnn`
    "blocks": COMMITTED["BLOCKS"],
    "dense_units": COMMITTED["DENSE_UNITS"],
    "dropout_convolution": COMMITTED["DROPOUT_CONVOLUTION"],
    "dropout_dense": COMMITTED["DROPOUT_DENSE"],
}
SHORT: dict[str, Any] = {"EPOCHS": 10, "LIMIT": 20_000}  # of the studies that compare many trainings
OURS = "our CNN"
PACKAGES = ("tensorflow", "keras", "numpy", "scikit-learn")


class Split(NamedTuple):
    """Training and validation digits.

    Attributes
    ----------
    x_fit, x_val : ndarray of shape (n, 28, 28, 1), dtype float32
        In [0, 1].
    y_fit, y_val : ndarray of shape (n,), dtype uint8
    """

    x_fit: FloatArray
    y_fit: npt.NDArray[np.uint8]
    x_val: FloatArray
    y_val: npt.NDArray[np.uint8]


def split(limit: int) -> Split:
    """Return the notebook's split of MNIST's training set.

    As in the notebook, a `limit` other than 0 takes the first of the shuffled training digits; here it holds for the
    validation digits too.
    """
    from sklearn.model_selection import train_test_split

    data = load_mnist()
    parts = train_test_split(np.arange(len(data.y_train)), test_size=0.1, stratify=data.y_train, random_state=42)
    fitted, chosen = (rows[: limit or None] for rows in parts)
    return Split(
        as_input(data.x_train[fitted]), data.y_train[fitted], as_input(data.x_train[chosen]), data.y_train[chosen]
    )


def foreign_digits() -> tuple[FloatArray, npt.NDArray[np.int64]]:
    """Return scikit-learn's digits as the reader prepares pictures (1797, 28, 28, 1), and their labels."""
    from sklearn.datasets import load_digits

    from digitreader.reader import DigitReader

    digits, reader = load_digits(), DigitReader()
    images = (digits.images / 16).astype(np.float32)
    return as_input(np.array([reader.prepare(image) for image in images])), digits.target


def cnn(
    *,
    blocks: Sequence[Sequence[int]],
    dense_units: int,
    dropout_convolution: float,
    dropout_dense: float,
    batch_norm: bool = True,
    l2: float = 0.0,
) -> Any:
    """Return the notebook's network; a dropout of 0 leaves dropout out, `l2` is the penalty on the kernels."""
    from keras import Input, Model, layers, regularizers

    penalty = {"kernel_regularizer": regularizers.L2(l2)} if l2 else {}

    def activated(x: Any, name: str, activation: str) -> Any:
        if batch_norm:
            x = layers.BatchNormalization(momentum=0.9, name=f"{name}_bn")(x)
        return layers.ReLU(name=activation)(x)

    image = x = Input((28, 28, 1), name="image")
    for block, filter_counts in enumerate(blocks, start=1):
        for number, filters in enumerate(filter_counts, start=1):
            name = f"block{block}_conv{number}"
            x = layers.Conv2D(filters, (3, 3), padding="same", use_bias=not batch_norm, name=name, **penalty)(x)
            x = activated(x, name, f"{name}_relu")
        x = layers.MaxPooling2D((2, 2), name=f"block{block}_pool")(x)
        if dropout_convolution:
            x = layers.Dropout(dropout_convolution, name=f"block{block}_dropout")(x)
    x = layers.Flatten(name="flatten")(x)
    x = layers.Dense(dense_units, use_bias=not batch_norm, name="dense", **penalty)(x)
    x = activated(x, "dense", "embedding")
    if dropout_dense:
        x = layers.Dropout(dropout_dense, name="dense_dropout")(x)
    return Model(image, layers.Dense(10, activation="softmax", name="digit")(x), name="mnist_cnn")


def dense() -> Any:
    """Return the dense network of many tutorials: 784–128–64–10, with dropout."""
    from keras import Input, Sequential, layers

    hidden = [layer for units in (128, 64) for layer in (layers.Dense(units, activation="relu"), layers.Dropout(0.2))]
    return Sequential([Input((28, 28, 1)), layers.Flatten(), *hidden, layers.Dense(10, activation="softmax")])


def simple_cnn() -> Any:
    """Return the convolutional network of many tutorials: 32 and 64 filters, 128 dense units, nothing else."""
    from keras import Input, Sequential, layers

    stages = [
        layer
        for filters in (32, 64)
        for layer in (layers.Conv2D(filters, (3, 3), activation="relu"), layers.MaxPooling2D((2, 2)))
    ]
    head = [layers.Flatten(), layers.Dense(128, activation="relu"), layers.Dense(10, activation="softmax")]
    return Sequential([Input((28, 28, 1)), *stages, *head])


def mnistnet() -> Any:
    """Return MNISTNet, see `experiments.torch_mnistnet`, with the normalisation and the initial weights of PyTorch."""
    from keras import Input, Sequential, initializers, layers

    def start(inputs: int) -> dict[str, Any]:
        draw = initializers.RandomUniform(-(inputs**-0.5), inputs**-0.5)
        return {"kernel_initializer": draw.clone(), "bias_initializer": draw.clone()}

    stages = [
        layer
        for inputs, filters in ((9, 32), (9 * 32, 64))
        for layer in (
            layers.Conv2D(filters, (3, 3), padding="same", **start(inputs)),
            layers.BatchNormalization(momentum=0.9, epsilon=1e-5),
            layers.ReLU(),
            layers.MaxPooling2D((2, 2)),
        )
    ]
    head = [
        layers.SpatialDropout2D(0.25),
        layers.Flatten(),
        layers.Dense(128, activation="relu", **start(7 * 7 * 64)),
        layers.Dropout(0.5),
        layers.Dense(10, activation="softmax", **start(128)),
    ]
    return Sequential([Input((28, 28, 1)), *stages, *head])


NETWORKS: dict[str, Callable[..., Any]] = {
    "dense": dense,
    "simple CNN": simple_cnn,
    "MNISTNet": mnistnet,
    OURS: cnn,
}


def multiply_adds(model: Any) -> int:
    """Return the multiplications with addition that one image costs, in convolutions and dense layers."""
    total = 0
    for layer in model.layers:
        if hasattr(layer, "kernel"):
            places = layer.output.shape[1:-1] if "Conv2D" in type(layer).__name__ else ()
            total += int(np.prod(layer.kernel.shape) * np.prod(places, dtype=int))
    return total


def fit(model: Any, data: Split, settings: Mapping[str, Any]) -> dict[str, list[float]]:
    """Train a network and return its history; it then has the weights of the epoch with the least validation log-loss.

    Parameters
    ----------
    model : keras.Model
        Its random weights are the caller's matter.
    data : Split
    settings : mapping
        EPOCHS, BATCH_SIZE, LEARNING_RATE, SEED of the batches, AUGMENTATION (arguments of ImageDataGenerator), and
        DECAY: whether the learning rate falls linearly towards 0 as in the notebook.
    """
    from keras import callbacks, metrics, optimizers
    from tensorflow.keras.preprocessing.image import ImageDataGenerator

    model.compile(
        optimizer=optimizers.Adam(settings["LEARNING_RATE"]),
        loss="sparse_categorical_crossentropy",
        # The loss holds the penalty on the kernels too, where there is one.
        metrics=["accuracy", metrics.SparseCategoricalCrossentropy(name="log_loss")],
    )
    epochs = settings["EPOCHS"]
    watched = {"monitor": "val_log_loss", "mode": "min"}
    # Never sooner than after all epochs, so that all trainings are of equal length.
    watching = [callbacks.EarlyStopping(**watched, patience=epochs, restore_best_weights=True)]
    if settings["DECAY"]:

        def linear_decay(epoch: int, rate: float) -> float:
            return rate * (epochs - epoch) / (epochs - epoch + 1) if epoch else rate

        plateau = callbacks.ReduceLROnPlateau(**watched, factor=0.5, patience=2, min_delta=0.0)
        watching = [callbacks.LearningRateScheduler(linear_decay), plateau, *watching]
    generator = ImageDataGenerator(fill_mode="constant", cval=0.0, **settings["AUGMENTATION"])
    history: dict[str, list[float]] = model.fit(
        generator.flow(
            data.x_fit, data.y_fit, batch_size=settings["BATCH_SIZE"], seed=settings["SEED"] * 100_000 % 2**31
        ),
        epochs=epochs,
        validation_data=(data.x_val, data.y_val),
        callbacks=watching,
        verbose=0,
    ).history
    return {name: [round(value, 6) for value in values] for name, values in history.items()}


def train(run: Run, results: Path, *, finish: Callable[[Any, Split], Row] | None = None) -> Row:
    """Train the network NETWORK, built with OPTIONS, and return its row, with what `finish` makes of it.

    `results` is not needed, since a row holds all that there is to tell.
    """
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # faster where TensorFlow leaves it off
    import keras

    settings = run.settings
    keras.utils.set_random_seed(settings["SEED"])
    data = split(settings["LIMIT"])
    model = NETWORKS[settings["NETWORK"]](**settings["OPTIONS"])
    started = time.perf_counter()
    history = fit(model, data, settings)
    seconds = time.perf_counter() - started
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model.keras"
        model.save(file)
        model_sha256 = sha256(file)
    row = outcome(settings, data, history, seconds=seconds, model_sha256=model_sha256, packages=PACKAGES)
    row |= {"weights": model.count_params(), "multiply_adds": multiply_adds(model)}
    return row | run.labels | (finish(model, data) if finish else {})


def outcome(
    settings: Mapping[str, Any],
    data: Split,
    history: Mapping[str, Sequence[float]],
    *,
    seconds: float,
    model_sha256: str,
    packages: Sequence[str],
) -> Row:
    """Return what a row tells of a training; the best epoch is that with the least validation log-loss."""
    best = int(np.argmin(history["val_log_loss"]))
    return {
        "seed": settings["SEED"],
        "split": {"training": len(data.y_fit), "validation": len(data.y_val)},
        "model_sha256": model_sha256,
        "val_accuracy": history["val_accuracy"][best],
        "val_loss": history["val_log_loss"][best],
        "best_epoch": best + 1,
        "history": history,
        "seconds": round(seconds, 1),
        "threads": threads_in_use(),
        "settings": settings,
    } | provenance("", *packages)


def settings(network: str = OURS, *, seed: int, **changed: Any) -> dict[str, Any]:
    """Return the settings of a training: the committed recipe, with what is changed."""
    return {
        "NETWORK": network,
        "OPTIONS": STRUCTURE if network == OURS else {},
        "SEED": seed,
        "BATCH_SIZE": COMMITTED["BATCH_SIZE"],
        "LEARNING_RATE": COMMITTED["LEARNING_RATE"],
        "DECAY": True,
        "AUGMENTATION": augmentation(),
        "EPOCHS": COMMITTED["EPOCHS"],
        "LIMIT": 0,
    } | changed


def augmentation(
    rotation: float = COMMITTED["ROTATION"], shift: float = COMMITTED["SHIFT"], zoom: float = COMMITTED["ZOOM"]
) -> dict[str, float]:
    """Return the arguments of ImageDataGenerator for a rotation in degrees and shares of the side and of the size."""
    return {"rotation_range": rotation, "width_shift_range": shift, "height_shift_range": shift, "zoom_range": zoom}
