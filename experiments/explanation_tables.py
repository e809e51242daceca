"""The README's tables of what explanations show, from the result file of the benchmark."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.explanations import EXPLAINER, SCORES
from benchmarks.results import read_result
from experiments.tables import table


def explanations() -> str:
    """Return the table of each map's scores on the test digits; low is good where pixels are deleted."""
    measured = read_result("explanations")["sets"]["test digits"]
    header = (
        f"map, {measured['digits']:,} test digits",
        *(f"{score} {'↓' if falls(score) else '↑'}" for score in SCORES),
    )
    rows = [
        (kind, *("{:.3f} ({:.3f}–{:.3f})".format(*scores[score]) for score in SCORES))
        for kind, scores in measured["scores"].items()
    ]
    return table(header, rows)


def explanation_leads() -> str:
    """Return the table of how much better the explanation's scores are than those of each other map."""
    rows = [
        (kind, f"{measured['digits']:,} {name}", *(lead(score, differences[score]) for score in SCORES))
        for name, measured in read_result("explanations")["sets"].items()
        for kind, differences in measured["minus"].items()
    ]
    return table((f"{EXPLAINER}'s lead over", "digits", *SCORES), rows)


def falls(score: str) -> bool:
    """Return whether less is better."""
    return score.startswith("deletion")


def lead(score: str, difference: Sequence[float]) -> str:
    """Return a difference and its 95 % interval, positive where the explanation is the better one."""
    mean, low, high = difference
    if falls(score):
        mean, low, high = -mean, -high, -low
    return f"{mean:+.3f} ({low:+.3f} to {high:+.3f})".replace("-", "\N{MINUS SIGN}")
