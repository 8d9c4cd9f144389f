"""Code or arguments that no longer fit what is recorded: nothing recorded is redone, nothing wrong reused silently."""

from __future__ import annotations

import contextlib

import pytest

import kitaru
from kitaru import checkpoint, flow, wait
from kitaru.errors import BadConfig, Drift
from kitaru.runtime.context import current_engine


def fetching(items, ran, *, crash_at=None, policy="", flow_policy=""):
    @checkpoint(on_drift=policy)
    def fetch(item):
        if item == crash_at:
            raise KeyboardInterrupt
        ran.append(item)
        return f"<{item}>"

    @flow(on_drift=flow_policy)
    def body():
        return [fetch(i) for i in items]

    return body


@pytest.fixture
def ran():
    return []


def crashed(bench, ran, items=("a", "b", "c"), crash_at="c"):
    ended = bench.run(fetching(items, ran, crash_at=crash_at))
    assert ended.status == "interrupted"
    del ran[:]
    return ended.run


# -- stop, new, reuse -----------------------------------------------------------------------------------


def test_drift_stops_before_the_call_is_executed_and_shows_the_difference(bench, ran):
    run = crashed(bench, ran)
    ended = bench.resume(run, fetching("abXc", ran), on_drift="")
    assert ended.value == ["<a>", "<b>", "<X>", "<c>"]  # all records were taken: X is simply new
    assert ran == ["X", "c"]

    run = crashed(bench, ran)
    ended = bench.resume(run, fetching("aXbc", ran))
    assert (ended.status, type(ended.error)) == ("interrupted", Drift)
    assert "fetch#2" in ended.error.message
    assert "item was 'b', is now 'X'" in ended.error.message
    assert [line.partition(": ")[2] for line in ended.error.hint.splitlines()] == [
        f"kitaru resume {run}",
        f"kitaru resume {run} --on-drift new",
        f"kitaru resume {run} --on-drift reuse",
        f"kitaru resume {run} --as-recorded",
    ]
    assert ended.error.exit_code == 5
    assert ran == []
    (told,) = ended.events("drift")
    assert told["policy"] == "stop"
    assert ended.notes == ["drift", "stopped"]


def test_a_stop_cannot_be_swallowed(bench, ran):
    def make(items, *, crash):
        @checkpoint
        def fetch(item):
            if crash and item == "b":
                raise KeyboardInterrupt
            ran.append(item)

        @flow
        def body():
            for item in items:
                try:
                    fetch(item)
                except BaseException:
                    continue
            return "normal"

        return body

    run = bench.run(make("ab", crash=True)).run
    ended = bench.resume(run, make("Xab", crash=False))
    assert (ended.status, type(ended.error)) == ("interrupted", Drift)
    assert ran == ["a"]


def test_undoing_the_change_lets_the_run_go_on(bench, ran):
    run = crashed(bench, ran)
    assert bench.resume(run, fetching("Xabc", ran)).status == "interrupted"
    ended = bench.resume(run, fetching("abc", ran))
    assert ended.value == ["<a>", "<b>", "<c>"]
    assert ran == ["c"]
    assert ended.log == ["fetch", "fetch#2", "fetch#3"]


def test_new_executes_the_call_and_keeps_all_others(bench, ran):
    run = crashed(bench, ran)
    ended = bench.resume(run, fetching("aXbc", ran), on_drift="new")
    assert ended.value == ["<a>", "<X>", "<b>", "<c>"]
    assert ran == ["X", "c"]
    assert ended.calls == ["fetch recorded", "fetch#3 ran", "fetch#2 recorded", "fetch#4 ran"]
    assert ended.log == ["fetch", "fetch#3", "fetch#2", "fetch#4"]
    assert [c.record.drift for c in ended.state.ordered_calls] == ["", "new", "", ""]
    assert ended.notes == ["drift"]


