"""Two runs compared: what differs is told, what is shared is not even read."""

from __future__ import annotations

import pytest

import kitaru
from kitaru import checkpoint, flow
from kitaru.errors import UnknownCall, UsageError
from kitaru.runtime.difference import MISSING


@checkpoint
def write(topic, style="plain"):
    kitaru.log(tokens=len(topic), model="scripted")
    return {"title": topic, "steps": [{"n": n, "text": f"{topic} {n}"} for n in range(3)]}


@checkpoint
def check(text):
    if text["title"] == "bad":
        raise ValueError("not good")
    return len(text["steps"])


@flow
def report(topic="one", items=2, ask=False):
    found = [check(write(f"{topic}-{n}")) for n in range(items)]
    if topic == "bad":
        check({"title": "bad", "steps": []})
    if ask:
        kitaru.wait("go", topic)
    return found


@pytest.fixture
def diff(bench):
    def compare(old, new=None, **options):
        found = bench.project.diff(old, new, **options)
        told = []
        for step in found.steps:
            what = [f.what for f in step.facts] + [v.title for v in step.values]
            told.append(f"{(step.new or step.old).label} {step.kind} {', '.join(what)}".strip())
        return found, told

    return compare


def test_equal_runs_do_not_differ(bench, diff):
    first, second = bench.run(report), bench.run(report)
    found, told = diff(first.run, second.run)
    assert not found.differs
    assert told == ["write same", "check same", "write#2 same", "check#2 same"]


def test_what_differs(bench, diff):
    first, second = bench.run(report), bench.run(report, topic="two", items=3)
    found, told = diff(first.run, second.run)
    assert found.differs
    assert [v.title for v in found.values] == ["input items", "input topic", "output"]
    assert told == [
        "write changed argument topic, output",
        "check changed argument text",
        "write#2 changed argument topic, output",
        "check#2 changed argument text",
        "write#3 added",
        "check#3 added",
    ]


def test_the_parts_that_differ(bench, diff):
    first, second = bench.run(report), bench.run(report, topic="two")
    found, _ = diff(first.run, second.run, call="write#2")
    output = next(v for v in found.steps[0].values if v.what == "output")
    parts = bench.project.differing_parts(output, found)
    assert [part.path for part in parts.found][:2] == ["output['title']", "output['steps'][0]['text']"]
    assert (parts.found[0].was, parts.found[0].now, parts.more) == ("one-1", "two-1", False)
    added = bench.project.differing_parts(found.steps[0].values[0], found, limit=1)
    assert added.found[0].path == "topic"


def test_a_value_of_one_side_only(bench, diff):
    first, second = bench.run(report, topic="bad"), bench.run(report)
    found, _ = diff(first.run, second.run)
    assert {f.what: (f.was, f.now) for f in found.facts} == {
        "status": ("failed", "completed"),
        "error": ("ValueError: not good", ""),
    }
    output = next(v for v in found.values if v.what == "output")
    parts = bench.project.differing_parts(output, found)
    assert parts.found[0].was is MISSING


def test_a_replay_is_compared_with_its_source_and_what_they_share_is_not_read(bench, diff):
    first = bench.run(report)
    second = bench.replay(first.run, set={"write#2": {"title": "x", "steps": []}})
    read = []
    fetch = bench.project.repo.object
    bench.project.repo.object = lambda object_id, runs=(): read.append(object_id) or fetch(object_id, runs)
    found, told = diff(second.run)
    assert (found.old.run, found.new.run) == (first.run, second.run)
    assert told == [
        "write same",
        "check same",
        "write#2 changed output, metadata",
        "check#2 changed argument text, output",
    ]
    assert read == []
    with pytest.raises(UsageError, match="branched from no other"):
        diff(first.run)


def test_objects_that_both_values_share_are_read_once(bench, diff):
    @checkpoint
    def grow(history):
        return [*history, {"role": "user", "content": "x" * 2000 + str(len(history))}]

    @flow
    def talk(turns=20, last="a"):
        history = []
        for _ in range(turns):
            history = grow(history)
        return [*history, last]

    first, second = bench.run(talk), bench.run(talk, last="b")
    found, _ = diff(first.run, second.run)
    output = next(v for v in found.values if v.what == "output")
    read = []
    fetch = bench.project.repo.object
    bench.project.repo.object = lambda object_id, runs=(): read.append(object_id) or fetch(object_id, runs)
    del bench.project.values
    parts = bench.project.differing_parts(output, found)
    assert [(p.path, p.was, p.now) for p in parts.found] == [("output[20]", "a", "b")]
    assert len(read) == len(set(read)) > 20


def test_numbers_that_calls_noted(bench, diff):
    first, second = bench.run(report, topic="one"), bench.run(report, topic="three")
    found, _ = diff(first.run, second.run)
    assert bench.project.numbers(found) == {"tokens": (10, 14)}


def test_two_calls(bench, diff):
    run = bench.run(report).run
    _, told = diff(f"{run}:write", f"{run}:write#2")
    assert told == ["write#2 changed argument topic, output"]
    other = bench.run(report, topic="two").run
    assert diff(f"{run}:write#2", other)[1] == told
    with pytest.raises(UnknownCall):
        diff(f"{run}:nothing", other)
    with pytest.raises(UnknownCall):
        diff(run, other, call="nothing")


def test_waits_and_their_answers(bench, diff):
    first, second = bench.run(report, ask=True), bench.run(report, ask=True)
    bench.answer(first.run, True)
    assert diff(first.run, second.run)[1][-1] == "go changed state, answer"
    bench.answer(second.run, False, by="bob")
    found, told = diff(first.run, second.run)
    assert told[-1] == "go changed answered by, answer"
    assert [v.title for v in found.values] == []
    third = bench.run(report, topic="two", ask=True)
    assert "question" in diff(first.run, third.run)[1][-1]
    with pytest.raises(UsageError, match="a call and a wait"):
        diff(f"{first.run}:go", f"{first.run}:write")


def test_changed_code_of_a_checkpoint(bench, diff):
    def coded(n):
        if n:

            @checkpoint(name="step")
            def step():
                return 1

        else:

            @checkpoint(name="step")
            def step():
                one = 1
                return one

        @flow
        def body():
            return step()

        return body

    first, second = bench.run(coded(0)), bench.run(coded(1))
    assert diff(first.run, second.run)[1] == ["step changed code"]
