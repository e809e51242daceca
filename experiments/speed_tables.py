"""Tables of where the time of a reading goes, from the result files."""

from __future__ import annotations

from benchmarks.results import read_result
from benchmarks.whole_path import LINE, LINE_NETWORK
from experiments.tables import Goal, goal_table, table

DAY, MINUTES = 25_000_000, 3  # digits of PostalTech's parcels a day, and the goal for reading them


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
    result, speed = read_result("whole_path"), read_result("speed")
    spent = result["milliseconds"][LINE]
    plain, rate = "{:.3g}".format, "{:,.0f}".format
    minutes = DAY / speed["batches"]["images_a_second"] / 60
    return goal_table(
        [
            Goal(f"minutes for {DAY:,} digits in memory, on two cores", "≤", MINUTES, minutes, plain),
            Goal(
                "photos of ZIP codes a second, decoded and read, on two cores",
                "≥",
                1000,
                max(result["files_a_second"][LINE].values()),
                rate,
            ),
            Goal("time of `read`, as a multiple of its network's", "≤", 3, spent["all"] / spent[LINE_NETWORK], plain),
        ]
    )
