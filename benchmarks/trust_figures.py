"""The figures of what acceptance is worth: non-digits, corruptions, writers, and a gallery of failures.

python -m benchmarks.trust_figures
"""

from __future__ import annotations

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes

from benchmarks.drift_figure import drift
from benchmarks.explanations_figure import explanations
from benchmarks.results import read_result
from digitreader.data import load_mnist
from digitreader.decision import Reading
from digitreader.reader import DigitReader
from experiments.corruptions import CORRUPTIONS, corrupt
from experiments.figures import COLOURS, save
from experiments.runs import read_rows
from experiments.trust_tables import NAMES

SEED = 0
SHOWN = 12
EXAMPLE = 7  # the test digit that the corruptions are shown on


def rejection() -> None:
    """Draw the AUROC of each score on each kind that no network has seen."""
    rows = read_rows("rejection")
    kinds = sorted(rows[-1]["auroc"], key=lambda kind: -rows[-1]["auroc"][kind])
    figure, ax = plt.subplots(figsize=(10, 6), layout="constrained")
    places = np.arange(len(kinds))
    for number, (row, colour) in enumerate(zip(rows, COLOURS, strict=False)):
        missed = [1 - row["auroc"][kind] for kind in kinds]
        ax.plot(np.maximum(missed, 1e-5), places + 0.12 * (number - 2), "o", color=colour, label=row["score"])
    ax.axvline(0.01, color="0.6", linewidth=1, linestyle=":", label="the goal's 0.99")
    ax.set_yticks(places, [NAMES[kind].split(" (")[0] for kind in kinds])
    ax.set(xscale="log", xlabel="one less the AUROC, on kinds never seen (left is better)")
    ax.grid(alpha=0.3)
    ax.legend(fontsize=9)
    save(figure, "rejection")


def corruptions() -> None:
    """Draw each corruption, and what the reader makes of it."""
    measured: dict[str, Any] = read_result("corruptions")["corruptions"]
    names = list(measured)
    image = load_mnist().x_test[EXAMPLE]
    figure = plt.figure(figsize=(13, 6), layout="constrained")
    halves: Any = figure.subfigures(2, 1, height_ratios=(1, 4))
    for number, (square, name) in enumerate(zip(halves[0].subplots(1, len(names)), names, strict=True)):
        shown = image if name == "none" else corrupt(image, name, np.random.default_rng((SEED, number - 1, EXAMPLE)))
        square.imshow(shown, cmap="gray", vmin=0, vmax=255)
        square.set_axis_off()
    ax: Axes = halves[1].subplots()
    places = np.arange(len(names))
    bars = {
        "digits' network alone, right": ("accuracy_of_the_network_alone", "0.75"),
        "reader, right": ("accuracy", COLOURS[0]),
        "reader, accepted": ("accepted", COLOURS[4]),
    }
    for number, (label, (key, colour)) in enumerate(bars.items()):
        heights = [100 * measured[name][key] for name in names]
        ax.bar(places + 0.27 * (number - 1), heights, 0.25, color=colour, label=label)
    for place, name in zip(places, names, strict=True):
        ax.annotate(f"{100 * measured[name]['wrong_among_accepted']:.2f}", (place, 102), ha="center", fontsize=9)
    ax.annotate("% wrong of what is accepted:", (-0.5, 109), fontsize=9)
    ax.set(ylim=(0, 122), xlim=(-0.6, len(names) - 0.4), yticks=range(0, 101, 20), ylabel="% of the test digits")
    ax.spines["left"].set_bounds(0, 100)
    ax.set_xticks(places, [name.replace(" ", "\n") for name in names], fontsize=9)
    ax.legend(fontsize=9, loc="upper right", ncols=3)
    save(figure, "corruptions")


def by_writer() -> None:
    """Draw the error rate of every writer, all readings and the accepted ones."""
    (row,) = read_rows("by_writer")
    figure, ax = plt.subplots(figsize=(8, 3.6), layout="constrained")
    spared = 100 * row["all"]["rates"].count(0) / len(row["all"]["rates"])
    for name, colour in (("all", COLOURS[5]), ("accepted", COLOURS[0])):
        rates = 100 * np.array(row[name]["rates"])
        label = f"{name} readings: mean {100 * row[name]['rate']:.2f} %"
        ax.step(100 * np.arange(1, len(rates) + 1) / len(rates), rates, where="pre", color=colour, label=label)
    ax.axvspan(0, 10, color="0.92", label="the worst tenth")
    ax.annotate(f"the other {spared:.0f} %: none →", (100.6 - spared, 0.1), fontsize=9, color="0.3")
    ax.set(xlabel="writers, the worst first, %", ylabel="misread digits, %", xlim=(0, 115 - spared), ylim=(0, None))
    ax.legend()
    save(figure, "by_writer")


def failures() -> None:
    """Draw corrupted test digits that were accepted and are wrong, the most confident first."""
    data, reader = load_mnist(), DigitReader()
    found: list[tuple[float, str, np.ndarray, int, int]] = []
    for number, name in enumerate(CORRUPTIONS):
        images = [
            corrupt(data.x_test[k], name, np.random.default_rng((SEED, number, k))) for k in range(len(data.x_test))
        ]
        worst: list[tuple[float, str, np.ndarray, int, int]] = []
        for image, reading, label in zip(images, reader.predict_images(images), data.y_test.tolist(), strict=True):
            if isinstance(reading, Reading) and reading.decision == "accept" and reading.digit != label:
                worst.append((reading.confidence, name, image, label, reading.digit))
        found += sorted(worst, key=lambda item: -item[0])[:2]
    found = sorted(found, key=lambda item: -item[0])[: 2 * SHOWN]
    figure, axes = plt.subplots(2, SHOWN, figsize=(14, 3.4), layout="constrained")
    for ax in axes.flat:
        ax.set_axis_off()
    for ax, (confidence, name, image, label, digit) in zip(axes.flat, found, strict=False):
        ax.imshow(image, cmap="gray", vmin=0, vmax=255)
        ax.set_title(f"{name}\n{label} read {digit}\n({confidence:.2%})", fontsize=8)
    save(figure, "failures")


def main() -> None:
    """Draw all."""
    with plt.rc_context({"axes.spines.top": False, "axes.spines.right": False}):
        rejection()
        corruptions()
        by_writer()
        failures()
        drift()
        explanations()


if __name__ == "__main__":
    main()
