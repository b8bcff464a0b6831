"""Tables: what ``fastnn train``, ``evaluate`` and ``predict`` do with one.

It must not know how a table is read, nor the inside of an estimator.
"""

from __future__ import annotations

import csv
import io
import shlex
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

import fastnn
from fastnn.checks import shown
from fastnn.command_line.columns import Columns, Target, labels_like, look_at, numbers_of, target_of
from fastnn.command_line.models import check_place, estimator_of
from fastnn.command_line.output import (
    CommandError,
    as_lines,
    on_terminal,
    print_json,
    print_rows,
    write_file,
)
from fastnn.command_line.reading import Format, listed, need, read_table

__all__ = ["Training", "drawn", "evaluate_table", "predict_table", "train_table"]

_FEWEST = 10  # rows of which some can be held out
_CLASSIFICATION = "classification"


@dataclass(frozen=True)
class Training:
    """What ``fastnn train table.csv`` was told."""

    table: str
    form: Format
    target: str
    task: str | None
    drop: tuple[str, ...]
    categorical: tuple[str, ...]
    held_out: float
    epochs: int | None
    time_limit: float | None
    seed: int
    save: str | None
    quiet: bool
    as_json: bool


def _estimator(task: str, **options: Any) -> Any:
    """Return the estimator for a task."""
    return (fastnn.TabularClassifier if task == _CLASSIFICATION else fastnn.TabularRegressor)(**options)


def train_table(given: Training) -> int:
    """Train on a table, and say what was seen, how it went, and what to type next; return the exit code."""
    if given.save is not None:
        check_place(given.save, "--save", given.table)
    frame = read_table(given.table, given.form, given.categorical)
    need(frame, [given.target, *given.drop, *given.categorical], given.table)
    target = target_of(frame, given.target, given.task)
    names = [name for name in frame.columns if name != given.target and name not in given.drop]
    if not names:
        raise CommandError(
            f"{shown(given.table)} has no column beside the target: nothing to predict it from"
        )
    columns = look_at(frame, names, given.categorical, identifiers=True)
    if not columns.used:
        raise CommandError(
            f"no column is left to predict {given.target!r} from: {listed(columns.left_out)} have a "
            "different name in every row"
        )
    training, held_out = _parts(target, given.held_out, given.seed)
    features = frame.select(columns.used)
    estimator = _estimator(
        target.task,
        cat_features=[name for name in columns.used if name in given.categorical] or None,
        random_state=given.seed,
        time_limit=given.time_limit,
        **({} if given.epochs is None else {"n_epochs": given.epochs}),
        progress_bar=on_terminal(sys.stderr) and not given.quiet and not given.as_json,
    )
    start = time.perf_counter()
    with as_lines():
        estimator.fit(features[training].to_native(), target.values[training])
        seconds = time.perf_counter() - start
        scores = _scores(estimator, features[held_out], target.values[held_out]) if len(held_out) else {}
    if given.save is not None:
        estimator.save(given.save)
    _report(given, len(frame), columns, target, len(held_out), scores, seconds, estimator.notes_)
    return 0


def _parts(target: Target, share: float, seed: int) -> tuple[list[int], list[int]]:
    """Return the rows to train with and those held out, of each class its share, and one to train with."""
    n_rows = len(target.values)
    rng = np.random.default_rng(seed)
    if not share:
        return list(range(n_rows)), []
    if n_rows < _FEWEST:
        raise CommandError(
            f"{n_rows} rows are too few to hold some out for a score; add --validation-fraction 0 to train "
            "on all of them"
        )
    labels = target.values if target.task == _CLASSIFICATION else np.zeros(n_rows)
    codes, counts = np.unique(labels, return_inverse=True, return_counts=True)[1:]
    mixed = rng.permutation(n_rows)
    mixed = mixed[np.argsort(codes[mixed], kind="stable")]
    held_out: list[int] = []
    for rows in np.split(mixed, np.cumsum(counts)[:-1]):
        held_out += rows[: min(round(share * len(rows)), len(rows) - 1)].tolist()
    if not held_out:  # many classes of few rows
        held_out = [row for row in mixed.tolist() if counts[codes[row]] > 1][:1]
    chosen = set(held_out)
    return [row for row in range(n_rows) if row not in chosen], sorted(held_out)


