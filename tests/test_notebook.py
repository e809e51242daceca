"""The committed notebook, and the notebook run anew through `digits train`."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import pytest

from digitreader.errors import TrainingError
from digitreader.training import CARD, FIGURES, MODEL, NOTEBOOK, STARTS, find_root, run_notebook
from experiments.runs import committed_settings
from tests.conftest import REQUIRED_FIGURES

DIGITS = Path(sys.executable).with_name("digits")
LARGE_SEED = 2_000_000_000
QUICK = ["--epochs", "2", "--limit", "1500", "--batch-size", "16"]


@pytest.fixture(scope="module")
def notebook(root: Path) -> nbformat.NotebookNode:
    """Return the committed notebook."""
    content: nbformat.NotebookNode = nbformat.read(root / NOTEBOOK, as_version=4)
    return content


def code_cells(notebook: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    """Return the notebook's code cells."""
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def printed(notebook: nbformat.NotebookNode) -> str:
    """Return all text that the notebook's cells put out."""
    texts = []
    for cell in code_cells(notebook):
        for output in cell.outputs:
            texts.append(output.get("text", ""))
            texts.append(output.get("data", {}).get("text/plain", ""))
            texts.append(output.get("data", {}).get("text/html", ""))
    return "\n".join(texts)


def test_committed_notebook_ran_in_order_from_a_clean_kernel(notebook: nbformat.NotebookNode) -> None:
    nbformat.validate(notebook)
    cells = code_cells(notebook)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))


def test_committed_notebook_is_without_errors_and_noise(notebook: nbformat.NotebookNode) -> None:
    for cell in code_cells(notebook):
        for output in cell.outputs:
            assert output.output_type != "error"
            assert output.get("name") != "stderr", f"noise below cell {cell.execution_count}: {output.text[:200]}"
    assert "injected-parameters" not in {tag for cell in notebook.cells for tag in cell.metadata.get("tags", ())}


def test_committed_notebook_speaks_of_no_folder_of_its_author(notebook: nbformat.NotebookNode, root: Path) -> None:
    text = nbformat.writes(notebook)
    assert str(root) not in text
    assert not re.search(r"(/root|/home|/Users|/tmp|/work)/\w", text)


def test_sections_are_numbered_and_explained(notebook: nbformat.NotebookNode) -> None:
    headings = [
        int(match[1])
        for cell in notebook.cells
        if cell.cell_type == "markdown" and (match := re.match(r"## (\d+)\. \S", cell.source))
    ]
    assert headings == list(range(1, 16))
    for before, cell in zip(notebook.cells, notebook.cells[1:], strict=False):
        assert len(cell.source) > 0
        if before.cell_type == "markdown" and cell.cell_type == "markdown":
            assert cell.source.startswith("#"), "two explanations in a row"
    for cell in code_cells(notebook):
        if "def build_cnn" not in cell.source and "\ncard = {" not in cell.source:
            assert len(cell.source.splitlines()) <= 32, f"cell {cell.execution_count} holds more than one idea"


