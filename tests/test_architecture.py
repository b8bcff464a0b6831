"""The shape of the code: who imports whom, what `import fastnn` loads, what an op needs, what is public."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from types import ModuleType

import pytest
from imports import FILES, PACKAGE, circle, graph, imported, imports_of, reached, short, unknown

import fastnn
from fastnn import losses, metrics
from fastnn._core import executor, table
from fastnn.compiler import lowering, plan, tuning
from fastnn.compiler.plan import SIGNATURES, Activation, Axis, OpCode, Role, Slot
from fastnn.model import call_lengths
from fastnn.run import reference

# An installed wheel has no source of the kernels; whoever tests one may say where it is.
CORE = Path(os.environ.get("FASTNN_SOURCE", PACKAGE)) / "_core"
MISSING: set[str] = set()  # what needs a library that fastnn does not bring along
if importlib.util.find_spec("sklearn") is None:
    MISSING = {"MLPClassifier", "MLPRegressor", "TabularClassifier", "TabularRegressor", "load_estimator"}
PUBLIC = [name for name in fastnn.__all__ if name not in MISSING and inspect.ismodule(getattr(fastnn, name))]
# What is never made by the user, or only to be derived from.
WITHOUT_EXAMPLE = {"Constraint", "Initializer", "InputSpec", "Layer", "Loss", "Metric", "Model", "Optimizer"}
WITHOUT_EXAMPLE |= {"Regularizer"}


MODULES = sorted(FILES)
# Folders and single modules, from the ground up: none imports from a row below its own.
WINGS = (
    (
        "absent",
        "cache",
        "checks",
        "codes",
        "described",
        "errors",
        "html",
        "opcodes",
        "ops",
        "startup",
        "traits",
        "update_ops",
        "utils",
        "version",
    ),
    ("confusion", "constraints", "initializers", "losses", "metrics", "optimizers", "regularizers"),
    ("graph",),
    ("compiler",),
    ("border",),
    ("run",),
    ("activations", "kernels", "layers"),
    ("callbacks",),
    ("model",),
    ("datasets", "export", "plotting", "saving", "wiring"),
    ("estimators", "models"),
    ("fastnn",),
    ("benchmark",),
    ("__main__", "cli", "command_line"),
)
HEIGHTS = {part: height for height, wing in enumerate(WINGS) for part in wing}


def wing(module: str) -> str:
    """Return the folder right below the package, or the name of a module that is in none."""
    return short(module).partition(".")[0]


# Descriptions and the compiler: no arrays, no kernels, nothing that runs.
PURE = {module for module in MODULES if wing(module) in ("graph", "compiler")}
PURE |= {
    f"fastnn.{name}"
    for name in ("absent", "cache", "checks", "codes", "described", "errors", "opcodes", "ops", "traits")
}
PURE |= {
    f"fastnn.{name}"
    for name in ("constraints", "losses", "metrics", "optimizers", "regularizers", "model.call_lengths")
}


def test_the_whole_package_is_seen() -> None:
    assert set(MODULES) >= PURE
    assert {wing(module) for module in MODULES} == HEIGHTS.keys()
    folders = {f"fastnn.{path.parent.relative_to(PACKAGE).as_posix()}" for path in PACKAGE.rglob("*.py")}
    folders = {folder.replace("/", ".").rstrip(".") for folder in folders}
    assert {"fastnn", "fastnn._core", "fastnn.layers", "fastnn.benchmark.rivals"} <= folders
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8"))
    assert set(project["tool"]["setuptools"]["packages"]) == folders  # else a wheel lacks some


@pytest.mark.parametrize(
    "path",
    [*sorted(PACKAGE.rglob("*.py")), *sorted(CORE.glob("*.p[yx]*")), *sorted(CORE.glob("*.h"))],
    ids=lambda path: path.name,
)
def test_no_file_is_too_long_to_read(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 600


@pytest.mark.parametrize("path", sorted(CORE.glob("*.p[yx]*")), ids=lambda path: path.name)
def test_the_core_imports_nothing_from_above(path: Path) -> None:
    for line in path.read_text(encoding="utf-8").splitlines():
        match = re.match(r"\s*(?:from\s+(\S+)\s+c?import|c?import\s+(\S+))", line)
        if match is None:
            continue
        name = next(filter(None, match.groups()))
        assert name.startswith("fastnn._core") or not name.startswith((".", "fastnn")), line


@pytest.mark.parametrize(
    "source",
    [
        "import fastnn.wiring",
        "from fastnn import wiring",
        "from fastnn.wiring import Wiring",
        "def f():\n    from fastnn.wiring import Wiring",
        "class A:\n    async def f(self):\n        import fastnn.wiring",
        "if TYPE_CHECKING:\n    from fastnn.wiring import Wiring",
        "if a:\n    pass\nelse:\n    import fastnn.wiring",
        "x = [load('fastnn.wiring').Wiring]",
        "_guards.load('fastnn.wiring')",
        "importlib.import_module('fastnn.wiring')",
        "TABLE = ('wiring',)\nimportlib.import_module(f'fastnn.{name}')",
        "TABLE = ('wiring',)\nimportlib.import_module(f'{__name__}.{name}')",
    ],
)
def test_imports_are_found_wherever_they_stand(source: str) -> None:
    assert "fastnn.wiring" in imports_of("fastnn", source)


def test_which_modules_are_imported_can_be_read() -> None:
    """A contender's module is named in a job; `processes` names what it may be."""
    assert {module: unknown(module) for module in MODULES if unknown(module)} == {
        "fastnn.benchmark.child": ["job['module']"]
    }


