"""Questions: what they may ask for, how an answer is bound to one, and that a stop is a stop."""

from __future__ import annotations

import asyncio
import contextlib
import enum
import re
from dataclasses import dataclass
from typing import Annotated, Literal

import pytest
from pydantic import AfterValidator, BaseModel

import kitaru
from kitaru import checkpoint, flow
from kitaru.errors import (
    AlreadyAnswered,
    AnswerRefused,
    InvalidAnswer,
    RunWaiting,
    SchemaChanged,
    UnknownWait,
    UsageError,
    WaitOutsideFlow,
)
from kitaru.model.encoding import Encoder


class Pace(enum.Enum):
    FAST = "fast"
    SLOW = "slow"


@dataclass
class Limits:
    pages: int
    note: str = ""


class Decision(BaseModel):
    approve: bool
    limits: Limits


def asking(schema=bool, **options):
    @flow
    def body():
        return kitaru.wait("approve", "Looks right?", schema=schema, **options)

    return body


@pytest.mark.parametrize(
    ("schema", "answer", "text", "value"),
    [
        (bool, True, "yes", True),
        (int, 5, "5", 5),
        (float, 1.5, "1.5", 1.5),
        (str, "five", "five", "five"),
        (str, "5", "5", "5"),
        (Literal["a", "b"], "b", "b", "b"),
        (Literal[1, 2], 2, "2", 2),
        (Pace, "slow", "slow", Pace.SLOW),
        (Limits, {"pages": 3}, '{"pages": 3}', Limits(3)),
        (
            Decision,
            {"approve": True, "limits": {"pages": 1, "note": "n"}},
            '{"approve": true, "limits": {"pages": 1, "note": "n"}}',
            Decision(approve=True, limits=Limits(1, "n")),
        ),
        (list[int], [1, 2], "[1, 2]", [1, 2]),
        (list[Pace], ["fast"], '["fast"]', [Pace.FAST]),
        (str | None, None, "null", None),
        (dict[str, int], {"a": 1}, '{"a": 1}', {"a": 1}),
    ],
    ids=str,
)
def test_what_can_be_asked_for(bench, schema, answer, text, value):
    for given, typed in ((answer, False), (text, True)):
        run = bench.run(asking(schema)).run
        ended = bench.answer(run, given, None, asking(schema), text=typed)
        assert ended.status == "completed"
        assert ended.value == value
        assert type(ended.value) is type(value)
        again = bench.replay(run, asking(schema), from_="approve", answers={"approve": given}, text=typed)
        assert again.value == value


@pytest.mark.parametrize(
    ("schema", "answer"),
    [
        (Pace, Pace.SLOW),
        (Limits, Limits(3)),
        (Decision, Decision(approve=True, limits=Limits(1))),
        (list[Limits], [Limits(1), Limits(2, "x")]),
        (tuple[int, str], (1, "x")),
    ],
    ids=str,
)
def test_an_answer_from_python_may_be_of_the_type_itself(bench, schema, answer):
    run = bench.run(asking(schema)).run
    assert bench.answer(run, answer, None, asking(schema)).value == answer


@pytest.mark.parametrize(
    ("schema", "answer", "field"),
    [
        (bool, "maybe", "true or false"),
        (int, "x", "integer"),
        (Literal["a", "b"], "c", '"a", "b"'),
        (Pace, "medium", '"fast", "slow"'),
        (Limits, {"pages": "many"}, "pages"),
        (Limits, {}, "pages"),
        (Decision, {"approve": True, "limits": {"pages": None}}, "limits.pages"),
        (list[int], [1, "x"], "[1]"),
        (list[Limits], [{"pages": 1}, {"page": 1}], "[1].pages"),
    ],
    ids=str,
)
def test_an_answer_that_does_not_fit_names_the_field_and_changes_nothing(bench, schema, answer, field):
    run = bench.run(asking(schema)).run
    before = len(bench.project.repo.records(run))
    with pytest.raises(InvalidAnswer, match=re.escape(field)):
        bench.answer(run, answer, None, asking(schema))
    assert bench.project.state(run).status == "waiting"
    assert len(bench.project.repo.records(run)) == before
    assert bench.project.repo.answer(run, bench.project.state(run).open_waits[0].record.digest) is None


