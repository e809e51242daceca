"""The README's tables of what each choice is worth, from the result files of the studies."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from benchmarks.results import read_result
from experiments.recipe import FINALISTS
from experiments.runs import read_rows
from experiments.tables import Goal, between, goal_table, mean_sd, percent, table

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
}


MEASURES = {  # of the study of augmentation
    "val_accuracy": "validation",
    "val_distorted.shifted": "shifted",
    "val_distorted.rotated": "rotated",
    "val_distorted.scaled": "scaled",
    "foreign": "scikit-learn's digits",
}
COMMITTED = FINALISTS[1]  # the candidate that became the recipe


def frame(name: str) -> pd.DataFrame:
    """Return the rows of a study, nested fields with dots in their names, the settings among them."""
    return pd.json_normalize(read_rows(name), max_level=1)


def architectures() -> str:
    """Return the table of the architectures, trained alike, and of what an image costs them."""
    microseconds = read_result("architectures")["microseconds"]
    rows = []
    for name, members in frame("architectures").groupby("settings.NETWORK", sort=False):
        first = members.iloc[0]
        cost, times = first["multiply_adds"], microseconds[name]
        rows.append(
            (
                name,
                f"{first['weights']:,}",
                "–" if pd.isna(cost) else f"{2 * cost / 1e6:.1f}",
                mean_sd(list(members["val_accuracy"]), 100, 2) + " %",
                mean_sd(list(members["test_accuracy"]), 100, 2) + " %",
                f"{members['seconds'].mean():,.0f}",
                f"{times['one']:,.0f}, {times['batch']:,.0f}",
            )
        )
    header = ("network", "parameters", "MFLOPs an image", "validation accuracy", "test accuracy", "seconds of training")
    return table((*header, "µs an image: alone, of a batch"), rows)


def augmentations() -> str:
    """Return the table of what each kind of augmentation does to the errors."""
    rows = [
        (name, *(mean_sd(list(1 - members[measure]), 100, 2) for measure in MEASURES))
        for name, members in frame("augmentation").groupby("augmentation", sort=False)
    ]
    return table(("augmentation", *(f"{label}, % wrong" for label in MEASURES.values())), rows)


def regularisation() -> str:
    """Return the table of networks with and without each kind of regularisation."""
    found = frame("regularisation")
    best = zip(found["history.loss"], found["best_epoch"], strict=True)
    found["loss"] = [losses[epoch - 1] for losses, epoch in best]
    rows = [
        (
            name,
            mean_sd(list(members["loss"]), 1, 4),
            mean_sd(list(members["val_loss"]), 1, 4),
            mean_sd(list(members["val_accuracy"]), 100, 2) + " %",
        )
        for name, members in found.groupby("regularisation", sort=False)
    ]
    header = ("regularisation", "training loss, penalty included", "validation log-loss", "validation accuracy")
    return table(header, rows)


def crossval() -> str:
    """Return the table of the folds by writer and by image, and how much the latter flatter."""
    found = frame("crossval")
    found["accuracy"] = 1 - found["held_out.errors"] / found["held_out.images"]
    groups = dict(list(found.groupby("split_by", sort=False)))
    rows = [
        (
            f"by {name}",
            f"{members['held_out.images'].sum():,}",
            f"{members['held_out.errors'].sum():,}",
            mean_sd(list(members["accuracy"]), 100, 2) + " %",
            mean_sd(list(members["held_out.log_loss"]), 1, 4),
        )
        for name, members in groups.items()
    ]
    by_writer, by_image = groups["writer"], groups["image"]
    rows.append(
        (
            "the difference, ± standard error",
            "",
            f"{by_image['held_out.errors'].sum() - by_writer['held_out.errors'].sum():+,}",
            difference(by_image["accuracy"], by_writer["accuracy"], 100, 2) + " points",
            difference(by_image["held_out.log_loss"], by_writer["held_out.log_loss"], 1, 4),
        )
    )
    return table(("five folds", "digits held out", "errors", "accuracy", "log-loss"), rows)


def difference(one: Any, other: Any, scale: float, digits: int) -> str:
    """Return the difference of two means ± its standard error, of `scale` times the values."""
    error = np.hypot(one.sem(), other.sem())
    gain = f"{scale * (one.mean() - other.mean()):+.{digits}f}".replace("-", "\N{MINUS SIGN}")
    return f"{gain} ± {scale * error:.{digits}f}"


def label_audit() -> str:
    """Return the table of suspicious labels."""
    rows = [
        (
            f"{row['set']} set",
            f"{row['digits']:,}",
            f"{row['suspicious']} ({percent(row['suspicious'] / row['digits'])})",
            row["errors"],
            row["suspicious_errors"],
            row.get("disputed_errors", "–"),
        )
        for row in read_rows("label_audit")
    ]
    return table(
        ("", "digits", "suspicious labels", "errors", "with a suspicious label", "with a disputed label"), rows
    )


def ensemble() -> str:
    """Return the table of one network and five, with and without shifts."""
    rows = [
        (
            row["reader"] + (", nine places" if row["shifts"] else ""),
            row["errors"],
            f"{percent(row['test_accuracy'])} ({between(row['test_accuracy_95'])})",
            f"{row['log_loss']:.4f}",
            f"{row['against_single']['only_this_right']} : {row['against_single']['only_single_right']}",
            f"{row['against_single']['p_value']:.2g}",
        )
        for row in read_rows("ensemble")
    ]
    header = ("reader", "errors", "test accuracy (95 %)", "log-loss", "only it right : only the single", "McNemar's p")
    return table(header, rows)


def ensemble_goal() -> str:
    """Return the table of the ensemble's goal."""
    best = read_rows("ensemble")[-1]
    return goal_table(
        [Goal("five networks, nine places", "≥", 0.998, best["test_accuracy"], percent, best["test_accuracy_95"])]
    )