def test_what_drift_added_is_recorded_like_any_other_call(bench, ran):
    run = crashed(bench, ran)
    bench.resume(run, fetching("aXbc", ran, crash_at="c"), on_drift="new")
    assert ran == ["X"]
    ended = bench.resume(run, fetching("aXbc", ran))
    assert ended.value == ["<a>", "<X>", "<b>", "<c>"]
    assert ran == ["X", "c"]
    assert ended.log == ["fetch", "fetch#3", "fetch#2", "fetch#4"]


def test_several_insertions_in_several_resumes_stand_in_call_order(bench, ran):
    run = crashed(bench, ran)
    bench.resume(run, fetching("YaXbc", ran, crash_at="c"), on_drift="new")
    ended = bench.resume(run, fetching("YaXZbc", ran), on_drift="new")
    assert ended.value == [f"<{i}>" for i in "YaXZbc"]
    assert ended.log == ["fetch#3", "fetch", "fetch#4", "fetch#5", "fetch#2", "fetch#6"]
    assert sorted(ran) == sorted("YXZc")


def test_reuse_takes_the_next_record(bench, ran):
    run = crashed(bench, ran)
    ended = bench.resume(run, fetching("aXc", ran), on_drift="reuse")
    assert ended.value == ["<a>", "<b>", "<c>"]
    assert ran == ["c"]
    assert ended.notes == ["drift"]
    assert ended.events("drift")[0]["policy"] == "reuse"
    assert [c.drift for c in ended.state.ordered_calls] == ["", "reuse", ""]
    assert [c["drift"] for c in ended.events("call")] == ["", "reuse", ""]


def test_the_record_shown_is_the_one_at_that_place(bench, ran):
    run = crashed(bench, ran, "abcd", "d")
    ended = bench.resume(run, fetching("XYcd", ran), on_drift="new")
    assert [told["text"] for told in ended.events("drift")][:2] == [
        "item was 'a', is now 'X', compared with the recorded fetch",
        "item was 'b', is now 'Y', compared with the recorded fetch#2",
    ]
    run = crashed(bench, ran, "abcd", "d")
    ended = bench.resume(run, fetching("bXcd", ran))
    assert "item was 'c', is now 'X'" in ended.error.message


def test_reuse_takes_the_record_at_that_place(bench, ran):
    run = crashed(bench, ran, "abcd", "d")
    ended = bench.resume(run, fetching("abXd", ran), on_drift="reuse")
    assert (ended.value, ran) == (["<a>", "<b>", "<c>", "<d>"], ["d"])


@pytest.mark.parametrize("level", ["command", "checkpoint", "flow", "project"])
def test_where_the_policy_is_said(bench, ran, level):
    run = crashed(bench, ran)
    if level == "project":
        bench.project.runner.engines.default_on_drift = "new"
    code = fetching("aXbc", ran, policy="new" * (level == "checkpoint"), flow_policy="new" * (level == "flow"))
    ended = bench.resume(run, code, on_drift="new" * (level == "command"))
    assert ended.value == ["<a>", "<X>", "<b>", "<c>"]


def test_the_nearer_policy_wins(bench, ran):
    run = crashed(bench, ran)
    ended = bench.resume(run, fetching("aXbc", ran, policy="stop", flow_policy="new"))
    assert isinstance(ended.error, Drift)
    ended = bench.resume(run, fetching("aXbc", ran, policy="stop"), on_drift="new")
    assert ended.status == "completed"


def test_a_policy_that_is_none_is_refused(bench):
    with pytest.raises(BadConfig, match="'maybe'"):
        checkpoint(on_drift="maybe")(test_a_prompt_edited)
    with pytest.raises(BadConfig):
        flow(on_drift="maybe")(test_a_prompt_edited)
    with pytest.raises(BadConfig):
        bench.resume("@", on_drift="maybe")


