"""The `digits` command."""

from __future__ import annotations

import json
import logging
import os
import shutil
import sys
import time
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from enum import StrEnum
from functools import cache
from io import TextIOWrapper
from itertools import tee
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from digitreader.errors import DigitReaderError, ImageError, extra
from digitreader.files import STDIN, expand
from digitreader.formats import TARGETS, Format

if TYPE_CHECKING:
    from digitreader.cloud.compare import Comparison
    from digitreader.cloud.recogniser import TextRecogniser

app = typer.Typer(no_args_is_help=True, pretty_exceptions_show_locals=False, help="Recognise handwritten digits.")


class Device(StrEnum):
    """Where TensorFlow computes."""

    AUTO = "auto"
    CPU = "cpu"
    GPU = "gpu"


@app.callback()
def main() -> None:
    """Recognise handwritten digits."""
    warnings.filterwarnings("ignore", module="PIL")  # its doubts about a file that it reads all the same
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # names that the encoding of a pipe cannot write


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
    held_out_rows: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="A .npy file: training rows to leave out.")
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
        "HELD_OUT_ROWS": str(held_out_rows.resolve()) if held_out_rows else None,
        "LIMIT": limit,
        "DEVICE": device.value if device else None,
    }
    with _errors_for_people():
        _train(out, overwrite, {name: value for name, value in parameters.items() if value is not None})


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
        if (root / MODEL).exists():  # the notebook keeps its file if the network comes out the same
            (run / MODEL).parent.mkdir(parents=True)
            shutil.copyfile(root / MODEL, run / MODEL)
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


