"""Drift: counts as the service exports them, their comparison with the reference, and the benchmark's changes."""

from __future__ import annotations

import io
import json
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import numpy as np
import pytest
from prometheus_client import generate_latest

from benchmarks import drift as benchmark
from benchmarks.drift import CHANGES, as_counts, by_other_writers, gathered, measured, mixed, windows
from digitreader.decision import FieldReading, Reading, Reason
from digitreader.drift import (
    BOUNDS,
    Counts,
    compare,
    count,
    exported,
    later,
    load_reference,
    read_metrics,
)
from digitreader.errors import BlankImageError, DriftError, ImageError, MissingExtraError, ModelError
from digitreader.service import observe
from experiments.drift_tables import from_on

NONE = (0.0,) * 10
SHARES = np.array([1, 5, 5, 5, 10, 10, 10, 20, 20, 40, 100, 140, 200, 200, 134, 100]) / 1000  # of confidences
REVIEWED = 0.02


def reading(confidence: float, reason: Reason = "ok") -> Reading:
    return Reading(7, confidence, "accept" if reason == "ok" else "review", reason, NONE)


def counts(confidences: np.ndarray, reviewed: int) -> Counts:
    """Return counts with so many readings of each confidence, of which some are in review."""
    found = count([])
    found["confidence"] = dict(zip(found["confidence"], map(int, confidences), strict=True))
    return found | {"reason": found["reason"] | {"ok": int(confidences.sum()) - reviewed, "low_confidence": reviewed}}


def drawn(number: int, rng: np.random.Generator) -> Counts:
    return counts(rng.multinomial(number, SHARES), int(rng.binomial(number, REVIEWED)))


REFERENCE = drawn(50_000, np.random.default_rng(0))


def test_readings_are_counted_as_the_service_exports_them() -> None:
    readings = [reading(1.0), reading(0.2, "not_a_digit"), reading(0.9, "low_confidence"), reading(0.90001)]
    before = exported(generate_latest().decode())
    for one in readings:
        observe.count(one)
    observe.count(FieldReading("12345", 0.9, "accept", "ok", ()))
    found = later(exported(generate_latest().decode()), before)
    assert found == count(readings)
    assert found["confidence"]["0.9"] == 1, "a bound belongs to what it bounds from above"
    assert {reason: number for reason, number in found["reason"].items() if number} == {
        "ok": 2,
        "low_confidence": 1,
        "not_a_digit": 1,
    }


def test_every_confidence_has_a_bucket() -> None:
    number = 1000
    found = count(map(reading, np.linspace(0.1, 1, number, dtype=np.float32).tolist()))
    assert sum(found["confidence"].values()) == number
    assert list(found["confidence"]) == [str(bound) for bound in sorted(BOUNDS)]


def test_readings_like_the_reference_are_like_it() -> None:
    rng = np.random.default_rng(1)
    shifts = [compare(REFERENCE, drawn(300, rng)) for _ in range(60)]
    assert not any(shift.alarm for of in shifts for shift in of.values())
    for kind in REFERENCE:
        assert 0.3 < np.mean([of[kind].p_value for of in shifts]) < 0.8
        assert abs(np.mean([of[kind].index for of in shifts])) < 0.01, "few readings alone do not raise the index"


@pytest.mark.parametrize("kind", ["confidence", "reason"])
def test_a_shift_is_an_alarm_if_it_is_large_and_no_chance(kind: str) -> None:
    rng = np.random.default_rng(2)

    def shifted(number: int, share: float) -> Counts:
        """Return readings of which a share has moved: from sure to unsure, or from accepted to review."""
        moved = SHARES.copy()
        if kind == "confidence":
            moved[4], moved[12] = moved[4] + share, moved[12] - share
        reviewed = REVIEWED + (share if kind == "reason" else 0)
        return counts(rng.multinomial(number, moved), int(rng.binomial(number, reviewed)))

    found = compare(REFERENCE, shifted(2000, 0.15))
    assert [name for name, shift in found.items() if shift.alarm] == [kind]
    assert found[kind].readings == 2000
    small = compare(REFERENCE, shifted(1_000_000, 0.01))[kind]
    assert small.significant
    assert not small.alarm, "many readings make a small shift significant, not large"
    few = compare(REFERENCE, shifted(10, 0.15))[kind]
    assert not few.significant, "few readings tell nothing"


