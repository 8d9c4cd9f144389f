"""Questions in branches of an event loop: each blocks its own, and the run lets go when all are blocked."""

from __future__ import annotations

import asyncio
import contextlib
import threading

import pytest

import kitaru
from kitaru import checkpoint, flow
from kitaru.errors import RunWaiting
from kitaru.model.encoding import Encoder


def answers(project, **values):
    """Return an observer that answers questions by their names, at once."""

    def watch(event):
        if event.kind == "wait" and event.data["wait"] in values:
            state = project.state(event.run)
            (view,) = [w for w in state.open_questions if w.label == event.data["wait"]]
            given = Encoder().encode(values[view.label])
            project.repo.put_objects(given.objects)
            project.repo.put_answer(event.run, view.record.digest, value=given.id, by="ada", at=1)

    return watch


def two_branches(ran):
    @checkpoint
    async def before(name):
        ran.append(f"before {name}")
        return name

    @checkpoint
    async def after(name, approved):
        ran.append(f"after {name}")
        return (name, approved)

    async def branch(name):
        await before(name)
        return await after(name, await kitaru.wait_async("approve", f"delete {name}?"))

    @flow
    async def body():
        return await asyncio.gather(branch("staging"), branch("prod"))

    return body


def test_several_are_open_at_once_and_each_has_its_own_answer(bench):
    ran = []
    ended = bench.run(two_branches(ran))
    assert (ended.status, type(ended.error)) == ("waiting", RunWaiting)
    assert sorted(ran) == ["before prod", "before staging"]
    found = {w.record.question: w for w in ended.state.open_waits}
    assert sorted(w.label for w in found.values()) == ["approve", "approve#2"]
    assert [dict(w.record.shown).keys() for w in found.values()] == [{"before"}, {"before#2"}]
    ended = bench.answer(ended.run, False, found["delete prod?"].label, two_branches(ran))
    assert ended.status == "waiting"
    assert ran[2:] == ["after prod"]
    ended = bench.answer(ended.run, True, found["delete staging?"].label, two_branches(ran))
    assert ended.value == [("staging", True), ("prod", False)]
    assert ran[2:] == ["after prod", "after staging"]


def test_other_branches_go_on_to_their_ends(bench):
    ran = []

    def make():
        @checkpoint
        async def work(n):
            await asyncio.sleep(0.03)
            ran.append(n)
            return n

        @checkpoint
        def on_thread(n):
            threading.Event().wait(0.03)
            ran.append(n)
            return n

        async def works():
            total = 0
            for n in range(3):
                await asyncio.sleep(0.03)  # a timer of the body's own
                total += await work(n)
            total += await on_thread.submit(10)
            total += await asyncio.to_thread(on_thread, 20)
            return total + sum(await on_thread.map([30, 31]))

        @flow
        async def body():
            async with asyncio.TaskGroup() as group:
                asked = group.create_task(kitaru.wait_async("approve"))
                worked = group.create_task(works())
            return asked.result(), worked.result()

        return body

    ended = bench.run(make())
    assert ended.status == "waiting"
    assert sorted(ran) == [0, 1, 2, 10, 20, 30, 31]
    assert bench.answer(ended.run, True, None, make()).value == (True, 94)
    assert len(ran) == 7


@pytest.mark.parametrize("way", ["gather", "group", "queue", "event", "wait", "lock", "nested"])
def test_all_blocked_however_branches_wait_for_one_another(bench, way):
    """What waits for a branch that is blocked is blocked itself, whatever it waits by."""

    async def ask():
        return await kitaru.wait_async("approve")

    async def gather():
        return (await asyncio.gather(ask()))[0]

    async def group():
        async with asyncio.TaskGroup() as tasks:
            found = tasks.create_task(ask())
        return found.result()

    async def queue():
        found = asyncio.Queue()

        async def put():
            await found.put(await ask())

        task = asyncio.create_task(put())
        value = await found.get()
        await task
        return value

    async def event():
        answered = asyncio.Event()

        async def tell():
            value = await ask()
            answered.set()
            return value

        task = asyncio.create_task(tell())
        await answered.wait()
        return await task

    async def wait():
        done, _ = await asyncio.wait({asyncio.create_task(ask())})
        return done.pop().result()

    async def lock():
        only = asyncio.Lock()

        async def locked():
            async with only:
                return await ask()

        task = asyncio.create_task(locked())
        await asyncio.sleep(0)
        async with only:
            return await task

    async def nested():
        return await asyncio.create_task(gather())

    ways = {f.__name__: f for f in (gather, group, queue, event, wait, lock, nested)}

    @flow
    async def body():
        return await ways[way]()

    ended = bench.run(body)
    assert ended.status == "waiting"
    assert bench.answer(ended.run, True).value is True


def test_an_answer_that_comes_while_another_branch_works_is_taken_at_once(bench):
    order = []
    answered = threading.Event()

    @checkpoint
    def slow():
        assert answered.wait(10)
        order.append("slow")

    async def asks():
        await kitaru.wait_async("approve")
        order.append("answered")
        answered.set()

    @flow
    async def body():
        await asyncio.gather(asks(), slow.submit())

    watch = answers(bench.project, approve=True)
    handle = bench.project.run(body, {}, observer=watch, foreground=True)
    assert handle.outcome.status == "completed"
    assert order == ["answered", "slow"]


