"""What a resume would do is told without executing a checkpoint or writing a byte."""

from __future__ import annotations

import pytest

import kitaru
from kitaru import checkpoint, flow
from kitaru.errors import Drift, RunHeld, RunSleeping, RunWaiting
from kitaru.runtime.context import current_engine
from tests.runtime.bench import Scripts

executed: list[str] = []


@checkpoint
def fetch(url):
    executed.append(url)
    if url == "bad":
        raise ValueError("no such page")
    return f"<{url}>"


@checkpoint
def join(texts):
    executed.append("join")
    return "".join(texts)


def reading(urls=("a", "b"), *, ask=False, crash=False, catch=False, finish=join):
    """Return a flow; made again with other arguments, it is the same flow with its code changed."""

    @flow
    def body():
        texts = []
        for url in urls:
            try:
                texts.append(fetch(url))
            except ValueError:
                if not catch:
                    raise
        if crash:
            raise KeyboardInterrupt
        if ask:
            kitaru.wait("go", "Go on?")
        return finish(texts)

    return body


@pytest.fixture
def check(bench):
    """Check what a resume would do with some code, holding that nothing is executed and nothing written."""

    def run(run, _code=None, **options):
        executed.clear()
        before = snapshot(bench.project)
        found = bench.project.check_resume(run, **options)
        assert executed == []
        assert snapshot(bench.project) == before
        return found

    return run


def snapshot(project):
    blobs = project.repo.blobs
    return {key: bytes(content) for key, content in blobs._content.items()}


def told(found):
    return [f"{call.call} {call.verdict}" for call in found.calls]


def test_what_is_recorded_is_reused_up_to_what_is_new(bench, check):
    run = bench.run(reading(crash=True)).run
    found = check(run, reading())
    assert told(found) == ["fetch reuse", "fetch#2 reuse", "join run"]
    assert (found.ending, found.left, found.problem) == ("runs", [], None)
    assert found.calls[-1].why == "new: nothing of it is recorded"
    assert bench.resume(run, reading()).calls == ["fetch recorded", "fetch#2 recorded", "join ran"]


def test_drift_is_shown_and_nothing_is_executed(bench, check):
    run = bench.run(reading(crash=True)).run
    code = reading(("a", "c"))
    found = check(run, code)
    assert told(found) == ["fetch reuse", "fetch#2 stop"]
    assert (found.ending, found.left) == ("drifts", ["fetch#2"])
    assert isinstance(found.problem, Drift)
    assert "url was 'b', is now 'c'" in found.calls[-1].why
    assert "url was 'b', is now 'c'" in found.problem.message
    assert told(check(run, code, on_drift="new")) == ["fetch reuse", "fetch#3 run"]
    reused = check(run, code, on_drift="reuse")
    assert told(reused) == ["fetch reuse", "fetch#2 reuse", "join run"]
    assert "drift, and the policy is reuse: url was 'b'" in reused.calls[1].why


def test_a_failure_that_ended_the_run_would_be_tried_again(bench, check):
    code = reading(("a", "bad"))
    run = bench.run(code).run
    found = check(run, code)
    assert told(found) == ["fetch reuse", "fetch#2 run"]
    assert found.calls[-1].why == "its failure ended the run: ValueError: no such page"


def test_a_failure_that_the_flow_survived_is_kept(bench, check):
    run = bench.run(reading(("bad", "b"), catch=True, crash=True)).run
    found = check(run, reading(("bad", "b"), catch=True))
    assert told(found) == ["fetch reuse", "fetch#2 reuse", "join run"]
    assert found.calls[0].why == "it failed, and the flow went on"


def test_what_the_code_no_longer_asks_for(bench, check):
    run = bench.run(reading(crash=True)).run
    found = check(run, reading(("a",), finish=len))
    assert (told(found), found.ending, found.left) == (["fetch reuse"], "completes", ["fetch#2"])