def test_the_policy_of_a_run_holds_when_it_is_resumed(bench, ran):
    def start(code):
        handle = bench.project.run(code, {}, on_drift="new", foreground=True)
        return handle.exec_id

    run = start(fetching("abc", ran, crash_at="c"))
    assert bench.resume(run, fetching("aXbc", ran)).status == "completed"


def test_what_one_resume_said_does_not_hold_for_the_next(bench, ran):
    run = crashed(bench, ran)
    assert bench.resume(run, fetching("aXbc", ran, crash_at="c"), on_drift="new").status == "interrupted"
    ended = bench.resume(run, fetching("aXYbc", ran))
    assert (type(ended.error), ran) == (Drift, ["X"])
    assert [r.on_drift for r in ended.state.resumed] == ["new", ""]


def test_a_resume_overrides_the_policy_of_its_run_once(bench, ran):
    run = bench.project.run(fetching("abc", ran, crash_at="c"), {}, on_drift="new", foreground=True).exec_id
    assert isinstance(bench.resume(run, fetching("aXbc", ran), on_drift="stop").error, Drift)
    assert bench.resume(run, fetching("aXbc", ran)).status == "completed"


# -- the cases ---------------------------------------------------------------------------------------------


def test_a_prompt_edited(bench, ran):
    def make(prompt, *, crash):
        @checkpoint
        def ask(prompt):
            ran.append(prompt)
            return prompt.upper()

        @checkpoint
        def send(text):
            if crash:
                raise KeyboardInterrupt
            return text

        @flow
        def body():
            return send(ask(prompt))

        return body

    run = bench.run(make("be brief", crash=True)).run
    ended = bench.resume(run, make("be kind", crash=False))
    assert "prompt was 'be brief', is now 'be kind'" in ended.error.message
    assert ran == ["be brief"]
    ended = bench.resume(run, make("be kind", crash=False), on_drift="new")
    assert ended.value == "BE KIND"
    assert ended.events("unclaimed") == [{"calls": ["ask"]}]


def test_a_long_prompt_is_shown_where_it_differs(bench):
    head = "Be kind and helpful.\n" * 50

    @checkpoint
    def ask(prompt):
        return prompt

    def body_of(prompt, *, crash):
        @checkpoint
        def send():
            if crash:
                raise KeyboardInterrupt

        @flow
        def body():
            ask(prompt)
            send()

        return body

    run = bench.run(body_of(head + "Answer in English.", crash=True)).run
    ended = bench.resume(run, body_of(head + "Answer in German.", crash=False))
    assert "\n" not in ended.error.message
    assert "Answer in English." in ended.error.message
    (told,) = ended.events("drift")
    assert told["text"] in ended.error.message
    (note,) = [note for note in ended.state.notes if note.about == "drift"]
    assert told["difference"] == note.data["difference"]
    assert "-Answer in English.\n+Answer in German." in told["difference"]


def test_a_timestamp_among_the_arguments(bench, ran):
    clock = iter(range(100))

    def make(*, crash, ignored=()):
        @checkpoint(ignore=ignored)
        def ask(question, at):
            ran.append(at)
            return question

        @checkpoint
        def send(text):
            if crash:
                raise KeyboardInterrupt
            return text

        @flow
        def body():
            return send(ask("why?", next(clock)))

        return body

    run = bench.run(make(crash=True)).run
    ended = bench.resume(run, make(crash=False))
    assert "at was 0, is now 1" in ended.error.message
    run = bench.run(make(crash=True, ignored="at")).run
    assert bench.resume(run, make(crash=False, ignored="at")).value == "why?"
    assert ran == [0, 2]


