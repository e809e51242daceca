"""The README's table of the network's exports, from the result file of the benchmark."""

from __future__ import annotations

from benchmarks.exports import KERAS
from benchmarks.results import read_result
from digitreader.formats import BOUNDS
from experiments.tables import percent, table


def exports() -> str:
    """Return the table of what each export changes, holds and costs, beside Keras."""
    measured = read_result("exports")["measured"]
    images, accuracy = (measured["onnx"][name] for name in ("images", "keras_accuracy"))
    rows = []
    for name, one in measured.items():
        parity = (
            ("–", "–", percent(accuracy))
            if name == KERAS
            else (f"{one['difference']:.1e}", one["changed"], percent(one["accuracy"]))
        )
        times = (f"{one['microseconds'][threads][batch]:,.0f}" for threads in "12" for batch in ("1", "1024"))
        rows.append((f"`{name}`", f"{one['bytes'] / 1e6:.2f} MB", *parity, *times))
    header = (
        "format",
        "size",
        "probabilities differ by",
        f"decisions changed, of {images:,}",
        "right",
        "µs an image, one thread: one by one",
        "by 1,024",
        "two threads: one by one",
        "by 1,024",
    )
    return table(header, rows)


def export_bounds() -> str:
    """Return the table of how far an export of each format may differ from Keras."""
    rows = [
        (
            f"`{name}`",
            f"{bound.difference:.0e}" if bound.difference < 1 else "–",
            percent(bound.changed, 1) if bound.changed else "none",
            f"{100 * bound.lost:g} points" if bound.lost else "none",
        )
        for name, bound in BOUNDS.items()
    ]
    return table(("format", "probabilities differ, at most, by", "decisions changed", "accuracy lost"), rows)
