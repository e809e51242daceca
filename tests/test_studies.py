"""The studies: what they train, what they make of it, and that each can be tried quickly and goes on after a kill."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.distributions import FloatDistribution
from PIL import Image

from digitreader.calibrate import FOLDS, validation_rows
from digitreader.data import Dataset, Writers, load_mnist
from digitreader.errors import DataNotFoundError, TrainingError
from digitreader.training import MODEL, run_notebook
from experiments import figures, tuning
from experiments.crossval import FOLDER, SPLITS, fold_rows, out_of_fold
from experiments.ensemble import mcnemar
from experiments.flattery import compare
from experiments.pairs import borderline, counts
from experiments.runs import QUICK_RESULTS, RESULTS, committed_settings, read_rows, write_rows
from experiments.tables import standard_error
from experiments.transfer import draw, fine_tune, on_convolutions, on_mobilenet
from experiments.tuning import (
    RECIPE,
    SHORT,
    adopted,
    affordable,
    as_settings,
    as_study,
    finished,
    of_the_recipe,
    study_name,
)
from experiments.variants import NETWORKS, STRUCTURE, cnn, multiply_adds, settings, split
from tests.helpers import SCHEMA


def run_study(root: Path, name: str, *arguments: str, environment: dict[str, str] | None = None) -> str:
    """Run a study as a process and return what it printed on standard error."""
    finished = subprocess.run(
        [sys.executable, "-m", f"experiments.{name}", *arguments],
        cwd=root,
        env=environment or dict(os.environ),
        capture_output=True,
        text=True,
        timeout=900,
    )
    if finished.returncode:
        raise RuntimeError(finished.stderr[-3000:])
    return finished.stderr


@pytest.mark.usefixtures("mnist")
@pytest.mark.parametrize(
    "name",
    [
        "adversarial",
        "architectures",
        "augmentation",
        "crossval",
        "ensemble",
        "regularisation",
        "seeds",
        "transfer",
        "tuning",
    ],
)
def test_quick_trial(root: Path, name: str, request: pytest.FixtureRequest) -> None:
    if name == "crossval":
        request.getfixturevalue("writers")
    results = root / QUICK_RESULTS
    shutil.rmtree(results, ignore_errors=True)
    committed_seeds = (root / "experiments" / "results" / "seeds.json").read_bytes()
    if name == "regularisation":
        kill_after_its_first_row(root, name)
        (before,) = read_rows(name, results)
    run_study(root, name, "--quick", "--jobs", "2")
    rows = read_rows(name, results)
    assert len(rows) == 2
    assert all(row.keys() >= SCHEMA and row["command"].endswith(" --quick") for row in rows)
    if name in ("architectures", "tuning"):
        written = (results / f"{name}.json").read_bytes()
        run_study(root, name, "--quick", "--jobs", "2")
        assert (results / f"{name}.json").read_bytes() == written, "finished runs are not repeated"
    if name == "regularisation":
        assert rows[0] == before
    if name == "seeds":
        assert [row["seed"] for row in rows] == [42, 46]
        assert (root / "experiments" / "results" / "seeds.json").read_bytes() == committed_seeds
    if name == "crossval":
        assert all(row["split"]["training"] == 500 and "test_accuracy" not in row for row in rows)
        assert rows[0]["model_sha256"] != rows[1]["model_sha256"]
        by_writer, by_image = (np.load(results / row["file"]) for row in rows)
        assert by_writer["logits"].dtype == np.float16
        assert by_writer["logits"].shape == (len(by_writer["rows"]), 10) == (rows[0]["held_out"]["images"], 10)
        for row, kept in ((rows[0], by_writer["logits"].argmax(axis=1)), (rows[1], by_image["digits"])):
            labels = load_mnist().y_train[fold_rows(row["split_by"], row["fold"])]
            assert row["held_out"]["errors"] == (kept != labels).sum()
    if name == "ensemble":
        single, _, together, _ = read_rows("ensemble", results / "tested")
        assert (single["networks"], together["networks"]) == (1, 3)
        assert single["test_accuracy"] > 0.99
        assert len(together["members_confusion"]) == 3
        assert np.trace(together["members_confusion"][0]) == round(500 * single["test_accuracy"])
        errors = [500 - np.trace(confusion) for confusion in together["members_confusion"]]
        assert [len(misread) for misread in together["members_misread"]] == errors


def kill_after_its_first_row(root: Path, name: str) -> None:
    """Begin a study, and kill it when its first run has a row."""
    command = [sys.executable, "-m", f"experiments.{name}", "--quick"]
    study = subprocess.Popen(command, cwd=root, stderr=subprocess.DEVNULL, start_new_session=True)
    until = time.monotonic() + 300
    while time.monotonic() < until and study.poll() is None and not read_rows(name, root / QUICK_RESULTS):
        time.sleep(0.1)
    os.killpg(study.pid, signal.SIGKILL)
    study.wait()


def test_a_study_without_mnist_says_so(root: Path, offline: dict[str, str]) -> None:
    with pytest.raises(RuntimeError, match="MNIST cannot be downloaded"):
        run_study(root, "regularisation", "--quick", environment=offline)


def test_cnn_is_the_committed_network(root: Path) -> None:
    import keras

    committed = keras.models.load_model(root / MODEL)
    built, loaded = (json.loads(model.to_json())["config"] for model in (cnn(**STRUCTURE), committed))
    assert built == loaded


@pytest.mark.parametrize(
    ("name", "weights", "cost"),
    [
        ("dense", 784 * 128 + 128 + 128 * 64 + 64 + 64 * 10 + 10, 784 * 128 + 128 * 64 + 64 * 10),
        (
            "simple CNN",
            9 * 32 + 32 + 9 * 32 * 64 + 64 + 25 * 64 * 128 + 128 + 1290,
            26**2 * 9 * 32 + 11**2 * 9 * 32 * 64 + 25 * 64 * 128 + 1280,
        ),
    ],
)
def test_size_and_cost(name: str, weights: int, cost: int) -> None:
    model = NETWORKS[name]()
    assert model.count_params() == weights
    assert multiply_adds(model) == cost


def test_mnistnet_is_that_of_pytorch() -> None:
    torch = pytest.importorskip("torch")
    from experiments import torch_mnistnet

    keras_model, torch_model = NETWORKS["MNISTNet"](), torch_mnistnet.network()
    trained = sum(int(np.prod(weight.shape)) for weight in keras_model.trainable_weights)
    assert trained == sum(parameter.numel() for parameter in torch_model.parameters())
    images = np.random.default_rng(0).random((70, 28, 28, 1), np.float32)
    torch_model(torch.from_numpy(images).permute(0, 3, 1, 2))  # so that the normalisation has seen something
    theirs = [layer for layer in torch_model if list(layer.parameters())]
    for layer, other in zip((layer for layer in keras_model.layers if layer.weights), theirs, strict=True):
        values = [value.numpy() for value in other.state_dict().values() if value.is_floating_point()]
        for start, value in zip(layer.get_weights(), values, strict=True):
            assert np.abs(start).max() == pytest.approx(np.abs(value).max(), rel=0.3) or layer.name.startswith("batch")
        if values[0].ndim == 4:
            values[0] = values[0].transpose(2, 3, 1, 0)
        elif values[0].ndim == 2:
            values[0] = values[0].T
        if len(values[0]) == 7 * 7 * 64:  # PyTorch flattens channels first
            values[0] = values[0].reshape(64, 7, 7, 128).transpose(1, 2, 0, 3).reshape(-1, 128)
        layer.set_weights(values)
    expected = np.exp(torch_mnistnet.logits(torch_model, images))
    expected /= expected.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(keras_model(images, training=False), expected, atol=1e-6)


@pytest.mark.usefixtures("mnist")
def test_mnistnet_in_pytorch_is_trained() -> None:
    pytest.importorskip("torch")
    from experiments import torch_mnistnet

    data, wanted = split(500), settings("MNISTNet", seed=1, EPOCHS=5, LEARNING_RATE=0.001, BATCH_SIZE=64)
    model, row = torch_mnistnet.fit(data, wanted)
    assert row["weights"] == NETWORKS["MNISTNet"]().count_params()
    found = torch_mnistnet.logits(model, data.x_val).argmax(axis=1)
    assert row["val_accuracy"] == pytest.approx((found == data.y_val).mean(), abs=1e-5)
    assert row["val_accuracy"] > 0.5
    assert row["val_loss"] == min(row["history"]["val_log_loss"])


@pytest.mark.usefixtures("mnist")
def test_variants_are_fitted_as_the_notebook_fits(root: Path, tmp_path: Path) -> None:
    card = run_notebook(root, tmp_path, committed_settings() | {"SEED": 3, "EPOCHS": 1, "LIMIT": 500}, core=True)
    program = (
        "import json, keras\n"
        "from experiments.variants import Split, cnn, fit, settings, split\n"
        "keras.utils.set_random_seed(3)\n"
        "whole, wanted = split(0), settings(seed=3, EPOCHS=1, LIMIT=500)\n"
        "data = Split(whole.x_fit[:500], whole.y_fit[:500], whole.x_val, whole.y_val)\n"
        "print(json.dumps(fit(cnn(**wanted['OPTIONS']), data, wanted)['val_log_loss']))\n"
    )
    environment = os.environ | {"TF_ENABLE_ONEDNN_OPTS": "1"}
    printed = subprocess.run([sys.executable, "-c", program], cwd=root, env=environment, capture_output=True, text=True)
    assert json.loads(printed.stdout) == [pytest.approx(card["validation"]["loss"], rel=1e-3)], printed.stderr


def test_regularisation_can_be_left_out() -> None:
    plain = cnn(**STRUCTURE | {"dropout_convolution": 0.0, "dropout_dense": 0.0}, batch_norm=False)
    kinds = {type(layer).__name__ for layer in plain.layers}
    assert not {"BatchNormalization", "Dropout"} & kinds
    assert all(layer.use_bias for layer in plain.layers if hasattr(layer, "kernel"))
    assert cnn(**STRUCTURE, l2=1e-3).get_layer("dense").kernel_regularizer is not None


def test_split_is_that_of_the_notebook(mnist: Dataset, card: dict[str, Any]) -> None:
    data = split(0)
    assert (len(data.y_fit), len(data.y_val)) == (card["split"]["training"], card["split"]["validation"])
    rows = np.sort(validation_rows(mnist.y_train, card["split"]["validation_rows_sha256"]))
    validation = {image.tobytes() for image in mnist.x_train[rows]}
    assert {image.tobytes() for image in (data.x_val[..., 0] * 255).round().astype(np.uint8)} == validation
    assert not {image.tobytes() for image in (data.x_fit[..., 0] * 255).round().astype(np.uint8)} & validation
    assert [len(labels) for labels in (split(100).y_fit, split(100).y_val)] == [100, 100]


def test_folds_by_writer_share_no_writer(mnist: Dataset, writers: Writers) -> None:
    for by in SPLITS:
        folds = [fold_rows(by, fold) for fold in range(FOLDS)]
        assert sorted(np.concatenate(folds).tolist()) == list(range(60_000))
        for rows in folds:
            shares = np.bincount(mnist.y_train[rows], minlength=10) / len(rows)
            assert np.abs(shares - np.bincount(mnist.y_train) / 60_000).max() < 0.01
        shared = set(writers.train[folds[0]]) & set(writers.train[np.concatenate(folds[1:])])
        assert (not shared) == (by == "writer")


def test_splits_are_compared_digit_by_digit() -> None:
    writers = np.repeat(np.arange(50, dtype=np.int32), 20)
    by_image = np.zeros(1000, bool)
    by_image[:3] = True
    by_writer = by_image.copy()
    by_writer[[0, 100, 101, 500]] = [False, True, True, True]
    found = compare(by_writer, by_image, writers)
    assert (found["writers"], found["by_writer_only"], found["by_image_only"]) == (50, 3, 1)
    assert found["difference"] == pytest.approx(2 / 1000)
    # Of equal numbers of digits, the mean of 50 independent sums: -1, 2 and 1 among zeros, over 20 digits each.
    sums = np.array([-1, 2, 1] + [0] * 47)
    assert found["standard_error"] == pytest.approx(sums.std() / np.sqrt(50) / 20, rel=0.1)


def test_audit_finds_the_labels_that_were_exchanged() -> None:
    pytest.importorskip("cleanlab")
    from experiments.label_audit import audit

    rng = np.random.default_rng(0)
    truth = rng.integers(0, 10, 2000)
    probabilities = np.full((2000, 10), 0.002, np.float32)
    probabilities[np.arange(2000), truth] = 0.982
    labels = truth.astype(np.uint8)
    labels[:20] = (labels[:20] + 1) % 10
    order, row = audit(np.log(probabilities) * 2, labels, 2.0)
    assert (row["flagged"], row["errors"]) == (list(range(20)), 20)
    assert sorted(order[:20].tolist()) == list(range(20))
    assert [index in row["flagged"] for index, _, _ in row["least_probable"]] == [True] * 20 + [False] * 4
    assert (truth != labels)[row["flagged"]].all(), "all of them are errors"
    index, label, read = row["least_probable"][0]
    assert (index, label, read) == (order[0], labels[index], truth[index])


def test_disputed_labels_are_those_of_the_notebook(root: Path) -> None:
    from experiments.label_audit import DISPUTED

    notebook = json.loads((root / "notebooks" / "mnist_classification.ipynb").read_text(encoding="utf-8"))
    sources = ["".join(cell["source"]) for cell in notebook["cells"]]
    assert any(f"DISPUTED = {list(DISPUTED)}" in source for source in sources)


def test_mcnemar_counts_what_one_alone_reads_right() -> None:
    one, other = np.array([1, 1, 1, 1, 1, 1, 0, 1], bool), np.array([1, 0, 0, 0, 0, 0, 1, 1], bool)
    found = mcnemar(one, other)
    assert (found["only_this_right"], found["only_single_right"]) == (5, 1)
    assert found["p_value"] == pytest.approx(14 / 64)  # at most one of six, either way
    assert mcnemar(one, one)["p_value"] == 1


def test_pairs_are_counted_both_ways() -> None:
    confusion = np.diag(np.full(10, 100))
    confusion[3, 8], confusion[8, 3], confusion[0, 6] = 4, 2, 5
    found = counts(confusion)
    assert (found["3/8"], found["4/9"], found["all"]) == (6, 0, 11)


def test_borderline_digits_come_closest_first() -> None:
    probabilities = np.full((4, 10), 0.001, np.float32)
    for row, (first, second, share) in enumerate([(3, 8, 0.9), (8, 3, 0.6), (4, 9, 0.7), (0, 6, 0.5)]):
        probabilities[row, [first, second]] = share, 0.992 - share
    found = borderline(probabilities, np.array([10, 11, 12, 13]))
    assert [row[0] for row in found["3/8"]] == [11, 10]
    assert found["4/9"] == [[12, 4, 0.7, 9, 0.292]]
    assert found["5/6"] == []


def test_draws_of_labelled_digits_differ() -> None:
    labels = np.random.default_rng(0).permutation(np.repeat(np.arange(10), 130))
    few, unseen = draw(labels, 5, 1)
    assert np.bincount(labels[few]).tolist() == [5] * 10
    many, the_same = draw(labels, 100, 1)
    assert set(few) < set(many)
    assert unseen.tolist() == the_same.tolist()
    assert len(unseen) == 300
    assert not set(unseen) & set(many)
    others, _ = draw(labels, 100, 2)
    assert set(others) != set(many), "also where a draw takes all that is set apart"


def test_folds_that_are_missing_or_of_another_network_are_named(tmp_path: Path, mnist: Dataset) -> None:
    rows = [row for row in read_rows("crossval") if row["split_by"] == "writer"]
    shutil.copytree(RESULTS / FOLDER, tmp_path / FOLDER)
    write_rows("crossval", rows, tmp_path)
    scores, networks = out_of_fold(tmp_path)
    assert scores.shape == (60_000, 10)
    assert (scores.argmax(axis=1) != mnist.y_train).sum() == sum(row["held_out"]["errors"] for row in networks)
    write_rows("crossval", rows[1:], tmp_path)
    with pytest.raises(DataNotFoundError, match="Not every fold by writer is there"):
        out_of_fold(tmp_path)
    write_rows("crossval", [rows[0] | {"model_sha256": "0"}, *rows[1:]], tmp_path)
    with pytest.raises(DataNotFoundError, match=r"writer_0\.npz is of another network"):
        out_of_fold(tmp_path)


def test_new_layer_on_the_trained_convolutions(root: Path) -> None:
    import keras

    committed = keras.models.load_model(root / MODEL)
    model = on_convolutions(committed)
    assert model.output_shape == (None, 10)
    convolutions = model.get_layer("convolutions")
    convolutions.trainable = False
    assert len(model.trainable_weights) == 2
    images = np.random.default_rng(0).random((2, 28, 28, 1), np.float32)
    expected = keras.Model(committed.input, committed.get_layer("flatten").output)(images)
    np.testing.assert_allclose(convolutions(images), expected, rtol=1e-5)


def test_new_layer_on_mobilenet() -> None:
    import keras

    keras.utils.set_random_seed(0)
    model = on_mobilenet(weights=None)
    images, labels = np.random.default_rng(0).random((4, 28, 28, 1), np.float32), np.array([0, 1, 2, 3])
    before = model.get_layer("convolutions").get_weights()[0].copy()
    fine_tune(model, images, labels, steps=2, seed=0)
    assert np.abs(model.get_layer("convolutions").get_weights()[0] - before).max() > 0
    assert model.predict(images, verbose=0).sum(axis=1) == pytest.approx(np.ones(4))
    with pytest.raises(ValueError, match="weights"):
        on_mobilenet(weights="nowhere")
    with pytest.raises(ValueError, match="side is one of 96, 128"):
        on_mobilenet(side=100)


def test_weights_that_cannot_be_downloaded_are_named(root: Path, offline: dict[str, str]) -> None:
    program = "from experiments.transfer import on_mobilenet; on_mobilenet()"
    finished = subprocess.run([sys.executable, "-c", program], cwd=root, env=offline, capture_output=True, text=True)
    assert "DataNotFoundError: The weights of MobileNetV2 cannot be downloaded" in finished.stderr


def test_tuning_starts_from_the_committed_recipe() -> None:
    assert as_settings(RECIPE, seed=3) == settings(seed=3)


def test_the_finalist_costs_no_more_than_the_recipe() -> None:
    recipe = {"multiply_adds": 1000}
    assert [affordable({"multiply_adds": cost}, recipe) for cost in (500, 1000, 1001, 2000)] == [17, 17, 16, 8]


def test_the_finalist_waits_for_the_whole_search(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tuning, "ROOT", tmp_path)
    monkeypatch.setattr(sys, "argv", ["tuning", "--quick", "--finalist"])
    with pytest.raises(TrainingError, match="2 trials are missing"):
        tuning.main()


@pytest.mark.parametrize(("lower_by", "expected"), [(0.0021, True), (0.0019, False), (-0.01, False)])
def test_a_finding_is_adopted_beyond_two_standard_errors(lower_by: float, expected: bool) -> None:
    # Each mean of three has a standard error of 0.001 / √2, so that their difference has one of 0.001.
    spread = np.array([-1, 0, 1]) * np.sqrt(1.5) * 0.001
    assert standard_error(spread, spread) == pytest.approx(0.001)
    assert adopted(0.02 + spread, 0.02 - lower_by + spread) == expected


def test_a_trial_of_another_recipe_is_not_the_recipe() -> None:
    wanted = as_settings(RECIPE, seed=tuning.SEED, **SHORT)
    rows = [{"settings": wanted | {"EPOCHS": 1}}, {"settings": wanted}]
    assert of_the_recipe(rows) is rows[1]
    with pytest.raises(TrainingError, match="No trial is of the committed recipe"):
        of_the_recipe(rows[:1])


def test_tuning_goes_on_from_its_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    name = study_name({"EPOCHS": 1})
    assert name != study_name({"EPOCHS": 2})
    with monkeypatch.context() as other:
        other.setitem(tuning.SPACE, "zoom", FloatDistribution(0.0, 0.5))
        assert name != study_name({"EPOCHS": 1})
    with monkeypatch.context() as other:
        other.setitem(STRUCTURE, "blocks", [[8]])
        assert name != study_name({"EPOCHS": 1})
    assert name == study_name({"EPOCHS": 1})
    rows = [
        {"parameters": RECIPE | {"dropout_dense": dense}, "val_loss": dense, "study": study}
        for dense, study in ((0.3, name), (0.1, name), (0.0, "another"))
    ]
    storage = optuna.storages.InMemoryStorage()
    first = as_study(rows[:1], name, storage)
    assert finished(first) == rows[:1]
    again = as_study(rows, name, storage)
    assert finished(again) == rows[:2], "only rows that it lacks, and of this search"
    assert again.best_params["dropout_dense"] == 0.1


def test_figures_are_drawn_from_the_results(tmp_path: Path, mnist: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(figures, "FIGURES", tmp_path)
    figures.main()
    drawn = {path.stem for path in tmp_path.glob("*.png")}
    assert drawn == {draw.__name__ for draw in figures.DRAWN if read_rows(draw.__name__)}
    for path in tmp_path.glob("*.png"):
        with Image.open(path) as image:
            assert np.asarray(image.convert("L")).std() > 10, f"{path.stem} is blank"
