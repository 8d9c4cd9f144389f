"""Workers side by side: each answered run is carried on once, on one of them, and what they do outside is done once."""

from __future__ import annotations

import json
import os
import signal

import pytest

from kitaru.store import layout
from kitaru.store.trust import FLOWS as TRUSTED_FLOWS
from tests.team.machines import FLOWS, end_of, wait_until


def prepare(team, count, clones, flow="asks"):
    """Have `count` answered runs on the remote; return who made them, their ids, and machines that trust their code."""
    ana = team.machine("ana")
    (ana.directory / "flows.py").write_text(FLOWS)
    project = ana.project
    runs = [project.run(f"{ana.directory}/flows.py:{flow}", {"n": n}, foreground=True).exec_id for n in range(count)]
    for run in runs:
        project.answer(run, None, True, resume=False)
    project.push()
    machines = [team.machine(name) for name in clones]
    for machine in machines:
        machine.project.repo.trust.decide(TRUSTED_FLOWS, flow, trusted=True, at=1, by="test")
    return ana, runs, machines


def work(processes):
    """Let workers come to their end; return what each said, by kind of event."""
    said = []
    for process in processes:
        ended = end_of(process)
        assert ended.code == 0, ended
        said.append([json.loads(line) for line in ended.out.splitlines()])
    return said


def check(team, ana, runs, said):
    assert team.did() == list(range(len(runs)))
    events = [event for told in said for event in told]
    assert sorted(e["run"] for e in events if e["event"] == "pushed") == sorted(runs)
    assert [e for e in events if e["event"] in ("diverged", "trouble", "untrusted")] == []
    assert {e["status"] for e in events if e["event"] == "end"} == {"completed"}
    shared = team.place.open()
    for run in runs:
        assert len(list(shared.listing(layout.run_key(run)))) == 2
    ana.project.pull()
    assert {str(ana.project.state(run).status) for run in runs} == {"completed"}
    assert sorted(run.run for run in ana.project.log()) == sorted(runs)
    assert ana.project.check().is_clean


WORK = ["work", "--remote", "team", "--once", "--poll", "0.5", "-o", "json"]


def apart(team, count):
    ana, runs, machines = prepare(team, count, ["wes", "xan", "yan"])
    said = work([machine.start(*WORK) for machine in machines])
    check(team, ana, runs, said)


def test_three_workers_in_clones_of_their_own(bucket_team):
    apart(bucket_team, 6)


@pytest.mark.long
@pytest.mark.parametrize("kind", ["folder_team", "bucket_team"])
def test_three_workers_in_clones_of_their_own_and_thirty_runs(kind, request):
    apart(request.getfixturevalue(kind), 30)


def beside(team, count):
    ana, runs, (wes,) = prepare(team, count, ["wes"])
    said = work([wes.start(*WORK) for _ in range(2)])
    assert team.did() == list(range(len(runs)))
    assert {e["status"] for told in said for e in told if e["event"] == "end"} == {"completed"}
    ana.project.pull()
    assert {str(ana.project.state(run).status) for run in runs} == {"completed"}
    assert sorted(run.run for run in ana.project.log()) == sorted(runs)


def test_two_workers_in_one_directory(folder_team):
    beside(folder_team, 4)


@pytest.mark.long
def test_two_workers_in_one_directory_and_thirty_runs(bucket_team):
    beside(bucket_team, 30)


def test_what_is_queued_on_one_machine_is_begun_once_on_others(folder_team, monkeypatch):
    monkeypatch.setenv("EFFECTS", str(folder_team.effects))
    ana, _, machines = prepare(folder_team, 0, ["wes", "xan"])
    project = ana.project
    project.run(f"{ana.directory}/flows.py:does", {"n": 0}, foreground=True)
    queued = [project.enqueue("does@latest", {"n": n}).run for n in range(1, 5)]
    project.push()
    for machine in machines:
        machine.project.repo.trust.decide(TRUSTED_FLOWS, "does", trusted=True, at=1, by="test")
    said = work([machine.start(*WORK) for machine in machines])
    assert folder_team.did() == [0, 1, 2, 3, 4]
    events = [event for told in said for event in told]
    assert sorted(e["run"] for e in events if e["event"] == "pushed") == sorted(queued)
    project.pull()
    assert {str(project.state(run).status) for run in queued} == {"completed"}
    assert project.queue() == []


