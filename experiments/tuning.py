"""Search the recipe: 40 short trainings, chosen by Optuna, judged by validation log-loss.

A trial takes 10,000 training digits for six epochs; the first one is the committed recipe. What is found is only a
candidate: the committed network changes if the best trial's recipe, trained in full with three seeds, has a validation
log-loss lower by more than two standard errors (`--finalist`), and then by `make release` alone. In full means as many
epochs as cost no more than the committed recipe's, since the notebook may take no longer.

Trials are kept in a database, so that a search goes on after a kill, with the trial that was cut off, and machines can
share one by `--storage`. A new database starts from the rows of results/tuning.json.

    python -m experiments.tuning --jobs 2
    python -m experiments.tuning --finalist --jobs 2

References
----------
Akiba, T. et al. (2019). Optuna: a next-generation hyperparameter optimization framework. KDD.
Bergstra, J. et al. (2011). Algorithms for hyper-parameter optimization (the tree-structured Parzen estimator). NIPS.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import statistics
from collections.abc import Mapping, Sequence
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import CategoricalDistribution, FloatDistribution, distribution_to_json
from optuna.trial import TrialState
from tqdm import tqdm

from digitreader.data import load_mnist
from digitreader.errors import TrainingError
from experiments.recipe import SEEDS
from experiments.runs import (
    QUICK,
    QUICK_RESULTS,
    RESULTS,
    ROOT,
    Row,
    Run,
    command_line,
    read_rows,
    share_threads,
    stated_command,
    train_missing,
    write_rows,
)
from experiments.tables import standard_error
from experiments.variants import COMMITTED, STRUCTURE, augmentation, settings, train

TRIALS = 40
SHORT = {"EPOCHS": 6, "LIMIT": 10_000}
SEED = 1  # of the search and of every trial
SPACE: dict[str, CategoricalDistribution | FloatDistribution] = {
    "learning_rate": FloatDistribution(3e-4, 5e-3, log=True),
    "decay": CategoricalDistribution([True, False]),
    "batch_size": CategoricalDistribution([32, 64, 128]),
    "dropout_convolution": FloatDistribution(0.0, 0.5),
    "dropout_dense": FloatDistribution(0.0, 0.7),
    "width": FloatDistribution(0.5, 1.5, step=0.25),
    "dense_units": CategoricalDistribution([64, 128, 256, 512]),
    "rotation": FloatDistribution(0.0, 20.0),
    "shift": FloatDistribution(0.0, 0.2),
    "zoom": FloatDistribution(0.0, 0.25),
}
RECIPE = {
    "learning_rate": COMMITTED["LEARNING_RATE"],
    "decay": True,
    "batch_size": COMMITTED["BATCH_SIZE"],
    "dropout_convolution": STRUCTURE["dropout_convolution"],
    "dropout_dense": STRUCTURE["dropout_dense"],
    "width": 1.0,
    "dense_units": STRUCTURE["dense_units"],
    "rotation": float(COMMITTED["ROTATION"]),
    "shift": COMMITTED["SHIFT"],
    "zoom": COMMITTED["ZOOM"],
}


def as_settings(parameters: Mapping[str, Any], *, seed: int, **changed: Any) -> dict[str, Any]:
    """Return the settings of a training with a trial's parameters."""
    options = {name: parameters[name] for name in ("dropout_convolution", "dropout_dense", "dense_units")}
    options["blocks"] = [[round(filters * parameters["width"]) for filters in block] for block in STRUCTURE["blocks"]]
    return settings(
        seed=seed,
        OPTIONS=options,
        LEARNING_RATE=parameters["learning_rate"],
        DECAY=parameters["decay"],
        BATCH_SIZE=parameters["batch_size"],
        AUGMENTATION=augmentation(*(parameters[name] for name in ("rotation", "shift", "zoom"))),
        **changed,
    )


def study_name(short: Mapping[str, int]) -> str:
    """Return the name of the search: one from another recipe, of other trials or in another space is another."""
    space = {name: distribution_to_json(values) for name, values in SPACE.items()}
    asked = json.dumps([as_settings(RECIPE, seed=SEED, **short), space], sort_keys=True)
    return "mnist_cnn_" + hashlib.sha256(asked.encode()).hexdigest()[:8]


def as_study(rows: Sequence[Row], name: str, storage: optuna.storages.BaseStorage | None = None) -> optuna.Study:
    """Return the search with that name, in a database or in memory, with the rows that it lacks."""
    study = optuna.create_study(study_name=name, storage=storage, load_if_exists=True)
    known = [trial.user_attrs.get("row") for trial in study.get_trials()]
    study.add_trials(
        [
            optuna.create_trial(
                params=row["parameters"], distributions=dict(SPACE), value=row["val_loss"], user_attrs={"row": row}
            )
            for row in rows
            if row["study"] == name and row not in known
        ]
    )
    return study


def database(url: str) -> optuna.storages.RDBStorage:
    """Return a database in which a trial that gives no sign of life for three minutes is started again."""
    again = optuna.storages.RetryHeartbeatStaleTrialCallback()
    return optuna.storages.RDBStorage(url, heartbeat_interval=30, grace_period=180, failed_trial_callback=again)


