"""Descriptions as plain values, and back: what configurations are made of.

Layers, losses, metrics, optimizers, initializers and regularizers are described by the arguments of their
constructors.  Written down, a description is ``{"class_name": ..., "config": arguments}``, as in Keras.
This file must not know models, files or arrays.
"""

from __future__ import annotations

import contextlib
import contextvars
import dataclasses
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Self, TypeVar

from fastnn.checks import shown
from fastnn.errors import ConfigurationError, DTypeError, unknown_name

__all__ = [
    "Described",
    "MissingObject",
    "deserialized",
    "hand_down",
    "handed_down",
    "made",
    "name_of_function",
    "own_classes",
    "own_object",
    "rebuilt",
    "serialized",
    "snake_case",
    "written",
]

T = TypeVar("T")
_own: contextvars.ContextVar[Mapping[str, Any]] = contextvars.ContextVar("own_classes", default={})  # noqa: B039


_handed_down: dict[str, Callable[..., Any]] = {}


def hand_down(**functions: Callable[..., Any]) -> None:
    """Give descriptions what they call and must not import, such as what computes with arrays."""
    _handed_down.update(functions)


def handed_down(name: str) -> Callable[..., Any]:
    """Return a function that `fastnn/__init__.py` has handed down."""
    return _handed_down[name]


class MissingObject(ConfigurationError):
    """What is to be made anew needs a class, or a function, of the user's own, which was not given."""


class Described:
    """Base of the frozen descriptions: dataclasses, which their fields say all about."""

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that make such a description, as plain values.

        Returns
        -------
        dict

        Examples
        --------
        >>> import fastnn
        >>> fastnn.losses.MulticlassHinge().get_config()
        {'reduction': 'sum_over_batch_size', 'name': 'multiclass_hinge', 'margin': 1.0}
        """
        described: Any = self
        if not dataclasses.is_dataclass(described):  # a user's class
            raise ConfigurationError(
                f"{type(self).__name__} does not say what made it; define get_config(self), which returns "
                "the arguments as a dict"
            )
        return {field.name: _plain(getattr(self, field.name)) for field in dataclasses.fields(described)}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Return the description that `get_config` was called on.

        Parameters
        ----------
        config : dict

        Raises
        ------
        ConfigurationError, DTypeError
            If it does not suit the class.

        Examples
        --------
        >>> import fastnn
        >>> fastnn.losses.MulticlassHinge.from_config({"margin": 2.0}).margin
        2.0
        """
        return made(cls, config)


def _plain(value: Any) -> Any:
    if isinstance(value, Described):
        return written(value)
    if isinstance(value, tuple):
        return [_plain(one) for one in value]
    return value.item() if type(value).__module__ == "numpy" else value  # a scalar


def made(cls: type[T], config: object) -> T:
    """Return an instance of a class, made of the arguments in a configuration.

    Raises
    ------
    DTypeError
        If the configuration is no dict of arguments.
    ConfigurationError
        If the class has no such arguments.
    """
    if not isinstance(config, Mapping) or not all(isinstance(key, str) for key in config):
        raise DTypeError(f"the configuration of {cls.__name__} must be a dict, got {shown(config)}")
    try:
        return cls(**config)
    except TypeError as error:
        if isinstance(error, DTypeError):
            raise
        raise ConfigurationError(f"the configuration of {cls.__name__} does not suit it: {error}") from error


def snake_case(name: str) -> str:
    """Return the name of a class in small letters, with words apart.

    Examples
    --------
    >>> snake_case("MeanOfCubes")
    'mean_of_cubes'
    """
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=.)(?=[A-Z][a-z])", "_", name).lower()


def name_of_function(function: Callable[..., Any]) -> str:
    """Return what a history calls a loss or a metric that is a function of Python, as Keras does.

    Examples
    --------
    >>> name_of_function(max), name_of_function(lambda t, y: y)
    ('max', 'lambda')
    """
    while hasattr(function, "func"):  # of functools.partial
        function = function.func
    name = getattr(function, "__name__", None)
    return snake_case(type(function).__name__) if name is None else str(name).strip("<>")


