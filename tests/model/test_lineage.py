"""Edges drawn from content."""

from __future__ import annotations

import pytest

from kitaru.model.encoding import Encoder
from kitaru.model.folding import add, fold
from kitaru.model.lineage import Edge, is_trivial, lineage
from tests.model.samples import answer, call, end, start, stored, wait

A, B, C, D = (letter * 64 for letter in "abcd")


def edges(records, order, trivial=()):
    state = fold("r", stored(records))
    found = lineage(state, state.calls[order], lambda i: i in trivial)
    return found.up, found.down


def test_an_input_that_equals_an_earlier_output_is_an_edge():
    records = [start(), call(1, "plan", output=A, args={}), call(2, "fetch", output=B, args={"p": A}), end(output=B)]
    assert edges(records, 1) == ([], [Edge("fetch", "output", A)])
    assert edges(records, 2) == ([Edge("plan", "p", A)], [Edge("the flow's result", "output", B)])


def test_trivial_values_make_no_edge():
    records = [start(), call(1, "plan", output=A, args={}), call(2, output=B, args={"p": A})]
    assert edges(records, 2, {A}) == ([], [])
    assert edges(records, 1, {A}) == ([], [])


def test_the_nearest_maker_counts():
    records = [
        start(),
        call(1, "a", output=A),
        call(2, "b", output=A),
        call(3, "c", args={"x": A}),
        call(4, "d", output=A),
    ]
    assert edges(records, 3)[0] == [Edge("b", "x", A)]


def test_saved_artifacts_carry_values_too():
    records = [start(), call(1, "plan", saved={"draft": C}), call(2, args={"d": C, "again": C})]
    assert edges(records, 2)[0] == [Edge("plan", "d", C), Edge("plan", "again", C)]
    assert edges(records, 1)[1] == [Edge("fetch", "draft", C)]


def test_flow_inputs_and_answers_are_sources():
    first = stored([start(), wait(1)])
    first[0].record.inputs = {"question": B}
    records = [first[0].record, first[1].record]
    chained = stored(records)
    state = fold("r", chained)
    for record in stored([answer(chained[1], A), call(2, args={"a": A, "q": B, "other": D})], chained[-1].id):
        add(state, record)
    up = lineage(state, state.calls[2], lambda _: False).up
    assert up == [Edge("answer approve", "a", A), Edge("input question", "q", B)]


def test_before_and_after_follow_call_order_and_not_numbers():
    records = [
        start(),
        call(1, "a", output=A),
        call(2, "b", args={"x": C}),
        call(3, "inserted", output=C, args={"y": A}, after=1),
    ]
    assert edges(records, 2)[0] == [Edge("inserted", "x", C)]
    assert edges(records, 3) == ([Edge("a", "y", A)], [Edge("b", "output", C)])


@pytest.mark.parametrize("value", [None, True, False, 0, -1, 300, 1.5, "", [], (), {}, set(), frozenset(), b"", ...])
def test_values_too_common_to_mean_anything(value):
    assert is_trivial(Encoder().encode(value).objects[-1][1])


@pytest.mark.parametrize("value", ["x", [0], {"a": 1}, 10**6, (None,), b"x", {1}])
def test_values_that_mean_something(value):
    assert not is_trivial(Encoder().encode(value).objects[-1][1])
