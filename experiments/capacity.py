"""What machines a day's mail takes, and what they cost: arithmetic on what was measured.

    python -m experiments.capacity
    python -m experiments.capacity --price 0.25 --busy 0.5

A machine is one like that of the benchmarks, with two cores. Pictures do not depend on each other, so that machines add
up; what is lost to starting, waiting and peaks is in `BUSY`.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator
from typing import NamedTuple

from benchmarks.fast import DAY, FULL
from benchmarks.results import read_result
from benchmarks.whole_path import LINE, PICTURE
from experiments.tables import percent, table

DAYS = (DAY, 100e9)  # digits a day
ZIP_DIGITS = 5
HOURS = 24
BUSY = 0.6  # share of the time in which a machine reads: mail comes in waves, machines fail
PRICE = 0.10  # US dollars an hour for a machine of two cores: an assumption, near what clouds list on demand


class Way(NamedTuple):
    """A way to read, with the digits that a machine reads in a second."""

    name: str
    rate: float


class Need(NamedTuple):
    """What a day's digits take.

    Attributes
    ----------
    machine_hours : float
        Of all machines together.
    machines : int
        That have read them within the day.
    dollars : float
        For machines that are kept the whole day.
    """

    machine_hours: float
    machines: int
    dollars: float


def ways() -> Iterator[Way]:
    """Yield the ways to read."""
    fast, path, batch, load = (read_result(name) for name in ("fast", "whole_path", "batch", "load"))
    yield Way("arrays of digits in memory, `predict_proba`", 1e6 / fast["measured"][FULL]["microseconds"])
    yield Way("the same with the fast network", fast["images_a_second"])
    yield Way("photos of ZIP codes, `read`, a process a core", ZIP_DIGITS * path["files_a_second"][LINE]["processes"])
    yield Way("photos of a digit, `predict_image`, a process a core", path["files_a_second"][PICTURE]["processes"])
    yield Way(
        "files of a digit each, 28 × 28 pixels, `digits batch`", batch["rates"]["processes, 2"]["pictures_a_second"]
    )
    yield Way("the same on Ray, `--ray`", batch["rates"]["Ray workers, 2"]["pictures_a_second"])
    yield Way(
        "requests of a digit each, 28 × 28 pixels, the service",
        load["measured"]["a worker a core"]["64"]["requests_a_second"],
    )


def need(digits: float, rate: float, *, busy: float = BUSY, price: float = PRICE) -> Need:
    """Return what a day's digits take.

    Parameters
    ----------
    digits : float
        A day.
    rate : float
        Digits a second of a machine that reads without a pause.
    busy : float
        Share of the time in which it reads.
    price : float
        US dollars an hour.
    """
    machine_hours = digits / rate / busy / 3600
    machines = math.ceil(machine_hours / HOURS)
    return Need(machine_hours, machines, machines * HOURS * price)


def named(digits: float) -> str:
    """Return a large number as people say it."""
    return f"{digits / 1e9:,.0f} billion" if digits >= 1e9 else f"{digits / 1e6:,.0f} million"


def capacity(busy: float = BUSY, price: float = PRICE) -> str:
    """Return the table of machines, time and cost for each way to read."""
    rows = []
    for way in ways():
        cells = [way.name, f"{way.rate:,.0f}"]
        for digits in DAYS:
            needed = need(digits, way.rate, busy=busy, price=price)
            hours = f"{needed.machine_hours:,.0f}" if needed.machine_hours >= 10 else f"{needed.machine_hours:.2g}"
            cells += [f"{needed.machines:,} ({hours} h)", f"{needed.dollars:,.2f}"]
        rows.append(cells)
    header = ["of what, and how", "digits a second"]
    for digits in DAYS:
        header += [f"{named(digits)} a day: machines (hours)", "US dollars"]
    return table(header, rows)


def assumptions(busy: float = BUSY, price: float = PRICE) -> str:
    """Return what the table supposes."""
    kept = {where: percent(share, 0) for where, share in read_result("batch")["efficiency"].items()}
    return (
        f"A machine has two cores and costs {price:.2f} US dollars an hour; it reads {percent(busy, 0)} of the time. "
        "Costs are of machines that are kept all day; who hires them by the hour pays for the hours in brackets. "
        f"From one process to two, `digits batch` keeps {kept['processes']} of the rate of each, and Ray "
        f"{kept['Ray workers']}: of the same two cores. Machines are taken to add up."
    )


def main() -> None:
    """Print the table and what it supposes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--busy", type=float, default=BUSY, help="share of the time in which a machine reads")
    parser.add_argument("--price", type=float, default=PRICE, help="US dollars an hour of a machine")
    given = parser.parse_args()
    if not 0 < given.busy <= 1:
        parser.error(f"--busy is a share above 0 and up to 1, not {given.busy}")
    if not given.price >= 0:
        parser.error(f"--price is not negative, as {given.price}")
    print(capacity(given.busy, given.price), assumptions(given.busy, given.price), sep="\n\n")


if __name__ == "__main__":
    main()
