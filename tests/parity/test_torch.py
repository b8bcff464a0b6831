"""The same nets in fastnn and in PyTorch, both in float64: gradients, and ten steps of every optimizer.

PyTorch's optimizers differ from Keras's where epsilon stands; what fastnn promises is Keras's form, so
Adam's epsilon is rescaled at every step, and RMSprop is written out on PyTorch's gradients.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from cases import ACTIVATIONS

import fastnn
from fastnn import layers, losses, optimizers, regularizers

CLOSE = {"rtol": 1e-10, "atol": 1e-13}
ROWS, STEPS = 8, 10
RNG = np.random.default_rng(41)
X = RNG.standard_normal((STEPS * ROWS, 4))
LABELS = RNG.integers(0, 3, len(X))
SOFT = RNG.dirichlet(np.ones(3), len(X))
MANY = (RNG.random((len(X), 3)) > 0.5).astype(float)
WEIGHTS = RNG.random(len(X)) * 2
L2 = 0.02

TARGETS: dict[str, Any] = {"mse": SOFT, "ce": SOFT, "sparse ce": LABELS, "bce": MANY}
LOSSES: dict[str, Callable[..., Any]] = {
    "mse": losses.MeanSquaredError,
    "ce": losses.CategoricalCrossentropy,
    "sparse ce": losses.SparseCategoricalCrossentropy,
    "bce": losses.BinaryCrossentropy,
}
# (output activation, loss, from_logits): each loss after its own activation, after another one, on scores.
OUTPUTS = [
    *((activation, "mse", False) for activation in ACTIVATIONS),
    ("softmax", "ce", False),
    ("sigmoid", "ce", False),
    ("linear", "ce", True),
    ("tanh", "ce", True),
    ("softmax", "sparse ce", False),
    ("sigmoid", "sparse ce", False),
    ("linear", "sparse ce", True),
    ("sigmoid", "bce", False),
    ("softmax", "bce", False),
    ("linear", "bce", True),
    ("relu", "bce", True),
]


@pytest.fixture(scope="module")
def torch(peer: Callable[[str], Any]) -> Any:
    return peer("torch")


class Twin:
    """A net of 4-6-3 in PyTorch, with the same start as `model`."""

    def __init__(self, torch: Any, model: fastnn.Model, hidden: str, output: str, loss: str, logits: bool):
        self.torch, self.activations, self.loss, self.logits = torch, (hidden, output), loss, logits
        self.parameters = [torch.tensor(w, requires_grad=True) for w in model.get_weights()]

    def activate(self, name: str, z: Any) -> Any:
        torch = self.torch
        functions = {
            "linear": lambda z: z,
            "sigmoid": torch.sigmoid,
            "tanh": torch.tanh,
            "relu": torch.relu,
            "leaky_relu": lambda z: torch.nn.functional.leaky_relu(z, 0.2),
            "elu": torch.nn.functional.elu,
            "softplus": torch.nn.functional.softplus,
            "softsign": torch.nn.functional.softsign,
            "softmax": lambda z: torch.softmax(z, 1),
        }
        return functions[name](z)

    def forward(self, x: Any) -> Any:
        w1, b1, w2, b2 = self.parameters
        return self.activate(self.activations[1], self.activate(self.activations[0], x @ w1 + b1) @ w2 + b2)

    def objective(self, x: np.ndarray, t: np.ndarray, weights: np.ndarray | None, l2: float) -> Any:
        torch, functional = self.torch, self.torch.nn.functional
        y, t = self.forward(torch.tensor(x)), torch.tensor(t)
        if self.loss == "mse":
            rows = ((y - t) ** 2).mean(1)
        elif self.loss == "bce":
            form = (
                functional.binary_cross_entropy_with_logits
                if self.logits
                else functional.binary_cross_entropy
            )
            rows = form(y, t, reduction="none").mean(1)
        else:
            logs = torch.log_softmax(y, 1) if self.logits else torch.log(y / y.sum(1, keepdim=True))
            one_hot = functional.one_hot(t, 3) if self.loss == "sparse ce" else t
            rows = -(one_hot * logs).sum(1)
        if weights is not None:
            rows = rows * torch.tensor(weights)
        return rows.mean() + l2 * sum((w**2).sum() for w in self.parameters[::2])

    def gradients(
        self, x: np.ndarray, t: np.ndarray, weights: np.ndarray | None, l2: float
    ) -> tuple[Any, Any]:
        loss = self.objective(x, t, weights, l2)
        return loss.item(), self.torch.autograd.grad(loss, self.parameters)


def network(
    hidden: str, output: str, loss: str, logits: bool, l2: float, optimizer: Any
) -> fastnn.Sequential:
    penalty = regularizers.L2(l2) if l2 else None
    model = fastnn.Sequential(
        [
            fastnn.Input((4,)),
            layers.Dense(6, hidden, bias_initializer="random_normal", kernel_regularizer=penalty),
            layers.Dense(3, output, bias_initializer="random_normal", kernel_regularizer=penalty),
        ],
        dtype="float64",
        seed=8,
    )
    model.compile(optimizer, LOSSES[loss](**({"from_logits": True} if logits else {})))
    return model


@pytest.mark.filterwarnings("ignore::fastnn.errors.TrainingWarning")  # combinations, whether sensible or not
@pytest.mark.parametrize(("output", "loss", "logits"), OUTPUTS)
@pytest.mark.parametrize("hidden", ACTIVATIONS)
def test_outputs_losses_and_gradients(torch: Any, hidden: str, output: str, loss: str, logits: bool) -> None:
    for l2, weights in ((0.0, None), (L2, WEIGHTS)):
        model = network(hidden, output, loss, logits, l2, "sgd")
        twin = Twin(torch, model, hidden, output, loss, logits)
        np.testing.assert_allclose(model.predict(X), twin.forward(torch.tensor(X)).detach().numpy(), **CLOSE)
        value, gradients = model.loss_and_gradients(X, TARGETS[loss], weights)
        expected, expected_gradients = twin.gradients(X, TARGETS[loss], weights, l2)
        assert value == pytest.approx(expected, rel=1e-10)
        for found, gradient in zip(gradients.values(), expected_gradients, strict=True):
            np.testing.assert_allclose(found, gradient.numpy(), **CLOSE)
            assert np.abs(found).max() > 1e-6


@pytest.mark.parametrize("hidden", ACTIVATIONS)
def test_input_gradients(torch: Any, hidden: str) -> None:
    model = network(hidden, "linear", "mse", False, 0.0, "sgd")
    twin = Twin(torch, model, hidden, "linear", "mse", False)
    x = torch.tensor(X, requires_grad=True)
    (expected,) = torch.autograd.grad(twin.forward(x), x, grad_outputs=torch.tensor(SOFT))
    np.testing.assert_allclose(model.input_gradients(X, SOFT), expected.numpy(), **CLOSE)


# --- ten steps -------------------------------------------------------------------------------------------


class Adam:
    """PyTorch's Adam with Keras's epsilon, which stands outside the bias correction."""

    def __init__(self, torch: Any, parameters: list[Any], rule: optimizers.Adam) -> None:
        self.rule, self.step_number = rule, 0
        self.inner = torch.optim.Adam(parameters, rule.learning_rate, (rule.beta_1, rule.beta_2))

    def step(self) -> None:
        self.step_number += 1
        correction = math.sqrt(1 - self.rule.beta_2**self.step_number)
        self.inner.param_groups[0]["eps"] = self.rule.epsilon / correction
        self.inner.step()


class RMSprop:
    """Keras's RMSprop, ``g / sqrt(v + epsilon)``; PyTorch's is ``g / (sqrt(v) + epsilon)``."""

    def __init__(self, torch: Any, parameters: list[Any], rule: optimizers.RMSprop) -> None:
        self.torch, self.parameters, self.rule = torch, parameters, rule
        self.squares = [torch.zeros_like(p) for p in parameters]

    def step(self) -> None:
        with self.torch.no_grad():
            for p, v in zip(self.parameters, self.squares, strict=True):
                v.mul_(self.rule.rho).add_((1 - self.rule.rho) * p.grad**2)
                p.sub_(self.rule.learning_rate * p.grad / self.torch.sqrt(v + self.rule.epsilon))


def sgd(torch: Any, parameters: list[Any], rule: optimizers.SGD) -> Any:
    return torch.optim.SGD(parameters, rule.learning_rate, momentum=rule.momentum, nesterov=rule.nesterov)


RULES: dict[str, tuple[optimizers.Optimizer, Callable[..., Any]]] = {
    "SGD": (optimizers.SGD(0.2), sgd),
    "momentum": (optimizers.SGD(0.1, momentum=0.9), sgd),
    "Nesterov": (optimizers.SGD(0.1, momentum=0.9, nesterov=True), sgd),
    "Adam": (optimizers.Adam(0.01), Adam),
    "Adam, large epsilon": (optimizers.Adam(0.05, 0.8, 0.95, 1e-2), Adam),
    "RMSprop": (optimizers.RMSprop(0.01), RMSprop),
    "RMSprop, large epsilon": (optimizers.RMSprop(0.01, 0.8, epsilon=1e-3), RMSprop),
}


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("hidden", ACTIVATIONS)
@pytest.mark.parametrize(
    ("output", "loss", "logits"),
    [
        ("linear", "mse", False),
        ("softmax", "ce", False),
        ("linear", "sparse ce", True),
        ("sigmoid", "bce", False),
    ],
)
def test_ten_steps(torch: Any, output: str, loss: str, logits: bool, hidden: str, rule: str) -> None:
    description, make = RULES[rule]
    t = TARGETS[loss]
    fitted = network(hidden, output, loss, logits, L2, description)
    stepped = network(hidden, output, loss, logits, L2, description)
    start = fitted.get_weights()
    twin = Twin(torch, fitted, hidden, output, loss, logits)
    optimizer = make(torch, twin.parameters, description)
    epoch = 0.0
    for step in range(STEPS):
        rows = slice(step * ROWS, (step + 1) * ROWS)
        expected, gradients = twin.gradients(X[rows], t[rows], WEIGHTS[rows], L2)
        assert stepped.train_on_batch(X[rows], t[rows], WEIGHTS[rows]) == pytest.approx(expected, rel=1e-10)
        for p, gradient in zip(twin.parameters, gradients, strict=True):
            p.grad = gradient
        optimizer.step()
        epoch += expected / STEPS
        for found, p in zip(stepped.get_weights(), twin.parameters, strict=True):
            np.testing.assert_allclose(found, p.detach().numpy(), err_msg=f"step {step}", **CLOSE)
    history = fitted.fit(X, t, batch_size=ROWS, shuffle=False, sample_weight=WEIGHTS, verbose=0)
    assert history.history["loss"] == pytest.approx([epoch], rel=1e-10)
    for found, p, before in zip(fitted.get_weights(), twin.parameters, start, strict=True):
        np.testing.assert_allclose(found, p.detach().numpy(), **CLOSE)
        assert np.abs(found - before).max() > 1e-3


# --- the helper that finds peers ---------------------------------------------------------------------------


def test_a_missing_peer_skips_or_fails(peer: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FASTNN_PEERS_REQUIRED", raising=False)
    with pytest.raises(pytest.skip.Exception, match=r"no_such_peer cannot be imported"):
        peer("no_such_peer")
    monkeypatch.setenv("FASTNN_PEERS_REQUIRED", "1")
    with pytest.raises(pytest.fail.Exception, match=r"no_such_peer cannot.*FASTNN_PEERS_REQUIRED is set"):
        peer("no_such_peer")
