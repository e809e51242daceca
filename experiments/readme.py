"""Write the measured numbers of the README and of the documentation from the result files.

A block between `<!-- begin: NAME -->` and `<!-- end: NAME -->` is replaced by what the function NAME returns.

    python -m experiments.readme
"""

from __future__ import annotations

import re
import statistics
from collections.abc import Callable

from digitreader.errors import TrainingError
from experiments.adversarial_tables import adversarial
from experiments.capacity import assumptions, capacity
from experiments.drift_tables import drift, false_alarms
from experiments.explanation_tables import explanation_leads, explanations
from experiments.export_tables import export_bounds, exports
from experiments.promise_tables import promise
from experiments.reader_tables import (
    digit_results,
    field_goals,
    field_results,
    line_methods,
    reader_goals,
    samples,
)
from experiments.runs import ROOT, Row, read_card, read_rows
from experiments.service_tables import load, load_parts, measured, service_goals
from experiments.speed_tables import (
    fast,
    fast_facts,
    fast_goals,
    path_facts,
    path_goals,
    speedrun,
    speedrun_goals,
    whole_path,
)
from experiments.study_tables import (
    architectures,
    compute,
    crossval,
    ensemble,
    ensemble_goal,
    flattery,
    kinds_of_augmentation,
    label_audit,
    mnistnet,
    most_confused,
    pairs,
    regularisation,
    shared_errors,
    transfer,
    tuning,
)
from experiments.tables import Goal, between, goal_table, mean_sd, percent, table
from experiments.trust_tables import by_writer, corruptions, non_digits, promised, rejection, trust_goals

PAGES = ("benchmarks", "capacity", "exports", "model_card", "service", "studies", "trust")
DOCUMENTS = (ROOT / "README.md", *(ROOT / "docs" / f"{page}.md" for page in PAGES))


def headline() -> str:
    """Return the result in a sentence."""
    test = read_card()["test"]
    return (
        f"**{percent(test['accuracy'])}** of MNIST's {test['images']:,} test digits are read right "
        f"(95 % interval {between(test['accuracy_95'])})."
    )


def split() -> str:
    """Return the table of the data's parts."""
    split = read_card()["split"]
    uses = {"training": "gradients", "validation": "every choice", "test": "once per finished network"}
    return table(("part", "images", "used for"), [(part, f"{split[part]:,}", use) for part, use in uses.items()])


def layers() -> str:
    """Return the table of the network's layers."""
    architecture = read_card()["architecture"]
    rows = [
        (f"`{layer['name']}`", layer["type"], " × ".join(map(str, layer["output"])), f"{layer['parameters']:,}")
        for layer in architecture["layers"]
    ]
    rows.append(("**total**", "", "", f"**{architecture['parameters']:,}**"))
    return table(("layer", "type", "output", "parameters"), rows)


def hyperparameters() -> str:
    """Return the table of the training's settings."""
    card = read_card()
    settings = card["hyperparameters"]
    augmentation = settings["augmentation"]
    shift, zoom = percent(augmentation["width_shift_range"], 0), percent(augmentation["zoom_range"], 0)
    rows = [
        ("optimizer", settings["optimizer"]),
        ("learning rate", f"{settings['learning_rate']:g} at first, {settings['learning_rate_schedule']}"),
        ("loss", "categorical cross-entropy"),
        ("batch size", settings["batch_size"]),
        ("epochs", f"at most {settings['epochs_at_most']}"),
        (
            "dropout",
            f"{settings['dropout_convolution']} after a block, {settings['dropout_dense']} after the dense layer",
        ),
        (
            "augmentation",
            f"rotation ±{augmentation['rotation_range']}°, shift ±{shift}, zoom ±{zoom}",
        ),
        ("seed", card["seed"]),
    ]
    return table(("setting", "value"), rows)


