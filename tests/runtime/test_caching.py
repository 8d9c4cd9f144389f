"""A cached result: taken when nothing that it was made of has changed, recorded, and the run's own from then on."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import random
import shutil
import sys
import threading
from datetime import timedelta

import pytest

import kitaru
from kitaru import checkpoint, flow
from kitaru.blobs.local import LocalBlobs
from kitaru.config import Config
from kitaru.errors import UnknownRun
from kitaru.project import Project
from kitaru.store.check import check
from kitaru.store.repository import Repository
from kitaru.testing import FixedClock, fixed_services
from tests.store.faults import FaultyFiles

EXECUTED = []


@checkpoint(cache=True)
def fetch(url, times=1):
    EXECUTED.append(url)
    return [f"what is at {url}"] * times


@checkpoint
def count(pages):
    EXECUTED.append("count")
    return len(pages)


@flow
def look(url="a"):
    return count(fetch(url))


@pytest.fixture(autouse=True)
def _executed():
    EXECUTED.clear()


def how(ended):
    return [f"{view.label} {view.record.how}" for view in ended.state.ordered_calls]


def test_an_equal_call_of_a_later_run_is_not_executed(bench):
    first, second = bench.run(look), bench.run(look)
    assert EXECUTED == ["a", "count", "count"]
    assert second.value == first.value == 1
    assert second.calls == ["fetch reused", "count ran"]
    (view,) = [v for v in second.state.ordered_calls if v.name == "fetch"]
    origin = next(v for v in first.state.ordered_calls if v.name == "fetch")
    assert view.record.reused == {"run": first.run, "record": origin.id, "call": "fetch"}
    assert view.record.output == origin.record.output
    assert second.events("call")[0]["reused"] == view.record.reused


def test_other_arguments_are_another_call(bench):
    bench.run(look, url="a")
    bench.run(look, url="b")
    assert EXECUTED == ["a", "count", "b", "count"]


def test_an_equal_call_of_the_same_run(bench):
    @flow
    def twice():
        return fetch("a"), fetch("a"), fetch("a", times=2)

    ended = bench.run(twice)
    assert EXECUTED == ["a", "a"]
    assert how(ended) == ["fetch ran", "fetch#2 reused", "fetch#3 ran"]
    assert ended.value == (["what is at a"], ["what is at a"], ["what is at a"] * 2)


def test_off_by_default(bench):
    @checkpoint
    def plain(n):
        EXECUTED.append(n)

    @flow
    def body():
        plain(1)

    ended = bench.run(body)
    bench.run(body)
    assert EXECUTED == [1, 1]
    assert all(view.record.cache == "" for view in ended.state.ordered_calls)


def of(checkpoint_says, flow_says):
    @checkpoint(cache=checkpoint_says)
    def step():
        EXECUTED.append("step")

    @flow(cache=flow_says)
    def body():
        step()

    return body


@pytest.mark.parametrize(
    ("checkpoint_says", "flow_says", "command_says", "reused"),
    [
        (None, None, None, False),
        (None, True, None, True),
        (None, False, None, False),
        (True, False, None, True),
        (False, True, None, False),
        (None, None, True, True),
        (None, False, True, True),
        (False, None, True, False),
        (True, None, False, False),
        (None, True, False, False),
    ],
)
def test_who_decides(bench, checkpoint_says, flow_says, command_says, reused):
    body = of(checkpoint_says, flow_says)
    for _ in range(2):
        bench.project.run(body, {}, cache=command_says, foreground=True)
    assert ["step"] * (1 if reused else 2) == EXECUTED


def test_without_the_cache_the_new_result_takes_the_place_of_the_old(bench):
    bench.run(look)
    second = bench.project.run(look, {}, cache=False, foreground=True).exec_id
    third = bench.run(look)
    assert EXECUTED.count("a") == 2
    assert third.events("call")[0]["reused"]["run"] == second


def test_a_failure_is_not_cached(bench):
    @checkpoint(cache=True)
    def fail():
        EXECUTED.append("fail")
        raise ValueError("no")

    @flow
    def body():
        fail()

    bench.run(body)
    assert bench.run(body).status == "failed"
    assert EXECUTED == ["fail", "fail"]


def test_a_call_that_changes_its_argument_is_not_cached(bench):
    @checkpoint(cache=True)
    def fill(items):
        items.append(1)
        return len(items)

    @flow
    def body():
        items = []
        return fill(items), items

    assert bench.run(body).value == bench.run(body).value == (1, [1])


def test_what_the_code_computes_with_is_part_of_the_key(bench, monkeypatch):
    bench.run(look)
    monkeypatch.setattr(fetch, "fn", lambda url, times=1: EXECUTED.append(url) or ["something else"])
    assert bench.run(look).calls == ["fetch ran", "count ran"]


def test_a_key_of_ones_own(bench):
    @checkpoint(cache=True, cache_key=lambda request: request["url"])
    def ask(request):
        EXECUTED.append(request["id"])
        return request["url"]

    @flow
    def body(n):
        return ask({"id": n, "url": "a"}), ask({"id": n, "url": f"b{n}"})

    bench.run(body, n=1)
    assert how(bench.run(body, n=2)) == ["ask reused", "ask#2 ran"]
    assert EXECUTED == [1, 1, 2]


@pytest.mark.parametrize("expires", [3600, timedelta(hours=1), "1h"], ids=str)
def test_a_result_that_is_too_old(tmp_path, expires):
    @checkpoint(cache=True, expires=expires)
    def fetch_now():
        EXECUTED.append("now")

    @flow
    def body():
        fetch_now()

    clock = FixedClock(step_us=0)
    project = kitaru.testing.memory_project(tmp_path, clock=clock)
    project.run(body, {}, foreground=True)
    clock.advance(3599)
    project.run(body, {}, foreground=True)
    assert len(EXECUTED) == 1
    clock.advance(1)
    project.run(body, {}, foreground=True)  # too old, and executed anew
    clock.advance(3599)
    project.run(body, {}, foreground=True)
    assert len(EXECUTED) == 2


def test_what_a_call_saved_is_there_too(bench):
    @checkpoint(cache=True)
    def draft():
        EXECUTED.append("draft")
        kitaru.save("outline", {"parts": ["one", "two"]})
        kitaru.log(tokens=100)

    @checkpoint
    def read():
        return kitaru.load("outline")

    @flow
    def body():
        draft()
        return read()

    bench.run(body)
    second = bench.run(body)
    assert second.value == {"parts": ["one", "two"]}
    (view,) = [v for v in second.state.ordered_calls if v.name == "draft"]
    assert view.record.metadata is None  # it cost nothing this time
    assert EXECUTED == ["draft"]


def test_a_reused_call_is_recorded_once_and_not_looked_up_again(bench):
    @flow
    def body():
        fetch("a")
        kitaru.wait("go", "on?", schema=bool)
        return fetch("a")

    bench.run(look)
    ended = bench.run(body)
    bench.project.clear_cache()
    resumed = bench.answer(ended.run, True)
    assert resumed.status == "completed"
    assert resumed.calls[0] == "fetch reused"
    assert EXECUTED == ["a", "count", "a"]  # the second fetch executed: the cache is empty


def test_a_replay_takes_results_unless_told_not_to(bench):
    first = bench.run(look)
    bench.replay(first.run, from_="fetch")
    assert EXECUTED == ["a", "count", "count"]
    bench.replay(first.run, from_="fetch", cache=False)
    assert EXECUTED == ["a", "count", "count", "a", "count"]


def test_two_checkpoints_of_one_code(bench):
    def same():
        EXECUTED.append("same")

    one, two = checkpoint(same, name="one", cache=True), checkpoint(same, name="two", cache=True)

    @flow
    def body():
        one()
        two()

    bench.run(body)
    bench.run(body)
    assert EXECUTED == ["same", "same"]


@pytest.fixture
def disk(tmp_path):
    """Return a function that opens the same project on disk, as another process would."""
    Project.init(tmp_path)
    clock = FixedClock()

    def opened():
        return Project.open(tmp_path, services=dataclasses.replace(fixed_services(clock), random_bytes=os.urandom))

    return opened


def done(project, body=look, **inputs):
    handle = project.run(body, inputs, foreground=True)
    return handle.exec_id, handle.get()


def test_another_process_takes_it(disk):
    done(disk())
    done(disk())
    assert EXECUTED == ["a", "count", "count"]


def test_deleting_the_cache_loses_nothing(disk, tmp_path):
    first, value = done(disk())
    shutil.rmtree(tmp_path / ".kitaru/cache")
    _, again = done(disk())
    assert value == again
    assert not check(disk().repo).findings
    assert EXECUTED.count("a") == 2
    assert disk().state(first).status == "completed"


def test_pruning_the_run_that_it_came_from_takes_nothing_from_the_run_that_took_it(disk):
    big = "x" * 2_000_000

    @checkpoint(cache=True)
    def make():
        EXECUTED.append("make")
        return {"large": big, "parts": [{"n": n, "text": f"part {n} " * 50} for n in range(100)]}

    @flow
    def body():
        return make()

    first, value = done(disk(), body)
    second, _ = done(disk(), body)
    assert EXECUTED == ["make"]
    project = disk()
    project.prune(runs=[first])
    project.gc(grace_us=0)
    project.gc(grace_us=0)
    assert not list(project.repo.blobs.children("runs/" + first))
    assert not check(disk().repo).findings
    assert disk().value(disk().state(second).end.output, second) == value
    with pytest.raises(UnknownRun):
        disk().state(disk().find_run(first))
    done(disk(), body)
    assert EXECUTED == ["make", "make"]  # it was removed on purpose: its result is not taken any more


def test_a_result_that_cannot_be_read_is_executed_anew(disk, tmp_path):
    big = random.Random(1).randbytes(2_000_000)

    @checkpoint(cache=True)
    def make():
        EXECUTED.append("make")
        return big

    @flow
    def body():
        return len(make())

    done(disk(), body)
    (segment,) = (tmp_path / ".kitaru/segments").glob("*/*")
    damaged = bytearray(segment.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    segment.chmod(0o600)
    segment.write_bytes(damaged)
    assert done(disk(), body)[1] == len(big)
    assert EXECUTED == ["make", "make"]


def test_a_damaged_cache_is_told_once_and_fails_nothing(disk, tmp_path):
    done(disk())
    (tmp_path / ".kitaru/cache/results/cache.db").write_bytes(b"no database" * 1000)
    told = kitaru.testing.Recorder()
    handle = disk().run(look, {}, observer=told, foreground=True)
    assert handle.get() == 1
    (warning,) = [e.data["text"] for e in told.events if e.kind == "cache"]
    assert "was damaged" in warning
    assert EXECUTED == ["a", "count", "a", "count"]


def test_a_result_whose_class_is_gone_is_executed_anew(bench):
    @dataclasses.dataclass
    class Plan:
        steps: int

    globals()["Plan"] = Plan
    Plan.__qualname__ = "Plan"

    @checkpoint(cache=True, cache_key=lambda: "always")
    def plan():
        EXECUTED.append("plan")
        return globals()["Plan"](2)

    @flow
    def body():
        return plan().steps

    try:
        assert bench.run(body).value == 2
        assert bench.run(body).value == 2
        assert EXECUTED == ["plan"]
        del globals()["Plan"]
        ended = bench.run(body)
        assert EXECUTED == ["plan", "plan"]
        assert ended.status == "failed"  # for want of the class, not of the cache
    finally:
        globals().pop("Plan", None)


def test_submitted_calls_take_part(bench):
    @flow
    def body():
        return [future.result() for future in [fetch.submit(url) for url in "abc"]]

    assert bench.run(body).value == bench.run(body).value
    assert sorted(EXECUTED) == ["a", "b", "c"]


def test_async_calls_take_part(bench):
    @checkpoint(cache=True)
    async def load(url):
        await asyncio.sleep(0)
        EXECUTED.append(url)
        return f"what is at {url}"

    @flow
    async def body():
        return await asyncio.gather(load("a"), load("b"))

    first, second = bench.run(body), bench.run(body)
    assert first.value == second.value == ["what is at a", "what is at b"]
    assert sorted(EXECUTED) == ["a", "b"]
    assert sorted(second.calls) == ["load reused", "load#2 reused"]


def test_a_call_in_a_process_of_its_own(disk, tmp_path, monkeypatch):
    (tmp_path / "apart.py").write_text(
        "import os\n"
        "from kitaru import checkpoint, flow\n\n"
        "@checkpoint(cache=True, runtime='isolated')\n"
        "def who():\n    return os.getpid()\n\n"
        "@flow\ndef body():\n    return who()\n"
    )
    monkeypatch.chdir(tmp_path)
    try:
        handles = [disk().run("apart.py:body", {}, foreground=True) for _ in range(2)]
        assert handles[0].get() == handles[1].get() != os.getpid()
    finally:
        sys.modules.pop("apart", None)


def test_the_result_of_a_run_that_still_executes(disk):
    @checkpoint
    def meanwhile():
        return done(disk())[1]

    @flow
    def body():
        fetch("a")
        return meanwhile()

    assert done(disk(), body)[1] == 1
    assert EXECUTED == ["a", "count"]


class SyncingThreads(FaultyFiles):
    """The real calls, and the threads that wait for the disk."""

    def __init__(self):
        super().__init__()
        self.threads = []

    def _real(self, name, args):
        if name == "fdatasync":
            self.threads.append(threading.get_ident())
        return super()._real(name, args)


def test_hits_in_async_code_do_not_hold_up_the_loop_and_share_syncs(tmp_path):
    Project.init(tmp_path)
    files = SyncingThreads()
    repo = Repository.open(LocalBlobs(tmp_path / ".kitaru", files=files))
    project = Project(tmp_path, repo, Config(), fixed_services())

    @checkpoint(cache=True)
    async def load(n):
        EXECUTED.append(n)
        return n

    @flow
    async def body():
        before = len(files.threads)
        values = await asyncio.gather(*(load(n) for n in range(20)))
        values += await asyncio.gather(*load.map(range(20)))
        return values, threading.get_ident(), files.threads[before:]

    project.run(body, {}, foreground=True)
    values, loop_thread, threads = project.run(body, {}, foreground=True).get()
    assert (values, sorted(EXECUTED)) == ([*range(20)] * 2, [*range(20)])
    assert loop_thread not in threads
    assert 0 < len(threads) < 40


def test_a_hit_is_durable_before_the_body_goes_on(tmp_path):
    Project.init(tmp_path)
    files = SyncingThreads()
    project = Project(
        tmp_path, Repository.open(LocalBlobs(tmp_path / ".kitaru", files=files)), Config(), fixed_services()
    )

    @flow
    def body():
        counts = [len(files.threads)]
        for take in (fetch, lambda url: fetch.submit(url).result(), lambda url: fetch.map([url]).results()):
            take("a")
            counts.append(len(files.threads))
        return counts

    project.run(body, {}, foreground=True)
    counts = project.run(body, {}, foreground=True).get()
    assert EXECUTED == ["a"]
    assert counts == sorted(set(counts))
