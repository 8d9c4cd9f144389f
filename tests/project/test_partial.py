"""Runs that were pulled without their large objects: what is read is brought, verified, and once."""

import random
import shutil
import threading

import pytest

from kitaru import checkpoint, flow, notices
from kitaru.blobs.folder import FolderBlobs
from kitaru.blobs.local import LocalBlobs
from kitaru.config import Config
from kitaru.errors import Damaged, RemoteError, UnknownObject
from kitaru.project import Project
from kitaru.store import Repository, layout, loose
from kitaru.store.check import check
from kitaru.store.gc import collect
from kitaru.testing import FixedClock, fixed_services

LARGE = 10_000
DAY_US = 86_400_000_000


@pytest.fixture(autouse=True)
def small_is_large(monkeypatch):
    """Have parts of values that take a moment be large enough for files of their own."""
    monkeypatch.setattr(loose, "LARGE", LARGE)


def noise(seed):
    return random.Random(seed).randbytes(60_000)


@checkpoint
def big(n: int) -> bytes:
    return noise(n)


@checkpoint
def nested(parts: list) -> dict:
    return {"parts": parts, "more": noise(9)}


@flow
def heavy() -> dict:
    return nested([big(1), big(2)])


@pytest.fixture
def team(tmp_path):
    """Return the folder of a remote that holds a run, and the run's id."""
    here = tmp_path / "team"
    repo = Repository.create(LocalBlobs(here))
    project = Project(tmp_path, repo, Config(), fixed_services(FixedClock()))
    return here, project.run(heavy, {}, foreground=True).exec_id


@pytest.fixture
def told():
    lines = []
    silence = notices.listen(lines.append)
    yield lines
    silence()


def pulled(tmp_path, team):
    """Return a project that has the run of the team, less its large objects."""
    here = tmp_path / "here"
    shutil.copytree(team[0], here)
    for key in large_parts(team[0]):
        (here / key).unlink()
    repo = Repository.open(LocalBlobs(here))
    repo.partial.mark(team[1], remote="team", url=str(team[0]), at=5)
    config = Config(tables={"remotes": {"team": {"url": str(team[0])}}})
    return Project(tmp_path, repo, config, fixed_services(FixedClock(), seed="here"))


def large_parts(root):
    """Return the keys of large objects that values of calls have: not those of the flow's code."""
    repo = Repository.open(LocalBlobs(root))
    found = []
    for key in repo.blobs.keys(layout.OBJECTS):
        data = repo.object("".join(key.split("/")[1:]))
        if len(data) > LARGE:
            found.append(key)
    assert len(found) > 2
    return found


def value(project, run):
    state = project.state(run)
    return project.value(state.end.output, run)


def test_what_is_read_is_brought_and_the_mark_goes_when_all_is_there(tmp_path, team, told):
    project = pulled(tmp_path, team)
    state = project.state(team[1])
    first = next(call for call in state.ordered_calls if call.name == "big")
    assert project.value(first.record.output, team[1]) == noise(1)
    assert project.repo.partial.is_marked(team[1])
    assert value(project, team[1]) == {"parts": [noise(1), noise(2)], "more": noise(9)}
    assert not project.repo.partial.is_marked(team[1])
    assert told == ["large objects come from team"]
    assert check(project.repo).is_clean
    shutil.rmtree(team[0])
    assert value(Project(tmp_path, project.repo, Config()), team[1])["more"] == noise(9)


def test_a_whole_run_is_completed_at_once(tmp_path, team):
    project = pulled(tmp_path, team)
    assert project.complete() == [team[1]]
    assert project.complete() == project.complete([team[1]]) == []
    assert sorted(project.repo.blobs.keys(layout.OBJECTS)) == sorted(LocalBlobs(team[0]).keys(layout.OBJECTS))
    assert not project.repo.partial.has_any()


def test_an_object_is_found_by_its_prefix(tmp_path, team):
    project = pulled(tmp_path, team)
    wanted = "".join(large_parts(team[0])[0].split("/")[1:])
    assert project.find_object(wanted[:12]) == wanted
    assert len(project.raw(wanted)) > LARGE
    with pytest.raises(UnknownObject):
        project.raw("ab" * 32)


