"""The README's tables of what the reader does."""

from __future__ import annotations

from experiments.runs import read_rows
from experiments.tables import table


def samples() -> str:
    """Return the table of what the reader says of the sample pictures."""
    return table(
        ("picture", "reading", "confidence", "decision", "reason"),
        [
            (
                f"`{row['file']}`",
                f"`{row['text']}`",
                f"{row['confidence']:.4f}",
                row["decision"],
                f"`{row['reason']}`",
            )
            for row in read_rows("samples")
        ],
    )
