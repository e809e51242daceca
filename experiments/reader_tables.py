"""The README's tables of what the reader does, from the result files of the benchmarks."""

from __future__ import annotations

from benchmarks.results import read_result
from experiments.runs import read_rows
from experiments.tables import Goal, between, goal_table, percent, table

FIELD_GOALS = {
    "clean and apart": 0.012,
    "noise and uneven light": 0.03,
    "on a ruled line": 0.03,
    "touching": 0.08,
    "in form boxes": 0.08,
    "ZIP+4": 0.05,
}
CONFIDENT_GOALS = (0.003, 0.001)  # at the coverages of `benchmarks.fields`


def reader_goals() -> str:
    """Return the table of the reader's goals, and whether they are reached."""
    digits, wild, foreign = (read_result(name) for name in ("mnist", "wild", "foreign"))
    speed, bad = read_result("speed"), read_result("bad_input")
    lost = digits["accuracy"] - min(digits["accuracy_as_pictures"], *digits["accuracy_shifted"].values())
    paired = wild["accuracy_of_the_same_digits_clean"] - wild["accuracy"]
    small = "{:.2g}".format

    def fine(share: float) -> str:
        return percent(share, 4)

    times = "{:,.2f} ×".format
    rate = "{:,.0f}".format
    photos = f"{rate(speed['photos_a_second'])} of {speed['mean_photo_pixels'] / 1e6:.2f} megapixels"
    one = speed["one_image"]

    def points(value: float) -> str:
        return f"{value:.2f} points".replace("-", "\N{MINUS SIGN}")

    return goal_table(
        [
            Goal(
                "accuracy lost on MNIST's test digits as pictures, also shifted by 3 pixels",
                "≤",
                0.02,
                100 * lost,
                points,
            ),
            Goal("misread among the 98.5 % most confident of these", "≤", 0.0003, digits["risk_at_coverage"], fine),
            Goal("accuracy lost on user-like photos, against the same digits clean", "≤", 0.5, 100 * paired, points),
            Goal(
                "another country's handwriting (`load_digits`)",
                "≥",
                0.975,
                foreign["accuracy"],
                percent,
                foreign["accuracy_95"],
            ),
            Goal(
                f"one array of 28 × 28, in {one['predict_proba_ms']:.2f} ms: faster than Keras `predict` (a picture, "
                f"by both networks: {one['predict_image_ms']:.1f} ms)",
                "≥",
                200,
                one["ratio"],
                times,
            ),
            Goal("batches of such: faster than Keras at its best batch size", "≥", 2, speed["batches"]["ratio"], times),
            Goal("seconds until a reader is there, import included", "≤", 1, speed["start"]["import_s"], small),
            Goal("seconds of the first `digits predict`", "≤", 1, speed["start"]["first_reading_s"], small),
            Goal(f"PNG files of 28 × 28 a second (photos: {photos})", "≥", 1000, speed["files_28_a_second"], rate),
            Goal(f"of {bad['files']} malformed files, not handled", "≤", 0, len(bad["failures"]), small),
        ]
    )


def field_goals() -> str:
    """Return the table of the goals for fields, and whether they are reached."""
    styles = read_result("fields")["styles"]
    clean = styles["clean and apart"]
    goals = [
        Goal(f"{name}: wrong, nothing rejected", "≤", bound, styles[name]["wrong"], percent, styles[name]["wrong_95"])
        for name, bound in FIELD_GOALS.items()
    ]
    for kept, bound in zip(clean["at_coverage"], CONFIDENT_GOALS, strict=True):
        share = percent(kept["coverage"], 0)
        name = f"clean and apart: wrong among the {share} most confident"
        goals.append(Goal(name, "≤", bound, kept["wrong"], percent, kept["wrong_95"]))
    return goal_table(goals)


def digit_results() -> str:
    """Return the table of what becomes of single digits at the thresholds in use."""
    mnist, wild, foreign = (read_result(name) for name in ("mnist", "wild", "foreign"))
    rows = [
        ("MNIST's test digits as pictures", mnist["images"], mnist["accuracy_as_pictures"], mnist),
        (f"{wild['pictures']:,} of them as user-like photos", wild["pictures"], wild["accuracy"], wild),
        ("`load_digits`, 8 × 8 pixels", foreign["images"], foreign["accuracy"], foreign),
    ]
    return table(
        ("digits", "read right", "accepted", "wrong among these"),
        [
            (name, percent(right), percent(result["accepted"], 1), f"{wrong} of {round(result['accepted'] * count):,}")
            for name, count, right, result in rows
            for wrong in [result["wrong_among_accepted"]]
        ],
    )


def field_results() -> str:
    """Return the table of the fields of test writers, style by style."""
    measured = read_result("fields")
    rows = []
    for name, style in measured["styles"].items():
        populations = style["wrong_by_population"]
        rows.append(
            (
                name,
                f"{percent(style['wrong'])} ({between(style['wrong_95'])})",
                percent(style["wrong_without_the_length"]),
                percent(style["wrong_if_writers_count_evenly"]),
                f"{percent(populations['Census staff'])}, {percent(populations['students'])}",
                percent(style["in_review"], 1),
                f"{percent(style['wrong_among_accepted'])} ({between(style['wrong_among_accepted_95'])})",
            )
        )
    count = max(style["lines"] for style in measured["styles"].values())
    writers = max(style["writers"] for style in measured["styles"].values())
    header = (
        f"fields, {count:,} each, of {writers} writers",
        "wrong",
        "wrong, length not known",
        "wrong, every writer counted once",
        "wrong: Census staff, students",
        "in review",
        "wrong of accepted",
    )
    return table(header, rows)


def line_methods() -> str:
    """Return the table of the two ways to read a line, on the same validation lines."""
    rows = read_rows("line_methods")
    methods = list(dict.fromkeys(row["method"] for row in rows))
    lines = []
    for style in dict.fromkeys(row["style"] for row in rows):
        of_style = {row["method"]: row for row in rows if row["style"] == style}
        lines.append((style, *(percent(of_style[method]["wrong"], 1) for method in methods)))
    costs = [
        1e3
        * sum(row["seconds"] for row in rows if row["method"] == method)
        / sum(row["lines"] for row in rows if row["method"] == method)
        for method in methods
    ]
    header = (f"wrong of {rows[0]['lines']} fields", *methods)
    return table(header, [*lines, ("milliseconds a line", *(f"{cost:.1f}" for cost in costs))])


def samples() -> str:
    """Return the table of what the reader says of the sample pictures."""
    return table(
        ("picture", "reading", "confidence", "decision", "reason"),
        [
            (
                f"`{row['file']}`",
                f"`{row['text']}`",
                f"{row['confidence']:.4f}",
                row["decision"],
                f"`{row['reason']}`",
            )
            for row in read_rows("samples")
        ],
    )
