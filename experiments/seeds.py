"""How much of the accuracy is luck: the committed recipe with five seeds, each tested once.

Seed 42 is the committed network itself: its row comes from models/mnist_cnn.json. Finished runs are rows of
results/seeds.json and are not repeated.

    python -m experiments.seeds --jobs 2
"""

from __future__ import annotations

from functools import partial

from experiments import committed
from experiments.runs import command_line, saved_on_test, study, train

if __name__ == "__main__":
    if not command_line(__doc__).parse_args().quick:
        committed.main()
    study("seeds", __doc__, committed.runs(), partial(train, finish=saved_on_test))
