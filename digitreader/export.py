"""Export the Keras network, for runtimes that do without Keras; what decides otherwise than Keras is refused."""

from __future__ import annotations

import json
import os
import tempfile
import warnings
import zipfile
from collections.abc import Iterable
from contextlib import suppress
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from digitreader.arrays import ByteArray, FloatArray
from digitreader.calibrate import validation_rows
from digitreader.data import Dataset
from digitreader.errors import ExportError, ModelError
from digitreader.formats import BOUNDS, Format
from digitreader.parity import Parity, check, compare, open_export, open_keras
from digitreader.recognizer import BATCH, INPUT, KERAS_SHA256, OUTPUTS, as_input, sha256

CALIBRATION_IMAGES, CALIBRATION_SEED = 512, 0
RECORD = "export.json"  # what a LiteRT file, which is also a ZIP archive, and a SavedModel say of themselves
EXTRA = "assets.extra"  # TensorFlow's name for a folder of such files
# Softmax stays in float32, and with it fine differences between probabilities.
INT8_OPERATORS = ("Conv", "Gemm", "MatMul", "MaxPool", "Relu", "Reshape", "Transpose")


def export(keras_path: Path, target: Path, format: Format, data: Dataset, *, overwrite: bool = False) -> Parity:
    """Export the network of a .keras file, and put the export in place only if it decides as Keras does.

    An ONNX file that is there already, of this network and deciding as it does, is kept as it is.

    Parameters
    ----------
    keras_path : Path
        The network; its card lies beside it.
    target : Path
        The file, or the folder of a SavedModel, to write.
    format : Format
    data : Dataset
        Keras and the export are compared on its test images. Integers get their ranges from its training images.
    overwrite : bool
        Replace whatever is at `target`; otherwise only another export in this format.

    Returns
    -------
    Parity
        How the export compares with Keras on the test images.

    Raises
    ------
    ExportError
        If `target` holds something else or cannot be written; if the network is not the notebook's; or if the export
        differs by more than `BOUNDS` allow. Then what was there is left as it was.
    CalibrationError
        If the format is quantised and the data are not those that the network was trained on.
    """

    def compared(path: Path) -> Parity:
        parity = compare(open_keras(keras_path), open_export(path, format), as_input(data.x_test), data.y_test)
        check(parity, BOUNDS[format])
        return parity

    said = record(target, format)
    if not overwrite and target.exists() and said.get("format") != format:
        raise ExportError(f"{target} is no {format} export of this project: remove it, or name another.")
    # Each kind of processor rounds the last bits otherwise, and the reader's thresholds belong to the very file.
    if format == Format.ONNX and said.get(KERAS_SHA256) == sha256(keras_path):
        with suppress(ExportError, ModelError):
            return compared(target)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        work = tempfile.TemporaryDirectory(dir=target.parent, prefix=".export-")
    except OSError as error:
        raise ExportError(f"{target} cannot be written: {error.strerror}.") from error
    with work as name:
        folder = Path(name)
        candidate = folder / target.name
        _write(keras_path, candidate, format, data)
        parity = compared(candidate)
        if target.is_dir():  # only a file can be replaced in one step
            target.rename(folder / "replaced")
        candidate.replace(target)
    return parity


def record(path: Path, format: Format) -> dict[str, str]:
    """Return what an export says of itself: its format, and the SHA-256 of its .keras file; nothing if it is none."""
    try:
        if format in (Format.ONNX, Format.ONNX_INT8):
            import onnx

            properties = {entry.key: entry.value for entry in onnx.load(path).metadata_props}
            # The reader's own file names no format.
            return {"format": Format.ONNX} | properties if KERAS_SHA256 in properties else {}
        if format in (Format.LITERT, Format.LITERT_INT8):
            with zipfile.ZipFile(path) as archive:
                content = archive.read(RECORD)
        else:
            content = (path / EXTRA / RECORD).read_bytes()
        said: dict[str, str] = json.loads(content)
        return said
    except Exception:  # of four libraries, whatever the file holds
        return {}


