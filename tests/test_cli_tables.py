"""Tables on the command line: what is said of one, what is saved, scored and predicted."""

from __future__ import annotations

import csv
import io
import json
import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastnn
from fastnn import cli
from fastnn.command_line import columns, reading, tables

pytest.importorskip("sklearn", reason="estimators need scikit-learn")
nw: Any = pytest.importorskip("narwhals", reason="tables are read with narwhals")

Captured = pytest.CaptureFixture[str]
Patch = pytest.MonkeyPatch

THERE = [name for name in reading.BACKENDS if reading.find_spec(name) is not None]
N_ROWS = 120
SHORT = ("--epochs", "30")


def rows_of(n_rows: int = N_ROWS, seed: int = 0) -> list[dict[str, Any]]:
    """Return rows of a table: the size and the colour of things, and what follows from them."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(n_rows):
        width, height = rng.normal(size=2)
        kind = "wide" if width > height else "high"
        found.append({"width": width, "height": height, "kind": kind, "area": 3 * width + height})
    return found


def write(path: Path, rows: list[dict[str, Any]], names: list[str] | None = None) -> str:
    names = names or list(rows[0])
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, names, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
    return str(path)


def run(capsys: Captured, *words: str, code: int = 0) -> str:
    """Run the command, and return what it prints."""
    found = cli.main(list(words))
    captured = capsys.readouterr()
    assert found == code, captured.err
    return captured.out


def pairs(output: str) -> dict[str, str]:
    """Return labels and values of the lines that a command prints."""
    parted = [line.partition("  ") for line in output.splitlines()]
    return {label: value.strip() for label, _, value in parted}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a table of each kind and a model of each task."""
    place = tmp_path_factory.mktemp("tables")
    table = write(place / "things.csv", rows_of())
    common = ["--quiet", "--json", "--drop"]
    for target, other, name in (("kind", "area", "kinds"), ("area", "kind", "areas")):
        words = [
            "train",
            *SHORT,
            table,
            "--target",
            target,
            *common,
            other,
            "--save",
            str(place / f"{name}.safetensors"),
        ]
        assert cli.main(words) == 0
    return place


# --- train ----------------------------------------------------------------------------------------------


def test_train_says_what_it_saw_and_what_comes_next(
    capsys: Captured, tmp_path: Path, monkeypatch: Patch
) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "my things.csv", rows_of())
    said = pairs(
        run(
            capsys,
            "train",
            *SHORT,
            "my things.csv",
            "--target",
            "kind",
            "--drop",
            "area",
            "--save",
            "m.safetensors",
        )
    )
    assert said["data"] == "my things.csv: 120 rows, 2 columns: 2 of numbers, 0 of categories"
    assert said["target"].startswith("kind: 2 classes: high ")
    assert said["task"] == "classification, as it holds text; --task decides otherwise"
    assert said["held out"].startswith("24 rows")
    assert float(said["accuracy"].split()[0]) >= 0.85
    assert said["saved"] == "m.safetensors"
    assert said["next"] == "fastnn predict m.safetensors 'my things.csv' --out predictions.csv"
    assert sorted(os.listdir()) == ["m.safetensors", "my things.csv"]
    run(capsys, *shlex.split(said["next"])[1:])
    assert len((tmp_path / "predictions.csv").read_text(encoding="utf-8").splitlines()) == N_ROWS + 1
    said = pairs(
        run(capsys, "train", *SHORT, "my things.csv", "--target", "kind", "--validation-fraction", "0")
    )
    assert said["saved"] == "nowhere"
    assert "--save model.safetensors" in said["next"]
    assert "accuracy" not in said
    assert "held out" not in said


