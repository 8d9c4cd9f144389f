"""Lines of a run: from its records, and from its calls in flight, each told once."""

from __future__ import annotations

import contextlib
import json

import pytest

import kitaru
from kitaru import checkpoint, flow
from kitaru.errors import UnknownCall
from kitaru.model.ids import CallName
from kitaru.model.records import Begun, Call
from kitaru.project.following import Lines
from kitaru.project.project import Project
from kitaru.store.live import LiveReader, LiveWriter, Piece, path_of


def working():
    @checkpoint
    def work(n):
        for i in range(n):
            print("step", i)
            kitaru.progress("working", current=i + 1, total=n)
        if n == 3:
            raise ValueError("three")
        return n

    @flow
    def body(ask=False):
        work(1)
        kitaru.sleep(1)
        if ask:
            kitaru.wait("approve", "Go?")
        with contextlib.suppress(ValueError):
            work(3)
        return "end"

    return body


def told(lines):
    return [(line.kind, line.call, line.stream, line.text) for line in lines]


def test_all_of_a_run_in_time(bench):
    run = bench.run(working()).run
    state, lines = bench.project.logs(run)
    assert state.run == run
    assert [line.at for line in lines] == sorted(line.at for line in lines)
    assert [(line.kind, line.call) for line in lines] == [
        ("start", ""),
        ("begin", "work"),
        *[("output", "work")] * 2,
        ("end", "work"),
        ("sleep", "kitaru.sleep"),
        ("answer", "kitaru.sleep"),
        ("begin", "work#2"),
        *[("output", "work#2")] * 6,
        ("end", "work#2"),
        ("over", ""),
    ]
    assert lines[-2].data["error"]["message"] == "three"
    assert [line.text for line in lines if line.stream == "progress"] == [
        "working  1/1  100%\n",
        "working  1/3  33%\n",
        "working  2/3  66%\n",
        "working  3/3  100%\n",
    ]


@pytest.mark.parametrize(("call", "labels"), [("work", {"work", "work#2"}), ("work#2", {"work#2"})])
def test_one_call(bench, call, labels):
    run = bench.run(working()).run
    _, lines = bench.project.logs(run, call)
    assert {line.call for line in lines} == labels
    assert told(bench.project.logs(f"{run}:{call}")[1]) == told(lines)


def test_a_call_that_is_not_there(bench):
    run = bench.run(working()).run
    with pytest.raises(UnknownCall):
        bench.project.logs(run, "wrok")


def test_progress_that_says_nothing_new_is_told_once(bench):
    @checkpoint
    def work():
        for i in range(10_000):
            kitaru.progress("working", current=i, total=10_000)

    @flow
    def body():
        work()
        kitaru.progress("in the body")

    ended = bench.run(body)
    assert len(ended.events("progress")) == 100 + 1
    assert ended.events("progress")[-1]["call"] == ""
    assert len(bench.project.logs(ended.run, "work")[1]) == 102


# -- live ------------------------------------------------------------------------------------------


def piece(text, start=0, *, began=5, stream="stdout"):
    return Piece("work", 1, began, stream, start, 7, text)


def call(value=None, *, began=5):
    return Call(9, "work", 1, began, logs=value)


def recorded_number(flow, version):
    return version["n"]


class Stored:
    def __init__(self, record):
        self.record, self.id = record, "r"


@pytest.fixture
def lines():
    logs = [(0, "stdout", "one\n"), (1, "stderr", "oops\n"), (2, "stdout", "two\nthree\n")]
    return Lines(lambda _: logs, None, recorded_number)


def test_what_was_told_in_flight_is_not_told_again(lines):
    assert told(lines.live(piece("one\n"))) == [("begin", "work", "", ""), ("output", "work", "stdout", "one\n")]
    assert told(lines.live(piece("two\n", 4))) == [("output", "work", "stdout", "two\n")]
    assert told(lines.recorded([Stored(call("logs"))])) == [
        ("output", "work", "stderr", "oops\n"),
        ("output", "work", "stdout", "three\n"),
        ("end", "work", "", ""),
    ]
    assert told(lines.live(piece("two\n", 4))) == []