def _scores(estimator: Any, features: Any, truth: np.ndarray) -> dict[str, float]:
    """Return how well an estimator predicts, and how well always the same answer would."""
    predicted = estimator.predict(features.to_native())
    if hasattr(estimator, "classes_"):
        shares = np.unique(truth, return_counts=True)[1] / len(truth)
        found = {"accuracy": float(np.mean(predicted == truth)), "most_frequent_class": float(shares.max())}
        chosen = np.searchsorted(estimator.classes_, truth)
        chosen = np.minimum(chosen, len(estimator.classes_) - 1)
        probabilities = estimator.predict_proba(features.to_native())
        at_truth = np.where(
            estimator.classes_[chosen] == truth, probabilities[np.arange(len(truth)), chosen], 0.0
        )
        with np.errstate(divide="ignore"):
            found["log_loss"] = float(-np.mean(np.log(np.maximum(at_truth, np.finfo(np.float32).eps))))
        return found
    errors = np.asarray(predicted, np.float64) - truth
    spread = float(np.mean((truth - truth.mean()) ** 2))
    found = {"r2": 1 - float(np.mean(errors**2)) / spread} if spread else {}
    return found | {
        "rmse": float(np.sqrt(np.mean(errors**2))),
        "mean_absolute_error": float(np.mean(np.abs(errors))),
    }


def _score_rows(scores: dict[str, float]) -> list[tuple[str, str]]:
    """Return scores as lines."""
    if "accuracy" in scores:
        share = f"{scores['accuracy']:.4f} (the most frequent class: {scores['most_frequent_class']:.4f})"
        return [("accuracy", share), ("log loss", f"{scores['log_loss']:.4f}")]
    words = {"r2": "R2", "rmse": "RMSE", "mean_absolute_error": "mean absolute error"}
    return [(words[name], f"{value:.6g}") for name, value in scores.items()]


def _report(
    given: Training,
    n_rows: int,
    columns: Columns,
    target: Target,
    n_held_out: int,
    scores: dict[str, float],
    seconds: float,
    notes: Sequence[str],
) -> None:
    """Print what was seen and done."""
    classes = target.classes if target.task == _CLASSIFICATION else {}
    command = ["fastnn", "predict", given.save or "", given.table, "--out", "predictions.csv"]
    if given.as_json:
        print_json(
            {
                "command": "train",
                "table": given.table,
                "rows": n_rows,
                "numbers": columns.numbers,
                "categories": columns.categories,
                "left_out": columns.left_out,
                "missing_values": columns.missing,
                "notes": list(notes),
                "target": given.target,
                "task": target.task,
                "classes": classes or None,
                "training_rows": n_rows - n_held_out,
                "held_out_rows": n_held_out,
                "scores": scores,
                "seconds": seconds,
                "saved": given.save,
            }
        )
        return
    kinds = f"{len(columns.numbers)} of numbers, {len(columns.categories)} of categories"
    missing = f"; {columns.missing} values missing" if columns.missing else ""
    rows: list[tuple[str, object]] = [
        ("data", f"{given.table}: {n_rows} rows, {len(columns.used)} columns: {kinds}{missing}")
    ]
    if columns.left_out:
        why = [f"{name} ({reason})" for name, reason in columns.left_out.items()]
        rows.append(("left out", listed(why)))
    if classes:
        counts = listed(f"{label} {count}" for label, count in classes.items())
        rows.append(("target", f"{given.target}: {len(classes)} classes: {counts} rows"))
    else:
        rows.append(("target", f"{given.target}: {target.values.min():g} to {target.values.max():g}"))
    rows.append(("task", f"{target.task}, {target.reason}; --task decides otherwise"))
    rows.append(("training", f"{n_rows - n_held_out} rows, {seconds:.2f} s"))
    if n_held_out:
        rows.append(("held out", f"{n_held_out} rows, for these scores:"))
    rows += _score_rows(scores)
    if given.save is None:
        again = ["fastnn", "train", given.table, "--target", given.target]
        for option, value in (("--task", given.task), ("--epochs", given.epochs)):
            again += [] if value is None else [option, str(value)]
        for option, values in (("--drop", given.drop), ("--categorical", given.categorical)):
            again += [word for value in values for word in (option, value)]
        rows += [("saved", "nowhere"), ("next", shlex.join([*again, "--save", "model.safetensors"]))]
    else:
        rows += [("saved", given.save), ("next", shlex.join(command))]
    print_rows(rows)


