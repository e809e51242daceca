"""What every result file says of how it was made."""

from __future__ import annotations

import os
import platform
from importlib.metadata import version
from typing import Any


def provenance(command: str, *packages: str) -> dict[str, Any]:
    """Return the command, the versions of Python and of some packages, and the machine."""
    return {
        "versions": {name: version(name) for name in packages} | {"python": platform.python_version()},
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} CPUs",
        "command": command,
    }