def test_the_stop_says_what_to_type(bench):
    ended = bench.run(asking(Literal["a", "b"]))
    assert isinstance(ended.error, RunWaiting)
    assert ended.error.exit_code == 3
    assert str(ended.error) == f"kitaru answer {ended.run} approve a"
    assert ended.error.hint == "Looks right?"
    (event,) = ended.events("wait")
    assert (event["wait"], event["question"]) == ("approve", "Looks right?")
    assert event["schema"]["enum"] == ["a", "b"]


def test_a_wait_shows_what_the_call_before_it_gave(bench):
    @checkpoint
    def draft():
        return "text"

    @checkpoint
    def failing():
        raise ValueError

    @flow
    def body():
        draft()
        with contextlib.suppress(ValueError):
            failing()
        return kitaru.wait("approve", metadata={"cost": 5})

    ended = bench.run(body)
    (view,) = ended.state.open_waits
    assert {k: bench.project.value(v) for k, v in view.record.shown.items()} == {"draft": "text"}
    assert bench.project.value(view.record.metadata) == {"cost": 5}


# -- an answer is bound to its question ---------------------------------------------------------------------


def variant(ran, *, text="first", question="Good?", schema=bool, name="approve"):
    @checkpoint
    def draft():
        ran.append("draft")
        return text

    @checkpoint
    def send(text, approved):
        return (text, approved)

    @flow
    def body():
        made = draft()
        return send(made, kitaru.wait(name, question, schema=schema))

    return body


@pytest.mark.parametrize(
    "change", [{"question": "Really?"}, {"schema": Literal[True, False]}, {"name": "confirm"}], ids=str
)
def test_a_changed_question_is_never_answered_by_an_old_reply(bench, change):
    ran = []
    run = bench.run(variant(ran)).run
    bench.project.answer(run, None, True, resume=False)
    ended = bench.resume(run, variant(ran, **change))
    assert ended.status == "waiting"
    assert len(ended.state.open_waits) == 1
    assert ended.state.open_waits[0].label == ("confirm" if "name" in change else "approve#2")
    assert ran == ["draft"]
    assert bench.answer(run, False, None, variant(ran, **change)).value == ("first", False)


def test_other_content_shown_is_another_question(bench):
    ran = []
    run = bench.run(variant(ran)).run
    source = bench.answer(run, True, None, variant(ran))
    ended = bench.replay(source.run, variant(ran, text="second"), from_="draft")
    assert ended.status == "waiting"
    ended = bench.replay(source.run, variant(ran), set={"draft": "pinned"})
    assert ended.status == "waiting"


def test_the_same_question_again_finds_its_reply_though_the_code_changed_to_and_fro(bench):
    ran = []
    run = bench.run(variant(ran)).run
    bench.project.answer(run, None, True, resume=False)
    assert bench.resume(run, variant(ran, question="Really?")).status == "waiting"
    assert bench.resume(run, variant(ran)).value == ("first", True)


def deleting(names, ran):
    @checkpoint
    def delete(name):
        ran.append(name)

    @flow
    def body():
        for name in names:
            if kitaru.wait("confirm", f"delete {name}?"):
                delete(name)
        return "done"

    return body


def test_a_loop_of_questions_in_another_order(bench):
    """The yes to staging is never taken for a yes to prod."""
    ran = []
    run = bench.run(deleting(["staging", "prod"], ran)).run
    bench.project.answer(run, "confirm", True, resume=False)
    ended = bench.resume(run, deleting(["prod", "staging"], ran))
    assert ended.status == "waiting"
    assert [w.record.question for w in ended.state.open_waits] == ["delete prod?"]
    assert ran == []
    ended = bench.answer(run, False, "confirm#2", deleting(["prod", "staging"], ran))
    assert ended.value == "done"
    assert ran == ["staging"]