def _write(keras_path: Path, target: Path, format: Format, data: Dataset) -> None:
    """Write an export and its record."""
    properties = {KERAS_SHA256: sha256(keras_path), "format": format.value}
    calibration = _calibration_images(keras_path, data) if format.quantised else None
    match format:
        case Format.ONNX | Format.ONNX_INT8:
            export_onnx(keras_path, target)
            if calibration is not None:
                batches = np.split(as_input(calibration), len(calibration) // BATCH)
                quantise_onnx(target, batches, properties)
        case Format.LITERT | Format.LITERT_INT8:
            _export_litert(keras_path, target, calibration)
            with zipfile.ZipFile(target, "a") as archive:
                archive.writestr(zipfile.ZipInfo(RECORD), json.dumps(properties))
        case Format.SAVEDMODEL:
            _export_savedmodel(keras_path, target)
            (target / EXTRA).mkdir()
            (target / EXTRA / RECORD).write_text(json.dumps(properties))


def _calibration_images(keras_path: Path, data: Dataset) -> ByteArray:
    """Return the training images (n, 28, 28), none of them a validation image, that show integers their ranges."""
    card = json.loads(keras_path.with_suffix(".json").read_text())
    validated = validation_rows(data.y_train, card["split"]["validation_rows_sha256"])
    trained = np.setdiff1d(np.arange(len(data.y_train)), validated)
    rng = np.random.default_rng(CALIBRATION_SEED)
    return data.x_train[rng.choice(trained, CALIBRATION_IMAGES, replace=False)]


def _keras() -> Any:
    """Import Keras, on a TensorFlow that tells only of errors."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import keras

    return keras


def export_onnx(keras_path: Path, onnx_path: Path) -> None:
    """Write the network of a .keras file as an ONNX file with the outputs that the reader needs.

    The input is `image` (n, 28, 28, 1), float32 in [0, 1]. The outputs are `probabilities` (n, 10), `logits` (n, 10),
    `embedding` (n, k), what the last layer sees, and `last_conv` (n, h, w, c), the last feature maps before pooling.
    The metadata names the SHA-256 of the .keras file.

    Raises
    ------
    ExportError
        If the network has no layers of the notebook's names and order.
    """
    keras = _keras()
    network = keras.models.load_model(keras_path, compile=False)
    try:
        outputs = _outputs(keras, network)
    except (ValueError, IndexError, AttributeError) as error:
        raise ExportError(f"{keras_path} is not the notebook's network: {error}") from error
    model = keras.Model(network.input, dict(zip(OUTPUTS, outputs, strict=True)))
    model(np.zeros((1, 28, 28, 1), np.float32))  # Keras exports only models that have been called
    write_onnx(model, onnx_path, {KERAS_SHA256: sha256(keras_path)})


def write_onnx(model: Any, path: Path, properties: dict[str, str]) -> None:
    """Write a Keras model that has been called as an ONNX file with properties in its metadata.

    The same model gives the same bytes. A kill leaves the old file or the new one.
    """
    import onnx

    partial = path.with_suffix(".part")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # Keras looks for names that NumPy used to have
        model.export(str(partial), format="onnx", verbose=False)
    graph = onnx.load(partial)
    _rename(graph.graph)
    onnx.helper.set_model_props(graph, properties)
    onnx.save(graph, partial)
    partial.replace(path)


def _outputs(keras: Any, network: Any) -> list[Any]:
    """Return the tensors of `OUTPUTS`: the last layer is taken apart into its logits and their softmax."""
    digit = network.get_layer("digit")
    embedding = network.get_layer("embedding").output
    last_layer = keras.layers.Dense(digit.units, name="logits")
    logits = last_layer(embedding)
    last_layer.set_weights(digit.get_weights())
    last_pool = [layer for layer in network.layers if isinstance(layer, keras.layers.MaxPooling2D)][-1]
    return [keras.layers.Softmax(name="probabilities")(logits), logits, embedding, last_pool.input]


def _rename(graph: Any) -> None:
    """Rename the values inside a graph in the order of their use, so that the same network gives the same bytes."""
    names = {value.name: value.name for value in (*graph.input, *graph.output)}
    for number, node in enumerate(graph.node):
        node.name = f"{node.op_type}_{number}"
        for values in (node.input, node.output):
            for place, name in enumerate(values):
                values[place] = names.setdefault(name, f"value_{len(names)}")
    for tensor in graph.initializer:
        tensor.name = names[tensor.name]
    tensors = sorted(graph.initializer, key=lambda tensor: int(tensor.name.removeprefix("value_")))
    del graph.initializer[:], graph.value_info[:]
    graph.initializer.extend(tensors)


def quantise_onnx(
    path: Path, batches: Iterable[FloatArray], properties: dict[str, str], *, fine_logits: bool = False
) -> None:
    """Quantise an ONNX file to 8 bits, with properties in its metadata.

    Parameters
    ----------
    path : Path
    batches : iterable of ndarray, dtype float32
        Inputs: the ranges of the network's values are those for these.
    properties : dict
    fine_logits : bool
        Leave the last dense layer as it is, so that logits do not come in steps.
    """
    import onnx
    from onnxruntime.quantization import QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    quant_pre_process(path, path, skip_symbolic_shape=True)
    graph = onnx.load(path).graph
    inputs = ({graph.input[0].name: batch} for batch in batches)
    last = [node.name for node in graph.node if node.op_type in ("Gemm", "MatMul")][-1:]
    quantize_static(
        path,
        path,
        SimpleNamespace(get_next=partial(next, inputs, None)),
        op_types_to_quantize=INT8_OPERATORS,
        per_channel=True,
        activation_type=QuantType.QUInt8,
        # Weights of 7 bits: with 8, processors without VNNI saturate, and would decide otherwise than this one.
        reduce_range=True,
        nodes_to_exclude=last if fine_logits else [],
    )
    graph = onnx.load(path)
    onnx.helper.set_model_props(graph, properties)
    onnx.save(graph, path)


def _served(keras_path: Path) -> Any:
    """Return Keras' network of a file with the output `probabilities`."""
    keras = _keras()
    network = keras.models.load_model(keras_path, compile=False)
    model = keras.Model(network.input, {"probabilities": network.output})
    model(np.zeros((1, 28, 28, 1), np.float32))  # Keras exports only models that have been called
    return model


def _export_litert(keras_path: Path, target: Path, images: ByteArray | None) -> None:
    """Write a LiteRT file from `image` (n, 28, 28, 1) to `probabilities` (n, 10), float32; quantised if given images.

    Operators are of the runtime's own: phones have no others.
    """
    model = _served(keras_path)
    import tensorflow as tf

    options: dict[str, Any] = {"target_spec": {"supported_ops": [tf.lite.OpsSet.TFLITE_BUILTINS]}}
    if images is not None:
        options = {
            "target_spec": {"supported_ops": [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]},
            "optimizations": [tf.lite.Optimize.DEFAULT],
            "representative_dataset": lambda: ([image[np.newaxis]] for image in as_input(images)),
        }
    model.export(str(target), format="litert", verbose=False, **options)


def _export_savedmodel(keras_path: Path, target: Path) -> None:
    """Write a SavedModel whose `serving_default` leads from `image` (n, 28, 28, 1) to `probabilities` (n, 10)."""
    model, keras = _served(keras_path), _keras()
    archive = keras.export.ExportArchive()  # model.export stores every weight twice
    image = keras.InputSpec(dtype="float32", shape=(None, 28, 28, 1), name=INPUT)
    archive.add_endpoint("serve", partial(model, training=False), [image])
    archive.write_out(str(target), verbose=False)
