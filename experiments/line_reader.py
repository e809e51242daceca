"""Train the line reader: a small fully convolutional network with CTC, on lines that are composed from MNIST.

Lines are composed once (see `experiments.lines`) and read for some epochs, bent a little anew each time; the network,
quantised to 8 bits but for its last layer, becomes models/line_reader.onnx. It is trained once more, by the same
recipe, without two fifths of the writers: what that network says of lines by these certifies thresholds. What each says
of lines that it never saw is kept in results/line_reader/. A run that was interrupted goes on after its last finished
epoch. Afterwards run `digits calibrate`.

    python -m experiments.line_reader
    python -m experiments.line_reader --certifying

References
----------
Graves, A., Fernández, S., Gomez, F. and Schmidhuber, J. (2006). Connectionist temporal classification. ICML.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from digitreader.calibrate_fields import CERTIFYING, VALIDATION, WAYS
from digitreader.ctc import BLANK, SYMBOLS
from digitreader.decision import choose, length_of
from digitreader.export import quantise_onnx, write_onnx
from digitreader.fields import HEIGHT
from digitreader.lines import read_line
from digitreader.provenance import provenance
from digitreader.recognizer import LINE_COMMAND, LINE_INPUT, LINE_OUTPUT, LineRecognizer, sha256
from experiments.lines import FOLDER, PART, PARTS, Kind, Part, compose_missing, read_part
from experiments.runs import RESULTS, ROOT, ship, write_arrays

SEED = 42
# A network of other code, or of other lines, is another.
_digest = hashlib.sha256(Path(__file__).read_bytes() + FOLDER.name.encode()).hexdigest()[:12]
PACKAGES = ("tensorflow", "keras", "onnxruntime", "numpy", "opencv-python-headless")
STATE = ROOT / "runs" / "line_reader" / _digest


def network() -> Any:
    """Return the untrained line reader: images (n, 24, w, 1) to logits (n, w / 2, 13)."""
    from keras import Input, Model, layers

    def block(x: Any, filters: Sequence[int], pool: tuple[int, int]) -> Any:
        for width in filters:
            x = layers.Conv2D(width, 3, padding="same", use_bias=False)(x)
            x = layers.ReLU()(layers.BatchNormalization(momentum=0.95)(x))
        return layers.Dropout(0.1)(layers.MaxPooling2D(pool)(x))

    image = Input((HEIGHT, None, 1), name="line")
    x = block(image, [32], (2, 2))
    x = block(x, [48, 48], (2, 2))
    x = block(x, [96, 96, 96], (2, 1))
    x = layers.Conv2D(256, (HEIGHT // 8, 3), use_bias=False)(layers.ZeroPadding2D((0, 1))(x))
    x = layers.ReLU()(layers.BatchNormalization(momentum=0.95)(x))
    # Each step sees 62 columns: a digit of 25, and its neighbours, so that it is read once.
    x = layers.Conv2D(256, (1, 5), padding="same", use_bias=False)(x)
    x = layers.ReLU()(layers.BatchNormalization(momentum=0.95)(x))
    x = layers.Dropout(0.3)(layers.Reshape((-1, 256))(x))
    # Two steps for every four columns: narrow digits such as 11 need more steps than pooling leaves.
    logits = layers.Reshape((-1, BLANK + 1), name="logits")(layers.Dense(2 * (BLANK + 1))(x))
    return Model(image, logits, name="line_reader")


def ctc_loss(labels: Any, logits: Any) -> Any:
    """Return the CTC loss of each line; all labels that are not `BLANK` count."""
    import tensorflow as tf

    places = tf.where(tf.not_equal(labels, BLANK))
    symbols = tf.cast(tf.gather_nd(labels, places), tf.int32)
    sparse = tf.SparseTensor(places, symbols, tf.shape(labels, tf.int64))  # for them TensorFlow has the faster kernel
    steps = tf.fill([tf.shape(logits)[0]], tf.shape(logits)[1])
    return tf.nn.ctc_loss(sparse, logits, None, steps, logits_time_major=False, blank_index=BLANK)


def bent(pixels: npt.NDArray[np.float32], rng: np.random.Generator) -> npt.NDArray[np.float32]:
    """Return a line (24, w) with other slant, width and height, a little turned and moved; its width may change."""
    slant, tilt = rng.uniform(-0.2, 0.2), rng.uniform(-0.01, 0.01)
    wider, higher = np.exp(rng.uniform(-0.15, 0.15)), np.exp(rng.uniform(-0.1, 0.04))
    height, width = pixels.shape
    target = 4 * int(np.ceil((width * wider + height * abs(slant)) / 4))
    matrix = np.array([[wider, -slant, 0], [-tilt, higher, 0]])
    centre = np.array([width, height]) / 2 - 0.5
    matrix[:, 2] = np.array([target, height]) / 2 - 0.5 + [0, rng.uniform(-0.7, 0.7)] - matrix[:, :2] @ centre
    moved: npt.NDArray[np.float32] = cv2.warpAffine(pixels, matrix, (target, height), flags=cv2.INTER_LINEAR)
    return moved


def greedy(logits: npt.NDArray[np.float32]) -> list[str]:
    """Return the texts of logits (n, t, 13): the best symbol of each step, repeats and blanks removed."""
    texts = []
    for line in logits.argmax(axis=2):
        changed = np.flatnonzero(np.diff(line, prepend=-1))
        texts.append("".join(SYMBOLS[symbol] for symbol in line[changed] if symbol != BLANK))
    return texts


def of_similar_width(part: Part, size: int) -> list[npt.NDArray[np.int64]]:
    """Return the places of a file's lines in groups of `size`, narrow lines first."""
    order = np.argsort([image.shape[1] for image in part.pixels], kind="stable")
    return [order[k : k + size] for k in range(0, len(order), size)]


