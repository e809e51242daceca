"""The figure of batch jobs: seconds and memory against the number of pictures."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np

from benchmarks.results import read_result
from experiments.figures import COLOURS, save


def batch_growth() -> None:
    """Draw what a job of more pictures costs, read from a folder and from a Parquet file."""
    figure, (seconds, memory) = plt.subplots(1, 2, figsize=(10, 3.6), layout="constrained")
    for (kind, jobs), colour in zip(read_result("batch_growth")["growth"].items(), COLOURS, strict=False):
        counts = [job["pictures"] for job in jobs]
        seconds.plot(counts, [job["seconds"] for job in jobs], "o-", color=colour, label=kind)
        memory.plot(counts, [job["bytes"] / 1e6 for job in jobs], "o-", color=colour, label=kind)
    first, last = jobs[0], jobs[-1]  # of the Parquet file
    rate = (last["pictures"] - first["pictures"]) / (last["seconds"] - first["seconds"])
    shown = np.geomspace(first["pictures"], last["pictures"])
    label = f"a start, then {rate:,.0f} a second"
    seconds.plot(shown, first["seconds"] + (shown - first["pictures"]) / rate, ":", color="grey", label=label)
    seconds.set(xscale="log", yscale="log", xlabel="pictures", ylabel="seconds, start included")
    memory.set(xscale="log", ylim=(0, None), xlabel="pictures", ylabel="memory of all processes, MB")
    seconds.legend(title="read from a", frameon=False)
    save(figure, "batch_growth")