@pytest.mark.parametrize("argument", ["given", "defaulted"])
def test_a_defaulted_parameter_added(bench, ran, argument):
    def old(*, crash):
        @checkpoint
        def fetch(item):
            ran.append(item)
            if crash and item == "b":
                raise KeyboardInterrupt
            return item

        @flow
        def body():
            return [fetch(i) for i in "ab"]

        return body

    def new():
        @checkpoint
        def fetch(item, limit=3):
            ran.append((item, limit))
            return item

        @flow
        def body():
            return [fetch(i, limit=3) if argument == "given" else fetch(i) for i in "ab"]

        body.fn.__qualname__ = qualname
        return flow(body.fn)

    code = old(crash=True)
    qualname = code.fn.__qualname__
    run = bench.run(code).run
    ended = bench.resume(run, new())
    assert (ended.status, ended.value) == ("completed", ["a", "b"])
    assert ran == ["a", "b", ("b", 3)]
    assert "drift" not in ended.notes


def test_a_defaulted_parameter_with_another_value_is_drift(bench, ran):
    def make(limit, *, crash):
        if limit is None:

            @checkpoint
            def fetch(item):
                if crash and item == "b":
                    raise KeyboardInterrupt
                return item
        else:

            @checkpoint
            def fetch(item, limit=limit):
                ran.append(limit)
                return item

        @flow
        def body():
            return [fetch(i) if limit is None else fetch(i, limit=5) for i in "ab"]

        return body

    run = bench.run(make(None, crash=True)).run
    ended = bench.resume(run, make(3, crash=False))
    assert isinstance(ended.error, Drift)
    assert "limit is a new argument, 5" in ended.error.message
    assert ran == []


def test_an_argument_dropped(bench, ran):
    def make(*, wide, crash):
        if wide:

            @checkpoint
            def fetch(item, limit):
                if crash and item == "b":
                    raise KeyboardInterrupt
                return item
        else:

            @checkpoint
            def fetch(item):
                return item

        @flow
        def body():
            return [fetch(i, 1) if wide else fetch(i) for i in "ab"]

        return body

    run = bench.run(make(wide=True, crash=True)).run
    ended = bench.resume(run, make(wide=False, crash=False))
    assert "limit is no longer an argument" in ended.error.message


def test_closures_of_one_name_do_not_share_their_defaults(bench):
    """A checkpoint made in each round of a loop: the defaults of one that is gone are not those of the next."""

    def make(*, wide, crash):
        def one(n):
            if not wide:

                @checkpoint
                def step(x):
                    if crash and x == 3:
                        raise KeyboardInterrupt
                    return x
            else:

                @checkpoint
                def step(x, extra=n):
                    return (x, extra)

            return step

        @flow
        def body():
            return [one(n)(n) if not wide or n == 3 else one(n)(n, extra=0) for n in (1, 2, 3)]

        return body

    run = bench.run(make(wide=False, crash=True)).run
    ended = bench.resume(run, make(wide=True, crash=False))
    assert isinstance(ended.error, Drift)


RENAMED = """
import os
from kitaru import checkpoint, flow

@checkpoint
def {name}({parameters}):
    with open("ran", "a") as out:
        print("prepared", file=out)
    return "prepared"

@checkpoint
def send(what: str) -> str:
    if os.environ.get("CRASH"):
        os._exit(9)
    return "sent " + what

@flow
def body() -> str:
    return send({name}({arguments}))
"""


@pytest.mark.parametrize(("parameters", "arguments"), [("a: int", "1"), ("", "")])
def test_a_checkpoint_renamed_is_drift_until_it_is_said_what_to_do(scripts, parameters, arguments):
    """Its work is recorded under the old name: it is neither done again nor taken over without a word."""
    scripts.write("flows.py", RENAMED.format(name="old", parameters=parameters, arguments=arguments))
    scripts.do("project.run('flows.py:body', {}, foreground=True)", code=9, CRASH="1")
    scripts.write("flows.py", RENAMED.format(name="new", parameters=parameters, arguments=arguments))
    said = scripts.do("project.resume('@', foreground=True)")
    assert "drifted at new, which was not executed: old is recorded with the same arguments" in said
    assert scripts.lines("ran") == ["prepared"]
    assert "completed | 'sent prepared'" in scripts.do("project.resume('@', on_drift='reuse', foreground=True)")
    assert scripts.lines("ran") == ["prepared"]