def test_a_wait_without_an_answer_and_with_one(bench, check):
    code = reading(ask=True)
    run = bench.run(code).run
    found = check(run, code)
    assert (told(found), found.ending) == (["fetch reuse", "fetch#2 reuse"], "waits")
    assert isinstance(found.error, RunWaiting)
    assert found.problem is None
    bench.project.answer(run, None, True, resume=False)
    assert told(check(run, code)) == ["fetch reuse", "fetch#2 reuse", "join run"]


def test_a_new_question(bench, check):
    run = bench.run(reading(crash=True)).run
    found = check(run, reading(ask=True))
    assert (told(found)[-1], found.ending) == ("go ask", "waits")


def test_the_history_of_a_run_that_is_over(bench, check):
    code = reading()
    run = bench.run(code).run
    found = check(run, code)
    assert (told(found), found.ending) == (["fetch reuse", "fetch#2 reuse", "join reuse"], "completes")
    changed = reading(("a", "c"))
    assert check(run, changed).ending == "drifts"


def test_changed_code_of_a_checkpoint_is_told(bench, check):
    run = bench.run(reading()).run

    @checkpoint(name="join")
    def other(texts):
        return " ".join(texts)

    found = check(run, reading(finish=other))
    assert found.calls[-1].why == "its code has changed, its result is kept"


def test_code_that_fails_on_the_recorded_results(bench, check):
    run = bench.run(reading()).run
    found = check(run, reading(finish=lambda texts: texts[7]))
    assert (found.ending, type(found.problem.__cause__)) == ("fails", IndexError)


def test_a_call_that_was_in_flight(bench, check):
    @flow
    def body():
        return slow(1)

    @checkpoint
    def slow(n):
        kitaru.current_call().began_us -= 60_000
        current_engine.get().in_flight._look()
        raise KeyboardInterrupt

    run = bench.run(body).run
    assert check(run, body).calls[0].why == "it was in flight when the run stopped"


def test_a_body_that_swallows_everything_does_not_get_further(bench, check):
    run = bench.run(reading(crash=True)).run

    def swallowing(texts):
        try:
            join(texts)
        except BaseException:  # as bad code does
            return fetch("more")

    found = check(run, reading(finish=swallowing))
    assert (told(found)[-1], found.ending) == ("join run", "runs")


def test_a_run_that_executes_is_not_checked(bench, check):
    @flow
    def body():
        return probe(1)

    @checkpoint
    def probe(n):
        run = kitaru.current_call().run
        with pytest.raises(RunHeld):
            bench.project.check_resume(run)
        return n

    assert bench.run(body).status == "completed"


def test_a_replay_is_checked(bench):
    code = reading()
    run = bench.run(code).run
    executed.clear()
    before = snapshot(bench.project)
    found = bench.project.check_replay(run, from_="fetch#2")
    assert told(found) == ["fetch reuse", "fetch#2 run"]
    given = bench.project.check_replay(run, set={"fetch#2": "x"})
    assert told(given) == ["fetch reuse", "fetch#2 reuse", "join run"]
    assert given.calls[1].why == "its output is given"
    assert (executed, snapshot(bench.project)) == ([], before)


def test_a_sleep_is_not_slept(bench, check):
    def sleepy(seconds):
        @flow
        def body():
            page = fetch("a")
            if not seconds:
                raise KeyboardInterrupt
            kitaru.sleep(seconds)
            return fetch(page)

        return body

    run = bench.run(sleepy(0)).run
    for seconds in (3, 3600):
        code = sleepy(seconds)
        found = check(run, code)
        assert (told(found), found.ending) == (["fetch reuse", "kitaru.sleep run"], "runs")
    bench.resume(run, sleepy(3600))
    code = sleepy(3600)
    assert (told(check(run, code)), check(run, code).ending) == (["fetch reuse"], "waits")


