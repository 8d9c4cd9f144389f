"""Branches: where they leave their source, what they share, and what is changed in them."""

from __future__ import annotations

import pytest

import kitaru
from kitaru import checkpoint, flow
from kitaru.errors import (
    InvalidAnswer,
    NothingToReplay,
    OverrideNotReached,
    UnknownCall,
    UnknownRun,
    UsageError,
)


@pytest.fixture
def ran():
    return []


def agent(ran, *, crash=(), fail=(), style="plain", ask=True, skip=()):
    """A flow of a plan, a search for each of its queries, a question, and a text; `crash` and `fail` name calls."""

    def enter(name):
        ran.append(name)
        if name in crash:
            raise KeyboardInterrupt
        if name in fail:
            raise ValueError(name)

    @checkpoint
    def plan(question):
        enter("plan")
        return [f"{question} {n}" for n in (1, 2, 3)]

    @checkpoint
    def search(query):
        enter(f"search {query}")
        return f"<{query}>"

    @checkpoint
    def write(found, approved):
        enter("write")
        return f"{style}: {' '.join(found)} {approved}"

    @checkpoint
    def send(text):
        enter("send")
        return text.upper()

    @flow
    def body(question="why"):
        queries = plan(question) if "plan" not in skip else ["why 1"]
        found = [search(q) for q in queries]
        approved = kitaru.wait("approve", "good?") if ask else True
        return send(write(found, approved))

    return body


def finished(bench, ran, **options):
    source = bench.run(agent(ran, **options))
    if source.status == "waiting":
        source = bench.answer(source.run, True, None, agent(ran, **options))
    assert source.status == "completed"
    del ran[:]
    return source


def untouched(bench, source):
    return [s.id for s in bench.project.repo.records(source.run)]


SHARED = ["plan shared", "search shared", "search#2 shared", "search#3 shared"]
ALL = ["plan", "search", "search#2", "search#3", "approve", "write", "send"]


# -- from -----------------------------------------------------------------------------------------------


def test_from_a_call_keeps_all_before_it(bench, ran):
    source = finished(bench, ran)
    before = untouched(bench, source)
    ended = bench.replay(source.run, agent(ran, style="bold"), from_="write")
    assert ended.value == source.value.replace("PLAIN", "BOLD")
    assert ran == ["write", "send"]
    assert ended.calls == [*SHARED, "write ran", "send ran"]
    assert ended.log == ALL
    assert ended.run != source.run
    assert ended.state.cut == source.state.calls[6].order == 6
    assert ended.state.start.source == {"run": source.run, "head": before[-1], "cut": 6, "from": "write"}
    assert untouched(bench, source) == before


@pytest.mark.parametrize(
    ("from_", "executed"),
    [
        ("plan", ["plan", "search why 1", "search why 2", "search why 3"]),
        ("search", ["search why 1", "search why 2", "search why 3"]),
        ("search#1", ["search why 1", "search why 2", "search why 3"]),
        ("search#2", ["search why 2", "search why 3"]),
        ("search#3", ["search why 3"]),
        ("approve", []),
        ("write", ["write", "send"]),
        ("send", ["send"]),
    ],
)
def test_from_each_place(bench, ran, from_, executed):
    source = finished(bench, ran)
    ended = bench.replay(source.run, agent(ran), from_=from_)
    assert ran == executed
    if ended.status == "waiting":
        assert ended.state.open_waits[0].label == "approve"
        ended = bench.answer(ended.run, False, None, agent(ran))
        assert ended.value.endswith("FALSE")
        assert ran == [*executed, "write", "send"]
    assert ended.log == ALL
    assert sorted(ended.state.sequence) == list(range(1, 8))


def test_from_a_place_that_is_not_there(bench, ran):
    source = finished(bench, ran)
    for name in ("nowhere", "search#4", "approve#2"):
        with pytest.raises(UnknownCall) as caught:
            bench.replay(source.run, agent(ran), from_=name)
        assert "plan, search, search#2, search#3, write, send" in caught.value.hint
    with pytest.raises(UnknownRun):
        bench.replay("zzz", agent(ran), from_="plan")
    assert bench.project.repo.run_ids() == [source.run]
    assert ran == []


def test_nothing_to_replay(bench, ran):
    source = finished(bench, ran)
    with pytest.raises(NothingToReplay) as caught:
        bench.replay(source.run, agent(ran))
    assert "add --from" in caught.value.hint


