"""The README's tables of what each choice is worth, from the result files of the studies."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.results import read_result
from experiments.label_audit import RANKS
from experiments.pairs import counts
from experiments.runs import Row, committed_settings, read_rows
from experiments.tables import Goal, between, difference, goal_table, mean_sd, percent, table
from experiments.tuning import adopted, of_the_recipe

STUDIES = {  # everything that was trained, and what for
    "recipe": "candidates of the recipe",
    "seeds": "five seeds of the committed recipe",
    "no_augmentation": "the same without augmentation",
    "architectures": "architectures",
    "augmentation": "kinds of augmentation",
    "regularisation": "kinds of regularisation",
    "crossval": "cross-validation",
    "tuning": "short trials",
    "tuning_finalist": "the best trial's recipe in full",
    "ensemble": "members of the ensemble",
    "transfer": "transfer",
    "reader_network": "the reader's picture network, and its folds",
    "fast_network": "the fast network",
    "adversarial": "training against attacks",
}


MEASURES = {  # of the study of augmentation
    "val_accuracy": "validation",
    "val_distorted.shifted": "shifted",
    "val_distorted.rotated": "rotated",
    "val_distorted.scaled": "scaled",
    "foreign": "scikit-learn's digits",
}
ENSEMBLE_GOAL = 0.998
STATED = 0.9930  # MNISTNet's accuracy, where it comes from


def frame(name: str) -> pd.DataFrame:
    """Return the rows of a study, nested fields with dots in their names, the settings among them."""
    return pd.json_normalize(read_rows(name), max_level=1)


def architectures() -> str:
    """Return the table of the architectures, trained alike, and of what an image costs them."""
    microseconds = read_result("architectures")["microseconds"]
    rows = []
    for name, members in frame("architectures").groupby("settings.NETWORK", sort=False):
        first, times = members.iloc[0], microseconds[name]
        rows.append(
            (
                name,
                f"{first['weights']:,}",
                f"{2 * first['multiply_adds'] / 1e6:.1f}",
                mean_sd(list(members["val_accuracy"]), 100, 2) + " %",
                mean_sd(list(members["test_accuracy"]), 100, 2) + " %",
                f"{times['one']:,.0f}",
                f"{times['batch']:,.0f}",
                f"{times['training'] * first['split.training'] / 1e6:,.0f}",
            )
        )
    header = ("network", "parameters", "MFLOPs an image", "validation accuracy", "test accuracy")
    return table((*header, "µs an image, alone", "of a batch", "seconds of an epoch"), rows)


def mnistnet() -> str:
    """Return in sentences how MNISTNet fares in both frameworks."""
    ratio = read_result("architectures")["torch_to_keras"]
    accuracy = frame("architectures").set_index("settings.NETWORK")["test_accuracy"]
    keras, torch = accuracy["MNISTNet"], accuracy["MNISTNet (PyTorch)"]
    return (
        f"MNISTNet's stated {percent(STATED)} is reached by {int((torch >= STATED).sum())} of {len(torch)} trainings "
        f"in PyTorch and by {int((keras >= STATED).sum())} of {len(keras)} in Keras; PyTorch's accuracies differ from "
        f"Keras's by {difference(list(torch), list(keras), 100, 2)} points (± standard error). Its TorchScript file "
        f"takes {ratio['one']:.1f} times as long as the ONNX file of the Keras build for an image alone, "
        f"{ratio['batch']:.1f} times in batches of 64."
    )


def kinds_of_augmentation() -> str:
    """Return the table of what each kind of augmentation does to the errors."""
    rows = [
        (name, *(mean_sd(list(1 - members[measure]), 100, 2) for measure in MEASURES))
        for name, members in frame("augmentation").groupby("augmentation", sort=False)
    ]
    return table(("augmentation", *(f"{label}, % wrong" for label in MEASURES.values())), rows)


def regularisation() -> str:
    """Return the table of networks with and without each kind of regularisation."""
    found = frame("regularisation")
    found["log_loss"] = [losses[-1] for losses in found["history.log_loss"]]
    rows = [
        (
            name,
            mean_sd(list(members["log_loss"]), 1, 4),
            mean_sd(list(members["val_loss"]), 1, 4),
            mean_sd(list(members["val_accuracy"]), 100, 2) + " %",
        )
        for name, members in found.groupby("regularisation", sort=False)
    ]
    header = (
        "regularisation",
        "training log-loss, last epoch, with dropout",
        "validation log-loss, best epoch",
        "validation accuracy, best epoch",
    )
    return table(header, rows)


def crossval() -> str:
    """Return the table of the folds by writer and by image, and how much the latter flatter."""
    found = frame("crossval")
    found["accuracy"] = 1 - found["held_out.errors"] / found["held_out.images"]
    rows = [
        (
            f"by {name}",
            f"{members['held_out.images'].sum():,}",
            f"{members['held_out.errors'].sum():,}",
            mean_sd(list(members["accuracy"]), 100, 2) + " %",
            mean_sd(list(members["held_out.log_loss"]), 1, 4),
        )
        for name, members in found.groupby("split_by", sort=False)
    ]
    return table(("five folds", "digits held out", "errors", "accuracy", "log-loss"), rows)


def flattery() -> str:
    """Return in a sentence how much a split by image flatters, digit by digit."""
    (row,) = read_rows("flattery")
    difference, error = (f"{100 * row[name]:.3f}" for name in ("difference", "standard_error"))
    return (
        f"Of the same 60,000 digits, {row['by_writer_only']} are misread only if split by writer and "
        f"{row['by_image_only']} only if split by image: {difference} ± {error} points more errors on hands never seen "
        f"(standard error by bootstrap over {row['writers']} writers; one training each)."
    )


def label_audit() -> str:
    """Return the table of the labels that confident learning flags, and of those that people dispute."""
    rows = []
    for row in read_rows("label_audit"):
        flagged = f"{len(row['flagged'])} ({percent(len(row['flagged']) / row['digits'])})"
        disputed: list[Any] = ["–"] * 4
        if "disputed" in row:
            disputed = [row[name] for name in ("disputed", "disputed_errors", "disputed_flagged")]
            disputed.append(", ".join(map(str, row["disputed_in_least_probable"].values())))
        rows.append((f"{row['set']} set", f"{row['digits']:,}", row["errors"], flagged, *disputed))
    header = ("", "digits", "errors", "labels flagged", "labels disputed", "disputed and misread")
    ranks = ", ".join(map(str, RANKS))
    return table((*header, "disputed and flagged", f"disputed among the {ranks} least probable"), rows)


def of_the_members() -> Row:
    """Return the row of the ensemble that tells of its members."""
    return next(row for row in read_rows("ensemble") if "members_confusion" in row)


def reader(row: Row) -> str:
    """Return what a row of the study of ensembles is called."""
    name = "the committed one" if row["networks"] == 1 else "the five averaged"
    return name + (", nine places" if row["shifts"] else "")


def ensemble() -> str:
    """Return the table of one network and five, with and without shifts."""
    confusions = [np.array(confusion) for confusion in of_the_members()["members_confusion"]]
    committed, *others = read_rows("ensemble")
    rows: list[tuple[Any, ...]] = [
        (
            reader(row),
            row["errors"],
            f"{percent(row['test_accuracy'])} ({between(row['test_accuracy_95'])})",
            f"{row['log_loss']:.4f}",
            f"{row['against_single']['only_this_right']} : {row['against_single']['only_single_right']}",
            f"{row['against_single']['p_value']:.2g}",
        )
        for row in others
    ]
    rows[:0] = [
        (
            "each of the five alone",
            mean_sd([counts(confusion)["all"] for confusion in confusions], 1, 1),
            mean_sd([confusion.trace() / confusion.sum() for confusion in confusions], 100, 3) + " %",
            "",
            "",
            "",
        ),
        (
            reader(committed),
            committed["errors"],
            f"{percent(committed['test_accuracy'])} ({between(committed['test_accuracy_95'])})",
            f"{committed['log_loss']:.4f}",
            "",
            "",
        ),
    ]
    header = (
        "reader",
        "errors",
        "test accuracy (95 %)",
        "log-loss",
        "only it right : only the committed one",
        "McNemar's p",
    )
    return table(header, rows)


def ensemble_goal() -> str:
    """Return the table of the ensemble's goal."""
    best = next(row for row in read_rows("ensemble") if row["networks"] > 1 and row["shifts"])
    accuracy, interval = best["test_accuracy"], best["test_accuracy_95"]
    return goal_table([Goal(reader(best), "≥", ENSEMBLE_GOAL, accuracy, percent, interval)])