def test_what_a_worker_left_at_work_when_it_was_killed_is_pushed_by_the_next(folder_team):
    ana, (run,), (wes,) = prepare(folder_team, 1, ["wes"], "held")
    worker = wes.start("work", "--remote", "team", "--poll", "0.5", "-o", "json")
    begun = folder_team.root / "begun"
    wait_until(begun.exists)
    worker.kill()
    worker.communicate()
    begun.with_name("released").touch()
    wait_until(lambda: not wes.project.repo.is_held(run))
    said = work([wes.start(*WORK)])
    assert [e["event"] for e in said[0]] == ["pushed"]
    check(folder_team, ana, [run], [*said, [{"event": "end", "status": "completed"}]])


def test_a_worker_that_is_asked_to_end_lets_what_is_at_work_end_and_pushes_it(folder_team):
    ana, (run,), (wes,) = prepare(folder_team, 1, ["wes"], "held")
    worker = wes.start("work", "--remote", "team", "--poll", "0.5", "-o", "json")
    begun = folder_team.root / "begun"
    wait_until(begun.exists)
    worker.send_signal(signal.SIGTERM)
    begun.with_name("released").touch()
    check(folder_team, ana, [run], work([worker]))


def test_a_run_that_is_cancelled_on_one_machine_ends_on_the_other_that_executes_it(folder_team):
    ana, (run,), (wes,) = prepare(folder_team, 1, ["wes"], "ticks")
    worker = wes.start("work", "--remote", "team", "--poll", "0.2", "-o", "json")
    wait_until((folder_team.root / "begun").exists)
    done = ana.project.cancel(run, reason="enough")
    assert not done.ended
    assert done.holder.startswith("wes on ")
    ana.project.push()
    wait_until(lambda: ana.project.pull() and str(ana.project.state(run).status) == "cancelled")
    worker.send_signal(signal.SIGTERM)
    (said,) = work([worker])
    assert [e["status"] for e in said if e["event"] == "end"] == ["cancelled"]
    assert ana.project.state(run).end.cancelled["reason"] == "enough"


def test_a_run_whose_process_was_killed_is_pushed_as_it_is_and_another_worker_goes_on(folder_team):
    ana, (run,), (wes, xan) = prepare(folder_team, 1, ["wes", "xan"], "held")
    worker = wes.start(*WORK)
    wait_until((folder_team.root / "begun").exists)
    os.kill(int(wes.project.repo.holder(run).split()[1]), signal.SIGKILL)
    (killed,) = work([worker])
    assert [(e["event"], e.get("status")) for e in killed] == [
        ("pulled", None),
        ("start", None),
        ("end", "interrupted"),
        ("pushed", None),
    ]
    (folder_team.root / "released").touch()
    assert [e["event"] for e in work([xan.start(*WORK)])[0]] == ["pulled"]
    (said,) = work([xan.start(*WORK, "--interrupted")])
    assert [e["status"] for e in said if e["event"] == "end"] == ["completed"]
    assert folder_team.did() == [0]
    ana.project.pull()
    assert str(ana.project.state(run).status) == "completed"


def test_a_second_signal_interrupts_what_executes_which_is_pushed_to_be_resumed(folder_team):
    ana, (run,), (wes,) = prepare(folder_team, 1, ["wes"], "ticks")
    worker = wes.start(*WORK)
    wait_until((folder_team.root / "begun").exists)
    worker.send_signal(signal.SIGTERM)
    worker.send_signal(signal.SIGINT)  # of two alike that are pending, one arrives
    (said,) = work([worker])
    assert [(e["event"], e.get("status")) for e in said][-2:] == [("end", "interrupted"), ("pushed", None)]
    ana.project.pull()
    assert str(ana.project.state(run).status) == "interrupted"
