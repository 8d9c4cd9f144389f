"""The open questions as plain data: what is looked at again, whom an answer goes to, what values become."""

from typing import Annotated

import pytest
from pydantic import BaseModel, Field

import kitaru
from kitaru import checkpoint, flow
from kitaru.errors import AlreadyAnswered, InvalidAnswer, UnknownRun, UnknownWait
from kitaru.project import Project
from kitaru.project.inbox import Inbox
from kitaru.project.questions import bounded_plain, usage_of
from kitaru.testing import FixedClock, memory_project


class Size(BaseModel):
    width: Annotated[float, Field(ge=0.5)] = 1.5


@checkpoint
def spend(n: int) -> str:
    kitaru.log(usage={"cost": 0.25, "total_tokens": n})
    return "done"


@flow
def approve(name: str = "ok", text: str = "Is it?") -> bool:
    spend(7)
    return kitaru.wait(name, question=text, schema=bool, metadata={"who": "ada"})


@flow
def measure() -> float:
    return kitaru.wait("size", question="How large?", schema=Size).width


@pytest.fixture
def project():
    return memory_project(clock=FixedClock())


def inbox_of(project, only=""):
    carried = []
    return Inbox(project, only, carried.append), carried


def start(project, what=approve, **inputs):
    return project.run(what, inputs, foreground=True).exec_id


def test_questions_come_oldest_first(project):
    runs = [start(project), start(project)]
    inbox, _ = inbox_of(project)
    assert [(q.run, q.wait, q.flow, q.head, q.is_approval) for q in inbox.questions()] == [
        (run, "ok", "approve", "Is it?", True) for run in runs
    ]


def test_a_run_that_did_not_change_is_not_read_again(project, monkeypatch):
    start(project)
    inbox, _ = inbox_of(project)
    before = inbox.questions()
    read = []
    state = project.state
    monkeypatch.setattr(project, "state", lambda run: read.append(run) or state(run))
    assert inbox.questions() == before
    assert read == []
    new = start(project)
    read.clear()
    assert [q.run for q in inbox.questions()] == [before[0].run, new]
    assert read == [new]


def test_an_answered_question_is_open_no_more(project):
    first, second = start(project), start(project)
    inbox, carried = inbox_of(project)
    inbox.answer(inbox.questions()[0], True, note="why not")
    assert [q.run for q in inbox.questions()] == [second]
    assert carried == [first]
    project.resume(first, foreground=True)
    assert [q.run for q in inbox.questions()] == [second]


def test_an_answer_goes_to_the_question_that_was_read(project):
    run = start(project)
    inbox, carried = inbox_of(project)
    [old] = inbox.questions()
    stale = type(old)(**{**{name: getattr(old, name) for name in old.__slots__}, "digest": "0" * 64})
    with pytest.raises(UnknownWait):
        inbox.answer(stale, True)
    assert carried == []
    assert inbox.questions() == [old]
    assert project.state(run).open_waits


def test_an_answer_that_does_not_fit_is_refused(project):
    start(project, measure)
    inbox, carried = inbox_of(project)
    [question] = inbox.questions()
    with pytest.raises(InvalidAnswer):
        inbox.answer(question, {"width": 0.25})
    assert inbox.questions() == [question]
    assert carried == []
    schema = inbox.read(question).schema
    assert inbox.misfits(schema, {"width": 0.25}) == ["width: Input should be at least 0.5"]
    assert inbox.misfits(schema, {"width": 0.75}) == []


def test_the_second_is_told_who_was_first(project):
    start(project)
    inbox, carried = inbox_of(project)
    [question] = inbox.questions()
    project.answer(question.run, None, False, by="grace", resume=False)
    with pytest.raises(AlreadyAnswered, match="grace"):
        inbox.answer(question, True)
    assert carried == []
    assert inbox.fate(question).by == "grace"
    assert inbox.fate(question).value.data is False


def test_a_question_in_full(project):
    start(project, text="long " * 10_000)
    inbox, _ = inbox_of(project)
    [question] = inbox.questions()
    asked = inbox.read(question)
    assert len(asked.text) == 20_000
    assert asked.more == f"30,000 more characters: kitaru show {question.run}:ok"
    assert [(s.name, s.data) for s in asked.shown] == [("spend", "done")]
    assert asked.metadata.data == {"who": "ada"}
    assert [(c.label, c.how, c.cost, c.tokens) for c in asked.calls] == [("spend", "ran", 0.25, 7)]
    assert asked.default is None