def test_one_cell_of_parameters(notebook: nbformat.NotebookNode) -> None:
    tagged = [cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", ())]
    assert len(tagged) == 1
    assert re.search(r"^SEED = 42$", tagged[0].source, re.MULTILINE)


def test_committed_outputs_agree_with_the_card(notebook: nbformat.NotebookNode, card: dict[str, Any]) -> None:
    text = printed(notebook)
    test = card["test"]
    assert f"{test['errors']} of {test['images']:,} test digits are wrong" in text
    assert f"accuracy {test['accuracy']:.2%}" in text
    assert f"validation loss {card['validation']['loss']:.4f}" in text
    assert f"{card['architecture']['parameters']:,} parameters" in text
    assert "NOT MNIST" not in text


def test_required_words_of_the_protocol_stand_in_the_code(notebook: nbformat.NotebookNode) -> None:
    core = "\n".join(cell.source for cell in code_cells(notebook) if "core" in cell.metadata.get("tags", ()))
    for word in ("ImageDataGenerator", "EarlyStopping", "ReduceLROnPlateau", "ModelCheckpoint", "TensorBoard"):
        assert re.search(rf"{word}\(", core), word
    assert "steps_per_epoch" not in core
    assert "_flip" not in core


def digits_train(*arguments: str, cwd: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run `digits train` as a process."""
    wide = environment | {"COLUMNS": "300"}  # messages are not broken into lines
    return subprocess.run([DIGITS, "train", *arguments], cwd=cwd, env=wide, capture_output=True, text=True)


@pytest.fixture(scope="module")
def quick_run(root: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Return the folder and the output of a short run, on MNIST where it can be had, else on the stand-in."""
    out = tmp_path_factory.mktemp("quick")
    arguments = [*QUICK, "--seed", str(LARGE_SEED), "--out", str(out)]
    finished = digits_train(*arguments, cwd=root, environment=dict(os.environ))
    assert finished.returncode == 0, finished.stderr
    return out, finished.stdout + finished.stderr


def test_quick_run_writes_everything(quick_run: tuple[Path, str]) -> None:
    out, _ = quick_run
    card = json.loads((out / CARD).read_text())
    assert card["seed"] == LARGE_SEED
    assert 1300 < card["split"]["training"] <= 1500  # the stand-in has 1,350
    assert card["hyperparameters"]["batch_size"] == 16
    assert card["model_sha256"] == hashlib.sha256((out / MODEL).read_bytes()).hexdigest()
    assert card["test"]["accuracy"] > 0.8
    test = card["test"]
    wrong = f"{test['errors']} of {test['images']:,} test digits are wrong"
    assert wrong in printed(nbformat.read(out / NOTEBOOK, as_version=4))
    written = {figure.name for figure in (out / FIGURES).glob("*.png")}
    assert {f"{name}.png" for name in REQUIRED_FIGURES} <= written


def test_quick_run_shows_its_progress(quick_run: tuple[Path, str]) -> None:
    _, output = quick_run
    assert "Epoch 2/2" in output
    assert "val_loss" in output


def test_quick_notebook_has_no_errors_and_no_noise(quick_run: tuple[Path, str]) -> None:
    out, _ = quick_run
    for cell in code_cells(nbformat.read(out / NOTEBOOK, as_version=4)):
        for output in cell.outputs:
            assert output.output_type != "error"
            assert output.get("name") != "stderr", output.get("text")


def test_a_trained_model_is_not_overwritten(quick_run: tuple[Path, str], root: Path) -> None:
    out, _ = quick_run
    before = (out / MODEL).read_bytes()
    for folder in (out, root):
        finished = digits_train("--out", str(folder), cwd=root, environment=dict(os.environ))
        assert finished.returncode == 2
        assert "already holds a trained model" in finished.stderr
    assert (out / MODEL).read_bytes() == before


def test_every_parameter_of_the_notebook_is_an_option(root: Path) -> None:
    finished = subprocess.run(
        [DIGITS, "train", "--help"], cwd=root, env=os.environ | {"COLUMNS": "200"}, capture_output=True, text=True
    )
    for name in committed_settings():
        assert f"--{name.lower().replace('_', '-')} " in finished.stdout, name


def test_usage_errors(root: Path) -> None:
    for arguments in (
        ["--epochs", "0"],
        ["--learning-rate", "0"],
        ["--blocks", "32;64"],
        ["--device", "abacus"],
        ["--validation-rows", "none"],
    ):
        finished = digits_train(*arguments, cwd=root, environment=dict(os.environ))
        assert finished.returncode == 2, arguments
        assert "Traceback" not in finished.stderr


def test_outside_a_checkout(tmp_path: Path) -> None:
    finished = digits_train(cwd=tmp_path, environment=dict(os.environ))
    assert finished.returncode == 1
    assert "run this in a checkout" in finished.stderr
    assert "Traceback" not in finished.stderr
    with pytest.raises(TrainingError, match="run this in a checkout"):
        find_root(tmp_path)


def test_failing_cell_is_named(root: Path, tmp_path: Path) -> None:
    rows = tmp_path / "rows.npy"
    np.save(rows, np.array([10**9]))
    arguments = [*QUICK, "--validation-rows", str(rows), "--out", str(tmp_path / "run")]
    finished = digits_train(*arguments, cwd=root, environment=dict(os.environ))
    assert finished.returncode == 1
    assert re.search(r"Cell \d+ of the notebook failed: IndexError", finished.stderr)


def test_without_mnist_and_network_it_still_runs(root: Path, offline: dict[str, str], tmp_path: Path) -> None:
    """`make run` offline: the banner is there, and no artefact of the project is written."""
    project = tmp_path / "project"
    (project / NOTEBOOK).parent.mkdir(parents=True)
    shutil.copyfile(root / NOTEBOOK, project / NOTEBOOK)
    source = (project / NOTEBOOK).read_bytes()
    arguments = ["--out", ".", "--overwrite", "--epochs", "6", "--batch-size", "16"]
    finished = digits_train(*arguments, cwd=project, environment=offline)
    assert finished.returncode == 0, finished.stderr
    assert "NOT MNIST" in finished.stdout.splitlines()[-1]
    assert (project / NOTEBOOK).read_bytes() == source
    assert not (project / MODEL).exists()
    assert not (project / FIGURES).exists()
    card = json.loads((project / "runs" / "release" / CARD).read_text())
    assert card["data"] == "scikit-learn digits"
    assert card["test"]["accuracy"] > 0.8
    assert "# NOT MNIST." in printed(nbformat.read(project / "runs" / "release" / NOTEBOOK, as_version=4))


def write_notebook(project: Path, code: str) -> None:
    """Write a notebook with one parameter and one other cell, which finds in `out` the folder of its results."""
    parameters = nbformat.v4.new_code_cell("EPOCHS = 17", metadata={"tags": ["parameters"]})
    lines = ["import json, os", "from pathlib import Path", "out = Path(os.environ['DIGITS_OUT'])", code]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3"}, "language_info": {"name": "python"}}
    (project / NOTEBOOK).parent.mkdir(parents=True)
    cells = [parameters, nbformat.v4.new_code_cell("\n".join(lines))]
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=kernel), project / NOTEBOOK)


