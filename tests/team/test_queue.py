"""Workers in clones of their own: what one machine queued and scheduled is begun exactly once, whoever is killed.

Who is killed keeps his claim until its lease is over, a minute later: so the short form kills nobody.
"""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import replace

import pytest

from kitaru.store.schedules import put_entry
from kitaru.store.trust import FLOWS as TRUSTED_FLOWS
from tests.crash.queueing import Crew
from tests.team.machines import FLOWS, end_of

MINUTE_US = 60_000_000
WORK = ["work", "--remote", "team", "--once", "--poll", "0.5", "-o", "json"]


def prepare(team, invocations, minutes, clones):
    """Have a queue and three schedules on the remote, these due for some minutes, and machines that trust the code."""
    ana = team.machine("ana")
    (ana.directory / "flows.py").write_text(FLOWS)
    project = ana.project
    first = project.run(f"{ana.directory}/flows.py:does", {"n": 0}, foreground=True).exec_id
    queued = [project.enqueue("does", {"n": n}).id for n in range(1, invocations + 1)]
    for k in range(3):
        entry = project.add_schedule(f"each{k}", "does", {"n": 9000 + k}, cron="* * * * *", tz="UTC", catch_up="all")
        assert put_entry(project.repo.blobs, replace(entry, n=2, at=entry.at - minutes * MINUTE_US, nonce="since"))[0]
    project.push()
    machines = [team.machine(f"worker{n}") for n in range(clones)]
    for machine in machines:
        machine.project.repo.trust.decide(TRUSTED_FLOWS, "does", trusted=True, at=1, by="test")
    return ana, first, queued, machines


def settle(ana, machines):
    """Let the machines carry on what killed workers left there."""
    deadline = time.monotonic() + 240
    while True:
        ended = [end_of(process) for process in [machine.start(*WORK) for machine in machines]]
        ana.project.pull()
        project = ana.project
        if not (project.unfinished()[0] or project.queue()):
            return
        assert time.monotonic() < deadline, (project.unfinished(), project.queue(), ended)


def trial(team, monkeypatch, *, invocations, minutes, clones, kill_every, most_kills):
    monkeypatch.setenv("EFFECTS", str(team.effects))
    ana, first, queued, machines = prepare(team, invocations, minutes, clones)
    crew = Crew([(machine.directory, WORK) for machine in machines], team.effects)
    try:
        crew.run(kill_every, most_kills)
    finally:
        crew.close()
    settle(ana, machines)
    assert crew.kills == most_kills
    project = ana.project
    ticks = [i.invocation for i in project.queue(all=True) if i.invocation.schedule]
    assert set(Counter((t.schedule, t.tick) for t in ticks).values()) == {1}
    assert all(n >= minutes for n in Counter(t.schedule for t in ticks).values())
    runs = project.log()
    assert sorted(summary.run for summary in runs) == sorted({first, *queued, *(tick.run for tick in ticks)})
    assert {summary.status for summary in runs} == {"completed"}
    done = Counter(team.did())
    assert all(done[n] >= 1 for n in range(1, invocations + 1))
    assert sum(done[n] for n in range(1, invocations + 1)) <= invocations + 2 * crew.kills
    assert project.check().is_clean


def test_workers_in_clones(bucket_team, monkeypatch):
    trial(bucket_team, monkeypatch, invocations=6, minutes=1, clones=2, kill_every=99, most_kills=0)


@pytest.mark.long
@pytest.mark.parametrize("kind", ["folder_team", "bucket_team"])
def test_four_workers_in_clones_and_kills(kind, request, monkeypatch):
    team = request.getfixturevalue(kind)
    trial(team, monkeypatch, invocations=200, minutes=10, clones=4, kill_every=20, most_kills=10)
