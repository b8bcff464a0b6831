"""Lecture A.4: three problems that no straight line separates, and a small network that does.

The sign of x1 * x2, the ring 1 <= ||x|| < 2, and three islands.  A linear model has one line to spend, and
does little better than always naming the more frequent class.  Two hidden layers of 16 bend the boundary
around the classes, and get more than 97 of 100 fresh points right.
"""

import argparse
from pathlib import Path

import fastnn
from fastnn import datasets, layers

PROBLEMS = {
    "quadrants": (datasets.make_quadrants, ("$x_1 x_2 < 0$", "$x_1 x_2 > 0$")),
    "ring": (datasets.make_ring, ("elsewhere", "$1 \\leq ||x|| < 2$")),
    "islands": (datasets.make_islands, ("sea", "islands")),
}


def classifier(hidden: tuple[int, ...], seed: int) -> fastnn.Sequential:
    """Return a network with these hidden layers; with none it is a linear model."""
    model = fastnn.Sequential(
        [
            fastnn.Input((2,)),
            *(layers.Dense(units, "tanh") for units in hidden),
            layers.Dense(1, "sigmoid"),
        ],
        seed=seed,
    )
    model.compile(fastnn.optimizers.Adam(0.01), "binary_crossentropy", metrics=["accuracy"])
    return model


def solve(
    problem: str, hidden: tuple[int, ...], epochs: int = 200, seed: int = 0
) -> tuple[fastnn.Sequential, float]:
    """Return a network trained on 4000 points, and its accuracy on 5000 others."""
    make, _ = PROBLEMS[problem]
    model = classifier(hidden, seed)
    slower = fastnn.callbacks.LearningRateScheduler(lambda epoch: 0.01 * 0.98**epoch)
    model.fit(*make(4000, seed), batch_size=64, epochs=epochs, verbose=0, callbacks=[slower])
    return model, model.evaluate(*make(5000, seed + 1000), return_dict=True)["accuracy"]


def draw(problem: str, models: dict[str, tuple[fastnn.Sequential, float]], folder: Path) -> Path:
    """Draw the decision boundaries side by side on 600 fresh points, and return the file."""
    from matplotlib.figure import Figure

    make, class_names = PROBLEMS[problem]
    x, y = make(600, 2000)
    figure = Figure(figsize=(8.4, 4), layout="constrained")
    axes = figure.subplots(1, 2, sharey=True)
    for ax, (name, (model, accuracy)) in zip(axes, models.items(), strict=True):
        fastnn.plotting.plot_decision_boundary(model, x, y, ax, class_names=class_names)
        one_class = len(set((model.predict(x)[:, 0] > 0.5).tolist())) == 1
        note = ", one class everywhere" if one_class else ""
        ax.set_title(f"{name}{note}\n{100 * accuracy:.1f} % of 5000 fresh points right", fontsize=11)
        ax.set_aspect("equal")
    axes[0].get_legend().remove()  # that of the other one serves both
    axes[1].set_ylabel("")
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"a04_{problem}.png"
    figure.savefig(path, dpi=90)
    return path


def main(epochs: int = 200, folder: Path | None = None) -> None:
    """Print the accuracy of a linear model and of a small network on fresh points."""
    print("accuracy on 5000 fresh points   linear 2-1   network 2-16-16-1   wanted of the network")
    for problem in PROBLEMS:
        models = {
            "linear model": solve(problem, (), epochs),
            "network 2-16-16-1": solve(problem, (16, 16), epochs),
        }
        linear, network = (accuracy for _, accuracy in models.values())
        print(f"{problem:<32}{linear:10.3f}{network:20.3f}      at least 0.97")
        if folder is not None:
            print("  drawn:", draw(problem, models, folder).name)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--quick", action="store_true", help="20 epochs instead of 200")
    parser.add_argument("--pictures", type=Path, metavar="DIR", help="where to draw the boundaries")
    arguments = parser.parse_args()
    main(epochs=20 if arguments.quick else 200, folder=arguments.pictures)
