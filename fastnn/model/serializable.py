"""Models as pickles, as files and as plain values: the methods; of the latter two `saving/` does the work.

That is loaded at their first call, as importing fastnn shall be fast.  It stands above models, as it makes
them: `fastnn/__init__.py` says where it is.
"""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from fastnn.described import own_classes
from fastnn.graph.symbolic import ancestry
from fastnn.model.structure import Structured

if TYPE_CHECKING:
    import numpy as np

__all__ = ["Serializable", "equip"]

_saving: Callable[[], Any]  # gives the module that does the work


def equip(saving: Callable[[], Any]) -> None:
    """Say what gives the module that does the work, with `save_model` and the like."""
    global _saving
    _saving = saving


class Serializable(Structured):
    """What can be saved and loaded, or made anew from its configuration; a part of `Model`."""

    def __getstate__(self) -> dict[str, Any]:
        """Return what copies and pickles keep: everything; see `Binder` for programs."""
        drawing = self._now.drawing
        tensors = [] if drawing is None else drawing.order
        # First of all the tensors, each after what it is made of, so that no pickle is as deep as the graph.
        kept = {"_ancestry": ancestry([*self._ends[0], *self._ends[1]]), **self.__dict__}
        kept.pop("_calls", None)  # those in training, which copies count anew
        kept["_outputs"] = [t for t in tensors if t.layer is not None and t.layer.output is t]
        return kept

    def __setstate__(self, state: dict[str, Any]) -> None:
        outputs = state.pop("_outputs")
        del state["_ancestry"]
        self.__dict__.update(state)
        drawing = self._now.drawing
        for tensor in (*outputs, *(drawing.order if drawing is not None else ())):
            if tensor.layer is not None and tensor.layer.output is None:
                tensor.layer.output = tensor

    def __copy__(self) -> Serializable:
        # Two models on one set of parameters would train each other.
        return copy.deepcopy(self)

    def save(self, filepath: str | os.PathLike[str], overwrite: bool = True) -> None:
        """Write the model to a file, for `fastnn.load_model`: all that training goes on from.

        That are layers and how they are connected, weights, seed, what the model was compiled with, the
        optimizer's state, and the numbers of steps and epochs.  The file is in the safetensors format,
        whatever its name ends with.  It takes its name when it is complete: an interrupted save leaves
        the old file, and perhaps another one, whose name begins with a point.

        Parameters
        ----------
        filepath : str or path-like
        overwrite : bool
            Whether an existing file may be replaced.

        Raises
        ------
        ConfigurationError
            If the model is not built, has a layer of a class of your own or more than 50 000 layers, or the
            file exists and `overwrite` is False.
        BusyError
            If another thread trains the model.
        OSError
            If the file cannot be written.

        Examples
        --------
        >>> import os, tempfile
        >>> import fastnn
        >>> model = fastnn.Sequential([fastnn.Input((2,)), fastnn.layers.Dense(3)], seed=0)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     model.save(os.path.join(folder, "model.safetensors"))
        ...     fastnn.load_model(os.path.join(folder, "model.safetensors")).count_params()
        9
        """
        _saving().save_model(self, filepath, overwrite=overwrite)

    def save_weights(self, filepath: str | os.PathLike[str], overwrite: bool = True) -> None:
        """Write the weights alone to a file, for `load_weights`.

        Parameters
        ----------
        filepath : str or path-like
        overwrite : bool
            Whether an existing file may be replaced.

        Raises
        ------
        ConfigurationError, BusyError, OSError
            As `save` does.
        """
        _saving().save_weights(self, filepath, overwrite=overwrite)

    def load_weights(self, filepath: str | os.PathLike[str], skip_mismatch: bool = False) -> None:
        """Replace the weights by those in a file, in the order of `get_weights`; names do not matter.

        Parameters
        ----------
        filepath : str or path-like
            What `save_weights` or `save` wrote, of a model with weights of the same shapes.
        skip_mismatch : bool
            Whether weights are found by their names, and those that the file does not have, or has in another
            shape, stay as they are, with a warning: of a model whose last layers are others.

        Raises
        ------
        FileFormatError
            If the file was not written by them, is damaged, or has weights of other shapes; the model is
            left as it was.
        ConfigurationError, BusyError, OSError
            If the model is not built; if another thread trains it; if the file cannot be read.
        """
        _saving().load_weights(self, filepath, skip_mismatch=skip_mismatch)

    def _save_training(
        self, filepath: str | os.PathLike[str], notes: str, arrays: Mapping[str, np.ndarray]
    ) -> None:
        """Write what training goes on from to a file, with notes and arrays of who asks for it."""
        _saving().save_training(self, filepath, notes, arrays)

    def _load_training(
        self, filepath: str | os.PathLike[str], check: Callable[[str], None]
    ) -> tuple[str, dict[str, np.ndarray]]:
        """Take up training from such a file, if the notes pass; return them and the arrays."""
        found: tuple[str, dict[str, np.ndarray]] = _saving().load_training(self, filepath, check)
        return found

    def get_config(self) -> dict[str, Any]:
        """Return layers, how they are connected, dtype, seed and name, as plain values.

        Returns
        -------
        dict
            For `from_config`.  Weights, and what the model was compiled with, are not in it.

        Raises
        ------
        ConfigurationError
            If the model has a layer of a class of your own.
        """
        found: dict[str, Any] = _saving().structure_of(self)
        return found

    def to_json(self, **kwargs: Any) -> str:
        """Return what `get_config` returns as JSON, for `fastnn.models.model_from_json`.

        Parameters
        ----------
        **kwargs
            Arguments of ``json.dumps``, such as ``indent``.

        Returns
        -------
        str

        Raises
        ------
        ConfigurationError
            As `get_config` does.

        Examples
        --------
        >>> import fastnn
        >>> fastnn.Sequential([fastnn.Input((2,)), fastnn.layers.Dense(3)], seed=0).to_json()[:11]
        '{"parts": ['
        """
        return json.dumps(self.get_config(), **kwargs)

    @classmethod
    def from_config(cls, config: Mapping[str, Any], custom_objects: Mapping[str, type] | None = None) -> Any:
        """Return a model like the one that `get_config` was called on, with new weights.

        Parameters
        ----------
        config : dict
        custom_objects : dict of str to type, optional
            Classes of your own that are in it, such as initializers, by their names.

        Returns
        -------
        Model or Sequential
            As the model was one.

        Raises
        ------
        ConfigurationError, DTypeError, ShapeError
            If the configuration is not one.

        Examples
        --------
        >>> import fastnn
        >>> model = fastnn.Sequential([fastnn.Input((2,)), fastnn.layers.Dense(3)], seed=0)
        >>> fastnn.Sequential.from_config(model.get_config()).count_params()
        9
        """
        with own_classes(custom_objects):
            found = _saving().build(config)
        return found
