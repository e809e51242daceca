"""The strokes that other hands add to a digit."""

from __future__ import annotations

import numpy as np
import pytest

from digitreader.data import Dataset
from experiments.hands import SHARES, other_hand
from experiments.outlines import outline, stroke_width


@pytest.mark.parametrize("digit", range(10))
def test_shares_of_some_digits_get_strokes_of_the_same_pen(mnist: Dataset, digit: int) -> None:
    outlines = [outline(image) for image in mnist.x_train[:4000][mnist.y_train[:4000] == digit][:100]]
    drawn = [other_hand(distance, digit, np.random.default_rng(seed)) for seed, distance in enumerate(outlines)]
    changed = [not np.array_equal(one, other) for one, other in zip(outlines, drawn, strict=True)]
    assert np.mean(changed) == pytest.approx(SHARES.get(digit, 0), abs=0.12)
    ink = np.array([((before > 0).sum(), (after > 0).sum()) for before, after in zip(outlines, drawn, strict=True)])
    more = ink[:, 1] > ink[:, 0]
    assert (more & changed).sum() >= 0.9 * sum(changed), "but where a 7 has a bar already"
    for before, after, is_changed in zip(outlines, drawn, changed, strict=True):
        assert after.shape == before.shape
        assert (after >= before).all(), "a stroke takes no ink away"
        if is_changed:
            assert stroke_width(after) == pytest.approx(stroke_width(before), rel=0.5)


def test_a_slash_goes_through_the_hole_of_a_zero(mnist: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SHARES, 0, 1)
    for image in mnist.x_train[mnist.y_train == 0][:20]:
        before = outline(image)
        after = other_hand(before, 0, np.random.default_rng(0))
        rows, columns = np.nonzero(before > 0)
        middle = round((rows.min() + rows.max()) / 2)
        assert (after[middle] > 0).sum() > (before[middle] > 0).sum()
        assert np.ptp(np.nonzero(after > 0)[1]) >= np.ptp(columns)
