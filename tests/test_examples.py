"""The scripts in `examples/` run to their end on small settings, without a warning, and print something."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

FOLDER = Path(__file__).resolve().parents[1] / "examples"
SCRIPTS = sorted(FOLDER.glob("*.py"))
needs_examples = pytest.mark.skipif(not SCRIPTS, reason="the folder examples/ is not beside the tests")


def run(script: Path, *arguments: object, folder: Path) -> str:
    """Run a script as a reader does, warnings being errors, and return what it prints."""
    done = subprocess.run(
        [sys.executable, "-W", "error", str(script), *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=300,
        cwd=folder,  # where nothing of a checkout can be picked up, and stray files do no harm
        env=os.environ | {"MPLBACKEND": "agg"},
    )
    assert done.returncode == 0, done.stderr
    assert not done.stderr, done.stderr
    return done.stdout


def load(name: str) -> ModuleType:
    """Import a script as a module, which must not run it."""
    spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@needs_examples
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_examples_run(script: Path, tmp_path: Path) -> None:
    if script.stem == "a06_random_wiring":
        pytest.importorskip("networkx", reason="networkx, the extra 'graph', is not installed")
    assert run(script, "--quick", folder=tmp_path).strip()
    assert not list(tmp_path.iterdir())  # nothing is written unasked


@needs_examples
def test_readme_names_every_script_and_no_other_file() -> None:
    text = (FOLDER / "README.md").read_text(encoding="utf-8")
    for script in SCRIPTS:
        assert f"({script.name})" in text
    for part in text.split("](")[1:]:
        target = part.partition(")")[0]
        assert target.startswith(("http", "#")) or (FOLDER / target).exists(), target


@needs_examples
def test_a4_draws_a_picture_of_each_problem(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib, the extra [plot], is not installed")
    script = FOLDER / "a04_what_no_line_separates.py"
    run(script, "--quick", "--pictures", tmp_path / "new", folder=tmp_path)
    drawn = sorted((tmp_path / "new").iterdir())
    assert [path.name for path in drawn] == ["a04_islands.png", "a04_quadrants.png", "a04_ring.png"]
    for path in drawn:
        assert path.read_bytes().startswith(b"\x89PNG")
        assert path.stat().st_size < 150_000


@needs_examples
@pytest.mark.parametrize("reg", [0.0, 0.05])
def test_a12_the_assignments_class(reg: float) -> None:
    """Loss and gradients of `TwoLayerNet` by formulas; its penalty is the sum of squares, without 0.5."""
    module = load("a12_assignment")
    draw = np.random.default_rng(12)
    x, labels = draw.standard_normal((5, 4)), np.array([0, 1, 2, 2, 1])
    net = module.TwoLayerNet(4, 10, 3, dtype="float64")
    for value in net.params.values():
        value[...] = draw.normal(0, 0.5, value.shape)
    w1, b1, w2, b2 = (net.params[name] for name in ("W1", "b1", "W2", "b2"))
    hidden = np.maximum(0, x @ w1 + b1)
    scores = hidden @ w2 + b2
    p = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
    d2 = (p - np.eye(3)[labels]) / 5
    d1 = d2 @ w2.T * (hidden > 0)
    expected = {
        "W1": x.T @ d1 + 2 * reg * w1,
        "b1": d1.sum(0),
        "W2": hidden.T @ d2 + 2 * reg * w2,
        "b2": d2.sum(0),
    }
    loss, grads = net.loss(x, labels, reg)
    data_loss = -np.log(p[np.arange(5), labels]).mean()
    assert loss == pytest.approx(data_loss + reg * ((w1**2).sum() + (w2**2).sum()), rel=1e-12)
    assert list(grads) == list(expected)
    for name, gradient in grads.items():
        np.testing.assert_allclose(gradient, expected[name], rtol=1e-11, atol=1e-15)
        numeric = module.numeric_gradient(net, name, x, labels, reg)
        np.testing.assert_allclose(gradient, numeric, rtol=1e-6, atol=1e-9)
    np.testing.assert_array_equal(net.predict(x), scores.argmax(1))

    kept = {name: value.copy() for name, value in net.params.items()}
    losses = net.train(x, labels, learning_rate=0.2, reg=reg / 50, num_iters=500, batch_size=5)
    assert len(losses) == 500
    assert losses[-1] < 0.2 * losses[0]
    assert all(np.abs(net.params[name] - kept[name]).max() > 0.01 for name in kept)
    np.testing.assert_array_equal(net.predict(x), labels)
