"""What augmentation is worth: the committed recipe and seed without it, tested once, as results/no_augmentation.json.

python -m experiments.no_augmentation
"""

from __future__ import annotations

from experiments.runs import Run, committed_settings, train_missing


def main() -> None:
    """Train the network unless its row is there."""
    run = Run(committed_settings() | {"AUGMENT": False})
    train_missing("no_augmentation", [run], test=True, jobs=1, command="python -m experiments.no_augmentation")


if __name__ == "__main__":
    main()
