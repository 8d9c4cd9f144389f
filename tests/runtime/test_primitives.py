"""Time, ids and chance come out the same on resume and replay; a sleep is over when it was to be over at first."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

import kitaru
from kitaru import checkpoint, flow
from kitaru.errors import NotCheckpointable, RunSleeping, UnknownWait, UsageError
from kitaru.model.history import Status
from kitaru.model.moments import to_datetime
from kitaru.model.records import Answer, Wait
from kitaru.store.check import check

HOUR_S = 3600


def drawing():
    @checkpoint
    def inside():
        return kitaru.now(), kitaru.uuid4(), kitaru.random()

    @flow
    def draw():
        drawn = [kitaru.now(), kitaru.uuid4(), kitaru.random(), kitaru.now()]
        return [*drawn, kitaru.wait("go", schema=int), inside()]

    return draw


def test_what_was_drawn_is_the_same_on_resume_and_replay(bench):
    code = drawing()
    run = bench.run(code).run
    first = bench.answer(run, 1, _code=code).value
    replayed = bench.replay(run, code, from_="inside").value
    assert first[:4] == replayed[:4]
    assert first[5] != replayed[5]
    moment, unique, chance, later = first[:4]
    assert moment.utcoffset() == timedelta(0)
    assert later > moment
    assert (type(unique), unique.version) == (UUID, 4)
    assert 0 <= chance < 1


def test_they_are_calls_under_names_of_their_own(bench):
    @checkpoint
    def now():
        return "a user's own"

    @flow
    def body():
        return [now(), kitaru.now(), kitaru.now()]

    done = bench.run(body)
    assert done.log == ["now", "kitaru.now", "kitaru.now#2"]
    assert bench.project.find_call(f"{done.run}:kitaru.now#2")[1].record.output


def test_inside_a_checkpoint_they_are_live_and_part_of_it(bench):
    @checkpoint
    def inside():
        kitaru.sleep(0)
        return kitaru.now(), kitaru.random()

    @flow
    def body():
        return inside()

    done = bench.run(body)
    assert done.log == ["inside"]
    assert done.value[0].year == 2026  # the project's clock, and not the machine's


def test_outside_of_a_run_they_are_ordinary():
    assert kitaru.now() <= datetime.now(UTC)
    assert kitaru.uuid4() != kitaru.uuid4()
    assert 0 <= kitaru.random() < 1
    kitaru.sleep(0)
    asyncio.run(kitaru.sleep_async(0))
    kitaru.progress("nobody listens")


@pytest.mark.parametrize("name", ["kitaru.now", "kitaru.mine"])
def test_no_checkpoint_and_no_wait_can_have_such_a_name(bench, name):
    with pytest.raises(NotCheckpointable):
        checkpoint(name=name)(lambda: 1)

    @flow
    def body():
        kitaru.wait(name)

    assert "is no name for a wait" in str(bench.run(body).error)


def test_threads_draw_in_their_own_scopes(bench):
    @flow
    def body():
        found = []
        for _ in range(2):
            thread = threading.Thread(
                target=contextvars.copy_context().run, args=(lambda: found.append(kitaru.uuid4()),)
            )
            thread.start()
            thread.join()
        kitaru.wait("go")
        return found

    run = bench.run(body).run
    recorded = [bench.project.value(v.record.output) for v in bench.project.state(run).ordered_calls]
    assert bench.answer(run, True, _code=body).value == recorded


# -- sleep -----------------------------------------------------------------------------------------------------------


def sleeping(seconds=None, **until):
    @checkpoint
    def after():
        return "awake"

    @flow
    def rest():
        kitaru.sleep(seconds, **until)
        return after()

    return rest


def test_a_short_sleep_stays_in_the_process(bench):
    before = bench.project.services.clock_us()
    done = bench.run(sleeping(3))
    assert (done.status, done.value) == ("completed", "awake")
    assert bench.project.services.clock_us() - before > 3_000_000
    (view,) = done.state.ordered_waits
    assert view.answer.source == "time"
    assert view.record.deadline - view.record.at == 3_000_000
    assert (done.events("sleep")[0]["wait"], done.events("answer")[0]["source"]) == ("kitaru.sleep", "time")
    assert check(bench.project.repo).is_clean


def test_a_long_sleep_lets_the_process_go(bench):
    code = sleeping(HOUR_S)
    done = bench.run(code)
    assert done.status == "waiting"
    assert isinstance(done.error, RunSleeping)
    wakes = done.state.wakes
    assert str(to_datetime(wakes))[:19] in str(done.error)
    assert not bench.project.repo.is_held(done.run)
    (summary,) = bench.project.log()
    assert (summary.status, summary.waits, summary.wakes) == ("waiting", [], wakes)
    assert [w.view.is_sleep for w in bench.project.waits()] == [True]


def test_a_resume_before_its_time_says_when_and_changes_nothing(bench):
    code = sleeping(HOUR_S)
    run = bench.run(code).run
    head = bench.project.state(run).head
    again = bench.resume(run, code)
    assert isinstance(again.error, RunSleeping)
    assert again.state.head == head


def test_a_resume_after_its_time_goes_on_at_once(bench):
    code = sleeping(HOUR_S)
    run = bench.run(code).run
    bench.project.services.clock_us.advance(HOUR_S)
    done = bench.resume(run, code)
    assert done.value == "awake"
    records = [s.record for s in bench.project.repo.records(run)]
    assert [r.source for r in records if isinstance(r, Answer)] == ["time"]
    assert len([r for r in records if isinstance(r, Wait)]) == 1


def test_the_time_counts_from_when_it_began_first(bench):
    """A process that is gone while it sleeps costs no time: who takes up the run sleeps for the rest alone."""
    code = sleeping(HOUR_S)
    run = bench.run(code).run
    bench.project.services.clock_us.advance(HOUR_S - 4)
    before = bench.project.services.clock_us()
    assert bench.resume(run, code).value == "awake"  # 4 s are short
    assert bench.project.services.clock_us() - before < 5_000_000


def test_until_a_moment(bench):
    @flow
    def body():
        kitaru.sleep(until=kitaru.now() + timedelta(days=30))
        return "a month later"

    done = bench.run(body)
    assert done.status == "waiting"
    bench.project.services.clock_us.advance(31 * 86400)
    assert bench.resume(done.run, body).value == "a month later"


def test_a_process_may_stay_longer(bench):
    done = bench._watched(
        lambda told: bench.project.run(sleeping(HOUR_S), {}, observer=told, foreground=True, stay_s=2 * HOUR_S)
    )
    assert done.value == "awake"


def test_a_replay_does_not_sleep_again(bench):
    code = sleeping(3)
    run = bench.run(code).run
    before = bench.project.services.clock_us()
    assert bench.replay(run, code, from_="after").value == "awake"
    assert bench.project.services.clock_us() - before < 1_000_000


def test_two_equal_sleeps_are_two(bench):
    @flow
    def body():
        kitaru.sleep(HOUR_S)
        kitaru.sleep(HOUR_S)
        return "done"

    run = bench.run(body).run
    bench.project.services.clock_us.advance(HOUR_S)
    second = bench.resume(run, body)
    assert second.log == ["kitaru.sleep", "kitaru.sleep#2"]
    bench.project.services.clock_us.advance(HOUR_S)
    assert bench.resume(run, body).value == "done"


def test_a_changed_length_is_another_sleep(bench):
    run = bench.run(sleeping(HOUR_S)).run
    code = sleeping(2)
    assert bench.resume(run, code).value == "awake"


def test_a_sleep_is_answered_by_nobody(bench):
    code = sleeping(HOUR_S)
    run = bench.run(code).run
    for name in (None, "kitaru.sleep"):
        with pytest.raises(UnknownWait):
            bench.project.answer(run, name, True)


def test_a_sleeping_run_is_cancelled_at_once(bench):
    run = bench.run(sleeping(HOUR_S)).run
    assert bench.project.cancel(run).ended
    assert bench.project.state(run).status is Status.CANCELLED
    assert bench.project.state(run).wakes == 0


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ({}, "either"),
        ({"seconds": 1, "until": datetime.now(UTC)}, "either"),
        ({"seconds": -1}, "no length"),
        ({"seconds": float("nan")}, "no length"),
        ({"seconds": float("inf")}, "no length"),
        ({"until": datetime(2026, 1, 1)}, "no time zone"),
    ],
)
def test_what_is_no_sleep(given, complaint):
    with pytest.raises(UsageError, match=complaint):
        kitaru.sleep(**given)


def test_an_event_loop_is_not_blocked(bench):
    async def main():
        kitaru.sleep(1)

    with pytest.raises(UsageError, match="would block the event loop"):
        asyncio.run(main())


def test_tasks_sleep_each_for_itself(bench):
    @checkpoint
    def after(n):
        return n

    @flow
    def body():
        async def one(n):
            await kitaru.sleep_async(n)
            return after(n)

        async def both():
            return await asyncio.gather(one(2), one(1))

        return asyncio.run(both())

    done = bench.run(body)
    assert done.value == [2, 1]
    assert [v.record.deadline - v.record.at for v in done.state.ordered_waits] == [2_000_000, 1_000_000]


def test_a_task_that_sleeps_long_lets_the_run_go(bench):
    @flow
    def body():
        async def rest():
            await kitaru.sleep_async(HOUR_S)
            return "awake"

        return asyncio.run(rest())

    run = bench.run(body).run
    assert bench.project.state(run).status is Status.WAITING
    bench.project.services.clock_us.advance(HOUR_S)
    assert bench.resume(run, body).value == "awake"


# -- keys of calls -----------------------------------------------------------------------------------------------------


def test_a_calls_key_is_the_same_on_every_attempt(bench):
    seen = []

    def failing(times):
        @checkpoint(retries=2)
        def charge(x):
            call = kitaru.current_call()
            seen.append((call.attempt, call.key))
            if len(seen) <= times:
                raise OSError("the service is down")
            return x

        @flow
        def body():
            kitaru.now()
            return charge(1)

        return body

    code = failing(3)
    failed = bench.run(code)
    assert failed.status == "failed"
    assert bench.resume(failed.run, code).value == 1
    assert [attempt for attempt, _ in seen] == [1, 2, 3, 4]
    assert len({key for _, key in seen}) == 1


@pytest.mark.parametrize(
    "told", [{"percent": float("nan")}, {"percent": float("inf")}, {"current": 1, "total": float("nan")}]
)
def test_progress_that_is_no_number_is_shown_as_far_as_it_is_one(bench, told):
    @checkpoint
    def work():
        kitaru.progress("half", **told)

    @flow
    def body():
        work()

    ended = bench.run(body)
    assert ended.status == "completed"
    assert [(e["percent"], e["text"].split("  ")[0]) for e in ended.events("progress")] == [(None, "half")]
