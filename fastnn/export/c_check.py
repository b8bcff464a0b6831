"""The program that goes with an exported C file: it compares predictions with what they must be.

This file must not know models.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn.export.c import Source

__all__ = ["check_program"]

TOLERANCES = {"float": 1e-4, "double": 1e-10, "int8": 1e-2}


def check_program(source: Source, inputs: Sequence[NDArray[Any]], expected: Sequence[NDArray[Any]]) -> str:
    """Return the text of a program that returns 0 if all predictions agree.

    Parameters
    ----------
    source : Source
    inputs, expected : sequence of ndarray, (rows, columns) each

    Returns
    -------
    str
    """
    name, rows = source.name, len(inputs[0])
    function = f"{name}_predict" if source.labels is None else source.labels.function(name)
    tolerance = TOLERANCES["int8" if source.int8 else source.real]
    tables, arguments, checks = [], [], []
    for (kind, x, length, _), values in zip(source.inputs(), inputs, strict=True):
        kept = values.astype(np.int64) if kind == "int32_t" else values
        tables.append(source.array(f"static const {kind} given_{x}", kept))
        arguments.append(f"given_{x} + row * {length}")
    for (y, length, _), values in zip(source.outputs(), expected, strict=True):
        tables.append(source.array(f"static const {source.real} expected_{y}", values))
        tables.append(f"static {source.real} found_{y}[{length}];")
        arguments.append(f"found_{y}")
        checks += [
            f"        for (i = 0; i < {length}; i++) {{",
            f"            const double wanted = expected_{y}[row * {length} + i];",
            f"            const double error = fabs(found_{y}[i] - wanted) / (1 + fabs(wanted));",
            "            if (!(error <= largest))",
            "                largest = error;",
            "        }",
        ]
    call = f"{function}({', '.join(arguments)})"
    called = [f"        if ({call})", "            return 2;"]
    if source.labels is not None and source.labels.one_of_many:
        # A class is right if it has the largest probability, or as good as that.
        called = [f"        const int found = {call};"]
        checks += [
            f"        for (i = 0; i < {len(source.labels.values)}; i++)",
            f"            if (!(expected_y[row * {source.outputs()[0][1]} + found] + {2 * tolerance:g} >= "
            f"expected_y[row * {source.outputs()[0][1]} + i]))",
            "                return 3;",
        ]
    return "\n".join(
        [
            f"/* Compares {name}_predict with {rows} rows of what it must return.",
            " *",
            f" *     cc -std=c99 -O2 {name}.c {name}_test.c -lm -o {name}_test && ./{name}_test */",
            f'#include "{name}.h"',
            "",
            "#include <math.h>",
            "#include <stdio.h>",
            "",
            *tables,
            "",
            "int main(void) {",
            "    double largest = 0;",
            "    int row, i;",
            f"    for (row = 0; row < {rows}; row++) {{",
            *called,
            *checks,
            "    }",
            f'    printf("{rows} rows, largest error %.2g of {tolerance:g} allowed\\n", largest);',
            f"    return !(largest <= {tolerance:g});",
            "}",
            "",
        ]
    )
