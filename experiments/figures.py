"""The figures of the studies, from their result files.

python -m experiments.figures
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from digitreader.data import load_mnist
from experiments.label_audit import DISPUTED, SHOWN
from experiments.runs import ROOT, read_rows
from experiments.study_tables import MEASURES, frame

FIGURES = ROOT / "figures"
COLOURS = ["#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#000000"]


def save(figure: Figure, name: str) -> None:
    """Write a figure to figures/`name`.png."""
    figure.savefig(FIGURES / f"{name}.png", dpi=150)
    plt.close(figure)


def crossval() -> None:
    """Draw the errors of each fold, by writer and by image."""
    found = frame("crossval")
    found["errors, %"] = 100 * found["held_out.errors"] / found["held_out.images"]
    figure, ax = plt.subplots(figsize=(8, 3), layout="constrained")
    for place, (_, members) in enumerate(found.groupby("split_by", sort=False)):
        errors = members["errors, %"]
        ax.plot(errors, np.full(len(errors), place), "o", color=COLOURS[place], alpha=0.6, markersize=9)
        ax.errorbar(errors.mean(), place + 0.25, xerr=errors.std(), fmt="D", color=COLOURS[place], capsize=5)
        ax.annotate(f"{errors.mean():.2f} ± {errors.std():.2f} %", (errors.mean(), place + 0.36), ha="center")
    names = [f"by {name}" for name in found["split_by"].unique()]
    ax.set_yticks(range(len(names)), names)
    ax.set(xlabel="errors among the digits held out, %", ylim=(-0.4, len(names) - 0.35))
    ax.set_title("Five folds: every dot is a network and the fifth that it never saw", fontsize=11)
    save(figure, "crossval")


def label_audit() -> None:
    """Draw the least probable labels of the training and of the test set."""
    data = load_mnist()
    figure = plt.figure(figsize=(12, 12.8), layout="constrained")
    halves: Any = figure.subfigures(2, 1, hspace=0.04)
    for half, row in zip(halves, read_rows("label_audit"), strict=True):
        images = data.x_train if row["set"] == "training" else data.x_test
        half.suptitle(f"{row['set'].capitalize()} set: the {SHOWN} least probable labels", weight="bold")
        shown = zip(row["least_probable"], row["least_probable_suspicious"], strict=True)
        for ax, ((index, label, read), suspicious) in zip(half.subplots(3, SHOWN // 3).flat, shown, strict=True):
            ax.imshow(images[index], cmap="gray_r")
            disputed = row["set"] == "test" and index in DISPUTED
            marks = "*" * suspicious + "†" * disputed
            ax.set_title(f"#{index}{marks}\nlabel {label}, read {read}", fontsize=9)
            ax.axis("off")
    figure.supxlabel("* found wrong by confident learning    † disputed by people", fontsize=10)
    save(figure, "label_audit")


def transfer() -> None:
    """Draw the accuracy on other people's digits against how many of them are labelled."""
    found = frame("transfer")
    figure, ax = plt.subplots(figsize=(8, 4.6), layout="constrained")
    for name, colour in zip(("fine-tuned", "frozen", "from scratch"), COLOURS, strict=False):
        groups = found.groupby("shots")[f"accuracy.{name}"]
        mean, deviation = 100 * groups.mean(), 100 * groups.std()
        ax.errorbar(mean.index, mean, yerr=deviation, marker="o", capsize=4, color=colour, label=name)
    as_it_is = 100 * found["accuracy.as it is"].iloc[0]
    ax.axhline(as_it_is, color="0.4", linestyle="--", label="the committed network as it is, none labelled")
    ax.set(xscale="log", xlabel="labelled digits of each class", ylabel="accuracy on 797 unseen digits, %")
    shots = sorted(found["shots"].unique())
    ax.set_xticks(shots, [str(count) for count in shots])
    ax.xaxis.set_minor_locator(NullLocator())
    ax.set_title("Scikit-learn's digits: mean and deviation of five draws")
    ax.legend()
    save(figure, "transfer")


