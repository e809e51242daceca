"""The figures of the reader: fields with boxes and readings, and the risk that is left at each share accepted.

python -m benchmarks.figures
"""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from matplotlib.ticker import LogLocator, NullFormatter

from benchmarks.batch_figure import batch_growth
from benchmarks.fields import STYLES
from benchmarks.results import read_result
from benchmarks.speed_figure import speed
from digitreader.data import load_mnist, load_writers
from digitreader.decision import length_of
from digitreader.reader import DigitReader
from experiments.compose import Line, lines
from experiments.figures import COLOURS, save

SEED = 11
OF_DECISION = {"accept": "#0072b2", "review": "#d55e00"}
FLOOR = 1e-4  # rates of 0 are drawn here, on the logarithmic axis


def zip_fields() -> None:
    """Draw two fields of each style, not chosen by their readings."""
    data, writers, reader = load_mnist(), load_writers(), DigitReader()
    figure, axes = plt.subplots(len(STYLES), 2, figsize=(10, 1.35 * len(STYLES)), layout="constrained")
    for number, (row, (name, (style, digits))) in enumerate(zip(axes, STYLES.items(), strict=True)):
        composed = lines(
            data.x_test,
            data.y_test,
            writers.test,
            style,
            count=2,
            seed=SEED + number,
            digits=digits,
        )
        for ax, line in zip(row, composed, strict=True):
            draw_field(ax, line, reader)
        row[0].set_ylabel(name.replace(" and ", "\nand "), rotation=0, ha="right", va="center")
    save(figure, "zip_fields")


def draw_field(ax: Axes, line: Line, reader: DigitReader) -> None:
    """Draw a field, its boxes, and above it what it says and what was read, its length known."""
    reading = reader.read(line.picture.pixels, length_of(line.text))
    colour = OF_DECISION[reading.decision]
    ax.imshow(line.picture.pixels, interpolation="antialiased")
    for digit in reading.digits:
        left, top, right, bottom = digit.box
        ax.add_patch(Rectangle((left - 0.5, top - 0.5), right - left, bottom - top, fill=False, edgecolor=colour))
    mark = "" if reading.text == line.text else f", truly {line.text}"
    ax.set_title(f"{reading.text}: {reading.decision} ({reading.confidence:.1%}){mark}", fontsize=10, color=colour)
    ax.set(xticks=[], yticks=[])
    for side in ax.spines.values():
        side.set_visible(False)


def risk_coverage() -> None:
    """Draw the share of wrong readings among the accepted against the share that is accepted."""
    digits, fields = read_result("mnist"), read_result("fields")
    figure, (left, right) = plt.subplots(1, 2, figsize=(12, 4), layout="constrained")
    curve(left, digits["risk_coverage"], "MNIST's test digits", "#0072b2")
    left.plot(digits["accepted"], max(digits["risk"], FLOOR), "o", color="#0072b2", label="the threshold in use")
    label = f"the goal's {digits['coverage']:.1%}"
    left.axvline(digits["coverage"], color="0.6", linewidth=1, linestyle=":", label=label)
    left.set(title="digits", xlim=(0.9, 1))
    for (name, style), colour in zip(fields["styles"].items(), COLOURS, strict=True):
        curve(right, style["risk_coverage"], name, colour)
        right.plot(1 - style["in_review"], max(style["wrong_among_accepted"], FLOOR), "o", color=colour)
    right.set(title="fields (dots: the threshold in use)", xlim=(0.6, 1))
    for ax in (left, right):
        ax.set(xlabel="share accepted", ylabel="share of wrong readings among these", yscale="log")
        ax.xaxis.set_major_formatter("{x:.0%}")
        ax.set_ylim(FLOOR, None)
        ax.yaxis.set_major_locator(LogLocator(subs=(1, 3)))
        ax.yaxis.set_major_formatter(lambda rate, _: f"{rate:.2%}" if rate > FLOOR else f"≤ {FLOOR:.2%}")
        ax.yaxis.set_minor_formatter(NullFormatter())
        ax.grid(alpha=0.3)
    left.legend(fontsize=8, loc="upper left")
    right.legend(fontsize=8, loc="upper left", bbox_to_anchor=(1, 1))
    save(figure, "risk_coverage")


def curve(ax: Axes, points: Sequence[Sequence[float]], name: str, colour: str) -> None:
    """Draw one risk–coverage curve."""
    coverage, risk = np.array(points).T
    ax.plot(coverage, np.maximum(risk, FLOOR), color=colour, label=name)


def main() -> None:
    """Draw all."""
    with plt.rc_context({"axes.spines.top": False, "axes.spines.right": False}):
        zip_fields()
        risk_coverage()
        batch_growth()
        speed()


if __name__ == "__main__":
    main()