def evaluate_table(model: str, table: str, target: str, form: Format, as_json: bool) -> int:
    """Print how well a saved estimator predicts a table; return the exit code."""
    estimator = estimator_of(model)
    frame = read_table(table, form, _texts_of(estimator))
    need(frame, [target], table)
    features = _features(estimator, frame, table)
    if hasattr(estimator, "classes_"):
        truth = labels_like(frame, target, estimator.classes_)
    else:
        truth = numbers_of(frame, target)
    with as_lines():
        scores = _scores(estimator, features, truth)
    if as_json:
        print_json(
            {"command": "evaluate", "model": model, "table": table, "rows": len(frame), "scores": scores}
        )
    else:
        print_rows([("data", f"{table}: {len(frame)} rows"), *_score_rows(scores)])
    return 0


def predict_table(
    model: str, table: str, form: Format, out: str | None, probabilities: bool, as_json: bool
) -> int:
    """Write what a saved estimator predicts of a table; return the exit code."""
    if out is not None:
        check_place(out, "--out", table, model)
    estimator = estimator_of(model)
    labels = getattr(estimator, "classes_", None)
    if probabilities and labels is None:
        raise CommandError("--probabilities is for classes, and the model predicts numbers")
    frame = read_table(table, form, _texts_of(estimator))
    features = _features(estimator, frame, table).to_native()
    with as_lines():
        predicted = np.asarray(estimator.predict(features))
        shares = np.asarray(estimator.predict_proba(features)) if probabilities else None
    header = ["prediction"]
    if labels is not None and shares is not None:
        header += [f"probability_{label}" for label in labels.tolist()]
    if as_json:
        found: dict[str, Any] = {"command": "predict", "model": model, "table": table, "rows": len(frame)}
        if out is None:
            found["predictions"] = predicted
            if shares is not None:
                found["classes"], found["probabilities"] = labels, shares
        else:
            write_file(out, _lines(header, predicted, shares))
            found["out"] = out
        print_json(found)
    elif out is None:
        sys.stdout.write(_lines(header, predicted, shares))
    else:
        write_file(out, _lines(header, predicted, shares))
        print_rows([("data", f"{table}: {len(frame)} rows"), ("written", out)])
    return 0


def drawn(estimator: Any, table: str, target: str, form: Format, axes: Any) -> tuple[Any, str]:
    """Return axes with what an estimator predicts of a table beside what is true, and what that is called."""
    from sklearn.metrics import ConfusionMatrixDisplay, PredictionErrorDisplay

    frame = read_table(table, form, _texts_of(estimator))
    need(frame, [target], table)
    features = _features(estimator, frame, table).to_native()
    if hasattr(estimator, "classes_"):
        truth, classes = labels_like(frame, target, estimator.classes_), estimator.classes_
        with as_lines():
            predicted = estimator.predict(features)
        ConfusionMatrixDisplay.from_predictions(
            truth, predicted, labels=classes, ax=axes, colorbar=False, cmap="Blues", xticks_rotation=45
        )
        return axes, "confusion matrix"
    truth = numbers_of(frame, target)
    with as_lines():
        predicted = estimator.predict(features)
    PredictionErrorDisplay.from_predictions(truth, predicted, kind="actual_vs_predicted", ax=axes)
    return axes, "true against predicted values"


def _lines(header: Sequence[str], predicted: np.ndarray, shares: np.ndarray | None) -> str:
    """Return predictions as CSV."""
    texts = io.StringIO(newline="")
    writer = csv.writer(texts, lineterminator="\n")
    writer.writerow(header)
    if shares is None:
        writer.writerows([value] for value in predicted.tolist())
    else:
        writer.writerows(
            [value, *row] for value, row in zip(predicted.tolist(), shares.tolist(), strict=True)
        )
    return texts.getvalue()


def _features(estimator: Any, frame: Any, table: str) -> Any:
    """Return the columns that an estimator was trained on, in its order, checked."""
    names = list(getattr(estimator, "feature_names_in_", ()))
    if not names:
        raise CommandError("the model does not know names of columns; train it on a table, by fastnn train")
    need(frame, names, table)
    look_at(frame, names, _texts_of(estimator), identifiers=False)
    return frame.select(names)


def _texts_of(estimator: Any) -> list[str]:
    """Return the columns whose categories are text; read as numbers, they would not be found among them."""
    fitted = getattr(getattr(estimator, "_encoder", None), "fitted", ())
    return [
        one.name for one in fitted if any(isinstance(name, str) for name in getattr(one, "categories", ()))
    ]