def test_a_checkpoint_renamed_runs_again_where_that_is_asked_for(scripts):
    scripts.write("flows.py", RENAMED.format(name="old", parameters="a: int", arguments="1"))
    scripts.do("project.run('flows.py:body', {}, foreground=True)", code=9, CRASH="1")
    scripts.write("flows.py", RENAMED.format(name="new", parameters="a: int", arguments="1"))
    assert "completed | 'sent prepared'" in scripts.do("project.resume('@', on_drift='new', foreground=True)")
    assert scripts.lines("ran") == ["prepared", "prepared"]


def test_a_checkpoint_removed_is_told(bench, ran):
    def make(*, is_there):
        @checkpoint
        def prepare():
            ran.append("prepare")

        @checkpoint
        def send():
            if is_there:
                raise KeyboardInterrupt
            return "sent"

        @flow
        def body():
            if is_there:
                prepare()
            return send()

        return body

    run = bench.run(make(is_there=True)).run
    ended = bench.resume(run, make(is_there=False))
    assert ended.value == "sent"
    assert ended.events("unclaimed") == [{"calls": ["prepare"]}]
    assert "unclaimed" in ended.notes
    assert ended.log == ["send", "prepare"]


def test_nothing_is_told_unclaimed_at_a_question_for_the_calls_may_yet_come(bench):
    def make(*, early):
        @checkpoint
        def prepare():
            return 1

        @flow
        def body():
            if early:
                kitaru.wait("sure")
            prepare()
            return kitaru.wait("approve")

        return body

    run = bench.run(make(early=False)).run
    ended = bench.resume(run, make(early=True))
    assert ended.status == "waiting"
    assert ended.events("unclaimed") == []
    assert [w.label for w in ended.state.open_waits] == ["sure"]
    ended = bench.answer(run, True, "sure", make(early=True))
    assert ended.calls == ["prepare recorded"]
    assert [w.label for w in ended.state.open_waits] == ["approve#2"]
    assert bench.answer(run, True, None, make(early=True)).value is True


def test_items_in_another_order_are_no_drift(bench, ran):
    run = crashed(bench, ran, "abcd", "d")
    ended = bench.resume(run, fetching("cbad", ran))
    assert ended.value == ["<c>", "<b>", "<a>", "<d>"]
    assert ran == ["d"]


def test_the_order_of_a_set_in_another_process(scripts):
    """The crash is inside the loop, and the next process has another hash seed.

    An item that is new there cannot be told from one that changed, so the run stops; `new` is what the user means.
    """
    scripts.write(
        "flows.py",
        """
        import os
        from kitaru import checkpoint, flow

        @checkpoint
        def fetch(item: str) -> str:
            with open("ran", "a") as out:
                print(item, file=out)
            if os.environ.get("CRASH") and len(open("ran").readlines()) == 4:
                os._exit(9)
            return item

        @flow
        def body(items: set) -> list:
            return sorted(fetch(i) for i in items)
        """,
    )
    items = {f"item {n}" for n in range(8)}
    scripts.do(f"project.run('flows.py:body', {{'items': {items!r}}}, foreground=True)", code=9, CRASH="1")
    first = scripts.lines("ran")
    assert len(first) == 4
    seeds = [seed for seed in map(str, range(1, 9)) if _order(scripts, items, seed) != _order(scripts, items, "0")]
    said = scripts.do("project.resume('@', foreground=True)", PYTHONHASHSEED=seeds[0])
    assert said.startswith("interrupted | None | Drift ")
    assert scripts.lines("ran") == first
    said = scripts.do("project.resume('@', on_drift='new', foreground=True)", PYTHONHASHSEED=seeds[0])
    assert said.startswith(f"completed | {sorted(items)!r}")
    ran = scripts.lines("ran")
    assert sorted(ran) == sorted([*items, first[3]])  # only the one in flight ran twice


