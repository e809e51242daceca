"""The obvious service, which `benchmarks.load` starts to compare with: Flask, and Keras `predict` on a Base64 image."""

from __future__ import annotations

import argparse
import base64
import io

import keras
import numpy as np
from flask import Flask, request
from PIL import Image

from digitreader.recognizer import MODELS

app = Flask(__name__)
network = keras.models.load_model(MODELS / "mnist_cnn.keras", compile=False)


def predict() -> dict[str, object]:
    """Read a digit, white on black, as tutorials do."""
    content = base64.b64decode(request.get_json()["image"])
    image = Image.open(io.BytesIO(content)).convert("L").resize((28, 28))
    pixels = np.asarray(image, np.float32).reshape(1, 28, 28, 1) / 255
    probabilities = network.predict(pixels, verbose=0)[0]
    return {"digit": int(probabilities.argmax()), "confidence": float(probabilities.max())}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    network.predict(np.zeros((1, 28, 28, 1), np.float32), verbose=0)  # the first call compiles
    app.add_url_rule("/predict", view_func=predict, methods=["POST"])
    app.run(port=parser.parse_args().port, threaded=True)