def shared_errors() -> str:
    """Return in a sentence how many errors the members of the ensemble share."""
    members = of_the_members()["members_misread"]
    _, misread_by = np.unique(np.concatenate(members), return_counts=True)
    return (
        f"Of the {len(misread_by)} digits that any of the five misreads, {int((misread_by == len(members)).sum())} are "
        f"misread by all of them and {int((misread_by == 1).sum())} by one alone."
    )


def transfer() -> str:
    """Return the table of what labelled digits of other people are worth."""
    rows = []
    found = frame("transfer")
    names = [column for column in found if column.startswith("accuracy.")]
    for shots, members in found.groupby("shots"):
        accuracies = [members[name] for name in names]
        gain = members["accuracy.fine-tuned"] - members["accuracy.frozen"]
        cells = [f"{mean_sd(list(values), 100, 1)} %" for values in accuracies]
        rows.append((shots, *cells, mean_sd(list(gain), 100, 1)))
    header = (name.removeprefix("accuracy.") for name in names)
    return table(("labelled of each digit", *header, "points gained by fine-tuning"), rows)


def pairs() -> str:
    """Return the table of how often pairs are confused; of several seeds their mean and deviation."""
    rows = []
    found = frame("pairs")
    names = [column for column in found if column.startswith("confused.")]
    for network, members in found.groupby("reader", sort=False):
        rates = members[names].div(members["digits"], axis=0)
        rows.append((network, members["split"].iloc[0], *(mean_sd(list(rates[name]), 10_000, 1) for name in names)))
    header = ("errors among 10,000 digits", "set", *(name.removeprefix("confused.") for name in names))
    return table(header, rows)


