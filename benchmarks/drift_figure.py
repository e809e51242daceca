"""The figure of drift: which share of the windows reveals a change, step by step, and what it does to the readings."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np

from benchmarks.results import read_result
from experiments.figures import save

COLOURS = ("#56b4e9", "#0072b2", "#000000")  # of windows, from small to large
HARM = "#d55e00"
FLOOR = 1e-4  # shares of 0 are drawn here, on the logarithmic axis


def drift() -> None:
    """Draw the power against the steps, a panel for each change, with the share of the digits that are misread."""
    changes = read_result("drift")["changes"]
    figure, axes = plt.subplots(3, 3, figsize=(12, 9), layout="constrained")
    for ax, (name, change) in zip(axes.flat, changes.items(), strict=True):
        steps = change["steps"]
        places = [step["step"] for step in steps]
        for size, colour in zip(steps[0]["revealed"], COLOURS, strict=True):
            alarms = [step["revealed"][size]["alarm"] for step in steps]
            ax.plot(places, alarms, "o-", color=colour, markersize=4, label=f"alarms, windows of {int(size):,}")
        ax.set(title=name, xlabel=change["unit"], ylim=(-0.03, 1.03))
        ax.yaxis.set_major_formatter(lambda share, _: f"{100 * share:g} %")
        beside = ax.twinx()
        for key, style, label in (("right", "--", "not read right"), ("wrong_and_accepted", ":", "misread, accepted")):
            shares = np.array([step[key] for step in steps])
            lost = 1 - shares if key == "right" else shares
            beside.plot(places, np.maximum(lost, FLOOR), style, color=HARM, label=f"{label} (right axis)")
        beside.set(yscale="log", ylim=(FLOOR, 1))
        beside.spines["right"].set_visible(True)
        beside.yaxis.set_major_formatter(lambda share, _: f"{100 * share:g} %")
        beside.tick_params(axis="y", colors=HARM)
    handles = [*ax.get_lines(), *beside.get_lines()]
    figure.legend(handles=handles, loc="outside lower center", ncols=3)
    figure.suptitle(
        "Share of the windows that raise an alarm, and, on the right, of the digits that are misread", fontsize=11
    )
    save(figure, "drift")
