"""Models in files: saved whole, loaded anew, or their weights alone.

A file is a safetensors file.  Its arrays are the weights, named as ``dense/kernel``, and what the optimizer
keeps for them, as ``optimizer/velocity/dense/kernel``; its metadata describe layers, how they are connected,
what `compile` was given, and how far training has come.  There is no code in it, and none is run.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from fastnn.absent import attribute_error
from fastnn.checks import check_count, check_flag, check_number, shown
from fastnn.described import MissingObject, own_classes
from fastnn.errors import (
    BusyError,
    ConfigurationError,
    FastnnError,
    FileFormatError,
    TrainingWarning,
    warn,
)
from fastnn.graph.drawing import Drawing
from fastnn.saving.compilation import compilation_of, compile_again, passage_in, passage_of, state_names
from fastnn.saving.container import Container, Filename, file_name, write
from fastnn.saving.structure import build, structure_of
from fastnn.version import __version__

if TYPE_CHECKING:
    from fastnn.model.model import Model

__all__ = ["load_model", "load_weights", "save_model", "save_weights"]


def __dir__() -> list[str]:
    return __all__


_Taken: TypeAlias = tuple[dict[str, np.ndarray], dict[str, Any]]  # arrays, and their description

OPTIMIZER = "optimizer/"  # what the arrays of its state begin with
KEPT = "kept/"  # what arrays of others begin with
FORMAT = 1  # of what is written here; files of later ones are refused


def save_model(model: Model, path: Filename, *, overwrite: bool = True) -> None:
    """Write a model to a file; see `Model.save`.

    Parameters
    ----------
    model : Model
    path : str or path-like
    overwrite : bool
        Whether an existing file may be replaced.

    Examples
    --------
    >>> import os, tempfile
    >>> import fastnn
    >>> model = fastnn.Sequential([fastnn.Input((2,)), fastnn.layers.Dense(3)], seed=0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_model(model, os.path.join(folder, "model.safetensors"))
    """
    _write(model, path, overwrite, _whole)


def save_weights(model: Model, path: Filename, *, overwrite: bool = True) -> None:
    """Write a model's weights to a file; see `Model.save_weights`.

    Parameters
    ----------
    model : Model
    path : str or path-like
    overwrite : bool
        Whether an existing file may be replaced.

    Examples
    --------
    >>> import os, tempfile
    >>> import fastnn
    >>> model = fastnn.Sequential([fastnn.Input((2,)), fastnn.layers.Dense(3)], seed=0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_weights(model, os.path.join(folder, "model.weights.safetensors"))
    """
    _write(model, path, overwrite, lambda model: (_weights_of(model), {}))


def _write(model: Model, path: Filename, overwrite: bool, take: Callable[[Model], _Taken]) -> None:
    model._now.need_drawing()
    name = file_name(path)
    if not check_flag(overwrite, "overwrite") and os.path.exists(name):
        raise ConfigurationError(f"{name!r} exists, and overwrite is False; choose another name")
    # What belongs together is taken while nobody trains; it is written after that.
    arrays, description = model._binder.exclusively(_between_steps, model, take)
    names = list(model._now.weights())
    write(name, arrays, {"format": FORMAT, "version": __version__, "weights": names, **description})


def _between_steps(model: Model, take: Callable[[Model], _Taken]) -> _Taken:
    if model._now.store.parameters.is_written:
        raise BusyError(
            "a model cannot be saved in the midst of a training step, as by a signal handler; save it "
            "between steps, in a callback"
        )
    return take(model)


def _weights_of(model: Model, others: Mapping[str, np.ndarray] | None = None) -> dict[str, np.ndarray]:
    """Return copies of the weights, and of the same parts of other arrays, by what their names begin with."""
    places, store = model._now.weights(), model._now.store
    flats = {"": store.array, **(others or {})}
    # One piece of memory: a large one comes in large pages, and none of it is cleared or touched before.
    free = np.empty(len(flats) * sum(place.size for place in places.values()), store.dtype)
    found = {}
    for prefix, flat in flats.items():
        for name, place in places.items():
            taken, free = free[: place.size], free[place.size :]
            taken[:] = place.view(flat).reshape(-1)
            found[prefix + name] = taken.reshape(place.shape)
    return found


def _whole(model: Model) -> _Taken:
    description: dict[str, Any] = {"model": structure_of(model)}
    if model._now.optimizer is None:
        return _weights_of(model), description
    description["compiled"] = compilation_of(model)
    return _weights_of(model, _states(model)), description


def _states(model: Model) -> dict[str, np.ndarray]:
    """Return the parts of the optimizer's state, each like the store, by what their arrays begin with."""
    now = model._now
    optimizer = now.need_optimizer()
    assert optimizer.state is not None
    names = [OPTIMIZER + f"{name}/" for name in optimizer.description.states]
    return dict(zip(names, optimizer.state.reshape(len(names), -1) if names else (), strict=True))


# -- and back


def load_model(
    path: Filename, custom_objects: Mapping[str, Any] | None = None, compile: bool = True
) -> Model:
    """Return the model in a file.

    It is as it was when it was saved: weights, what it was compiled with, the optimizer's state, the numbers
    of steps and epochs and the seed, so that training goes on as if it had not been interrupted, bit for bit.
    Classes derived from `Model` and `Sequential` come back as these.

    Parameters
    ----------
    path : str or path-like
        What `Model.save` wrote.
    custom_objects : dict of str to type or callable, optional
        Classes of your own that are in it, such as initializers, and losses and metrics that are functions of
        Python, by their names.
    compile : bool
        Whether to compile it, if it was.

    Returns
    -------
    Model or Sequential

    Raises
    ------
    FileFormatError
        If the file was not written by `Model.save`, by a later version, or is damaged; nothing is loaded.
    OSError
        If it cannot be read.

    Warns
    -----
    TrainingWarning
        If the model was compiled with a loss or a metric of your own that is not in `custom_objects`: it is
        not compiled then.

    Examples
    --------
    >>> import os, tempfile
    >>> import fastnn
    >>> model = fastnn.Sequential([fastnn.Input((2,)), fastnn.layers.Dense(3)], seed=0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "model.safetensors")
    ...     model.save(path)
    ...     again = fastnn.load_model(path)
    >>> (again.predict([[1, 2]]) == model.predict([[1, 2]])).all()
    np.True_
    """
    wants_compiled = check_flag(compile, "compile")
    with Container(path) as file, own_classes(custom_objects):
        _open(file)
        if "model" not in file.description:
            raise file.error("it holds weights only; build the model, and call model.load_weights(path)")
        try:
            return _loaded(file, wants_compiled)
        except FileFormatError:
            raise
        except FastnnError as error:
            by = _writer(file)
            other = "" if by == __version__ else f" (fastnn {by} wrote it, and this is {__version__})"
            raise file.error(f"{error}{other}") from error
        except RecursionError as error:
            raise file.error("its description is nested too deeply") from error


def _writer(file: Container) -> str:
    """Return the version that wrote a file, if the file tells the truth."""
    return str(file.description.get("version"))[:40]


def _open(file: Container, whole: bool = True) -> list[str]:
    """Find the arrays in a file, if it is of a known format, and return the names of the weights.

    If it may hold more than a model, the arrays are still to be found.
    """
    found = file.description.get("format")
    if type(found) is not int or found < 1:
        raise file.error(f"its format is {shown(found)}, needs to be a number from 1 on")
    if found > FORMAT:
        raise file.error(
            f"fastnn {_writer(file)} wrote it, in format {shown(found)}, and this version reads up to "
            f"{FORMAT}; update"
        )
    names, compiled = file.description.get("weights"), file.description.get("compiled")
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise file.error("its description is damaged: it needs a list of weights")
    try:
        states = () if compiled is None else state_names(compiled)
    except FastnnError as error:
        raise file.error(str(error)) from error
    if not whole:
        return names
    file.index(len(names) * (1 + len(states)))
    if any(name not in file.shapes for name in names):
        raise file.error("its description is damaged: a weight that it names is missing")
    return names


def _loaded(file: Container, wants_compiled: bool) -> Model:
    left = sum(file.elements(name) for name in file.shapes if not name.startswith(OPTIMIZER))
    seen: set[tuple[int, str]] = set()

    def admit(drawing: Drawing, dtype: str) -> None:
        """Raise if parameters that are not in the file would be made."""
        nonlocal left
        for layer, parameter in drawing.entries():
            if (id(layer), parameter.role) not in seen:
                seen.add((id(layer), parameter.role))
                left -= parameter.rows * parameter.columns
                if left < 0:
                    raise file.error("its description speaks of more weights than it holds")

    model = build(file.description["model"], admit)
    places, store = model._now.weights(), model._now.store
    shapes = {name: place.shape for name, place in places.items()}
    compiled = file.description.get("compiled")
    prefixes = [""] if compiled is None else ["", *(OPTIMIZER + f"{name}/" for name in state_names(compiled))]
    _check_arrays(
        file, {prefix + name: shape for prefix in prefixes for name, shape in shapes.items()}, store.dtype
    )
    flats = {"": store.array}
    if compiled is not None:
        # Also of a model that is not to be compiled: all of a file is right, or it is refused.
        try:
            compile_again(model, compiled)
            flats |= _states(model)
        except MissingObject as error:
            if wants_compiled:
                warn(f"the model is loaded, but not compiled: {error}, or call compile", TrainingWarning)
    for prefix in flats:
        for name, place in places.items():
            file.read(prefix + name, place.view(flats[prefix]))
    if not wants_compiled:
        model._binder.now = replace(model._now, optimizer=None, objective=None).with_programs()
    return model


def _check_arrays(
    file: Container, wanted: Mapping[str, tuple[int, ...]], dtype: np.dtype, except_for: str | None = None
) -> None:
    for name, shape in wanted.items():
        if name not in file.shapes:
            raise file.error(f"array {shown(name)} is missing")
        if file.shapes[name] != shape:
            raise file.error(f"array {shown(name)} has shape {shown(file.shapes[name])}, needs {shape}")
        if file.dtypes[name] != dtype and (except_for is None or not name.startswith(except_for)):
            raise file.error(f"array {shown(name)} is of {file.dtypes[name]}, and the model of {dtype}")
    for name in file.shapes:
        if name not in wanted:
            raise file.error(f"array {shown(name)} belongs to nothing in the model")


def load_weights(model: Model, path: Filename, skip_mismatch: bool = False) -> None:
    """Give a model the weights in a file; see `Model.load_weights`.

    Parameters
    ----------
    model : Model
    path : str or path-like
    skip_mismatch : bool

    Warns
    -----
    TrainingWarning
        If weights stay as they are.

    Examples
    --------
    >>> import os, tempfile
    >>> import fastnn
    >>> model = fastnn.Sequential([fastnn.Input((2,)), fastnn.layers.Dense(3)], seed=0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "model.weights.safetensors")
    ...     save_weights(model, path)
    ...     load_weights(model, path)
    """
    places, dtype = model._now.weights(), model.dtype
    by_name, left = check_flag(skip_mismatch, "skip_mismatch"), []
    with Container(path) as file:
        names = _open(file)
        if by_name:
            left = [
                name
                for name, place in places.items()
                if name not in names or file.shapes[name] != place.shape
            ]
            if len(left) == len(places):
                raise file.error(
                    f"none of its weights ({', '.join(names)}) fits one of the model ({', '.join(places)})"
                )
            places = {name: place for name, place in places.items() if name not in left}
            names = list(places)
        if len(names) != len(places):
            raise file.error(
                f"it holds {len(names)} weights, and the model has {len(places)}: {', '.join(places)}"
            )
        arrays = []
        for (name, place), source in zip(places.items(), names, strict=True):
            if file.shapes[source] != place.shape:
                raise file.error(
                    f"{shown(source)} in it has shape {shown(file.shapes[source])}, and {shown(name)} of the "
                    f"model {place.shape}"
                )
            array = np.empty(place.shape, file.dtypes[source])
            file.read(source, array)
            arrays.append(array.astype(dtype, copy=False))
    if left:
        warn(f"{', '.join(left)} stay as they are, as the file has no such weights", TrainingWarning)
        array = model._now.store.array
        kept = {name: place.view(array) for name, place in model._now.weights().items()}
        arrays = list((kept | dict(zip(places, arrays, strict=True))).values())
    model.set_weights(arrays)


# -- training that was interrupted


def save_training(
    model: Model, path: Filename, notes: str = "", arrays: Mapping[str, np.ndarray] | None = None
) -> None:
    """Write what a compiled model goes on from when it is made anew by the same script.

    Unlike `save_model` this works with classes of your own, as neither layers nor losses are written.

    Parameters
    ----------
    model : Model
    path : str or path-like
    notes : str
        What else is to be known then.
    arrays : dict of str to numpy.ndarray, optional
        Of float32 or float64 and finite, by names of your own.

    Examples
    --------
    >>> import os, tempfile
    >>> import fastnn
    >>> model = fastnn.Sequential([fastnn.Input((2,)), fastnn.layers.Dense(3)], seed=0)
    >>> model.compile("adam", "mse")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_training(model, os.path.join(folder, "training"), "epoch 3")
    ...     load_training(model, os.path.join(folder, "training"))
    ('epoch 3', {})
    """
    others = {KEPT + name: np.array(array, order="C") for name, array in (arrays or {}).items()}

    def take(model: Model) -> _Taken:
        optimizer = model._now.need_optimizer()
        found = _weights_of(model, _states(model)) | others
        training = {
            "optimizer": type(optimizer.description).__name__,
            "states": list(optimizer.description.states),
            "learning_rate": optimizer.learning_rate,
            "steps": optimizer.progress.steps,
            "epochs": optimizer.progress.epochs,
            "seed": model.seed,
            "kept": len(others),
            "notes": notes,
            **passage_of(optimizer),
        }
        return found, {"training": training}

    _write(model, path, True, take)


def load_training(
    model: Model, path: Filename, check: Callable[[str], None] = lambda notes: None
) -> tuple[str, dict[str, np.ndarray]]:
    """Take up the training that a file of `save_training` tells of.

    Parameters
    ----------
    model : Model
        Built and compiled as that one was.
    path : str or path-like
    check : callable, optional
        Raises if the notes, which it is called with, are not suitable.

    Returns
    -------
    notes : str
    arrays : dict of str to numpy.ndarray

    Raises
    ------
    FileFormatError
        If the file was not written by `save_training`, is damaged, or does not suit the model, which is
        left as it was.
    OSError
        If it cannot be read.
    """
    optimizer, places = model._now.need_optimizer(), model._now.weights()
    states = list(optimizer.description.states)
    with Container(path) as file:
        names, told = _open(file, whole=False), file.description.get("training")
        rule = type(optimizer.description).__name__
        keys = ("optimizer", "states", "learning_rate", "steps", "epochs", "seed", "kept", "notes")
        if not isinstance(told, dict) or any(key not in told for key in keys):
            raise file.error("it is no backup of a training")
        if (told["optimizer"], told["states"]) != (rule, states):
            raise file.error(
                f"it is of a training by {shown(told['optimizer'])}, which keeps {shown(told['states'])} for "
                f"each parameter, and the model is compiled with {rule}, which keeps {states}"
            )
        try:
            rate = check_number(told["learning_rate"], "learning_rate", 0.0)
            steps, epochs = (check_count(told[key], key, 0, 2**62) for key in ("steps", "epochs"))
            seed = check_count(told["seed"], "seed", 0, 2**63 - 1)
            kept = check_count(told["kept"], "kept", 0)
            passage = passage_in(told)
        except FastnnError as error:
            raise file.error(str(error)) from error
        file.index(len(names) * (1 + len(states)) + kept)
        prefixes = ["", *(OPTIMIZER + f"{name}/" for name in states)]
        others = [name for name in file.shapes if name.startswith(KEPT)]
        wanted = {
            prefix + name: place.shape
            for prefix in prefixes
            for name, place in zip(names, places.values(), strict=False)
        }
        if len(names) != len(places):
            raise file.error(f"it holds {len(names)} weights, and the model has {len(places)}")
        _check_arrays(file, wanted | {name: file.shapes[name] for name in others}, model.dtype, KEPT)
        arrays = {name: np.empty(file.shapes[name], file.dtypes[name]) for name in (*wanted, *others)}
        for name, array in arrays.items():
            file.read(name, array)
    check(told["notes"])

    def become() -> None:
        model.set_weights([arrays[name] for name in names])
        for prefix, flat in _states(model).items():
            for name, place in zip(names, places.values(), strict=True):
                place.view(flat)[...] = arrays[prefix + name]
        if optimizer.schedule is None:
            optimizer.learning_rate = rate
        optimizer.progress.steps, optimizer.progress.epochs = steps, epochs
        optimizer.passage = passage
        model.seed = seed

    model._binder.exclusively(become)
    return str(told["notes"]), {name.removeprefix(KEPT): arrays[name] for name in others}


def __getattr__(name: str) -> Any:
    raise attribute_error(__name__, name, __all__)