Files = Annotated[
    list[str], typer.Argument(help="Image files, folders or patterns; - is standard input.", show_default=False)
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object a line.")]
ReviewDir = Annotated[
    Path | None,
    typer.Option(file_okay=False, help="Copy what a person should look at into this folder, with an index.jsonl."),
]
MANY = 30  # more files get a progress bar
Result = TypeVar("Result")


@app.command()
def predict(files: Files, as_json: Json = False, review_dir: ReviewDir = None) -> None:
    """Read pictures of one digit each.

    A picture that cannot be read does not stop the others; the exit code is then 1.
    """
    from digitreader.reader import DigitReader

    names = _names(files)
    with _errors_for_people():
        readings = DigitReader().predict_images(map(_source, names))
        _show(names, _for_review(review_dir, names, readings), as_json, ("digit", "confidence", "decision", "reason"))


@app.command()
def read(
    files: Files,
    as_json: Json = False,
    length: Annotated[int | None, typer.Option(min=1, help="How many digits each line has, hyphens aside.")] = None,
    zip_codes: Annotated[bool, typer.Option("--zip", help="Each line is a US ZIP code.")] = False,
    review_dir: ReviewDir = None,
) -> None:
    """Read pictures of a line of digits each, such as ZIP codes.

    A picture that cannot be read does not stop the others; the exit code is then 1.
    """
    from digitreader.reader import DigitReader

    names = _names(files)
    with _errors_for_people():
        readings = DigitReader().read_fields(map(_source, names), length, zip_codes=zip_codes)
        _show(names, _for_review(review_dir, names, readings), as_json, ("text", "confidence", "decision", "reason"))


@app.command()
def compare(
    files: Files,
    clouds: Annotated[
        str, typer.Option("--with", help="Where to send the pictures: google, aws, azure.", show_default=False)
    ],
    single: Annotated[bool, typer.Option("--single", help="Each picture shows one digit, not a line of them.")] = False,
    labels: Annotated[
        Path | None, typer.Option(help="A CSV file of what the pictures show, with the columns file and text.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be sent, and what it costs.")] = False,
    as_json: Json = False,
) -> None:
    """Have text recognisers in clouds read pictures too. The pictures leave this machine, and each costs money.

    What fails with one picture, or in one cloud, does not stop the others; the exit code is then 1.
    """
    names = _names(files)
    with _errors_for_people():
        from digitreader.cloud.compare import RECOGNISERS, load_labels

        chosen = dict.fromkeys(name.strip() for name in clouds.split(","))
        for name in chosen:
            if name not in RECOGNISERS:
                raise typer.BadParameter(f"{name!r} is not one of {', '.join(RECOGNISERS)}", param_hint="--with")
        recognisers = [RECOGNISERS[name]() for name in chosen]
        known = None if labels is None else load_labels(labels, names)
        if dry_run:
            _show_plans(names, recognisers, as_json)
        else:
            _show_comparisons(names, recognisers, single, known, as_json)


@app.command()
def explain(
    file: Annotated[str, typer.Argument(help="An image of one digit; - is standard input.", show_default=False)],
    out: Annotated[Path, typer.Option("-o", "--out", help="The PNG file to write.", show_default=False)],
    digit: Annotated[int | None, typer.Option(min=0, max=9, help="Explain this digit; else the one read.")] = None,
) -> None:
    """Show how one digit is read, as a picture of four panels.

    The input; the same in MNIST's form, as the networks see it; the probabilities, from both networks; and where that
    picture speaks for the digit to the digits' network.
    """
    if out.suffix.lower() != ".png":
        raise typer.BadParameter("the picture is a PNG file: name it so", param_hint="--out")
    names = _names([file])
    if len(names) != 1:
        raise typer.BadParameter(f"{file} stands for {len(names)} images, one is explained", param_hint="FILE")
    with suppress(OSError):  # if one of them is not there, the other cannot be the same
        if names[0] != STDIN and out.samefile(names[0]):
            raise typer.BadParameter("the picture would replace the image", param_hint="--out")
    with _errors_for_people():
        from digitreader.explain import draw_explanation, hires_cam
        from digitreader.images import load_image
        from digitreader.reader import DigitReader

        reader = DigitReader()
        pixels = load_image(_source(names[0])).pixels
        prepared = reader.prepare(pixels)
        (reading,) = reader.decide([prepared])
        explained = reading.digit if digit is None else digit
        heat = hires_cam(reader.recognizer, prepared, explained)
        picture = draw_explanation(pixels, prepared, reading, explained, heat)
    try:
        picture.save(out, "PNG")
    except OSError as error:
        raise typer.BadParameter(f"{out} cannot be written: {error.strerror}", param_hint="--out") from error
    typer.echo(f"{reading.digit} ({reading.confidence:.4f}, {reading.decision}: {reading.reason}): {out}")


@app.command()
def serve(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, envvar="PORT", help="Port to listen on.")] = 8000,
    workers: Annotated[int, typer.Option(min=1, help="Processes that serve.")] = 1,
    page: Annotated[
        bool, typer.Option(envvar="DIGITS_PAGE", help="Serve the page for people, and the API's documentation.")
    ] = True,
) -> None:
    """Serve the reader over HTTP. Limits and API keys are environment variables; see the README."""
    with _errors_for_people():
        with extra("serve", "the service needs"):
            from digitreader.service.serve import serve as run_server

        os.environ["DIGITS_PAGE"] = str(page)  # for the processes that serve
        run_server(host, port, workers)


@app.command()
def evaluate(as_json: Json = False) -> None:
    """Measure the committed network on MNIST's test set, on its arrays and as pictures."""
    with _errors_for_people():
        from digitreader.data import load_mnist
        from digitreader.evaluate import evaluate_reader
        from digitreader.reader import DigitReader

        measured = evaluate_reader(DigitReader(), load_mnist())
    if as_json:
        typer.echo(json.dumps(measured))
        return
    for name, value in measured.items():
        typer.echo(f"{name.replace('_', ' ')}: {value:.4%}" if isinstance(value, float) else f"{name}: {value:,}")