def test_what_the_record_of_its_beginning_told_is_not_told_again(lines):
    assert told(lines.recorded([Stored(Begun(6, "work", 1, 5))])) == [("begin", "work", "", "")]
    assert told(lines.live(piece("one\n"))) == [("output", "work", "stdout", "one\n")]


def test_output_that_was_lost_in_between_is_told_to_be(lines):
    list(lines.live(piece("one\n")))
    assert told(lines.live(piece("three\n", 8))) == [
        ("lost", "work", "stdout", ""),
        ("output", "work", "stdout", "three\n"),
    ]


def test_an_attempt_is_told_from_the_one_before(lines):
    list(lines.live(piece("one\n")))
    list(lines.recorded([Stored(call("logs"))]))
    assert told(lines.live(piece("one\n", began=8))) == [
        ("begin", "work", "", ""),
        ("output", "work", "stdout", "one\n"),
    ]


def test_only_what_is_wanted():
    lines = Lines(lambda _: [(0, "stdout", "one\n")], CallName("other"), recorded_number)
    assert told(lines.live(piece("one\n"))) == []
    assert told(lines.recorded([Stored(call("logs"))])) == []


@pytest.mark.parametrize("logs", [None, 17, "text", [1, 2], [(0, "stdout")], [("0", "stdout", "x")], {"a": 1}])
def test_recorded_output_of_another_form_is_left_out(logs):
    lines = Lines(lambda _: logs, None, recorded_number)
    assert [line.kind for line in lines.recorded([Stored(call("logs"))])] == ["begin", "end"]


def test_following_a_run_to_its_end(tmp_path):
    """Each look is between two steps of the run, which the follower's rest lets it take."""
    project = Project.init(tmp_path)
    steps = iter(working_steps(project))
    follower = project.follow(next(steps))
    follower._rest = lambda _: next(steps)
    found = [line for look in follower.lines() for line in look]
    assert [(line.kind, line.text) for line in found] == [
        ("start", "demo v1"),
        ("begin", ""),
        ("output", "one\n"),
        ("output", "two\n"),
        ("end", ""),
        ("over", "completed"),
    ]
    assert follower.state.end is not None


def working_steps(project):
    from kitaru.model.records import End, Start

    with project.repo.begin("gansrun234") as writer:
        writer.commit(Start(1, flow="demo", version={"n": 1, "id": "0" * 64}, inputs={}))
        yield "gansrun234"
        live = LiveWriter(path_of(project.repo.blobs, "gansrun234"))
        live.add(Piece("work", 1, 5, "stdout", 0, 6, "one\n"))
        yield
        yield
        logs = project.values.encode([(1, "stdout", "one\n"), (2, "stdout", "two\n")], set(), "logs")
        writer.commit(Call(9, "work", 1, 5, logs=logs.id), logs.objects)
        live.close()
        yield
        writer.commit(End(10, "completed"))
        writer.seal()
    while True:
        yield


def test_a_run_that_waits_ends_it_unless_it_is_to_be_waited_for(bench):
    code = working()
    run = bench.run(code, ask=True).run
    found = [line for look in bench.project.follow(run).lines() for line in look]
    assert found[-1].kind == "wait"
    follower = bench.project.follow(run, wait=True)
    follower._rest = lambda _: bench.answer(run, True, _code=code) if follower.state.end is None else None
    assert [line for look in follower.lines() for line in look][-1].text == "completed"


def test_the_side_file_is_there_while_a_call_writes_and_then_no_more(tmp_path):
    project = Project.init(tmp_path)
    seen = []

    @checkpoint
    def work():
        print("in flight")
        path = path_of(project.repo.blobs, kitaru.current_call().run)
        seen.append((path, [p.text for p in LiveReader(path).read()]))

    @checkpoint
    def silent():
        seen.append(list((tmp_path / ".kitaru/cache").glob("live/*")))

    @flow
    def body():
        silent()
        work()

    run = project.run(body, {}, foreground=True).exec_id
    assert seen[0] == []
    assert seen[1][1] == ["in flight\n"]
    assert not seen[1][0].exists()
    assert json.dumps(told(project.logs(run, "work")[1])).count("in flight") == 1
