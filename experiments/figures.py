"""The figures of the studies, from their result files.

python -m experiments.figures
"""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator
from optuna.distributions import CategoricalDistribution

from digitreader.data import load_mnist
from experiments.label_audit import DISPUTED, SHOWN
from experiments.runs import ROOT, read_rows
from experiments.study_tables import ENSEMBLE_GOAL, MEASURES, frame, reader

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
        heights = place + 0.1 * (errors.rank(method="first") % 2)  # so that equal ones can be told apart
        ax.plot(errors, heights, "o", color=COLOURS[place], alpha=0.6, markersize=9)
        ax.errorbar(errors.mean(), place + 0.32, xerr=errors.std(), fmt="D", color=COLOURS[place], capsize=5)
        ax.annotate(f"{errors.mean():.2f} ± {errors.std():.2f} %", (errors.mean(), place + 0.43), ha="center")
    names = [f"by {name}" for name in found["split_by"].unique()]
    ax.set_yticks(range(len(names)), names)
    ax.set(xlabel="errors among the digits held out, %", ylim=(-0.4, len(names) - 0.3))
    ax.set_title("Five folds: every dot is a network and the fifth that it never saw", fontsize=11)
    save(figure, "crossval")


def label_audit() -> None:
    """Draw the least probable labels of the training and of the test set."""
    data = load_mnist()
    figure = plt.figure(figsize=(12, 13), layout="constrained")
    halves: Any = figure.subfigures(2, 1, hspace=0.04)
    for half, row in zip(halves, read_rows("label_audit"), strict=True):
        images = data.x_train if row["set"] == "training" else data.x_test
        half.suptitle(f"\n{row['set'].capitalize()} set: the {SHOWN} least probable labels", weight="bold")
        for ax, (index, label, read) in zip(half.subplots(3, SHOWN // 3).flat, row["least_probable"], strict=True):
            ax.imshow(images[index], cmap="gray_r")
            disputed = row["set"] == "test" and index in DISPUTED
            marks = "*" * (index in row["flagged"]) + "†" * disputed
            ax.set_title(f"#{index}{marks}\nlabel {label}, read {read}", fontsize=9)
            ax.axis("off")
    figure.supxlabel("* flagged by confident learning    † disputed by people", fontsize=10)
    save(figure, "label_audit")


def transfer() -> None:
    """Draw the errors on other people's digits against how many of them are labelled."""
    found = frame("transfer")
    figure, ax = plt.subplots(figsize=(8, 4.8), layout="constrained")
    for name, colour, aside in zip(("from scratch", "frozen", "fine-tuned"), COLOURS, (0.97, 1, 1.03), strict=False):
        groups = 100 * (1 - found.set_index("shots")[f"accuracy.{name}"]).groupby(level=0).agg(["mean", "std"])
        places = groups.index * aside
        ax.errorbar(places, groups["mean"], yerr=groups["std"], marker="o", capsize=4, color=colour, label=name)
    as_it_is = 100 * (1 - found["accuracy.as it is"].mean())
    ax.axhline(as_it_is, color="0.4", linestyle="--", label="the committed network as it is, no labels used")
    ax.set(xscale="log", yscale="log", xlabel="labelled digits of each class", ylabel="errors on 797 other digits, %")
    shots = sorted(found["shots"].unique())
    ax.set_xticks(shots, [str(count) for count in shots])
    ax.xaxis.set_minor_locator(NullLocator())
    ax.set_yticks([0.5, 1, 2, 5, 10, 20, 50])
    ax.yaxis.set_major_formatter("{x:g}")
    ax.yaxis.set_minor_formatter("")
    ax.set_title("Scikit-learn's digits: mean and standard deviation of five draws", fontsize=11)
    ax.legend()
    save(figure, "transfer")


def architectures() -> None:
    """Draw accuracy against cost."""
    figure, ax = plt.subplots(figsize=(8, 4.6), layout="constrained")
    networks = frame("architectures").groupby("settings.NETWORK", sort=False)
    for (name, members), colour in zip(networks, COLOURS, strict=False):
        errors = 100 * (1 - members["test_accuracy"])
        cost = 2 * members["multiply_adds"].iloc[0] / 1e6
        cost *= 0.92 if "PyTorch" in str(name) else 1  # beside the Keras build, whose cost is the same
        ax.errorbar(cost, errors.mean(), yerr=errors.std(), fmt="o", color=colour, capsize=5, markersize=9)
        label = f"{name}\n{members['weights'].iloc[0]:,} parameters"
        aside, ha = ((-12, -12), "right") if "PyTorch" in str(name) else ((12, 0), "left")
        ax.annotate(label, (cost, errors.mean()), aside, textcoords="offset points", color=colour, ha=ha)
    ax.set(xscale="log", yscale="log", xlabel="million floating-point operations an image", ylabel="test errors, %")
    ax.set_xlim(right=ax.get_xlim()[1] * 3)
    ax.xaxis.set_major_formatter("{x:g}")
    ax.yaxis.set_major_formatter("{x:g}")
    ax.yaxis.set_minor_formatter("{x:g}")
    ax.set_title("Trained alike, without augmentation: mean and standard deviation of three seeds", fontsize=11)
    save(figure, "architectures")


def augmentation() -> None:
    """Draw the errors of each kind of augmentation on each kind of digits."""
    groups = (1 - frame("augmentation").set_index("augmentation")[list(MEASURES)]).mul(100).groupby(level=0, sort=False)
    mean, deviation = groups.mean(), groups.std()
    figure, axes = plt.subplots(1, len(MEASURES), figsize=(13, 4), sharey=True, layout="constrained")
    for ax, (measure, name) in zip(axes, MEASURES.items(), strict=True):
        ax.errorbar(mean[measure], mean.index, xerr=deviation[measure], fmt="o", color=COLOURS[0], capsize=3)
        ax.set(title=name, xlabel="errors in %", xlim=(0, None))
        ax.grid(axis="x", alpha=0.3)
    axes[0].invert_yaxis()
    axes[0].set_ylabel("trained with")
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
        ax.grid(alpha=0.3)
    for ax, ticks in zip(axes, ((0.001, 0.01, 0.1), (0.03, 0.04, 0.06, 0.1), (0.8, 1, 1.5, 2, 3)), strict=True):
        ax.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
        ax.yaxis.set_minor_locator(NullLocator())
    axes[0].legend(fontsize=8)
    figure.suptitle("Mean of three seeds, and their range", fontsize=11)
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
    ax.set_yticks(range(len(rows)), [reader(row) for row in reversed(rows)])
    ax.axvline(100 * ENSEMBLE_GOAL, color="0.4", linestyle="--", label="goal")
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

    borders = next(row["borderline"] for row in read_rows("pairs") if "borderline" in row)
    data, validation = load_mnist(), split(0)
    images = data.x_train
    network = keras.models.load_model(ROOT / MODEL)
    embedding = keras.Model(network.input, network.get_layer("embedding").output)
    points = TSNE(random_state=0, perplexity=30).fit_transform(
        embedding.predict(validation.x_val, batch_size=500, verbose=0)
    )
    # A digit's row in the training set from its row among the validation digits.
    pixels = (validation.x_val[..., 0] * 255).round().astype(np.uint8)
    place = {image.tobytes(): row for row, image in enumerate(pixels)}
    figure = plt.figure(figsize=(14, 7), layout="constrained")
    halves: Any = figure.subfigures(1, 2, width_ratios=[1.1, 1])
    left, right = halves
    ax = left.subplots()
    for colour, pair in zip(COLOURS, PAIRS, strict=False):
        for digit, shade in zip(pair, (0.9, 0.45), strict=True):
            chosen = validation.y_val == digit
            ax.scatter(*points[chosen].T, s=4, color=colour, alpha=shade, linewidths=0)
            ax.annotate(str(digit), np.median(points[chosen], axis=0), fontsize=18, weight="bold", ha="center")
    for digit in sorted(set(range(10)) - set(np.ravel(PAIRS).tolist())):
        chosen = validation.y_val == digit
        ax.scatter(*points[chosen].T, s=4, color="0.8", linewidths=0)
        ax.annotate(str(digit), np.median(points[chosen], axis=0), fontsize=18, color="0.5", ha="center")
    shown: Sequence[Sequence[list[float]]] = [borders[f"{a}/{b}"] for a, b in PAIRS]
    letters = iter("abcdefghijklmnop")
    axes = right.subplots(len(PAIRS), max(map(len, shown)), squeeze=False)
    for line, examples in zip(axes, shown, strict=True):
        for picture in line:
            picture.axis("off")
        beside = itertools.cycle([(6, 4), (-14, 4), (6, -14), (-14, -14)])  # neighbours' letters go to other sides
        for picture, (row, first, p_first, second, p_second) in zip(line, examples, strict=False):
            letter = next(letters)
            picture.imshow(images[int(row)], cmap="gray_r")
            guesses = f"{first:.0f} {p_first:.0%}, {second:.0f} {p_second:.0%}"
            picture.set_title(f"{letter}: label {data.y_train[int(row)]}\n{guesses}", fontsize=9)
            where = points[place[images[int(row)].tobytes()]]
            ax.scatter(*where, s=60, facecolors="none", edgecolors="black")
            ax.annotate(letter, where, next(beside), textcoords="offset points", fontsize=11, weight="bold")
    ax.set(xticks=[], yticks=[], title="t-SNE (perplexity 30) of the penultimate layer: 6,000 validation digits")
    right.suptitle("Closest to the border of each pair: label, and the two best classes")
    save(figure, "pairs")


def tuning() -> None:
    """Draw how much each parameter matters, by two methods on resampled trials, and the trials as lines."""
    import optuna
    from optuna.importance import BaseImportanceEvaluator, FanovaImportanceEvaluator, PedAnovaImportanceEvaluator

    from experiments.tuning import SPACE, as_study, of_the_recipe

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    rows, rng = read_rows("tuning"), np.random.default_rng(0)
    drawn = [[rows[k] for k in rng.integers(len(rows), size=len(rows))] for _ in range(20)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        methods: dict[str, BaseImportanceEvaluator] = {
            "fANOVA": FanovaImportanceEvaluator(seed=0),
            "PED-ANOVA": PedAnovaImportanceEvaluator(),
        }
    names = [name.replace("_", "\n") for name in SPACE]
    figure, (top, bottom) = plt.subplots(2, 1, figsize=(12, 9), height_ratios=[1, 1.6], layout="constrained")
    for offset, colour, (method, evaluator) in zip((-0.2, 0.2), COLOURS, methods.items(), strict=False):
        shares = [
            optuna.importance.get_param_importances(as_study(draw, rows[0]["study"]), evaluator=evaluator)
            for draw in drawn
        ]
        low, middle, high = np.quantile([[share[name] for name in SPACE] for share in shares], (0.1, 0.5, 0.9), axis=0)
        places = np.arange(len(SPACE)) + offset
        top.bar(places, middle, 0.36, color=colour, label=method)
        top.errorbar(places, middle, yerr=(middle - low, high - middle), fmt="none", color="black", capsize=4)
    top.set_xticks(range(len(names)), names)
    top.set_xlim(-0.6, len(names) - 0.6)
    top.set(
        ylabel="importance",
        title="Importance: median of 20 bootstrap samples of the trials, and their 10th to 90th percentile",
    )
    top.legend()

    heights = np.column_stack(
        [
            axis(bottom, place, SPACE[name], [row["parameters"][name] for row in rows], rng)
            for place, name in enumerate(SPACE)
        ]
    )
    losses = np.array([row["val_loss"] for row in rows])
    scale = plt.cm.ScalarMappable(LogNorm(losses.min(), losses.max()), "viridis")
    for row, line in sorted(zip(rows, heights, strict=True), key=lambda pair: -pair[0]["val_loss"]):
        is_recipe = row is of_the_recipe(rows)
        shade: Any = COLOURS[5] if is_recipe else scale.to_rgba(row["val_loss"])
        bottom.plot(
            line, color=shade, linewidth=3 if is_recipe else 1.4, label="committed recipe" if is_recipe else None
        )
    bar = figure.colorbar(scale, ax=[top, bottom], pad=0.01, aspect=40, label="validation log-loss")
    bar.ax.yaxis.set_major_formatter("{x:g}")
    bar.ax.yaxis.set_minor_formatter("{x:g}")
    bottom.set_xticks(range(len(names)), names)
    bottom.set(yticks=[], ylim=(-0.05, 1.05), xlim=(-0.6, len(names) - 0.6), title="The trials, each a line")
    bottom.spines[["left", "bottom"]].set_visible(False)
    bottom.tick_params(axis="x", length=0, pad=8)
    bottom.legend(loc="lower left", bbox_to_anchor=(0, 1))
    save(figure, "tuning")


def axis(ax: Axes, place: int, kind: Any, values: Sequence[Any], rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """Draw one of the parallel axes with its scale, and return the heights of the values, moved a little apart."""
    if isinstance(kind, CategoricalDistribution):
        marks: Sequence[Any] = kind.choices
        heights = np.array([marks.index(value) for value in values]) / (len(marks) - 1)
        ticks = np.arange(len(marks)) / (len(marks) - 1)
    else:
        marks = [0.0003, 0.001, 0.003, 0.005] if kind.log else np.linspace(kind.low, kind.high, 3).tolist()
        shown, marked, low, high = (
            (np.log(v) if kind.log else np.array(v)) for v in (values, marks, kind.low, kind.high)
        )
        heights, ticks = (shown - low) / (high - low), (marked - low) / (high - low)
    ax.axvline(place, color="0.5", linewidth=1)
    for mark, tick in zip(marks, ticks, strict=True):
        label = f"{mark:.3g}" if isinstance(mark, float) else {True: "yes", False: "no"}.get(mark, str(mark))
        ax.annotate(
            label,
            (place, tick),
            (-5, 0),
            textcoords="offset points",
            fontsize=9,
            ha="right",
            va="center",
            zorder=5,
            bbox={"boxstyle": "round,pad=0.1", "facecolor": "white", "edgecolor": "none", "alpha": 0.8},
        )
    found: npt.NDArray[np.float64] = heights + rng.uniform(-0.02, 0.02, len(heights))
    return found


DRAWN = (crossval, label_audit, transfer, architectures, augmentation, regularisation, ensemble, pairs, tuning)


def main() -> None:
    """Draw each figure whose results are there."""
    with plt.rc_context({"axes.spines.top": False, "axes.spines.right": False}):
        for draw in DRAWN:
            if read_rows(draw.__name__):
                draw()


if __name__ == "__main__":
    main()