def test_calls_kept_although_their_inputs_changed_are_listed_as_stale(bench, ran):
    source = finished(bench, ran)
    ended = bench.replay(source.run, agent(ran), from_="write", args={"question": "how"})
    assert ran == ["write", "send"]
    assert ended.value == source.value
    assert [(e["call"], e["stale"]) for e in ended.events("call")][:2] == [("plan", ["question"]), ("search", [])]
    assert ended.state.calls[1].stale == ["question"]
    assert source.state.calls[1].stale == []
    assert ended.notes == ["stale"]
    assert ended.log == ALL


def test_a_pinned_output_before_from_makes_later_kept_calls_stale(bench, ran):
    source = finished(bench, ran)
    ended = bench.replay(source.run, agent(ran), from_="write", set={"plan": ["x", "y"]})
    assert ended.calls[:3] == ["plan pinned", "search shared", "search#2 shared"]
    assert [c.stale for c in ended.state.ordered_calls][:3] == [[], ["query"], ["query"]]
    assert ended.state.calls[1].record.how == "pinned"
    assert ended.state.calls[1].run == ended.run
    assert ended.value.startswith("PLAIN: <WHY 1> <WHY 2> TRUE")
    assert ended.events("unclaimed") == [{"calls": ["search#3"]}]


def test_more_calls_than_can_be_kept_are_executed(bench, ran):
    source = finished(bench, ran)
    ended = bench.replay(source.run, agent(ran), from_="write", set={"plan": ["why 1", "a", "b", "c"]})
    assert ran == ["search c", "write", "send"]
    assert ended.log == ["plan", "search", "search#2", "search#3", "search#4", "approve", "write", "send"]
    assert ended.value.startswith("PLAIN: <WHY 1> <WHY 2> <WHY 3> <C> TRUE")


def test_a_kept_answer_whose_question_changed_is_noted(bench, ran):
    source = finished(bench, ran)
    ended = bench.replay(source.run, agent(ran), from_="send", set={"search#3": "<other>"})
    assert ended.status == "completed"
    assert ran == ["send"]
    wait = next(iter(ended.state.waits.values()))
    assert (wait.stale, wait.answer.by) == (True, "tester")


def test_what_an_inserted_call_made_is_kept_in_its_place(bench, ran):
    """The source had drifted: a call inserted between recorded ones has a high number and stands early."""

    def make(items, *, crash):
        @checkpoint
        def fetch(item):
            ran.append(item)
            if crash and item == "c":
                raise KeyboardInterrupt
            return item

        @checkpoint
        def join(items):
            return "".join(items)

        @flow
        def body():
            return join([fetch(i) for i in items])

        return body

    run = bench.run(make("abc", crash=True)).run
    source = bench.resume(run, make("aXbc", crash=False), on_drift="new")
    assert source.log == ["fetch", "fetch#3", "fetch#2", "fetch#4", "join"]
    del ran[:]
    ended = bench.replay(run, make("aXbc", crash=False), from_="join")
    assert ended.value == "aXbc"
    assert ran == []
    assert ended.calls == ["fetch shared", "fetch#3 shared", "fetch#2 shared", "fetch#4 shared", "join ran"]
    ended = bench.replay(run, make("aXbc", crash=False), from_="fetch#2")
    assert ended.value == "aXbc"
    assert ran == ["b", "c"]
    assert ended.log[:2] == ["fetch", "fetch#3"]
    assert len(ended.log) == len(set(ended.log)) == 5
    del ran[:]
    ended = bench.replay(run, make("aXbc", crash=False), set={"fetch#3": "pinned"})
    assert ended.value == "apinnedbc"
    assert ran == ["b", "c"]


# -- what is changed --------------------------------------------------------------------------------------


def test_a_changed_input_branches_where_it_is_first_felt(bench, ran):
    source = finished(bench, ran)
    ended = bench.replay(source.run, agent(ran), args={"question": "how"})
    assert ended.status == "waiting"
    assert ended.state.cut == 1
    assert ran == ["plan", "search how 1", "search how 2", "search how 3"]
    assert ended.state.start.overrides["args"].keys() == {"question"}
    assert ended.state.start.inputs["question"] != source.state.start.inputs["question"]


def test_a_changed_input_that_nothing_feels(bench, ran):
    source = finished(bench, ran)
    ended = bench.replay(source.run, agent(ran), args={"question": "why"})
    assert ended.value == source.value
    assert ran == []
    assert ended.state.cut is None
    again = bench.replay(ended.run, agent(ran), from_="send")
    assert ran == ["send"]
    assert again.value == source.value


