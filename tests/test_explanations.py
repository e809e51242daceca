"""Deletion and insertion scores of explanations, on networks of which the answer is known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

import benchmarks.explanations
import benchmarks.explanations_figure
import benchmarks.results
import experiments.figures
from benchmarks.explanations import (
    DIGITS,
    EXPLAINER,
    SCORES,
    SHARES,
    changed,
    curves,
    mean_and_interval,
    measure,
    occlusion,
    sample,
    summary,
)
from digitreader.arrays import FloatArray
from digitreader.data import Dataset
from digitreader.provenance import write_json
from digitreader.reader import DigitReader
from experiments.explanation_tables import explanation_leads, explanations

BAR = np.zeros((28, 28), np.float32)
BAR[4:24, 12:16] = np.linspace(0.2, 1, 20)[:, np.newaxis]
MAPS = (EXPLAINER, "Grad-CAM", "occlusion", "ink", f"{EXPLAINER} of another digit", "random blobs", "random pixels")


def ink(images: npt.NDArray[Any]) -> FloatArray:
    """Be a network whose probability of a 1 is the share of the bar's ink that is there."""
    probabilities = np.zeros((len(images), 10), np.float32)
    probabilities[:, 1] = images.sum(axis=(1, 2)) / BAR.sum()
    return probabilities


def top(images: npt.NDArray[Any]) -> FloatArray:
    """Be a network that looks at the bar's faint upper end alone."""
    probabilities = np.zeros((len(images), 10), np.float32)
    probabilities[:, 1] = images[:, 4, 12:16].mean(axis=1) / BAR[4, 12]
    return probabilities


def areas(predict: Any, heat: npt.NDArray[Any]) -> dict[str, float]:
    """Return the bar's scores for a map."""
    found = curves(predict, BAR, 1, heat, np.random.default_rng(0))
    return dict(zip(SCORES, map(float, np.asarray(np.trapezoid(found, SHARES, axis=1))), strict=True))


def test_the_hottest_pixels_are_changed_first() -> None:
    heat = np.random.default_rng(1).random((28, 28))
    stages = changed(heat, np.ones_like(heat), np.random.default_rng(0))
    assert stages.sum(axis=(1, 2)).tolist() == list(range(0, 785, 28))
    for stage in stages[1:-1]:
        assert heat[stage].min() > heat[~stage].max()


def test_steps_of_equal_ink() -> None:
    heat = np.random.default_rng(1).random((28, 28))
    stages = changed(heat, BAR, np.random.default_rng(0))
    gone = np.array([BAR[stage].sum() for stage in stages]) / BAR.sum()
    np.testing.assert_array_less(gone, SHARES + 1e-6)
    np.testing.assert_array_less(SHARES - BAR.max() / BAR.sum(), gone)
    assert stages[-1].all()


def test_equal_heat_favours_no_place() -> None:
    flat = np.zeros((28, 28))
    early = np.mean([changed(flat, np.ones_like(flat), np.random.default_rng(seed))[7] for seed in range(200)], axis=0)
    assert early.mean() == pytest.approx(0.25)
    assert early[:14].mean() == pytest.approx(0.25, abs=0.01)
    assert early[:, :14].mean() == pytest.approx(0.25, abs=0.01)


def test_where_only_the_amount_of_ink_counts_equal_ink_is_indifferent() -> None:
    bright, faint = areas(ink, BAR), areas(ink, -BAR)
    assert bright["deletion"] < 0.1 < 0.9 < faint["deletion"]
    assert faint["insertion"] < 0.1 < 0.9 < bright["insertion"]
    for score in ("deletion, equal ink", "insertion, equal ink"):
        assert bright[score] == pytest.approx(0.5, abs=0.02)
        assert faint[score] == pytest.approx(0.5, abs=0.02)


def test_equal_ink_rewards_knowing_which_ink_counts() -> None:
    known, unknown = areas(top, np.where(np.arange(28)[:, np.newaxis] == 4, 1, 0)), areas(top, BAR)
    assert known["deletion, equal ink"] < 0.1 < 0.9 < unknown["deletion, equal ink"]
    assert unknown["insertion, equal ink"] < 0.1 < 0.9 < known["insertion, equal ink"]


def test_insertion_starts_at_paper_or_at_the_blurred_digit() -> None:
    found = dict(zip(SCORES, curves(ink, BAR, 1, BAR, np.random.default_rng(0)), strict=True))
    assert found["insertion"][0] == found["insertion, equal ink"][0] == 0
    assert found["insertion, blurred"][0] == pytest.approx(1, abs=0.1), "blur moves ink, and takes little away"
    for score, curve in found.items():
        assert curve[-1] == pytest.approx(0 if score.startswith("deletion") else 1, abs=1e-5)