def test_finished_run_replaces_the_artefacts_together(tmp_path: Path) -> None:
    card = {"data": "MNIST", "validation": {"accuracy": 0.5}, "test": {"accuracy": 0.25}}
    writes = [
        f"({name}).parent.mkdir(exist_ok=True)\n({name}).write_text({text!r})"
        for name, text in (
            (f"out / '{MODEL}'", "new model"),
            (f"out / '{CARD}'", json.dumps(card)),
            (f"out / '{FIGURES}' / 'new.png'", "new figure"),
        )
    ]
    project = tmp_path / "project"
    write_notebook(project, "\n".join([*writes, "print(EPOCHS, 'epochs')"]))
    old = {MODEL: "old model", CARD: "old card", FIGURES / "old.png": "old figure"}
    for file, text in old.items():
        (project / file).parent.mkdir(parents=True, exist_ok=True)
        (project / file).write_text(text)
    arguments = ["--out", ".", "--epochs", "3"]
    environment = dict(os.environ)
    assert digits_train(*arguments, cwd=project, environment=environment).returncode == 2
    assert (project / MODEL).read_text() == "old model"
    finished = digits_train(*arguments, "--overwrite", cwd=project, environment=environment)
    assert finished.returncode == 0, finished.stderr
    assert "validation accuracy 50.00%, test accuracy 25.00%" in finished.stdout
    assert (project / MODEL).read_text() == "new model"
    assert json.loads((project / CARD).read_text()) == card
    assert (project / FIGURES / "new.png").read_text() == "new figure"
    assert (project / FIGURES / "old.png").read_text() == "old figure"
    assert "3 epochs" in printed(nbformat.read(project / NOTEBOOK, as_version=4))