def test_an_unknown_input_is_refused(bench, ran):
    source = finished(bench, ran)
    with pytest.raises(UsageError, match="no input named 'topic'"):
        bench.replay(source.run, agent(ran), args={"topic": 1})


@pytest.mark.parametrize(
    ("pinned", "executed", "cut"),
    [
        ({"plan": ["why 2"]}, ["search why 2"], 1),
        ({"search#2": "<two>"}, ["search why 3"], 3),
        ({"search#1": "<one>"}, ["search why 2", "search why 3"], 2),
        ({"search#*": "<all>"}, [], 2),
        ({"search#1": "<one>", "search#3": "<three>"}, ["search why 2"], 2),
    ],
)
def test_a_pinned_output_branches_there(bench, ran, pinned, executed, cut):
    source = finished(bench, ran)
    ended = bench.replay(source.run, agent(ran), set=pinned, answers={"approve": True})
    assert ended.status == "completed"
    assert ran == [*executed, "write", "send"]
    assert ended.state.cut == cut
    assert ended.log == (ALL if "plan" not in pinned else ["plan", "search", "approve", "write", "send"])
    assert sorted(ended.state.sequence) == list(range(1, len(ended.log) + 1))
    outputs = {c.label: bench.project.value(c.record.output) for c in ended.state.ordered_calls}
    for name, value in pinned.items():
        labels = (
            [label for label in outputs if label.startswith("search")] if "*" in name else [name.removesuffix("#1")]
        )
        assert all(outputs[label] == value for label in labels)
    hows = {c.label: c.record.how for c in ended.state.ordered_calls if c.run == ended.run}
    assert [label for label, how in hows.items() if how == "pinned"]


def test_a_pin_that_does_not_say_which(bench, ran):
    source = finished(bench, ran)
    with pytest.raises(UsageError) as caught:
        bench.replay(source.run, agent(ran), set={"search": "x"})
    assert "search#1 or search#2 or search#3" in caught.value.hint
    assert "search#*" in caught.value.hint
    with pytest.raises(UnknownCall):
        bench.replay(source.run, agent(ran), set={"searhc": "x"})
    assert bench.project.repo.run_ids() == [source.run]


def test_a_pin_that_turns_out_not_to_say_which(bench, ran):
    source = finished(bench, ran)
    short = bench.replay(source.run, agent(ran), set={"plan": ["x"]}, answers={"approve": True})
    assert short.log.count("search") == 1
    ended = bench.replay(short.run, agent(ran), set={"plan": ["x", "y"], "search": "pinned"})
    assert ended.status == "failed"
    assert "does not say which" in str(ended.error)


def test_what_is_never_reached_is_an_error(bench, ran):
    source = finished(bench, ran)
    ended = bench.replay(source.run, agent(ran), set={"search#7": "x"}, answers={"approve": True})
    assert (ended.status, type(ended.error)) == ("failed", OverrideNotReached)
    assert "--set search#7" in str(ended.error)
    ended = bench.replay(source.run, agent(ran), answers={"aprove": True})
    assert "--answer aprove" in str(ended.error)


ASKING = """
    import kitaru
    from kitaru import checkpoint, flow

    @checkpoint
    def one():
        return 1

    @flow
    def body():
        return one(), kitaru.wait("approve")
"""


def test_an_answer_to_a_wait_that_nothing_can_lead_to_is_refused_before_anything_is_done(scripts):
    file = scripts.write("flows.py", ASKING)
    scripts.do("project.run('flows.py:body', {}, foreground=True)")
    scripts.do("project.answer('@', None, True, foreground=True)")
    replays = "project.replay('@', answers={'aprove': False}, foreground=True)"
    refused = scripts.do(replays, code=1)
    assert "UnknownWait" in refused
    assert "no wait named 'aprove'" in refused
    assert "its waits are approve" in refused
    assert len(scripts.project.log()) == 1
    file.write_text(file.read_text().replace('wait("approve")', 'wait("aprove")'))  # the code may come to it now
    assert "completed | (1, False)" in scripts.do(replays)


# -- waits in branches --------------------------------------------------------------------------------------


def test_answers_before_the_branch_are_kept(bench, ran):
    source = finished(bench, ran)
    ended = bench.replay(source.run, agent(ran), from_="send")
    (wait,) = ended.state.waits.values()
    assert (wait.run, wait.answer.by) == (source.run, "tester")


