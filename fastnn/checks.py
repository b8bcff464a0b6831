"""Checks of the plain values that descriptions and methods take: counts, rates, flags, names.

Arrays are checked in `data.py`.  This file must not know layers, plans or arrays.
"""

from __future__ import annotations

import functools
import inspect
import math
import numbers
from collections.abc import Callable
from typing import Any, TypeVar, cast

from fastnn.absent import argument, near
from fastnn.errors import ConfigurationError, DTypeError
from fastnn.ops import Option

__all__ = [
    "MAXIMUM_SIZE",
    "check_axis",
    "check_count",
    "check_dtype",
    "check_flag",
    "check_name",
    "check_number",
    "check_option",
    "shown",
    "with_arguments_of_keras",
]

_Function = TypeVar("_Function", bound=Callable[..., Any])

MAXIMUM_SIZE = 2**31 - 1  # the largest dimension that a BLAS integer holds
_LONGEST_SHOWN = 100  # characters of a value in a message


def shown(value: object) -> str:
    """Return what a message shows of a value: its `repr` in one line, cut if it is long.

    Examples
    --------
    >>> shown("a"), shown(10**200)[-6:], shown(10**5000)
    ("'a'", '000...', 'int of thousands of digits')
    """
    if isinstance(value, str | bytes | list | tuple):  # what would be cut need not be written first
        value = value[:_LONGEST_SHOWN]
    try:
        text = " ".join(repr(value).split())
    except ValueError:  # Python refuses to print them
        return f"{type(value).__name__} of thousands of digits"
    return text if len(text) <= _LONGEST_SHOWN else f"{text[: _LONGEST_SHOWN - 3]}..."


def check_flag(value: object, name: str) -> bool:
    """Return `value` as a bool after checking that it is one, of Python or of NumPy.

    Parameters
    ----------
    value : object
        What the caller gave.
    name : str
        The argument's name, for the message.

    Returns
    -------
    bool

    Raises
    ------
    DTypeError
        If `value` is anything else: 1 and 0, an array, a string.

    Examples
    --------
    >>> check_flag(True, "shuffle")
    True
    """
    if isinstance(value, bool):
        return value
    # np.bool_ without NumPy, which this file has no other use for.
    if type(value).__module__ == "numpy" and type(value).__name__ in ("bool", "bool_"):
        return bool(value)
    raise DTypeError(f"{name} must be True or False, got {shown(value)}")


def check_count(value: object, name: str, minimum: int = 1, maximum: int = MAXIMUM_SIZE) -> int:
    """Return `value` as an int after checking that it is a whole number in a range.

    Parameters
    ----------
    value : object
        What the caller gave; Python and NumPy integers pass, booleans do not.
    name : str
        The argument's name, for the message.
    minimum, maximum : int
        The range, both ends included.

    Returns
    -------
    int

    Raises
    ------
    DTypeError
        If `value` is not an integer.
    ConfigurationError
        If it is out of range.

    Examples
    --------
    >>> check_count(3, "units")
    3
    """
    if type(value) is not int and (isinstance(value, bool) or not isinstance(value, numbers.Integral)):
        raise DTypeError(f"{name} must be an integer, got {shown(value)} ({type(value).__name__})")
    number = int(value)
    if number < minimum:
        raise ConfigurationError(f"{name} must be at least {minimum}, got {shown(number)}")
    if number > maximum:
        raise ConfigurationError(f"{name} must be at most {maximum}, got {shown(number)}")
    return number


def check_number(
    value: object,
    name: str,
    minimum: float = -math.inf,
    maximum: float = math.inf,
    *,
    open_minimum: bool = False,
    open_maximum: bool = False,
) -> float:
    """Return `value` as a finite float after checking its range.

    Parameters
    ----------
    value : object
        What the caller gave.
    name : str
        The argument's name, for the message.
    minimum, maximum : float
        The range.
    open_minimum, open_maximum : bool
        Whether that end itself is forbidden.

    Returns
    -------
    float

    Raises
    ------
    DTypeError
        If `value` is not a real number.
    ConfigurationError
        If it is not finite or out of range.

    Examples
    --------
    >>> check_number(0.5, "momentum", 0.0, 1.0)
    0.5
    """
    if type(value) is not float and (isinstance(value, bool) or not isinstance(value, numbers.Real)):
        raise DTypeError(f"{name} must be a number, got {shown(value)} ({type(value).__name__})")
    try:
        number = float(value)
    except OverflowError:  # an integer or a fraction beyond 1e308
        number = math.inf
    low = number <= minimum if open_minimum else number < minimum
    high = number >= maximum if open_maximum else number > maximum
    if not math.isfinite(number) or low or high:
        given = number if math.isfinite(number) else shown(value)
        wanted = _range(minimum, maximum, open_minimum, open_maximum)
        raise ConfigurationError(f"{name} must be a finite number{wanted}, got {given}")
    return number


