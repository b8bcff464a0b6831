"""Builds the Cython extensions: directives and compiler flags, in this one place.

`FASTNN_DEBUG=1` gives a checked build: bounds, wraparound, None and overflow checks on, no
optimisation, debug symbols.
"""

import os
import sys

from Cython.Build import cythonize
from setuptools import Extension, setup

DEBUG = os.environ.get("FASTNN_DEBUG", "") not in ("", "0")
MSVC = sys.platform == "win32"

DIRECTIVES = {
    "language_level": 3,
    "boundscheck": DEBUG,
    "wraparound": DEBUG,
    "initializedcheck": DEBUG,
    "nonecheck": DEBUG,
    "cdivision": True,
    "embedsignature": True,
    "freethreading_compatible": False,
}
# errno and floating-point traps are never looked at; without the first, sqrt is a call.
# -ffast-math stays out: it makes the whole process flush subnormals.
OPTIMIZE = ["-O3", "-fno-math-errno", "-fno-trapping-math", "-g0"]
COMPILE = ["-O1", "-g", "-fno-math-errno"] if DEBUG else OPTIMIZE
LINK = [] if DEBUG or sys.platform == "darwin" else ["-Wl,-s"]
if MSVC:
    COMPILE, LINK = ["/O2"], []

MODULES = ("types", "blas", "table", "executor", "api", "_kernels_base")


def extension(module: str) -> Extension:
    """Return the extension of one module of fastnn._core."""
    return Extension(
        f"fastnn._core.{module}",
        [f"fastnn/_core/{module}.pyx"],
        extra_compile_args=COMPILE,
        extra_link_args=LINK,
        depends=[
            f"fastnn/_core/{name}"
            for name in sorted(os.listdir("fastnn/_core"))
            if name.endswith((".pxi", ".pxd"))
        ],
    )


setup(
    ext_modules=cythonize(
        [extension(module) for module in MODULES],
        compiler_directives=DIRECTIVES,
        annotate=DEBUG,
        build_dir="build/cython",
    )
)
