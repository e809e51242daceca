"""The arithmetic of machines, time and cost."""

from __future__ import annotations

import pytest

from experiments.capacity import DAYS, HOURS, capacity, main, need, ways


def test_a_machine_that_reads_half_of_the_time_reads_half_as_much_a_day() -> None:
    digits = 10 * 3600 * HOURS * 0.5  # what it reads in a day, at ten a second
    needed = need(digits, 10, busy=0.5, price=2)
    assert needed.machine_hours == pytest.approx(HOURS)
    assert needed.machines == 1
    assert needed.dollars == pytest.approx(2 * HOURS)
    assert need(digits * 1.01, 10, busy=0.5, price=2).machines == 2
    little = need(digits / HOURS, 10, busy=0.5, price=2)
    assert (little.machines, little.dollars) == (1, 2 * HOURS)
    assert little.machine_hours == pytest.approx(1)


def test_the_table_has_each_way_and_each_day() -> None:
    lines = capacity().splitlines()
    assert len(lines) == 2 + len(list(ways()))
    assert len(DAYS) == 2
    assert "25 million a day" in lines[0]
    assert "100 billion a day" in lines[0]
    dearer = capacity(price=1e6).splitlines()
    assert all(one != other for one, other in zip(lines[2:], dearer[2:], strict=True))


@pytest.mark.parametrize("wrong", [("--busy", "0"), ("--busy", "2"), ("--price", "-1")])
def test_shares_and_prices_that_cannot_be_are_refused(
    wrong: tuple[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["capacity", *wrong])
    with pytest.raises(SystemExit):
        main()
    assert wrong[0] in capsys.readouterr().err
