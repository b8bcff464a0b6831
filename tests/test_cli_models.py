"""Models on the command line: exported, drawn; and what a shell is told to complete words."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastnn
from fastnn import callbacks, cli, layers
from fastnn.command_line import exporting
from fastnn.command_line.completion import SHELLS

Captured = pytest.CaptureFixture[str]
Patch = pytest.MonkeyPatch

SIGNATURES = {"png": b"\x89PNG\r\n", "svg": b"<?xml", "pdf": b"%PDF-"}
TABLE = "a,b,kind,amount\n" + "".join(
    f"{n % 7},{n % 5}.5,{'yes' if n % 7 > 3 else 'no'},{n % 7 + n % 5}.5\n" for n in range(100)
)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: Patch) -> Path:
    """Work in a folder with a model, and a log of its training."""
    monkeypatch.chdir(tmp_path)
    model = fastnn.Sequential([fastnn.Input((3,)), layers.Dense(4, "relu"), layers.Dense(2)], seed=0)
    model.compile("adam", "mse", metrics=["mae"])
    x = np.random.default_rng(0).normal(size=(20, 3))
    log = callbacks.CSVLogger("log.csv")
    model.fit(x, x[:, :2], epochs=3, validation_split=0.2, callbacks=[log], verbose=0)
    model.save("net.safetensors")
    return tmp_path


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a table and models of it."""
    for library in ("sklearn", "narwhals"):
        pytest.importorskip(library, reason="tables need it")
    folder = tmp_path_factory.mktemp("trained")
    (folder / "t.csv").write_text(TABLE, encoding="utf-8")
    for target, other in (("kind", "amount"), ("amount", "kind")):
        words = [
            "train",
            "--epochs",
            "20",
            str(folder / "t.csv"),
            "--target",
            target,
            "--drop",
            other,
            "--json",
        ]
        assert cli.main([*words, "--save", str(folder / f"{target}.safetensors")]) == 0
    return folder


def run(capsys: Captured, *words: str) -> str:
    found = cli.main(list(words))
    captured = capsys.readouterr()
    assert (found, captured.err) == (0, "")
    return captured.out


def complaint(capsys: Captured, *words: str, code: int = 1) -> str:
    """Run a command that must fail and leave nothing, and return its sentence."""
    before = sorted(os.listdir())
    assert cli.main(list(words)) == code
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == code
    assert sorted(os.listdir()) == before
    return captured.err.splitlines()[-1].partition("error: ")[2]


# --- export -----------------------------------------------------------------------------------------------


def test_export_to_onnx(place: Path, capsys: Captured) -> None:
    runtime: Any = pytest.importorskip("onnxruntime", reason="it runs what is exported")
    pytest.importorskip("onnx", reason="it writes the file")
    said = run(capsys, "export", "net.safetensors", "net.onnx")
    size = (place / "net.onnx").stat().st_size
    assert said == f"written  net.onnx: {size} bytes\n"
    session = runtime.InferenceSession("net.onnx")
    x = np.random.default_rng(1).normal(size=(5, 3)).astype(np.float32)
    (y,) = session.run(None, {session.get_inputs()[0].name: x})
    np.testing.assert_allclose(y, fastnn.load_model("net.safetensors").predict(x), atol=1e-5)


@pytest.mark.parametrize("words", [[], ["--int8"]])
def test_export_to_c(words: list[str], place: Path, capsys: Captured) -> None:
    found = json.loads(run(capsys, "export", "net.safetensors", "net.c", "--json", *words))
    assert sorted(found["files"]) == ["net.c", "net.h", "net_test.c"]
    assert sorted(os.listdir()) == ["log.csv", "net.c", "net.h", "net.safetensors", "net_test.c"]
    wanted = fastnn.export.to_c(
        fastnn.load_model("net.safetensors"), place / "w", name="net", int8=bool(words), verbose=0
    )
    assert (found["flash"], found["ram"]) == (wanted.flash, wanted.ram)
    for path in (wanted.header, wanted.source, wanted.test):
        assert (place / path.name).read_bytes() == path.read_bytes()


