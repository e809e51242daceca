"""How many processor cores this process may use."""

from __future__ import annotations

import math
import os
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup")  # on Linux, as a container sees its own
UNLIMITED = 1e9


def cores(cgroup: Path = CGROUP) -> int:
    """Return the number of cores that the process may run on, or a container's share of them, rounded up, if less."""
    try:
        allowed = len(os.sched_getaffinity(0))
    except AttributeError:  # macOS, Windows
        allowed = os.cpu_count() or 1
    return max(min(allowed, math.ceil(_share(cgroup))), 1)


def _share(cgroup: Path) -> float:
    """Return how many cores' time a control group, of version 2 or 1, may take; `UNLIMITED` if nothing limits it."""
    try:
        if (limit := cgroup / "cpu.max").is_file():
            quota, period = limit.read_text().split()
        else:
            quota, period = ((cgroup / "cpu" / f"cpu.cfs_{name}_us").read_text() for name in ("quota", "period"))
        return float(quota) / float(period) if float(quota) > 0 else UNLIMITED
    except (OSError, ValueError):  # no such files; "max"
        return UNLIMITED