def architectures() -> None:
    """Draw accuracy against cost."""
    figure, ax = plt.subplots(figsize=(8, 4.6), layout="constrained")
    counted = frame("architectures").dropna(subset="multiply_adds")
    for (name, members), colour in zip(counted.groupby("settings.NETWORK", sort=False), COLOURS, strict=False):
        errors = 100 * (1 - members["test_accuracy"])
        cost = 2 * members["multiply_adds"].iloc[0] / 1e6
        ax.errorbar(cost, errors.mean(), yerr=errors.std(), fmt="o", color=colour, capsize=5, markersize=9)
        label = f"{name}\n{members['weights'].iloc[0]:,} parameters"
        ax.annotate(label, (cost, errors.mean()), (12, 4), textcoords="offset points", color=colour)
    ax.set(xscale="log", yscale="log", xlabel="million floating-point operations an image", ylabel="test errors, %")
    ax.set_xlim(right=ax.get_xlim()[1] * 3)
    ax.yaxis.set_major_formatter("{x:g}")
    ax.yaxis.set_minor_formatter("{x:g}")
    ax.set_title("Trained alike, without augmentation: mean and deviation of three seeds")
    save(figure, "architectures")


def augmentation() -> None:
    """Draw the errors of each kind of augmentation on each kind of digits."""
    groups = (1 - frame("augmentation").set_index("augmentation")[list(MEASURES)]).mul(100).groupby(level=0, sort=False)
    mean, deviation = (table.rename(columns=MEASURES) for table in (groups.mean(), groups.std()))
    notes = mean.map("{:.2f}".format) + "\n± " + deviation.map("{:.2f}".format)
    figure, ax = plt.subplots(figsize=(9, 5.4), layout="constrained")
    colours: Any = (mean / mean.min()).map(np.log)  # each kind of digits has its own best
    sns.heatmap(colours, annot=notes, fmt="", cmap="flare", cbar=False, linewidths=1, ax=ax)
    ax.set(xlabel="validation digits, and scikit-learn's digits as pictures", ylabel="trained with")
    ax.set_title("Errors in %, mean and deviation of three seeds (darker: further from the column's best)", fontsize=11)
    ax.tick_params(axis="y", rotation=0)
    save(figure, "augmentation")


def regularisation() -> None:
    """Draw the curves of training and validation loss side by side."""
    found = frame("regularisation")
    figure, axes = plt.subplots(1, 3, figsize=(14, 4.6), layout="constrained")
    for (name, members), colour in zip(found.groupby("regularisation", sort=False), COLOURS, strict=False):
        for ax, metric in zip(axes, ("log_loss", "val_log_loss", "val_accuracy"), strict=True):
            curves = pd.DataFrame(members[f"history.{metric}"].tolist()).T
            curves.index += 1
            band(ax, curves if metric != "val_accuracy" else 100 * (1 - curves), name, colour)
    for ax, title in zip(
        axes, ("Training log-loss (with dropout)", "Validation log-loss", "Validation errors, %"), strict=True
    ):
        ax.set(yscale="log", xlabel="epoch", title=title)
        ax.yaxis.set_major_formatter("{x:g}")
        ax.yaxis.set_minor_formatter("")
        ax.grid(alpha=0.3)
    axes[0].legend(fontsize=8)
    save(figure, "regularisation")


def band(ax: Axes, curves: pd.DataFrame, name: str, colour: str) -> None:
    """Draw the mean of curves (epochs, seeds), and their range as a band."""
    ax.plot(curves.index, curves.mean(axis=1), color=colour, label=name)
    ax.fill_between(curves.index, curves.min(axis=1), curves.max(axis=1), color=colour, alpha=0.15)


def ensemble() -> None:
    """Draw the accuracies with their intervals."""
    rows = read_rows("ensemble")
    figure, ax = plt.subplots(figsize=(8, 3.2), layout="constrained")
    for place, row in enumerate(reversed(rows)):
        low, high = (100 * bound for bound in row["test_accuracy_95"])
        accuracy = 100 * row["test_accuracy"]
        ax.errorbar(accuracy, place, xerr=[[accuracy - low], [high - accuracy]], fmt="o", color=COLOURS[0], capsize=5)
        ax.annotate(f"{accuracy:.2f} %", (accuracy, place + 0.15), ha="center")
    ax.set_yticks(range(len(rows)), [row["reader"] + (", shifted" if row["shifts"] else "") for row in reversed(rows)])
    ax.axvline(99.8, color="0.4", linestyle="--", label="goal")
    ax.set(xlabel="test accuracy with its 95 % interval, %", ylim=(-0.5, len(rows) - 0.4))
    ax.legend(loc="lower left")
    save(figure, "ensemble")