@pytest.mark.parametrize("backend", THERE)
def test_all_readers_give_the_same(backend: str, capsys: Captured, monkeypatch: Patch, folder: Path) -> None:
    monkeypatch.setattr(reading, "BACKENDS", (backend,))
    found = json.loads(run(capsys, "train", *SHORT, str(folder / "things.csv"), "--target", "kind", "--json"))
    assert found.pop("seconds") > 0
    scores = found.pop("scores")
    assert scores["accuracy"] >= 0.85
    assert scores["most_frequent_class"] == pytest.approx(0.5, abs=0.1)
    assert scores["log_loss"] > 0
    counts = [row["kind"] for row in rows_of()]
    assert found == {
        "command": "train",
        "table": str(folder / "things.csv"),
        "rows": 120,
        "numbers": ["width", "height", "area"],
        "categories": [],
        "left_out": {},
        "missing_values": 0,
        "notes": [],
        "target": "kind",
        "task": "classification",
        "classes": {"high": counts.count("high"), "wide": counts.count("wide")},
        "training_rows": 96,
        "held_out_rows": 24,
        "saved": None,
    }


@pytest.mark.parametrize("backend", THERE)
def test_categories_and_gaps(backend: str, capsys: Captured, monkeypatch: Patch, tmp_path: Path) -> None:
    """What was trained as text is found as text, also where a new table has numbers alone."""
    monkeypatch.setattr(reading, "BACKENDS", (backend,))
    rows = [
        {
            "x": "" if n % 10 == 0 else n % 7,
            "code": ["1", "2", "x"][n % 3],
            "dry": n % 2 == 0,
            "y": "abc"[n % 3],
        }
        for n in range(90)
    ]
    model = str(tmp_path / "m.safetensors")
    words = ["train", *SHORT, write(tmp_path / "t.csv", rows), "--target", "y", "--json", "--save", model]
    found = json.loads(run(capsys, *words, "--categorical", "code"))
    assert (found["numbers"], found["categories"]) == (["x"], ["code", "dry"])
    assert (found["missing_values"], found["scores"]["accuracy"]) == (9, 1.0)
    new = [row for row in rows if row["code"] != "x"]
    for name in THERE:
        monkeypatch.setattr(reading, "BACKENDS", (name,))
        said = run(capsys, "predict", model, write(tmp_path / "new.csv", new)).split()
        assert said[1:] == [row["y"] for row in new]
    new = [{"code": "unknown", "dry": "", "x": ""}]
    assert run(capsys, "predict", model, write(tmp_path / "new.csv", new)).split()[1] in "abc"


@pytest.mark.parametrize("backend", THERE)
def test_truth_values_and_named_columns_stay_as_they_are_written(
    backend: str, monkeypatch: Patch, tmp_path: Path
) -> None:
    monkeypatch.setattr(reading, "BACKENDS", (backend,))
    path = tmp_path / "t.csv"
    path.write_text("low,high,gaps,code,n\ntrue,True,True,01,1\nfalse,False,,2,2\n", encoding="utf-8")
    frame = reading.read_table(str(path), reading.Format(), ["code", "absent"])
    values = {name: frame[name].to_list() for name in frame.columns}
    assert values["low"] == ["true", "false"]
    assert values["high"] == ["True", "False"]
    assert values["gaps"][0] == "True"
    assert columns._missing(frame["gaps"]).tolist() == [False, True]
    assert (values["code"], values["n"]) == (["01", "2"], [1, 2])


@pytest.mark.parametrize("backend", THERE)
def test_parquet_is_a_table_as_csv_is(
    backend: str, capsys: Captured, monkeypatch: Patch, folder: Path, tmp_path: Path
) -> None:
    polars: Any = pytest.importorskip("polars", reason="it writes the file")
    path = str(tmp_path / "things.data")  # what it is shows in the file
    polars.read_csv(folder / "things.csv").write_parquet(path)
    if backend == "pandas":
        pytest.importorskip("pyarrow", reason="pandas reads parquet by it")
    model = str(folder / "kinds.safetensors")
    wanted = run(capsys, "predict", model, str(folder / "things.csv"))
    monkeypatch.setattr(reading, "BACKENDS", (backend,))
    assert run(capsys, "predict", model, path) == wanted