def results() -> str:
    """Return the table of the committed network's results."""
    card = read_card()
    test, training, dense = card["test"], card["training"], card["dense"]
    undisputed, pairs = test["undisputed"], test["confused_pairs"]
    five = [row["test_accuracy"] for row in read_rows("seeds")]
    rows = [
        ("test accuracy", f"**{percent(test['accuracy'])}** (95 % interval {between(test['accuracy_95'])})"),
        ("test errors", f"{test['errors']} of {test['images']:,}"),
        (
            f"without the {test['images'] - undisputed['images']} disputed labels",
            f"{percent(undisputed['accuracy'])} (95 % interval {between(undisputed['accuracy_95'])})",
        ),
        ("test log-loss", f"{test['log_loss']:.4f}"),
        (
            "validation accuracy",
            f"{percent(card['validation']['accuracy'])} (95 % interval {between(card['validation']['accuracy_95'])})",
        ),
        ("test accuracy of the same recipe, five seeds", mean_sd(five, 100, 3) + " %"),
        ("errors between 3 and 8, 4 and 9", f"{pairs.get('3/8', 0)}, {pairs.get('4/9', 0)}"),
        ("training", f"{training['epochs']} epochs in {training['seconds'] / 60:.0f} minutes ({card['machine']})"),
        ("the whole notebook", f"{card['notebook_seconds'] / 60:.0f} minutes"),
        ("dense network 784–128–64–10, for comparison", percent(dense["test_accuracy"])),
    ]
    return table(("measure", "value"), rows)


def observations() -> str:
    """Return what the numbers say."""
    card = read_card()
    test, dense = card["test"], card["dense"]
    worst = min(range(10), key=lambda digit: test["per_digit_accuracy"][digit])
    pair, count = next(iter(test["confused_pairs"].items()))
    astray, parcels = (test["postaltech"][name] for name in ("wrong_zip_codes_a_day", "parcels_a_day"))
    helped = test["review"][3]  # the threshold that the notebook's findings state
    disputed_errors = test["errors"] - test["undisputed"]["errors"]
    dense_errors = round((1 - dense["test_accuracy"]) * test["images"])
    return "\n".join(
        [
            f"- The dense network makes {dense_errors} errors, {dense_errors / test['errors']:.1f} times as many as "
            "the CNN with its augmentation.",
            f"- {disputed_errors} of the {test['errors']} errors are on labels that people dispute.",
            f"- The digit read worst is {worst} ({percent(test['per_digit_accuracy'][worst])} right), but the digits' "
            f"intervals overlap; the most confused pair is {pair} ({count} errors).",
            f"- If every reading were accepted, about {round(astray, -3):,} of PostalTech's {parcels:,} parcels a day "
            f"would get a wrong five-digit ZIP code, {percent(astray / parcels, 1)} of them. With people to read the "
            f"{percent(helped['digits to people'], 1)} of the digits that the network is least sure of, it would be "
            f"about {round(helped['parcels astray'], -3):,.0f}, a rough figure, for only {helped['errors accepted']} "
            "errors were left among the others. So the reader below sends to a person what it is not sure of.",
        ]
    )


def sample() -> str:
    """Return what training prints, and what the network says of a digit drawn outside MNIST."""
    card = read_card()
    history, own = card["training"]["history"], card["own_digit"]
    last = card["training"]["epochs"]
    lines = []
    for epoch in sorted({1, 2, last}):
        now = {name: values[epoch - 1] for name, values in history.items()}
        lines.append(
            f"epoch {epoch}: training accuracy {now['accuracy']:.4f}, loss {now['loss']:.4f}; "
            f"validation accuracy {now['val_accuracy']:.4f}, loss {now['val_loss']:.4f}"
        )
    lines.append(f"drawn: a {own['drawn']} with a bar; read: {own['read']} with probability {own['probability']:.4f}")
    return "\n".join(["```text", *lines, "```"])


def seeds() -> str:
    """Return the table of the five seeds, with mean and standard deviation."""
    rows = sorted(read_rows("seeds"), key=lambda row: row["seed"])
    columns: dict[str, Callable[[Row], str]] = {
        "seed": lambda row: str(row["seed"]),
        "epochs": lambda row: str(row["epochs"]),
        "validation log-loss": lambda row: f"{row['val_loss']:.4f}",
        "validation accuracy": lambda row: percent(row["val_accuracy"]),
        "test accuracy": lambda row: percent(row["test_accuracy"]),
    }
    summary = (
        "**mean ± sd**",
        "",
        mean_sd([row["val_loss"] for row in rows], 1, 4),
        mean_sd([row["val_accuracy"] for row in rows], 100, 3) + " %",
        "**" + mean_sd([row["test_accuracy"] for row in rows], 100, 3) + " %**",
    )
    return table(list(columns), [*([cell(row) for cell in columns.values()] for row in rows), summary])


