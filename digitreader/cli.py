"""The `digits` command."""

from __future__ import annotations

import logging
import shutil
import time
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from digitreader.errors import DigitReaderError

app = typer.Typer(no_args_is_help=True, pretty_exceptions_show_locals=False, help="Recognise handwritten digits.")


class Device(StrEnum):
    """Where TensorFlow computes."""

    AUTO = "auto"
    CPU = "cpu"
    GPU = "gpu"


@app.callback()
def main() -> None:
    """Recognise handwritten digits."""


def _parse_blocks(text: str) -> list[list[int]]:
    """Return the filters of each block from text like `32/64,64/128`."""
    try:
        return [[int(filters) for filters in block.split(",")] for block in text.split("/")]
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not of the form 32/64,64/128") from None


@app.command()
def train(
    out: Annotated[
        Path | None, typer.Option(help="Folder of the run; the project's own folder replaces the committed artefacts.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a model that --out already holds.")] = False,
    epochs: Annotated[int | None, typer.Option(min=1, help="Epochs at most.")] = None,
    batch_size: Annotated[int | None, typer.Option(min=1, help="Images a training step.")] = None,
    learning_rate: Annotated[float | None, typer.Option(min=1e-9, help="Learning rate of the first epoch.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, max=2**31, help="Seed of every random generator.")] = None,
    augment: Annotated[bool | None, typer.Option("--augment/--no-augment", help="Augment the training images.")] = None,
    rotation: Annotated[float | None, typer.Option(min=0, help="Augmentation: rotation, degrees.")] = None,
    shift: Annotated[float | None, typer.Option(min=0, max=1, help="Augmentation: shift, share of the side.")] = None,
    zoom: Annotated[float | None, typer.Option(min=0, max=1, help="Augmentation: zoom, share of the size.")] = None,
    blocks: Annotated[str | None, typer.Option(help="Filters of the convolutions by block, like 32/64,64/128.")] = None,
    dense_units: Annotated[int | None, typer.Option(min=1, help="Units of the hidden dense layer.")] = None,
    dropout_convolution: Annotated[float | None, typer.Option(min=0, max=0.99, help="Dropout after a block.")] = None,
    dropout_dense: Annotated[float | None, typer.Option(min=0, max=0.99, help="Dropout after the dense layer.")] = None,
    validation_rows: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="A .npy file: training rows to validate on.")
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Use only this many training images.")] = None,
    device: Annotated[Device | None, typer.Option(help="Where to compute.")] = None,
) -> None:
    """Train the network by running the notebook; what is not given is as the notebook has it.

    The run's folder gets models/, figures/ and the executed notebook. When MNIST can be had neither from MNIST_DIR
    nor by download, the notebook runs on scikit-learn's small digits, and the committed artefacts are never replaced.
    """
    parameters: dict[str, Any] = {
        "EPOCHS": epochs,
        "BATCH_SIZE": batch_size,
        "LEARNING_RATE": learning_rate,
        "SEED": seed,
        "AUGMENT": augment,
        "ROTATION": rotation,
        "SHIFT": shift,
        "ZOOM": zoom,
        "BLOCKS": _parse_blocks(blocks) if blocks else None,
        "DENSE_UNITS": dense_units,
        "DROPOUT_CONVOLUTION": dropout_convolution,
        "DROPOUT_DENSE": dropout_dense,
        "VALIDATION_ROWS": str(validation_rows.resolve()) if validation_rows else None,
        "LIMIT": limit,
        "DEVICE": device.value if device else None,
    }
    try:
        _train(out, overwrite, {name: value for name, value in parameters.items() if value is not None})
    except ModuleNotFoundError as error:
        typer.echo(f"Training needs {error.name}: pip install -r requirements.txt", err=True)
        raise typer.Exit(1) from error
    except DigitReaderError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error


def _train(out: Path | None, overwrite: bool, parameters: dict[str, Any]) -> None:
    from digitreader.data import MNIST
    from digitreader.training import MODEL, find_root, publish, run_notebook

    logging.basicConfig(format="%(message)s")
    logging.getLogger("papermill").setLevel(logging.INFO)  # what the cells print

    root = find_root(Path.cwd())
    out = (out or root / "runs" / time.strftime("train-%Y%m%d-%H%M%S")).resolve()
    if (out / MODEL).exists() and not overwrite:
        raise typer.BadParameter(f"{out} already holds a trained model; --overwrite replaces it", param_hint="--out")
    # The committed artefacts are replaced together, and only by a run that came to its end.
    run = out
    if out == root:
        run = root / "runs" / "release"
        shutil.rmtree(run, ignore_errors=True)
    card = run_notebook(root, run, parameters, log_output=True)
    if out == root:
        if card["data"] != MNIST:
            typer.echo(
                f"NOT MNIST: trained on {card['data']}; the results are in {run}, the project's own are unchanged."
            )
            return
        publish(run, root)
    typer.echo(
        f"validation accuracy {card['validation']['accuracy']:.2%}, test accuracy {card['test']['accuracy']:.2%}: {out}"
    )
