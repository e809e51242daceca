"""The README's tables of what acceptance is worth: of what is no digit, of writers, and under corruptions."""

from __future__ import annotations

import json

from benchmarks.results import read_result
from digitreader.calibrate_fields import WAYS
from digitreader.recognizer import MODELS
from experiments.non_digits import LIKE_DIGITS
from experiments.runs import read_rows
from experiments.tables import Goal, between, goal_table, percent, table

NAMES = {
    "sign": "letters and signs, drawn with a pen",
    "letter": "printed letters",
    "symbol": "printed symbols",
    "foreign letter": "letters of other alphabets",
    "scribble": "scribbles",
    "glyph": "signs of no alphabet",
    "shape": "triangles, squares, stars",
    "blots": "blots",
    "texture": "stripes, grids, clouds",
    "silhouette": "solid silhouettes",
    "noise": "grains",
    "fragment": "part of a digit",
    "shuffled": "the quarters of a digit in another order",
    "mirrored": "3, 6, 7 and 9 in a mirror",
    "pair": "two digits that touch, overlap or stand close",
    "piece of a photograph": "pieces of photographs (a kind that it does not know)",
    LIKE_DIGITS: "for comparison: letters like digits, such as O, l, S, Z, B",
}
CORRUPTED_GOAL, CORRUPTED_RISK = 0.96, 0.01


def non_digits() -> str:
    """Return the table of what is no digit and is accepted as one."""
    result = read_result("non_digits")
    rows = []
    for kind, of in result["kinds"].items():
        clean, photo = (of["accepted"].get(style) for style in ("clean", "photo"))
        shares = [percent(share, 1) for share in (clean, photo) if share is not None] or [
            percent(of["accepted"]["as it is"], 1)
        ]
        rows.append((NAMES[kind], *(shares * 2)[:2], f"{of['auroc']:.4f}"))
    header = (f"accepted as a digit, of {result['pictures']} each", "clean", "photo", "AUROC against the test digits")
    return table(header, rows)


def rejection() -> str:
    """Return the table of the scores that tell what is no digit, on kinds that no network has seen."""
    rows = read_rows("rejection")
    kinds = list(rows[0]["auroc"])
    lines = [(NAMES[kind], *(f"{row['auroc'][kind]:.3f}" for row in rows)) for kind in kinds]
    lines += [
        ("**mean AUROC**", *(f"**{row['mean_auroc']:.3f}**" for row in rows)),
        (
            f"accepted, where {percent(rows[0]['coverage'], 1)} of the digits are",
            *(percent(row["mean_accepted"], 1) for row in rows),
        ),
        ("µs more a picture", *(f"{row['microseconds']:.0f}" for row in rows)),
        (
            "of the time of a reading",
            *(percent(row["microseconds"] / row["microseconds_of_a_reading"], 0) for row in rows),
        ),
    ]
    return table(("AUROC", *(row["score"] for row in rows)), lines)


def corruptions() -> str:
    """Return the table of the corruptions."""
    measured = read_result("corruptions")
    rows = [
        (
            name,
            percent(of["accuracy_of_the_network_alone"], 1),
            percent(of["accuracy"], 1),
            percent(of["accepted"], 1),
            f"{percent(of['wrong_among_accepted'])} ({between(of['wrong_among_accepted_95'])})",
        )
        for name, of in measured["corruptions"].items()
    ]
    mean = (
        "**mean of the fifteen**",
        f"**{percent(measured['mean_accuracy_of_the_network_alone'], 1)}**",
        f"**{percent(measured['mean_accuracy'], 1)}**",
    )
    header = ("corruption", "right: digits' network alone", "right: reader", "accepted", "wrong of accepted")
    return table(header, [*rows, (*mean, "", "")])


