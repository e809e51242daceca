"""How fast the reader is, beside Keras on the same network, in one run: ratios are of rounds side by side.

python -m benchmarks.speed
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from tqdm import tqdm

from benchmarks.results import write_result
from digitreader.cores import cores
from digitreader.data import load_mnist
from digitreader.reader import DigitReader
from digitreader.recognizer import MODELS, as_input
from experiments.compose import PHOTO, compose, jpeg
from experiments.outlines import outline

ROUNDS = 7
SINGLE = 50  # calls a round
KERAS_BATCHES = (32, 64, 128, 256, 512, 1024, 2048)
FILES = 1000
SEED = 0
QUALITY = 80  # of JPEG files


def seconds(call: Callable[[], Any]) -> float:
    """Return how long a call takes."""
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def photo(images: np.ndarray, number: int) -> bytes:
    """Return a user-like photo of one of some digits, as a JPEG file."""
    rng = np.random.default_rng((SEED, number))
    return jpeg(compose([outline(images[number])], PHOTO, rng).pixels, QUALITY)


def single(reader: DigitReader, network: Any, images: np.ndarray) -> dict[str, float]:
    """Time one image at a time: Keras predict, its plain call, and the reader on an array and on a picture."""
    arrays = images[:SINGLE]
    inputs = as_input(arrays)
    calls: dict[str, Callable[[int], Any]] = {
        "keras_predict": lambda k: network.predict(inputs[k : k + 1], verbose=0),
        "keras_call": lambda k: network(inputs[k : k + 1], training=False),
        "predict_proba": lambda k: reader.predict_proba(arrays[k : k + 1]),
        "predict_image": lambda k: reader.predict_image(arrays[k]),
    }
    for call in calls.values():
        call(0)
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in tqdm(range(ROUNDS), "one image"):
        for name, call in calls.items():
            times[name].append(seconds(lambda call=call: [call(k) for k in range(SINGLE)]) / SINGLE)  # type: ignore[misc]
    ratios = [slow / fast for slow, fast in zip(times["keras_predict"], times["predict_proba"], strict=True)]
    return {f"{name}_ms": 1e3 * statistics.median(values) for name, values in times.items()} | {
        "ratio": statistics.median(ratios)
    }


def batches(reader: DigitReader, network: Any, images: np.ndarray) -> dict[str, float]:
    """Time ten thousand images: Keras at each batch size, and the reader."""
    inputs = as_input(images)
    reader.predict_proba(images[:200])
    rates: dict[int, list[float]] = {size: [] for size in KERAS_BATCHES}
    own = []
    for _ in tqdm(range(3), "ten thousand images"):
        for size in KERAS_BATCHES:
            rates[size].append(
                len(images) / seconds(lambda size=size: network.predict(inputs, batch_size=size, verbose=0))  # type: ignore[misc]
            )
        own.append(len(images) / seconds(lambda: reader.predict_proba(images)))
    best = max(rates, key=lambda size: statistics.median(rates[size]))
    return {
        "keras_best_batch_size": best,
        "keras_images_a_second": statistics.median(rates[best]),
        "images_a_second": statistics.median(own),
        "ratio": statistics.median(mine / theirs for mine, theirs in zip(own, rates[best], strict=True)),
    }


def start(picture: Path) -> dict[str, float]:
    """Time what a user waits for at first: a reader, import included, and `digits predict` of one file."""
    commands = {
        "import_s": [sys.executable, "-c", "from digitreader import DigitReader; DigitReader()"],
        "first_reading_s": [sys.executable, "-m", "digitreader", "predict", str(picture)],
    }
    return {
        name: statistics.median(
            seconds(lambda command=command: subprocess.run(command, check=True, capture_output=True))  # type: ignore[misc]
            for _ in range(ROUNDS)
        )
        for name, command in commands.items()
    }


def files(reader: DigitReader, folder: Path, write: Callable[[int, Path], None]) -> float:
    """Return how many files a second are read, decoding included."""
    paths = [folder / f"{number}" for number in range(FILES)]
    for number, path in enumerate(paths):
        write(number, path)
    return FILES / statistics.median(seconds(lambda: list(reader.predict_images(paths))) for _ in range(ROUNDS))


def main() -> None:
    """Measure and write results/speed.json."""
    import keras

    data, reader = load_mnist(), DigitReader()
    network = keras.models.load_model(MODELS / "mnist_cnn.keras", compile=False)

    def png(number: int, path: Path) -> None:
        Image.fromarray(data.x_test[number]).save(path, "PNG")

    def write_photo(number: int, path: Path) -> None:
        path.write_bytes(photo(data.x_test, number))

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        small, large = folder / "small", folder / "large"
        small.mkdir()
        large.mkdir()
        small_rate, photo_rate = files(reader, small, png), files(reader, large, write_photo)
        result: dict[str, Any] = {
            "one_image": single(reader, network, data.x_test),
            "batches": batches(reader, network, data.x_test),
            "start": start(small / "0"),
            "files_28_a_second": small_rate,
            "photos_a_second": photo_rate,
            "mean_photo_pixels": float(np.mean([np.prod(Image.open(path).size) for path in large.iterdir()])),
        }
    write_result("speed", "python -m benchmarks.speed", seed=SEED, cores=cores(), **result)


if __name__ == "__main__":
    main()
