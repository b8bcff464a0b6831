"""E.3: graduate admissions, a net of 6-2-1 sigmoid units without biases on a table of 400 applicants.

gre and gpa are standardised, the rank of the college is one-hot: 6 inputs.  The loss is the squared error
divided by 2m; every step takes all 360 training rows; every 10th epoch the loss is looked at, and training
stops when it is above that of the look before.  Little can be learnt here: the answer "refused" is right in
68 % of the cases, scikit-learn's logistic regression in about 70 %, and a single split says nothing, since 40
test rows make steps of 2.5 %.  So the script ends with the mean over 20 splits.
"""

import argparse
from pathlib import Path

import numpy as np

import fastnn
from fastnn.layers import Dense

RATE, EPOCHS, SPLITS = 5.0, 1000, 20


class StopWhenRisen(fastnn.callbacks.Callback):
    """Looks at the training loss every 10th epoch, and stops when it is above that of the look before."""

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        """Forget an earlier run."""
        self.before = float("inf")

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        """Compare, and keep the loss for the next look."""
        if (epoch + 1) % 10 == 0:
            if logs["loss"] > self.before:
                self.model.stop_training = True
            self.before = logs["loss"]


def train(
    seed: int, rate: float = RATE, epochs: int = EPOCHS, watch: bool = False
) -> tuple[fastnn.Model, fastnn.callbacks.History]:
    """Train on one split until the loss has risen; return model and history, of test rows too if asked."""
    (x, y), test = fastnn.datasets.load_admissions(seed=seed)
    layers = [Dense(units, "sigmoid", use_bias=False) for units in (2, 1)]
    model = fastnn.Sequential([fastnn.Input((6,)), *layers], seed=seed)
    model.compile(fastnn.optimizers.SGD(rate), fastnn.losses.SquaredError("half_mean"))
    history = model.fit(
        x,
        y,
        batch_size=len(x),
        epochs=epochs,
        validation_data=test if watch else None,
        callbacks=[StopWhenRisen()],
        verbose=0,
    )
    return model, history


def accuracy(model: fastnn.Model, seed: int) -> float:
    """Return the share of right answers on the test rows of a split."""
    _, (x, y) = fastnn.datasets.load_admissions(seed=seed)
    return float(np.mean((model.predict(x) > 0.5) == (y > 0.5)))


def share_of_refused(seed: int) -> float:
    """Return how often the answer "refused" is right on the test rows of a split."""
    _, (_, y) = fastnn.datasets.load_admissions(seed=seed)
    return float(np.mean(y < 0.5))


def main(quick: bool, pictures: Path | None) -> None:
    """Report the loss, draw it, and compare 20 splits with scikit-learn."""
    epochs, splits = (200, 3) if quick else (EPOCHS, SPLITS)
    _, history = train(seed=0, epochs=epochs, watch=True)
    loss, held_out = history.history["loss"], history.history["val_loss"]
    print("epoch  training loss  loss on held-out rows")
    for epoch in range(9, len(loss), 10):
        if epoch < 50 or (epoch + 1) % 250 == 0:  # the lecture prints every tenth
            print(f"{epoch + 1:5} {loss[epoch]:14.5f} {held_out[epoch]:12.5f}")
    _, hasty = train(seed=0, rate=200.0)
    last, risen = hasty.history["loss"][-11], hasty.history["loss"][-1]
    print(f"with a learning rate of 200 it rises from {last:.5f} to {risen:.5f}, ", end="")
    print(f"and training stops after epoch {len(hasty.epoch)}")

    models = [train(seed, epochs=epochs)[0] for seed in range(splits)]
    ours = [accuracy(model, seed) for seed, model in enumerate(models)]
    print(f"accuracy, mean of {splits} splits: fastnn {np.mean(ours):.3f}, from {min(ours)} to {max(ours)}")
    print(f"'refused' for everybody: {np.mean([share_of_refused(seed) for seed in range(splits)]):.3f}")
    try:
        from sklearn.linear_model import LogisticRegression
    except ImportError:
        print("scikit-learn is not installed; about 0.701 on 20 splits")
    else:
        parts = [fastnn.datasets.load_admissions(seed=seed) for seed in range(splits)]
        scores = [LogisticRegression().fit(x, y[:, 0]).score(xt, yt[:, 0]) for (x, y), (xt, yt) in parts]
        print(f"scikit-learn's logistic regression on the same splits: {np.mean(scores):.3f}")

    if pictures is not None:
        from matplotlib.figure import Figure

        figure = Figure(figsize=(7.2, 4.0), layout="constrained")
        ax = fastnn.plotting.plot_loss(history, figure.subplots())
        ax.set(title="Graduate admissions, 6-2-1: the split of seed 0", ylabel="squared error / 2m")
        pictures.mkdir(parents=True, exist_ok=True)
        figure.savefig(pictures / "e03_loss.png", dpi=90)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="200 epochs and 3 splits instead of 1000 and 20")
    parser.add_argument("--pictures", type=Path, metavar="DIR", help="folder for the loss curve")
    options = parser.parse_args()
    main(options.quick, options.pictures)