def test_recent_answers_come_latest_first(project):
    runs = [start(project), start(project), start(project)]
    inbox, _ = inbox_of(project)
    assert inbox.recent() == []
    project.answer(runs[1], None, True, by="ada", foreground=True)
    project.answer(runs[0], None, False, note="no", resume=False)
    found = [(g.run, g.value.data, g.by, g.note, g.taken, g.status) for g in inbox.recent()]
    assert found == [
        (runs[0], False, "tester", "no", False, "waiting"),
        (runs[1], True, "ada", "", True, "completed"),
    ]
    assert [g.run for g in inbox.recent(1)] == [runs[0]]


def test_statuses(project):
    run = start(project)
    inbox, _ = inbox_of(project)
    assert inbox.statuses([run, "nowhere"]) == {run: "waiting"}
    project.answer(run, None, True, resume=False)
    assert inbox.statuses([run]) == {run: "resuming"}
    project.resume(run, foreground=True)
    assert inbox.statuses([run]) == {run: "completed"}


def test_one_run(project):
    start(project)
    run = start(project)
    inbox, _ = inbox_of(project, run[:6])
    assert [q.run for q in inbox.questions()] == [run]
    with pytest.raises(UnknownRun):
        Inbox(project, "zzzzzz")


def test_a_run_that_cannot_be_read_is_counted(tmp_path):
    from kitaru.project import Project
    from kitaru.testing import fixed_services

    Project.init(tmp_path)
    project = Project.open(tmp_path, services=fixed_services())
    good = start(project)
    bad = start(project)
    for name in (tmp_path / ".kitaru" / "runs" / bad).iterdir():
        name.chmod(0o644)
        name.write_bytes(b"{}\n")
    inbox, _ = inbox_of(project)
    assert [q.run for q in inbox.questions()] == [good]
    assert inbox.damaged == 1


def test_large_values_are_bounded():
    data, more = bounded_plain("x" * 30_000)
    assert (len(data), more) == (20_000, "10,000 more characters")
    data, more = bounded_plain(list(range(1000)))
    assert (data[-1], more) == (99, "900 more items")
    assert bounded_plain({"a": (1, 2)}) == ({"a": [1, 2]}, "")


def test_what_the_models_that_a_call_asked_cost(tmp_path):
    """All attempts were paid for."""
    failures = iter([OSError("once more")])

    @checkpoint(retries=1)
    def look() -> None:
        with kitaru.track("openai/gpt-5-nano") as asked:
            asked.add({"usage": {"prompt_tokens": 1_000, "completion_tokens": 200}})
        for failure in failures:
            raise failure

    @flow
    def research() -> bool:
        look()
        return kitaru.wait("ok", "Is it?")

    project = Project.init(tmp_path)
    with (tmp_path / ".kitaru" / "config.toml").open("a") as config:
        config.write('[prices."openai/gpt-5-nano"]\ninput = 1.0\noutput = 0.5\n')
    project = Project.open(tmp_path)
    start(project, research)
    inbox, _ = inbox_of(project)
    [line] = inbox.read(inbox.questions()[0]).calls
    assert (line.cost, line.tokens) == (pytest.approx(2 * (0.001 + 0.0001)), 2_400)


def test_a_data_frame_is_rows():
    pandas = pytest.importorskip("pandas")
    data, more = bounded_plain(pandas.DataFrame({"n": range(150), "word": ["x"] * 150}))
    assert data[1] == {"": "1", "n": 1, "word": "x"}
    assert (len(data), more) == (100, "50 more rows")


@pytest.mark.parametrize(
    ("metadata", "usage"),
    [
        (None, (None, 0)),
        ({"cost": 0.5}, (0.5, 0)),
        ({"cost_usd": 1, "total_tokens": 7}, (1.0, 7)),
        ({"usage": {"input_tokens": 3, "output_tokens": 4, "cost": 0.1}}, (0.1, 7)),
        ({"cost": "much", "total_tokens": True}, (None, 0)),
        ({"cost": float("nan"), "total_tokens": float("inf")}, (None, 0)),
    ],
)
def test_what_a_call_said_that_it_cost(metadata, usage):
    assert usage_of(metadata) == usage
