"""Tables of measured numbers, for the README."""

from __future__ import annotations

import operator
import statistics
from collections.abc import Callable, Iterable, Sequence

Goal = tuple[str, str, float, float, Callable[[float], str]]  # name, sign, bound, measured value, how it is shown


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
    """Return mean ± standard deviation, of `scale` times the values."""
    scaled = [scale * value for value in values]
    return f"{statistics.mean(scaled):.{digits}f} ± {statistics.stdev(scaled):.{digits}f}"


def goal_table(goals: Iterable[Goal]) -> str:
    """Return a table of goals, what was measured, and whether it reaches them."""
    compare = {"≥": operator.ge, "≤": operator.le}
    return table(
        ("measure", "goal", "measured", "reached"),
        [
            (name, f"{sign} {shown(bound)}", shown(value), "yes" if compare[sign](value, bound) else "no")
            for name, sign, bound, value, shown in goals
        ],
    )
