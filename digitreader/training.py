"""Run the training notebook with other parameters.

The notebook is the only trainer of the network: this module executes it, whole or only the cells that training
needs, and never trains by itself.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nbformat
import papermill
from nbclient.exceptions import DeadKernelError

from digitreader.errors import TrainingError

NOTEBOOK = Path("notebooks") / "mnist_classification.ipynb"
MODEL = Path("models") / "mnist_cnn.keras"
CARD = Path("models") / "mnist_cnn.json"
FIGURES = Path("figures")
STARTS = 3  # of a notebook's process, at most: it dies if another program takes the ports that were chosen for it


def find_root(start: Path) -> Path:
    """Return the nearest folder, from `start` upwards, that holds the training notebook.

    Raises
    ------
    TrainingError
        If neither `start` nor any folder above it holds it.
    """
    start = start.resolve()
    for folder in (start, *start.parents):
        if (folder / NOTEBOOK).is_file():
            return folder
    raise TrainingError(
        f"Neither {start} nor a folder above it holds {NOTEBOOK}: run this in a checkout of the project."
    )


def run_notebook(
    root: Path, out: Path, parameters: Mapping[str, Any], *, core: bool = False, log_output: bool = False
) -> dict[str, Any]:
    """Execute the notebook and return the card that it wrote.

    Parameters
    ----------
    root : Path
        The project's folder.
    out : Path
        The run's folder: models/, figures/, runs/ and, in notebooks/, the executed notebook are written there.
    parameters : mapping
        Values for names of the notebook's cell tagged `parameters`.
    core : bool
        Run only the cells tagged `core`: training and saving, without the test set.
    log_output : bool
        Show what the cells print while they run, instead of a progress bar.

    Returns
    -------
    dict
        The content of the run's models/mnist_cnn.json.

    Raises
    ------
    TrainingError
        If a cell fails, or the notebook's process does not start. What was executed until then is kept in the run's
        folder.
    """
    notebook = nbformat.read(root / NOTEBOOK, as_version=4)
    # A run with other parameters leaves a cell with them, which would rule every later run.
    notebook.cells = [cell for cell in notebook.cells if "injected-parameters" not in cell.metadata.get("tags", ())]
    if core:
        notebook.cells = [cell for cell in notebook.cells if "core" in cell.metadata.get("tags", ())]
    executed = out / NOTEBOOK
    executed.parent.mkdir(parents=True, exist_ok=True)
    (out / CARD).unlink(missing_ok=True)
    os.environ["DIGITS_OUT"] = str(out.resolve())  # the kernel inherits the environment, and works in another folder
    if os.environ.get("MNIST_DIR"):
        os.environ["MNIST_DIR"] = str(Path(os.environ["MNIST_DIR"]).resolve())
    try:
        _execute(notebook, executed, dict(parameters), root, log_output)
    except papermill.PapermillExecutionError as error:
        raise TrainingError(f"Cell {error.exec_count} of the notebook failed: {error.ename}: {error.evalue}") from error
    except DeadKernelError as error:
        raise TrainingError("The notebook's process died; most often memory has run out.") from error
    except RuntimeError as error:
        raise TrainingError(f"The notebook's process does not start: {error}.") from error
    finally:
        del os.environ["DIGITS_OUT"]
        if executed.exists():
            _strip_papermill(executed)
    card: dict[str, Any] = json.loads((out / CARD).read_text())
    return card


def _execute(notebook: Any, executed: Path, parameters: dict[str, Any], root: Path, log_output: bool) -> None:
    """Execute a notebook; while its process does not come up, start it anew, some times."""
    for start in range(1, STARTS + 1):
        try:
            papermill.execute_notebook(
                notebook,
                executed,
                parameters,
                cwd=root,
                log_output=log_output,
                progress_bar=not log_output,
                extra_arguments=["--log-level=ERROR"],  # the kernel would warn that it speaks TCP, which stays local
            )
            return
        except DeadKernelError:
            raise
        except RuntimeError:  # no cell has run
            if start == STARTS:
                raise


def publish(run: Path, root: Path) -> None:
    """Replace the project's model, card, figures and executed notebook by those of a finished run."""
    for file in (MODEL, CARD, NOTEBOOK, *(figure.relative_to(run) for figure in (run / FIGURES).glob("*.png"))):
        (root / file).parent.mkdir(exist_ok=True)
        shutil.copyfile(run / file, root / file)


def _strip_papermill(path: Path) -> None:
    """Remove papermill's metadata, which holds absolute paths and times that change with every run."""
    notebook = nbformat.read(path, as_version=4)
    notebook.metadata.pop("papermill", None)
    for cell in notebook.cells:
        cell.metadata.pop("papermill", None)
        cell.metadata.pop("execution", None)
        if not cell.metadata.get("tags", True):
            del cell.metadata["tags"]
    nbformat.write(notebook, path)