def test_equal_questions_have_answers_of_their_own(bench):
    def make():
        @flow
        def body():
            return [kitaru.wait("n", "?", schema=int) for _ in range(3)]

        return body

    run = bench.run(make()).run
    assert bench.answer(run, 1, None, make()).status == "waiting"
    assert bench.answer(run, 2, None, make()).log == ["n", "n#2", "n#3"]
    with pytest.raises(AlreadyAnswered, match="n of run"):
        bench.project.answer(run, "n#1", 9)
    with pytest.raises(AlreadyAnswered, match="n#2 of run"):
        bench.project.answer(run, "n#2", 9)
    ended = bench.answer(run, 3, None, make())
    assert ended.value == [1, 2, 3]
    with pytest.raises(UnknownWait):
        bench.project.answer(run, "m", 9)


def test_the_second_answer_is_told_who_and_when(bench):
    run = bench.run(asking()).run
    bench.project.answer(run, None, True, by="ada", resume=False)
    with pytest.raises(AlreadyAnswered, match=r"answered by ada at 2026-01-01 .* True") as caught:
        bench.project.answer(run, None, False, by="bob")
    assert caught.value.exit_code == 6
    assert bench.resume(run, asking()).value is True


# -- answers that only the type itself refuses ------------------------------------------------------------------


def _even(n: int) -> int:
    if n % 2:
        raise ValueError("odd")
    return n


Even = Annotated[int, AfterValidator(_even)]


def test_an_answer_that_the_type_refuses_is_asked_for_again(bench):
    """The recorded schema says integer; the validator is code, and only the run has it."""
    run = bench.run(asking(Even)).run
    ended = bench.answer(run, 3, None, asking(Even), by="ada")
    assert (ended.status, type(ended.error)) == ("waiting", AnswerRefused)
    assert isinstance(ended.error, RunWaiting)
    assert "ada answered, but" in ended.error.hint
    assert "odd" in ended.error.hint
    assert [w.label for w in ended.state.open_waits] == ["approve"]
    assert "refused" in ended.notes
    assert bench.resume(run, asking(Even)).status == "waiting"
    assert bench.answer(run, 5, None, asking(Even)).status == "waiting"
    ended = bench.answer(run, 4, None, asking(Even))
    assert ended.value == 4
    assert ended.log == ["approve"]
    again = bench.replay(run, asking(Even), answers={"approve": 8})
    assert again.value == 8


def test_a_branch_shares_an_answer_that_came_after_a_refused_one(bench):
    def make():
        @checkpoint
        def double(n):
            return n * 2

        @flow
        def body():
            return double(kitaru.wait("n", schema=Even))

        return body

    run = bench.run(make()).run
    bench.answer(run, 3, None, make())
    assert bench.answer(run, 4, None, make()).value == 8
    assert bench.replay(run, make(), from_="double").value == 8


def test_a_recorded_answer_that_the_type_refuses_now_is_drift(bench):
    def make(schema, *, crash):
        @checkpoint
        def send(n):
            if crash:
                raise KeyboardInterrupt
            return n

        @flow
        def body():
            try:
                n = kitaru.wait("n", schema=schema)
            except Exception:
                n = -1
            return send(n)

        return body

    run = bench.run(make(int, crash=True)).run
    bench.answer(run, 3, None, make(int, crash=True))
    ended = bench.resume(run, make(Even, crash=False))
    assert (ended.status, type(ended.error)) == ("interrupted", SchemaChanged)
    assert bench.resume(run, make(int, crash=False)).value == 3


# -- a stop is a stop ---------------------------------------------------------------------------------------------


