"""`kitaru.log`, `kitaru.save`, `kitaru.load`: the same live and resumed."""

from __future__ import annotations

import threading

import pytest

import kitaru
from kitaru import checkpoint, flow
from kitaru.errors import Unencodable, UnknownCall, UsageError, WaitOutsideFlow


def test_metadata_of_a_call_and_of_the_run(bench):
    @checkpoint
    def ask():
        kitaru.log(tokens=1, model="m")
        kitaru.log(tokens=2)
        return 1

    @flow
    def body():
        kitaru.log(phase="first")
        return ask()

    ended = bench.run(body)
    call = ended.state.calls[1].record
    assert bench.project.value(call.metadata) == {"tokens": 2, "model": "m"}
    assert [bench.project.value(n.data["value"]) for n in ended.state.notes] == [{"phase": "first"}]


def test_the_body_says_it_once_though_it_runs_again(bench):
    def make(*, crash):
        @checkpoint
        def ask():
            if crash:
                raise KeyboardInterrupt

        @flow
        def body():
            kitaru.log(phase="first")
            ask()
            kitaru.log(phase="second")

        return body

    run = bench.run(make(crash=True)).run
    ended = bench.resume(run, make(crash=False))
    assert [bench.project.value(n.data["value"]) for n in ended.state.notes] == [
        {"phase": "first"},
        {"phase": "second"},
    ]


def test_what_cannot_be_stored_is_said_at_once(bench):
    told = []

    @checkpoint
    def ask():
        for say in (lambda: kitaru.log(lock=threading.Lock()), lambda: kitaru.save("lock", [threading.Lock()])):
            with pytest.raises(Unencodable) as caught:
                say()
            told.append(caught.value.path)
        return 1

    @flow
    def body():
        return ask()

    assert bench.run(body).value == 1
    assert told == ["lock", "lock[0]"]


def drafts(seen, *, crash=False):
    @checkpoint
    def write(text):
        kitaru.save("draft", text)
        return 1

    @checkpoint
    def read():
        return kitaru.load("draft")

    @checkpoint
    def last():
        if crash:
            raise KeyboardInterrupt

    @flow
    def body():
        write("one")
        seen.append(kitaru.load("draft"))
        write("two")
        seen.append(kitaru.load("draft"))
        read()
        last()

    return body


def test_load_finds_what_was_saved_so_far_also_when_more_is_recorded(bench):
    seen = []
    first = bench.run(drafts(seen, crash=True))
    assert seen == ["one", "two"]
    assert bench.resume(first.run, drafts(seen)).status == "completed"
    assert seen == ["one", "two"] * 2
    ended = bench.replay(first.run, drafts(seen), from_="last")
    assert ended.status == "completed"
    assert seen == ["one", "two"] * 3
    assert bench.project.value(ended.state.calls[3].record.output, ended.run) == "two"


def test_load_of_what_nobody_saved(bench):
    @checkpoint
    def write():
        kitaru.save("draft", 1)
        with pytest.raises(UnknownCall):
            kitaru.load("draft")  # a call's own artifacts are the run's when it is finished

    @flow
    def body():
        write()
        return kitaru.load("darft")

    ended = bench.run(body)
    assert isinstance(ended.error.__cause__, UnknownCall)
    assert "draft" in ended.error.hint


def test_artifacts_survive_a_failing_call(bench):
    @checkpoint
    def write():
        kitaru.save("draft", ["kept"])
        raise ValueError

    @flow
    def body():
        try:
            write()
        except ValueError:
            return kitaru.load("draft")

    assert bench.run(body).value == ["kept"]


def test_where_they_may_not_be_used(bench):
    with pytest.raises(WaitOutsideFlow):
        kitaru.log(a=1)
    with pytest.raises(UsageError, match="no checkpoint"):
        kitaru.save("a", 1)

    @flow
    def body():
        kitaru.save("a", 1)

    ended = bench.run(body)
    assert "save from inside a checkpoint" in ended.error.hint
