"""Workers on one queue, some of them killed: each invocation and each tick starts exactly one run, and all end."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace

import pytest

from kitaru.config import assign
from kitaru.model.records import Resumed
from kitaru.project import Project
from kitaru.store.schedules import put_entry
from tests.crash.queueing import FLOWS, Crew

MINUTE_US = 60_000_000
WORK = ["work", "--once", "-o", "json"]


def prepare(root, durability):
    root.mkdir()
    project = Project.init(root)
    assign(root / ".kitaru" / "config.toml", "durability", durability)
    (root / "flows.py").write_text(FLOWS)
    project = Project.open(root)
    project.run(f"{root}/flows.py:doubling", {"n": 0}, foreground=True).wait()
    (root / "flows.py").unlink()
    return project


def schedule(project, count, minutes):
    """Add schedules that have been due once a minute for so long, with nobody there."""
    for k in range(count):
        entry = project.add_schedule(f"each{k}", "doubling", {"n": 1}, cron="* * * * *", tz="UTC", catch_up="all")
        since = entry.at - minutes * MINUTE_US
        assert put_entry(project.repo.blobs, replace(entry, n=2, at=since, nonce="since"))[0]


def settle(project, effects):
    """Let what killed workers left be carried on; what their orphans still execute comes to its end by itself."""
    deadline = time.monotonic() + 60
    while project.unfinished()[0] or project.queue():
        assert time.monotonic() < deadline, (project.unfinished(), project.queue())
        words = [sys.executable, "-m", "kitaru", *WORK]
        subprocess.run(
            words, cwd=project.root, env={**os.environ, "EFFECTS": str(effects)}, check=True, capture_output=True
        )


def check(project, invocations, minutes, first, effects, kills):
    ticks = [queued for queued in project.queue(all=True) if queued.invocation.schedule]
    assert len({(t.invocation.schedule, t.invocation.tick) for t in ticks}) == len(ticks)
    per_schedule = Counter(t.invocation.schedule for t in ticks)
    assert all(minutes <= n <= minutes + 3 for n in per_schedule.values()), per_schedule
    expected = {first, *invocations, *(t.invocation.run for t in ticks)}
    runs = project.log()
    assert sorted(summary.run for summary in runs) == sorted(expected)
    assert {summary.status for summary in runs} == {"completed"}
    resumed = {run: sum(isinstance(s.record, Resumed) for s in project.repo.records(run)) for run in expected}
    done = Counter(int(line) for line in effects.read_text().split())
    for n, run in enumerate(invocations, 1):
        assert project.value(project.state(run).end.output, run) == 4 * (n + 5000) + 2000
        if not resumed[run]:
            assert (done[n + 5000], done[n + 6000]) == (1, 1), "one that nobody cut short was executed once"
    assert sum(resumed.values()) <= 2 * kills
    assert project.check().is_clean


def trial(tmp_path, durability, invocations, minutes, kill_every, most_kills):
    effects, project = tmp_path / "effects", prepare(tmp_path / "p", durability)
    first = project.log()[0].run
    queued = [project.enqueue("doubling", {"n": n + 5000}).id for n in range(1, invocations + 1)]
    schedule(project, 3, minutes)
    crew = Crew([(project.root, WORK)] * 4, effects)
    try:
        crew.run(kill_every, most_kills)
    finally:
        crew.close()
    settle(project, effects)
    assert crew.kills > 1
    check(project, queued, minutes, first, effects, crew.kills)


@pytest.fixture(autouse=True)
def _effects(tmp_path, monkeypatch):
    monkeypatch.setenv("EFFECTS", str(tmp_path / "first"))


def test_four_workers_and_kills(tmp_path):
    trial(tmp_path, "power-loss", invocations=24, minutes=3, kill_every=7, most_kills=4)


@pytest.mark.long
@pytest.mark.parametrize("durability", ["power-loss", "process-crash"])
def test_four_workers_and_kills_for_long(tmp_path, durability):
    trial(tmp_path, durability, invocations=200, minutes=20, kill_every=20, most_kills=12)
