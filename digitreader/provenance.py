"""What every result file says of how it was made, and how it is written."""

from __future__ import annotations

import json
import os
import platform
import re
from importlib.metadata import version
from pathlib import Path
from typing import Any


def provenance(command: str, *packages: str) -> dict[str, Any]:
    """Return the command, the versions of Python and of some packages, and the machine."""
    return {
        "versions": {name: version(name) for name in packages} | {"python": platform.python_version()},
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} CPUs",
        "command": command,
    }


def write_json(path: Path, content: Any) -> None:
    """Write a JSON file, a list of numbers on a line; whoever is killed meanwhile leaves the one that was there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".part")
    indented = json.dumps(content, indent=1)
    # No string holds a line's end.
    text = re.sub(r"\[\n[^][{}\"]*\]", lambda numbers: json.dumps(json.loads(numbers[0])), indented)
    partial.write_text(text + "\n")
    partial.replace(path)
