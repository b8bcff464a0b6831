"""Reader of the files of arrays that lie inside the package.

This module must not know what the arrays mean.
"""

from __future__ import annotations

import importlib.resources
from typing import Any

import numpy as np
from numpy.typing import NDArray


def read_embedded(file_name: str) -> dict[str, NDArray[Any]]:
    """Return the arrays of an ``.npz`` file that lies beside this module, by name.

    Parameters
    ----------
    file_name : str
        For example ``"digits.npz"``.

    Returns
    -------
    dict of str to ndarray
        In the order of the file; read anew at every call, so the arrays are the caller's own.
    """
    resource = importlib.resources.files("fastnn.datasets").joinpath(file_name)
    with resource.open("rb") as stream, np.load(stream, allow_pickle=False) as arrays:
        return dict(arrays)
