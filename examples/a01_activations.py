"""Lecture A.1: the activation functions, their values and their slopes.

Without a nonlinear function between its layers a deep network is one linear map.  These are the
candidates: sigmoid and tanh saturate at both ends, where their slope is next to nothing; ReLU does not for
positive inputs; leaky ReLU and ELU keep a slope for negative ones; maxout learns its own shape as the larger
of two lines.
"""

import argparse
from pathlib import Path

import numpy as np

import fastnn
from fastnn import layers


def formulas(x: np.ndarray) -> dict[str, tuple[layers.Layer, np.ndarray]]:
    """Return a layer for every activation, and what the lecture's formula gives."""
    return {
        "linear": (layers.Activation("linear"), x),
        "sigmoid": (layers.Activation("sigmoid"), 1 / (1 + np.exp(-x))),
        "tanh": (layers.Activation("tanh"), np.tanh(x)),
        "ReLU": (layers.ReLU(), np.maximum(0, x)),
        "leaky ReLU": (layers.LeakyReLU(0.1), np.maximum(0.1 * x, x)),  # Keras's default slope is 0.3
        "ELU": (layers.ELU(), np.where(x > 0, x, np.exp(x) - 1)),
        "maxout": (layers.Maxout(1, pieces=2), np.maximum(-0.5 * x + 1, 2 * x - 1)),
    }


def models() -> dict[str, fastnn.Sequential]:
    """Return every activation as a model of one input."""
    found = {}
    for name, (layer, _) in formulas(np.zeros(1)).items():
        found[name] = fastnn.Sequential([fastnn.Input((1,)), layer], dtype="float64")
    found["maxout"].set_weights([[[-0.5, 2.0]], [1.0, -1.0]])  # max(-0.5 x + 1, 2 x - 1)
    return found


def draw(folder: Path) -> Path:
    """Draw the curves and their slopes, and return the file."""
    from matplotlib.figure import Figure

    x = np.linspace(-4, 4, 401).reshape(-1, 1)
    figure = Figure(figsize=(9.6, 4.6), layout="constrained")
    panels = figure.subplots(2, 4, sharex=True, sharey=True).ravel()
    for ax, (name, model) in zip(panels, models().items(), strict=False):
        ax.plot(x, model.predict(x), label="value")
        ax.plot(x, model.input_gradients(x), "--", label="slope")
        ax.set(title=name, ylim=(-2.2, 4.2))
        ax.grid(alpha=0.3)
    panels[3].xaxis.set_tick_params(labelbottom=True)
    panels[-1].axis("off")
    panels[-1].legend(*panels[0].get_legend_handles_labels(), loc="center", frameon=False)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "a01_activations.png"
    figure.savefig(path, dpi=80)
    return path


def main(points: int = 1001, folder: Path | None = None) -> None:
    """Print values and slopes at a few points, and the largest distance from the formulas at many."""
    few = np.array([[-2.0], [-1.0], [0.5], [2.0]])
    many = np.linspace(-5, 5, points).reshape(-1, 1)
    heads = "".join(f"{x:8.1f}" for x in few[:, 0])
    print(f"{'':12}{'value at x =':>16}{'slope at x =':>32}{'largest distance':>36}")
    print(f"{'':12}{heads}{heads}{'from the formula':>20}")
    expected = formulas(many)
    for name, model in models().items():
        numbers = np.concatenate([model.predict(few)[:, 0], model.input_gradients(few)[:, 0]])
        distance = np.abs(model.predict(many) - expected[name][1]).max()
        print(f"{name:<12}" + "".join(f"{number:8.3f}" for number in numbers) + f"{distance:20.0e}")
    if folder is not None:
        print("drawn:", draw(folder).name)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--quick", action="store_true", help="compare at 11 points instead of 1001")
    parser.add_argument("--pictures", type=Path, metavar="DIR", help="where to draw the curves")
    arguments = parser.parse_args()
    main(points=11 if arguments.quick else 1001, folder=arguments.pictures)
