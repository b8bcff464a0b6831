"""Muon: steps of matrices made orthogonal, and Adam for all that is no matrix.

Which parameter has which of the two rules follows from its axes and its name.
"""
# This file must not know layers or kernels.

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from fastnn.checks import check_count, check_flag, check_number
from fastnn.opcodes import OpCode
from fastnn.optimizers._base import Optimizer, Update, patterns, with_advice
from fastnn.optimizers._rules import bias_corrections
from fastnn.optimizers.schedules import LearningRateSchedule

__all__ = ["Muon"]

_UNBOUNDED = float("inf")


@with_advice
@dataclass(frozen=True, repr=False)
class Muon(Optimizer):
    """Muon (Jordan et al. 2024; Liu et al. 2025) in Keras's form: momentum, its singular values made equal.

    For a matrix, as a kernel is, ``m <- momentum * m + g``, and ``x = g + momentum * m`` with Nesterov, else
    ``m``, over its Frobenius norm.  Then, `ns_steps` times,
    ``x <- muon_a * x + (muon_b * p + muon_c * p @ p) @ x`` with ``p = x @ x.T``; of a tall matrix, this is
    done to the transpose.  At last
    ``w <- w - rate * rms_rate * sqrt(max(rows, columns)) * x``.

    All else has Adam's rule, at the rate ``adam_lr_ratio * rate``: what is no matrix, as biases; parameters
    in whose names an expression of `exclude_layers` is found, among them the kernel of the last layer if you
    follow the authors; tables of embeddings.

    Parameters
    ----------
    learning_rate : float or LearningRateSchedule
        Default 0.001.
    adam_beta_1, adam_beta_2 : float
        Decay of Adam's moments, in [0, 1).
    adam_weight_decay : float, optional
        Decay of what has Adam's rule, at the rate of all; default 0.004.
    epsilon : float
        Adam's, greater than 0; default 1e-7.
    weight_decay : float, optional
        Decay of matrices with Muon's rule; default 0.004.
    exclude_layers : sequence of str, optional
        Regular expressions; where one is found in a parameter's name, ``"dense/kernel"``, it has Adam's rule.
    exclude_embeddings : bool
        Whether parameters with ``"embedding"`` in their names have Adam's rule, capitals or not.
    muon_a, muon_b, muon_c : float
        Coefficients of the iteration.
    adam_lr_ratio : float
        At least 0.
    momentum : float
        In [0, 1); default 0.95.
    ns_steps : int
        0 to 100; default 5.
    nesterov : bool
    rms_rate : float, optional
        At least 0; default 0.2.  None leaves out the root of the larger side as well.
    **options
        See `Optimizer`.

    Raises
    ------
    ConfigurationError
        If a number is out of range, or one of `exclude_layers` is no regular expression.
    DTypeError
        If an argument is of a wrong type.

    Notes
    -----
    A step of a matrix (n, m) costs ``ns_steps`` times ``4 n m k + 2 k^3`` operations, where k is the smaller
    side, all in one task of one thread, which has memory for a second matrix and two of (k, k); matrices of
    several layers are tasks of their own.  The state has room for Adam's two arrays whatever the rule.

    Examples
    --------
    >>> optimizer = Muon(0.01, exclude_layers=["scores"])
    >>> optimizer.update_of("dense/kernel", 2).code.name, optimizer.update_of("scores/kernel", 2).code.name
    ('MUON', 'ADAM')
    """

    learning_rate: float | LearningRateSchedule = 0.001
    adam_beta_1: float = 0.9
    adam_beta_2: float = 0.999
    adam_weight_decay: float | None = 0.004
    epsilon: float = 1e-7
    weight_decay: float | None = field(default=0.004, kw_only=True)
    exclude_layers: Sequence[str] | None = field(default=None, kw_only=True)
    exclude_embeddings: bool = field(default=True, kw_only=True)
    muon_a: float = field(default=3.4445, kw_only=True)
    muon_b: float = field(default=-4.7750, kw_only=True)
    muon_c: float = field(default=2.0315, kw_only=True)
    adam_lr_ratio: float = field(default=1.0, kw_only=True)
    momentum: float = field(default=0.95, kw_only=True)
    ns_steps: int = field(default=5, kw_only=True)
    nesterov: bool = field(default=True, kw_only=True)
    rms_rate: float | None = field(default=0.2, kw_only=True)

    name: ClassVar[str] = "muon"
    update_scalars: ClassVar[tuple[str, ...]] = ("rate", "corrected_rate")

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("adam_beta_1", "adam_beta_2", "momentum"):
            self._check(name, 0.0, 1.0)
        self._check("epsilon", 0.0, _UNBOUNDED, open_low=True)
        self._check("adam_lr_ratio", 0.0, _UNBOUNDED)
        for name in ("adam_weight_decay", "rms_rate"):
            if getattr(self, name) is not None:
                self._check(name, 0.0, _UNBOUNDED)
        for name in ("muon_a", "muon_b", "muon_c"):
            object.__setattr__(self, name, check_number(getattr(self, name), name))
        object.__setattr__(self, "ns_steps", check_count(self.ns_steps, "ns_steps", 0, 100))
        for name in ("exclude_embeddings", "nesterov"):
            object.__setattr__(self, name, check_flag(getattr(self, name), name))
        if self.exclude_layers is not None:
            object.__setattr__(self, "exclude_layers", patterns(self.exclude_layers, "exclude_layers"))

    @property
    def code(self) -> OpCode:
        """The update op of matrices."""
        return OpCode.MUON

    @property
    def op_states(self) -> tuple[str | None, ...]:
        """The arrays that are kept, of which Muon's rule takes the first."""
        return ("momentum", "velocity")

    def has_adam(self, parameter: str, axes: int) -> bool:
        """Return whether a parameter has Adam's rule.

        Parameters
        ----------
        parameter : str
            Its name, such as ``"dense/kernel"``.
        axes : int

        Returns
        -------
        bool

        Examples
        --------
        >>> Muon().has_adam("dense/kernel", 2), Muon().has_adam("dense/bias", 1)
        (False, True)
        """
        if axes != 2 or (self.exclude_embeddings and "embedding" in parameter.lower()):
            return True
        return any(re.search(pattern, parameter) for pattern in self.exclude_layers or ())

    def update_of(self, parameter: str, axes: int) -> Update:
        """Return how a parameter is updated; see `Optimizer`."""
        if self.has_adam(parameter, axes):
            constants = self.adam_beta_1, self.adam_beta_2, self.epsilon
            decay = self.decay_of(parameter, self.adam_weight_decay)
            return Update(OpCode.ADAM, self.op_states, constants, decay)
        decay = self.decay_of(parameter, self.weight_decay)
        return Update(self.code, self.op_states[:1], self.constants(), decay)

    def constants(self) -> tuple[float, ...]:
        """Return the constants of Muon's op after the regulariser's."""
        return (
            self.momentum,
            float(self.nesterov),
            self.muon_a,
            self.muon_b,
            self.muon_c,
            float(self.ns_steps),
            -1.0 if self.rms_rate is None else self.rms_rate,
        )

    def step_numbers(self, name: str, first: int, count: int) -> np.ndarray:
        """Return a scalar for `count` updates after `first` others; see `Optimizer`."""
        if name != "corrected_rate":
            return super().step_numbers(name, first, count)
        return self.adam_lr_ratio * bias_corrections(self.adam_beta_1, self.adam_beta_2, first, count)
