"""The figure of speed: accuracy against the time that a digit takes."""

from __future__ import annotations

import matplotlib.pyplot as plt

from benchmarks.fast import least_microseconds
from benchmarks.results import read_result
from experiments.figures import COLOURS, save


def speed() -> None:
    """Draw how accurate each form of the digits' network is, how long a digit takes, and how long it would at least."""
    result = read_result("fast")
    figure, ax = plt.subplots(figsize=(9, 4.2), layout="constrained")
    for (name, found), colour in zip(result["measured"].items(), COLOURS, strict=False):
        least = least_microseconds(result, name)
        accuracy, taken = 100 * found["accuracy"], found["microseconds"]
        below, above = (100 * abs(bound - found["accuracy"]) for bound in found["accuracy_95"])
        ax.plot([least, taken], [accuracy, accuracy], ":", color=colour)
        ax.plot(least, accuracy, "|", color=colour, markersize=16, markeredgewidth=2)
        ax.errorbar(taken, accuracy, yerr=[[below], [above]], fmt="o", color=colour, capsize=4, label=name)
    ax.plot([], [], "|", color="grey", markersize=12, markeredgewidth=2, label="its multiply-adds alone")
    ax.set(xscale="log", xlabel="µs a digit, both cores at work", ylabel="MNIST test accuracy, %")
    ax.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
    ax.grid(alpha=0.3)
    save(figure, "speed")
