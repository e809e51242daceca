"""Put the committed network's row, from models/mnist_cnn.json, in front of the others' of results/seeds.json.

python -m experiments.committed
"""

from __future__ import annotations

from experiments.runs import Run, card_row, committed_settings, read_card, read_rows_of, write_rows

COMMITTED_SEED = 42
SEEDS = (COMMITTED_SEED, 43, 44, 45, 46)


def runs() -> list[Run]:
    """Return the trainings of the committed recipe, that of the committed network first."""
    return [Run(committed_settings() | {"SEED": seed}) for seed in SEEDS]


def main() -> None:
    """Write the row, unless the network was trained with other settings than the notebook's."""
    committed, *others = runs()
    card = read_card()
    made, wanted = card["hyperparameters"], committed.settings
    ranges = {"rotation_range": "ROTATION", "width_shift_range": "SHIFT", "zoom_range": "ZOOM"}
    same = {
        "SEED": card["seed"],
        "BLOCKS": made["blocks"],
        "EPOCHS": made["epochs_at_most"],
        "BATCH_SIZE": made["batch_size"],
        "LEARNING_RATE": made["learning_rate"],
        "DENSE_UNITS": made["dense_units"],
        "DROPOUT_CONVOLUTION": made["dropout_convolution"],
        "DROPOUT_DENSE": made["dropout_dense"],
        "AUGMENT": made["augmentation"] is not None,
    } | {setting: made["augmentation"][name] for name, setting in ranges.items() if made["augmentation"]}
    if not same.items() <= wanted.items():
        raise SystemExit(
            "The committed network was not trained with the notebook's own settings: run `make run` first."
        )
    row = card_row(card) | {
        "settings": committed.settings,
        "test_accuracy": card["test"]["accuracy"],
        "command": "make run",
    }
    write_rows("seeds", [row, *read_rows_of("seeds", others)])


if __name__ == "__main__":
    main()
