"""The study of attacks: that they stay within their radius and do harm, and that training is done on what they make."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from digitreader.data import Dataset
from digitreader.decision import calibrated, log_loss
from digitreader.recognizer import as_input
from digitreader.training import MODEL
from experiments import adversarial_tables
from experiments.adversarial import NETWORK, READER, RUNS, against, attacks, rates
from experiments.runs import Row, without_softmax
from experiments.variants import STRUCTURE, cnn

RADIUS = 0.2


def test_attacks_stay_within_their_radius_and_do_harm(root: Path, mnist: Dataset) -> None:
    pytest.importorskip("art")
    network = without_softmax(root / MODEL)
    images, labels = as_input(mnist.x_test[:8]), mnist.y_test[:8]

    def loss(images: np.ndarray) -> float:
        return log_loss(calibrated(network.predict(images, verbose=0), 1), labels)

    found = {name: changed for name, _, changed in attacks(network, images, labels, {"RADII": [RADIUS], "STEPS": 8})}
    for changed in found.values():
        assert changed.shape == images.shape
        assert 0 <= changed.min() <= changed.max() <= 1
        assert np.abs(changed - images).max() == pytest.approx(RADIUS, abs=1e-6)
    assert loss(images) < 0.1 < 1 < loss(found["FGSM"]) < loss(found["PGD"]), "more steps find worse"


def test_attacks_find_their_way_where_the_network_is_sure(root: Path) -> None:
    pytest.importorskip("art")
    network = without_softmax(root / MODEL)
    head = network.layers[-1]
    head.set_weights([3 * weights for weights in head.get_weights()])
    image = np.zeros((1, 28, 28, 1), np.float32)
    image[0, 5:23, 13:15] = 1
    scores = network.predict(image, verbose=0)
    assert calibrated(scores, 1).max() == 1, "so sure that the softmax is flat"
    (_, _, changed), _ = attacks(network, image, scores.argmax(axis=1), {"RADII": [RADIUS], "STEPS": 1})
    assert (np.abs(changed - image) > 0).mean() > 0.3, "half of the paper cannot become darker"


def test_training_against_attacks_is_on_what_they_make() -> None:
    import keras

    keras.utils.set_random_seed(1)
    network = cnn(**STRUCTURE | {"blocks": [[4]], "dense_units": 8})
    rng = np.random.default_rng(0)
    images, labels = rng.random((32, 28, 28, 1), np.float32), rng.integers(0, 10, 32)
    attacked = against(network, radius=RADIUS, steps=1, validation_steps=4)
    worst = attacked.worst(images, labels, 4).numpy()
    assert np.abs(worst - images).max() <= RADIUS + 1e-6
    assert 0 <= worst.min() <= worst.max() <= 1

    for model in (network, attacked):
        model.compile("adam", loss="sparse_categorical_crossentropy")
    clean, under_attack = (model.evaluate(images, labels, verbose=0) for model in (network, attacked))
    assert clean < network.evaluate(worst, labels, verbose=0) == pytest.approx(under_attack, rel=0.05)
    before = network.get_weights()
    attacked.fit(images, labels, verbose=0)
    assert any((weights != earlier).any() for weights, earlier in zip(network.get_weights(), before, strict=True))


def test_rates_are_of_all_digits() -> None:
    right, accepted = np.array([1, 1, 0, 0, 0], bool), np.array([1, 0, 1, 1, 0], bool)
    found = rates(right, accepted)
    low, high = found.pop("accepted_wrong_95")
    assert found == {"accuracy": 0.4, "accepted": 0.6, "accepted_wrong": 0.4}
    assert low < 0.4 < high


def test_the_trained_network_does_not_depend_on_the_reader() -> None:
    committed, trained = RUNS
    assert "reader_sha256" in committed.labels
    assert committed.labels["committed_sha256"] == trained.labels["committed_sha256"]
    assert "reader_sha256" not in trained.labels


def test_table(monkeypatch: pytest.MonkeyPatch) -> None:
    def measured(by: str, attack: str, radius: float, accuracy: float) -> Row:
        shares = {"accuracy": accuracy, "accepted": 0.9, "accepted_wrong": 0.05, "accepted_wrong_95": [0.04, 0.06]}
        return {"read_by": by, "attack": attack, "radius": radius} | shares

    def row(accuracy: float, *readers: str) -> Row:
        whole = {"attacked": 1000, "test_accuracy": accuracy, "test_accuracy_95": [accuracy - 0.01, accuracy + 0.01]}
        kinds = [("none", 0.0, 0.99), ("PGD", 0.1, 0.5)]
        return whole | {"measured": [measured(by, *kind) for kind in kinds for by in readers]}

    rows = [row(0.98, NETWORK, READER), row(0.97, NETWORK)]
    monkeypatch.setattr(adversarial_tables, "read_rows", lambda name: rows)
    header, _, clean, attacked, whole = adversarial_tables.adversarial().splitlines()
    assert header.count("|") == clean.count("|") == attacked.count("|") == whole.count("|") == 8
    assert clean.startswith("| clean | 99.0 % | 90.0 %; 5.0 % (4.00–6.00 %) |")
    assert attacked.startswith("| PGD, 0.1 | 50.0 % |")
    assert [cell.strip() for cell in whole.split("|")[2:8:2]] == [
        "98.00 % (97.00–99.00 %)",
        "",
        "97.00 % (96.00–98.00 %)",
    ]
