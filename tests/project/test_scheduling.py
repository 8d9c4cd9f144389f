"""Schedules: their log, what they call for when, and that of many workers one makes each invocation."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from kitaru.errors import BadInput, Diverged, FlowNotFound, UnknownSchedule, UsageError
from kitaru.project.schedules import Schedules
from kitaru.project.ticks import tick_id
from kitaru.store.invocations import invocation_ids
from kitaru.store.schedules import last_entry, put_entry
from kitaru.testing import FixedClock, memory_project, work_off

CODE = """
from kitaru import flow

@flow
def report(kind: str = "short") -> str:
    return kind
"""
START = int(datetime(2026, 6, 1, 8, 30, tzinfo=UTC).timestamp()) * 1_000_000
HOUR_S = 3600.0


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "reports.py").write_text(CODE)
    project = memory_project(tmp_path, clock=FixedClock(START, 1))
    project.run("reports.py:report", {}, foreground=True)
    return project


def hourly(project, name="hourly", **options):
    return project.add_schedule(name, "report", {"kind": "long"}, **{"cron": "0 * * * *", "tz": "UTC", **options})


def hours(invocations):
    return [datetime.fromtimestamp(i.tick / 1_000_000, UTC).hour for i in invocations]


def test_a_tick_becomes_a_run_that_tells_so(project):
    hourly(project)
    assert work_off(project) == []
    project.services.clock_us.advance(HOUR_S)
    (run,) = work_off(project)
    state = project.state(run)
    tick = int(datetime(2026, 6, 1, 9, tzinfo=UTC).timestamp()) * 1_000_000
    assert run == tick_id("hourly", tick)
    assert {key: state.start.invoked[key] for key in ("schedule", "tick")} == {"schedule": "hourly", "tick": tick}
    assert project.value(state.end.output, run) == "long"
    assert work_off(project) == []
    view = project.schedule("hourly")
    assert (view.last_us, view.last_run, view.next_us) == (tick, run, tick + int(HOUR_S) * 1_000_000)


@pytest.mark.parametrize(("catch_up", "expected"), [("none", []), ("last", [12]), ("all", [9, 10, 11, 12])])
def test_what_nobody_was_there_for(project, catch_up, expected):
    hourly(project, catch_up=catch_up)
    project.services.clock_us.advance(4 * HOUR_S)
    assert hours(project.fire_schedules()) == expected
    assert project.fire_schedules() == []
    again = Schedules(project.repo, lambda: project.services)  # a worker that is started anew
    assert again.fire() == []
    project.services.clock_us.advance(HOUR_S / 2)
    assert hours(again.fire()) == [13]
    assert project.fire_schedules() == []


def test_a_worker_that_was_there_is_never_late(project):
    hourly(project, catch_up="none")
    project.fire_schedules()
    project.services.clock_us.advance(HOUR_S)  # it looks seldom, for the store is large
    assert hours(project.fire_schedules()) == [9]


def test_a_worker_that_stopped_between_two_ticks_leaves_the_others(project):
    hourly(project, catch_up="all")
    project.services.clock_us.advance(2 * HOUR_S)
    first = Schedules(project.repo, lambda: project.services)
    assert hours(first.fire()) == [9, 10]
    project.services.clock_us.advance(3 * HOUR_S)
    assert hours(Schedules(project.repo, lambda: project.services).fire()) == [11, 12, 13]


def test_a_paused_schedule_does_not_tick_and_catches_nothing_up(project):
    hourly(project, catch_up="all")
    project.services.clock_us.advance(HOUR_S)
    assert hours(project.fire_schedules()) == [9]
    project.pause_schedule("hourly", note="holidays")
    project.services.clock_us.advance(3 * HOUR_S)
    assert project.fire_schedules() == []
    assert project.schedule("hourly").next_us == 0
    project.resume_schedule("hourly")
    assert project.fire_schedules() == []
    project.services.clock_us.advance(HOUR_S)
    assert hours(project.fire_schedules()) == [13]


def test_the_log_tells_who_did_what(project):
    hourly(project)
    project.pause_schedule("hourly", note="holidays")
    with pytest.raises(UsageError, match="is paused already"):
        project.pause_schedule("hourly")
    project.remove_schedule("hourly")
    with pytest.raises(UnknownSchedule):
        project.resume_schedule("hourly")
    assert project.schedules() == []
    assert [view.entry.state for view in project.schedules(all=True)] == ["removed"]
    hourly(project, cron="5 * * * *")
    log = project.schedule_log("hourly")
    assert [(e.n, e.state, e.by, e.note) for e in log] == [
        (1, "active", "tester", ""),
        (2, "paused", "tester", "holidays"),
        (3, "removed", "tester", ""),
        (4, "active", "tester", ""),
    ]
    assert [e.cron for e in log] == ["0 * * * *"] * 3 + ["5 * * * *"]


@pytest.mark.parametrize(
    ("change", "error", "told"),
    [
        ({"name": "every hour"}, UsageError, "cannot name a schedule"),
        ({"cron": "0 9 * *"}, UsageError, "no cron line"),
        ({"tz": "Mars/Olympus"}, UsageError, "no time zone"),
        ({"catch_up": "some"}, UsageError, "no way to catch up"),
        ({"target": "nothing"}, FlowNotFound, "nothing"),
        ({"target": "report@v7"}, UsageError, "v7"),
        ({"inputs": {"kind": 3}}, BadInput, "kind"),
    ],
)
def test_what_cannot_be_scheduled_is_not(project, change, error, told):
    wanted = {"name": "hourly", "target": "report", "inputs": {}, "cron": "0 * * * *", "tz": "UTC", **change}
    name, target, inputs = wanted.pop("name"), wanted.pop("target"), wanted.pop("inputs")
    with pytest.raises(error, match=told):
        project.add_schedule(name, target, inputs, **wanted)
    assert project.schedules(all=True) == []


def test_a_name_is_given_once(project):
    hourly(project)
    with pytest.raises(UsageError, match="hourly already"):
        hourly(project)
    with pytest.raises(UnknownSchedule, match="'daily'") as raised:
        project.schedule("daily")
    assert raised.value.hint == "the schedules are hourly"


def test_of_two_who_change_it_at_once_the_second_is_told(project, monkeypatch):
    hourly(project)
    entry = last_entry(project.repo.blobs, "hourly")
    view = project.schedule("hourly")
    put_entry(project.repo.blobs, replace(entry, n=2, state="removed", by="ann", nonce="n2"))
    monkeypatch.setattr(project, "schedule", lambda name: view)
    with pytest.raises(Diverged, match=r"hourly was changed by ann at .* it is removed now"):
        project.pause_schedule("hourly")


def test_what_came_from_elsewhere_and_names_no_time_ticks_never_and_is_told(project):
    entry = hourly(project)
    put_entry(project.repo.blobs, replace(entry, schedule="odd", cron="99 * * * *"))
    put_entry(project.repo.blobs, replace(entry, schedule="lost", tz="Mars/Olympus"))
    project.repo.blobs.create("schedules/hurt/000001", b"{}")
    project.services.clock_us.advance(HOUR_S)
    assert [i.schedule for i in project.fire_schedules()] == ["hourly"]
    assert sorted(project._schedules.wrong) == ["hurt", "lost", "odd"]


def test_of_many_workers_one_makes_each_invocation(project):
    for name in ("a", "b", "c"):
        hourly(project, name, catch_up="all")
    workers = [Schedules(project.repo, lambda: project.services) for _ in range(4)]
    fired, together = [], threading.Barrier(4)

    def fire(worker):
        for _ in range(5):
            together.wait(30)
            fired.extend(i.id for i in worker.fire())
            if together.wait(30) == 0:
                project.services.clock_us.advance(HOUR_S)
            together.wait(30)

    threads = [threading.Thread(target=fire, args=(worker,)) for worker in workers]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert len(fired) == len(set(fired)) == 12
    assert sorted(fired) == invocation_ids(project.repo.blobs)


def test_ticks_whose_runs_were_pruned_are_not_called_for_again(project):
    hourly(project, catch_up="all")
    project.services.clock_us.advance(2 * HOUR_S)
    ticks = work_off(project)
    project.prune(runs=ticks)
    for run in ticks:
        project.repo.blobs.delete(f"queue/{run}")  # as gc does
    project.services.clock_us.advance(HOUR_S)
    assert hours(Schedules(project.repo, lambda: project.services).fire()) == [11]
