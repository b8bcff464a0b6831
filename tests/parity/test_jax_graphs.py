"""Random graphs in fastnn and in JAX, both in float64: outputs, losses and all gradients.

A wiring is drawn as a list of steps, from which the fastnn model and the JAX function are made
independently.  The same gradients are computed with and without fusion, and by fastnn's reference.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from cases import WHOLE
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from fastnn import Input, Model, layers, losses, optimizers, regularizers
from fastnn.compiler.memory import Layout
from fastnn.compiler.pipeline import compile_plan
from fastnn.compiler.plan import Slot
from fastnn.run.program import Program
from fastnn.run.reference import ReferenceProgram

EXAMPLES = 230 if WHOLE else 90
ROWS = 5
CLOSE = 1e-9  # of the largest entry
L2 = 0.01
ACTIVATIONS = ("linear", "sigmoid", "tanh", "relu", "softmax", "leaky_relu", "elu", "softplus")
BOUNDED = ("sigmoid", "tanh", "softmax")
MERGES = ("add", "subtract", "multiply", "average", "maximum", "minimum", "concatenate")
FUNCTIONS = ("exp", "log", "reciprocal", "scale", "negate", "shift", "square", "sum", "leaky", "elu")
KINDS = ("dense", "dense", "dense", "maxout", "again", *MERGES, *FUNCTIONS, "activation")
MOST_GROWTH = 4  # products of unbounded tensors that may follow upon each other

# A loss, what stands before it, and what its targets are.
OBJECTIVES: dict[str, tuple[losses.Loss, str, str]] = {
    "mse": (losses.MeanSquaredError(), "", "real"),
    "summed mse": (losses.MeanSquaredError(reduction="sum"), "", "real"),
    "half squares": (losses.SquaredError("half_sum"), "", "real"),
    "hinge": (losses.MulticlassHinge(0.5), "", "labels"),
    "scores": (losses.CategoricalCrossentropy(from_logits=True), "", "shares"),
    "labels of scores": (losses.SparseCategoricalCrossentropy(from_logits=True), "", "labels"),
    "binary scores": (losses.BinaryCrossentropy(from_logits=True), "", "chances"),
    "softmax": (losses.CategoricalCrossentropy(), "softmax", "shares"),
    "labels": (losses.SparseCategoricalCrossentropy(), "softmax", "labels"),
    "binary": (losses.BinaryCrossentropy(), "sigmoid", "chances"),
}


@dataclasses.dataclass(frozen=True)
class Step:
    """A layer applied to tensors, which are numbered: the inputs first, then what each step makes.

    `layer` is the number of the step that used this layer first.
    """

    kind: str
    sources: tuple[int, ...]
    columns: int
    layer: int
    activation: str = "linear"
    bias: bool = True
    penalized: bool = False
    pieces: int = 2
    number: float = 0.0


@dataclasses.dataclass(frozen=True)
class Wiring:
    inputs: tuple[int, ...]  # their widths
    steps: tuple[Step, ...]
    outputs: tuple[int, ...]
    objectives: tuple[str, ...]
    shares: tuple[float, ...]
    weighted: bool


@st.composite
def wirings(draw: Callable[[Any], Any]) -> Wiring:
    inputs = tuple(draw(st.lists(st.sampled_from([2, 3]), min_size=1, max_size=3)))
    widths, growth = list(inputs), [0] * len(inputs)
    steps: list[Step] = []

    def make(kind: str, sources: tuple[int, ...], columns: int, grown: int = 0, **options: Any) -> int:
        options.setdefault("layer", len(steps))
        steps.append(Step(kind, sources, columns, **options))
        widths.append(columns)
        growth.append(grown)
        return len(widths) - 1

    def tamed(source: int) -> int:
        """Return a tensor with values in (-1, 1)."""
        return make("activation", (source,), widths[source], activation="tanh")

    for _ in range(draw(st.integers(3, 12))):
        kind = draw(st.sampled_from(KINDS))
        # Mostly what was made last, so that graphs are deep as well as wide.
        source = len(widths) - 1 - draw(st.integers(0, min(len(widths) - 1, 5)))
        width, grown = widths[source], growth[source]
        if kind == "again":
            layered = [s for s in steps if s.kind in ("dense", "maxout") and widths[s.sources[0]] == width]
            if layered:
                first = draw(st.sampled_from(layered))
                reach = 0 if first.activation in BOUNDED else grown
                steps.append(dataclasses.replace(first, sources=(source,)))
                widths.append(first.columns)
                growth.append(reach)
                continue
            kind = "dense"
        if kind in ("dense", "maxout"):
            options = {"bias": draw(st.booleans()), "penalized": draw(st.booleans())}
            if kind == "dense":
                options["activation"] = draw(st.sampled_from(ACTIVATIONS))
            else:
                options["pieces"] = draw(st.integers(2, 3))
            reach = 0 if options.get("activation") in BOUNDED else grown
            make(kind, (source,), draw(st.sampled_from([2, 3])), reach, **options)
        elif kind in MERGES:
            alike = [i for i, w in enumerate(widths) if w == width]
            among = list(range(len(widths))) if kind == "concatenate" else alike
            most = {"subtract": 1, "concatenate": 6}.get(kind, 3)
            others = draw(st.lists(st.sampled_from(among), min_size=1, max_size=most))
            sources = [source, *others]
            if kind == "multiply" and sum(growth[i] + 1 for i in sources) > MOST_GROWTH:
                sources = [tamed(i) for i in sources]
            parts = [growth[i] for i in sources]
            total = sum(parts) + len(parts) - 1 if kind == "multiply" else max(parts)
            columns = sum(widths[i] for i in sources) if kind == "concatenate" else width
            joined = make(kind, tuple(sources), columns, total)
            if columns > 4 and kind == "concatenate":  # few different widths: JAX compiles for each shape
                make("dense", (joined,), 3, total)
        elif kind == "activation":
            activation = draw(st.sampled_from(ACTIVATIONS[1:]))
            make(kind, (source,), width, 0 if activation in BOUNDED else grown, activation=activation)
        elif kind == "square":
            make(kind, (source if 2 * grown < MOST_GROWTH else tamed(source),), width, 2 * grown + 1)
        elif kind == "exp":
            make(kind, (tamed(source),), width)
        elif kind in ("log", "reciprocal"):
            make(kind, (make("shift", (tamed(source),), width, number=1.5),), width)
        else:
            number = draw(st.sampled_from([-2.0, 0.5, 1.0])) if kind in ("scale", "shift") else 0.0
            make(kind, (source,), 1 if kind == "sum" else width, grown, number=number)

    # What nothing reads are the outputs, at most three; perhaps one more that something reads.
    read = {i for step in steps for i in step.sources}
    loose = [i for i in range(len(widths)) if i not in read]
    if len(loose) > 3:
        joined = make("concatenate", tuple(loose[2:]), sum(widths[i] for i in loose[2:]))
        loose = [*loose[:2], make("dense", (tamed(joined),), 3)]
    if draw(st.booleans()):
        inner = draw(st.integers(0, len(widths) - 1))
        loose += [inner] if inner not in loose else []
    outputs, objectives = [], []
    for source in loose:
        name = draw(st.sampled_from([*OBJECTIVES]))
        if widths[source] < 2:
            name = draw(st.sampled_from(["mse", "half squares", "binary", "binary scores"]))
        before = OBJECTIVES[name][1]
        if before:  # after scores of a size at which probabilities are not clipped
            scores = make("dense", (tamed(source),), widths[source], activation="linear")
            source = make("activation", (scores,), widths[source], activation=before)
            if draw(st.booleans()) and len(loose) < 4:  # an output that is read as well
                outputs.append(make("dense", (source,), 2))
                objectives.append("mse")
        elif name != "mse" and growth[source] > 1:
            source = make("dense", (tamed(source),), widths[source])
        outputs.append(source)
        objectives.append(name)
    shares = tuple(draw(st.sampled_from([1.0, 0.25, 3.0])) for _ in outputs)
    return Wiring(inputs, tuple(steps), tuple(outputs), tuple(objectives), shares, draw(st.booleans()))


# -- the wiring in fastnn


def layer_of(step: Step, number: int) -> layers.Layer:
    penalty = regularizers.L2(L2) if step.penalized else None
    initial: dict[str, Any] = {"use_bias": step.bias, "kernel_regularizer": penalty, "name": f"s{number}"}
    match step.kind:
        case "dense":
            return layers.Dense(step.columns, step.activation, **initial)
        case "maxout":
            return layers.Maxout(step.columns, step.pieces, **initial)
        case "activation":
            return layers.Activation(step.activation)
        case "scale":
            return layers.Scale(step.number)
        case "shift":
            return layers.Shift(step.number)
        case "leaky":
            return layers.LeakyReLU(0.1)
        case "elu":
            return layers.ELU(0.7)
    return getattr(layers, step.kind.capitalize())()


def model_of(wiring: Wiring) -> Model:
    tensors: list[Any] = [Input((width,), name=f"i{i}") for i, width in enumerate(wiring.inputs)]
    inputs, made = list(tensors), {}
    for number, step in enumerate(wiring.steps):
        if step.layer not in made:
            made[step.layer] = layer_of(step, step.layer)
        sources = [tensors[i] for i in step.sources]
        tensors.append(made[step.layer](sources if step.kind in MERGES else sources[0]))
        assert tensors[-1].columns == step.columns, number
    model = Model(inputs, [tensors[i] for i in wiring.outputs], dtype="float64", seed=0)
    draw = np.random.default_rng(len(wiring.steps))
    model.set_weights([draw.uniform(-0.8, 0.8, w.shape) for w in model.get_weights()])
    model.compile(
        optimizers.SGD(0.1), [OBJECTIVES[name][0] for name in wiring.objectives], loss_weights=wiring.shares
    )
    return model


def weights_of(model: Model) -> dict[str, np.ndarray]:
    return {
        p.name: w
        for node in model.graph.nodes
        for p, w in zip(node.parameters, model.get_layer(node.layer).get_weights(), strict=True)
    }


# -- the wiring in JAX


class Oracle:
    def __init__(self, jax: Any) -> None:
        self.jax, self.np = jax, jax.numpy

    def activate(self, name: str, z: Any) -> Any:
        jnp = self.np
        match name:
            case "sigmoid":
                return 1 / (1 + jnp.exp(-z))
            case "tanh":
                return jnp.tanh(z)
            case "relu":
                return jnp.where(z > 0, z, 0.0)
            case "softmax":
                return self.jax.nn.softmax(z, axis=1)
            case "leaky_relu":
                return jnp.where(z > 0, z, 0.2 * z)
            case "elu":
                return jnp.where(z > 0, z, jnp.expm1(jnp.minimum(z, 0.0)))
            case "softplus":
                return self.jax.nn.softplus(z)
        return z

    def apply(self, step: Step, xs: list[Any], weights: dict[str, Any]) -> Any:
        jnp, x = self.np, xs[0]
        if step.kind in ("dense", "maxout"):
            z = x @ weights[f"s{step.layer}/kernel"]
            if step.bias:
                z = z + weights[f"s{step.layer}/bias"]
            if step.kind == "maxout":
                return z.reshape(len(z), step.pieces, step.columns).max(1)
            return self.activate(step.activation, z)
        match step.kind:
            case "add":
                return sum(xs[1:], x)
            case "subtract":
                return x - xs[1]
            case "multiply":
                for other in xs[1:]:
                    x = x * other
                return x
            case "average":
                return sum(xs[1:], x) / len(xs)
            case "maximum" | "minimum":  # where equal, the first has the gradient
                for other in xs[1:]:
                    x = jnp.where(x >= other if step.kind == "maximum" else x <= other, x, other)
                return x
            case "concatenate":
                return jnp.concatenate(xs, axis=1)
            case "activation":
                return self.activate(step.activation, x)
            case "scale":
                return step.number * x
            case "shift":
                return x + step.number
            case "negate":
                return -x
            case "square":
                return x * x
            case "sum":
                return x.sum(1, keepdims=True)
            case "leaky":
                return jnp.where(x > 0, x, 0.1 * x)
            case "elu":
                return jnp.where(x > 0, x, 0.7 * jnp.expm1(jnp.minimum(x, 0.0)))
            case "reciprocal":
                return 1 / x
        return getattr(jnp, step.kind)(x)

    def outputs(self, wiring: Wiring, weights: dict[str, Any], inputs: list[Any]) -> list[Any]:
        tensors = list(inputs)
        for step in wiring.steps:
            tensors.append(self.apply(step, [tensors[i] for i in step.sources], weights))
        return [tensors[i] for i in wiring.outputs]

    def loss(self, name: str, y: Any, t: Any, weight: np.ndarray) -> Any:
        jnp = self.np
        loss, before, kind = OBJECTIVES[name]
        one_hot = np.eye(y.shape[1])[t] if kind == "labels" else t
        if kind == "real":
            row = ((y - t) ** 2).sum(1) * (0.5 if name == "half squares" else 1 / y.shape[1])
        elif name == "hinge":
            right = (y * one_hot).sum(1, keepdims=True)
            row = (jnp.maximum(y - right + 0.5, 0.0) * (1 - one_hot)).sum(1)
        elif kind == "chances":
            p = y if before else 1 / (1 + jnp.exp(-y))
            row = -(t * jnp.log(p) + (1 - t) * jnp.log(1 - p)).mean(1)
        else:
            logs = jnp.log(y / y.sum(1, keepdims=True)) if before else self.jax.nn.log_softmax(y, axis=1)
            row = -(one_hot * logs).sum(1)
        total = (weight * row).sum()
        return total / len(weight) if loss.mean else total


def targets_of(wiring: Wiring, widths: list[int], draw: np.random.Generator) -> list[np.ndarray]:
    found: list[np.ndarray] = []
    for name, width in zip(wiring.objectives, widths, strict=True):
        kind = OBJECTIVES[name][2]
        if kind == "labels":
            found.append(draw.integers(0, width, ROWS))
        elif kind == "shares":
            found.append(draw.dirichlet(np.ones(width), ROWS))
        elif kind == "chances":
            found.append(draw.random((ROWS, width)))
        else:
            found.append(draw.standard_normal((ROWS, width)))
    return found


@pytest.fixture(scope="module")
def oracle(peer: Callable[[str], Any]) -> Iterator[Oracle]:
    jax = peer("jax")
    with jax.enable_x64(True):
        yield Oracle(jax)


def assert_close(ours: dict[str, np.ndarray], theirs: dict[str, Any], what: str) -> None:
    assert set(ours) == set(theirs)
    exact = {name: np.asarray(array) for name, array in theirs.items()}
    largest = max((float(np.abs(array).max(initial=0.0)) for array in exact.values()), default=0.0)
    for name, array in exact.items():
        assert array.dtype == np.float64
        # What is a small difference of large gradients has their rounding errors.
        scale = max(float(np.abs(array).max(initial=0.0)), 1e-3 * largest, 1e-6)
        np.testing.assert_allclose(ours[name], array, rtol=0, atol=CLOSE * scale, err_msg=f"{what}: {name}")


def with_random_graphs(test: Callable[..., None]) -> Callable[..., None]:
    """Run a function with graphs, the same ones whichever function it is, as its argument `wiring`."""
    options = settings(
        max_examples=EXAMPLES,
        database=None,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    return seed(0)(options(given(wiring=wirings())(test)))


@pytest.mark.filterwarnings("ignore::fastnn.errors.TrainingWarning")  # combinations, whether sensible or not
@with_random_graphs
def test_random_graphs_agree_with_jax(oracle: Oracle, wiring: Wiring) -> None:
    jax = oracle.jax
    model, draw = model_of(wiring), np.random.default_rng(5)
    columns = [tensor.columns for tensor in model.outputs]
    inputs = [draw.uniform(-1.5, 1.5, (ROWS, width)) for width in wiring.inputs]
    targets = targets_of(wiring, columns, draw)
    upstream = [draw.standard_normal((ROWS, width)) for width in columns]
    weight = draw.random(ROWS) if wiring.weighted else None
    penalized = {f"s{step.layer}/kernel" for step in wiring.steps if step.penalized}
    weights = weights_of(model)

    def objective(outputs: list[Any]) -> Any:
        rows = np.ones(ROWS) if weight is None else weight
        parts = zip(wiring.objectives, outputs, targets, wiring.shares, strict=True)
        return sum(share * oracle.loss(name, y, t, rows) for name, y, t, share in parts)

    outputs, pull = jax.vjp(lambda w, x: oracle.outputs(wiring, w, x), weights, inputs)
    loss, slopes = jax.value_and_grad(objective)(outputs)
    expected = {name: np.array(g) for name, g in pull(slopes)[0].items()}
    for name in penalized:
        expected[name] += 2 * L2 * weights[name]
        loss += L2 * (weights[name] ** 2).sum()

    one_in, one_out = len(inputs) == 1, len(outputs) == 1
    x: Any = inputs[0] if one_in else inputs
    y: Any = targets[0] if one_out else targets
    found = model.forward(x)
    names = [f"y{i}" for i in range(len(outputs))]
    assert_close(dict(zip(names, [found] if one_out else found, strict=True)),
                 dict(zip(names, outputs, strict=True)), "outputs")  # fmt: skip
    ours, gradients = model.loss_and_gradients(x, y, weight)
    np.testing.assert_allclose(ours, float(loss), rtol=CLOSE)
    assert_close(gradients, expected, "gradients of the loss")

    back = model.backward(upstream[0] if one_out else upstream)
    by_weights, by_inputs = pull([jax.numpy.asarray(u) for u in upstream])
    from_jax = by_weights | {f"i{i}": g for i, g in enumerate(by_inputs)}
    assert_close(back, from_jax, "gradients of the outputs")
    through = model.input_gradients(x, upstream[0] if one_out else upstream)
    through = dict(zip((f"i{i}" for i in range(len(inputs))), [through] if one_in else through, strict=True))
    assert_close(through, {name: from_jax[name] for name in through}, "input gradients")

    for fused, kind in ((False, Program), (True, ReferenceProgram)):
        assert_close(flat_gradients(model, x, y, weight, fused, kind), expected, f"{kind.__name__} {fused}")

    model.train_on_batch(x, y, sample_weight=weight)  # by the ops that fuse gradient and update
    stepped = {name: (weights[name] - w) / 0.1 for name, w in weights_of(model).items()}
    assert_close(stepped, expected, "a step of SGD")


def flat_gradients(
    model: Model, x: Any, y: Any, weight: np.ndarray | None, fused: bool, kind: Any
) -> dict[str, np.ndarray]:
    """Return the loss's gradients by a plan that is, or is not, fused, and a kind of program."""
    from fastnn.model.batch import batch_of

    objective, store = model._now.need_objective(), model._now.store
    batch = batch_of(model._now, x, y, weight)
    plan = compile_plan(
        model.graph,
        "gradients",
        capacity=ROWS,
        losses=objective.losses,
        shares=objective.shares,
        weighted=weight is not None,
        fused=fused,
        layout=Layout({p: place.offset for p, place in model._now.places.items()}, store.array.size),
    )
    flat = np.zeros(max(plan.sizes[Slot.GRADIENTS], store.array.size))
    result = kind(plan, np.dtype(np.float64), store.array, flat).run(batch.arrays, ROWS, ROWS)
    assert result.finite
    return {p.name: model._now.places[p.name].view(flat).copy() for p in model.graph.parameters}


def test_the_graphs_are_of_every_kind() -> None:
    drawn: set[Wiring] = set()

    @with_random_graphs
    def draw(wiring: Wiring) -> None:
        drawn.add(wiring)

    draw()
    assert len(drawn) >= 0.85 * EXAMPLES
    steps = {step for wiring in drawn for step in wiring.steps}
    assert {step.kind for step in steps} == set(KINDS) - {"again"}
    assert {step.activation for step in steps if step.kind == "dense"} == set(ACTIVATIONS)
    assert {objective for wiring in drawn for objective in wiring.objectives} == set(OBJECTIVES)
    assert {len(wiring.outputs) for wiring in drawn} >= {1, 2, 3, 4}
    assert {len({step.layer for step in w.steps}) < len(w.steps) for w in drawn} == {False, True}