@pytest.mark.parametrize("module", sorted(PURE), ids=short)
def test_descriptions_and_the_compiler_know_nothing_that_runs(module: str) -> None:
    names = imported(module)
    assert not any(name.split(".")[0] in ("numpy", "scipy") for name in names)
    below = {module} | reached(module, graph())
    cores = {name for other in below for name in imported(other) if name.startswith("fastnn._core")}
    assert cores == set()


def test_no_module_imports_itself_by_detours() -> None:
    assert " -> ".join(map(short, circle(graph()))) == ""


@pytest.mark.parametrize("module", MODULES, ids=short)
def test_no_module_imports_from_a_wing_above_its_own(module: str) -> None:
    height = HEIGHTS[wing(module)]
    assert [name for name in imported(module) & FILES.keys() if HEIGHTS[wing(name)] > height] == []


def test_only_the_program_and_the_border_talk_to_the_core() -> None:
    users = {
        module
        for module in MODULES
        for name in imported(module)
        # Claims and what changes all at once are for whoever has a state.
        if name.startswith("fastnn._core.") and not name.startswith("fastnn._core.guards")
    }
    assert users <= {
        "fastnn",
        "fastnn.run.encoding",
        "fastnn.run.program",
        "fastnn.border.data",
        "fastnn.model.streams",
        "fastnn.run.runtime",
        "fastnn.kernels",
    }
    assert "fastnn.kernels" not in imported("fastnn.run.reference")


SCRIPT = """
import sys, threading
import fastnn
heavy = {"torch", "matplotlib", "sklearn", "scipy", "tqdm", "threadpoolctl", "pandas", "onnx", "jax"}
heavy |= {"click", "rich", "narwhals", "polars", "pyarrow"}
assert "fastnn._core.executor" in sys.modules
print(sorted(heavy & set(sys.modules)), threading.active_count(), "fastnn.datasets" in sys.modules)
model = fastnn.Sequential([fastnn.Input((2,)), fastnn.layers.Dense(1)])
model([[1.0, 2.0]])  # the kernels are loaded now, with SciPy's BLAS
assert "scipy.linalg.cython_blas" in sys.modules
"""


