"""Lecture A.4: three problems that no straight line separates, and a small network that does.

The sign of x1 * x2, the ring 1 <= ||x|| < 2, and three islands.  A linear model has one line to spend, and
does little better than always naming the more frequent class.  The lecture's other way out is a linear model
of polynomial terms, here x1, x2, x1^2, x1 x2 and x2^2: its boundary is a conic section, which solves the
first problem only, and of n inputs there are O(n) + O(n^2) + ... terms.  Two hidden layers of 16 bend the
boundary around the classes, and get more than 97 of 100 fresh points right.
"""

import argparse
from math import comb
from pathlib import Path

import numpy as np

import fastnn
from fastnn import datasets, layers

PROBLEMS = {  # how points are drawn, and the names of the blue and of the red class
    "quadrants": (datasets.make_quadrants, ("$x_1 x_2 < 0$", "$x_1 x_2 > 0$")),
    "ring": (datasets.make_ring, ("$1 \\leq ||x|| < 2$", "elsewhere")),
    "islands": (datasets.make_islands, ("islands", "sea")),
}


def points(problem: str, n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return n points and their classes in the lecture's colours, 0 for blue and 1 for red."""
    x, y = PROBLEMS[problem][0](n, seed)
    return x, y if problem == "quadrants" else 1 - y  # fastnn numbers ring and islands 1


def network(hidden: tuple[int, ...], seed: int) -> fastnn.Sequential:
    """Return a network with these hidden layers; with none it is a linear model."""
    chain = [*(layers.Dense(units, "tanh") for units in hidden), layers.Dense(1, "sigmoid")]
    return fastnn.Sequential([fastnn.Input((2,)), *chain], seed=seed)


def polynomial(seed: int) -> fastnn.Model:
    """Return a linear model of x1, x2, x1^2, x1 x2 and x2^2; two fixed layers choose what is multiplied."""
    x = fastnn.Input((2,))
    left, right = (layers.Dense(3, use_bias=False, trainable=False, name=name) for name in ("left", "right"))
    terms = layers.Concatenate()([x, layers.Multiply()([left(x), right(x)])])
    model = fastnn.Model(x, layers.Dense(1, "sigmoid")(terms), seed=seed)
    left.set_weights([[[1, 1, 0], [0, 0, 1]]])  # x1, x1, x2
    right.set_weights([[[1, 0, 0], [0, 1, 1]]])  # x1, x2, x2
    return model


def solve(problem: str, model: fastnn.Model, epochs: int = 200, seed: int = 0) -> tuple[fastnn.Model, float]:
    """Train on 4000 points, and return the model and its accuracy on 5000 others."""
    model.compile(fastnn.optimizers.Adam(0.01), "binary_crossentropy", metrics=["accuracy"])
    slower = fastnn.callbacks.LearningRateScheduler(lambda epoch: 0.01 * 0.98**epoch)
    model.fit(*points(problem, 4000, seed), batch_size=64, epochs=epochs, verbose=0, callbacks=[slower])
    return model, model.evaluate(*points(problem, 5000, seed + 1000), return_dict=True)["accuracy"]


def draw(problem: str, solved: dict[str, tuple[fastnn.Model, float]], folder: Path) -> Path:
    """Draw the decision boundaries side by side on 300 fresh points, and return the file."""
    from matplotlib.figure import Figure

    x, y = points(problem, 300, 2000)
    figure = Figure(figsize=(10.8, 4.1), layout="constrained")
    axes = figure.subplots(1, len(solved), sharey=True)
    for ax, (name, (model, accuracy)) in zip(axes, solved.items(), strict=True):
        fastnn.plotting.plot_decision_boundary(model, x, y, ax, class_names=PROBLEMS[problem][1])
        one_class = len(set((model.predict(x)[:, 0] > 0.5).tolist())) == 1
        note = ", one class everywhere" if one_class else ""
        ax.set_title(f"{name}{note}\n{100 * accuracy:.1f} % of 5000 fresh points right", fontsize=10)
        ax.set_aspect("equal")
    for ax in axes[:-1]:
        ax.get_legend().remove()  # that of the last one serves all
    for ax in axes[1:]:
        ax.set_ylabel("")
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"a04_{problem}.png"
    figure.savefig(path, dpi=72)
    return path


def main(epochs: int = 200, folder: Path | None = None) -> None:
    """Print the accuracies of the three models on fresh points, and what polynomial terms cost."""
    print("accuracy on 5000 fresh points    linear   polynomial   network   wanted of")
    print("                                    2-1          5-1 2-16-16-1   the network")
    for problem in PROBLEMS:
        solved = {
            "linear model": solve(problem, network((), seed=0), epochs),
            "polynomial model": solve(problem, polynomial(seed=0), epochs),
            "network 2-16-16-1": solve(problem, network((16, 16), seed=0), epochs),
        }
        linear, bent, net = (accuracy for _, accuracy in solved.values())
        print(f"{problem:<32}{linear:7.3f}{bent:13.3f}{net:10.3f}   at least 0.97")
        if folder is not None:
            print("  drawn:", draw(problem, solved, folder).name)
    print("terms up to degree    1           2                3")
    for n in (2, 784):
        terms = [f"{comb(n + degree, degree) - 1:,}" for degree in (1, 2, 3)]
        print(f"  of {n:3} inputs  {terms[0]:>6}{terms[1]:>12}{terms[2]:>17}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--quick", action="store_true", help="20 epochs instead of 200")
    parser.add_argument("--pictures", type=Path, metavar="DIR", help="where to draw the boundaries")
    arguments = parser.parse_args()
    main(epochs=20 if arguments.quick else 200, folder=arguments.pictures)
