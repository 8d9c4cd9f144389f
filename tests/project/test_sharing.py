"""Push, fetch, pull and clone of a project, as Python programs ask for them, over a shared folder."""

from __future__ import annotations

import shutil
import stat
import sys

import pytest

from kitaru.errors import (
    AlreadyAnswered,
    AmbiguousRevision,
    Damaged,
    Diverged,
    FlowNotFound,
    NotAStore,
    RemoteUnreachable,
    StoreError,
    UnknownRemote,
    UnknownRun,
    UsageError,
)
from kitaru.project import Project
from kitaru.project.sharing import _find_there

FLOWS = """
from kitaru import checkpoint, flow, wait

@checkpoint
def double(n: int) -> int:
    return 2 * n

@checkpoint
def large(n: int) -> bytes:
    import hashlib
    return b"".join(hashlib.sha256(b"%d %d" % (n, i)).digest() for i in range(40_000))

@flow
def doubled(n: int) -> int:
    return double(n)

@flow
def asks(n: int) -> int:
    double(n)
    return n + wait("how_much", "How much?", schema=int)

@flow
def big(n: int) -> int:
    return len(large(n))
"""


class People:
    """Projects of several people that share a folder, each with the same flows."""

    def __init__(self, root):
        self.root, self.folder = root, root / "shared"
        self._found = {}

    def __call__(self, name):
        if name not in self._found:
            project = self._found[name] = Project.init(self.root / name)
            self.at_home(project, name)
            project.add_remote("team", str(self.folder))
        return self._found[name]

    def at_home(self, project, name):
        (project.root / "flows.py").write_text(FLOWS)
        object.__setattr__(project.services, "user", name)
        return project

    def run(self, name, flow, n=1):
        return self.forget(self(name).run(f"{self(name).root}/flows.py:{flow}", {"n": n}, foreground=True))

    def answer(self, name, run, value):
        return self.forget(self(name).answer(run, None, value, offline=True, foreground=True))

    def forget(self, handle):
        """Let the next person's flows.py be imported in place of this one's."""
        sys.modules.pop("flows", None)
        return handle.exec_id


@pytest.fixture
def people(tmp_path):
    yield People(tmp_path)
    sys.modules.pop("flows", None)


def runs(project):
    return sorted(summary.run for summary in project.log())


def result(project, run):
    return project.value(project.state(run).end.output)


def test_a_run_goes_and_comes(people):
    run = people.run("ana", "doubled", 4)
    sent = people("ana").push()
    assert [(moved.run, moved.flow, moved.new) for moved in sent.runs] == [(run, "doubled", True)]
    assert [(moved.flow, moved.n) for moved in sent.versions] == [("doubled", 1)]
    assert people("ana").push().is_nothing
    came = people("ben").pull()
    assert [(moved.run, moved.new) for moved in came.runs] == [(run, True)]
    assert result(people("ben"), run) == 8
    assert people("ben").untrusted_of(came) == ["doubled@v1"]
    assert people("ben").pull().is_nothing
    assert people("ben").check().is_clean


def test_a_fetch_shows_nothing_and_spares_the_pull_its_work(people):
    people.run("ana", "big")
    people("ana").push()
    fetched = people("ben").fetch()
    assert fetched.bytes > 1_000_000
    assert runs(people("ben")) == []
    assert people("ben").standing()["team"].behind == tuple(runs(people("ana")))
    assert people("ben").pull().bytes < 10_000
    assert runs(people("ben")) == runs(people("ana"))


def test_named_runs_only(people):
    one, other = people.run("ana", "doubled", 1), people.run("ana", "doubled", 2)
    people("ana").push(runs=["@"])
    assert runs(people("ben")) == []
    people("ben").pull(runs=[other[:8]])
    assert runs(people("ben")) == [other]
    people("ana").push(runs=[one[:8]])
    people("ben").pull()
    assert runs(people("ben")) == sorted([one, other])


def test_a_flow_only_and_what_began_lately(people):
    one, other = people.run("ana", "doubled"), people.run("ana", "asks")
    people("ana").push(flow="asks")
    people("ben").pull()
    assert runs(people("ben")) == [other]
    people("ana").push()
    people("cyd").pull(flow="doubled")
    assert runs(people("cyd")) == [one]
    began = people("ana").state(other).start.at
    people("dan").pull(since_us=began)
    assert runs(people("dan")) == [other]