def by_writer() -> str:
    """Return the table of errors by writer."""
    (row,) = read_rows("by_writer")
    lines = []
    for name in ("all", "accepted"):
        of = row[name]
        lines.append(
            (
                f"{name}, {of.get('digits', row['digits']):,} digits of {row['writers']} writers",
                f"{of['errors']} ({percent(of['rate'], 3)})",
                percent(of["writers_with_errors"], 1),
                percent(of["expected_with_errors"], 1),
                percent(of["worst_tenth"], 2),
                of["most_errors"],
            )
        )
    header = (
        "readings",
        "misread",
        "writers with an error",
        "if all were misread alike",
        "misread of the worst tenth of the writers, found by one half of their digits, in the other",
        "most of one writer",
    )
    return table(header, lines)


def promised() -> str:
    """Return the table of what the thresholds in use promise, and of what certifies that."""
    digits, fields = (json.loads((MODELS / name).read_text()) for name in ("reader.json", "line_reader.json"))
    kinds = [("digits", digits["risk"], digits["digits"], digits["digits"]["images"])]
    for way, meaning in WAYS.items():
        certifying = fields[way]["certifying"]
        kinds.append((meaning, fields["risk"], certifying, certifying["lines"]))
    lines = [
        (
            meaning,
            f"**{percent(risk, 1)}**",
            f"{count:,} by {of['writers']} writers",
            percent(of["accepted"] / count, 1),
            f"{of['wrong_among_accepted']} ({percent(of['wrong_among_accepted'] / of['accepted'], 2)})",
        )
        for meaning, risk, of, count in kinds
    ]
    confidence = percent(digits["confidence_in_the_risk"], 0)
    header = (
        "accepted",
        f"of these are wrong, with {confidence} confidence at most",
        "certified by",
        "accepted of these",
        "wrong among them",
    )
    return table(header, lines)


def trust_goals() -> str:
    """Return the table of the goals, and whether they are reached."""
    digits, kinds, measured = read_result("mnist"), read_result("non_digits")["kinds"], read_result("corruptions")
    exposed = read_rows("rejection")[-1]
    unseen = exposed["auroc"]
    worst = min(unseen, key=lambda kind: unseen[kind])
    known = [of for kind, of in kinds.items() if kind != LIKE_DIGITS]
    accepted = sum(sum(of["accepted"].values()) / len(of["accepted"]) for of in known) / len(known)
    of_all = measured["corruptions"]
    riskiest = max((name for name in of_all if name != "none"), key=lambda name: of_all[name]["wrong_among_accepted"])
    area = "{:.3f}".format

    def fine(share: float) -> str:
        return percent(share, 3)

    def points(value: float) -> str:
        return f"{100 * value:.2f} points".replace("-", "\N{MINUS SIGN}")

    return goal_table(
        [
            Goal(f"AUROC on kinds never seen, the worst ({NAMES[worst]})", "≥", 0.99, unseen[worst], area),
            Goal("AUROC on kinds never seen, mean", "≥", 0.995, exposed["mean_auroc"], area),
            Goal(
                "kinds never seen, accepted where 98.5 % of the digits are",
                "≤",
                0.02,
                exposed["mean_accepted"],
                percent,
            ),
            Goal("non-digits accepted at the thresholds in use, mean of the kinds", "≤", 0.02, accepted, percent),
            Goal("MNIST's test digits accepted there", "≥", 0.985, digits["accepted"], percent),
            Goal("wrong among these", "≤", 0.0002, digits["risk"], fine, digits["risk_95"]),
            Goal("wrong among the 99.5 % most confident", "≤", 0.0008, digits["risk_at_most_coverage"], fine),
            Goal(
                "time that telling non-digits adds to a reading",
                "≤",
                0.2,
                exposed["microseconds"] / exposed["microseconds_of_a_reading"],
                percent,
            ),
            Goal("mean accuracy under fifteen corruptions", "≥", CORRUPTED_GOAL, measured["mean_accuracy"], percent),
            Goal(
                f"wrong among accepted under the worst corruption ({riskiest})",
                "≤",
                CORRUPTED_RISK,
                of_all[riskiest]["wrong_among_accepted"],
                percent,
                of_all[riskiest]["wrong_among_accepted_95"],
            ),
            Goal(
                "accuracy lost on clean digits, against their arrays",
                "≤",
                0.0002,
                digits["accuracy"] - digits["accuracy_as_pictures"],
                points,
            ),
        ]
    )
