"""What a fitted estimator, or a Pipeline that ends in one, computes: its steps, and its nets as one forward.

Estimators say themselves what they are, by `_exported`, as `Exported`.  This file must not know formats.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from fastnn.compiler.plan import ROWS, SIGNATURES, Activation, External, Op, OpCode, Operand, Slot
from fastnn.errors import ConfigurationError
from fastnn.export.forward import Forward, forward_of
from fastnn.export.scalers import Scaling, is_of

__all__ = [
    "Exported",
    "Fitted",
    "fitted_of",
    "is_estimator",
    "joined",
    "plain_labels",
    "scaled",
    "shown_step",
]

Task = Literal["classes", "labels", "numbers"]


@dataclass(frozen=True)
class Exported:
    """What an estimator says of itself.

    Attributes
    ----------
    models : tuple of Model
        Nets whose mean it predicts.
    task : {"classes", "labels", "numbers"}
        One class a row, several labels a row, or numbers.
    classes : ndarray, (classes,), optional
    """

    models: tuple[Any, ...]
    task: Task
    classes: NDArray[Any] | None = None


@dataclass(frozen=True)
class Fitted:
    """A fitted estimator, and what stands before it.

    Attributes
    ----------
    steps : tuple of (str, object)
        Names and transformers.
    estimator : object
    exported : Exported
    """

    steps: tuple[tuple[str, Any], ...]
    estimator: Any
    exported: Exported


def is_estimator(model: Any) -> bool:
    """Return whether something is meant as an estimator, not as a model.

    Examples
    --------
    >>> is_estimator(3)
    False
    """
    return hasattr(model, "get_params") and hasattr(model, "fit")


def shown_step(name: str, step: Any) -> str:
    """Return how messages speak of a step of a Pipeline.

    Examples
    --------
    >>> shown_step("first", 3)
    "'first' (int)"
    """
    return f"{name!r} ({type(step).__name__})"


def flat_steps(estimator: Any, name: str = "") -> list[tuple[str, Any]]:
    """Return the steps of a Pipeline, and of Pipelines in it, or the estimator alone.

    Examples
    --------
    >>> flat_steps(3)
    [('', 3)]
    """
    if not is_of("sklearn", estimator, "Pipeline"):
        return [(name, estimator)]
    found = [(key, step) for key, step in estimator.steps if step is not None and step != "passthrough"]
    flat = [one for key, step in found for one in flat_steps(step, key)]
    return flat if flat or name else [(name, estimator)]


def fitted_of(estimator: Any) -> Fitted:
    """Return the steps of an estimator.

    Parameters
    ----------
    estimator : estimator or Pipeline

    Returns
    -------
    Fitted

    Raises
    ------
    ConfigurationError
        If it, or the last step, is no fitted estimator of fastnn.
    """
    *before, (name, last) = flat_steps(estimator)
    if isinstance(last, type):
        raise ConfigurationError(f"{last.__name__} is a class; give a fitted estimator")
    kind, where = type(last).__name__, f"the last step {name!r}, " if name else ""
    if hasattr(last, "_exported"):
        if not hasattr(last, "coefs_"):
            raise ConfigurationError(f"{where}{kind} is not fitted; call fit, then export it")
        return Fitted(tuple(before), last, last._exported())
    if is_of("sklearn", last, "MLPClassifier", "MLPRegressor"):
        raise ConfigurationError(
            f"{where}{kind} is scikit-learn's; fastnn.export.from_sklearn gives a model of it, which can be "
            "exported, or fit the one of fastnn"
        )
    if hasattr(last, "best_estimator_"):
        raise ConfigurationError(f"{where}{kind} searches for an estimator; export its best_estimator_")
    raise ConfigurationError(
        f"{where}{kind} is no estimator that can be exported; give a fitted fastnn.MLPClassifier or "
        "MLPRegressor, or a Pipeline that ends in one"
    )


def joined(exported: Exported) -> Forward:
    """Return what `predict_proba` of a classifier computes, or `predict` of a regressor, as one forward.

    Parameters
    ----------
    exported : Exported

    Returns
    -------
    Forward
        With the input ``"X"``, and the output ``"probabilities"`` or ``"variable"``.
    """
    members = [forward_of(model) for model in exported.models]
    ops: list[Op] = []
    parameters: dict[str, NDArray[Any]] = {}
    ends: list[Operand] = []
    for number, member in enumerate(members):
        prefix = f"{number}/" if len(members) > 1 else ""
        parameters |= {prefix + name: value for name, value in member.parameters.items()}
        given, made = member.inputs[0][1].name, member.outputs[0][1].name
        for op in member.ops:
            operands = [_renamed(operand, prefix, given, made) for operand in op.operands]
            ops.append(replace(op, layer=prefix + op.layer, operands=tuple(operands)))
        ends.append(_row(f"{prefix}result", member.outputs[0][1].columns))
    end, columns = ends[0], ends[0].columns
    for number, other in enumerate(ends[1:]):
        share = 1.0 / len(ends)
        total = _row(f"mean {number}", columns)
        factors = (share if number == 0 else 1.0, share)
        ops.append(Op(OpCode.ADD, "the mean", (total, end, other), constants=factors))
        end = total
    if exported.task == "classes" and columns == 1:
        rest, columns = _row("rest", 1), 2
        ops.append(Op(OpCode.AFFINE, "the other class", (rest, end), constants=(-1.0, 1.0)))
        both = (_row("both", columns), rest, end)
        absent = (None,) * (len(SIGNATURES[OpCode.CONCATENATE].names) - len(both))
        ops.append(Op(OpCode.CONCATENATE, "both classes", (*both, *absent)))
        end = both[0]
    shown = "variable" if exported.task == "numbers" else "probabilities"
    result = replace(end, name="output", slot=Slot.EXTERNAL + 1)
    features = members[0].inputs[0][1].columns
    return Forward(
        (("X", External("x", features)),),
        ((shown, External("output", columns, written=True)),),
        tuple(_with(op, {end.name: result}) for op in ops),
        parameters,
        members[0].dtype,
    )


def _row(name: str, columns: int) -> Operand:
    return Operand(name, Slot.LOCAL, ROWS, columns)


def _renamed(operand: Operand | None, prefix: str, given: str, made: str) -> Operand | None:
    if operand is None:
        return None
    if operand.name == given:
        return replace(operand, name="x", slot=Slot.EXTERNAL)
    if operand.name == made:
        return _row(f"{prefix}result", operand.columns)
    return replace(operand, name=prefix + operand.name)


def _with(op: Op, others: dict[str, Operand]) -> Op:
    """Return an op with other operands in the place of some."""
    operands = tuple(None if one is None else others.get(one.name, one) for one in op.operands)
    return replace(op, operands=operands)


def scaled(forward: Forward, scalings: Sequence[Scaling]) -> Forward:
    """Return a forward that scales its rows first.

    The mean is taken off in two parts, that which the dtype holds and the rest, so that columns far from 0
    keep their digits.

    Raises
    ------
    ConfigurationError
        If a factor is not a number of the dtype.
    """
    ops: list[Op] = []
    parameters = dict(forward.parameters)
    columns = forward.inputs[0][1].columns
    given = Operand("x", Slot.EXTERNAL, ROWS, columns)
    end = given

    def append(code: OpCode, *others: Operand, **more: Any) -> None:
        nonlocal end
        result = _row(f"scaled {len(ops)}", columns)
        ops.append(Op(code, "scaling", (result, end, *others), **more))
        end = result

    def row(name: str, values: NDArray[Any]) -> Operand:
        name = f"scaling/{name}_{len(ops)}"
        with np.errstate(over="ignore"):
            parameters[name] = values.astype(forward.dtype).reshape(1, -1)
        if not np.isfinite(parameters[name]).all() or (
            name.startswith("scaling/factor") and not parameters[name].all()
        ):
            raise ConfigurationError(
                f"a scaler has means or factors that {forward.dtype} cannot hold; fit the Pipeline on float64"
            )
        return Operand(name, Slot.PARAMETERS, 1, columns)

    for one in scalings:
        near = one.mean.astype(forward.dtype).astype(np.float64)
        rest = (near - one.mean) * one.factor
        if near.any():
            append(OpCode.ADD, row("mean", -near), constants=(1.0, 1.0))
        append(OpCode.MULTIPLY, row("factor", one.factor))
        if np.abs(rest).max() > np.finfo(forward.dtype).eps:
            append(OpCode.ADD, row("rest", rest), constants=(1.0, 1.0))
        if one.limits is not None:
            low, high = one.limits
            append(OpCode.AFFINE, constants=(1.0, -low))
            append(OpCode.ACTIVATION, activation=Activation.RECTIFIER, constants=(0.0, high - low, 0.0))
            append(OpCode.AFFINE, constants=(1.0, low))
    net = tuple(_with(op, {"x": end}) for op in forward.ops)
    return replace(forward, ops=(*ops, *net), parameters=parameters)


def plain_labels(classes: NDArray[Any], where: str) -> NDArray[Any]:
    """Return labels as booleans, int64, floats, or strings as objects.

    Parameters
    ----------
    classes : ndarray, (classes,)
    where : str
        What cannot hold others, for messages.

    Raises
    ------
    ConfigurationError
        If there are labels of another type, or integers beyond int64.

    Examples
    --------
    >>> plain_labels(np.array(["a", "b"]), "C")
    array(['a', 'b'], dtype=object)
    """
    values = classes.tolist()
    if classes.dtype.kind == "f" and classes.dtype.itemsize <= 8:
        return classes.astype(np.float64 if classes.dtype == np.float64 else np.float32)
    if classes.dtype.kind in "biuUO":
        if all(isinstance(value, bool) for value in values):
            return np.array(values, np.bool_)
        if all(isinstance(value, int) and not isinstance(value, bool) for value in values):
            if not all(-(2**63) <= value < 2**63 for value in values):
                raise ConfigurationError(
                    f"a label is beyond the integers of 64 bits, which is what {where} holds; fit "
                    "with other labels"
                )
            return np.array(values, np.int64)
        if all(isinstance(value, str) for value in values):
            for value in values:
                check_text(value, "the label", where)
            return np.array(values, object)
    kinds = sorted({type(value).__name__ for value in values})
    raise ConfigurationError(
        f"the labels are of type {', '.join(kinds)} ({classes.dtype}), and {where} holds strings, integers, "
        "booleans or floats, all labels of one type; fit with such labels, as LabelEncoder makes them"
    )


def check_text(text: str, what: str, where: str) -> str:
    """Return a text after checking that files can hold it."""
    try:
        if "\0" not in text:
            text.encode()
            return text
    except UnicodeEncodeError:
        pass
    raise ConfigurationError(
        f"{what} {text!r} has a character that {where} cannot hold; give it another name"
    )
