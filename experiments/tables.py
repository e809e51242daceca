"""Tables of measured numbers, for the README."""

from __future__ import annotations

import math
import operator
import statistics
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple


class Goal(NamedTuple):
    """A goal, and what was measured, with how a number is shown and the 95 % interval where there is one."""

    name: str
    sign: str
    bound: float
    value: float
    shown: Callable[[float], str]
    interval: Sequence[float] | None = None


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def percent(share: float, digits: int = 2) -> str:
    """Return a share as a percentage."""
    return f"{100 * share:.{digits}f} %"


def between(bounds: Sequence[float]) -> str:
    """Return an interval of shares as percentages."""
    return f"{100 * bounds[0]:.2f}–{100 * bounds[1]:.2f} %"


def mean_sd(values: Sequence[float], scale: float, digits: int) -> str:
    """Return mean ± standard deviation, of `scale` times the values; of a single one the value alone."""
    scaled = [scale * value for value in values]
    deviation = f" ± {statistics.stdev(scaled):.{digits}f}" if len(scaled) > 1 else ""
    return f"{statistics.mean(scaled):.{digits}f}{deviation}"


def standard_error(one: Sequence[float], other: Sequence[float]) -> float:
    """Return the standard error of the difference of two means."""
    return math.hypot(*(statistics.stdev(values) / math.sqrt(len(values)) for values in (one, other)))


def difference(one: Sequence[float], other: Sequence[float], scale: float, digits: int) -> str:
    """Return the difference of two means ± its standard error, of `scale` times the values."""
    gain = f"{scale * (statistics.mean(one) - statistics.mean(other)):+.{digits}f}".replace("-", "\N{MINUS SIGN}")
    return f"{gain} ± {scale * standard_error(one, other):.{digits}f}"


def goal_table(goals: Iterable[Goal]) -> str:
    """Return a table of goals, what was measured, and whether it reaches them."""
    compare = {"≥": operator.ge, "≤": operator.le}
    return table(
        ("measure", "goal", "measured", "reached"),
        [
            (
                goal.name,
                f"{goal.sign} {goal.shown(goal.bound)}",
                goal.shown(goal.value) + (f" ({between(goal.interval)})" if goal.interval else ""),
                "yes" if compare[goal.sign](goal.value, goal.bound) else "no",
            )
            for goal in goals
        ],
    )
