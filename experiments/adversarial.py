"""What digits that are made to be misread do: to the committed network, to the reader, and after training on such.

The attacks know the network and change no pixel by more than a radius: FGSM takes one step along the sign of the
gradient, PGD twenty from a random start. A network alone accepts what is as confident as 99 % of the validation digits.
The digits that are made against the committed network go through the whole reader too, as pictures: it has another
network, which the attacks do not know, and thresholds of its own.

Trained against it is the committed network itself, for three more epochs of digits that PGD has changed, without
augmentation; the epoch is chosen on validation digits that PGD has changed. Radius and steps were fixed beforehand.

    python -m experiments.adversarial

References
----------
Goodfellow, I., Shlens, J. and Szegedy, C. (2015). Explaining and harnessing adversarial examples. ICLR: FGSM.
Madry, A. et al. (2018). Towards deep learning models resistant to adversarial attacks. ICLR: PGD, and training by it.
Jeddi, A., Shafiee, M. and Wong, A. (2020). A simple fine-tuning is all you need. arXiv 2012.13628.
"""

from __future__ import annotations

import os
import tempfile
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from digitreader.arrays import FloatArray
from digitreader.data import load_mnist
from digitreader.decision import calibrated
from digitreader.evaluate import outcomes
from digitreader.intervals import wilson
from digitreader.provenance import provenance
from digitreader.reader import DigitReader
from digitreader.recognizer import MODELS, as_input, sha256
from digitreader.training import MODEL
from experiments.runs import ROOT, Row, Run, read_card, study, threads_in_use, without_softmax
from experiments.variants import PACKAGES, fit, outcome, settings, split

SEED = 42
ATTACKS = {"RADII": [0.1, 0.2, 0.3], "STEPS": 20, "ATTACKED": 1000, "ACCEPTED": 0.99}
RADIUS = 0.3  # of the training, after Madry et al.
REACH = 2.5  # radii that the steps of PGD take together: enough to cross the ball and turn back
CHOOSING = 500  # validation digits that choose the epoch
LIBRARIES = (*PACKAGES, "adversarial-robustness-toolbox", "onnxruntime", "opencv-python-headless")
NETWORK, READER = "network", "reader"
RUNS = [
    Run(
        {"SEED": SEED, "LIMIT": 0} | ATTACKS,
        {"committed_sha256": read_card()["model_sha256"], "reader_sha256": sha256(MODELS / "reader.json")},
    ),
    Run(
        settings(seed=SEED, EPOCHS=3, AUGMENTATION={}, RADIUS=RADIUS, TRAINING_STEPS=5) | ATTACKS,
        {"committed_sha256": read_card()["model_sha256"]},
    ),
]


def against(network: Any, *, radius: float, steps: int, validation_steps: int) -> Any:
    """Return a model with a network's own weights that is trained and validated on the digits that PGD makes of others.

    Parameters
    ----------
    network : keras.Model
    radius : float
        What a pixel may change.
    steps, validation_steps : int
        Of PGD.
    """
    import keras
    import tensorflow as tf

    class Attacked(keras.Model):  # type: ignore[misc]
        @tf.function(reduce_retracing=True)  # type: ignore[untyped-decorator]
        def worst(self, images: Any, labels: Any, steps: int) -> Any:
            """Return what PGD makes of images; dropout and batch statistics would blur its gradients."""
            low, high = tf.maximum(images - radius, 0.0), tf.minimum(images + radius, 1.0)
            found = tf.clip_by_value(images + tf.random.uniform(tf.shape(images), -radius, radius), low, high)
            for _ in tf.range(steps):
                with tf.GradientTape() as tape:
                    tape.watch(found)
                    loss = keras.losses.sparse_categorical_crossentropy(labels, self(found, training=False))
                gradient = tape.gradient(loss, found)
                found = tf.clip_by_value(found + REACH * radius / steps * tf.sign(gradient), low, high)
            return found

        def train_step(self, data: tuple[Any, Any]) -> Any:
            images, labels = data
            return super().train_step((self.worst(images, labels, steps), labels))

        def test_step(self, data: tuple[Any, Any]) -> Any:
            images, labels = data
            return super().test_step((self.worst(images, labels, validation_steps), labels))

    return Attacked(network.input, network.output)


def train_against(run: Run, model: Path) -> Row:
    """Train the committed network on against attacks, save it, and return its row; validation is under attack too."""
    import keras

    wanted = run.settings
    data = split(wanted["LIMIT"])
    data = data._replace(x_val=data.x_val[:CHOOSING], y_val=data.y_val[:CHOOSING])
    network = keras.models.load_model(ROOT / MODEL)
    started = time.perf_counter()
    attacked = against(
        network, radius=wanted["RADIUS"], steps=wanted["TRAINING_STEPS"], validation_steps=wanted["STEPS"]
    )
    history = fit(attacked, data, wanted)
    seconds = time.perf_counter() - started
    network.save(model)
    return outcome(wanted, data, history, seconds=seconds, model_sha256=sha256(model), packages=LIBRARIES)