def test_what_cannot_be_exported(place: Path, capsys: Captured) -> None:
    assert complaint(capsys, "export", "net.safetensors", "net.pb", code=2) == (
        "argument OUT: expected a name that ends in .onnx or .c, got 'net.pb'"
    )
    assert complaint(capsys, "export", "net.safetensors", "n.onnx", "--int8", code=2).startswith(
        "argument --int8"
    )
    assert complaint(capsys, "export", "net.safetensors", "my-net.c").startswith(
        "name must be an identifier of C"
    )
    assert complaint(capsys, "export", "none.safetensors", "n.c") == "there is no file 'none.safetensors'"
    assert complaint(capsys, "export", "log.csv", "n.c").startswith("'log.csv' cannot be loaded: ")
    assert complaint(capsys, "export", "net.safetensors", "none/n.c").startswith(
        "OUT none/n.c: there is no folder"
    )


def test_estimators_that_cannot_be_exported_are_named(
    trained: Path, capsys: Captured, tmp_path: Path, monkeypatch: Patch
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise fastnn.errors.ConfigurationError("its layer has no counterpart")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(fastnn.export, "to_onnx", refuse)
    monkeypatch.setattr(fastnn.export, "to_c", refuse)
    model = str(trained / "kind.safetensors")
    for ending in ("onnx", "c"):
        assert complaint(capsys, "export", model, f"net.{ending}") == (
            f"{model!r} holds a TabularClassifier, which cannot be written as {ending}: its layer has no "
            "counterpart"
        )


# --- plot -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", exporting.PICTURES)
def test_pictures_are_of_the_kind_that_their_names_say(ending: str, place: Path, capsys: Captured) -> None:
    pytest.importorskip("matplotlib", reason="pictures need it")
    said = run(capsys, "plot", "net.safetensors", "--out", f"p.{ending}")
    assert said == f"drawn    graph\nwritten  p.{ending}\n"
    assert Path(f"p.{ending}").read_bytes().startswith(SIGNATURES[ending])


def labels_of(axes: Any) -> list[str]:
    return [line.get_label() for one in axes.figure.axes for line in one.lines]


def test_logs_are_drawn_as_curves(place: Path, capsys: Captured) -> None:
    pytest.importorskip("matplotlib", reason="pictures need it")
    found = json.loads(run(capsys, "plot", "log.csv", "--json"))
    assert found == {
        "command": "plot",
        "source": "log.csv",
        "table": None,
        "kind": "losses and metrics",
        "out": "plot.png",
    }
    axes, _ = exporting._drawn("log.csv", None, None, False, None)
    wanted = ["training loss", "validation loss", "training mae", "validation mae"]
    assert sorted(labels_of(axes)) == sorted(wanted)
    rows = np.genfromtxt("log.csv", delimiter=",", names=True)
    (loss,) = (line for one in axes.figure.axes for line in one.lines if line.get_label() == "training loss")
    np.testing.assert_allclose(loss.get_ydata(), rows["loss"])
    assert axes.get_yscale() == "linear"
    assert exporting._drawn("log.csv", None, None, True, None)[0].get_yscale() == "log"


def test_predictions_are_drawn_beside_the_truth(trained: Path, capsys: Captured, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="pictures need it")
    for target, kind in (("kind", "confusion matrix"), ("amount", "true against predicted values")):
        model, table = str(trained / f"{target}.safetensors"), str(trained / "t.csv")
        out = tmp_path / f"{target}.png"
        said = run(capsys, "plot", model, table, "--target", target, "--out", str(out))
        assert said.splitlines()[0] == f"drawn    {kind}"
        assert out.read_bytes().startswith(SIGNATURES["png"])
        estimator = fastnn.load_estimator(model)
        axes, _ = exporting._drawn(model, table, target, False, exporting.format_of(None, "utf-8", ()))
        if target == "kind":
            counts = np.array([int(text.get_text()) for text in axes.texts]).reshape(2, 2)
            truth = [n % 7 > 3 for n in range(100)]
            assert counts.sum(axis=1).tolist() == [truth.count(False), truth.count(True)]
            accuracy = json.loads(run(capsys, "evaluate", model, table, "--target", target, "--json"))[
                "scores"
            ]
            assert np.trace(counts) / 100 == pytest.approx(accuracy["accuracy"])
        else:
            assert len(axes.collections[0].get_offsets()) == 100
        axes, kind = exporting._drawn(model, None, None, False, None)
        assert kind == "losses"
        np.testing.assert_allclose(axes.lines[0].get_ydata(), estimator.loss_curve_)
        assert labels_of(axes) == ["training loss", "validation score"]
        scores = axes.figure.axes[1].lines[0].get_ydata()
        np.testing.assert_allclose(scores, estimator.validation_scores_)


def test_what_cannot_be_drawn(place: Path, trained: Path, capsys: Captured, monkeypatch: Patch) -> None:
    model = str(trained / "kind.safetensors")
    Path("t.csv").write_text(TABLE, encoding="utf-8")
    assert complaint(capsys, "plot", "net.safetensors", "--out", "p.gif", code=2) == (
        "argument --out: expected a name that ends in .png, .svg, .pdf, got 'p.gif'"
    )
    assert complaint(capsys, "plot", model, "t.csv", code=2).startswith("TABLE and --target go together")
    assert complaint(capsys, "plot", "log.csv", "t.csv", "--target", "a", code=2).startswith(
        "a TABLE is for a model"
    )
    assert complaint(capsys, "plot", "net.safetensors", "t.csv", "--target", "a").startswith(
        "'net.safetensors' holds a model without the names of columns"
    )
    assert complaint(capsys, "plot", model, "t.csv", "--target", "c").startswith("'t.csv' has no column 'c'")
    assert complaint(capsys, "plot", "none.csv") == "there is no file 'none.csv'"
    for content in ("", "a,b\n1,2\n", "epoch,loss\n0,high\n", "epoch,loss\n0\n"):
        Path("bad.csv").write_text(content, encoding="utf-8")
        assert complaint(capsys, "plot", "bad.csv").startswith("'bad.csv' is no log of a training: expected")
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert "pip install matplotlib" in complaint(capsys, "plot", "log.csv")


# --- completion -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shell", list(SHELLS))
def test_each_shell_gets_a_function(shell: str, capsys: Captured) -> None:
    said = run(capsys, "completion", shell)
    assert f"_FASTNN_COMPLETE={shell}_complete" in said
    if shutil.which(shell):
        done = subprocess.run(
            [shell, "-n"], input=said, text=True, capture_output=True, check=False, timeout=60
        )
        assert (done.returncode, done.stderr) == (0, "")


def test_an_unknown_shell_is_a_usage_error(capsys: Captured) -> None:
    assert complaint(capsys, "completion", "csh", code=2) == (
        "argument SHELL: invalid choice: 'csh' (choose from bash, zsh, fish)"
    )


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("pre", ["predict"]),
        ("train --see", ["--seed"]),
        ("train --task ", ["classification", "regression"]),
        ("train t.csv --target ", ["a", "b", "kind", "amount"]),
        ("train t.csv --save m --target k", ["kind"]),
        ("train t.csv --target kind --drop a", ["a", "amount"]),
        ("evaluate m t.csv --target a", ["a", "amount"]),
        ("train none.csv --target ", []),
        ("completion z", ["zsh"]),
    ],
)
def test_words_are_completed(
    words: str, found: list[str], capsys: Captured, monkeypatch: Patch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("t.csv").write_text(TABLE, encoding="utf-8")
    given = ["fastnn", *words.split(" ")]
    monkeypatch.setenv("COMP_WORDS", " ".join(given))
    monkeypatch.setenv("COMP_CWORD", str(len(given) - 1))
    monkeypatch.setenv("_FASTNN_COMPLETE", "bash_complete")
    monkeypatch.setattr(sys, "argv", ["fastnn"])
    assert cli.main() == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    assert [line.partition(",")[2] for line in captured.out.split()] == found