def test_the_comparison_repeats() -> None:
    window = drawn(500, np.random.default_rng(3))
    assert compare(REFERENCE, window) == compare(REFERENCE, window)


def test_what_cannot_be_compared() -> None:
    with pytest.raises(DriftError, match="No digit"):
        compare(REFERENCE, count([]))
    other = REFERENCE | {"confidence": {"0.5": 10, "1.0": 90}}
    with pytest.raises(DriftError, match="another version"):
        compare(REFERENCE, other)
    with pytest.raises(DriftError, match="started anew"):
        later(count([reading(0.9)]), REFERENCE)


def test_metrics_of_a_service_without_readings() -> None:
    assert exported("# HELP other Something\n# TYPE other counter\nother_total 3.0\n") == count([])


@pytest.mark.parametrize("text", ["<html>\n<p>Not found</p>", "nothing", '{"a": 1}'])
def test_what_is_no_metrics(text: str) -> None:
    with pytest.raises(DriftError, match="not what /metrics"):
        exported(text)


def test_an_unknown_reason_is_of_another_version() -> None:
    with pytest.raises(DriftError, match="not what /metrics"):
        exported('digits_decisions_total{decision="review",kind="digit",reason="upside_down"} 2.0\n')


@pytest.mark.parametrize(
    ("module", "call"),
    [("prometheus_client.parser", lambda: exported("")), ("scipy.stats", lambda: compare(REFERENCE, REFERENCE))],
)
def test_what_is_not_installed_is_named(
    module: str, call: Callable[[], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingExtraError, match=rf"{module} is not installed.*digitreader\[drift\]"):
        call()


@pytest.fixture
def address() -> Iterator[str]:
    """Return the address of a server that has only /metrics."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/metrics" else 404)
            self.end_headers()
            self.wfile.write(b"up 1.0\n")

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_metrics_come_from_a_service_a_file_or_standard_input(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "now.txt").write_text("up 2.0\n")
    monkeypatch.setattr("sys.stdin", io.StringIO("up 3.0\n"))
    sources = (f"{address}/metrics", str(tmp_path / "now.txt"), "-")
    assert [read_metrics(source) for source in sources] == ["up 1.0\n", "up 2.0\n", "up 3.0\n"]
    for missing in (f"{address}/elsewhere", str(tmp_path / "no.txt"), "http://127.0.0.1:9/metrics", "http://"):
        with pytest.raises(DriftError, match="cannot be read"):
            read_metrics(missing)


def test_a_calibration_without_a_reference(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no reference"):
        load_reference(tmp_path)
    (tmp_path / "reader.json").write_text(json.dumps({"weight": 0.5}))
    with pytest.raises(ModelError, match="no reference"):
        load_reference(tmp_path)
    (tmp_path / "reader.json").write_text(json.dumps({"reference": REFERENCE}))
    assert load_reference(tmp_path) == REFERENCE


def test_the_committed_reference_counts_the_digits_of_the_calibration(root: Path) -> None:
    reference = load_reference()
    images = json.loads((root / "models" / "reader.json").read_text())["digits"]["images"]
    assert [sum(of.values()) for of in reference.values()] == [images, images]
    assert compare(reference, reference)["confidence"].p_value == 1


@pytest.mark.parametrize("name", CHANGES)
def test_changes_grow_step_by_step(name: str) -> None:
    image = np.zeros((28, 28), np.uint8)
    image[4:24, 8:12], image[4:8, 8:20] = 255, 255
    change = CHANGES[name]
    changed = [change.apply(image, step, np.random.default_rng(0)).astype(float) for step in change.steps]
    ink = image / 255
    kept = [(one * ink).sum() - (one * (1 - ink)).sum() for one in changed]
    assert kept == sorted(kept, reverse=True)
    assert kept[-1] < 0.8 * image.sum()


def test_strokes_change_by_the_width_that_is_stated() -> None:
    image = np.zeros((28, 28), np.uint8)
    image[:, 10:16] = 255
    for name, sign in (("thinner pen", -1), ("thicker pen", 1)):
        for step in (0.5, 1, 3):
            changed = CHANGES[name].apply(image, step, np.random.default_rng(0))
            assert changed[14].sum() / 255 == pytest.approx(6 + sign * step, abs=0.01)


def test_what_has_no_reading_is_in_no_window() -> None:
    results: list[Reading | ImageError] = [reading(0.99999), BlankImageError("no ink"), reading(0.6, "low_confidence")]
    found = gathered(results, np.array([7, 7, 3]))
    assert found.read.tolist() == [True, False, True]
    assert found.right.tolist() == [True, False, False]
    for row in windows(found, np.ones(3), 50, 5, np.random.default_rng(0)):
        window = as_counts(row)
        assert [sum(of.values()) for of in window.values()] == [50, 50]
        assert window["reason"]["ok"] == window["confidence"]["0.99999"] > 0


def test_shares_of_a_window() -> None:
    weights = mixed(np.array([True, False, False, False]), 0.4)
    assert weights == pytest.approx([0.4, 0.2, 0.2, 0.2])


def test_what_a_step_is_worth(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(benchmark, "SIZES", (400,))
    monkeypatch.setattr(benchmark, "WINDOWS", 5)
    sure, unsure = reading(0.9997), reading(0.6, "low_confidence")
    reference = count([sure] * 980 + [unsure] * 20)
    rng = np.random.default_rng(0)
    results = [sure] * 96 + [unsure] * 2 + [BlankImageError("no ink")] * 2
    same = measured(gathered(results, np.full(100, 7)), np.ones(100), reference, rng)
    assert (same["right"], same["accepted"], same["without_a_reading"]) == pytest.approx((0.98, 0.96, 0.02))
    assert same["revealed"] == {"400": {"significant": 0, "alarm": 0}}
    labels = np.repeat([7, 3], 50)
    worse = measured(gathered([unsure] * 50 + [sure] * 50, labels), np.ones(100), reference, rng)
    assert worse["wrong_and_accepted"] == 0.5
    assert worse["revealed"] == {"400": {"significant": 1, "alarm": 1}}


@pytest.mark.parametrize("whole", [False, True])
def test_a_window_is_by_others_than_its_reference(whole: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(benchmark, "QUIET_WINDOWS", 5)
    writers = np.repeat(np.arange(10, dtype=np.int32), 6)
    found = gathered([reading(BOUNDS[writer]) for writer in writers], np.full(60, 7))  # each has a bucket of his own
    for reference, row in by_other_writers(found, writers, 12, np.random.default_rng(0), whole=whole):
        ours = {bound: number for bound, number in reference["confidence"].items() if number}
        theirs = {bound: number for bound, number in as_counts(row)["confidence"].items() if number}
        assert set(ours.values()) == {6}
        assert not ours.keys() & theirs.keys()
        assert sum(theirs.values()) == 12
        assert (len(theirs) == 2) == whole


def test_the_step_from_which_on_something_holds() -> None:
    steps = [{"step": step} for step in (0, 1, 2, 3)]
    assert from_on(steps, [False, True, False, True]) == {"step": 3}
    assert from_on(steps, [False, True, True, True]) == {"step": 1}
    assert from_on(steps, [True, True, True, False]) is None