def attacks(
    network: Any, images: FloatArray, labels: npt.NDArray[np.uint8], settings: Row
) -> Iterator[tuple[str, float, FloatArray]]:
    """Yield what each attack of each radius makes of images (n, 28, 28, 1), after its name and its radius.

    `network` gives logits; RADII and STEPS are of the `settings`.
    """
    import keras

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "PyTorch not found")  # nor is it needed
        from art.attacks.evasion import FastGradientMethod, ProjectedGradientDescent
        from art.estimators.classification import TensorFlowV2Classifier

    target = TensorFlowV2Classifier(
        network,
        nb_classes=10,
        input_shape=(28, 28, 1),
        loss_object=keras.losses.CategoricalCrossentropy(from_logits=True),
        clip_values=(0, 1),
    )
    for radius in settings["RADII"]:
        yield "FGSM", radius, FastGradientMethod(target, eps=radius, batch_size=100).generate(images, labels)
        pgd = ProjectedGradientDescent(
            target,
            eps=radius,
            eps_step=REACH * radius / settings["STEPS"],
            max_iter=settings["STEPS"],
            num_random_init=1,
            batch_size=100,
            verbose=False,
        )
        yield "PGD", radius, pgd.generate(images, labels)


def rates(right: npt.NDArray[np.bool_], accepted: npt.NDArray[np.bool_]) -> Row:
    """Return the share of digits that are read right, that are accepted, and that are accepted though read wrong."""
    wrong = int((accepted & ~right).sum())
    return {
        "accuracy": float(right.mean()),
        "accepted": float(accepted.mean()),
        "accepted_wrong": wrong / len(right),
        "accepted_wrong_95": wilson(wrong, len(right)),
    }


def under_attack(model: Path, wanted: Row, reader: DigitReader | None) -> Row:
    """Return what attacks on a saved network do to it and to a reader, and the network's accuracy on clean digits.

    RADII, STEPS, ATTACKED, ACCEPTED and LIMIT are what is `wanted`. The reader takes the digits as pictures of 8 bits.
    """
    data, limit = load_mnist(), wanted["LIMIT"]
    images, labels = as_input(data.x_test[: limit or None]), data.y_test[: limit or None]
    network = without_softmax(model)

    def predict(images: FloatArray) -> FloatArray:
        return calibrated(network.predict(images, batch_size=500, verbose=0), 1)

    min_confidence = float(np.quantile(predict(split(limit).x_val).max(axis=1), 1 - wanted["ACCEPTED"]))
    right = predict(images).argmax(axis=1) == labels
    count = limit // 10 or wanted["ATTACKED"]  # fewer in a quick trial
    images, labels = images[:count], labels[:count]
    measured = []
    for name, radius, changed in [("none", 0.0, images), *attacks(network, images, labels, wanted)]:
        found = predict(changed)
        read = {NETWORK: (found.argmax(axis=1) == labels, found.max(axis=1) >= min_confidence)}
        if reader:
            pictures = np.rint(255 * changed[..., 0]).astype(np.uint8)
            read[READER] = outcomes(reader.predict_images(pictures), labels)
        for by, result in read.items():
            measured.append({"read_by": by, "attack": name, "radius": radius} | rates(*result))
    return {
        "test_accuracy": float(right.mean()),
        "test_accuracy_95": wilson(int(right.sum()), len(right)),
        "min_confidence": min_confidence,
        "attacked": count,
        "measured": measured,
    }


def measure(run: Run, results: Path) -> Row:
    """Train against attacks where a run says so, attack the network, and return the row.

    `results` is not needed, since a row holds all that there is to tell.
    """
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    import keras

    keras.utils.set_random_seed(run.settings["SEED"])
    if "RADIUS" in run.settings:
        with tempfile.TemporaryDirectory() as folder:
            model = Path(folder) / "model.keras"
            row = train_against(run, model)
            return row | run.labels | under_attack(model, run.settings, None)
    started = time.perf_counter()
    found = under_attack(ROOT / MODEL, run.settings, DigitReader())
    card = read_card()
    return (
        {
            "seed": card["seed"],
            "split": card["split"],
            "model_sha256": card["model_sha256"],
            "trainings": 0,
            "seconds": round(time.perf_counter() - started, 1),
            "threads": threads_in_use(),
            "settings": run.settings,
        }
        | run.labels
        | provenance("", *LIBRARIES)
        | found
    )


if __name__ == "__main__":
    study("adversarial", __doc__, RUNS, measure)