def test_a_flow_that_there_is_none_of_is_told(people):
    people.run("ana", "doubled")
    with pytest.raises(FlowNotFound, match="nothing is recorded of a flow 'tripled'"):
        people("ana").push(flow="tripled")
    people("ana").push(flow="doubled")
    for bring in (people("ben").pull, people("ben").fetch):
        for name in ("tripled", "no\0name"):
            with pytest.raises(FlowNotFound, match="remote team has nothing of a flow"):
                bring(flow=name)
    people("ben").pull(flow="doubled")
    assert people("ben").pull(flow="doubled").is_nothing


def test_a_dry_run_changes_nothing(people):
    run = people.run("ana", "doubled")
    told = people("ana").push(dry_run=True)
    assert [moved.run for moved in told.runs] == [run]
    assert not people.folder.exists() or not list(people.folder.rglob("*"))
    people("ana").push()
    told = people("ben").pull(dry_run=True)
    assert [moved.run for moved in told.runs] == [run]
    assert runs(people("ben")) == []


def test_what_names_no_run(people):
    people.run("ana", "doubled")
    with pytest.raises(UsageError, match="'nosuch' names no run, and no remote: these are team"):
        people("ana").push(runs=["nosuch"])
    people("ana").push()
    with pytest.raises(UsageError, match="'nosuch' names no run, and no remote"):
        people("ben").pull(runs=["nosuch"])
    with pytest.raises(UnknownRemote):
        people("ben").pull("nosuch")
    assert runs(people("ben")) == []


def test_the_first_word_is_a_remote_if_there_is_one_of_that_name(people):
    ana = people("ana")
    ana.add_remote("spare", str(people.root / "spare"))
    assert (ana.split_remote([])[0].name, ana.split_remote([])[1]) == ("team", [])
    assert (ana.split_remote(["spare", "@"])[0].name, ana.split_remote(["spare", "@"])[1]) == ("spare", ["@"])
    assert (ana.split_remote(["@", "spare"])[0].name, ana.split_remote(["@", "spare"])[1]) == ("team", ["@", "spare"])
    with pytest.raises(UnknownRemote, match="has no remote"):
        Project.init(people.root / "alone").split_remote(["@"])


def test_a_question_that_two_answered(people):
    run = people.run("ana", "asks")
    people("ana").push()
    people("ben").pull()
    for name, value in (("ben", 5), ("ana", 7)):
        people(name).answer(run, None, value, by=name, resume=False)
    people("ben").push()
    other = people.run("ana", "doubled")
    with pytest.raises(AlreadyAnswered, match=rf"run {run} was answered by ben at .*, before you"):
        people("ana").push()
    assert people("ana").push().is_nothing  # all else went, and it is said once
    people("ben").pull()
    assert other in runs(people("ben"))
    state = people("ana").state(run)
    assert people("ana").value(people("ana").given(state, state.open_waits[0]).value) == 5


@pytest.fixture
def two_ways(people):
    """A run that ana carried on, and ben, who pushed first."""
    run = people.run("ana", "asks", 1)
    people("ana").push()
    people("ben").pull()
    people.answer("ben", run, 5)
    people.answer("ana", run, 7)
    people("ben").push()
    return run


def test_a_run_that_two_carried_on(people, two_ways):
    run = two_ways
    parted = people("ana").push(strict=False)
    (told,) = parted.parted
    assert (told.run, told.by, told.number) == (run, "ben", 2)
    with pytest.raises(Diverged, match=f"run {run} was continued by ben .*; yours is run {told.new_run} now"):
        raise parted.error()
    assert (result(people("ana"), run), result(people("ana"), told.new_run)) == (6, 8)
    people("ben").pull()
    assert result(people("ben"), told.new_run) == 8
    assert people("ana").check().is_clean


def test_a_pull_brings_two_ways_apart_and_only_says_so(people, two_ways):
    run = two_ways
    (told,) = people("ana").pull().parted
    assert (result(people("ana"), run), result(people("ana"), told.new_run)) == (6, 8)