def swallowing(way, ran):
    @checkpoint
    def after(x):
        ran.append(x)
        return x

    def bare():
        try:
            kitaru.wait()
        except:  # noqa: E722 - the point of it
            return after("bare")

    def base():
        with contextlib.suppress(BaseException):
            kitaru.wait()
        return "normal"

    def other():
        try:
            kitaru.wait()
        except BaseException:
            raise LookupError("other") from None

    def final():
        try:
            return kitaru.wait()
        finally:
            after("cleanup")

    def returning():
        try:
            return kitaru.wait()
        finally:
            return "from finally"  # noqa: B012, SIM107 - the point of it

    def again():
        for _ in range(3):
            try:
                return kitaru.wait("second")
            except BaseException:
                continue

    def gathered():
        async def ask():
            return kitaru.wait()

        async def together():
            return await asyncio.gather(ask(), ask(), return_exceptions=True)

        return asyncio.run(together())

    def noted():
        with contextlib.suppress(BaseException):
            kitaru.wait()
        kitaru.log(x=1)

    ways = {f.__name__: f for f in (bare, base, other, final, returning, again, gathered, noted)}

    @flow
    def body():
        return ways[way]()

    return body


@pytest.mark.filterwarnings("ignore:.*'return' in a 'finally'.*:SyntaxWarning")
@pytest.mark.parametrize("way", ["bare", "base", "other", "final", "returning", "again", "gathered", "noted"])
def test_a_swallowed_stop_is_met_again_and_what_the_body_returns_is_discarded(bench, way):
    ran = []
    ended = bench.run(swallowing(way, ran))
    assert (ended.status, type(ended.error)) == ("waiting", RunWaiting)
    assert ran == []
    assert len(ended.state.open_waits) == 1
    assert ended.notes == []
    ended = bench.answer(ended.run, True, None, swallowing(way, ran))
    assert ended.status in ("completed", "waiting")
    if way == "final":
        assert (ended.value, ran) == (True, ["cleanup"])


def test_an_open_question_that_the_code_drops_is_closed(bench):
    def make(*, ask):
        @flow
        def body():
            return kitaru.wait("old" if ask else "new")

        return body

    run = bench.run(make(ask=True)).run
    ended = bench.resume(run, make(ask=False))
    assert [w.label for w in ended.state.open_waits] == ["new"]
    with pytest.raises(UnknownWait):
        bench.project.answer(run, "old", True)
    ended = bench.resume(run, make(ask=True))
    assert [w.label for w in ended.state.open_waits] == ["old#2"]
    assert bench.answer(run, True, None, make(ask=True)).value is True


def test_a_question_that_was_dropped_for_good(bench):
    def make(*, ask):
        @flow
        def body():
            return kitaru.wait() if ask else "no need"

        return body

    run = bench.run(make(ask=True)).run
    ended = bench.resume(run, make(ask=False))
    assert (ended.value, ended.state.status) == ("no need", "completed")


def test_an_answer_that_comes_while_the_run_stops_carries_it_on(bench):
    """The runner lets go, and looks once more."""

    def watch(event):
        if event.kind == "end" and event.data["status"] == "waiting":
            (view,) = bench.project.state(event.run).open_waits
            yes = Encoder().encode(True)
            bench.project.repo.put_objects(yes.objects)
            bench.project.repo.put_answer(event.run, view.record.digest, value=yes.id, by="ada", at=1, note="")

    code = asking()
    assert bench.project.run(code, {}, observer=watch, foreground=True).wait() is True


# -- where a wait may not be ----------------------------------------------------------------------------------------


def test_a_wait_outside_of_a_run():
    with pytest.raises(WaitOutsideFlow) as caught:
        kitaru.wait()
    assert ".run()" in caught.value.hint


@pytest.mark.parametrize("name", ["", "a b", "a#2", "a:b", "x\n"])
def test_a_name_that_cannot_be_typed(bench, name):
    @flow
    def body():
        return kitaru.wait(name)

    ended = bench.run(body)
    assert isinstance(ended.error.__cause__, UsageError)
    assert "no name for a wait" in str(ended.error)


def test_a_schema_that_cannot_be_asked_for(bench):
    class Plain:
        pass

    ended = bench.run(asking(Plain))
    assert isinstance(ended.error.__cause__, UsageError)
    assert "cannot ask for Plain" in str(ended.error)