def augmentation() -> str:
    """Return the table of the same protocol with and without augmentation."""
    committed = next(row for row in read_rows("seeds") if row["seed"] == read_card()["seed"])
    rows = [
        (name, row["epochs"], f"{row['val_loss']:.4f}", percent(row["val_accuracy"]), percent(row["test_accuracy"]))
        for name, row in (("with", committed), ("without", read_rows("no_augmentation")[0]))
    ]
    return table(("augmentation", "epochs", "validation log-loss", "validation accuracy", "test accuracy"), rows)


def goals() -> str:
    """Return the table of the goals that were set before training, and whether they are reached."""
    card = read_card()
    mean = statistics.mean(row["test_accuracy"] for row in read_rows("seeds"))
    pairs = sum(card["test"]["confused_pairs"].get(pair, 0) for pair in ("3/8", "4/9"))
    number = "{:.3g}".format
    return goal_table(
        [
            Goal("test accuracy of the committed network", "≥", 0.9955, card["test"]["accuracy"], percent),
            Goal("mean test accuracy of five seeds", "≥", 0.9972, mean, percent),
            Goal("errors between 3 and 8, 4 and 9 together", "≤", 6, pairs, number),
            Goal("minutes of the whole notebook on two cores", "≤", 25, card["notebook_seconds"] / 60, number),
        ]
    )


def recipe() -> str:
    """Return the table of the candidates that the recipe was chosen from."""
    rows = read_rows("recipe")
    lines = []
    for candidate in dict.fromkeys(row["candidate"] for row in rows):
        runs = [row for row in rows if row["candidate"] == candidate]
        losses, accuracies = [row["val_loss"] for row in runs], [row["val_accuracy"] for row in runs]
        several = len(runs) > 1
        lines.append(
            (
                candidate,
                f"{runs[0]['weights']:,}",
                runs[0]["epochs"],
                len(runs),
                mean_sd(losses, 1, 4) if several else f"{losses[0]:.4f}",
                (mean_sd(accuracies, 100, 2) if several else f"{100 * accuracies[0]:.2f}") + " %",
            )
        )
    return table(
        ("filters, blocks apart", "parameters", "epochs", "seeds", "validation log-loss", "validation accuracy"), lines
    )


def backends() -> str:
    """Return the table of the backends."""
    return table(
        ("backend", "version", "largest difference", "changed digits", "test accuracy"),
        [
            (
                row["backend"],
                row["versions"][row["backend"]],
                f"{row['largest_difference']:.1e}",
                row["changed_digits"],
                percent(row["test_accuracy"]),
            )
            for row in read_rows("backends")
        ],
    )


BLOCKS: dict[str, Callable[[], str]] = {
    block.__name__: block
    for block in (
        assumptions,
        capacity,
        headline,
        split,
        layers,
        hyperparameters,
        results,
        observations,
        sample,
        seeds,
        augmentation,
        goals,
        digit_results,
        reader_goals,
        field_goals,
        field_results,
        non_digits,
        rejection,
        corruptions,
        by_writer,
        promised,
        promise,
        adversarial,
        explanations,
        explanation_leads,
        trust_goals,
        line_methods,
        whole_path,
        path_goals,
        path_facts,
        fast,
        fast_facts,
        fast_goals,
        speedrun,
        speedrun_goals,
        samples,
        recipe,
        backends,
        load,
        load_parts,
        service_goals,
        measured,
        drift,
        false_alarms,
        exports,
        export_bounds,
        architectures,
        mnistnet,
        kinds_of_augmentation,
        regularisation,
        tuning,
        crossval,
        flattery,
        label_audit,
        ensemble,
        ensemble_goal,
        shared_errors,
        pairs,
        most_confused,
        transfer,
        compute,
    )
}


def render(text: str) -> str:
    """Return a document's text with every block made anew."""
    return re.sub(
        r"(<!-- begin: (\w+) -->\n).*?(<!-- end: \2 -->)",
        lambda match: f"{match[1]}\n{BLOCKS[match[2]]()}\n\n{match[3]}",
        text,
        flags=re.DOTALL,
    )


if __name__ == "__main__":
    try:
        rendered = {document: render(document.read_text(encoding="utf-8")) for document in DOCUMENTS}
    except TrainingError as error:
        raise SystemExit(f"The README stays as it is. {error}") from error
    for document, text in rendered.items():
        document.write_text(text, encoding="utf-8")
