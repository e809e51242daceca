"""What the trained convolutions are worth on other people's digits, of which few are labelled.

Scikit-learn's digits, written in Turkey by 13 people, as pictures that the reader prepares. In each of five draws, 100
of each class are set apart, of which the first 1, 5, 20 or all are labelled, and the 797 others are read: other digits,
of the same people. One new layer of ten units is trained on the convolutions: on those of the committed network,
frozen; on the same, fine-tuned afterwards; and on new ones, from scratch. All take the same number of steps, fixed
beforehand, since so few digits leave none to choose by.

    python -m experiments.transfer --jobs 2

References
----------
Yosinski, J., Clune, J., Bengio, Y. and Lipson, H. (2014). How transferable are features in deep neural networks? NIPS.
Sandler, M. et al. (2018). MobileNetV2: inverted residuals and linear bottlenecks. CVPR.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from digitreader.arrays import FloatArray
from digitreader.errors import DataNotFoundError
from digitreader.provenance import provenance
from digitreader.training import MODEL
from experiments.runs import ROOT, Row, Run, read_card, study, threads_in_use
from experiments.variants import PACKAGES, foreign_digits

SHOTS = (1, 5, 20, 100)
DRAWS = (1, 2, 3, 4, 5)
POOL = 100  # of each class, set apart in a draw
EPOCHS = 30  # of which fine-tuning takes the second half
STEPS = 20  # an epoch
BATCH = 32
DROPOUT = 0.5  # before the new layer
RATE, FINE_RATE = 1e-3, 1e-4  # of Adam: for new layers, and for those that are fine-tuned
WAYS = ("from scratch", "frozen", "fine-tuned")
SIDES = (96, 128, 160, 192, 224)  # the widths for which Keras has weights of MobileNetV2
RUNS = [
    Run(
        {"SHOTS": shots, "SEED": seed, "POOL": POOL, "EPOCHS": EPOCHS, "STEPS": STEPS, "BATCH_SIZE": BATCH}
        | {"DROPOUT": DROPOUT, "RATE": RATE, "FINE_RATE": FINE_RATE},
        {"model_sha256": read_card()["model_sha256"]},
    )
    for shots in SHOTS
    for seed in DRAWS
]


def on_convolutions(network: Any) -> Any:
    """Return a new layer of ten units on the convolutions of a network, which are its layer `convolutions`."""
    from keras import Input, Model, layers

    base = Model(network.input, network.get_layer("flatten").output, name="convolutions")
    image = Input((28, 28, 1), name="image")
    features = layers.Dropout(DROPOUT)(base(image))
    return Model(image, layers.Dense(10, activation="softmax", name="digit")(features))


def on_mobilenet(side: int = 96, weights: str | None = "imagenet") -> Any:
    """Return a network for grey images (n, 28, 28, 1) in [0, 1]: ten new units on MobileNetV2, for `fine_tune`.

    The images become RGB and `side` pixels wide, since the pre-trained filters expect photographs of about that size.

    Parameters
    ----------
    side : int
        One of SIDES.
    weights : str or None
        `imagenet`, which are downloaded once; None for random ones.

    Raises
    ------
    DataNotFoundError
        If the weights cannot be downloaded.
    ValueError
        If other weights or another width are asked for.
    """
    from keras import Input, Model, applications, layers

    if weights not in ("imagenet", None):
        raise ValueError(f"weights are 'imagenet' or None, not {weights!r}.")
    if side not in SIDES:
        raise ValueError(f"side is one of {', '.join(map(str, SIDES))}, not {side!r}.")
    shape = (side, side, 3)
    try:
        base = applications.MobileNetV2(
            include_top=False, weights=weights, input_shape=shape, pooling="avg", name="convolutions"
        )
    except Exception as error:  # Keras raises a bare one when a download fails, ValueError when it was cut off
        raise DataNotFoundError(
            f"The weights of MobileNetV2 cannot be downloaded ({error}). With a network, run this again; they stay in "
            "~/.keras/models."
        ) from error
    image = Input((28, 28, 1), name="image")
    x = layers.Rescaling(2.0, -1.0)(layers.Resizing(side, side)(image))  # to [-1, 1], as it was trained
    x = base(layers.Concatenate()([x, x, x]), training=False)
    return Model(image, layers.Dense(10, activation="softmax", name="digit")(layers.Dropout(0.2)(x)))


def train(model: Any, x: FloatArray, y: npt.NDArray[Any], *, steps: int, rate: float, seed: int) -> None:
    """Take so many steps of Adam, on batches that are drawn from labelled digits in turn."""
    from keras import optimizers

    model.compile(optimizer=optimizers.Adam(rate), loss="sparse_categorical_crossentropy")
    rng = np.random.default_rng(seed)
    size = min(BATCH, len(y))
    order = np.concatenate([rng.permutation(len(y)) for _ in range(-(-steps * size // len(y)))])
    for rows in order[: steps * size].reshape(steps, size):
        model.train_on_batch(x[rows], y[rows])


def fine_tune(model: Any, x: FloatArray, y: npt.NDArray[Any], *, steps: int, seed: int) -> None:
    """Train the new layer of a network on frozen convolutions, then all of it gently, each for half of the steps.

    `model` is what `on_convolutions` or `on_mobilenet` returns: a network with a layer `convolutions`. Images
    (n, 28, 28, 1) in [0, 1], labels (n,).
    """
    for trainable, rate in ((False, RATE), (True, FINE_RATE)):
        model.get_layer("convolutions").trainable = trainable
        train(model, x, y, steps=steps // 2, rate=rate, seed=seed)


def draw(labels: npt.NDArray[np.int64], shots: int, seed: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the rows of `shots` labelled digits of each class, and of those outside the pool that they are drawn from.

    With the same seed, the labelled digits of fewer shots are among those of more, and the others are the same.
    """
    order = np.random.default_rng(seed).permutation(len(labels))
    pool = [order[labels[order] == digit][:POOL] for digit in range(10)]
    return np.concatenate([rows[:shots] for rows in pool]), np.setdiff1d(order, np.concatenate(pool))


