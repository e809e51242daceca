"""Tables of where the time of a reading goes, from the result files."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from functools import partial

from benchmarks.fast import BYTES, DAY, FLOATS, least_microseconds
from benchmarks.results import read_result
from benchmarks.speedrun import AIMS, EXAMPLES, RECIPES, RUN, SPRINT
from benchmarks.whole_path import LINE, LINE_NETWORK
from experiments.runs import Row, read_rows
from experiments.tables import Goal, between, goal_table, mean_sd, percent, table

ZIP_CODES_A_SECOND = 1_000  # the goal


def whole_path() -> str:
    """Return the table of the steps of a reading."""
    result = read_result("whole_path")
    kinds = result["milliseconds"]
    steps = list(dict.fromkeys(step for spent in kinds.values() for step in spent if step != "all"))
    rows = [(step, *(f"{spent[step]:.2f} ms" if step in spent else "–" for spent in kinds.values())) for step in steps]
    rest = [spent["all"] - sum(spent[step] for step in steps if step in spent) for spent in kinds.values()]
    rows.append(("the rest", *(f"{left:.2f} ms" for left in rest)))
    rows.append(("**the whole reading**", *(f"**{spent['all']:.2f} ms**" for spent in kinds.values())))
    for way in ("threads", "processes"):
        found = (f"{rate[way]:,.0f}" for rate in result["files_a_second"].values())
        rows.append((f"files a second, by {result['cores']} {way}", *found))
    return table(("one at a time, on one thread", *kinds), rows)


def path_goals() -> str:
    """Return the table of the goals for the whole path, and whether they are reached."""
    result = read_result("whole_path")
    spent = result["milliseconds"][LINE]
    plain, rate = "{:.3g}".format, "{:,.0f}".format
    minutes = read_result("fast")["day_s"] / 60
    return goal_table(
        [
            Goal(f"minutes for {DAY:,} digits in memory, on two cores, fast", "≤", 3, minutes, plain),
            Goal(
                "photos of ZIP codes a second, decoded and read, on two cores",
                "≥",
                ZIP_CODES_A_SECOND,
                max(result["files_a_second"][LINE].values()),
                rate,
            ),
            Goal(
                "time of `read`, as a multiple of its network's for three views",
                "≤",
                3,
                spent["all"] / spent[LINE_NETWORK],
                plain,
            ),
        ]
    )


def path_facts() -> str:
    """Return how far the goal for ZIP codes is, in sentences."""
    result = read_result("whole_path")
    spent, cores = result["milliseconds"][LINE], result["cores"]
    network, others = spent[LINE_NETWORK], spent["all"] - spent[LINE_NETWORK]
    most, left = 1e3 * cores / network, 1e3 * cores / ZIP_CODES_A_SECOND - network
    return (
        f"With nothing but its network to compute, {cores} cores would read {most:,.0f} lines a second. "
        f"For {ZIP_CODES_A_SECOND:,}, all other steps together would have {left:.2f} ms of a core, and they take "
        f"{others:.2f} ms."
    )


def fast_seeds() -> list[float]:
    """Return the test accuracy of the fast network with each of its seeds."""
    return [row["test_accuracy"] for row in read_rows("fast_network") if not row["certifies"]]


def fast() -> str:
    """Return the table of the fast network beside other forms of the digits' network."""
    result = read_result("fast")
    rows = []
    for name, found in result["measured"].items():
        rows.append(
            (
                name,
                f"{found['multiply_adds'] / 1e6:.2f} million",
                f"{found['microseconds']:.2f} µs",
                f"{least_microseconds(result, name):.2f} µs",
                f"{1e6 / found['microseconds']:,.0f}",
                f"{percent(found['accuracy'])} ({between(found['accuracy_95'])})",
            )
        )
    header = (
        "digits' network",
        "multiply-adds a digit",
        "time a digit",
        "these alone",
        "digits a second",
        "test accuracy",
    )
    return table(header, rows)


def fast_goals() -> str:
    """Return the table of the goals for the fast network, and whether they are reached."""
    result, seeds = read_result("fast"), fast_seeds()
    return goal_table(
        [
            Goal(
                f"mean test accuracy of {len(seeds)} seeds",
                "≥",
                0.9965,
                statistics.mean(seeds),
                partial(percent, digits=3),
            ),
            Goal("digits a second, on two cores", "≥", 150_000, result["images_a_second"], "{:,.0f}".format),
            Goal(
                "times as many as Keras `predict` at its best",
                "≥",
                40,
                result["times_keras"],
                "{:.1f}".format,
            ),
            Goal("kB of its file", "≤", 300, result["bytes"] / 1e3, "{:.0f}".format),
        ]
    )


def fast_facts() -> str:
    """Return what else the result files say of the fast network, in sentences."""
    result = read_result("fast")
    certifying = next(row["held_out"] for row in read_rows("fast_network") if row["certifies"])
    limits = result["billion_multiply_adds_a_second"]
    return (
        f"With three seeds its test accuracy is {mean_sd(fast_seeds(), 100, 3)} %. "
        f"Of the test digits, {percent(result['left_to_the_second'], 1)} go to the larger network. Trained without two "
        f"fifths of the writers, it misreads {percent(certifying['errors'] / certifying['images'])} of these writers' "
        f"{certifying['images']:,} digits. Keras is at its best with batches of {result['keras_batch_size']}. "
        f"The processor does {limits[FLOATS]:.0f} billion multiply-adds a second in 32 bits and {limits[BYTES]:.0f} "
        "billion in 8 bits, on both cores, in products of matrices."
    )


def _by_recipe() -> dict[str, list[Row]]:
    """Return the trainings of the speed run, by their recipe."""
    runs = read_result("speedrun")["runs"]
    return {name: [run for run in runs if run["recipe"] == name] for name in RECIPES}


def _last(runs: Sequence[Row], measure: str) -> list[float]:
    """Return what was measured at the end of some trainings."""
    return [run["judged"][-1][measure] for run in runs]


def speedrun() -> str:
    """Return the table of the recipes that train fast, and of the examples beside them."""
    rows = []
    for name, runs in _by_recipe().items():
        taken, accuracy = _last(runs, "seconds"), mean_sd(_last(runs, "val_accuracy"), 100, 2)
        epochs = f"{RECIPES[name]['EPOCHS']:g}"
        if name in EXAMPLES:
            epochs = f"{statistics.mean(len(run['judged']) for run in runs):.1f} of {epochs}"
        times = f"{mean_sd(taken, 1, 1)} s", f"{statistics.median(taken):.1f} s"
        rows.append((name, len(runs), epochs, *times, f"{accuracy} %"))
    return table(("training", "times", "epochs", "time", "its median", "validation accuracy then"), rows)


def speedrun_goals() -> str:
    """Return the table of the goals for the time of training, and whether they are reached."""
    by_recipe = _by_recipe()
    peer = min(statistics.mean(_last(by_recipe[name], "seconds")) for name in EXAMPLES)
    goals = []
    for name, share in ((SPRINT, 1 / 3), (RUN, 1.0)):
        accuracy, taken = (statistics.mean(_last(by_recipe[name], what)) for what in ("val_accuracy", "seconds"))
        goals += [
            Goal(f"{name}: mean validation accuracy", "≥", AIMS[name], accuracy, percent),
            Goal(f"{name}: its time, in the faster example's to 99.0 %", "≤", share, taken / peer, "{:.2f}".format),
        ]
    return goal_table(goals)
