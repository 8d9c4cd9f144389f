"""Five machines that answer one question at once: one of them wins, and the others are told who that was."""

from __future__ import annotations

import threading

import pytest

from kitaru.errors import AlreadyAnswered
from tests.team.machines import FLOWS

NAMES = ["ana", "ben", "cyd", "dan", "eva"]


def race(team, rounds):
    machines = [team.machine(name) for name in NAMES]
    first, *_ = machines
    (first.directory / "flows.py").write_text(FLOWS)
    project = first.project
    runs = [project.run(f"{first.directory}/flows.py:asks", {"n": n}, foreground=True).exec_id for n in range(rounds)]
    project.push()
    for machine in machines[1:]:
        machine.project.pull()
    for run in runs:
        one_round(machines, run)


def one_round(machines, run):
    ready, won, lost, wrong = threading.Barrier(len(machines)), [], {}, []

    def answer(machine):
        try:
            project = machine.project
            project.answer(run, None, True, by=machine.name, resume=False)
            ready.wait(60)
            project.push(runs=[run])
            won.append(machine.name)
        except AlreadyAnswered as told:
            lost[machine.name] = told.message
        except BaseException as error:
            wrong.append(error)
            ready.abort()

    threads = [threading.Thread(target=answer, args=[machine]) for machine in machines]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert len(won) == 1
    assert sorted([*won, *lost]) == NAMES
    assert all(f"by {won[0]} " in message for message in lost.values()), (won, lost)
    for machine in machines:
        project = machine.project
        project.pull()
        state = project.state(run)
        assert project.given(state, state.open_waits[0]).by == won[0]


def test_one_wins(team):
    race(team, 2)


@pytest.mark.long
def test_one_wins_twenty_times(team):
    race(team, 20)
