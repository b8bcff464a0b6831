"""Training that goes on in another process equals training that was left alone, bit for bit.

Every optimizer, schedule, callback with a memory, average, sum of gradients and layer with a memory: each
two of them in some case, or all combinations with FASTNN_WHOLE.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import resumed
from cases import pairwise

from fastnn import optimizers
from fastnn.optimizers import schedules

CASES = [
    " ".join(row)
    for row in pairwise(resumed.OPTIMIZERS, resumed.RATES, resumed.MEMORIES, resumed.OPTIONS, resumed.WAYS)
]


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Any, Any]]:
    """Return the outcomes of all cases, of runs left alone and of runs that went on in one other process."""
    whole, cut = tmp_path_factory.mktemp("whole"), tmp_path_factory.mktemp("cut")
    alone = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda descriptor: None)
        for number, case in enumerate(CASES):
            for folder in (whole, cut):
                (folder / str(number)).mkdir()
            alone[case] = resumed.uninterrupted(case, whole / str(number))
            resumed.begin(case, cut / str(number))
    (cut / "cases.json").write_text(json.dumps(CASES))
    script = Path(resumed.__file__)
    done = subprocess.run(
        [sys.executable, str(script), str(cut)], capture_output=True, text=True, check=False, timeout=7200
    )
    assert done.returncode == 0, done.stderr
    later = json.loads((cut / "outcomes.json").read_text())
    # Both as JSON has them.
    return {case: (json.loads(json.dumps(alone[case])), later[case]) for case in CASES}


@pytest.mark.parametrize("case", CASES)
def test_a_run_that_goes_on_equals_one_that_was_left_alone(case: str, outcomes: dict[str, Any]) -> None:
    alone, later = outcomes[case]
    assert later["epochs"][0] == resumed.MIDDLE
    assert later == alone
    if " stopping " in case:
        assert alone["epochs"] == [resumed.MIDDLE, resumed.MIDDLE + 1]


def test_the_table_is_whole() -> None:
    """Whoever adds an optimizer or a schedule adds it there."""
    rules = {rule for rule, _ in resumed.OPTIMIZERS.values()}
    assert rules == set(optimizers._CLASSES)
    made = {type(rate) for rate in resumed.RATES.values() if rate is not None}
    known = {getattr(schedules, name) for name in schedules.__all__ if not name.endswith("serialize")}
    assert made == known - {schedules.LearningRateSchedule}