def test_an_answer_ahead(bench, ran):
    source = finished(bench, ran)
    ended = bench.replay(source.run, agent(ran), from_="search#3", answers={"approve": False})
    assert ended.value.endswith("FALSE")
    (wait,) = ended.state.waits.values()
    assert (wait.answer.source, wait.run) == ("ahead", ended.run)
    assert ended.log == ALL


def test_another_answer_branches_at_its_question(bench, ran):
    source = finished(bench, ran)
    ended = bench.replay(source.run, agent(ran), answers={"approve": False})
    assert ran == ["write", "send"]
    assert ended.value.endswith("FALSE")
    assert ended.state.cut == 5
    assert ended.log == ALL
    assert sorted(ended.state.sequence) == list(range(1, 8))


def test_another_answer_before_from(bench, ran):
    source = finished(bench, ran)
    ended = bench.replay(source.run, agent(ran), from_="send", answers={"approve": False})
    assert ran == ["send"]
    assert ended.state.calls[6].stale == ["approved"]
    assert next(iter(ended.state.waits.values())).answer.source == "ahead"
    assert ended.log == ALL


def test_a_typed_answer_is_read_by_the_questions_schema(bench):
    def make():
        @flow
        def body():
            return kitaru.wait("name", schema=str)

        return body

    source = bench.run(make())
    assert bench.replay(source.run, make(), answers={"name": "5"}, text=True).value == "5"
    ended = bench.replay(source.run, make(), answers={"name": 5})
    assert (ended.status, type(ended.error)) == ("failed", InvalidAnswer)


def test_a_waiting_run_replayed(bench, ran):
    source = bench.run(agent(ran))
    assert source.status == "waiting"
    del ran[:]
    ended = bench.replay(source.run, agent(ran))
    assert (ended.status, ran) == ("waiting", [])
    assert ended.calls == SHARED
    assert bench.project.state(source.run).status == "waiting"
    ended = bench.replay(source.run, agent(ran), answers={"approve": False})
    assert ended.value.endswith("FALSE")
    assert bench.project.state(source.run).status == "waiting"
    assert bench.answer(source.run, True, None, agent(ran)).value.endswith("TRUE")


# -- failed and interrupted sources -------------------------------------------------------------------------


def test_a_failed_run_branches_at_its_failure(bench, ran):
    source = bench.run(agent(ran, fail=["search why 2"], ask=False))
    assert source.status == "failed"
    del ran[:]
    ended = bench.replay(source.run, agent(ran, ask=False))
    assert ended.status == "completed"
    assert ran == ["search why 2", "search why 3", "write", "send"]
    assert ended.log == [label for label in ALL if label != "approve"]
    assert ended.state.cut == 3
    assert sorted(ended.state.calls) == [1, 2, 3, 4, 5, 6]
    assert [len(c.attempts) for c in ended.state.ordered_calls] == [1] * 6
    assert [c.run for c in ended.state.ordered_calls] == [source.run] * 2 + [ended.run] * 4
    assert bench.project.state(source.run).status == "failed"


def test_a_failed_run_replayed_from_an_earlier_call(bench, ran):
    source = bench.run(agent(ran, fail=["write"], ask=False))
    del ran[:]
    ended = bench.replay(source.run, agent(ran, ask=False), from_="search#3")
    assert ran == ["search why 3", "write", "send"]
    assert ended.log == [label for label in ALL if label != "approve"]


def test_an_interrupted_run_branches_where_it_stopped(bench, ran):
    source = bench.run(agent(ran, crash=["search why 2"], ask=False))
    del ran[:]
    ended = bench.replay(source.run, agent(ran, ask=False))
    assert ran == ["search why 2", "search why 3", "write", "send"]
    assert ended.log == [label for label in ALL if label != "approve"]


def test_a_call_that_code_no_longer_makes_before_the_branch_is_told(bench, ran):
    source = finished(bench, ran, ask=False)
    ended = bench.replay(source.run, agent(ran, ask=False, skip=["plan"]), from_="write")
    assert ended.status == "completed"
    assert ended.events("unclaimed") == [{"calls": ["plan", "search#2", "search#3"]}]
    ended = bench.replay(source.run, agent(ran, ask=False, skip=["plan"]), set={"write": "text"})
    assert ended.events("unclaimed") == [{"calls": ["plan", "search#2", "search#3"]}]