def compare(run: Run, results: Path) -> Row:
    """Train in the three ways on one draw of labelled digits, and return the row with the accuracy of each."""
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    import keras

    seed, shots, steps = run.settings["SEED"], run.settings["SHOTS"], run.settings["EPOCHS"] * STEPS
    started = time.perf_counter()
    images, labels = foreign_digits()
    chosen, unseen = draw(labels, shots, seed)
    x, y = images[chosen], labels[chosen]

    def accuracy(model: Any) -> float:
        found = model.predict(images[unseen], batch_size=500, verbose=0).argmax(axis=1)
        return float((found == labels[unseen]).mean())

    keras.utils.set_random_seed(seed)
    committed = keras.models.load_model(ROOT / MODEL)
    found = {"as it is": accuracy(committed)}
    for name in WAYS:
        network = keras.models.clone_model(committed)
        if name != "from scratch":
            network.set_weights(committed.get_weights())
        model = on_convolutions(network)
        if name == "fine-tuned":
            fine_tune(model, x, y, steps=steps, seed=seed)
        else:
            model.get_layer("convolutions").trainable = name == "from scratch"
            train(model, x, y, steps=steps, rate=RATE, seed=seed)
        found[name] = accuracy(model)
    return (
        {
            "seed": seed,
            "shots": shots,
            "split": {"labelled": len(y), "unseen": len(unseen)},
            "accuracy": found,
            "trainings": len(WAYS),
            "seconds": round(time.perf_counter() - started, 1),
            "threads": threads_in_use(),
            "settings": run.settings,
        }
        | run.labels
        | provenance("", *PACKAGES)
    )


if __name__ == "__main__":
    study("transfer", __doc__, RUNS, compare)
