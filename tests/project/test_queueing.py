"""The queue: what is queued is begun once, in order, within limits, and by nobody once it is called off."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from datetime import timedelta

import pytest

from kitaru.config import Config
from kitaru.errors import (
    AlreadyCancelled,
    AmbiguousRevision,
    BadConfig,
    BadInput,
    FlowNotFound,
    RunHeld,
    UnbegunRun,
    UnknownInvocation,
    UsageError,
)
from kitaru.project.due_invocations import DueInvocations
from kitaru.project.flow_limits import FlowLimit, flow_limits
from kitaru.project.queued import QueueLook
from kitaru.project.starting import begin
from kitaru.runtime.loading import load_target
from kitaru.store import layout, names
from kitaru.store.invocations import put_invocation
from kitaru.testing import memory_project, work_off

CODE = """
import kitaru
from kitaru import checkpoint, flow

@checkpoint
def double(n: int) -> int:
    return 2 * n

@flow
def doubling(n: int) -> int:
    return double(n)

@flow
def asking() -> bool:
    return kitaru.wait("sure")

@flow(key="the one")
def single() -> str:
    return "once"

broken = [True]

@checkpoint
def stop() -> str:
    if broken.pop():
        raise KeyboardInterrupt
    return "over"

@flow
def stopping() -> str:
    try:
        return stop()
    except IndexError:
        return "over"
"""


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project whose flows are recorded, and whose sources are gone."""
    monkeypatch.chdir(tmp_path)
    project = memory_project(tmp_path)
    (tmp_path / "flows.py").write_text(CODE)
    project.run("flows.py:doubling", {"n": 1}, foreground=True)
    for name in ("asking", "single", "stopping"):
        loaded = load_target(f"flows.py:{name}", tmp_path, tmp_path)
        project.runner.versions.record(loaded.flow, loaded.entry, loaded.loaded_files)
    (tmp_path / "flows.py").unlink()
    yield project
    sys.modules.pop("flows", None)


def states(project, **options):
    return [(queued.invocation.id, queued.state) for queued in project.queue(**options)]


def result(project, run):
    state = project.state(run)
    return project.value(state.end.output, run)


def test_what_is_queued_is_begun_under_its_own_id(project):
    queued = project.enqueue("doubling", {"n": 4}, tags=["night"])
    assert states(project) == [(queued.id, "queued")]
    assert work_off(project) == [queued.id]
    assert states(project) == []
    assert states(project, all=True) == [(queued.id, "completed")]
    assert result(project, queued.run) == 8
    start = project.state(queued.id).start
    assert start.tags == ["night"]
    assert start.invoked["invocation"] == queued.id
    assert work_off(project) == []


def test_the_highest_priority_is_first_then_the_oldest(project):
    low, old, young, high = (project.enqueue("doubling", {"n": n}, priority=p).id for n, p in enumerate((-1, 0, 0, 5)))
    assert [i for i, _ in states(project)] == [high, old, young, low]
    assert work_off(project) == [high, old, young, low]


def test_nothing_is_begun_before_its_time(project):
    clock = project.services.clock_us
    later = project.enqueue("doubling", {"n": 1}, not_before=timedelta(hours=1))
    moment = project.enqueue("doubling", {"n": 2}, not_before=clock.now_us + 2 * 3600 * 10**6)
    assert states(project) == [(later.id, "delayed"), (moment.id, "delayed")]
    assert work_off(project) == []
    clock.advance(3600)
    assert states(project) == [(later.id, "queued"), (moment.id, "delayed")]
    assert work_off(project) == [later.id]
    clock.advance(3600)
    assert work_off(project) == [moment.id]


def test_what_does_not_fit_is_not_queued(project):
    with pytest.raises(BadInput, match="n"):
        project.enqueue("doubling", {"n": "many"})
    with pytest.raises(BadInput, match="doubling"):
        project.enqueue("doubling", {"m": 1})
    with pytest.raises(FlowNotFound):
        project.enqueue("tripling", {})
    with pytest.raises(UsageError, match="v9"):
        project.enqueue("doubling@v9", {"n": 1})
    with pytest.raises(UsageError, match="no time to begin at"):
        project.enqueue("doubling", {"n": 1}, not_before=timedelta(days=-400_000))
    with pytest.raises(UsageError, match="priority"):
        project.enqueue("doubling", {"n": 1}, priority=10**9)
    assert states(project, all=True) == []


def test_inputs_are_read_as_they_were_typed(project):
    queued = project.enqueue("doubling", {"n": "21"}, text=True)
    work_off(project)
    assert result(project, queued.id) == 42


