"""Which US ZIP codes exist."""

from __future__ import annotations

import re
from functools import cache

from digitreader.errors import MissingExtraError


@cache
def existing_codes() -> frozenset[str]:
    """Return the five digits of every US ZIP code.

    Raises
    ------
    MissingExtraError
        If the package `zipcodes`, the extra `zip`, is not installed.
    """
    try:
        import zipcodes
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            "The directory of ZIP codes is not installed: pip install 'digitreader[zip]'"
        ) from error
    return frozenset(entry["zip_code"] for entry in zipcodes.list_all())


def is_zip_code(text: str, codes: frozenset[str]) -> bool:
    """Return whether a text is an existing ZIP code, or a ZIP+4 code, of which the directory knows the first part."""
    return re.fullmatch(r"\d{5}(-?\d{4})?", text) is not None and text[:5] in codes
