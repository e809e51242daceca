"""How much of the accuracy is luck: the committed recipe with five seeds, each tested once.

Seed 42 is the committed network itself: its row comes from models/mnist_cnn.json. Finished runs are rows of
results/seeds.json and are not repeated.

    python -m experiments.seeds --jobs 2
"""

from __future__ import annotations

import argparse

from experiments.runs import Run, card_row, committed_settings, read_card, read_rows_of, train_missing, write_rows

COMMITTED_SEED = 42
SEEDS = (COMMITTED_SEED, 43, 44, 45, 46)


def main() -> None:
    """Add the committed network's row, then train what is missing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=1, help="networks trained side by side")
    parser.add_argument("--committed-only", action="store_true", help="only refresh the committed network's row")
    arguments = parser.parse_args()

    settings = committed_settings()
    card = read_card()
    trained = card["hyperparameters"]
    if (card["seed"], trained["blocks"], trained["epochs_at_most"], trained["batch_size"]) != (
        COMMITTED_SEED,
        settings["BLOCKS"],
        settings["EPOCHS"],
        settings["BATCH_SIZE"],
    ):
        raise SystemExit(
            "The committed network was not trained with the notebook's own settings: run `make run` first."
        )
    committed = card_row(card) | {
        "settings": settings | {"SEED": COMMITTED_SEED},
        "test_accuracy": card["test"]["accuracy"],
        "command": "make run",
    }
    runs = [Run(settings | {"SEED": seed}) for seed in SEEDS]
    write_rows("seeds", [committed, *read_rows_of("seeds", runs[1:])])
    if not arguments.committed_only:
        command = f"python -m experiments.seeds --jobs {arguments.jobs}"
        train_missing("seeds", runs, test=True, jobs=arguments.jobs, command=command)


if __name__ == "__main__":
    main()