def _order(scripts, items, seed):
    return scripts.python("-c", f"print(list({items!r}))", PYTHONHASHSEED=seed)


def test_a_bug_fixed_in_the_file(scripts):
    text = """
    from kitaru import checkpoint, flow

    @checkpoint
    def one() -> int:
        with open("ran", "a") as out:
            print("one", file=out)
        return 1

    @checkpoint
    def two(n: int) -> int:
        with open("ran", "a") as out:
            print("two", file=out)
        return n / 0

    @checkpoint
    def three(n: int) -> int:
        return n + 1

    @flow
    def body() -> int:
        return three(two(one()))
    """
    scripts.write("flows.py", text)
    assert scripts.do("project.run('flows.py:body', {}, foreground=True)").startswith("failed")
    scripts.write("flows.py", text.replace("n / 0", "n * 2"))
    assert scripts.do("project.resume('@', foreground=True)").startswith("completed | 3 ")
    assert scripts.lines("ran") == ["one", "two", "two"]
    state = scripts.project.state(scripts.project.find_run("@"))
    assert [(c.label, c.order, len(c.attempts)) for c in state.ordered_calls] == [
        ("one", 1, 1),
        ("two", 2, 2),
        ("three", 3, 1),
    ]
    assert state.version["n"] == 2


CODE = """
from kitaru import checkpoint, flow

@checkpoint
def one(fail: bool) -> int:
    return 1 // (not fail)

@flow
def body() -> int:
    return one(FAIL)

"""


@pytest.mark.parametrize("broken", ["def (", "import no_such_module", "raise SystemExit(3)", "del body"])
def test_code_that_cannot_be_loaded_leaves_the_run_as_it_was(scripts, broken):
    scripts.write("flows.py", CODE + "FAIL = True")
    assert scripts.do("project.run('flows.py:body', {}, foreground=True)").startswith("failed")
    run = scripts.project.find_run("@")
    before = [s.id for s in scripts.project.repo.records(run)]
    scripts.write("flows.py", CODE + broken)
    assert "CodeUnloadable" in scripts.do("project.resume('@', foreground=True)", code=1)
    assert [s.id for s in scripts.project.repo.records(run)] == before
    scripts.write("flows.py", CODE + "FAIL = False")
    assert scripts.do("project.resume('@', foreground=True)").startswith("completed | 1 ")


@pytest.mark.parametrize("stop", ["interrupt", "failure", "wait"])
def test_a_submitted_call_that_was_never_made_for_want_of_its_inputs_hides_no_drift(bench, stop):
    def define(*, n, stops):
        @checkpoint
        def bad():
            raise ValueError("no")

        @checkpoint
        def step(n):
            return n

        @flow
        def body():
            assert step.submit(bad.submit()).exception()
            step(n)
            if stops and stop == "failure":
                raise RuntimeError("later")
            if stops and stop == "interrupt":
                current_engine.get().interrupt()
            return wait("go_on") if stop == "wait" else n

        return body

    stopped = bench.run(define(n=1, stops=True))
    assert stopped.status in ("interrupted", "failed", "waiting")
    drifted = bench.resume(stopped.run, define(n=2, stops=False))
    assert isinstance(drifted.error, Drift)
    assert "step#2" in drifted.error.message


def test_items_of_a_map_that_were_called_off_hide_no_drift(bench):
    def define(*, n, stops):
        @checkpoint
        def step(n):
            if n == 0:
                raise ValueError("no")
            return n

        @flow(max_workers=1)
        def body():
            futures = step.map(range(20), on_error="cancel")
            with contextlib.suppress(ValueError):
                futures.results()
            step(n)
            if stops:
                raise RuntimeError("later")

        return body

    stopped = bench.run(define(n=100, stops=True))
    assert stopped.status == "failed"
    drifted = bench.resume(stopped.run, define(n=101, stops=False))
    assert isinstance(drifted.error, Drift)