@app.command()
def export(
    format: Annotated[
        Format, typer.Option(help="onnx is what the reader uses; the others are for phones and servers.")
    ] = Format.ONNX,
    out: Annotated[
        Path | None,
        typer.Option(
            help="The file, or the folder of a SavedModel, to write; without it, models/mnist_cnn.onnx, or one in "
            "runs/exports/.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Write models/mnist_cnn.keras in another format, and check that both decide the same on MNIST's test images.

    An export that differs by more than its format may is refused. Quantised formats need MNIST's training images.
    """
    suffix = TARGETS[format].suffix
    if out and suffix and out.suffix != suffix:
        raise typer.BadParameter(f"the export is a {suffix} file: name it so", param_hint="--out")
    with _errors_for_people():
        from digitreader.data import MNIST, load_mnist
        from digitreader.export import export as write
        from digitreader.training import MODEL, find_root

        root = find_root(Path.cwd())
        data = load_mnist(fallback=not format.quantised)
        parity = write(root / MODEL, out or root / TARGETS[format], format, data, overwrite=out is None)
    if data.source != MNIST:
        typer.echo(f"NOT CHECKED ON MNIST, but on {data.source}.")
    typer.echo(
        f"{out or TARGETS[format]}: differs from {MODEL.name} by at most {parity.difference:.1e} on {parity.images:,} "
        f"images; {parity.changed:,} decisions change; accuracy {parity.accuracy:.2%}, was {parity.keras_accuracy:.2%}"
    )


@app.command()
def calibrate(
    risk: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="Share of wrong digits among the accepted ones, at most, in 19 cases of 20."),
    ] = None,
    field_risk: Annotated[float | None, typer.Option(min=0, max=1, help="The same of fields.")] = None,
    fast_risk: Annotated[
        float | None, typer.Option(min=0, max=1, help="The same of digits that the fast network reads.")
    ] = None,
) -> None:
    """Fit confidences and thresholds on what the networks never saw: models/reader.json, fast.json, line_reader.json.

    Nothing is written unless all of these risks can be certified.
    """
    with _errors_for_people():
        from digitreader.calibrate import RISK, calibrate
        from digitreader.calibrate_fields import FIELD_RISK, WAYS, calibrate_fields
        from digitreader.errors import DataNotFoundError
        from digitreader.provenance import write_json
        from digitreader.reader import DigitReader
        from digitreader.recognizer import DIGIT_NETWORKS, ModelName
        from digitreader.training import CARD, find_root

        models = (find_root(Path.cwd()) / CARD).parent
        results = models.parent / "experiments" / "results"
        asked: dict[ModelName, float | None] = {"full": risk, "fast": fast_risk}
        found, said = {}, []
        for name, wanted in asked.items():
            file, words = DIGIT_NETWORKS[name].calibration, "digits" if name == "full" else "digits, fast"
            try:
                found[file] = content = calibrate(models, results, model=name, risk=RISK if wanted is None else wanted)
            except DataNotFoundError as error:
                if wanted is not None:
                    raise
                DigitReader(models, model=name)  # an error unless the calibration at hand belongs to the network
                said.append(f"NOT CALIBRATED: {error} {file} is unchanged; it belongs to the network.")
            else:
                digits = content["digits"]
                said.append(
                    f"{words}: temperature {content['temperature']:.3f}; calibration error "
                    f"{digits['calibration_error_before']:.2%} before, {digits['calibration_error_after']:.2%} after; "
                    f"{_accepted(digits['images'], digits)}"
                )
        of_fields = calibrate_fields(models, results, risk=FIELD_RISK if field_risk is None else field_risk)
        for file, content in (found | {"line_reader.json": of_fields}).items():
            write_json(models / file, content)
        for line in said:
            typer.echo(line)
        for way, meaning in WAYS.items():
            certifying = of_fields[way]["certifying"]
            typer.echo(f"{meaning}: {_accepted(certifying['lines'], certifying)}")


def _accepted(count: int, measured: dict[str, int]) -> str:
    """Return in words what a calibration says of the readings that certify its threshold."""
    return f"{measured['accepted']:,} of {count:,} accepted, {measured['wrong_among_accepted']} of them wrong"


@app.command()
def drift(
    metrics: Annotated[
        str,
        typer.Argument(
            help="Address of a service's /metrics, or a file of it; - is standard input.", show_default=False
        ),
    ],
    since: Annotated[
        str | None, typer.Option(help="What /metrics said before: only what was read since is compared.")
    ] = None,
) -> None:
    """Compare the digits that a service has read with those that the reader was calibrated on.

    The exit code is 3 if the difference is large and not by chance.
    """
    with _errors_for_people():
        from digitreader.drift import compare, exported, later, load_reference, read_metrics

        counts = exported(read_metrics(metrics))
        if since is not None:
            counts = later(counts, exported(read_metrics(since)))
        shifts = compare(load_reference(), counts)
    for kind, shift in shifts.items():
        verdict = "ALARM" if shift.alarm else "no alarm"
        typer.echo(f"{kind}: {shift.readings:,} readings, index {shift.index:.3f}, p {shift.p_value:.4f}: {verdict}")
    if any(shift.alarm for shift in shifts.values()):
        raise typer.Exit(3)


@app.command()
def batch(
    source: Annotated[
        str,
        typer.Argument(
            metavar="INPUT",
            help="A folder, a tar (also .tar.gz), a Parquet file of image bytes, or a URL of one, such as s3://…",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path,
        typer.Argument(metavar="OUTPUT", file_okay=False, help="Local folder of Parquet files.", show_default=False),
    ],
    lines: Annotated[
        bool, typer.Option("--lines", help="Each picture shows a line of digits; else one digit.")
    ] = False,
    length: Annotated[
        int | None, typer.Option(min=1, help="Lines: how many digits each has, hyphens aside.", show_default=False)
    ] = None,
    zip_codes: Annotated[bool, typer.Option("--zip", help="Lines: each is a US ZIP code.")] = False,
    jobs: Annotated[
        int | None, typer.Option(min=1, help="Processes that read; one for each core.", show_default=False)
    ] = None,
    part_size: Annotated[
        int,
        typer.Option(
            min=1, help="Pictures a Parquet file. After a kill, files that were not finished are begun again."
        ),
    ] = 1000,
    ray: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="Read on a Ray cluster: auto, HOST:PORT, or local.", show_default=False),
    ] = None,
) -> None:
    """Read any number of pictures into Parquet, one row each, whatever happens.

    A job that was stopped, even by kill -9, goes on when the same command is run again. A picture that cannot be read
    is a row with an error, and no failure.
    """
    with _errors_for_people():
        with extra("batch", "batch jobs need"):
            from digitreader.batch.plan import Options
            from digitreader.batch.run import run

        lines = lines or length is not None or zip_codes
        decisions = run(source, out, Options(lines, length, zip_codes, part_size), jobs=jobs, ray=ray)
    typer.echo(
        f"{decisions.total():,} pictures: {decisions['accept']:,} accepted, {decisions['review']:,} to review, "
        f"{decisions['error']:,} not readable: {out}"
    )


def _names(files: Sequence[str]) -> list[str]:
    """Return the files that the arguments name."""
    if "" in files:
        raise typer.BadParameter("a name is empty", param_hint="FILES")
    if files.count(STDIN) > 1:
        raise typer.BadParameter("standard input can be read only once", param_hint="FILES")
    if STDIN in files and sys.stdin is None:
        raise typer.BadParameter("there is no standard input", param_hint="FILES")
    return list(expand(files))


@cache
def _standard_input() -> bytes:
    """Return what standard input holds: a picture that is no larger than allowed, or more than that."""
    from digitreader.images import MAX_BYTES

    return sys.stdin.buffer.read(MAX_BYTES + 1)


def _source(name: str) -> str | bytes:
    """Return what to read for a name on the command line."""
    return _standard_input() if name == STDIN else name


def _for_review(folder: Path | None, names: Sequence[str], results: Iterable[Any]) -> Iterable[Any]:
    """Return the results; as each is taken, it is copied into the folder, if there is one, for a person to look at."""
    if folder is None:
        return results
    from digitreader.review import ReviewFolder

    return ReviewFolder(folder).copying(names, map(_source, names), results)


def _show(names: Sequence[str], results: Iterable[Any], as_json: bool, columns: Sequence[str]) -> None:
    """Print what became of each file; exit with 1 if one could not be read."""
    failed = False

    def read() -> Iterator[tuple[str, Any]]:
        nonlocal failed
        for name, result in zip(names, _tracked(results, len(names)), strict=True):
            failed |= isinstance(result, ImageError)
            yield name, result

    if as_json:
        for name, result in read():
            content = {"error": str(result)} if isinstance(result, ImageError) else result.to_dict()
            typer.echo(json.dumps({"file": name, **content}))
    else:
        rows = ([name, *(_cell(result, column) for column in columns)] for name, result in read())
        _print_table(["file", *columns], rows)
    if failed:
        raise typer.Exit(1)


def _tracked(results: Iterable[Result], count: int) -> Iterable[Result]:
    """Return the results; if there are many, people at a terminal see how many have come."""
    from rich.console import Console
    from rich.progress import track

    few = count < MANY or not sys.stderr.isatty()
    return track(results, "reading", count, console=Console(stderr=True), transient=True, disable=few)


def _print_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table.

    People at a terminal get it at the end, programs at the other end of a pipe a line for each row as it comes, its
    cells apart by tabs.
    """
    from rich.console import Console
    from rich.table import Column, Table
    from rich.text import Text

    terminal = Console()
    table = Table(*(Column(name, overflow="fold") for name in columns)) if terminal.is_terminal else None
    for number, row in enumerate(rows):
        values = [_printable(value) for value in row]
        if table:
            table.add_row(*map(Text, values))  # plain text: a name may look like markup
            continue
        if not number:
            typer.echo("\t".join(columns))
        typer.echo("\t".join(values))
    if table:
        terminal.print(table)


def _show_plans(names: Sequence[str], recognisers: Sequence[TextRecogniser], as_json: bool) -> None:
    """Print what would be sent of each file, and what that costs; exit with 1 if something could not be sent."""
    from digitreader.cloud.compare import plan, summarise_plans

    plans = [plan(name, _source(name), recognisers) for name in names]
    summary = summarise_plans(plans, recognisers)
    planned = [(of["file"], sent) for of in plans for sent in of.get("would_send", [of])]
    if as_json:
        for content in (*plans, {"summary": summary}):
            typer.echo(json.dumps(content))
    else:
        columns = ("reader", "endpoint", "format", "width", "height", "bytes", "re_encoded", "error")
        rows = [[file, *(_plain(sent.get(column)) for column in columns)] for file, sent in planned]
        _print_table(["file", *columns], rows)
        _print_summary(summary)
    if any("error" in sent for _, sent in planned):
        raise typer.Exit(1)


def _show_comparisons(
    names: Sequence[str],
    recognisers: Sequence[TextRecogniser],
    single: bool,
    labels: dict[str, str] | None,
    as_json: bool,
) -> None:
    """Print what all say of each file, and a summary; exit with 1 if an answer is missing."""
    from digitreader.cloud.compare import compare, summarise
    from digitreader.reader import DigitReader

    sources = map(_source, names)
    compared = compare(names, sources, recognisers, DigitReader(), single=single, labels=labels)
    results, kept = tee(_tracked(compared, len(names)))
    if as_json:
        for result in results:
            typer.echo(json.dumps(result.to_dict()))
    else:
        columns = ["file", "reader", "digits", "confidence", "seconds", "agrees", "right", "note"]
        _print_table(columns, (row for result in results for row in _compared(result)))
    done = list(kept)
    summary = summarise(done)
    if as_json:
        typer.echo(json.dumps({"summary": summary}))
    elif summary:
        _print_summary(summary)
    if not all(result.complete for result in done):
        raise typer.Exit(1)


def _compared(result: Comparison) -> Iterator[list[str]]:
    """Yield a row for each answer."""
    if result.error is not None:
        yield [result.file, *["–"] * 6, result.error]
    for answer in result.answers:
        sent = answer.sent or {}
        note = f"sent as {sent['format']}, {sent['width']} × {sent['height']}" if sent.get("re_encoded") else ""
        values = (answer.digits, answer.confidence, answer.seconds, result.agrees(answer), result.right(answer))
        yield [result.file, answer.reader, *map(_plain, values), answer.error or note]


def _print_summary(summary: Sequence[dict[str, Any]]) -> None:
    """Print a table, after another one."""
    typer.echo()
    columns = [name.replace("_", " ") for name in summary[0]]
    _print_table(columns, [[_plain(value) for value in row.values()] for row in summary])


def _plain(value: Any) -> str:
    """Return a value as people read it."""
    if isinstance(value, list):
        return "–".join(map(_plain, value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "–" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)


def _cell(result: Any, column: str) -> str:
    """Return what a column says of a reading, or of an error."""
    if isinstance(result, ImageError):
        return {"decision": "error", "reason": str(result)}.get(column, "–")
    value = getattr(result, column)
    return f"{value:.4f}" if isinstance(value, float) else str(value)


def _printable(text: str) -> str:
    """Return text with escapes for what would break a line or cannot be written, as names of files may have it."""
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text)


@contextmanager
def _errors_for_people() -> Iterator[None]:
    """Turn an error that the package raises on purpose into a message and exit code 1."""
    try:
        yield
    except ModuleNotFoundError as error:
        typer.echo(f"{error.name} is missing: this command needs what the project's requirements.txt names.", err=True)
        raise typer.Exit(1) from error
    except DigitReaderError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error
