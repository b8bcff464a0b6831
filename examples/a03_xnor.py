"""Lecture A.3: two layers compute what one cannot.

XNOR is 1 where both inputs are equal; no straight line parts its classes.  The lecture builds it of gates:
a1 = AND, a2 = neither, and h = a1 OR a2.  Then a network finds weights of its own from random ones.
"""

import argparse
from pathlib import Path

import numpy as np

import fastnn
from fastnn import layers

INPUTS = np.array([[0.0, 0], [0, 1], [1, 0], [1, 1]])
TRUTH = [1, 0, 0, 1]


def by_hand() -> fastnn.Sequential:
    """Return the lecture's network; column j of a kernel holds the weights of neuron j."""
    model = fastnn.Sequential(
        [fastnn.Input((2,)), layers.Dense(2, "sigmoid", name="a"), layers.Dense(1, "sigmoid", name="h")],
        dtype="float64",
    )
    model.set_weights([[[20, -20], [20, -20]], [-30, 10], [[20], [20]], [-10]])
    return model


def trained(epochs: int, seed: int = 0) -> tuple[fastnn.Sequential, list[float]]:
    """Return a network trained from random weights, and its loss after every epoch."""
    model = fastnn.Sequential(
        [fastnn.Input((2,)), layers.Dense(8, "tanh"), layers.Dense(1, "sigmoid")], seed=seed
    )
    model.compile(fastnn.optimizers.Adam(0.05), "binary_crossentropy")
    history = model.fit(INPUTS, TRUTH, batch_size=4, epochs=epochs, verbose=0)
    return model, history.history["loss"]


def draw(models: dict[str, fastnn.Sequential], folder: Path) -> Path:
    """Draw where each network says 1, and return the file."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8.4, 3.8), layout="constrained")
    axes = figure.subplots(1, len(models), sharey=True)
    for ax, (name, model) in zip(axes, models.items(), strict=True):
        names = ("XNOR = 0", "XNOR = 1")
        fastnn.plotting.plot_decision_boundary(model, INPUTS, TRUTH, ax, class_names=names)
        ax.set(title=name, aspect="equal")
    axes[0].get_legend().remove()  # that of the other one serves both
    axes[1].set_ylabel("")
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "a03_xnor.png"
    figure.savefig(path, dpi=80)
    return path


def main(epochs: int = 500, folder: Path | None = None) -> None:
    """Print the truth table with the lecture's weights, and with those that training finds."""
    lecture = by_hand()
    model, losses = trained(epochs)
    hidden = lecture.layers[0]
    a = fastnn.kernels.dense_forward(INPUTS, hidden.kernel, hidden.bias, "sigmoid")
    print("x1  x2    a1 (AND)  a2 (neither)  h, lecture  h, ours   trained")
    rows = zip(INPUTS, a, TRUTH, lecture.predict(INPUTS)[:, 0], model.predict(INPUTS)[:, 0], strict=True)
    for (x1, x2), (a1, a2), wanted, h, found in rows:
        print(f"{x1:2.0f}  {x2:2.0f}  {a1:10.5f}  {a2:12.5f}  {wanted:10d}  {h:.5f}  {found:8.5f}")
    print(f"training, {epochs} epochs of 4 points: loss from {losses[0]:.3f} to {losses[-1]:.4f}")
    if folder is not None:
        models = {"the lecture's weights, 2-2-1": lecture, "trained, 2-8-1": model}
        print("drawn:", draw(models, folder).name)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--quick", action="store_true", help="50 epochs instead of 500")
    parser.add_argument("--pictures", type=Path, metavar="DIR", help="where to draw the boundaries")
    arguments = parser.parse_args()
    main(epochs=50 if arguments.quick else 500, folder=arguments.pictures)
