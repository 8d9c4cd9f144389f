"""What the reading verbs tell: runs, waits, values, lineage, and a status that is true now."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

import kitaru
from kitaru import Opaque, checkpoint, flow
from kitaru.errors import UnknownRun
from kitaru.model.encoding import Decoder
from kitaru.testing import FixedClock, memory_project
from tests.runtime.bench import Bench


@dataclass
class Plan:
    queries: list


@checkpoint
def plan(question):
    return Plan([question])


@checkpoint
def use(made, extra):
    return [made.queries, extra]


def making(how="done"):
    @flow
    def body(question="why"):
        found = use(plan(question), None)
        if how == "ask":
            return kitaru.wait(f"about-{question}")
        if how == "fail":
            raise ValueError("no luck")
        if how == "crash":
            raise KeyboardInterrupt
        return found

    return body


def test_the_log_is_newest_first_and_filtered(bench):
    runs = {how: bench.run(making(how)).run for how in ("done", "ask", "fail", "crash")}

    @flow
    def other():
        return 1

    runs["other"] = bench.project.run(other, {}, tags=["x", "y"], foreground=True).exec_id
    project = bench.project
    assert [s.run for s in project.log()] == list(reversed(runs.values()))
    assert [s.status for s in project.log()] == ["completed", "interrupted", "failed", "waiting", "completed"]
    assert [s.run for s in project.log(flow="other")] == [runs["other"]]
    assert [s.run for s in project.log(status="interrupted")] == [runs["crash"]]
    assert [s.run for s in project.log(tags=["y"])] == [runs["other"]]
    assert project.log(tags=["y", "z"]) == []
    assert [s.run for s in project.log(limit=2)] == [runs["other"], runs["crash"]]
    assert project.log(limit=0) == []
    since = project.log()[1].started
    assert [s.run for s in project.log(since_us=since)] == [runs["other"], runs["crash"]]
    assert [s.run for s in project.log(status="completed", flow="other")] == [runs["other"]]
    assert project.log_page(1, status="completed", count=True)[1] == 1
    open_ones, total = project.unfinished()
    assert ([s.status for s in open_ones], total) == (["interrupted", "failed", "waiting"], 5)
    failed = project.log(status="failed")[0]
    assert (failed.flow, failed.calls, failed.error) == ("body", 2, "no luck")


def test_open_waits_oldest_first(tmp_path):
    clock = FixedClock()
    bench = Bench(tmp_path)
    bench.project = memory_project(tmp_path, clock=clock)
    code = making("ask")
    first = bench.run(code, question="first").run
    clock.advance(60)
    second = bench.run(code, question="second").run
    assert [(w.state.run, w.view.label) for w in bench.project.waits()] == [
        (first, "about-first"),
        (second, "about-second"),
    ]
    bench.answer(first, True, None, code)
    assert [w.state.run for w in bench.project.waits()] == [second]


def test_values_of_classes_that_are_not_here_are_shown_all_the_same(bench, monkeypatch):
    ended = bench.run(making())
    output = ended.state.calls[1].record.output
    assert bench.project.value(output) == Plan(["why"])
    monkeypatch.delitem(globals(), "Plan")
    shown = bench.project.value(output, ended.run)
    assert isinstance(shown, Opaque)
    assert shown.fields == {"queries": ["why"]}


def test_lineage_leaves_out_what_is_trivial(bench):
    ended = bench.run(making())
    lineage = bench.project.lineage(ended.state, ended.state.calls[2])
    assert [(e.label, e.name) for e in lineage.up] == [("plan", "made")]
    assert [(e.label, e.name) for e in lineage.down] == [("the flow's result", "output")]
    above = bench.project.lineage(ended.state, ended.state.calls[1])
    assert [(e.label, e.name) for e in above.up] == [("input question", "question")]


def test_the_lineage_of_what_a_branch_shares(bench):
    source = bench.run(making())
    ended = bench.replay(source.run, making(), from_="use")
    lineage = bench.project.lineage(ended.state, ended.state.calls[2])
    assert [(e.label, e.name) for e in lineage.up] == [("plan", "made")]


def test_an_unknown_run(bench):
    with pytest.raises(UnknownRun):
        bench.project.state("zzzzzzzzzz")


def test_the_version_that_a_run_executed(bench):
    ended = bench.run(making())
    version = bench.project.version(ended.state.version)
    assert version["entry"]["qualname"].endswith("body")
    assert version["inputs"]["properties"]["question"]["default"] == "why"


@pytest.mark.parametrize("verb", ["state", "log"])
def test_a_run_that_ends_between_two_looks_is_not_called_interrupted(bench, monkeypatch, verb):
    """Its records are read while it executes, and its lock is looked at when it has ended."""
    project = bench.project
    told = []

    @checkpoint
    def step():
        told.append(project.repo.records(project.find_run("@")))

    @flow
    def body():
        step()

    run = bench.run(body).run
    early, records = told[0], project.repo.records
    looks = iter([early])
    if verb == "state":
        monkeypatch.setattr(project.repo, "records", lambda run: next(looks, None) or records(run))
        assert project.state(run).status == "completed"
    else:
        from kitaru.model.summary import summarize

        monkeypatch.setattr(project, "_summaries", lambda: [summarize(run, early)])
        (summary,) = project.log()
        assert (summary.status, summary.calls) == ("completed", 1)
        assert summary.ended > 0


def test_fsck_of_what_runs_leave_behind(bench):
    code = making("ask")
    source = bench.run(code)
    bench.answer(source.run, True, None, code)
    bench.replay(source.run, code, from_="use", answers={"about-why": True})
    bench.run(making("crash"))
    bench.run(making("fail"))
    report = bench.project.check()
    assert report.is_clean
    assert report.runs == 4


def test_listing_runs_and_their_calls_and_waits_decodes_no_value(bench, monkeypatch):
    runs = [bench.run(making(how)).run for how in ("done", "ask", "fail")]
    decoded = []
    decode = Decoder.decode
    monkeypatch.setattr(Decoder, "decode", lambda self, i: decoded.append(i) or decode(self, i))
    monkeypatch.setattr(Decoder, "decode_together", lambda self, ids: decoded.extend(ids))
    project = bench.project
    assert len(project.log()) == 3
    states = [project.state(run) for run in runs]
    assert [len(state.calls) for state in states] == [2, 2, 2]
    assert len(project.waits()) == 1
    for state in states:
        project.lineage(state, state.calls[2])
    assert decoded == []
    call = states[0].calls[2].record
    assert project.value(call.output, runs[0]) == [["why"], None]
    assert decoded == [call.output]
