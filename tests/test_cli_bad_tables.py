"""Bad tables, models and places on the command line: one sentence, no traceback, nothing half written."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest

import fastnn
from fastnn import cli
from fastnn.command_line import output, reading

pytest.importorskip("sklearn", reason="estimators need scikit-learn")
pytest.importorskip("narwhals", reason="tables are read with narwhals")

Captured = pytest.CaptureFixture[str]
Patch = pytest.MonkeyPatch

THERE = [name for name in reading.BACKENDS if reading.find_spec(name) is not None]
GOOD = "a,b,y\n" + "".join(f"{n % 7},{n % 5}.5,{'yes' if n % 2 else 'no'}\n" for n in range(40))


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: Patch) -> Path:
    """Work in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a model of classes and one of numbers."""
    folder = tmp_path_factory.mktemp("models")
    table = folder / "t.csv"
    table.write_text(GOOD, encoding="utf-8")
    for target, drop in (("y", "b"), ("b", "y")):
        words = ["train", "--epochs", "20", str(table), "--target", target, "--json", "--drop", drop]
        assert cli.main([*words, "--save", str(folder / f"{target}.safetensors")]) == 0
    return folder


def complaint(capsys: Captured, *words: str, code: int = 1) -> str:
    """Run a command that must fail, and return the sentence that it leaves."""
    before = sorted(os.listdir())
    assert cli.main(list(words)) == code
    captured = capsys.readouterr()
    assert captured.out == ""
    lines = captured.err.splitlines()
    if code == 2:
        assert lines.pop(0).startswith("usage: fastnn ")
    assert len(lines) == 1
    assert sorted(os.listdir()) == before
    head, mark, sentence = lines[0].partition("error: ")
    assert (head.startswith("fastnn"), bool(mark)) == (True, True)
    return sentence


def train_on(capsys: Captured, content: str | bytes, *words: str) -> str:
    data = content.encode() if isinstance(content, str) else content
    Path("t.csv").write_bytes(data)
    return complaint(capsys, "train", "t.csv", "--target", "y", "--save", "m.safetensors", *words)


def column(values: list[Any], name: str = "a") -> str:
    return f"{name},y\n" + "".join(f"{value},{n / 4 + 0.1}\n" for n, value in enumerate(values))


def target(values: list[Any]) -> str:
    return "a,y\n" + "".join(f"{n % 7},{value}\n" for n, value in enumerate(values))


# --- files ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("", "'t.csv' is empty; a table has a line of names and rows below it"),
        ("\n \n", "'t.csv' is empty; a table has a line of names and rows below it"),
        ("a,y\n", "'t.csv' has a line of names and no rows below it"),
        ("a,y\n1,2\n3\n", "line 3 of 't.csv' has 1 field, and the header has 2; fields that hold ','"),
        ("a,y\n1,2\n3,4,5\n", "line 3 of 't.csv' has 3 fields, and the header has 2; fields that hold ','"),
        ("a,y\n'x\ny',2\n", "line 2 of 't.csv' has 1 field"),
        ('a,y\n"x\ny",2\n1,2,3\n', "line 4 of 't.csv' has 3 fields"),
        ('a,y\n1,2\n"x,3\n', "line 3 of 't.csv' cannot be read as CSV: unexpected end of data"),
        ("a,a,y\n1,2,3\n", "column 'a' stands twice in the first line of 't.csv', at 1 and 2; give each"),
        ("a,y,y\n1,2,3\n", "column 'y' stands twice in the first line of 't.csv', at 2 and 3; give each"),
        (",a,y\n0,1,2\n", "column 1 of 't.csv' has no name in the first line; name it, or leave it out"),
        ("1.5,2.5\n3.5,4.5\n", "the first line of 't.csv' holds numbers, 1.5, 2.5, and no names of columns"),
        (
            "a,y\n1,caf\xe9\n".encode("latin-1"),
            "'t.csv' is not UTF-8: byte 0xe9 in line 2; save it as UTF-8, or",
        ),
        ("a,y\n1,2\n".encode("utf-16"), "'t.csv' is not UTF-8 but UTF-16: add --encoding utf-16"),
        (
            b"PK\x03\x04....",
            "'t.csv' is neither CSV nor parquet but a spreadsheet or an archive; save it as CSV",
        ),
        (b"\x1f\x8b\x08...", "'t.csv' is neither CSV nor parquet but compressed; unpack it"),
        (b"a,y\n\0\0\0\0", "'t.csv' is neither CSV nor parquet: it has bytes that no text has"),
        (b"PAR1 and no more", "'t.csv' cannot be read as parquet: "),
    ],
)
@pytest.mark.parametrize("backend", THERE)
def test_files_that_are_no_tables(
    content: str | bytes, sentence: str, backend: str, capsys: Captured, monkeypatch: Patch
) -> None:
    monkeypatch.setattr(reading, "BACKENDS", (backend,))
    assert train_on(capsys, content).startswith(sentence)


def test_files_that_are_not_there(capsys: Captured) -> None:
    Path("things.csv").write_text(GOOD, encoding="utf-8")
    Path("folder").mkdir()
    words = ["--target", "y"]
    assert complaint(capsys, "train", "thing.csv", *words) == (
        "there is no file 'thing.csv'; did you mean 'things.csv'?"
    )
    assert complaint(capsys, "train", "nowhere/t.csv", *words) == "there is no file 'nowhere/t.csv'"
    assert complaint(capsys, "train", "folder", *words) == "'folder' is a folder; name a file in it"
    assert complaint(capsys, "train", "digits", *words, code=2) == (
        "there is no file 'digits'; for the handwritten digits, type --dataset digits"
    )
    assert complaint(capsys, "train", "things.csv", *words, "--encoding", "klingon").startswith(
        "there is no encoding 'klingon'"
    )


@pytest.mark.parametrize("absent", ["narwhals", "all readers"])
def test_what_reads_tables_is_named(absent: str, capsys: Captured, monkeypatch: Patch) -> None:
    for name in ("narwhals",) if absent == "narwhals" else reading.BACKENDS:
        monkeypatch.setitem(sys.modules, name, None)
    assert train_on(capsys, GOOD) == (
        "tables are read with narwhals and one of polars, pyarrow and pandas: `pip install narwhals polars`"
    )


# --- columns ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("backend", THERE)
@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (
            column([1, 2, "x", 4, 5]),
            "column 'a' holds numbers, but 'x' in row 3; mend it, or add --missing x if that stands for a "
            "missing value, or --categorical a if all of them are names",
        ),
        (
            column([*range(5000), "?"]),
            "column 'a' holds numbers, but '?' in row 5001; mend it, or add --missing '?'",
        ),
        (column([1, "inf", 3]), "column 'a' is infinite in row 2; give it a number, or leave it empty"),
        (column([1, "-inf", ""]), "column 'a' is infinite in row 2"),
        (column(["2024-01-31", "2024-02-01"]), "column 'a' holds dates or times, such as 2024-01-31"),
        (column(["31.01.2024", "1.2.2024"]), "column 'a' holds dates or times, such as 31.01.2024"),
        (column(["1/31/2024", "", "2/1/2024"]), "column 'a' holds dates or times, such as 1/31/2024"),
        (column(["2024-01-31 10:00:00", ""]), "column 'a' holds dates or times, such as 2024-01-31 10:00:00"),
        (column(["2024-01-31T10:00:00", ""]), "column 'a' holds dates or times, such as 2024-01-31"),
        (column(["10:30", "11:45"]), "column 'a' holds dates or times, such as 10:30"),
        (
            column(['"1,5"', '"2,5"']),
            "column 'a' has commas in its numbers, '1,5' in row 1; write points instead",
        ),
        (
            column([f"name {n}" for n in range(20)]),
            "no column is left to predict 'y' from: a have a different name",
        ),
        ("y\n1.5\n1.5\n2\n", "'t.csv' has no column beside the target: nothing to predict it from"),
        (column([1, 2, 3]), "3 rows are too few to hold some out for a score; add --validation-fraction 0"),
    ],
)
def test_columns_that_cannot_be_learned_from(
    content: str, sentence: str, backend: str, capsys: Captured, monkeypatch: Patch
) -> None:
    monkeypatch.setattr(reading, "BACKENDS", (backend,))
    assert train_on(capsys, content).startswith(sentence)


def test_advice_about_dates_names_the_option(capsys: Captured) -> None:
    content = "when it was,a,y\n" + "".join(f"2024-01-{n + 10},{n},{n % 2}\n" for n in range(20))
    sentence = train_on(capsys, content)
    assert sentence.endswith("or leave the column out: --drop 'when it was'")
    assert cli.main(["train", "t.csv", "--epochs", "2", "--target", "y", "--drop", "when it was"]) == 0


def test_names_that_are_not_there(capsys: Captured) -> None:
    Path("t.csv").write_text(GOOD, encoding="utf-8")
    assert (
        complaint(capsys, "train", "t.csv", "--target", "z")
        == "'t.csv' has no column 'z'; its columns are a, b, y"
    )
    assert complaint(capsys, "train", "t.csv", "--target", "Y").startswith(
        "'t.csv' has no column 'Y' (did you mean 'y'?)"
    )
    for option in ("--drop", "--categorical"):
        assert complaint(capsys, "train", "t.csv", "--target", "y", option, "c").startswith(
            "'t.csv' has no column 'c'"
        )
    assert complaint(capsys, "train", "t.csv", code=2) == (
        "--target is missing: the name of the column that is to be predicted; 't.csv' has a, b, y"
    )


# --- the target -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("backend", THERE)
@pytest.mark.parametrize(
    ("values", "words", "sentence"),
    [
        (["no"] * 20, [], "the target 'y' is 'no' in every row: nothing to be learned"),
        ([7] * 20, [], "the target 'y' is 7 in every row: nothing to be learned"),
        (
            [1, "", 2, "nan"],
            [],
            "the target 'y' is missing in 2 of 4 rows, first in row 2; leave these rows out",
        ),
        (
            ["no", "", "yes"],
            [],
            "the target 'y' is missing in 1 of 3 rows, first in row 2; leave these rows out",
        ),
        ([""] * 3, [], "the target 'y' is missing in all rows"),
        ([0.5, "inf", 2], [], "the target 'y' is infinite in row 2; give it a number, or leave it empty"),
        ([1.5, 2.5, "x", 3.5], [], "column 'y' holds numbers, but 'x' in row 3; mend it, or add"),
        (range(1, 21), [], "the target 'y' counts the rows, as an identifier does; name the column that"),
        ([f"id{n}" for n in range(20)], [], "the target 'y' is different in every row, as an identifier is:"),
        (
            [n / 3 for n in range(20)],
            ["--task", "classification"],
            "the target 'y' is different in every row",
        ),
        (
            ["a", "b"] * 9,
            ["--task", "regression"],
            "the target 'y' holds text, and --task regression predicts",
        ),
        (["2024-01-31", "2024-02-01"], [], "the target 'y' holds dates"),
    ],
)
def test_targets_that_cannot_be_learned(
    values: list[Any], words: list[str], sentence: str, backend: str, capsys: Captured, monkeypatch: Patch
) -> None:
    monkeypatch.setattr(reading, "BACKENDS", (backend,))
    assert train_on(capsys, target(list(values)), *words).startswith(sentence)


# --- models and new tables --------------------------------------------------------------------------------


def test_models_that_are_none(capsys: Captured) -> None:
    Path("t.csv").write_text(GOOD, encoding="utf-8")
    Path("text.safetensors").write_text("no model", encoding="utf-8")
    model = fastnn.Sequential([fastnn.Input((2,)), fastnn.layers.Dense(1)])
    model.save("net.safetensors")
    for command in (["predict"], ["evaluate", "--target", "y"]):
        assert complaint(capsys, *command, "absent", "t.csv") == "there is no file 'absent'"
        assert complaint(capsys, *command, "t.csv", "t.csv").startswith("'t.csv' cannot be loaded: ")
        assert complaint(capsys, *command, "text.safetensors", "t.csv").startswith(
            "'text.safetensors' cannot be loaded: it is no safetensors file"
        )
        assert complaint(capsys, *command, "net.safetensors", "t.csv").startswith(
            "'net.safetensors' holds a model without the names of columns; what is wanted is"
        )


def test_columns_that_new_tables_lack(capsys: Captured, models: Path) -> None:
    Path("t.csv").write_text("A,b\n1,2\n", encoding="utf-8")
    model = str(models / "y.safetensors")
    sentence = "'t.csv' has no column 'a' (did you mean 'A'?); its columns are A, b"
    assert complaint(capsys, "predict", model, "t.csv", "--out", "p.csv") == sentence
    Path("t.csv").write_text("a,a\n1,2\n", encoding="utf-8")
    assert complaint(capsys, "predict", model, "t.csv").startswith("column 'a' stands twice")
    Path("t.csv").write_text("a\n1\ninf\n", encoding="utf-8")
    assert complaint(capsys, "predict", model, "t.csv").startswith("column 'a' is infinite in row 2")
    Path("t.csv").write_text("a\n1\n2\nx\n", encoding="utf-8")
    assert complaint(capsys, "predict", model, "t.csv").startswith(
        "column 'a' holds numbers, but 'x' in row 3"
    )


def test_answers_that_a_model_cannot_give(capsys: Captured, models: Path) -> None:
    Path("t.csv").write_text("a,y,b\n1,yes,x\n2,maybe,z\n", encoding="utf-8")
    classes, numbers = str(models / "y.safetensors"), str(models / "b.safetensors")
    assert complaint(capsys, "evaluate", classes, "t.csv", "--target", "y") == (
        "the target 'y' is 'maybe' in row 2, a class that the model has not been trained on; it knows no, yes"
    )
    assert complaint(capsys, "evaluate", numbers, "t.csv", "--target", "b") == (
        "the target 'b' holds no numbers, and the model predicts numbers"
    )
    assert complaint(capsys, "evaluate", classes, "t.csv", "--target", "c").startswith(
        "'t.csv' has no column 'c'"
    )
    assert complaint(capsys, "predict", numbers, "t.csv", "--probabilities").startswith(
        "--probabilities is for"
    )


# --- places -----------------------------------------------------------------------------------------------


def test_places_are_looked_at_before_the_work(capsys: Captured, models: Path, monkeypatch: Patch) -> None:
    Path("t.csv").write_text(GOOD, encoding="utf-8")
    Path("folder").mkdir()
    model = str(models / "y.safetensors")
    for words in (["train", "t.csv", "--target", "y", "--save"], ["predict", model, "t.csv", "--out"]):
        option = words[-1]
        assert complaint(capsys, *words, "folder") == f"{option} folder is a folder; name a file in it"
        assert complaint(capsys, *words, "none/x") == (
            f"{option} none/x: there is no folder {os.path.abspath('none')!r}; make it first"
        )
        assert complaint(capsys, *words, "t.csv") == (
            f"{option} t.csv would replace what is read; choose another name"
        )
    assert complaint(capsys, "predict", model, "t.csv", "--out", model).endswith(
        "would replace what is read; choose another name"
    )
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert complaint(capsys, "predict", model, "t.csv", "--out", "p.csv") == "--out p.csv may not be written"


@pytest.mark.parametrize("at", ["fsync", "replace"])
def test_a_file_is_whole_or_not_there(at: str, capsys: Captured, models: Path, monkeypatch: Patch) -> None:
    Path("t.csv").write_text(GOOD, encoding="utf-8")
    Path("p.csv").write_text("before\n", encoding="utf-8")

    def fail(*_: Any) -> None:
        raise OSError(28, "No space left on device", "/a/temporary/name")

    monkeypatch.setattr(output.os, at, fail)
    model = str(models / "y.safetensors")
    assert complaint(capsys, "predict", model, "t.csv", "--out", "p.csv") == "No space left on device: p.csv"
    assert Path("p.csv").read_text(encoding="utf-8") == "before\n"


@pytest.mark.skipif(sys.platform == "win32", reason="modes of POSIX")
def test_files_are_as_open_as_others(capsys: Captured, models: Path) -> None:
    Path("t.csv").write_text(GOOD, encoding="utf-8")
    Path("kept.csv").write_text("x", encoding="utf-8")
    Path("kept.csv").chmod(0o640)
    for name in ("new.csv", "kept.csv"):
        assert cli.main(["predict", str(models / "y.safetensors"), "t.csv", "--out", name]) == 0
    assert Path("new.csv").stat().st_mode == Path("t.csv").stat().st_mode
    assert Path("kept.csv").stat().st_mode & 0o777 == 0o640


# --- usage ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (
            ["t.csv", "--target", "y", "--hidden", "5"],
            "argument --hidden: it is for the handwritten digits, and a",
        ),
        (
            ["t.csv", "--target", "y", "--no-compare"],
            "argument --no-compare: it is for the handwritten digits",
        ),
        (
            ["--target", "y"],
            "argument --target: it is for a table, and none is given: fastnn train table.csv",
        ),
        (["--missing", "?"], "argument --missing: it is for a table, and none is given"),
        (
            ["t.csv", "--target", "y", "--task", "both"],
            "argument --task: invalid choice: 'both' (choose from",
        ),
        (
            ["t.csv", "--target", "y", "--validation-fraction", "1"],
            "argument --validation-fraction: expected a",
        ),
        (
            ["t.csv", "--target", "y", "--validation-fraction", "nan"],
            "argument --validation-fraction: expected a",
        ),
        (
            ["t.csv", "--target", "y", "--separator", "ab"],
            "argument --separator: expected one character, or tab",
        ),
        (["t.csv", "u.csv", "--target", "y"], "unrecognized arguments: u.csv"),
    ],
)
def test_options_that_do_not_go_together(words: list[str], sentence: str, capsys: Captured) -> None:
    Path("t.csv").write_text(GOOD, encoding="utf-8")
    assert complaint(capsys, "train", *words, code=2).startswith(sentence)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["predict"], "the following arguments are required: MODEL"),
        (["predict", "m"], "the following arguments are required: TABLE"),
        (["evaluate", "m", "t.csv"], "the following arguments are required: --target"),
    ],
)
def test_what_is_required_is_named(words: list[str], sentence: str, capsys: Captured) -> None:
    assert complaint(capsys, *words, code=2) == sentence