def test_one_key_is_one_run_however_often_it_is_queued(project):
    first = project.enqueue("doubling", {"n": 1}, key="k")
    assert project.enqueue("doubling", {"n": 2}, key="k") == first
    assert work_off(project) == [first.id]
    assert project.enqueue("doubling", {"n": 3}, key="k") == first
    assert work_off(project) == []
    assert result(project, first.id) == 2


def test_a_key_for_which_a_run_was_started_otherwise(project):
    started = project.invoke("doubling", {"n": 5}, key="k", foreground=True).exec_id
    queued = project.enqueue("doubling", {"n": 6}, key="k")
    assert queued.run == started
    assert states(project, all=True) == [(started, "completed")]
    assert work_off(project) == []


def test_a_key_that_two_stores_named_a_run_for_is_begun_once(project):
    mine = project.enqueue("doubling", {"n": 1}, key="k")
    other = replace(mine, id="zzzzzzzzzz", nonce="other")
    put_invocation(project.repo.blobs, other)  # as it comes by a pull, its name of the key having lost
    assert work_off(project) == [mine.id]
    assert states(project) == []
    assert project.repo.run_ids().count(other.id) == 0


def test_a_flow_with_a_key_of_its_own_is_begun_once(project):
    first, second = project.enqueue("single"), project.enqueue("single")
    assert work_off(project) == [first.id, second.id]
    assert states(project, all=True) == [(second.id, "cancelled"), (first.id, "completed")]
    assert first.id in project.repo.cancellation(second.id).reason
    assert work_off(project) == []


def test_what_is_called_off_is_never_begun(project):
    gone, stays = project.enqueue("doubling", {"n": 1}), project.enqueue("doubling", {"n": 2})
    assert project.dequeue(gone.id[:4], reason="too late") == gone
    assert states(project) == [(stays.id, "queued")]
    assert work_off(project) == [stays.id]
    assert (gone.id, "cancelled") in states(project, all=True)
    with pytest.raises(AlreadyCancelled, match="was cancelled by tester"):
        project.dequeue(gone.id)
    with pytest.raises(UsageError, match="its run is completed"):
        project.dequeue(stays.id)
    with pytest.raises(RunHeld, match="another worker"):
        begin(project, stays.id)


def test_ids_are_found_by_their_beginning(project):
    first, second = project.enqueue("doubling", {"n": 1}), project.enqueue("doubling", {"n": 2})
    assert project.invocation(first.id.upper()[:6]).invocation == first
    assert project.invocation(second.id).invocation == second
    with pytest.raises(UnknownInvocation):
        project.invocation("zz")
    with pytest.raises(UnknownInvocation):
        project.invocation("")
    put_invocation(project.repo.blobs, replace(first, id=first.id[:9] + ("2" if first.id[9] != "2" else "3")))
    with pytest.raises(AmbiguousRevision):
        project.invocation(first.id[:9])


def test_a_worker_that_died_before_anything_was_recorded_leaves_it_to_the_next(project):
    queued = project.enqueue("doubling", {"n": 1})
    project.repo.begin(queued.id).close()
    assert work_off(project) == [queued.id]


def test_what_another_worker_is_just_beginning_is_left_alone(project):
    queued = project.enqueue("doubling", {"n": 1})
    with project.repo.begin(queued.id):
        assert work_off(project) == []
    assert work_off(project) == [queued.id]


def test_a_queued_run_that_was_interrupted_is_carried_on_unasked(project):
    queued = project.enqueue("stopping")
    assert work_off(project) == [queued.id]
    assert project.state(queued.id).status == "interrupted"
    loose = project.invoke("stopping", foreground=True).exec_id
    assert project.state(loose).status == "interrupted"
    assert work_off(project) == [queued.id]
    assert project.state(loose).status == "interrupted"


def test_a_queued_run_that_asks_is_answered_and_carried_on(project):
    queued = project.enqueue("asking")
    assert work_off(project) == [queued.id]
    assert work_off(project) == []
    project.answer(queued.id, "sure", True, resume=False)
    assert work_off(project) == [queued.id]
    assert result(project, queued.id) is True


def test_inputs_that_fit_no_longer_are_told_and_tried_again(project, tmp_path):
    queued = project.enqueue("doubling", {"n": 1})
    (tmp_path / "flows.py").write_text(CODE.replace("doubling(n: int)", "doubling(n: int, unit: str)"))
    with pytest.raises(BadInput):
        project.run("flows.py:doubling", {})
    project.run("flows.py:doubling", {"n": 1, "unit": "m"}, foreground=True)
    with pytest.raises(BadInput, match="doubling@v2 has no value for unit"):
        work_off(project)
    assert states(project) == [(queued.id, "queued")]


