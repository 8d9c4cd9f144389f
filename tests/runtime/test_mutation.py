"""Arguments that a checkpoint changes in place: a resumed run would not see the change, so it is told."""

from __future__ import annotations

import threading

import pytest

from kitaru import checkpoint, flow


def call_with(bench, fn, *values):
    @flow
    def body():
        return fn(*values)

    ended = bench.run(body)
    (event,) = ended.events("call")
    (view,) = ended.state.calls.values()
    assert event["mutated"] == view.record.mutated
    return ended, view.record.mutated


@pytest.mark.parametrize(
    ("value", "change"),
    [
        ([1], lambda v: v.append(2)),
        ({"a": [1]}, lambda v: v["a"].append(2)),
        ({1}, lambda v: v.add(2)),
        (bytearray(b"x"), lambda v: v.extend(b"y")),
        (([1],), lambda v: v[0].append(2)),
        ({"a": 1, "b": 2}, lambda v: v.update(a=v.pop("a"))),
        ([1], lambda v: v.append(threading.Lock())),
    ],
    ids=["list", "nested", "set", "bytearray", "in a tuple", "order of a dict", "no longer storable"],
)
def test_a_change_is_told(bench, value, change):
    @checkpoint
    def step(kept, changed):
        change(changed)
        return 1

    ended, mutated = call_with(bench, step, [0], value)
    assert mutated == ["changed"]
    assert ended.status == "completed"


def test_what_is_not_changed_is_not_told(bench):
    @checkpoint
    def step(a, b, c=None):
        b = [*b, 1]
        a += 1
        return [a, b]

    assert call_with(bench, step, 1, [0])[1] == []


def test_a_change_before_a_failure_is_told_too(bench):
    @checkpoint
    def step(items):
        items.append(1)
        raise ValueError

    ended, mutated = call_with(bench, step, [])
    assert ended.status == "failed"
    assert mutated == ["items"]


def test_ignored_arguments_may_change(bench):
    @checkpoint(ignore="items")
    def step(items):
        items.append(1)

    assert call_with(bench, step, [])[1] == []


def test_a_mutable_default_is_an_argument_like_any_other(bench):
    @checkpoint
    def step(items=[]):  # noqa: B006 - the point of it
        items.append(1)

    assert call_with(bench, step)[1] == ["items"]


def test_what_is_recorded_is_the_argument_as_it_was_passed(bench):
    @checkpoint
    def step(items):
        items.append("added")
        return items

    ended, _ = call_with(bench, step, ["first"])
    (view,) = ended.state.calls.values()
    assert bench.project.value(view.record.args["items"]) == ["first"]
    assert bench.project.value(view.record.output) == ["first", "added"]
