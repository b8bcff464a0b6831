"""The vocabulary of updates: signatures of ops along parameters that optimizers need, as text.

`opcodes.py` reads them into its table; there it says what the words mean.  This file must not know opcodes,
plans or arrays.
"""

from __future__ import annotations

__all__ = ["UPDATES", "muon_memory", "orthogonal_memory"]

# By opcode: operands; constants; scalars; whether it needs all of a parameter at once.
UPDATES: dict[str, tuple[str, str, str, bool]] = {
    "AMSGRAD": (
        "w:inout m:inout v:inout u:inout dw:in",
        "l2 beta_1 beta_2 epsilon",
        "corrected_rate",
        False,
    ),
    "RMSPROP_WITH": (
        "w:inout v:inout m:inout,optional u:inout,optional dw:in",
        "l2 rho epsilon momentum",
        "rate",
        False,
    ),
    "ADADELTA": ("w:inout v:inout u:inout dw:in", "l2 rho epsilon", "rate", False),
    "ADAMAX": ("w:inout m:inout u:inout dw:in", "l2 beta_1 beta_2 epsilon", "corrected_rate", False),
    "NADAM": (
        "w:inout m:inout v:inout dw:in",
        "l2 beta_1 beta_2 epsilon",
        "moment_rate gradient_rate square_correction",
        False,
    ),
    "FTRL": ("w:inout v:inout u:inout dw:in", "l2 power l1 strength shrinkage beta", "rate", False),
    "LION": ("w:inout m:inout dw:in", "l2 beta_1 beta_2", "rate", False),
    "LAMB": (
        "w:inout m:inout v:inout dw:inout",
        "l2 beta_1 beta_2 epsilon",
        "rate moment_correction square_correction",
        True,
    ),
    "MUON": (
        "w:inout m:inout dw:inout s:out",
        "l2 momentum nesterov a b c steps rms_rate",
        "rate",
        True,
    ),
    "ADD_ACCUMULATED": ("dw:inout u:in", "share", "", False),
    "KEEP_ACCUMULATED": ("u:inout dw:in", "", "due", False),
    "AVERAGE_WEIGHTS": ("w:inout u:inout", "", "ema_momentum overwrite", False),
    "L1_PENALTY": ("w:in", "l1", "", False),
    "L1_GRADIENT": ("dw:inout w:in", "l1", "", False),
    "ORTHOGONAL_PENALTY": ("dw:inout,optional w:in s:out", "factor by_columns", "", True),
    "CONSTRAIN_SIGNS": ("w:inout", "", "", False),
    "CONSTRAIN_NORMS": ("w:inout", "low high rate axis", "", True),
}


def muon_memory(rows: int, columns: int) -> int:
    """Return the columns of the memory that MUON needs for a parameter, as high as that.

    It has room for a second matrix of its size, and two square ones of its smaller side.

    Examples
    --------
    >>> muon_memory(3, 5), muon_memory(5, 3)
    (11, 7)
    """
    return columns + -(-2 * min(rows, columns) ** 2 // rows)


def orthogonal_memory(rows: int, columns: int, by_columns: bool, gradient: bool) -> int:
    """Return the columns of the memory that ORTHOGONAL_PENALTY needs for a parameter, as high as that.

    It has room for a matrix of its size, for products of all pairs, and, for a gradient, another matrix.

    Examples
    --------
    >>> orthogonal_memory(4, 3, False, True), orthogonal_memory(4, 3, True, False)
    (10, 6)
    """
    vectors = columns if by_columns else rows
    return (2 if gradient else 1) * columns + -(-(vectors**2) // rows)