def wrong_share(model: Any, parts: Sequence[Path]) -> float:
    """Return the share of the lines that greedy decoding misreads."""
    wrong = total = 0
    for path in parts:
        part = read_part(path)
        for group in of_similar_width(part, 50):
            images, _ = padded([part.pixels[i] for i in group], [part.texts[i] for i in group])
            read = greedy(model.predict_on_batch(images))
            wrong += sum(text != part.texts[i] for text, i in zip(read, group, strict=True))
        total += len(part.texts)
    return wrong / total


def batches(parts: Sequence[Path], size: int, rng: np.random.Generator) -> Iterator[tuple[Any, Any]]:
    """Yield images (n, 24, w, 1) and labels (n, l), padded, of lines of similar width, in random order and bent."""
    for path in rng.permutation(np.array(parts, object)):
        part = read_part(path)
        groups = of_similar_width(part, size)
        for group in rng.permutation(len(groups)):
            yield padded([bent(part.pixels[k], rng) for k in groups[group]], [part.texts[k] for k in groups[group]])


def padded(pixels: Sequence[npt.NDArray[np.float32]], texts: Sequence[str]) -> tuple[Any, Any]:
    """Return lines as one batch: paper to the right of the shorter ones, `BLANK` after the shorter texts."""
    # Few different widths: for each, TensorFlow prepares its kernels anew.
    width = 16 * -(-max(image.shape[1] for image in pixels) // 16)
    images = np.zeros((len(pixels), HEIGHT, width, 1), np.float32)
    labels = np.full((len(texts), max(map(len, texts))), BLANK, np.int32)
    for k, (image, text) in enumerate(zip(pixels, texts, strict=True)):
        images[k, :, : image.shape[1], 0] = image
        labels[k, : len(text)] = [SYMBOLS.index(symbol) for symbol in text]
    return images, labels


def train(kind: Kind, arguments: argparse.Namespace) -> Path:
    """Train the network on lines of one kind unless that is done, and return its file."""
    settings = (arguments.parts, arguments.epochs, arguments.batch_size, arguments.learning_rate)
    trained = STATE / f"{kind}-{'-'.join(map(str, settings))}.keras"
    if trained.exists():
        return trained
    training = compose_missing(kind, arguments.parts, jobs=arguments.jobs)
    validation = compose_missing(Kind.VALIDATION, PARTS[Kind.VALIDATION], jobs=arguments.jobs)

    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # a third faster where TensorFlow leaves it off
    import keras
    import tensorflow as tf

    keras.utils.set_random_seed(SEED)
    steps = arguments.parts * -(-PART // arguments.batch_size)
    unfinished = trained.with_suffix(".unfinished.keras")
    if unfinished.exists():
        model = keras.models.load_model(unfinished, custom_objects={"ctc_loss": ctc_loss})
    else:
        model = network()
        schedule = keras.optimizers.schedules.CosineDecay(
            1e-5, steps * arguments.epochs, warmup_target=arguments.learning_rate, warmup_steps=min(500, steps // 10)
        )
        model.compile(keras.optimizers.Adam(schedule, clipnorm=5), loss=ctc_loss)

    def endless(epoch: int) -> Iterator[tuple[Any, Any]]:
        rng = np.random.default_rng((SEED, int(epoch)))
        while True:
            yield from batches(training, arguments.batch_size, rng)

    shapes = tf.TensorSpec((None, HEIGHT, None, 1), tf.float32), tf.TensorSpec((None, None), tf.int32)
    STATE.mkdir(parents=True, exist_ok=True)
    for epoch in range(int(model.optimizer.iterations) // steps, arguments.epochs):
        lines = tf.data.Dataset.from_generator(endless, args=[epoch], output_signature=shapes).prefetch(4)
        model.fit(lines, steps_per_epoch=steps, initial_epoch=epoch, epochs=epoch + 1, shuffle=False)
        print(f"wrong validation lines: {wrong_share(model, validation):.2%}", flush=True)
        model.save(partial := unfinished.with_suffix(".part.keras"))
        partial.replace(unfinished)  # a kill while it is written loses no epoch
    unfinished.replace(trained)
    return trained


def export(trained: Path, target: Path, command: str) -> None:
    """Write the network as an ONNX file that gives logarithms of probabilities."""
    import keras

    model = keras.models.load_model(trained, compile=False)
    logits = model(image := keras.Input((HEIGHT, None, 1), name=LINE_INPUT))
    outputs = {LINE_OUTPUT: keras.layers.Activation("log_softmax", name=LINE_OUTPUT)(logits)}
    exported = keras.Model(image, outputs)
    exported(np.zeros((1, HEIGHT, 64, 1), np.float32))  # Keras exports only models that have been called
    write_onnx(exported, target, {"command": command, "seed": str(SEED)})


def quantise(target: Path, kind: Kind, command: str, *, jobs: int | None) -> None:
    """Quantise a network by ranges that a file of lines shows; its metadata says how it was made."""
    shown = read_part(compose_missing(kind, 1, jobs=jobs)[0])
    batches = (pixels[np.newaxis, ..., np.newaxis] for pixels in shown.pixels)
    quantise_onnx(target, batches, {"command": command, "seed": str(SEED)}, fine_logits=True)


def keep(network: LineRecognizer, kind: Kind, target: Path, *, command: str, jobs: int | None) -> None:
    """Keep what a network says of the lines of one kind, see `digitreader.calibrate_fields.Lines`."""
    margins: list[list[float]] = [[] for _ in WAYS]
    right: list[list[bool]] = [[] for _ in WAYS]
    usable: list[list[bool]] = [[] for _ in WAYS]
    writers: list[int] = []
    for path in compose_missing(kind, PARTS[kind], jobs=jobs):
        part = read_part(path)
        writers += part.writers
        for pixels, text in zip(tqdm(part.pixels, path.stem), part.texts, strict=True):
            candidates, _ = read_line(pixels, network)
            for way, length in enumerate((None, length_of(text))):
                choice = choose(candidates, length)
                margins[way].append(choice.margin)
                right[way].append(choice.text == text)
                usable[way].append(choice.reason == "ok")
    write_arrays(
        target,
        made=np.array(json.dumps(provenance(command, *PACKAGES) | {"seed": SEED})),
        model_sha256=np.array(sha256(network.path)),
        writers=np.array(writers, np.int32),
        margins=np.array(margins, np.float32),
        right=np.array(right),
        usable=np.array(usable),
    )


def main() -> None:
    """Compose, train, export, keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--certifying", action="store_true", help="train without the writers that certify")
    parser.add_argument("--parts", type=int, default=80, help="files of 1,000 training lines")
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--batch-size", type=int, default=48)
    parser.add_argument("--learning-rate", type=float, default=2e-3)
    parser.add_argument("--jobs", type=int, help="processes that compose; one for each core unless given")
    arguments = parser.parse_args()
    options = ("parts", "epochs", "batch_size", "learning_rate")
    given = " ".join(f"--{name.replace('_', '-')} {vars(arguments)[name]}" for name in options)
    if arguments.certifying:
        trained_on, unseen, kept = Kind.OTHER_WRITERS, Kind.CERTIFYING, RESULTS / CERTIFYING
    else:
        trained_on, unseen, kept = Kind.TRAINING, Kind.VALIDATION, RESULTS / VALIDATION
    command = f"{LINE_COMMAND} {'--certifying ' * arguments.certifying}{given}"
    trained = train(trained_on, arguments)
    network = trained.with_suffix(".onnx")
    export(trained, network, command)
    quantise(network, trained_on, command, jobs=arguments.jobs)
    keep(LineRecognizer(network), unseen, kept, command=command, jobs=arguments.jobs)
    if not arguments.certifying:
        ship(network, "line_reader.onnx")


if __name__ == "__main__":
    main()
