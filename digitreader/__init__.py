"""Reads handwritten digits from pictures, and knows when it is not sure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from digitreader.reader import DigitReader

__all__ = ["DigitReader"]


def __getattr__(name: str) -> Any:
    """Import the reader when it is asked for: loading data or training needs none of what it needs."""
    if name == "DigitReader":
        from digitreader.reader import DigitReader

        return DigitReader
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