def test_parameters_of_a_run_do_not_rule_the_next(tmp_path: Path) -> None:
    card = f"out / '{CARD}'"
    write_notebook(tmp_path, f"({card}).parent.mkdir()\n({card}).write_text(json.dumps({{'epochs': EPOCHS}}))")
    assert run_notebook(tmp_path, tmp_path / "first", {"EPOCHS": 1}) == {"epochs": 1}
    shutil.copyfile(tmp_path / "first" / NOTEBOOK, tmp_path / NOTEBOOK)
    assert run_notebook(tmp_path, tmp_path / "second", {}) == {"epochs": 17}


@pytest.mark.parametrize(("failures", "works"), [(STARTS - 1, True), (STARTS, False)])
def test_notebook_whose_process_does_not_come_up_is_started_anew(
    failures: int, works: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    card, tries = f"out / '{CARD}'", tmp_path / "tries"
    write_notebook(tmp_path, f"({card}).parent.mkdir()\n({card}).write_text(json.dumps({{'epochs': EPOCHS}}))")
    kernel = tmp_path / "jupyter" / "kernels" / "python3"
    kernel.mkdir(parents=True)
    tries.touch()
    lines = [
        "import os, sys",
        f"tries = open({str(tries)!r}, 'a')",
        "print('.', end='', file=tries, flush=True)",
        f"if tries.tell() <= {failures}: sys.exit(1)",
        "os.execv(sys.executable, [sys.executable, '-m', 'ipykernel_launcher', *sys.argv[1:]])",
    ]
    command = [sys.executable, "-c", "\n".join(lines), "-f", "{connection_file}"]
    (kernel / "kernel.json").write_text(json.dumps({"argv": command, "display_name": "", "language": "python"}))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))
    if works:
        assert run_notebook(tmp_path, tmp_path / "run", {}) == {"epochs": 17}
    else:
        with pytest.raises(TrainingError, match="does not start"):
            run_notebook(tmp_path, tmp_path / "run", {})
    assert len(tries.read_text()) == STARTS


def test_held_out_rows_are_neither_trained_nor_validated_on(root: Path, tmp_path: Path) -> None:
    held_out, validation = np.arange(1000, 60_000), np.arange(900, 1100)
    np.save(tmp_path / "held_out.npy", held_out)
    np.save(tmp_path / "validation.npy", validation)
    rows = {"VALIDATION_ROWS": str(tmp_path / "validation.npy"), "HELD_OUT_ROWS": str(tmp_path / "held_out.npy")}
    card = run_notebook(root, tmp_path / "run", {"EPOCHS": 1, **rows}, core=True)
    assert card["split"]["training"] == 900
    assert card["split"]["validation"] == 100
    used = hashlib.sha256(np.arange(900, 1000).astype("<i8").tobytes()).hexdigest()
    assert card["split"]["validation_rows_sha256"] == used


def test_the_same_network_keeps_its_file(root: Path, tmp_path: Path) -> None:
    parameters = {"EPOCHS": 1, "LIMIT": 500, "SEED": 7}
    first = run_notebook(root, tmp_path, parameters, core=True)
    written = (tmp_path / MODEL).stat().st_mtime_ns
    assert run_notebook(root, tmp_path, parameters, core=True)["model_sha256"] == first["model_sha256"]
    assert (tmp_path / MODEL).stat().st_mtime_ns == written
    other = run_notebook(root, tmp_path, parameters | {"SEED": 8}, core=True)
    assert other["model_sha256"] == hashlib.sha256((tmp_path / MODEL).read_bytes()).hexdigest() != first["model_sha256"]


def test_core_trains_on_other_rows_without_the_test_set(root: Path, tmp_path: Path) -> None:
    rows = np.arange(100, 400)
    np.save(tmp_path / "rows.npy", rows)
    parameters = {"EPOCHS": 1, "LIMIT": 500, "VALIDATION_ROWS": str(tmp_path / "rows.npy"), "AUGMENT": False}
    card = run_notebook(root, tmp_path / "run", parameters, core=True)
    assert "test" not in card
    assert card["split"]["validation"] == 300
    assert card["split"]["validation_rows_sha256"] == hashlib.sha256(rows.astype("<i8").tobytes()).hexdigest()
    assert card["hyperparameters"]["augmentation"] is None
    assert not (tmp_path / "run" / FIGURES / "confusion_matrix.png").exists()
