"""The README's table of what attacks do, from the result file of `experiments.adversarial`."""

from __future__ import annotations

from experiments.adversarial import NETWORK, READER
from experiments.runs import read_rows
from experiments.tables import between, percent, table


def adversarial() -> str:
    """Return the table of what is read right, accepted, and accepted though wrong, under each attack."""
    committed, trained = read_rows("adversarial")
    readers = {
        "committed network": (committed, NETWORK),
        "whole reader": (committed, READER),
        "network trained against PGD": (trained, NETWORK),
    }
    columns = [[found for found in row["measured"] if found["read_by"] == by] for row, by in readers.values()]
    rows: list[tuple[str, ...]] = []
    for measured in zip(*columns, strict=True):
        attack, radius = measured[0]["attack"], measured[0]["radius"]
        cells: list[str] = []
        for found in measured:
            wrong = f"{percent(found['accepted_wrong'], 1)} ({between(found['accepted_wrong_95'])})"
            cells += [percent(found["accuracy"], 1), f"{percent(found['accepted'], 1)}; {wrong}"]
        rows.append((f"{attack}, {radius}" if radius else "clean", *cells))
    clean = [
        f"{percent(row['test_accuracy'])} ({between(row['test_accuracy_95'])})" if by == NETWORK else ""
        for row, by in readers.values()
    ]
    rows.append(("the whole test set, clean", *(cell for accuracy in clean for cell in (accuracy, ""))))
    header = [f"{name}: {measure}" for name in readers for measure in ("right", "accepted; accepted and wrong (95 %)")]
    return table((f"the first {committed['attacked']:,} test digits", *header), rows)
