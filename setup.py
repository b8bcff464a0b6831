"""Builds the Cython extensions: directives and compiler flags, in this one place.

`FASTNN_SIMD_LEVELS=base,v3` builds kernels of these SIMD levels only, of base, v3 and v4; base is
always built.

`FASTNN_DEBUG=1` gives a checked build: bounds, wraparound, None and overflow checks on, no
optimisation, debug symbols.

`FASTNN_SANITIZE=thread` or `address` gives a build that reports data races, or wrong addresses and
undefined behaviour, for `.ci/sanitize`.  `FASTNN_DELAYS=1` defines FASTNN_DELAYS, with which threads
of a team pause where others may come in between.
"""

import os
import sys
import sysconfig

from Cython.Build import cythonize
from setuptools import Extension, setup

DEBUG = os.environ.get("FASTNN_DEBUG", "") not in ("", "0")
SANITIZE = os.environ.get("FASTNN_SANITIZE", "")
DELAYS = os.environ.get("FASTNN_DELAYS", "") not in ("", "0")
SIMD_LEVELS = os.environ.get("FASTNN_SIMD_LEVELS", "base,v3,v4").split(",")
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
SANITIZERS = {
    "thread": ["-fsanitize=thread"],
    "address": ["-fsanitize=address,undefined,float-cast-overflow", "-fno-sanitize-recover=all"],
}
if SANITIZE:
    if SANITIZE not in SANITIZERS:
        sys.exit(f"FASTNN_SANITIZE must be one of {', '.join(SANITIZERS)}, got {SANITIZE!r}")
    # Not stripped, and without inlining that hides who called.
    COMPILE = ["-O1", "-g", "-fno-omit-frame-pointer", "-fno-math-errno", *SANITIZERS[SANITIZE]]
    LINK = SANITIZERS[SANITIZE]

# One source, compiled once per SIMD level; table.pyx picks the best one that the machine can run.
# Loops of 16 must reach the vectoriser whole (lane sums, see simd_math.pxi); gcc would unroll them before.
# They begin at 32 bytes, wherever the code before them ends: on one thread of a Zen 3 (AVX2) a step of
# policy64 was 1.05 times as fast, of smallmlp 1.06, of the other workloads 0.97 to 1.04, which is its noise.
GCC = ["--param=max-completely-peel-times=8", "-falign-loops=32"] if sys.platform == "linux" else []
AVX2 = ["-mavx", "-mavx2", "-mfma", "-mbmi", "-mbmi2"]
AVX512 = ["-mavx512f", "-mavx512cd", "-mavx512bw", "-mavx512dq", "-mavx512vl", "-mprefer-vector-width=512"]
LEVELS = {"_kernels_base": GCC}
X86 = {"v3": GCC + AVX2, "v4": GCC + AVX2 + AVX512}
if unknown := set(SIMD_LEVELS) - {"base", *X86}:
    sys.exit(f"FASTNN_SIMD_LEVELS names {', '.join(('base', *X86))}, got {', '.join(sorted(unknown))}")
if sysconfig.get_platform().endswith("x86_64") and not MSVC:
    LEVELS |= {f"_kernels_{level}": flags for level, flags in X86.items() if level in SIMD_LEVELS}

SHARED = "fastnn._core._cython"  # what Cython needs for memoryviews, once instead of in each module

MODULES = LEVELS | {
    name: [] for name in ("types", "blas", "table", "guards", "pool", "executor", "few_rows", "seeds", "api")
}


def extension(module: str, flags: list[str]) -> Extension:
    """Return the extension of one module of fastnn._core."""
    # All of them also go into source distributions, which would else hold none.
    sources = [
        name for name in sorted(os.listdir("fastnn/_core")) if name.endswith((".pyx", ".pxi", ".pxd", ".h"))
    ]
    return Extension(
        f"fastnn._core.{module}",
        [f"fastnn/_core/{module}.pyx"],
        include_dirs=["."],
        define_macros=[("FASTNN_DELAYS", "1")] if DELAYS else [],
        extra_compile_args=[*COMPILE, *flags],
        extra_link_args=LINK,
        depends=[f"fastnn/_core/{name}" for name in sources],
    )


setup(
    ext_modules=cythonize(
        [
            *(extension(module, flags) for module, flags in MODULES.items()),
            Extension(
                SHARED, [SHARED.replace(".", "/") + ".c"], extra_compile_args=COMPILE, extra_link_args=LINK
            ),
        ],
        shared_utility_qualified_name=SHARED,
        nthreads=(os.cpu_count() or 1) if sys.platform == "linux" else 0,
        compiler_directives=DIRECTIVES,
        annotate=DEBUG,
        emit_linenums=bool(SANITIZE),  # reports then name lines of ours, not of generated C
        build_dir="build/cython",
    ),
    options={"build_ext": {"parallel": os.cpu_count()}},
)
