"""E.4: bike sharing, the bikes rented in each hour from calendar and weather.

56 inputs (one-hot season, weather, month, hour and weekday; year, holiday; scaled temperature, humidity and
wind), 25 sigmoid hidden units, one linear output, squared error / 2m.  The last 21 days are the test set,
the 60 days before them the validation set, which says when to stop.  R2 = 1 - (squared error) / (squared
deviation from the mean): a linear model reaches 0.46 on the test days, 25 hidden units in PyTorch 0.88 on
the validation days and 0.63 to 0.70 on the test days, whose last week is Christmas, of which the training
set holds one.
"""

import argparse
from pathlib import Path

import numpy as np

import fastnn
from fastnn.layers import Dense

EPOCHS = 100


def train(
    seed: int = 0, hidden: int = 25, epochs: int = EPOCHS
) -> tuple[fastnn.Model, fastnn.callbacks.History]:
    """Train until the validation loss has not improved for 20 epochs; keep the best weights."""
    (x, y), validation, _ = fastnn.datasets.load_bike_sharing()
    model = fastnn.Sequential([fastnn.Input((56,)), Dense(hidden, "sigmoid"), Dense(1)], seed=seed)
    model.compile(fastnn.optimizers.SGD(0.1, momentum=0.9), fastnn.losses.SquaredError("half_mean"))
    stop = fastnn.callbacks.EarlyStopping("val_loss", patience=20, restore_best_weights=True)
    history = model.fit(
        x, y, batch_size=128, epochs=epochs, validation_data=validation, callbacks=[stop], verbose=0
    )
    return model, history


def r2(true: np.ndarray, predicted: np.ndarray) -> float:
    """Return the share of the variance that predictions explain."""
    return float(1 - np.sum((true - predicted) ** 2) / np.sum((true - true.mean()) ** 2))


def linear(x: np.ndarray, y: np.ndarray, x_new: np.ndarray) -> np.ndarray:
    """Return what least squares predicts."""
    with_one = [np.column_stack([part, np.ones(len(part))]) for part in (x, x_new)]
    return with_one[1] @ np.linalg.lstsq(with_one[0], y, rcond=None)[0]


def main(quick: bool, pictures: Path | None) -> None:
    """Train, print R2 beside the known numbers, draw the losses and the test days."""
    train_part, validation, test = fastnn.datasets.load_bike_sharing()
    model, history = train(epochs=5 if quick else EPOCHS)
    best = int(np.argmin(history.history["val_loss"]))
    print("epoch  training loss  validation loss")
    for epoch in sorted({0, 1, 4, 9, 19, 49, best, len(history.epoch) - 1}):
        if epoch < len(history.epoch):
            loss, val_loss = (history.history[name][epoch] for name in ("loss", "val_loss"))
            print(f"{epoch + 1:5} {loss:14.4f} {val_loss:16.4f}{'  best, kept' if epoch == best else ''}")
    print("R2                      60 validation days   21 test days")
    print(f"least squares           {r2(validation[1], linear(*train_part, validation[0])):12.2f}", end="")
    print(f" {r2(test[1], linear(*train_part, test[0])):17.2f}")
    print(f"25 units, PyTorch       {'0.88':>12} {'0.63 to 0.70':>17}")
    ours = [r2(y, model.predict(x)) for x, y in (validation, test)]
    print(f"25 units, fastnn        {ours[0]:12.2f} {ours[1]:17.2f}")

    if pictures is not None:
        draw(model, history, pictures)


def draw(model: fastnn.Model, history: fastnn.callbacks.History, pictures: Path) -> None:
    """Draw the loss curves, and the predictions over the test days in bikes."""
    from matplotlib.figure import Figure
    from PIL import Image  # matplotlib brings it

    pictures.mkdir(parents=True, exist_ok=True)
    figure = Figure(figsize=(7.2, 4.0), layout="constrained")
    ax = fastnn.plotting.plot_loss(history, figure.subplots())
    ax.set(title="Bike sharing, 56-25-1", ylabel="squared error / 2m", ylim=(0, None))
    figure.savefig(pictures / "e04_loss.png", dpi=110)

    table = fastnn.datasets.load_bike_sharing(raw=True)
    x_test = fastnn.datasets.load_bike_sharing()[2][0]
    hours = table[-len(x_test) :]
    bikes = model.predict(x_test)[:, 0] * table["cnt"].std() + table["cnt"].mean()
    figure = Figure(figsize=(10.5, 4.0), layout="constrained")
    ax = figure.subplots()
    ax.axvspan(24, 27, color="0.9", zorder=0)
    ax.text(25.5, 730, "Christmas", ha="center", va="top")
    day = (hours["dteday"] - np.datetime64("2012-11-30")).astype(int) + hours["hr"] / 24
    fastnn.plotting.plot_predictions(
        hours["cnt"], bikes, day, ax, x_label="day of December 2012", y_label="bikes rented in an hour"
    )
    ax.set(
        title="The 21 test days: what is right for a usual week is wrong for Christmas",
        xticks=range(11, 33, 2),
    )
    path = pictures / "e04_predictions.png"
    figure.savefig(path, dpi=90)
    Image.open(path).quantize(32).save(path)  # a third of the bytes


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="5 epochs instead of up to 100")
    parser.add_argument("--pictures", type=Path, metavar="DIR", help="folder for loss curves and predictions")
    options = parser.parse_args()
    main(options.quick, options.pictures)
