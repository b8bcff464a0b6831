"""Randomly wired networks (lecture A.6; Xie, Kirillov, Girshick and He 2019, arXiv 1904.01569).

A random graph of one of three kinds is made acyclic by directing its edges from smaller to larger node
numbers.  Every node is a dense layer with ReLU over a weighted sum of its inputs, whose weights are positive
and learned.  The paper's point is that no wiring has to be designed: nets drawn at random do about as well as
one another, and as a designed one.  Here they read the 8 x 8 digits, each beside a chain of 4 layers with as
many parameters.
"""

import argparse
from pathlib import Path

import fastnn
from fastnn.wiring import random_wiring

KINDS = {"er": "Erdos and Renyi", "ba": "Barabasi and Albert", "ws": "Watts and Strogatz"}


def chain(parameters: int) -> fastnn.Sequential:
    """Return the chain of 4 hidden layers of one width whose size is closest to this number."""

    def of_width(width: int) -> fastnn.Sequential:
        layers = [fastnn.layers.Dense(width, "relu") for _ in range(4)]
        return fastnn.Sequential([fastnn.Input((64,)), *layers, fastnn.layers.Dense(10, "softmax")], seed=0)

    def size(width: int) -> int:
        return 64 * width + 3 * width**2 + 10 * width + 4 * width + 10  # weights, then biases

    return of_width(min(range(1, 500), key=lambda width: abs(size(width) - parameters)))


def train(model: fastnn.Model, epochs: int) -> float:
    """Return the accuracy on the digits that were held out."""
    (x_train, y_train), test = fastnn.datasets.load_digits()
    model.compile(fastnn.optimizers.Adam(0.003), "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(x_train, y_train, batch_size=64, epochs=epochs, verbose=0)
    return model.evaluate(*test, return_dict=True)["accuracy"]


def main(epochs: int, pictures: Path | None) -> None:
    """Train three random nets and chains of their sizes, and print sizes and accuracies."""
    print(f"{'net':22} {'nodes':>5} {'edges':>5} {'parameters':>10} {'accuracy':>8}")
    for kind, name in KINDS.items():
        wiring = random_wiring(kind, nodes=16, width=32, seed=1)
        x = fastnn.Input((64,))
        y = fastnn.layers.Dense(10, "softmax")(wiring(x))
        model = fastnn.Model(x, y, seed=0)
        accuracy = train(model, epochs)
        print(f"{name:22} {wiring.nodes:5} {len(wiring.edges):5} {model.count_params():10,} {accuracy:8.3f}")
        straight = chain(model.count_params())
        accuracy = train(straight, epochs)
        label = f"  a chain, {straight.layers[0].units} wide"
        print(f"{label:22} {4:5} {3:5} {straight.count_params():10,} {accuracy:8.3f}")
        if pictures is not None:
            axis = fastnn.plotting.plot_graph(model)
            axis.set_title(name)
            pictures.mkdir(parents=True, exist_ok=True)
            axis.figure.savefig(pictures / f"a06_{kind}.png", dpi=70)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a few epochs only")
    parser.add_argument("--pictures", type=Path, metavar="DIR", help="a folder for drawings of the graphs")
    chosen = parser.parse_args()
    main(epochs=2 if chosen.quick else 30, pictures=chosen.pictures)
