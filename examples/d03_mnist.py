"""D.3: MNIST, 784-500-10, ReLU, batches of 200, learning rate 0.1, 20 epochs.

The lecture reports an accuracy of about 0.935, after about 45 s at 3.6 GHz.  PyTorch reaches 0.976 with the
same settings.  Times are to be compared on one machine only: the README of the project has such tables.
"""

import argparse
import time

import fastnn
from fastnn.layers import Dense


def main(quick: bool, download: bool) -> None:
    """Train, print accuracy beside the lecture's, and time; without the data say where to get them."""
    try:
        (x, y), (x_test, y_test) = fastnn.datasets.load_mnist(download=download)
    except FileNotFoundError:
        print("MNIST is not here: set FASTNN_DATA to the folder of its four files, or add --download.")
        return

    model = fastnn.Sequential(
        [fastnn.Input((784,)), Dense(500, activation="relu"), Dense(10, activation="softmax")], seed=0
    )
    model.compile(fastnn.optimizers.SGD(0.1), "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.summary()

    epochs = 1 if quick else 20
    begin = time.perf_counter()
    history = model.fit(x, y, batch_size=200, epochs=epochs, verbose=0).history
    seconds = time.perf_counter() - begin
    accuracy = model.evaluate(x_test, y_test, return_dict=True)["accuracy"]

    for epoch in sorted({0, 1, 4, 9, 19} & set(range(epochs))):
        loss, share = history["loss"][epoch], history["accuracy"][epoch]
        print(f"epoch {epoch + 1:2}: training loss {loss:.4f}, accuracy {share:.4f}")
    print("lecture, 20 epochs: test accuracy 0.935")
    print("PyTorch, 20 epochs: test accuracy 0.976")
    print(f"fastnn,  {epochs:2} epochs: test accuracy {accuracy:.4f}, trained here in {seconds:.1f} s")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one epoch")
    parser.add_argument("--download", action="store_true", help="fetch the data (11 MB) if they are not here")
    options = parser.parse_args()
    main(options.quick, options.download)