# -- replays of replays, and replays interrupted --------------------------------------------------------------


def test_a_replay_of_a_replay(bench, ran):
    source = finished(bench, ran)
    middle = bench.replay(source.run, agent(ran), from_="search#2", answers={"approve": False})
    del ran[:]
    ended = bench.replay(middle.run, agent(ran), from_="send")
    assert ran == ["send"]
    assert ended.value == middle.value
    runs = [c.run for c in ended.state.ordered_calls]
    assert runs == [source.run] * 2 + [middle.run] * 3 + [ended.run]
    deepest = bench.replay(ended.run, agent(ran), from_="search#2", answers={"approve": True})
    assert [c.run for c in deepest.state.ordered_calls][:3] == [source.run] * 2 + [deepest.run]
    assert deepest.value == source.value
    assert deepest.log == ended.log == middle.log == source.log == ALL


@pytest.mark.parametrize("crash", ["search why 3", "write", "send"])
@pytest.mark.parametrize(
    "options",
    [
        {"from_": "search#3"},
        {"from_": "search#2", "set": {"search#1": "<pinned>"}},
        {"set": {"search#2": "<pinned>"}},
        {"from_": "search", "args": {"question": "how"}, "set": {"search#1": "<one>"}},
        {"answers": {"approve": False}, "from_": "search#3"},
    ],
    ids=str,
)
def test_an_interrupted_replay_goes_on_as_if_it_had_not_been(bench, ran, options, crash):
    source = finished(bench, ran)
    before = untouched(bench, source)
    options.setdefault("answers", {"approve": True})
    straight = bench.replay(source.run, agent(ran), **options)
    undisturbed = list(ran)
    del ran[:]
    first = bench.replay(source.run, agent(ran, crash=[crash]), **options)
    assert first.status == "interrupted"
    ended = bench.resume(first.run, agent(ran))
    assert ended.status == "completed"
    assert ended.value == straight.value
    again = list(undisturbed)
    again.insert(undisturbed.index(crash), crash)
    assert ran == again
    assert ended.log == straight.log
    assert [c.order for c in ended.state.ordered_calls] == [c.order for c in straight.state.ordered_calls]
    assert ended.notes == straight.notes
    assert [c.stale for c in ended.state.ordered_calls] == [c.stale for c in straight.state.ordered_calls]
    assert untouched(bench, source) == before


def test_a_replay_killed_before_it_branched(bench, ran):
    """What decides the branch is in the start record, so a resume comes to the same place."""
    source = finished(bench, ran, ask=False)

    def watch(event):
        if event.kind == "call":
            raise KeyboardInterrupt

    code = agent(ran, ask=False)
    handle = bench.project.replay(source.run, set={"write": "pinned"}, observer=watch, foreground=True)
    assert handle.outcome.status == "interrupted"
    assert bench.project.state(handle.exec_id).cut is None
    ended = bench.resume(handle.exec_id, code)
    assert ended.value == "PINNED"
    assert ran == ["send"]


def test_a_failing_replay_is_mended_and_resumed(bench, ran):
    source = finished(bench, ran)
    first = bench.replay(source.run, agent(ran, fail=["send"]), from_="write")
    assert first.status == "failed"
    ended = bench.resume(first.run, agent(ran))
    assert ended.value == source.value
    assert ran == ["write", "send", "send"]
    assert len(ended.state.calls[7].attempts) == 2


def test_a_resume_of_the_source_after_a_branch_does_not_change_the_branch(bench, ran):
    source = bench.run(agent(ran))
    branch = bench.replay(source.run, agent(ran))
    bench.answer(source.run, True, None, agent(ran))
    state = bench.project.state(branch.run)
    assert state.status == "waiting"
    assert [c.label for c in state.ordered_calls] == ["plan", "search", "search#2", "search#3"]
    assert bench.answer(branch.run, False, None, agent(ran)).value.endswith("FALSE")


