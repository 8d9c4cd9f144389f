"""The graph column, drawn."""

import pytest

from kitaru.cli.graph import Graph


def draw(*entries):
    graph = Graph(name for name, _ in entries)
    lines = []
    for name, parent in entries:
        above, head, below = graph.add(name, parent)
        lines += [*above, f"{head} {name}", *below]
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("entries", "drawing"),
    [
        ([("c", ""), ("b", ""), ("a", "")], "* c\n* b\n* a"),
        ([("b", "a"), ("a", "")], "* b\n|\n* a"),
        ([("c", "a"), ("b", "a"), ("a", "")], "* c\n| * b\n|/\n* a"),
        ([("c", "a"), ("b", ""), ("a", "")], "* c\n| * b\n* a"),
        ([("d", "a"), ("c", "b"), ("b", "a"), ("a", "")], "* d\n| * c\n| |\n| * b\n|/\n* a"),
        ([("d", "a"), ("c", "b"), ("x", "a"), ("b", ""), ("a", "")], "* d\n| * c\n| | * x\n|_|/\n| * b\n* a"),
        ([("b", "gone"), ("a", "")], "* b\n* a"),
    ],
)
def test_drawing(entries, drawing):
    assert draw(*entries) == drawing


def test_a_freed_lane_is_used_again():
    entries = [("e", "c"), ("d", "a"), ("c", ""), ("b", "a"), ("a", "")]
    assert draw(*entries) == "* e\n| * d\n* | c\n* | b\n|/\n* a"


def test_a_parent_drawn_above_its_branch_draws_nothing():
    assert draw(("a", ""), ("b", "a")) == "* a\n* b"
