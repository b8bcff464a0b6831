"""Mutated plans: what verification lets pass is run in another process, between guard words.

See `stress/plans.py`.
"""

from __future__ import annotations

from loaded import load

stress = load("stress", "plans.py")


def test_mutated_plans_are_refused_or_harmless() -> None:
    counts = stress.examine(range(3000), seed=1)
    assert counts["mutants"] == counts["refused"] + counts["accepted"] == 3000
    assert counts["run"] > 300
    assert counts["refused"] > 1000


def test_a_mutant_is_always_the_same() -> None:
    plans = [stress.mutant(3, number) for number in range(50)]
    assert [str(again) for again in map(stress.mutant, [3] * 50, range(50))] == [str(plan) for plan in plans]
    assert len({note for _, note in plans}) == 50
