"""What is committed: model, figures, README, result files, and the tree itself."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from digitreader.calibrate_fields import CERTIFYING, kept_lines
from digitreader.data import Dataset
from digitreader.decision import Reading
from digitreader.reader import DigitReader
from digitreader.recognizer import as_input, sha256
from digitreader.training import MODEL
from experiments import (
    architectures,
    augmentation,
    committed,
    crossval,
    no_augmentation,
    reader_network,
    recipe,
    regularisation,
    transfer,
    tuning,
)
from experiments.readme import BLOCKS, DOCUMENTS, render
from experiments.recipe import BASE, CANDIDATES, FINALISTS, SEEDS
from experiments.runs import RESULTS, committed_settings, read_rows, read_rows_of
from experiments.samples import DIGITS
from tests.conftest import REQUIRED_FIGURES
from tests.helpers import SCHEMA

TOP_LEVEL = {
    ".ci",
    ".github",
    ".gitignore",
    "CONTRIBUTING.md",
    "LICENSE",
    "Makefile",
    "README.md",
    "benchmarks",
    "deploy",
    "digitreader",
    "docs",
    "experiments",
    "figures",
    "mkdocs.yml",
    "models",
    "notebooks",
    "pyproject.toml",
    "requirements.txt",
    "tests",
}


@pytest.fixture(scope="module")
def model(root: Path) -> Any:
    """Return the committed network, loaded by stock Keras."""
    import keras

    return keras.models.load_model(root / MODEL)


def unchanged(root: Path, path: str | Path) -> bool:
    """Return whether a path is as committed: not so after `make run`."""
    return subprocess.run(["git", "diff", "--quiet", "HEAD", "--", path], cwd=root).returncode == 0


def test_model_file(root: Path, card: dict[str, Any]) -> None:
    content = (root / MODEL).read_bytes()
    assert hashlib.sha256(content).hexdigest() == card["model_sha256"]
    assert len(content) < 10e6


def test_model_is_of_stock_layers(model: Any, card: dict[str, Any]) -> None:
    assert model.input_shape == (None, 28, 28, 1)
    assert model.output_shape == (None, 10)
    assert model.inputs[0].name == "image"
    assert all(type(layer).__module__.startswith("keras.") for layer in model.layers)
    assert model.count_params() == card["architecture"]["parameters"]


def test_committed_run_follows_the_protocol(card: dict[str, Any]) -> None:
    assert card["data"] == "MNIST"
    assert card["seed"] == 42
    assert card["hyperparameters"]["early_stopping_patience"] == 5
    assert card["hyperparameters"]["epochs_at_most"] <= 30
    assert card["test"]["accuracy"] >= 0.9955


def test_model_reproduces_its_test_accuracy(model: Any, card: dict[str, Any], mnist: Dataset) -> None:
    predicted = model.predict(as_input(mnist.x_test), batch_size=500, verbose=0).argmax(axis=1)
    errors = int((predicted != mnist.y_test).sum())
    assert abs(errors - card["test"]["errors"]) <= 1  # another processor may flip a digit on the edge
    assert card["test"]["accuracy"] == pytest.approx(1 - card["test"]["errors"] / 10_000)


def test_model_reproduces_its_validation_loss(model: Any, card: dict[str, Any], mnist: Dataset) -> None:
    from sklearn.model_selection import train_test_split

    _, rows = train_test_split(np.arange(60_000), test_size=0.1, stratify=mnist.y_train, random_state=42)
    sha256 = hashlib.sha256(np.sort(rows).astype("<i8").tobytes()).hexdigest()
    assert sha256 == card["split"]["validation_rows_sha256"]
    probabilities = model.predict(as_input(mnist.x_train[rows]), batch_size=500, verbose=0)
    loss = -np.log(probabilities[np.arange(len(rows)), mnist.y_train[rows]].clip(1e-7)).mean()
    assert loss == pytest.approx(card["validation"]["loss"], abs=1e-4)


def test_reloaded_model_can_be_evaluated(model: Any, mnist: Dataset) -> None:
    labels = np.eye(10)[mnist.y_test[:500]]
    _, accuracy = model.evaluate(as_input(mnist.x_test[:500]), labels, verbose=0)
    assert accuracy > 0.97


@pytest.mark.parametrize("name", REQUIRED_FIGURES)
def test_required_figure(root: Path, name: str) -> None:
    with Image.open(root / "figures" / f"{name}.png") as image:
        assert min(image.info["dpi"]) >= 149
        assert image.width >= 1200
        assert image.height >= 600
        pixels = np.asarray(image.convert("L"))
    assert pixels.std() > 20, "the figure is blank"


def test_every_figure_is_shown_with_a_caption(root: Path) -> None:
    text = "\n".join(document.read_text(encoding="utf-8") for document in DOCUMENTS)
    figures = [figure.name for figure in (root / "figures").glob("*.png")]
    assert len(figures) >= len(REQUIRED_FIGURES)
    for figure in figures:
        caption = rf"^!\[[^\]]{{15,}}\]\((?:\.\./)?figures/{figure}\)\n\*[^*]{{30,}}\*$"
        assert re.search(caption, text, re.MULTILINE), f"{figure} is in no document, or has no caption"


def test_readme_links_lead_somewhere(root: Path) -> None:
    text = (root / "README.md").read_text(encoding="utf-8")
    for target in re.findall(r"\]\((?!https?://|#)([^)]+)\)", text):
        assert (root / target.partition("#")[0]).exists(), target


def test_documents_say_what_the_result_files_say() -> None:
    shown = set()
    for document in DOCUMENTS:
        text = document.read_text(encoding="utf-8")
        assert render(text) == text, "run `make readme`"
        shown |= set(re.findall(r"<!-- begin: (\w+) -->", text))
    assert shown == set(BLOCKS)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.stem)
def test_numbers_stand_only_in_generated_blocks(document: Path, card: dict[str, Any]) -> None:
    text = document.read_text(encoding="utf-8")
    prose = re.sub(r"<!-- begin: (\w+) -->.*?<!-- end: \1 -->", "", text, flags=re.DOTALL)
    assert f"{100 * card['test']['accuracy']:.2f}" not in prose
    assert not re.search(r"\b99\.\d+ ?%", prose)


def test_readme_sections_in_order(root: Path) -> None:
    headings = re.findall(r"^## (.+)$", (root / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert headings == [
        "Dataset",
        "Model architecture",
        "Results",
        "Visualisations",
        "How to run",
        "Reading your own images",
        "When it is not sure",
        "Serving it",
        "Methodology",
        "Findings",
        "What each choice is worth",
        "Limits and known limitations",
        "Project structure",
        "Sample input and output",
        "Contributing",
        "Licence",
    ]


def test_result_files_share_a_schema(root: Path) -> None:
    files = sorted((root / "experiments" / "results").glob("*.json"))
    assert {file.stem for file in files} == {
        "adversarial",
        "architectures",
        "augmentation",
        "backends",
        "by_writer",
        "crossval",
        "ensemble",
        "fast_network",
        "flattery",
        "label_audit",
        "line_methods",
        "no_augmentation",
        "pairs",
        "promise",
        "reader_network",
        "recipe",
        "regularisation",
        "rejection",
        "samples",
        "seeds",
        "transfer",
        "tuning",
        "tuning_finalist",
    }
    for file in files:
        for row in json.loads(file.read_text()):
            assert row.keys() >= SCHEMA, file


def test_benchmarks_say_how_they_were_measured(root: Path) -> None:
    scripts = {file.stem for file in (root / "benchmarks").glob("*.py") if "    write_result(" in file.read_text()}
    files = sorted((root / "benchmarks" / "results").glob("*.json"))
    assert {file.stem for file in files} == scripts
    for file in files:
        content = json.loads(file.read_text())
        assert {"seed", "versions", "machine"} <= content.keys(), file
        assert content["command"] == f"python -m benchmarks.{file.stem}"
        if unchanged(root, "models"):
            for name, found in content["onnx_sha256"].items():
                assert found == sha256(root / "models" / name), f"{file} was measured on another {name}"


def test_samples_are_read_as_stated(root: Path, reader: DigitReader) -> None:
    for row in json.loads((root / "experiments" / "results" / "samples.json").read_text()):
        path = root / "docs" / "samples" / row["file"]
        reading = reader.predict_image(path) if row["file"] in DIGITS else reader.read(path, zip_codes=True)
        assert row["text"] == (str(reading.digit) if isinstance(reading, Reading) else reading.text)
        assert row["confidence"] == pytest.approx(reading.confidence, abs=1e-3)
        assert (row["decision"], row["reason"]) == (reading.decision, reading.reason)


def test_results_belong_to_the_committed_model(root: Path, card: dict[str, Any]) -> None:
    results = root / "experiments" / "results"
    seeds = {row["seed"]: row for row in json.loads((results / "seeds.json").read_text())}
    assert set(seeds) == {42, 43, 44, 45, 46}
    assert seeds[42]["model_sha256"] == card["model_sha256"]
    assert seeds[42]["test_accuracy"] == card["test"]["accuracy"]
    assert len({json.dumps(row["settings"] | {"SEED": 0}) for row in seeds.values()}) == 1
    (plain,) = json.loads((results / "no_augmentation.json").read_text())
    assert plain["settings"] == seeds[42]["settings"] | {"AUGMENT": False}


def test_studies_are_complete_and_of_the_committed_network(root: Path, card: dict[str, Any]) -> None:
    for study in (architectures, augmentation, crossval, no_augmentation, recipe, regularisation, transfer):
        name = study.__name__.removeprefix("experiments.")
        rows = read_rows_of(name, study.RUNS)
        assert len(rows) == len(study.RUNS) == len(read_rows(name)), name
    assert len(read_rows_of("seeds", committed.runs())) == len(read_rows("seeds")) == len(committed.SEEDS)
    assert [row["study"] for row in read_rows("tuning")] == [tuning.study_name(tuning.SHORT)] * tuning.TRIALS
    assert len(read_rows("tuning_finalist")) == len(SEEDS)
    assert [row["fold"] for row in read_rows("reader_network")] == [run.labels["fold"] for run in reader_network.RUNS]
    assert all(row["settings"] == reader_network.RECIPE for row in read_rows("reader_network"))
    of_digits, of_lines = reader_network.certifying_networks(), [kept_lines(RESULTS / CERTIFYING).model_sha256]
    assert all(row["model_sha256"] == of_digits for row in read_rows("by_writer"))
    for row in read_rows("promise"):
        assert row["model_sha256"] == (of_digits if row["kind"] == "digits" else of_lines)
    if unchanged(root, MODEL):
        assert read_rows("ensemble")[0]["model_sha256"] == [card["model_sha256"]]
        for name in ("label_audit", "pairs"):
            assert any(row["model_sha256"] == card["model_sha256"] for row in read_rows(name)), name


def test_recipe_is_the_one_that_validation_chose(root: Path, card: dict[str, Any]) -> None:
    rows = json.loads((root / "experiments" / "results" / "recipe.json").read_text())
    assert not any("test_accuracy" in row for row in rows)
    screening = sorted((row for row in rows if row["seed"] == SEEDS[0]), key=lambda row: row["val_loss"])
    assert {row["candidate"] for row in screening} == set(CANDIDATES)
    assert {row["candidate"] for row in screening[:2]} == set(FINALISTS)
    losses = {name: [row["val_loss"] for row in rows if row["candidate"] == name] for name in FINALISTS}
    assert {len(values) for values in losses.values()} == {len(SEEDS)}
    best = CANDIDATES[min(losses, key=lambda name: np.mean(losses[name]))]
    assert committed_settings().items() >= {**BASE, **best}.items()
    assert card["hyperparameters"]["blocks"] == best["BLOCKS"]
    assert card["hyperparameters"]["epochs_at_most"] == best["EPOCHS"]


def test_every_backend_predicts_the_same(root: Path, card: dict[str, Any]) -> None:
    rows = json.loads((root / "experiments" / "results" / "backends.json").read_text())
    assert {row["backend"] for row in rows} == {"tensorflow", "torch", "jax"}
    assert max(row["largest_difference"] for row in rows) < 1e-4
    if unchanged(root, MODEL):
        assert {row["model_sha256"] for row in rows} == {card["model_sha256"]}


def test_tree(root: Path) -> None:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=root, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("not a git checkout")
    files = [Path(name) for name in listed.stdout.split("\0") if name]
    assert {file.parts[0] for file in files} == TOP_LEVEL
    for file in files:
        assert not {".ipynb_checkpoints", "__pycache__", "runs", ".venv"} & set(file.parts), file
        assert file.suffix not in {".gz", ".h5", ".log", ".pyc"}, file
        assert file.suffix != ".npz" or file.parent.parent == Path("experiments/results"), file
        assert (root / file).stat().st_size < 15e6, file
    models = {file.name for file in files if file.parts[0] == "models"}
    digits, lines = {"mnist_cnn.keras", "mnist_cnn.json", "mnist_cnn.onnx"}, {"line_reader.onnx", "line_reader.json"}
    assert models == digits | lines | {"reader.onnx", "reader.json", "fast.onnx", "fast.json"}
    assert sum((root / "models" / name).stat().st_size for name in models) < 15e6
