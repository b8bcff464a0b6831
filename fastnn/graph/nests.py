"""Nests: lists, tuples and dicts in one another, in which Keras takes inputs and outputs, as lists of leaves.

The leaves of a dict stand in the order of its keys, as in Keras.  This file must not know
models, plans or arrays.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from fastnn.checks import shown
from fastnn.errors import DTypeError, ShapeError

__all__ = ["is_sorted", "keys_of", "leaves", "matched", "nested", "packed", "plain", "read"]

_DEEPEST = 50


def _parts(nest: Any, what: str, depth: int) -> Iterator[tuple[Any, Any]]:
    """Yield the keys, or the places, of what a dict, a list or a tuple holds, with that."""
    if depth > _DEEPEST:
        raise DTypeError(f"{what} are nested more than {_DEEPEST} deep")
    if not isinstance(nest, dict):
        yield from enumerate(nest)
        return
    for key in nest:
        if not isinstance(key, str) or not key:
            raise DTypeError(f"the keys of {what} must be strings that are not empty, got {shown(key)}")
    for key in sorted(nest):
        yield key, nest[key]


def leaves(nest: object, what: str = "the tensors", depth: int = 0) -> list[Any]:
    """Return what a nest holds, in order; what is no list, tuple or dict is a leaf.

    Examples
    --------
    >>> leaves({"b": 1, "a": [2, (3,)]})
    [2, 3, 1]
    """
    if not isinstance(nest, list | tuple | dict):
        return [nest]
    return [leaf for _, part in _parts(nest, what, depth) for leaf in leaves(part, what, depth + 1)]


def nested(nest: object) -> bool:
    """Return whether leaves alone, in a list or by themselves, would not tell all of a nest.

    Examples
    --------
    >>> nested(1), nested([1, 2]), nested((1, 2)), nested({"a": 1})
    (False, False, True, True)
    """
    several = isinstance(nest, list | tuple | dict)
    return several and (
        not isinstance(nest, list) or any(isinstance(one, list | tuple | dict) for one in nest)
    )


def is_sorted(nest: object) -> bool:
    """Return whether leaves stand in the order in which the keys of dicts were written.

    Examples
    --------
    >>> is_sorted([{"a": 0, "b": 0}]), is_sorted({"b": 0, "a": 0})
    (True, False)
    """
    if not isinstance(nest, list | tuple | dict):
        return True
    parts = nest.values() if isinstance(nest, dict) else nest
    return (not isinstance(nest, dict) or list(nest) == sorted(nest)) and all(map(is_sorted, parts))


def packed(like: object, found: Sequence[Any]) -> Any:
    """Return leaves in a nest like another one.

    Examples
    --------
    >>> packed({"b": 0, "a": [0, (0,)]}, [1, 2, 3])
    {'b': 3, 'a': [1, (2,)]}
    """
    return _packed(like, iter(found))


def _packed(like: Any, found: Iterator[Any]) -> Any:
    if isinstance(like, dict):
        by_key = {key: _packed(part, found) for key, part in _parts(like, "", 0)}
        return {key: by_key[key] for key in like}
    if not isinstance(like, list | tuple):
        return next(found)
    parts = [_packed(part, found) for part in like]
    if isinstance(like, list):
        return parts
    return type(like)(*parts) if hasattr(like, "_fields") else tuple(parts)


def keys_of(nest: object) -> list[str]:
    """Return what the leaves of a nest are called: by the keys on the way, joined by ``/``; "" without any.

    Of a leaf in a list in a dict its own name belongs behind the last ``/``, as in Keras.

    Examples
    --------
    >>> keys_of({"a": 0, "b": {"c": 0, "d": [0, 0]}})
    ['a', 'b/c', 'b/d/', 'b/d/']
    >>> keys_of([0, 0])
    ['', '']
    """
    found = []
    for path in _paths(nest, ()):
        chosen = any(isinstance(part, str) for part in path)
        words = path if chosen and isinstance(path[-1], str) else (*path[:-1], "")
        found.append("/".join(map(str, words)) if chosen else "")
    return found


def _paths(nest: Any, path: tuple[Any, ...]) -> Iterator[tuple[Any, ...]]:
    if not isinstance(nest, list | tuple | dict):
        yield path
        return
    for key, part in _parts(nest, "the tensors", 0):
        yield from _paths(part, (*path, key))


def matched(value: Any, like: Any, what: str) -> list[Any]:
    """Return the parts of a nest that stand where another one has its leaves.

    Lists and tuples are alike.

    Raises
    ------
    ShapeError
        If the nests differ.

    Examples
    --------
    >>> matched({"b": [1, 2], "a": 3}, {"a": 0, "b": (0, 0)}, "x")
    [3, 1, 2]
    """
    if not isinstance(like, list | tuple | dict):
        return [value]
    if isinstance(like, dict):
        if not isinstance(value, Mapping) or set(value) != set(like):
            shape = f"{list(value)}" if isinstance(value, Mapping) else type(value).__name__
            raise ShapeError(f"{what} must be a dict with the keys {list(like)}, got {shape}")
        return [leaf for key in sorted(like) for leaf in matched(value[key], like[key], f"{what}[{key!r}]")]
    if not isinstance(value, list | tuple) or len(value) != len(like):
        given = f"{len(value)}" if isinstance(value, list | tuple) else type(value).__name__
        raise ShapeError(f"{what} must be a list of {len(like)}, got {given}")
    return [
        leaf
        for place, (one, other) in enumerate(zip(value, like, strict=True))
        for leaf in matched(one, other, f"{what}[{place}]")
    ]


def plain(nest: Any) -> Any:
    """Return a nest as values of JSON, in which a tuple differs from a list.

    Examples
    --------
    >>> plain({"a": (0, [1])})
    {'dict': {'a': {'tuple': [0, [1]]}}}
    """
    if isinstance(nest, dict):
        return {"dict": {key: plain(part) for key, part in nest.items()}}
    if isinstance(nest, tuple):
        return {"tuple": [plain(part) for part in nest]}
    return [plain(part) for part in nest] if isinstance(nest, list) else nest


def read(value: Any, leaf: Callable[[Any], Any], depth: int = 0) -> Any:
    """Return the nest that `plain` was called on, each leaf as a function makes it.

    Raises
    ------
    DTypeError
        If it is none.

    Examples
    --------
    >>> read({"dict": {"a": {"tuple": [0, [1]]}}}, str)
    {'a': ('0', ['1'])}
    """
    if depth > _DEEPEST:
        raise DTypeError(f"inputs or outputs are nested more than {_DEEPEST} deep")
    if isinstance(value, list):
        return [read(part, leaf, depth + 1) for part in value]
    if not isinstance(value, Mapping):
        return leaf(value)
    kind, parts = next(iter(value.items()), ("", None))
    if len(value) == 1 and kind == "tuple" and isinstance(parts, list):
        return tuple(read(part, leaf, depth + 1) for part in parts)
    if len(value) != 1 or kind != "dict" or not isinstance(parts, Mapping):
        raise DTypeError(f"a nest is a list, a tuple or a dict, got {shown(value)}")
    return {key: read(part, leaf, depth + 1) for key, part in parts.items()}
