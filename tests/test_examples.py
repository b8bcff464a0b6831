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
SMALL = 200_000  # bytes of a picture
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


PICTURES = {
    "a01_activations": {"a01_activations.png"},
    "a03_xnor": {"a03_xnor.png"},
    "a04_what_no_line_separates": {"a04_islands.png", "a04_quadrants.png", "a04_ring.png"},
    "a06_random_wiring": {"a06_ba.png", "a06_er.png", "a06_ws.png"},
    "e03_admissions": {"e03_loss.png"},
    "e04_bike_sharing": {"e04_loss.png", "e04_predictions.png"},
}


@needs_examples
def test_the_scripts_that_draw_are_those_tested_here() -> None:
    assert {s.stem for s in SCRIPTS if "--pictures" in s.read_text(encoding="utf-8")} == set(PICTURES)


@needs_examples
@pytest.mark.parametrize("name", PICTURES)
def test_pictures_are_drawn_into_a_new_folder(name: str, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib, the extra 'plot', is not installed")
    if name == "a06_random_wiring":
        pytest.importorskip("networkx", reason="networkx, the extra 'graph', is not installed")
    run(FOLDER / f"{name}.py", "--quick", "--pictures", tmp_path / "new" / "one", folder=tmp_path)
    drawn = list((tmp_path / "new" / "one").iterdir())
    assert {path.name for path in drawn} == PICTURES[name]
    for path in drawn:
        assert path.read_bytes().startswith(b"\x89PNG")
        assert path.stat().st_size < SMALL


@needs_examples
def test_pictures_of_the_companion_page_are_small() -> None:
    pictures = list((FOLDER / "pictures").glob("*.png"))
    assert pictures
    assert {path.name for path in pictures if path.stat().st_size >= SMALL} == set()


@needs_examples
def test_a4_has_the_lectures_colours() -> None:
    """Blue is the first colour of a picture, that of class 0: x1 x2 < 0, the ring, the islands."""
    module = load("a04_what_no_line_separates")
    x, y = module.points("quadrants", 500, 1)
    np.testing.assert_array_equal(y == 0, x[:, 0] * x[:, 1] < 0)
    x, y = module.points("ring", 500, 1)
    radius = np.sqrt(np.square(x.astype(float)).sum(1))
    np.testing.assert_array_equal(y == 0, (radius >= 1) & (radius < 2))
    x, y = module.points("islands", 2000, 1)
    assert (y == 0).mean() == pytest.approx(1.92 * np.pi / 16, abs=0.05)


@needs_examples
def test_a4_the_polynomial_model_is_linear_in_x1_x2_and_their_products() -> None:
    module = load("a04_what_no_line_separates")
    model = module.polynomial(seed=0)
    assert sum(w.size for w in model.get_weights()[-2:]) == 6  # of x1, x2, x1^2, x1 x2, x2^2, and a bias
    x = np.random.default_rng(4).standard_normal((20, 2)).astype("float32")
    x1, x2 = x.T.astype(float)
    terms = np.stack([x1, x2, x1**2, x1 * x2, x2**2], axis=1)
    *chosen, kernel, bias = model.get_weights()
    expected = 1 / (1 + np.exp(-(terms @ kernel + bias)))
    np.testing.assert_allclose(model.predict(x), expected, rtol=1e-5)
    model.compile("sgd", "binary_crossentropy")
    model.fit(x, np.ones(20), epochs=1, verbose=0)  # the choice of columns is no weight to be trained
    for before, after in zip(chosen, model.get_weights(), strict=False):
        np.testing.assert_array_equal(before, after)
    assert not np.array_equal(kernel, model.get_weights()[-2])


@needs_examples
def test_a4_what_the_polynomial_model_can_do() -> None:
    module = load("a04_what_no_line_separates")
    found = {p: module.solve(p, module.polynomial(seed=0))[1] for p in ("quadrants", "ring", "islands")}
    assert found["quadrants"] >= 0.97  # x1 x2 is one of its terms
    assert found["ring"] < 0.8  # its boundary is one conic section: not two circles, not three islands
    assert found["islands"] < 0.8


@needs_examples
def test_a5_forward_passes_of_the_lecture() -> None:
    module = load("a05_layers")
    draw = np.random.default_rng(5)
    x = draw.standard_normal((6, 3))
    model = module.network((3, 4, 4, 1))
    assert model.count_params() == 41
    w1, b1, w2, b2, w3, b3 = model.get_weights()
    h2 = module.sigmoid(module.sigmoid(x @ w1 + b1) @ w2 + b2)
    np.testing.assert_allclose(model.predict(x), h2 @ w3 + b3, rtol=1e-12)  # the output is linear
    two, three = module.without_biases((3, 4, 2)), module.without_biases((3, 4, 4, 2))
    (w1, w2), (v1, v2, v3) = two.get_weights(), three.get_weights()
    np.testing.assert_allclose(two.predict(x), np.maximum(0, x @ w1) @ w2, rtol=1e-12)
    hidden = np.maximum(0, np.maximum(0, x @ v1) @ v2)
    np.testing.assert_allclose(three.predict(x), hidden @ v3, rtol=1e-12)
    neuron = module.Neuron(np.array([1.0, -2.0, 0.5]), 0.25)
    assert neuron.forward(np.array([2.0, 1.0, 3.0])) == pytest.approx(1 / (1 + np.exp(-1.75)), rel=1e-14)


@needs_examples
@pytest.mark.parametrize("parameters", [5_578, 18_305, 22_371])
def test_a6_a_chain_has_as_many_parameters_as_the_net_beside_it(parameters: int) -> None:
    chain = load("a06_random_wiring").chain(parameters)
    assert chain.count_params() == pytest.approx(parameters, rel=0.02)


@needs_examples
def test_a9_margins_and_dscores(tmp_path: Path) -> None:
    module = load("a09_multiclass_svm")
    margins, dscores = module.margins_and_dscores(module.SCORES, np.array([0, 1, 2]))
    np.testing.assert_allclose(margins, [[0, 2.9, 0], [0, 0, 0], [6.3, 6.6, 0]], atol=1e-14)
    np.testing.assert_array_equal(dscores, [[-1, 1, 0], [0, 0, 0], [1, 1, -2]])
    lines = run(FOLDER / "a09_multiclass_svm.py", "--quick", folder=tmp_path).splitlines()
    (frog,) = (line for line in lines if line.startswith("frog"))
    assert frog.split()[1:7] == ["6.3", "6.6", "0.0", "1", "1", "-2"]


@needs_examples
def test_a10_sizes_of_the_jacobians(tmp_path: Path) -> None:
    printed = run(FOLDER / "a10_matrix_backprop.py", "--quick", folder=tmp_path)
    for size in ("4096 x 4096", "409 600 x 409 600", "5.2e+10 numbers"):
        assert size in printed


@needs_examples
def test_a12_scores_without_labels_and_a_choice_on_validation_rows(tmp_path: Path) -> None:
    module = load("a12_assignment")
    x = np.random.default_rng(1).standard_normal((7, 4))
    net = module.TwoLayerNet(4, 10, 3, dtype="float64")
    w1, b1, w2, b2 = net.params.values()
    scores = net.loss(x)
    np.testing.assert_allclose(scores, np.maximum(0, x @ w1 + b1) @ w2 + b2, rtol=1e-11, atol=1e-14)
    np.testing.assert_array_equal(net.predict(x), scores.argmax(1))
    printed = run(FOLDER / "a12_assignment.py", "--quick", folder=tmp_path)
    assert printed.count("on validation rows") == 1
    assert "best" in printed


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


@needs_examples
def test_b4_a_gate_as_a_class_keeps_what_its_backward_needs() -> None:
    gate = load("b04_graph_object").MultiplyGate()
    assert gate.forward(3.0, -4.0) == -12
    assert gate.backward(2.0) == (-8, 6)


@needs_examples
def test_b4_its_plan_fits_a_page(tmp_path: Path) -> None:
    lines = run(FOLDER / "b04_graph_object.py", folder=tmp_path).splitlines()
    assert len(lines) <= 50
    assert max(map(len, lines)) <= 80
    plan = [line.split() for line in lines if "<-" in line]
    assert [line[1] for line in plan[:4]] == ["larger", "product", "total", "f"]
    assert ["product", "d(x)", "<-", "d(total),", "y"] in [line[1:-1] for line in plan]


@needs_examples
def test_c_the_derivative_of_a_x_is_the_transpose_of_a(tmp_path: Path) -> None:
    module = load("c01_logistic_regression")
    a = np.array([[1.0, 2, 3], [4, 5, 6]])
    found = module.derivative_of_ax(a, np.array([0.5, -1.0, 2.0]))
    np.testing.assert_array_equal(found, a.T)  # rows follow x, columns the outputs
    assert "A^T" in run(FOLDER / "c01_logistic_regression.py", "--quick", folder=tmp_path)


@needs_examples
def test_d1_a_sigmoid_is_the_softmax_of_two(tmp_path: Path) -> None:
    module = load("d01_linear_models")
    for a in (-30.0, -1.0, 0.0, 0.5, 2.0):
        both = module.softmax_of_two(a)
        np.testing.assert_allclose(both, [1 / (1 + np.exp(a)), 1 / (1 + np.exp(-a))], rtol=1e-14)
    printed = run(FOLDER / "d01_linear_models.py", "--quick", folder=tmp_path)
    assert "softmax" in printed
    assert "ReLU'(0)" in printed


@needs_examples
def test_d3_prints_no_time_of_another_machine() -> None:
    text = (FOLDER / "d03_mnist.py").read_text(encoding="utf-8")
    shown = text.partition("def main")[2]
    assert "45 s" not in shown
    assert "14 s" not in text
    page = (FOLDER / "README.md").read_text(encoding="utf-8")
    (row,) = (line for line in page.splitlines() if line.startswith("| D.3"))
    assert " s," not in row


@needs_examples
def test_e5_the_batch_gradients_written_out() -> None:
    module = load("e05_shapes")
    model = module.network((3, 4, 1), seed=3)
    assert [w.shape for w in model.get_weights()] == [(3, 4), (4,), (4, 1), (1,)]
    draw = np.random.default_rng(5)
    x, y = draw.standard_normal((7, 3)), draw.standard_normal((7, 1))
    loss, written_out = module.by_hand(model.get_weights(), x, y)
    assert loss == pytest.approx(np.sum((model.predict(x) - y) ** 2) / 14, rel=1e-12)
    found, gradients = model.loss_and_gradients(x, y)
    assert found == pytest.approx(loss, rel=1e-12)
    for ours, theirs, weight in zip(gradients.values(), written_out, model.get_weights(), strict=True):
        assert ours.shape == theirs.shape == weight.shape
        np.testing.assert_allclose(ours, theirs, rtol=1e-11, atol=1e-15)
    assert model.predict(x * 100).min() < 0  # no sigmoid at the output


@needs_examples
def test_the_companion_page_says_at_its_top_how_long_the_scripts_take() -> None:
    top = (FOLDER / "README.md").read_text(encoding="utf-8").partition("\n## ")[0]
    assert "two cores" in top
    for longer in ("A.12", "B.6", "D.1", "D.3", "E.3"):
        assert longer in top
