"""The figure of what explanations are worth: the curves behind their scores, and maps of some digits."""

from __future__ import annotations

from typing import Any

import matplotlib.pyplot as plt
import numpy as np

from benchmarks.explanations import EXPLAINER, SCORES, SHARES, occlusion, sample
from benchmarks.results import read_result
from digitreader.data import load_mnist
from digitreader.explain import grad_cam, heat_picture, hires_cam
from digitreader.recognizer import Recognizer, as_input
from experiments.figures import save

COLOURS = ("#d55e00", "#cc79a7", "#0072b2", "#000000", "#e69f00", "#009e73", "#999999")


def explanations() -> None:
    """Draw the mean curves of each map, and below them what three maps say of one digit of each kind."""
    figure = plt.figure(figsize=(13, 9), layout="constrained")
    halves: Any = figure.subfigures(2, 1, height_ratios=[1, 1.5])
    draw_curves(halves[0])
    draw_maps(halves[1])
    save(figure, "explanations")


def draw_curves(figure: Any) -> None:
    """Draw the mean probability of the predicted digit against the share of the pixels, or of the ink, changed."""
    curves = read_result("explanations")["sets"]["test digits"]["curves"]
    axes = figure.subplots(1, len(SCORES), sharey=True)
    for ax, score in zip(axes, SCORES, strict=True):
        for colour, (kind, of_map) in zip(COLOURS, curves.items(), strict=False):
            ax.plot(SHARES, of_map[score], color=colour, linewidth=2.5 if kind == EXPLAINER else 1.3, label=kind)
        ax.set_title(score, fontsize=11)
        ax.set_xlabel(f"share of the {'ink' if 'ink' in score else 'pixels'} changed")
        ax.xaxis.set_major_formatter("{x:.0%}")
        ax.grid(alpha=0.3)
    axes[0].set_ylabel("probability of the predicted digit")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=len(curves), frameon=False)


def draw_maps(figure: Any) -> None:
    """Draw the first 0, 1, ... 9 among the digits measured, not chosen by their maps, and the maps laid over them."""
    data, network = load_mnist(), Recognizer()
    rows = sample(len(data.y_test))
    first = rows[np.unique(data.y_test[rows], return_index=True)[1]]
    inputs = as_input(data.x_test[first])[..., 0]
    digits = network.predict_proba(inputs).argmax(axis=1)
    names = ("the digit", EXPLAINER, "Grad-CAM", "occlusion")
    axes = figure.subplots(len(names), 10)
    for column, image, digit in zip(axes.T, inputs, digits, strict=True):
        lost = np.maximum(occlusion(network.predict_proba, image, digit), 0)
        explained = (hires_cam(network, image, digit), grad_cam(network, image, digit), lost / lost.max())
        for ax, heat in zip(column, (np.zeros_like(image), *explained), strict=True):
            ax.imshow(heat_picture(image, heat))
            ax.set(xticks=[], yticks=[])
    for ax, name in zip(axes[:, 0], names, strict=True):
        ax.set_ylabel(name)
