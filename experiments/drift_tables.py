"""The README's tables of what the service's exported counts reveal, from the result file of the benchmark."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from benchmarks.results import read_result
from experiments.tables import percent, table

REVEALED = 0.9  # share of the windows that raise an alarm
HARM = 0.005  # share of the digits that are read right no longer

Step = dict[str, Any]


def drift() -> str:
    """Return the table of the step of each change from which on windows raise an alarm, and of what it does by then."""
    result, rows = read_result("drift"), []
    for name, change in result["changes"].items():
        steps = change["steps"]
        alarms = [
            from_on(steps, [step["revealed"][str(size)]["alarm"] >= REVEALED for step in steps])
            for size in result["sizes"]
        ]
        harm = from_on(steps, [step["right"] < steps[0]["right"] - HARM for step in steps])
        by_then = alarms[-1] or steps[-1]
        rows.append(
            (
                f"{name}: {change['unit']}",
                f"{steps[0]['step']:g}–{steps[-1]['step']:g}",
                *(f"{step['step']:g}" if step else "–" for step in (*alarms, harm)),
                percent(by_then["right"], 1),
                percent(by_then["wrong_and_accepted"]),
            )
        )
    header = (
        "change",
        "steps",
        *(f"alarm from, {size:,} readings" for size in result["sizes"]),
        f"{percent(HARM, 1)} fewer read right from",
        f"read right at the alarm of {result['sizes'][-1]:,}, or at the last step",
        "misread and accepted there",
    )
    return table(header, rows)


def from_on(steps: Sequence[Step], holds: Sequence[bool]) -> Step | None:
    """Return the step from which on something holds, or None if it does not hold at the last."""
    found = None
    for step, held in zip(reversed(steps), reversed(holds), strict=True):
        if not held:
            break
        found = step
    return found


def false_alarms() -> str:
    """Return the table of the windows of unchanged digits that are unlike the reference all the same."""
    result = read_result("drift")
    alone = {f"{name} alone": result["changes"][name]["steps"][-1]["revealed"] for name in ("students", "Census staff")}
    rows = []
    for name, of_size in (result["quiet"] | alone).items():
        found = [of_size.get(str(size)) for size in result["sizes"]]
        rows.append(
            (name, *(f"{percent(one['significant'], 1)}, {percent(one['alarm'], 1)}" if one else "–" for one in found))
        )
    return table(("windows of", *(f"{size:,} readings: significant, alarm" for size in result["sizes"])), rows)