def _range(minimum: float, maximum: float, open_minimum: bool, open_maximum: bool) -> str:
    """Return a range in words, without ends that are infinite."""
    if math.isinf(minimum) and math.isinf(maximum):
        return ""
    if math.isinf(maximum):
        return f" {'above' if open_minimum else 'of at least'} {minimum:g}"
    if math.isinf(minimum):
        return f" {'below' if open_maximum else 'of at most'} {maximum:g}"
    left, right = "(" if open_minimum else "[", ")" if open_maximum else "]"
    return f" in {left}{minimum:g}, {maximum:g}{right}"


def check_option(value: object, option: Option) -> float:
    """Return a number that an activation has besides its input, after checking it, as kernels take it.

    Parameters
    ----------
    value : object
    option : Option

    Returns
    -------
    float

    Raises
    ------
    DTypeError
        If `value` is not a real number, or not a flag where the option is one.
    ConfigurationError
        If it is not finite or out of range.

    Examples
    --------
    >>> check_option(2, Option("alpha"))
    2.0
    """
    if option.flag:
        return float(check_flag(value, option.name))
    if option.optional and value is None:
        return -1.0
    return check_number(value, option.name, option.least, open_minimum=option.above)


def check_axis(value: object) -> int:
    """Return an axis as an int after checking that it is one; whether there is such an axis, arrays say.

    Raises
    ------
    DTypeError
        If it is no integer.

    Examples
    --------
    >>> check_axis(-1)
    -1
    """
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise DTypeError(f"axis must be an integer, got {shown(value)}")
    return int(value)


def check_dtype(dtype: object) -> str | None:
    """Return the name of a dtype to compute in after checking it; None passes.

    Parameters
    ----------
    dtype : {"float32", "float64"}, dtype of NumPy, or None

    Returns
    -------
    str or None

    Raises
    ------
    ConfigurationError
        If it is another one.

    Examples
    --------
    >>> check_dtype("float64"), check_dtype(None)
    ('float64', None)
    """
    if dtype is None:
        return None
    name = getattr(dtype, "name", getattr(dtype, "__name__", dtype))  # those of NumPy have names
    if not isinstance(name, str) or name not in ("float32", "float64"):
        raise ConfigurationError(f"dtype must be 'float32' or 'float64', got {shown(dtype)}")
    return name


def check_name(name: object) -> str | None:
    """Return the name of a layer, an input or a model after checking it; None passes.

    Parameters
    ----------
    name : object

    Returns
    -------
    str or None

    Raises
    ------
    ConfigurationError
        Unless it is a string that is not empty and has no '/', which joins names of models and layers,
        and no ':', which numbers the uses of a layer.

    Examples
    --------
    >>> check_name("hidden")
    'hidden'
    """
    if name is None:
        return None
    if not isinstance(name, str) or not name or "/" in name or ":" in name:
        raise ConfigurationError(f"a name must be a non-empty string without '/' and ':', got {name!r}")
    return name


def with_arguments_of_keras(where: str, table: str = "") -> Callable[[_Function], _Function]:
    """Return a decorator for functions that Keras has with more arguments.

    Of those that the function does not have, values that change nothing are dropped, others refused with
    what there is instead; so are slips of the pen, with the argument that was meant.

    Parameters
    ----------
    where : str
        What the function is called, in the table of `fastnn.absent` and in messages.
    table : str, optional
        What it is called there, if the name is another one.

    Returns
    -------
    callable

    Raises
    ------
    DTypeError
        By the decorated function.

    Examples
    --------
    >>> @with_arguments_of_keras("Model")
    ... def make(name=None):
    ...     return name
    >>> make(name="a", trainable=True)
    'a'
    """

    def decorate(function: _Function) -> _Function:
        own = set(inspect.signature(function).parameters) - {"self"}

        @functools.wraps(function)
        def call(*given: Any, **options: Any) -> Any:
            for name in () if own.issuperset(options) else [one for one in options if one not in own]:
                said = argument(table or where, name, options[name])
                if said:
                    raise DTypeError(f"{where} has no argument {name}: {said}")
                if said is not None:
                    del options[name]
                elif meant := near(name, own):
                    raise DTypeError(f"{where} has no argument {name}; did you mean {meant}?")
            return function(*given, **options)

        return cast(_Function, call)

    return decorate