def transfer() -> str:
    """Return the table of what labelled digits of other people are worth."""
    rows = []
    found = frame("transfer")
    names = [column for column in found if column.startswith("accuracy.")]
    for shots, members in found.groupby("shots"):
        accuracies = [members[name] for name in names]
        cells = [mean_sd(list(a), 100, 1) if np.ptp(a) > 0 else f"{100 * a.mean():.1f}" for a in accuracies]
        rows.append((shots, *(f"{cell} %" for cell in cells)))
    return table(("labelled of each digit", *(name.removeprefix("accuracy.") for name in names)), rows)


def pairs() -> str:
    """Return the table of how often pairs are confused; of several seeds their mean and deviation."""
    rows = []
    found = frame("pairs")
    names = [column for column in found if column.startswith("confused.")]
    for reader, members in found.groupby("reader", sort=False):
        several = len(members) > 1
        cells = [mean_sd(list(members[name]), 1, 1) if several else members[name].iloc[0] for name in names]
        rows.append((reader, members["split"].iloc[0], *cells))
    return table(("reader", "set", *(name.removeprefix("confused.") for name in names)), rows)


def tuning() -> str:
    """Return the table of the best trial's recipe, trained in full, beside the committed one."""
    best = min(read_rows("tuning"), key=lambda row: row["val_loss"])
    recipe = read_rows("tuning")[0]
    full = {
        "committed recipe": [row["val_loss"] for row in read_rows("recipe") if row["candidate"] == COMMITTED],
        "best of the trials": [row["val_loss"] for row in read_rows("tuning_finalist")],
    }
    rows = [
        (name, f"{trial['val_loss']:.4f}", mean_sd(full[name], 1, 4))
        for name, trial in (("committed recipe", recipe), ("best of the trials", best))
    ]
    one, other = (pd.Series(values) for values in full.values())
    gain, error = one.mean() - other.mean(), np.hypot(one.sem(), other.sem())
    verdict = "adopted" if gain > 2 * error else "not adopted"
    rows.append((f"gain ± standard error: {verdict}", "", difference(one, other, 1, 4)))
    return table(("recipe", "validation log-loss, short trial", "in full, three seeds"), rows)


def compute() -> str:
    """Return the table of what the studies cost."""
    rows = []
    total = trainings = 0.0
    for name, description in STUDIES.items():
        found = read_rows(name)
        if name == "ensemble" and found:
            found = found[-1]["trained_for_it"]
        if found:
            hours = sum(row["seconds"] * row.get("threads", 1) for row in found) / 3600
            count = sum(row.get("trainings", 1) for row in found)
            rows.append((f"`{name}.json`", description, count, f"{hours:.1f}"))
            total, trainings = total + hours, trainings + count
    rows.append(("**all**", "", f"{trainings:.0f}", f"**{total:.0f}**"))
    return table(("results", "what was trained", "trainings", "core-hours"), rows)
