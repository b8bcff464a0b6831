"""scikit-learn's own tests of its perceptrons, run with fastnn's in their place."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

PACKAGE = Path(__file__).parent


def test_the_tests_of_scikit_learn_pass(peer: Any, tmp_path: Path) -> None:
    peer("sklearn")
    import fastnn

    paths = [str(Path(fastnn.__file__).parents[1]), str(PACKAGE), os.environ.get("PYTHONPATH", "")]
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "sklearn_swap", "-rf", "-v"]
    done = subprocess.run(
        [*command, "--pyargs", "sklearn.neural_network.tests.test_mlp"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths))},
        capture_output=True,
        text=True,
        timeout=1500,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]
    counts = dict(re.findall(r"(\d+) (passed|failed|skipped|error)", done.stdout.splitlines()[-1]))
    names = set(re.findall(r"::(test_\w+)", done.stdout))
    assert set(counts.values()) == {"passed"}
    assert len(names) >= 30  # 43 in version 1.9
    assert {"test_fit", "test_gradient", "test_partial_fit_classification"} <= names