def test_the_history_of_a_cancelled_run(bench, check):
    code = reading(ask=True)
    run = bench.run(code).run
    bench.project.cancel(run)
    assert bench.project.state(run).status == "cancelled"
    found = check(run, code)
    assert (told(found), found.ending) == (["fetch reuse", "fetch#2 reuse"], "waits")


def test_time_and_chance_are_calls_like_others(bench, check):
    @flow
    def body():
        return fetch(str(kitaru.random()))

    run = bench.run(body).run
    found = check(run, body)
    assert ([str(call.verdict) for call in found.calls], found.ending) == (["reuse", "reuse"], "completes")


def test_on_a_disk_not_a_byte_changes(tmp_path):
    scripts = Scripts(tmp_path)
    scripts.write(
        "agent.py",
        """
        import os
        from kitaru import checkpoint, flow

        @checkpoint
        def step(n):
            if n == 1:
                os._exit(3)
            return n

        @flow
        def agent():
            return [step(n) for n in range(3)]
        """,
    )
    start = "from kitaru import Project; Project.open().run('agent.py:agent', {}, foreground=True)"
    scripts.python("-c", start, code=3)
    scripts.write("agent.py", (tmp_path / "agent.py").read_text().replace("range(3)", "range(1, 3)"))
    before = {path: path.read_bytes() for path in (tmp_path / ".kitaru").rglob("*") if path.is_file()}
    assert any("open" in path.parts for path in before)  # the journal that the killed process left
    found = scripts.project.check_resume("@")
    assert [(c.call, c.verdict) for c in found.calls] == [("step", "stop")]
    assert found.changes == [("agent.py", "changed")]
    after = {path: path.read_bytes() for path in (tmp_path / ".kitaru").rglob("*") if path.is_file()}
    assert {p.relative_to(tmp_path).parts[1] for p in after.keys() ^ before.keys()} <= {"cache"}
    assert all(after[path] == content for path, content in before.items())


@checkpoint(cache=True)
def look(n):
    executed.append(n)
    return n


def with_cache(crash):
    @flow
    def body():
        fetch("a")
        if crash:
            raise KeyboardInterrupt
        return [look(1), look.submit(2).result(), look(3)]

    return body


def test_a_cached_result_would_be_taken(bench, check):
    bench.run(with_cache(crash=False))
    run = bench.run(with_cache(crash=True)).run
    code = with_cache(crash=False)
    found = check(run, code)
    assert told(found) == ["fetch reuse", "look reuse", "look#2 reuse", "look#3 reuse"]
    assert (found.ending, found.calls[1].why) == ("completes", "an earlier result is taken from the cache")
    found = check(run, code, cache=False)
    assert told(found) == ["fetch reuse", "look run"]
    executed.clear()
    assert bench.resume(run, code).value == [1, 2, 3]
    assert executed == []


def test_a_replay_would_take_a_cached_result(bench):
    code = with_cache(crash=False)
    run = bench.run(code).run
    executed.clear()
    found = bench.project.check_replay(run, from_="look")
    assert (told(found)[1:], found.ending) == (["look reuse", "look#2 reuse", "look#3 reuse"], "completes")
    assert told(bench.project.check_replay(run, from_="look", cache=False))[1:] == ["look run"]
    assert executed == []


@pytest.mark.parametrize("seconds", [4, 60])
def test_a_recorded_sleep_that_is_not_over_is_not_slept(bench, check, seconds):
    def sleepy(crash):
        @flow
        def body():
            fetch("a")
            if crash:
                current_engine.get().sleeps._begin(seconds * 1_000_000, None)
                raise KeyboardInterrupt
            kitaru.sleep(seconds)

        return body

    run = bench.run(sleepy(crash=True)).run
    code = sleepy(crash=False)
    found = check(run, code)
    assert (told(found), found.ending) == (["fetch reuse"], "waits")
    assert isinstance(found.error, RunSleeping)
