"""What `compile` was given, and how far training has come, as plain values, and back.

This file must not know files or the optimizer's state, which is arrays.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from fastnn import losses, metrics, optimizers
from fastnn.border.feeds import Passage
from fastnn.checks import check_count, check_flag, check_number, shown
from fastnn.described import Described, name_of_function, own_object, rebuilt, written
from fastnn.errors import ConfigurationError, DTypeError
from fastnn.model.model import Model
from fastnn.model.optimizer_state import OptimizerState

__all__ = ["compilation_of", "compile_again", "passage_in", "passage_of", "state_names"]

_MOST = 2**62  # steps and epochs


def compilation_of(model: Model) -> dict[str, Any]:
    """Return what a compiled model was compiled with, the learning rate as it is now, steps and epochs."""
    now = model._now
    optimizer = now.need_optimizer()
    loss, loss_weights, metrics_, weighted_metrics = optimizer.asked
    drawing = now.need_drawing()
    owners = {node.layer: node for node in drawing.graph.nodes}
    return {
        "optimizer": written(optimizer.description),
        "learning_rate": optimizer.learning_rate,
        "loss": _written(loss),
        "loss_weights": _written(loss_weights),
        "metrics": _written(metrics_),
        "weighted_metrics": _written(weighted_metrics),
        "reference": optimizer.reference,
        "steps": optimizer.progress.steps,
        "epochs": optimizer.progress.epochs,
        # As they were when it was compiled, which counts until it is compiled again.
        "frozen": [name for name, node in owners.items() if any(not p.trainable for p in node.parameters)],
        **passage_of(optimizer),
    }


def passage_of(optimizer: OptimizerState) -> dict[str, list[int]]:
    """Return where training stands in the rows, as an entry of a description, if that matters."""
    return {} if optimizer.passage is None else {"passage": list(optimizer.passage)}


def passage_in(description: Mapping[str, Any]) -> Passage | None:
    """Return what `passage_of` wrote.

    Raises
    ------
    ConfigurationError, DTypeError
        If that is no place in rows.
    """
    told = description.get("passage")
    if told is None:
        return None
    if not isinstance(told, list) or len(told) != len(Passage._fields):
        raise DTypeError(f"passage must be {len(Passage._fields)} numbers, got {shown(told)}")
    least = {"batch": 1, "rows": 1}
    numbers = [
        check_count(value, f"{name} of passage", least.get(name, 0), _MOST)
        for name, value in zip(Passage._fields, told, strict=True)
    ]
    passage = Passage(*numbers)
    if passage.done > passage.steps:
        raise ConfigurationError(f"passage has {passage.done} of {passage.steps} batches")
    return passage


def _written(value: Any) -> Any:
    """Return names, objects, classes and numbers in lists and dicts as plain values."""
    if isinstance(value, Mapping):
        return {"dict": {str(key): _written(one) for key, one in value.items()}}
    if isinstance(value, list | tuple):
        return [_written(one) for one in value]
    if isinstance(value, type):
        value = value()
    if isinstance(value, Described):
        found = written(value)
        if type(value).__module__.partition(".")[0] == __name__.partition(".")[0]:
            return found
        try:
            json.dumps(found)
        except (TypeError, ValueError) as error:
            raise ConfigurationError(
                f"get_config of {type(value).__name__} must return numbers, strings, lists and dicts: {error}"
            ) from None
        return found | {"own": True}
    if callable(value):  # of the losses' functions the name says all
        name = losses.name_of(value)
        return {"own": name_of_function(value)} if name is None else name
    return value.item() if type(value).__module__ == "numpy" else value


def _read(value: Any, classes: list[type], kind: str) -> Any:
    if isinstance(value, list):
        return [_read(one, classes, kind) for one in value]
    if isinstance(value, Mapping):
        if set(value) == {"dict"} and isinstance(value["dict"], Mapping):
            return {key: _read(one, classes, kind) for key, one in value["dict"].items()}
        own = value.get("own")
        if isinstance(own, str):
            return own_object(own, kind)
        if own is True and isinstance(value.get("class_name"), str):
            cls = own_object(value["class_name"], kind)
            if not hasattr(cls, "from_config"):
                raise ConfigurationError(
                    f"custom_objects[{value['class_name']!r}] must be the {kind}'s class"
                )
            return cls.from_config(value.get("config"))
        return rebuilt(value, classes, kind)
    return value


def _classes(module: Any, base: type) -> list[type]:
    found = (getattr(module, name) for name in module.__all__)
    return [cls for cls in found if isinstance(cls, type) and issubclass(cls, base) and cls is not base]


def state_names(config: object) -> tuple[str, ...]:
    """Return what the optimizer of `compilation_of` keeps for each parameter."""
    if not isinstance(config, Mapping) or not isinstance(config.get("optimizer"), Mapping):
        raise DTypeError(
            f"what a model was compiled with must be a dict with an optimizer, got {shown(config)}"
        )
    return optimizers.deserialize(config["optimizer"]).states


def compile_again(model: Model, config: Mapping[str, Any]) -> None:
    """Compile a model as `compilation_of` says.

    Raises
    ------
    ConfigurationError, DTypeError, ShapeError
        If that cannot be; `MissingObject` if it needs what is of the user's own, and was not given.
    """
    keys = (
        "optimizer",
        "learning_rate",
        "loss",
        "loss_weights",
        "metrics",
        "reference",
        "steps",
        "epochs",
        "frozen",
    )
    missing = [key for key in keys if key not in config]
    if missing:
        raise ConfigurationError(f"what a model was compiled with lacks {', '.join(missing)}")
    known = model._now.need_drawing().layers
    frozen = config["frozen"]
    if not isinstance(frozen, list) or not all(isinstance(name, str) and name in known for name in frozen):
        raise ConfigurationError(f"the frozen layers are {shown(frozen)}; there are {list(known)}")
    given = (
        optimizers.get(config["optimizer"]),
        _read(config["loss"], _classes(losses, losses.Loss), "loss"),
        _read(config["metrics"], _classes(metrics, metrics.Metric), "metric"),
        _read(config["loss_weights"], [], "loss weight"),
    )
    weighted = _read(config.get("weighted_metrics"), _classes(metrics, metrics.Metric), "metric")
    flags = {layer: layer.trainable for layer in known.values()}
    for name, layer in known.items():
        layer.trainable = name not in frozen
    model.compile(
        *given,
        weighted_metrics=weighted,
        reference=check_flag(config["reference"], "reference"),
    )
    for layer, flag in flags.items():
        layer.trainable = flag
    optimizer: OptimizerState = model.optimizer
    rate = check_number(config["learning_rate"], "learning_rate", 0.0)
    if optimizer.schedule is None:
        optimizer.learning_rate = rate
    optimizer.progress.steps = check_count(config["steps"], "steps", 0, _MOST)
    optimizer.progress.epochs = check_count(config["epochs"], "epochs", 0, _MOST)
    optimizer.passage = passage_in(config)