def test_importing_fastnn_loads_nothing_heavy_and_starts_no_thread(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", SCRIPT],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.split("\n")[0] == "[] 1 False"


# What the headers of files name, and what of it can be imported.
MEANT = {
    "arrays": {"numpy"},
    "batches": {"fastnn.model.batch"},
    "data": {"fastnn.border.data"},
    "dtypes": {"numpy"},
    "epochs": {"fastnn.model.fit", "fastnn.model.call_lengths"},
    "files": {"pathlib", "fastnn.saving.container"},
    "kernels": {"fastnn.kernels", "fastnn._core"},
    "layers": {"fastnn.layers"},
    "losses": {"fastnn.losses"},
    "models": {"fastnn.model.model", "fastnn.model.sequential"},
    "optimizers": {"fastnn.optimizers"},
    "plans": {"fastnn.compiler.plan"},
    "programs": {"fastnn.run.program", "fastnn.model.programs"},
    "rules": {"fastnn.compiler.rules"},
    "the network": {"urllib"},
    "training": {"fastnn.model.fit"},
}


def unknown_to(source: str) -> list[str]:
    """Return what a file's header says that it must not know, where that is a word of `MEANT`."""
    head = re.split(r"^(?:from|import) ", source, maxsplit=1, flags=re.MULTILINE)[0]
    text = " ".join(head.replace("\n#", "\n").split())
    sentences = re.findall(r"must not know (.*?)(?:[.:;](?= |$)|$)", text)
    words = [word for sentence in sentences for word in re.split(r",? (?:or|nor) |, ", sentence)]
    return [word for word in words if word in MEANT]


def test_headers_are_read() -> None:
    source = "# It must not know arrays, files or\n# kernels beyond one, nor plans.\n\nimport models\n"
    assert unknown_to(source) == ["arrays", "files", "plans"]
    assert sum(bool(unknown_to(FILES[module].read_text(encoding="utf-8"))) for module in MODULES) > 40


@pytest.mark.parametrize("module", MODULES, ids=short)
def test_files_do_not_know_what_their_headers_say_they_must_not(module: str) -> None:
    for word in unknown_to(FILES[module].read_text(encoding="utf-8")):
        for name in imported(module):
            # Claims and what changes all at once are no kernels.
            known = {name.removeprefix("fastnn._core.guards")} - {""}
            parents = {".".join(name.split(".")[:n]) for n in range(1, 4) for name in known}
            assert MEANT[word].isdisjoint(parents), f"it says that it does not know {word}"


# -- an op is four things


@pytest.mark.parametrize("code", list(OpCode), ids=lambda code: code.name)
def test_every_opcode_has_a_signature_a_reference_and_a_kernel(code: OpCode) -> None:
    signature = SIGNATURES[code]
    function = reference.OPS[code]
    assert function.__name__ == f"_{code.name.lower()}"
    assert executor.OPCODES[code.name] == code
    assert {path for path, op in table.cells() if op == code} == signature.paths
    # Every operand has a direction, every alias joins an output and an input.
    assert len(signature.names) == len(signature.roles) == len(set(signature.names))
    assert all(role & Role.INOUT for role in signature.roles)
    roles = dict(zip(signature.names, signature.roles, strict=True))
    for output, source in signature.aliases:
        assert roles[output] & Role.OUT
        assert roles[source] & Role.IN
        assert not roles[source] & Role.WHOLE


def test_no_op_is_left_over_anywhere() -> None:
    assert set(SIGNATURES) == set(reference.OPS) == set(OpCode)
    assert set(executor.OPCODES) == set(OpCode.__members__)
    assert set(lowering.BACKWARD) < set(OpCode)
    # An op that makes a tensor of the forward pass from another has a backward rule.
    forward = {OpCode.DENSE, OpCode.ADD_BIAS, OpCode.ACTIVATION, OpCode.ADD, OpCode.MULTIPLY, OpCode.MAXIMUM}
    forward |= {
        OpCode.DROPOUT,
        OpCode.GAUSSIAN_NOISE,
        OpCode.NORMALIZE,
        OpCode.ROW_NORMALIZE,
        OpCode.STANDARDIZE,
        OpCode.PRELU,
        OpCode.SCALE_FEATURES,
        OpCode.GAUSSIAN_DROPOUT,
        OpCode.ALPHA_DROPOUT,
        OpCode.GATED_ADD,
        OpCode.CONCATENATE,
        OpCode.AFFINE,
        OpCode.ROW_SUM,
        OpCode.MAXOUT,
        OpCode.EMBEDDING,
    }
    assert set(lowering.BACKWARD) == forward


def constant(name: str, file: str) -> int:
    """Return a number that a file of the core defines."""
    text = (CORE / file).read_text(encoding="utf-8")
    match = re.search(rf"^(?:\s*{name} =|#define {name}) (\d+)", text, re.MULTILINE)
    assert match is not None, f"{name} is not in {file}"
    return int(match[1])


@pytest.mark.skipif(
    not (CORE / "executor.pyx").exists(), reason="the core's source is not part of an installed wheel"
)
def test_numbers_that_stand_in_both_languages_agree() -> None:
    assert executor.ACTIVATIONS == {a.name: int(a) for a in Activation}
    assert max(len(s.names) for s in SIGNATURES.values()) <= constant("MAX_OPERANDS", "types.pxd")
    assert max(len(s.constants) for s in SIGNATURES.values()) <= constant("MAX_CONSTANTS", "types.pxd")
    assert constant("LOCAL_SLOT", "run.pxd") == Slot.LOCAL
    assert constant("SNAPSHOT_STEPS", "tuning.pxd") == call_lengths.SNAPSHOT_STEPS
    assert constant("BLAS_THREADS_FROM", "tuning.pxd") == tuning.BLAS_THREADS_FROM
    assert constant("MAX_SLOTS", "run.pxd") == Slot.EXTERNAL + plan.MOST_EXTERNALS
    assert {s.axis for s in SIGNATURES.values()} == set(Axis)
    assert {axis.name: int(axis) for axis in Axis} == executor.AXES
    assert {path.name: int(path) for path in plan.Path} == executor.PATHS
    assert constant("N_PATHS", "types.pxd") == len(plan.Path)
    for name, of_c, number in (
        ("MOST_OUTPUTS", "FASTNN_FEW", plan.MOST_OUTPUTS),
        ("MOST_INPUTS", "FASTNN_LONG", plan.MOST_INPUTS),
    ):
        assert constant(name, "types.pxd") == constant(of_c, "reals.h") == number
    assert constant("MAX_OPCODES", "types.pxd") >= len(OpCode)


@pytest.mark.skipif(not (CORE / "avx512.h").exists(), reason="the core's source is not part of a wheel")
def test_names_of_functions_in_c_are_of_one_file() -> None:
    """A module may see all files: which ones, depends on the flags that it is compiled with."""
    defined: dict[str, set[str]] = {}
    definition = re.compile(
        r"^[ \t]*(?:static|FASTNN_INLINE|FASTNN_ALWAYS)\b[^;=(]*?(\bfastnn_\w+|\bOF\(\w+\))\(", re.MULTILINE
    )
    for path in sorted(CORE.glob("*.p[yx]*")) + sorted(CORE.glob("*.h")):
        for name in definition.findall(path.read_text(encoding="utf-8")):
            defined.setdefault(name, set()).add(path.name)
    assert {"fastnn_tanh", "fastnn_now", "fastnn_add_to", "OF(few_forward)", "OF(load)"} <= defined.keys()
    assert {name: files for name, files in defined.items() if len(files) > 1} == {}


def test_enums_number_their_members_without_gaps() -> None:
    for enum in (OpCode, Activation, Slot, Axis, plan.Path):
        assert [int(member) for member in enum] == list(range(len(enum)))
    assert plan.ROWS < 0


# -- what is public


def test_models_can_be_imported_from_where_they_are() -> None:
    package = importlib.import_module("fastnn.model")
    assert (package.Model, package.Sequential) == (fastnn.Model, fastnn.Sequential)


def public_names() -> list[tuple[str, str]]:
    pairs = [(module, name) for module in PUBLIC for name in getattr(fastnn, module).__all__]
    names = set(fastnn.__all__) - {*PUBLIC, *MISSING}
    top = [("", name) for name in sorted(names) if not name.startswith("__")]
    return top + [(m, n) for m, n in pairs if not inspect.ismodule(getattr(getattr(fastnn, m), n))]


@pytest.mark.parametrize("module", ["", *PUBLIC])
def test_public_modules_say_what_is_public(module: str) -> None:
    loaded: ModuleType = importlib.import_module(f"fastnn.{module}".rstrip("."))
    assert loaded.__doc__
    assert len(loaded.__all__) == len(set(loaded.__all__))
    for name in loaded.__all__:
        assert name in MISSING or getattr(loaded, name) is not None
    assert fastnn.__version__


@pytest.mark.parametrize("module", ["", *PUBLIC])
def test_dir_shows_what_is_public_and_nothing_else(module: str) -> None:
    loaded: ModuleType = importlib.import_module(f"fastnn.{module}".rstrip("."))
    assert dir(loaded) == sorted(loaded.__all__)


def test_dir_shows_what_is_loaded_on_first_use() -> None:
    assert {"datasets", "plotting", "gradcheck"} <= set(dir(fastnn))


@pytest.mark.parametrize(("module", "name"), public_names())
def test_public_names_are_documented_with_an_example(module: str, name: str) -> None:
    thing = getattr(getattr(fastnn, module) if module else fastnn, name)
    text = inspect.getdoc(thing) or ""
    text = re.sub(rf"\A{name}\(.*\)\n+", "", text)  # Cython puts the signature first
    assert text.split("\n")[0].endswith(".")
    if callable(thing) and not isinstance(thing, type):
        for parameter in inspect.signature(thing).parameters:
            assert re.search(rf"\b{parameter}\b", text), f"{parameter} is not explained"
    if isinstance(thing, type) and (issubclass(thing, Exception) or name in WITHOUT_EXAMPLE):
        return
    assert "Examples\n--------\n" in text
    assert ">>> " in text


def test_the_package_tells_its_users_what_there_is() -> None:
    text = fastnn.__doc__ or ""
    for name in fastnn.__all__:
        assert f"`{name}`" in text or name == "__version__", name
    assert ">>> " in text
    sources = [path.read_text(encoding="utf-8") for path in PACKAGE.rglob("*.py")]
    sources += [path.read_text(encoding="utf-8") for path in CORE.glob("*.pyx")]
    read = {name for source in sources for name in re.findall(r"FASTNN_[A-Z_]+", source.replace(text, ""))}
    assert set(re.findall(r"``(FASTNN_[A-Z_]+)``", text)) == read


@pytest.mark.parametrize("name", PUBLIC)
def test_what_files_must_not_know_is_nothing_for_users(name: str) -> None:
    """It stands in a comment: `help` shows the docstring."""
    assert "must not" not in getattr(fastnn, name).__doc__


def test_names_in_docstrings_exist() -> None:
    """Names of losses and metrics in examples and explanations are those that can be used."""
    known = {*losses._BY_NAME, *metrics._BY_NAME, "accuracy", "acc", "loss"}
    for module, name in public_names():
        thing = getattr(getattr(fastnn, module) if module else fastnn, name)
        for found in re.findall(r'\["loss", "(\w+)"\]', inspect.getdoc(thing) or ""):
            assert found in known, f"{name} speaks of {found!r}"


def test_unknown_names_are_refused() -> None:
    with pytest.raises(AttributeError, match=r"module 'fastnn' has no attribute 'sequel'$"):
        _ = fastnn.sequel


@pytest.mark.parametrize("name", ["docs/architecture.md", "CONTRIBUTING.md", "fastnn/_core/README.md"])
def test_files_that_texts_name_exist(name: str) -> None:
    root = Path(__file__).resolve().parents[1]
    source = PACKAGE.parent if name.startswith("fastnn") else root  # an installed package is elsewhere
    text = (source / name).read_text(encoding="utf-8")
    names = set(re.findall(r"`((?:fastnn/)?[\w/]+\.py)`", text)) - {"setup.py"}
    assert len(names) > 1
    for found in names:
        parts = (root / found, PACKAGE.parent / found, PACKAGE / found)
        assert any(path.exists() for path in parts), f"{found} is not there"


def test_nothing_says_to_install_fastnn_from_an_index() -> None:
    """The distribution is on none, so neither its name nor its extras can be installed by name."""
    root = Path(__file__).resolve().parents[1]
    folders = (PACKAGE, root / "benchmarks", root / "examples")
    found = (path for folder in folders for path in folder.rglob("*"))
    files = [path for path in found if path.suffix in (".py", ".pyx", ".md")]
    assert len(files) > len(MODULES)
    for path in files:
        text = " ".join(path.read_text(encoding="utf-8").split())
        named = re.search(r"pip install[^`]*?[\"' ](fastnn|fastnn-cpu)\b|fastnn(-cpu)?\[|the extra ", text)
        assert named is None, f"{path.name}: {named}"