def frame_of(**values: Any) -> Any:
    return nw.from_native(pytest.importorskip("pandas").DataFrame(values), eager_only=True)


@pytest.mark.parametrize(
    ("values", "task", "kind"),
    [
        (["a", "b", "b"] * 5, "classification", "U"),
        ([True, False, True] * 5, "classification", "b"),
        ([1, 2, 3] * 5, "classification", "i"),
        ([1.0, 2.0, 3.0] * 5, "classification", "i"),
        ([0.5, 1.5, 1.5] * 5, "regression", "f"),
        ([*range(11), *range(11)], "regression", "f"),
    ],
)
def test_the_target_tells_the_task(values: list[Any], task: str, kind: str) -> None:
    found = columns.target_of(frame_of(y=values), "y", None)
    assert (found.task, found.values.dtype.kind) == (task, kind)
    assert found.reason.startswith("as it h")
    assert len(found.values) == len(values)


def test_the_user_knows_better(capsys: Captured, tmp_path: Path) -> None:
    for values in ([1, 2, 3] * 5, [0.5, 1.5, 1.5] * 5):
        for task in ("classification", "regression"):
            found = columns.target_of(frame_of(y=values), "y", task)
            assert (found.task, found.reason) == (task, "as --task says")
    rows = [{"x": row % 7, "y": row % 3} for row in range(60)]
    table = write(tmp_path / "t.csv", rows)
    found = json.loads(run(capsys, "train", *SHORT, table, "--target", "y", "--task", "regression", "--json"))
    assert (found["task"], found["classes"]) == ("regression", None)
    assert set(found["scores"]) == {"r2", "rmse", "mean_absolute_error"}


def test_rows_are_held_out_by_class() -> None:
    values = np.array([*["common"] * 90, *["rare"] * 9, "single"])
    target = columns.Target(values, "classification", "")
    training, held_out = tables._parts(target, 0.2, 3)
    assert sorted(training + held_out) == list(range(100))
    assert held_out == sorted(held_out)
    assert [values[held_out].tolist().count(name) for name in ("common", "rare", "single")] == [18, 2, 0]
    assert tables._parts(target, 0.2, 3) == (training, held_out)
    assert tables._parts(target, 0.2, 4) != (training, held_out)
    assert tables._parts(target, 0.0, 3) == (list(range(100)), [])
    kept, _ = tables._parts(target, 0.95, 3)  # of each class a row at least is trained on
    assert [values[kept].tolist().count(name) for name in ("common", "rare", "single")] == [4, 1, 1]
    mostly = columns.Target(np.array([*range(20), 7]), "classification", "")
    assert tables._parts(mostly, 0.2, 0)[1] in ([7], [20])  # not the only row of a class
    pairs = columns.Target(np.repeat(np.arange(8), 2), "classification", "")
    training, held_out = tables._parts(pairs, 0.2, 0)
    assert len(held_out) == 1
    assert len(set(pairs.values[training])) == 8


def test_scores_are_what_they_say(folder: Path, capsys: Captured) -> None:
    from sklearn import metrics

    table = str(folder / "things.csv")
    frame = reading.read_table(table, reading.Format())
    for name, target in (("kinds", "kind"), ("areas", "area")):
        model = str(folder / f"{name}.safetensors")
        found = json.loads(run(capsys, "evaluate", model, table, "--target", target, "--json"))["scores"]
        estimator = fastnn.load_estimator(model)
        truth = np.array(frame[target].to_list())
        features = frame.select(["width", "height"]).to_native()
        predicted = estimator.predict(features)
        if name == "kinds":
            assert found["accuracy"] == pytest.approx(metrics.accuracy_score(truth, predicted))
            loss = metrics.log_loss(truth, np.asarray(estimator.predict_proba(features), np.float64))
            assert found["log_loss"] == pytest.approx(loss, rel=1e-5)
            assert found["most_frequent_class"] == max((truth == "high").mean(), (truth == "wide").mean())
        else:
            assert found["r2"] == pytest.approx(metrics.r2_score(truth, predicted))
            assert found["rmse"] == pytest.approx(metrics.root_mean_squared_error(truth, predicted))
            assert found["mean_absolute_error"] == pytest.approx(
                metrics.mean_absolute_error(truth, predicted)
            )