def pairs() -> None:
    """Draw the embedding of the digits of the confused pairs, and those on the border."""
    import keras
    from sklearn.manifold import TSNE

    from digitreader.training import MODEL
    from experiments.pairs import PAIRS
    from experiments.variants import split

    rows = read_rows("pairs")
    borders = next(row["borderline"] for row in rows if "borderline" in row)
    images, data = load_mnist().x_train, split(0)
    network = keras.models.load_model(ROOT / MODEL)
    embedding = keras.Model(network.input, network.get_layer("embedding").output)
    points = TSNE(random_state=0).fit_transform(embedding.predict(data.x_val, batch_size=500, verbose=0))
    figure = plt.figure(figsize=(14, 7), layout="constrained")
    halves: Any = figure.subfigures(1, 2, width_ratios=[1.1, 1])
    left, right = halves
    ax = left.subplots()
    for digit in range(10):
        chosen = data.y_val == digit
        ax.scatter(*points[chosen].T, s=3, color=plt.get_cmap("tab10")(digit))
        ax.annotate(str(digit), np.median(points[chosen], axis=0), fontsize=16, weight="bold", ha="center")
    ax.set(xticks=[], yticks=[], title="t-SNE of the penultimate layer: 6,000 validation digits")
    right.suptitle("Validation digits at the border of each pair: the two best classes", weight="bold")
    shown: Sequence[Sequence[list[float]]] = [borders[f"{a}/{b}"] for a, b in PAIRS]
    for line, examples in zip(right.subplots(len(PAIRS), max(map(len, shown)), squeeze=False), shown, strict=True):
        for ax in line:
            ax.axis("off")
        for ax, (row, first, p_first, second, p_second) in zip(line, examples, strict=False):
            ax.imshow(images[int(row)], cmap="gray_r")
            ax.set_title(f"{first:.0f} {p_first:.0%}, {second:.0f} {p_second:.0%}", fontsize=10)
    save(figure, "pairs")


def tuning() -> None:
    """Draw how much each parameter matters, and the trials as parallel coordinates."""
    import optuna

    from experiments.tuning import SPACE, as_study

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    rows = read_rows("tuning")
    study = as_study(rows, rows[0]["study"])
    evaluator = optuna.importance.FanovaImportanceEvaluator(seed=0)
    importances = optuna.importance.get_param_importances(study, evaluator=evaluator)
    figure, (left, right) = plt.subplots(1, 2, figsize=(15, 5), width_ratios=[1, 2.2], layout="constrained")
    names = list(importances)[::-1]
    left.barh([name.replace("_", " ") for name in names], [importances[name] for name in names], color=COLOURS[0])
    left.set(xlabel="share of the variance of the log-loss (fANOVA)", title="What the short trials depend on")
    trials = pd.DataFrame([row["parameters"] for row in rows])[list(SPACE)].astype(float)
    shown = trials.apply(lambda values: np.log(values) if getattr(SPACE[values.name], "log", False) else values)
    low, high = shown.min(), shown.max()
    losses = np.array([row["val_loss"] for row in rows])
    ranks = losses.argsort().argsort() / max(len(rows) - 1, 1)
    for line, rank in zip(((shown - low) / (high - low)).to_numpy(), ranks, strict=True):
        right.plot(line, color=plt.get_cmap("viridis")(rank), alpha=0.9 - 0.6 * rank, linewidth=2.2 - 1.5 * rank)
    ranges = {name: f"{trials[name].min():.3g} to {trials[name].max():.3g}" for name in trials} | {"decay": "no or yes"}
    labels = [f"{name.replace('_', ' ')}\n{tried}" for name, tried in ranges.items()]
    right.set_xticks(range(len(labels)), labels, rotation=30, ha="right", fontsize=9)
    right.set_yticks([0, 1], ["lowest", "highest"])
    right.set(title="The trials, each a line: the darker, the lower its validation log-loss")
    save(figure, "tuning")


DRAWN = (crossval, label_audit, transfer, architectures, augmentation, regularisation, ensemble, pairs, tuning)


def main() -> None:
    """Draw each figure whose results are there."""
    with plt.rc_context({"axes.spines.top": False, "axes.spines.right": False}):
        for draw in DRAWN:
            if read_rows(draw.__name__):
                draw()


if __name__ == "__main__":
    main()
