"""The README's table of how thresholds keep their promise, from the results of `experiments.promise`."""

from __future__ import annotations

from digitreader.intervals import wilson
from experiments.runs import read_rows
from experiments.tables import between, percent, table


def promise() -> str:
    """Return the table of how often thresholds break their promise, and what they accept."""
    rows = read_rows("promise")
    lines = []
    for row in rows:
        broken, in_truth = (
            f"{percent(row[name] / row['splits'], 1)} ({between(wilson(row[name], row['splits']))})"
            for name in ("broken", "broken_in_truth")
        )
        lines.append(
            (
                f"{row['readings']:,} {row['kind']}",
                percent(row["risk"]),
                row["errors"],
                percent(row["refused"] / row["splits"], 1),
                percent(row["accepted"], 1),
                broken,
                percent(row["significantly_broken"] / row["splits"], 1),
                in_truth,
            )
        )
    header = (
        f"{rows[0]['splits']} splits by writer of",
        "promised: wrong at most",
        "errors taken as",
        "refused",
        "accepted",
        "broken in the other half (95 %)",
        "significantly",
        "broken in truth (95 %)",
    )
    return table(header, lines)