def test_the_same_seed_trains_the_same_model(capsys: Captured, folder: Path, tmp_path: Path) -> None:
    def predicted(seed: str) -> str:
        model = str(tmp_path / "m.safetensors")
        table = str(folder / "things.csv")
        run(
            capsys,
            "train",
            *SHORT,
            table,
            "--target",
            "area",
            "--drop",
            "kind",
            "--seed",
            seed,
            "--save",
            model,
        )
        return run(capsys, "predict", model, table)

    assert predicted("1") == predicted("1")
    assert predicted("1") != predicted("2")


def test_identifiers_are_left_out(capsys: Captured, tmp_path: Path) -> None:
    rows = [row | {"id": f"thing {n}"} for n, row in enumerate(rows_of())]
    table = write(tmp_path / "t.csv", rows)
    said = pairs(run(capsys, "train", *SHORT, table, "--target", "kind"))
    assert said["left out"] == "id (a different name in every row)"


def test_the_bar_is_shown_on_a_terminal_only(monkeypatch: Patch, capsys: Captured, folder: Path) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    words = ["train", *SHORT, str(folder / "things.csv"), "--target", "area", "--drop", "kind"]
    for more, bar in ([], True), (["--quiet"], False), (["--json"], False):
        stream = Terminal()
        monkeypatch.setattr(sys, "stderr", stream)
        assert cli.main([*words, *more]) == 0
        assert ("epoch/s" in stream.getvalue()) == bar


# --- predict --------------------------------------------------------------------------------------------


def test_predictions_are_csv(capsys: Captured, folder: Path, tmp_path: Path) -> None:
    model, table = str(folder / "kinds.safetensors"), str(folder / "things.csv")
    printed = run(capsys, "predict", model, table)
    lines = printed.splitlines()
    assert (lines[0], len(lines)) == ("prediction", N_ROWS + 1)
    right = sum(line == row["kind"] for line, row in zip(lines[1:], rows_of(), strict=True))
    assert right >= 0.9 * N_ROWS
    out = tmp_path / "p.csv"
    said = run(capsys, "predict", model, table, "--out", str(out))
    assert out.read_text(encoding="utf-8") == printed
    assert pairs(said) == {"data": f"{table}: 120 rows", "written": str(out)}
    assert os.listdir(tmp_path) == ["p.csv"]
    shares = list(csv.DictReader(io.StringIO(run(capsys, "predict", model, table, "--probabilities"))))
    assert list(shares[0]) == ["prediction", "probability_high", "probability_wide"]
    for row, label in zip(shares, lines[1:], strict=True):
        high, wide = float(row["probability_high"]), float(row["probability_wide"])
        assert high + wide == pytest.approx(1, abs=1e-5)
        assert row["prediction"] == label == ("high" if high > wide else "wide")


def test_predictions_as_json(capsys: Captured, folder: Path, tmp_path: Path) -> None:
    model, table = str(folder / "kinds.safetensors"), str(folder / "things.csv")
    labels = run(capsys, "predict", model, table).splitlines()[1:]
    found = json.loads(run(capsys, "predict", model, table, "--json", "--probabilities"))
    assert found["predictions"] == labels
    assert found["classes"] == ["high", "wide"]
    assert np.array(found["probabilities"]).shape == (N_ROWS, 2)
    found = json.loads(run(capsys, "predict", model, table, "--json", "--out", str(tmp_path / "p.csv")))
    assert (found["out"], found["rows"]) == (str(tmp_path / "p.csv"), N_ROWS)
    assert "predictions" not in found