def most_confused() -> str:
    """Return in a sentence which pairs the five networks of the recipe confuse most."""
    confusions = np.array(of_the_members()["members_confusion"])
    errors = {f"{a}/{b}": confusions[:, a, b] + confusions[:, b, a] for a, b in itertools.combinations(range(10), 2)}
    most = sorted(errors, key=lambda pair: -errors[pair].mean())[:4]
    found = ", ".join(f"{pair} ({mean_sd(errors[pair].tolist(), 1, 1)})" for pair in most)
    return f"Of all pairs, the networks with the whole recipe confuse these most on the test set: {found}."


def tuning() -> str:
    """Return the table of the best trial's recipe, trained in full, beside the committed one."""
    trials, finalist = read_rows("tuning"), read_rows("tuning_finalist")
    blocks = committed_settings()["BLOCKS"]
    recipe = [row for row in read_rows("recipe") if row["settings"]["BLOCKS"] == blocks]
    best = min(trials, key=lambda row: row["val_loss"])
    rows = [
        (name, f"{trial['val_loss']:.4f}", epochs, mean_sd([row["val_loss"] for row in full], 1, 4))
        for name, trial, epochs, full in (
            ("committed recipe", of_the_recipe(trials), recipe[0]["epochs"], recipe),
            ("best of the trials", best, finalist[0]["settings"]["EPOCHS"], finalist),
        )
    ]
    one, other = ([row["val_loss"] for row in full] for full in (recipe, finalist))
    verdict = "adopted" if adopted(one, other) else "not adopted"
    rows.append((f"gain ± standard error: {verdict}", "", "", difference(one, other, 1, 4)))
    header = (
        "recipe",
        "validation log-loss, short trial, one seed",
        "epochs in full",
        "validation log-loss, three seeds",
    )
    return table(header, rows)


def compute() -> str:
    """Return the table of what the trainings cost whose results are kept."""
    rows = []
    total = trainings = 0.0
    for name, description in STUDIES.items():
        found = read_rows(name)
        if name == "ensemble" and found:
            found = found[-1]["trained_for_it"]
        if found:
            # Rows from before processor time was noted tell the time of their threads, a little more as a rule.
            hours = sum(row.get("cpu_seconds", row["seconds"] * row.get("threads", 1)) for row in found) / 3600
            count = sum(row.get("trainings", 1) for row in found)
            rows.append((f"`{name}.json`", description, count, f"{hours:.1f}"))
            total, trainings = total + hours, trainings + count
    rows.append(("**all**", "", f"**{trainings:.0f}**", f"**{total:.0f}**"))
    return table(("results", "what was trained", "trainings", "hours of one core, about"), rows)
