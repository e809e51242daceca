"""What is printed where people write: boxes around a digit, and ruled lines."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from digitreader.arrays import FloatArray

STRONG = 0.4  # fainter ink does not join a digit to the frame around it
RECTANGULAR = 0.85  # share of the smallest box around a frame's opening that is open; of a round 0 it is less
OPENING = 0.5  # share of the area within a frame's outline that is open, at least
FRAMED = 0.1  # share of a picture's ink that stands in its frame, at least

FAINT = 0.15  # ink of a rule, at least
RULED = 0.85  # share of a picture's columns that a rule has ink in, at least
LONGER, THINNER = 1.4, 0.12  # a rule is at least so much longer and thinner than what is written is high
SLOPES = np.linspace(-0.12, 0.12, 25)  # of rules; those of a page may differ by one step
MOST = 40  # rules on a page
CROSSED = 2.0  # times a rule's thickness: ink that is thicker is a stroke that crosses it
FINEST = 512  # pixels of the longer side in which rules are looked for


def without_frame(ink: FloatArray) -> FloatArray:
    """Return the ink (h, w) that stands in a printed box, if there is one; else all of it."""
    contours, hierarchy = cv2.findContours((ink > STRONG).astype(np.uint8), cv2.RETR_TREE, cv2.CHAIN_APPROX_SIMPLE)
    if len(contours) < 3:  # a box's outline, its opening, a digit
        return ink
    parents = hierarchy[0, :, 3]
    for opening in np.unique(parents[parents >= 0]).tolist():
        outline = parents[opening]
        if outline < 0 or parents[outline] >= 0:  # no opening, or one in a digit that stands in a box
            continue
        area, (_, sides, _) = cv2.contourArea(contours[opening]), cv2.minAreaRect(contours[opening])
        if area < max(RECTANGULAR * sides[0] * sides[1], OPENING * cv2.contourArea(contours[outline])):
            continue
        open_ = cv2.drawContours(np.zeros(ink.shape, np.uint8), contours, opening, 1, cv2.FILLED)
        inside = ink * cv2.erode(open_, np.ones((3, 3), np.uint8), iterations=2)
        if inside.sum() >= FRAMED * ink.sum():
            return inside
    return ink


def without_rules(ink: FloatArray) -> FloatArray:
    """Return ink (h, w) without the lines, about level, that run through the whole picture.

    Where a stroke crosses a rule it stays. A picture with rules may come back smaller.
    """
    if not ((ink[:, :2] > FAINT).any() and (ink[:, -2:] > FAINT).any()):
        return ink
    scale = FINEST / max(ink.shape)
    height, width = (max(round(side * scale), 1) for side in ink.shape)
    found = cv2.resize(ink, (width, height), interpolation=cv2.INTER_AREA) if scale < 1 else ink.copy()
    thickest, slopes, count = 0.0, SLOPES, 0
    while (rule := _rule(found > FAINT, slopes)) is not None:
        slope, places = rule
        slopes = SLOPES[np.abs(SLOPES - slope) < 1.5 * (SLOPES[1] - SLOPES[0])]
        thickest, count = max(thickest, _erase(found, places)), count + 1
        if count > MOST:
            return ink
    rows = np.flatnonzero((found > STRONG).any(axis=1))
    if not count or not rows.size:
        return ink
    written = float(np.ptp(rows)) + 1
    return found if thickest <= THINNER * written and LONGER * written <= found.shape[1] else ink


def _rule(inked: npt.NDArray[np.bool_], slopes: npt.NDArray[np.float64]) -> tuple[float, npt.NDArray[np.int64]] | None:
    """Return the slope of the clearest rule and its row in each column, shape (w,), or None if there is none."""
    height, width = inked.shape
    columns = np.arange(width)
    best, rule = 0.0, None
    for slope in slopes.tolist():
        shift = np.rint(slope * (columns - width / 2)).astype(int)
        rows = np.arange(height)[:, np.newaxis] + shift
        within = (rows >= 0) & (rows < height)
        covered = (inked[np.clip(rows, 0, height - 1), columns] & within).sum(axis=1)
        row = int(covered.argmax())
        if covered[row] > best:
            best, rule = float(covered[row]), (slope, np.clip(row + shift, 0, height - 1))
    return rule if best >= RULED * width else None


def _erase(ink: FloatArray, rule: npt.NDArray[np.int64]) -> float:
    """Take a rule out of ink, in place, but for where it is crossed, and return its thickness."""
    inked = ink > FAINT
    above, below = (_reach(inked, rule, step) for step in (-1, 1))
    thickness = above + below - 1
    typical = float(np.median(thickness[thickness > 0]))
    plain = thickness <= CROSSED * typical
    rows = np.arange(len(ink))[:, np.newaxis]
    ink[(rows > rule - above - 1) & (rows < rule + below + 1) & plain] = 0
    return typical


def _reach(inked: npt.NDArray[np.bool_], rule: npt.NDArray[np.int64], step: int) -> npt.NDArray[np.int64]:
    """Return how far ink reaches from a rule in one direction, in each column; 1 if there is only the rule's row."""
    reach, columns = np.zeros_like(rule), np.arange(inked.shape[1])
    going, rows = inked[rule, columns], rule.copy()
    while going.any():
        reach += going
        rows += step
        going &= (rows >= 0) & (rows < len(inked)) & inked[np.clip(rows, 0, len(inked) - 1), columns]
    return reach