def written(thing: Any) -> dict[str, Any]:
    """Return an object as its class's name and its configuration.

    Examples
    --------
    >>> from fastnn.regularizers import L2
    >>> written(L2(0.5))
    {'class_name': 'L2', 'config': {'l2': 0.5}}
    """
    name = getattr(thing, "function_name", None)
    if name is not None:  # of a function, which has no configuration
        return {"class_name": "function", "config": name}
    return {"class_name": type(thing).__name__, "config": thing.get_config()}


def rebuilt(entry: Mapping[str, Any], classes: Iterable[type] | Mapping[str, type], kind: str) -> Any:
    """Return the object that `written` was called on.

    Parameters
    ----------
    entry : dict
        ``{"class_name": str, "config": dict}``; what else is in it, as Keras has it, is not looked at.
    classes : iterable of type, or dict of str to type
        That it may be of, by their names, besides those of `own_classes`.
    kind : str
        What they are, for messages.

    Raises
    ------
    ConfigurationError, DTypeError
        If the class is unknown, or the configuration does not suit it.

    Examples
    --------
    >>> from fastnn.regularizers import L2
    >>> rebuilt({"class_name": "L2", "config": {"l2": 0.5}}, [L2], "regularizer")
    L2(l2=0.5)
    """
    name, config = entry.get("class_name"), entry.get("config")
    if name == "function" and isinstance(config, str):
        return own_object(config, kind)
    if not isinstance(name, str) or not isinstance(config, Mapping):
        raise DTypeError(
            f'a {kind} is written as {{"class_name": ..., "config": {{...}}}}, got {shown(dict(entry))}'
        )
    named = classes if isinstance(classes, Mapping) else {cls.__name__: cls for cls in classes}
    known: dict[str, Any] = {**named, **_own.get()}
    if name not in known:
        raise unknown_name(kind, name, known)
    return (
        known[name].from_config(config) if hasattr(known[name], "from_config") else made(known[name], config)
    )


def own_object(name: str, kind: str) -> Any:
    """Return what a user calls so in `own_classes`.

    Raises
    ------
    MissingObject
        If there is no such thing.
    """
    known = _own.get()
    if name not in known:
        raise MissingObject(
            f"{kind} {name!r} is of the user's own; give it, custom_objects={{{name!r}: ...}}"
        )
    return known[name]


def serialized(found: Any, kind: str) -> dict[str, Any]:
    """Return `written` of what a `get` returned, which may be None for nothing.

    Examples
    --------
    >>> from fastnn.regularizers import L2
    >>> serialized(L2(0.5), "regularizer")
    {'class_name': 'L2', 'config': {'l2': 0.5}}
    """
    if found is None:
        raise DTypeError(f"there is no {kind} to be written down, got None")
    return written(found)


def deserialized(config: object, get: Callable[[Any], T | None], custom_objects: object) -> T:
    """Return what `get` makes of a name, or of what `serialized` returned.

    Examples
    --------
    >>> from fastnn import regularizers
    >>> deserialized("l2", regularizers.get, None)
    L2(l2=0.01)
    """
    if not isinstance(config, str | Mapping):
        raise DTypeError(f"config must be a dict or a name, as `serialize` returns it, got {shown(config)}")
    with own_classes(custom_objects):
        found = get(config)
    assert found is not None  # only None stands for nothing
    return found


@contextlib.contextmanager
def own_classes(classes: object) -> Iterator[None]:
    """Let `rebuilt` know a user's own classes and functions, by the names that they were written with."""
    given = {} if classes is None else classes
    if not isinstance(given, Mapping) or not all(callable(one) for one in given.values()):
        raise DTypeError(
            f"custom_objects must be a dict of names and classes or functions, got {shown(classes)}"
        )
    token = _own.set({**_own.get(), **given})
    try:
        yield
    finally:
        _own.reset(token)