def damage(people, kind="segments"):
    """Change a byte in each file of a kind on the remote."""
    for file in (people.folder / kind).rglob("*"):
        if file.is_file():
            data = bytearray(file.read_bytes())
            data[len(data) // 2] ^= 1
            file.chmod(stat.S_IRUSR | stat.S_IWUSR)
            file.write_bytes(data)


def test_what_is_damaged_there_is_refused_by_name(people):
    people.run("ana", "doubled")
    people("ana").push()
    damage(people)
    good = people.run("cyd", "doubled", 3)
    people("cyd").push()
    with pytest.raises(Damaged):
        people("ben").pull()
    assert runs(people("ben")) == [good]
    assert len(people("ben").pull(strict=False).refused) == 1


def test_where_nothing_is_nothing_is_brought_and_that_is_said(people):
    for came in (people("ana").pull(), people("ana").fetch()):
        assert [(left.what, left.why) for left in came.skipped] == [("team", "nothing was pushed there yet")]
    people.run("ana", "doubled")
    people("ana").push()
    assert people("ana").pull().skipped == []


def test_where_something_else_is(people):
    people.folder.mkdir()
    (people.folder / "letters").write_text("mine")
    people.run("ana", "doubled")
    for verb in (people("ana").push, people("ana").pull):
        with pytest.raises(NotAStore, match="something is there, and it is no store"):
            verb()
    assert [path.name for path in people.folder.iterdir()] == ["letters"]


# -- clone ---------------------------------------------------------------------------------------------------------


def test_a_clone_is_a_project_with_all_that_was_there(people):
    run = people.run("ana", "big")
    people("ana").push()
    project, brought = Project.clone(str(people.folder), people.root / "new" / "ben")
    assert project.root == people.root / "new" / "ben"
    assert [moved.run for moved in brought.runs] == [run]
    assert result(project, run) == 1_280_000
    assert (project.remote().name, project.remote().url) == ("origin", str(people.folder))
    assert sorted(path.name for path in project.root.parent.iterdir()) == ["ben"]
    assert Project.open(project.root).standing()["origin"].behind == ()


def test_a_clone_into_an_empty_directory_and_with_a_name_of_its_own(people, monkeypatch):
    people.run("ana", "doubled")
    people("ana").push()
    here = people.root / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    project, _ = Project.clone("../shared")
    assert (project.root, project.remote().url) == (here / "shared", str(people.folder))
    (here / "empty").mkdir()
    assert Project.clone("../shared", "empty", name="team")[0].remote().name == "team"


def test_a_clone_into_the_directory_where_one_is_leaves_it_the_same_one(people, monkeypatch):
    run = people.run("ana", "doubled")
    people("ana").push()
    here = people.root / "here"
    here.mkdir(0o750)
    monkeypatch.chdir(here)
    before = here.stat()

    def interrupt(event, **fields):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Project.clone("../shared", ".", tell=interrupt)
    assert list(here.iterdir()) == []
    project, _ = Project.clone("../shared", ".")
    after = here.stat()
    assert (after.st_ino, after.st_mode) == (before.st_ino, before.st_mode)
    assert [path.name for path in here.iterdir()] == [".kitaru"]
    assert runs(Project.open()) == runs(project) == [run]


def test_a_clone_goes_where_nothing_is(people):
    people("ana").push()
    (people.root / "full").mkdir()
    (people.root / "full" / "file").write_text("mine")
    (people.root / "file").write_text("mine")
    (people.root / "link").symlink_to(people.root / "full")
    for name in ("full", "file", "link"):
        with pytest.raises(UsageError, match="is there already, and not empty"):
            Project.clone(str(people.folder), people.root / name)
    assert (people.root / "full" / "file").read_text() == "mine"


def test_a_clone_of_nothing_makes_nothing(people):
    before = sorted(people.root.rglob("*"))
    with pytest.raises(UsageError, match="there is no store at"):
        Project.clone(str(people.folder), people.root / "new" / "deep")
    with pytest.raises(RemoteUnreachable):
        Project.clone(str(people.root / "no" / "where"), people.root / "new" / "deep")
    with pytest.raises(UsageError):
        Project.clone("s3://key:secret@bucket", people.root / "new" / "deep")
    with pytest.raises(UsageError, match="what is the new directory to be called"):
        Project.clone("/")
    assert sorted(people.root.rglob("*")) == before


def test_a_clone_that_is_interrupted_leaves_nothing(people):
    people.run("ana", "big")
    people("ana").push()
    before = sorted(people.root.iterdir())

    def interrupt(event, **fields):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Project.clone(str(people.folder), people.root / "new" / "ben", tell=interrupt)
    assert sorted(people.root.iterdir()) == before


def test_a_clone_of_what_is_damaged_keeps_what_is_not(people):
    people.run("ana", "doubled")
    people("ana").push()
    damage(people)
    good = people.run("cyd", "doubled")
    people("cyd").push()
    with pytest.raises(Damaged):
        Project.clone(str(people.folder), people.root / "ben")
    assert runs(Project.open(people.root / "ben")) == [good]


def test_a_clone_where_no_directory_can_be(people):
    people("ana").push()
    (people.root / "file").write_text("mine")
    with pytest.raises(StoreError, match="cannot be made"):
        Project.clone(str(people.folder), people.root / "file" / "ben")


# -- how far apart -------------------------------------------------------------------------------------------------


def test_standing_is_told_without_asking(people):
    ana, ben = people("ana"), people("ben")
    assert ana.standing()["team"].at is None
    first = people.run("ana", "asks")
    ana.push()
    second = people.run("ana", "doubled")
    ben.pull()
    third = people.run("ben", "doubled")
    ben.push()
    shutil.move(people.folder, people.root / "away")
    assert (ana.standing()["team"].ahead, ana.standing()["team"].behind) == ((second,), ())
    shutil.move(people.root / "away", people.folder)
    ana.fetch()
    shutil.move(people.folder, people.root / "away")
    assert (ana.standing()["team"].ahead, ana.standing()["team"].behind) == ((second,), (third,))
    ana.answer(first, None, 1, resume=False)
    assert ana.standing()["team"].names_ahead >= 1


def test_what_is_known_of_a_remote_goes_with_it(people):
    people.run("ana", "doubled")
    ana = people("ana")
    ana.push()
    assert ana.standing()["team"].at is not None
    known = list((ana.root / ".kitaru" / "cache" / "remotes").iterdir())
    assert known
    ana.remove_remote("team")
    assert not any(path.exists() for path in known)
    ana.add_remote("team", str(people.folder))
    assert ana.standing()["team"].at is None


# -- looking at a remote ---------------------------------------------------------------------------------------------


def test_a_remote_that_is_looked_at(people):
    ana = people("ana")
    empty = ana.inspect_remote()
    assert (empty.problem, empty.is_store, empty.exclusive, empty.runs) == (None, False, True, 0)
    people.run("ana", "doubled")
    people.run("ana", "asks")
    gone = people.run("ana", "doubled")
    ana.push()
    people("ben").pull()
    people.run("ben", "doubled")
    people("ben").prune(runs=[gone])
    people("ben").push()
    found = ana.inspect_remote("team")
    assert (found.is_store, found.exclusive, found.runs, found.pruned) == (True, True, 3, 1)
    assert (found.people, found.asked, found.flows) == ({"ana": 2, "ben": 1}, 3, 2)


def test_a_remote_that_cannot_be_looked_at(people):
    ana = people("ana")
    ana.add_remote("away", str(people.root / "no" / "where"))
    assert isinstance(ana.inspect_remote("away").problem, RemoteUnreachable)
    people.folder.mkdir()
    (people.folder / "format").write_text('{"version": 9}')
    assert "format" in ana.inspect_remote("team").problem.message


def test_whose_a_damaged_run_is_is_not_told(people):
    people.run("ana", "doubled")
    people("ana").push()
    damage(people)
    assert people("ben").inspect_remote().people == {"": 1}


def test_a_run_there_is_named_by_a_prefix_that_only_it_has(people):
    place = people("ana").remote().connect()
    for part in ("ab2", "ab3", "b%41"):
        place.create(f"runs/{part}/000001", b"a name")
    assert _find_there(place, "ab2") == "ab2"
    assert _find_there(place, "b") == "bA"
    for text, error in (("ab", AmbiguousRevision), ("", AmbiguousRevision), ("c", UnknownRun)):
        with pytest.raises(error):
            _find_there(place, text)
