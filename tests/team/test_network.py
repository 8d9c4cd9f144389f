"""A network that fails, between a team and its bucket: who claims holds or is told, and a worker waits."""

from __future__ import annotations

import pytest

from kitaru.errors import RemoteError, RunClaimed
from kitaru.project.working import Told, Work
from kitaru.project.working_remote import RemoteWork
from kitaru.store import claims
from kitaru.store.trust import FLOWS as TRUSTED_FLOWS
from tests.team.machines import FLOWS, Team


def holder(by):
    return claims.Holder(f"{by}-nonce", by, "h", lambda: 1)


@pytest.mark.parametrize("behaviour", ["cut-answer", "status:503", "refuse"])
def test_of_two_that_claim_one_holds_whichever_request_fails(s3_remote, s3_proxy, behaviour):
    place = s3_remote()
    blobs, others = place._replace(options={"endpoint-url": s3_proxy.endpoint}).open(), place.open()
    for n in range(1, 6):
        run = f"run{n}"
        s3_proxy.fail(n, behaviour, path=run)
        try:
            mine = claims.take(blobs, run, [], holder("ann"), same=0)
        except RemoteError:
            mine = claims.take(blobs, run, [], holder("ann"), same=0)
        with pytest.raises(RunClaimed, match="by ann on h"):
            claims.take(others, run, [], holder("bob"), same=0)
        mine.release()
        assert claims.take(others, run, [], holder("bob"), same=0).who.by == "bob"


def test_a_worker_waits_for_the_network_and_goes_on(tmp_path, s3_remote, s3_proxy, monkeypatch):
    team = Team(tmp_path, s3_remote(s3_proxy.endpoint))
    monkeypatch.setenv("EFFECTS", str(team.effects))
    ana, wes = team.machine("ana"), team.machine("wes")
    (ana.directory / "flows.py").write_text(FLOWS)
    project = ana.project
    run = project.run(f"{ana.directory}/flows.py:asks", {"n": 1}, foreground=True).exec_id
    project.answer(run, None, True, resume=False)
    project.push()

    worker, now = wes.project, [0.0]
    worker.repo.trust.decide(TRUSTED_FLOWS, "asks", trusted=True, at=1, by="test")

    def carry(due, claim):
        assert claim is not None
        s3_proxy.down()  # and the network is gone while the run executes
        worker.resume(due.run, as_recorded=True, offline=True, foreground=True)
        return lambda: (0, "")

    shift = RemoteWork(worker, "team", carry, clock=lambda: now[0])
    work = Work(worker, start=shift.start, before=shift.before, clock=lambda: now[0])
    told = [t for t in work.carry(once=True) if isinstance(t, Told)]
    assert [t.kind for t in told] == ["pulled", "trouble"]
    assert shift.trouble is not None
    assert team.did() == [1]

    now[0] += 1000
    assert list(work.carry(once=True)) == []  # still away, and said before
    s3_proxy.up()
    now[0] += 1000
    assert [(t.kind, t.run) for t in work.carry(once=True)] == [("pushed", run)]
    assert shift.trouble is None
    project.pull()
    assert str(project.state(run).status) == "completed"