def test_what_is_damaged_stops_nobody_else(project):
    project.repo.blobs.create(layout.queue_key("damagedrun"), b"{}")
    project.repo.blobs.create("queue/NO-RUN", b"{}")
    queued = project.enqueue("doubling", {"n": 1})
    look = QueueLook(project.repo)
    assert look.pending() == [queued]
    assert list(look.damaged) == ["damagedrun"]
    assert work_off(project) == [queued.id]


def test_a_look_reads_what_came_since_the_last_alone(project, monkeypatch):
    for n in range(3):
        project.enqueue("doubling", {"n": n})
    look, reads = QueueLook(project.repo), []
    assert len(look.pending()) == 3
    get = project.repo.blobs.get
    monkeypatch.setattr(project.repo.blobs, "get", lambda key, **options: reads.append(key) or get(key, **options))
    assert len(look.pending()) == 3
    assert reads == []
    new = project.enqueue("doubling", {"n": 4})
    reads.clear()
    assert len(look.pending()) == 4
    assert reads == [layout.queue_key(new.id)]


@pytest.mark.parametrize(
    "table", [{"speed": 1}, {"concurrency": 0}, {"concurrency": True}, {"per-minute": "many"}, {"per-minute": -1}]
)
def test_a_limit_that_is_none_is_refused(table):
    with pytest.raises(BadConfig, match="doubling"):
        flow_limits(Config(tables={"flows": {"doubling": table}}))


def limited(project, **table):
    project.config = Config(tables={"flows": {"doubling": {k.replace("_", "-"): v for k, v in table.items()}}})
    return project


def test_limits_are_read():
    config = Config(tables={"flows": {"a": {"concurrency": 2, "per-minute": 30}, "b": {}}})
    assert flow_limits(config) == {"a": FlowLimit(2, 30), "b": FlowLimit()}


def test_so_many_a_minute(project):
    clock = project.services.clock_us
    clock.advance(120)  # the run that recorded the flow is over for long
    queued = [limited(project, per_minute=2).enqueue("doubling", {"n": n}).id for n in range(5)]
    other = project.enqueue("asking").id
    taken = work_off(project)
    assert taken == [*queued[:2], other]
    assert work_off(project) == []
    clock.advance(61)
    assert work_off(project) == queued[2:4]


def test_so_many_at_once(project):
    queued = limited(project, concurrency=1).enqueue("doubling", {"n": 1})
    with project.repo.begin("heldherenw") as writer:
        source = project.repo.records(project.log(flow="doubling")[0].run)[0].record
        writer.commit(replace(source, inputs=source.inputs), [])
        assert work_off(project) == []
        with pytest.raises(RunHeld, match="1 of them execute, and concurrency is 1"):
            begin(project, queued.id)
    assert work_off(project) == [queued.id]


def test_limits_that_change_while_a_worker_works(project):
    for n in range(2):
        begin(project, project.enqueue("doubling", {"n": n}).id)
    project.enqueue("doubling", {"n": 3})
    settings = project.root / ".kitaru" / "config.toml"
    settings.parent.mkdir()
    look, seen = DueInvocations(project), []
    for n, text in enumerate(["", "per-minute = 2", "per-minute =", "per-minute = 4"]):
        settings.write_text(f"[flows.doubling]\n{text}\n")
        os.utime(settings, (n + 1, n + 1))
        seen.append(len(look.all()))
    assert seen == [1, 0, 0, 1], "what cannot be read changes nothing"


def test_a_queued_run_is_told_from_one_that_never_was(project):
    queued = project.enqueue("doubling", {"n": 1})
    for text in (queued.id, queued.id[:9]):
        with pytest.raises(UnbegunRun, match="was queued and has not begun") as found:
            project.find_run(text)
        assert queued.id in found.value.hint
    work_off(project)
    assert project.find_run(queued.id) == queued.id


def test_a_pruned_run_is_not_begun_anew(project):
    queued = project.enqueue("doubling", {"n": 1})
    work_off(project)
    project.prune(runs=[queued.id])
    assert states(project, all=True) == [(queued.id, "pruned")]
    assert work_off(project) == []


def test_a_name_is_what_its_check_says(project):
    queued = project.enqueue("doubling", {"n": 1})
    key = layout.queue_key(queued.id)
    assert names.pack(queued.fields()) == project.repo.blobs.get(key)