def test_on_a_loop_of_the_bodys_own(bench):
    @flow
    def body():
        async def main():
            return await asyncio.gather(kitaru.wait_async("a", schema=int), kitaru.wait_async("b", schema=int))

        return asyncio.run(main())

    ended = bench.run(body)
    assert sorted(w.label for w in ended.state.open_waits) == ["a", "b"]
    bench.project.answer(ended.run, "b", 2, resume=False)
    assert bench.answer(ended.run, 1, "a").value == [1, 2]


def test_a_sleep_blocks_only_its_branch(bench):
    ran = []

    @checkpoint
    async def work(n):
        ran.append(n)
        return n

    async def sleeps():
        await kitaru.sleep_async(3600)
        return await work("woken")

    async def works():
        await asyncio.sleep(0.02)
        return await work("other")

    @flow
    async def body():
        return await asyncio.gather(sleeps(), works(), kitaru.wait_async("approve"))

    ended = bench.run(body)
    assert (ended.status, ran) == ("waiting", ["other"])
    assert isinstance(ended.error, RunWaiting)
    assert "kitaru answer" in str(ended.error)  # the question, rather than the sleep
    ended = bench.answer(ended.run, True, None)
    assert "sleeps until" in str(ended.error)
    bench.project.services.clock_us.advance(3600)
    assert bench.resume(ended.run).value == ["woken", "other", True]


def test_it_stays_while_one_of_them_is_told_to(bench):
    watch = answers(bench.project, late=True)
    clock = bench.project.services.clock_us

    async def late():
        answer = await kitaru.wait_async("early", timeout=60)
        return answer

    @flow
    async def body():
        return await asyncio.gather(late(), kitaru.wait_async("other"))

    began = clock.now_us
    handle = bench.project.run(body, {}, observer=watch, foreground=True)
    assert handle.outcome.status == "waiting"
    assert clock.now_us - began >= 60_000_000


def test_a_deadline_passes_in_one_branch(bench):
    @flow
    async def body():
        return await asyncio.gather(
            kitaru.wait_async("a", schema=int, deadline=5, default=1, timeout=60), kitaru.wait_async("b", schema=int)
        )

    ended = bench.run(body)
    assert [w.label for w in ended.state.open_waits] == ["b"]
    assert bench.answer(ended.run, 2).value == [1, 2]


def test_a_branch_that_gives_up_waiting(bench):
    """A timer around the question is the body's own: the process stays for it."""

    @flow
    async def body():
        async def patient():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.05):
                    return await kitaru.wait_async("a")
            return "gave up"

        return await asyncio.gather(patient(), kitaru.wait_async("b"))

    ended = bench.run(body)
    assert ended.status == "waiting"
    assert bench.answer(ended.run, True, "b").value == ["gave up", True]


def test_a_swallowed_stop_is_met_again(bench):
    @flow
    async def body():
        await asyncio.gather(kitaru.wait_async("a"), kitaru.wait_async("b"), return_exceptions=True)
        return await kitaru.wait_async("c")

    ended = bench.run(body)
    assert ended.status == "waiting"
    assert sorted(w.label for w in ended.state.open_waits) == ["a", "b"]


def test_a_plain_wait_stops_all_branches_and_does_not_stay_on_a_loop(bench):
    def make(**options):
        @flow
        async def body():
            return await asyncio.gather(asyncio.sleep(30), asyncio.to_thread(int), asks(**options))

        return body

    async def asks(**options):
        return kitaru.wait("a", **options)

    assert bench.run(make()).status == "waiting"
    assert "would block the event loop" in str(bench.run(make(timeout=5)).error)


def test_inside_of_a_checkpoint_it_is_refused(bench):
    @checkpoint
    async def asks():
        return await kitaru.wait_async("a")

    @flow
    async def body():
        return await asks()

    ended = bench.run(body)
    assert "inside the checkpoint asks" in str(ended.error)


def test_a_run_that_is_asked_to_end_does_not_wait(bench):
    def watch(event):
        if event.kind == "wait":
            bench.project.repo.put_cancellation(event.run, by="ann", at=1, reason="enough")

    @flow
    async def body():
        return await kitaru.wait_async("a", timeout=10_000_000)

    handle = bench.project.run(body, {}, observer=watch, foreground=True)
    assert handle.outcome.status == "cancelled"


def test_a_loop_whose_clients_keep_timers_and_connections_is_still(bench):
    """A client that a checkpoint made keeps a timer on the loop and a socket open: neither keeps the run."""
    kept = []

    @checkpoint
    async def fetch():
        loop = asyncio.get_running_loop()
        kept.append(loop.call_later(3600, print))
        server = await asyncio.start_server(lambda reader, writer: kept.append(writer), "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        kept.extend([server, writer])
        return port > 0

    @flow
    async def body():
        found = await fetch()
        try:
            return found and await kitaru.wait_async("a")
        finally:
            for open_ in kept[1:]:
                open_.close()

    ended = bench.run(body)
    assert ended.status == "waiting"