def test_values_of_a_branch_are_found_in_its_sources(scripts):
    """Each process opens the store anew: what a branch shares is looked for in the runs it branched from."""
    scripts.write(
        "flows.py",
        """
        from kitaru import checkpoint, flow

        @checkpoint
        def one() -> list:
            return ["a long value " * 50]

        @checkpoint
        def two(x: list) -> list:
            return [*x, "two"]

        @flow
        def body() -> int:
            return len(two(one()))
        """,
    )
    scripts.do("project.run('flows.py:body', {}, foreground=True)")
    assert scripts.do("project.replay('@', from_='two', foreground=True)").startswith("completed | 2 ")
    said = scripts.do("project.replay('@', text=True, set={'two': '[1, 2, 3]'}, foreground=True)")
    assert said.startswith("completed | 3 ")
    newest = scripts.project.state(scripts.project.find_run("@"))
    assert scripts.project.value(newest.calls[1].record.output, newest.run) == ["a long value " * 50]


# -- what is left of a source is left behind at the branch ---------------------------------------------------------


def leftover(ran, items, *, after=(), crash=(), mark="call"):
    """Calls of one name, then the place that a branch begins at, then more calls of that name."""

    @checkpoint
    def fetch(item):
        ran.append(item)
        if item in crash:
            raise KeyboardInterrupt
        return item

    @checkpoint
    def turn():
        ran.append("turn")
        return "turned"

    @flow
    def body():
        before = [fetch(i) for i in items]
        turned = turn() if mark == "call" else kitaru.wait("turn", schema=str)
        return [*before, turned, *[fetch(i) for i in after]]

    return body


@pytest.mark.parametrize("options", [{}, {"set": {"turn": "turned"}}, {"mark": "wait"}], ids=str)
@pytest.mark.parametrize("crash", [(), ("new",)], ids=["straight", "interrupted"])
def test_what_the_code_no_longer_calls_before_the_branch_is_not_taken_after_it(bench, ran, options, crash):
    mark = options.get("mark", "call")
    changes = {"set": options.get("set", {}), "answers": {"turn": "turned"} if mark == "wait" else {}}
    source = bench.run(leftover(ran, "ab", mark=mark))
    if mark == "wait":
        bench.answer(source.run, "first", None, leftover(ran, "ab", mark=mark))
    del ran[:]
    code = leftover(ran, "a", after=["new"], crash=crash, mark=mark)
    ended = bench.replay(source.run, code, from_="turn", **changes)
    if crash:
        assert ended.status == "interrupted"
        ended = bench.resume(ended.run, leftover(ran, "a", after=["new"], mark=mark))
    assert ended.value == ["a", "turned", "new"]
    assert ran.count("new") == 1 + len(crash)
    assert ended.state.ordered_calls[-1].stale == []
    assert ended.events("unclaimed") == [{"calls": ["fetch#2"]}]


def test_a_failed_run_with_another_input_does_not_give_new_calls_the_place_of_the_failure(bench, ran):
    source = bench.run(agent(ran, fail=["search why 2"], ask=False))
    ended = bench.replay(source.run, agent(ran, ask=False), args={"question": "how"})
    assert ended.status == "completed"
    assert [(c.order, c.label) for c in ended.state.ordered_calls] == [
        (1, "plan"),
        (2, "search"),
        (3, "search#2"),
        (4, "search#3"),
        (5, "write"),
        (6, "send"),
    ]
    assert bench.project.value(ended.state.calls[2].record.output) == "<how 1>"


def test_a_question_after_a_branch_is_asked_anew_though_it_is_the_same(bench, ran):
    source = finished(bench, ran)
    ended = bench.replay(source.run, agent(ran), set={"search#2": "<why 2>"})
    assert ended.status == "waiting"
    assert bench.answer(ended.run, False, None, agent(ran)).value.endswith("FALSE")


def test_a_pinned_call_whose_arguments_change_between_two_executions_is_pinned_once(bench, ran):
    source = finished(bench, ran, ask=False)
    first = bench.replay(source.run, agent(ran, ask=False, crash=["send"]), set={"write": "pinned"})
    assert first.status == "interrupted"
    ended = bench.resume(first.run, agent(ran, ask=True))
    ended = bench.answer(ended.run, False, None, agent(ran, ask=True))
    assert ended.value == "PINNED"
    assert [c.label for c in ended.state.ordered_calls] == ["plan", "search", "search#2", "search#3", "write", "send"]
    assert ended.events("unclaimed") == []


def test_a_kept_answer_is_noted_stale_once(bench, ran):
    source = finished(bench, ran)
    options = {"from_": "send", "set": {"search#3": "<other>"}}
    first = bench.replay(source.run, agent(ran, crash=["send"]), **options)
    ended = bench.resume(first.run, agent(ran))
    assert ended.status == "completed"
    assert ended.notes == first.notes == ["stale", "stale"]