def test_occlusion_is_where_the_network_looks() -> None:
    heat = occlusion(top, BAR, 1)
    np.testing.assert_allclose(heat[2:7, 12:16], [[0.75, 1, 1, 0.75]] * 5)
    assert np.argwhere(heat).min(axis=0).tolist() == [2, 10]
    assert np.argwhere(heat).max(axis=0).tolist() == [6, 17]


def test_a_map_of_the_network_beats_its_opposite(mnist: Dataset, reader: DigitReader) -> None:
    predict, rng = reader.recognizer.predict_proba, np.random.default_rng(0)
    gains = []
    for row in range(3):
        image = mnist.x_train[row].astype(np.float32) / np.float32(255)
        digit = int(predict(image[np.newaxis]).argmax())
        heat = occlusion(predict, image, digit)
        own, opposite = (curves(predict, image, digit, sign * heat, rng).mean(axis=1) for sign in (1, -1))
        gains.append((own - opposite) * np.where([score.startswith("deletion") for score in SCORES], -1, 1))
    assert (np.mean(gains, axis=0) > 0.1).all()


def test_each_map_is_measured_on_each_digit(mnist: Dataset, reader: DigitReader) -> None:
    found = measure(reader.recognizer, mnist.x_train[:2])
    assert tuple(found) == MAPS
    assert {members.shape for members in found.values()} == {(2, len(SCORES), len(SHARES))}
    whole = np.array([members[:, :, 0] for members in found.values()])
    np.testing.assert_allclose(whole, whole[:1].repeat(len(MAPS), axis=0), atol=1e-5)
    assert len({members.tobytes() for members in found.values()}) == len(MAPS)


def test_the_sample_is_fixed_and_of_different_digits() -> None:
    rows = sample(10_000)
    assert len(set(rows.tolist())) == DIGITS
    assert rows.max() < 10_000
    np.testing.assert_array_equal(rows, sample(10_000))


def test_the_interval_knows_that_digits_of_a_writer_are_alike() -> None:
    writers = np.repeat(np.arange(40, dtype=np.int32), 10)
    mean, low, high = mean_and_interval(np.tile([0.0, 1.0], 200), writers)
    assert (mean, low, high) == (0.5, 0.5, 0.5)
    mean, low, high = mean_and_interval(np.repeat([0.0, 1.0], 200), writers)
    assert mean == 0.5
    assert 0.3 < low < 0.4 < 0.6 < high < 0.7


def measured() -> dict[str, Any]:
    """Return what is measured of four digits if HiResCAM is everywhere 0.1 higher than the next map, and so on."""
    steps = np.linspace(0.9, 0.1, len(SHARES)) * np.linspace(0.8, 1, 4)[:, np.newaxis, np.newaxis]
    found = {
        kind: (steps.repeat(len(SCORES), axis=1) - 0.1 * place).astype(np.float32) for place, kind in enumerate(MAPS)
    }
    return summary(found, np.arange(4, dtype=np.int32))


def test_differences_are_taken_digit_by_digit() -> None:
    result = measured()
    low, high = result["scores"][EXPLAINER]["deletion"][1:]
    assert high - low > 0.03, "digits differ"
    assert result["minus"]["Grad-CAM"]["deletion"] == pytest.approx([0.1] * 3, abs=1e-6), "but not in this"
    assert EXPLAINER not in result["minus"]
    assert (result["digits"], result["writers"]) == (4, 4)


@pytest.fixture
def result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let a made-up result file be read, and return its folder."""
    monkeypatch.setattr(benchmarks.results, "RESULTS", tmp_path)
    write_json(tmp_path / "explanations.json", {"sets": {"test digits": measured(), "misread": measured()}})
    return tmp_path


@pytest.mark.usefixtures("result")
def test_the_tables_say_which_way_is_good() -> None:
    header, _, *rows = explanations().splitlines()
    assert header.count("↓") == 2
    assert header.count("↑") == 3
    assert len(rows) == len(MAPS)
    lines = explanation_leads().splitlines()[2:]
    assert len(lines) == 2 * (len(MAPS) - 1)
    cells = lines[0].split(" | ")
    assert cells[0] == "| Grad-CAM"
    assert cells[2].startswith("\N{MINUS SIGN}0.100"), "deletion is higher than by Grad-CAM: worse"
    assert cells[3].startswith("+0.100")


def test_the_figure_is_drawn(result: Path, mnist: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(experiments.figures, "FIGURES", result)
    benchmarks.explanations_figure.explanations()
    with Image.open(result / "explanations.png") as image:
        assert image.width >= 1200
        assert np.asarray(image.convert("L")).std() > 20