def test_columns_are_found_by_their_names(capsys: Captured, folder: Path, tmp_path: Path) -> None:
    model = str(folder / "kinds.safetensors")
    wanted = run(capsys, "predict", model, str(folder / "things.csv"))
    rows = [row | {"more": "x"} for row in rows_of()]
    table = write(tmp_path / "t.csv", rows, ["more", "height", "width"])
    assert run(capsys, "predict", model, table) == wanted


@pytest.mark.parametrize(
    ("separator", "ending", "encoding", "words"),
    [
        (";", "\n", "utf-8", []),
        ("\t", "\n", "utf-8", []),
        (",", "\r\n", "utf-8-sig", []),
        (",", "\n\n", "utf-8", []),
        (",", "\r", "utf-8", []),
        ("|", "\n", "utf-8", ["--separator", "|"]),
        ("\t", "\n", "utf-8", ["--separator", "tab"]),
        (",", "\n", "latin-1", ["--encoding", "latin-1"]),
        (",", "\n", "utf-16", ["--encoding", "utf-16"]),
    ],
)
@pytest.mark.parametrize("backend", THERE)
def test_dialects_of_csv(
    separator: str,
    ending: str,
    encoding: str,
    words: list[str],
    backend: str,
    capsys: Captured,
    monkeypatch: Patch,
    folder: Path,
    tmp_path: Path,
) -> None:
    model = str(folder / "kinds.safetensors")
    wanted = run(capsys, "predict", model, str(folder / "things.csv"))
    monkeypatch.setattr(reading, "BACKENDS", (backend,))
    lines = [
        ["höhe", "width", "height"],
        *([f"{n}é", row["width"], row["height"]] for n, row in enumerate(rows_of())),
    ]
    text = "".join(separator.join(map(str, line)) + ending for line in lines)
    (tmp_path / "t.csv").write_bytes(text.encode(encoding))
    assert run(capsys, "predict", model, str(tmp_path / "t.csv"), *words) == wanted


@pytest.mark.parametrize("backend", THERE)
def test_texts_may_be_long(backend: str, monkeypatch: Patch, tmp_path: Path) -> None:
    monkeypatch.setattr(reading, "BACKENDS", (backend,))
    long = "a\nb" * 700_000
    path = write(tmp_path / "t.csv", [{"x": 1, "text": "short"}, {"x": 2, "text": long}])
    frame = reading.read_table(path, reading.Format())
    assert (frame["x"].to_list(), frame["text"].to_list()) == ([1, 2], ["short", long])


@pytest.mark.skipif(sys.platform == "win32", reason="pipes of POSIX")
def test_a_table_may_come_by_standard_input(capsys: Captured, folder: Path) -> None:
    model = folder / "kinds.safetensors"
    wanted = run(capsys, "predict", str(model), str(folder / "things.csv"))
    done = subprocess.run(
        [sys.executable, "-m", "fastnn", "predict", str(model), "-"],
        input=(folder / "things.csv").read_bytes(),
        capture_output=True,
        check=False,
        timeout=120,
        cwd=folder,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.decode() == wanted


@pytest.mark.skipif(sys.platform == "win32", reason="pipes of POSIX")
def test_a_reader_that_left_is_no_noise(folder: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-m", "fastnn", "predict", "kinds.safetensors", "things.csv"],
        stdout=writer,
        stderr=subprocess.PIPE,
        check=False,
        timeout=120,
        cwd=folder,
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (1, b"")


def test_an_interrupt_saves_nothing(
    capsys: Captured, folder: Path, tmp_path: Path, monkeypatch: Patch
) -> None:
    class Interrupted:
        def fit(self, x: Any, y: Any) -> None:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(tables, "_estimator", lambda *_, **__: Interrupted())
    model = tmp_path / "m.safetensors"
    assert (
        cli.main(["train", *SHORT, str(folder / "things.csv"), "--target", "kind", "--save", str(model)])
        == 130
    )
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "\nfastnn: interrupted\n")
    assert os.listdir(tmp_path) == []