def test_a_run_goes_on_with_what_is_brought(tmp_path, team):
    project = pulled(tmp_path, team)
    handle = project.replay(team[1], from_="nested", foreground=True)
    assert handle.outcome.value["parts"][1] == noise(2)


def test_what_cannot_be_had_is_told_in_one_line(tmp_path, team):
    project = pulled(tmp_path, team)
    team[0].rename(tmp_path / "away")
    with pytest.raises(RemoteError, match=f"object .* of run {team[1]} is neither here nor on team|cannot be had"):
        value(project, team[1])
    (tmp_path / "away").rename(team[0])
    assert value(project, team[1])["more"] == noise(9)


def test_a_remote_that_was_removed_is_named(tmp_path, team):
    project = pulled(tmp_path, team)
    project.config = Config()
    with pytest.raises(RemoteError, match="is no remote any more") as error:
        value(project, team[1])
    assert error.value.hint == f"kitaru remote add team {team[0]}"
    project.config = Config(tables={"remotes": {"other-name": {"url": str(team[0])}}})
    assert value(project, team[1])["more"] == noise(9)


def test_a_lost_object_is_told_with_its_remote(tmp_path, team):
    project = pulled(tmp_path, team)
    for key in large_parts(team[0]):
        (team[0] / key).unlink()
    with pytest.raises(RemoteError, match="neither here nor on team") as error:
        value(project, team[1])
    assert error.value.hint == "kitaru fsck --remote team"


def test_what_is_forged_there_is_refused_and_leaves_nothing(tmp_path, team):
    project = pulled(tmp_path, team)
    for key in large_parts(team[0]):
        path = team[0] / key
        data = bytearray(path.read_bytes())
        data[-1] ^= 1
        path.chmod(0o600)
        path.write_bytes(data)
    before = sorted(project.repo.blobs.keys(layout.OBJECTS))
    with pytest.raises(Damaged, match="team"):
        value(project, team[1])
    assert sorted(project.repo.blobs.keys(layout.OBJECTS)) == before


def test_threads_that_want_the_same_bring_it_once(tmp_path, team, monkeypatch):
    project = pulled(tmp_path, team)
    brought = []
    chunks = FolderBlobs.chunks

    def counted(self, key, **limits):
        brought.append(key)
        return chunks(self, key, **limits)

    monkeypatch.setattr(FolderBlobs, "chunks", counted)
    found, barrier = [], threading.Barrier(4)

    def read():
        barrier.wait()
        found.append(value(project, team[1])["more"])

    threads = [threading.Thread(target=read) for _ in range(4)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    assert found == [noise(9)] * 4
    assert sorted(brought) == sorted(large_parts(team[0]))


def test_fsck_and_gc_leave_a_partial_run_alone(tmp_path, team):
    project = pulled(tmp_path, team)
    report = check(project.repo)
    assert (report.is_clean, report.findings, report.elsewhere > 0) == (True, [], True)
    branch = project.replay(team[1], from_="nested", set={"nested": {"a": 1}}, foreground=True).exec_id
    assert check(project.repo).is_clean
    for now in (1, 2, 3):
        collect(project.repo, now * DAY_US, grace=0, nonce="n")
    assert value(project, team[1])["more"] == noise(9)
    assert value(project, branch) == {"a": 1}
    assert check(project.repo).elsewhere == 0


def test_what_no_partial_run_lacks_is_damage_still(tmp_path, team):
    project = pulled(tmp_path, team)
    project.repo.partial.unmark(team[1])
    report = check(project.repo)
    assert not report.is_clean
    assert report.elsewhere == 0


def test_a_damaged_mark_is_told(tmp_path, team):
    project = pulled(tmp_path, team)
    path = project.repo.blobs.directory / layout.partial_key(team[1])
    path.chmod(0o600)
    path.write_bytes(b"{}\n")
    assert any(f.where == str(path) for f in check(project.repo).findings)
    with pytest.raises(UnknownObject):
        value(project, team[1])
    project.repair()
    assert not path.exists()