def work(url: str, name: str, trials: int, labels: Row, short: Mapping[str, int], number: int, jobs: int) -> None:
    """Do trials, one after the other, until so many of the search are finished; `number` is the worker's."""
    share_threads(jobs)
    storage = database(url)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    seed = SEED + number + 1000 * len(optuna.load_study(study_name=name, storage=storage).trials)
    study = optuna.load_study(study_name=name, storage=storage, sampler=optuna.samplers.TPESampler(seed=seed))

    def objective(trial: optuna.Trial) -> float:
        for parameter, values in SPACE.items():
            if isinstance(values, CategoricalDistribution):
                trial.suggest_categorical(parameter, values.choices)
            else:
                trial.suggest_float(parameter, values.low, values.high, log=values.log, step=values.step)
        row = train(Run(as_settings(trial.params, seed=SEED, **short), {"parameters": trial.params}), RESULTS)
        del row["history"]
        trial.set_user_attr("row", row | labels)
        loss: float = row["val_loss"]
        return loss

    enough = optuna.study.MaxTrialsCallback(trials, states=(TrialState.COMPLETE, TrialState.RUNNING))
    study.optimize(objective, n_trials=trials, callbacks=[enough], catch=(Exception,))


def search(url: str, trials: int, short: Mapping[str, int], *, jobs: int, command: str, results: Path) -> None:
    """Do the trials that are missing, `jobs` side by side, and write tuning.json as they finish.

    Raises
    ------
    TrainingError
        If too many trials failed.
    """
    name = study_name(short)
    study = as_study(read_rows("tuning", results), name, database(url))
    study.enqueue_trial(RECIPE, skip_if_exists=True)
    labels = {"study": name, "command": command}
    spawn = multiprocessing.get_context("spawn")
    workers = [
        spawn.Process(target=work, args=(url, name, trials, labels, short, number, jobs)) for number in range(jobs)
    ]
    done = finished(study)
    if len(done) < trials:
        for worker in workers:
            worker.start()
    with tqdm(total=trials, initial=len(done), unit="trial") as bar:
        while True:
            alive = [worker.sentinel for worker in workers if worker.is_alive()]
            done = finished(study)  # after that, so that the last worker's trial is among them
            bar.update(len(done) - bar.n)
            write_rows("tuning", done, results)
            if not alive:
                break
            wait(alive, timeout=10)
    if len(done) < trials:
        raise TrainingError(f"{trials - len(done)} trials are missing: see the warnings above.")


def finished(study: optuna.Study) -> list[Row]:
    """Return the rows of the trials that are finished."""
    return [trial.user_attrs["row"] for trial in study.get_trials(states=(TrialState.COMPLETE,))]


def of_the_recipe(rows: Sequence[Row], short: Mapping[str, int] = SHORT) -> Row:
    """Return the row of the trial of the committed recipe.

    Raises
    ------
    TrainingError
        If there is none: the trials are of another recipe.
    """
    for row in rows:
        if row["settings"] == as_settings(RECIPE, seed=SEED, **short):
            return row
    raise TrainingError("No trial is of the committed recipe: run `python -m experiments.tuning`.")


def adopted(recipe: Sequence[float], finalist: Sequence[float]) -> bool:
    """Return whether the finalist's validation log-losses are lower by more than two standard errors."""
    return statistics.mean(recipe) - statistics.mean(finalist) > 2 * standard_error(recipe, finalist)


def affordable(best: Row, recipe: Row) -> int:
    """Return for how many epochs a trial's network can be trained at the cost of the committed recipe, or of less."""
    epochs: int = COMMITTED["EPOCHS"]
    return min(epochs, epochs * recipe["multiply_adds"] // best["multiply_adds"])


def main() -> None:
    """Search, or train the finalist."""
    parser = command_line(__doc__)
    parser.add_argument("--storage", help="URL of Optuna's database; by default a file in runs/tuning/")
    parser.add_argument("--finalist", action="store_true", help="train the best trial's recipe in full, three seeds")
    arguments = parser.parse_args()

    load_mnist()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    results = ROOT / QUICK_RESULTS if arguments.quick else RESULTS
    short, trials = (QUICK, 2) if arguments.quick else (SHORT, TRIALS)
    command = stated_command("tuning", arguments)
    if arguments.finalist:
        rows = read_rows("tuning", results)
        if len(rows) < trials:
            raise TrainingError(f"{trials - len(rows)} trials are missing: run `{command}` first.")
        best = min(rows, key=lambda row: row["val_loss"])
        full = QUICK if arguments.quick else {"EPOCHS": affordable(best, of_the_recipe(rows, short))}
        runs = [Run(as_settings(best["parameters"], seed=seed, **full)) for seed in SEEDS]
        command += " --finalist"
        train_missing("tuning_finalist", runs, train, jobs=arguments.jobs, command=command, results=results)
        return
    folder = results if arguments.quick else ROOT / "runs" / "tuning"
    folder.mkdir(parents=True, exist_ok=True)
    storage = arguments.storage or f"sqlite:///{folder}/trials.db"
    search(storage, trials, short, jobs=arguments.jobs, command=command, results=results)


if __name__ == "__main__":
    main()
