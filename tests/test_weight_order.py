"""The order of layers and weights, which is Keras's whatever the order of drawing."""

from __future__ import annotations

import pytest

from fastnn.graph import by_depth, walk

# -- the order as such


def by_name(made_of: dict[str, str], ends: str, owners: dict[str, str] | None = None) -> str:
    known = owners or {}
    return "".join(by_depth(ends, lambda node: made_of.get(node, ""), lambda node: known.get(node, node)))


@pytest.mark.parametrize(
    ("made_of", "ends", "expected"),
    [
        ({"y": "ab", "a": "x", "b": "x"}, "y", "xaby"),  # of one depth: as they are read
        ({"y": "ba", "a": "x", "b": "x"}, "y", "xbay"),
        ({"y": "ac", "a": "x", "c": "b", "b": "x"}, "y", "xbacy"),  # the longest way counts
        ({"y": "ab", "b": "a", "a": "x"}, "y", "xaby"),
        ({"z": "x", "y": "a", "a": "x"}, "zy", "xazy"),  # several ends
        ({"z": "x", "y": "a", "a": "x"}, "yz", "xayz"),
        ({"y": "a", "a": "x"}, "ya", "xay"),  # an end on the way to another
        ({}, "ab", "ab"),
    ],
)
def test_owners_stand_by_depth_and_then_as_they_are_met(
    made_of: dict[str, str], ends: str, expected: str
) -> None:
    assert by_name(made_of, ends) == expected


def test_an_owner_of_several_nodes_stands_where_the_deepest_does() -> None:
    made_of = {"y": "1c", "c": "b", "b": "2", "1": "x", "2": "x"}
    assert by_name(made_of, "y", {"1": "s", "2": "s"}) == "xsbcy"
    # What a use is made of is at least as deep as that of the uses that are met after it, not before it.
    made_of = {"y": "1d", "d": "c", "c": "2", "2": "q", "1": "p"}
    assert by_name(made_of, "y", {"1": "s", "2": "s"}) == "pqscdy"
    made_of["y"] = "d1"
    assert by_name(made_of, "y", {"1": "s", "2": "s"}) == "qscpdy"
    nodes = by_depth("y", lambda node: made_of.get(node, ""), lambda node: "s" if node in "12" else node)
    assert nodes["s"] == ["2", "1"]


def test_a_step_may_be_longer_than_another() -> None:
    made_of = {"y": "ac", "a": "b", "b": "", "c": "d", "d": ""}
    steps = {"a": 0.5, "c": 1.0}
    found = by_depth("y", lambda node: made_of[node], str, lambda node: steps.get(node, 1.0))
    assert "".join(found) == "dbacy"


def test_deep_graphs_do_not_recurse() -> None:
    entered, left = walk([50_000], lambda node: [node - 1] if node else [])
    assert entered == left[::-1] == list(range(50_000, -1, -1))
    assert list(by_depth([50_000], lambda node: [node - 1] if node else [], int)) == left
