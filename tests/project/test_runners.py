"""The processes that queued runs begin in: forked where that is safe, fresh where it is not, and told of either way."""

from __future__ import annotations

import os
import signal
import sys
import threading
from pathlib import Path

import pytest

from kitaru.config import assign
from kitaru.project import Project
from kitaru.project.detached import resume_detached
from kitaru.project.due import QUEUED, Due
from kitaru.project.runners import MAX_ZYGOTES, Runners
from kitaru.project.working import Processes
from kitaru.runtime.loading import load_target

PLAIN = """
import os
import random
from kitaru import checkpoint, flow

seen = []
drawn = random.random()

@flow
def where() -> dict:
    seen.append(1)
    return {"pid": os.getpid(), "parent": os.getppid(), "session": os.getsid(0), "group": os.getpgid(0),
            "seen": len(seen), "random": random.random(), "drawn": drawn}
"""
THREAD = "import threading, time\nthreading.Thread(target=threading.Event().wait, daemon=True).start()\n"
SOCKET = "import socket\nshared = socket.socketpair()\n"
NOTED = """
import atexit
from pathlib import Path
left = Path("left.txt").absolute()
atexit.register(lambda: left.open("a").write("left\\n"))
"""
HANGS = """
import os, time
from pathlib import Path
from kitaru import checkpoint, flow

@checkpoint
def hang(mark: str) -> int:
    Path(mark).write_text(str(os.getpid()))
    while not Path(mark + ".go").exists():
        time.sleep(0.01)
    return 1

@flow
def hanging(mark: str) -> int:
    return hang(mark)
"""
LIMIT_S = 60
EVIL = "from pathlib import Path\nPath(__file__).with_name('executed').write_text('')\n"


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Project.init(tmp_path)
    assign(tmp_path / ".kitaru" / "config.toml", "durability", "process-crash")
    yield Project.open(tmp_path)
    sys.modules.pop("flows", None)


@pytest.fixture
def runners(project):
    made = Runners(project, Processes(project.root))
    yield made
    made.close()


def record(project, code, flow):
    """Record a version without running it: importing it here would start its threads in this process."""
    path = project.root / "flows.py"
    path.write_text(code)
    loaded = load_target(f"flows.py:{flow}", project.root, project.root)
    version, _ = project.runner.versions.record(loaded.flow, loaded.entry, loaded.loaded_files)
    path.unlink()
    return version


def due(project, target, **inputs):
    invocation = project.enqueue(target, inputs)
    return Due(invocation.id, invocation.flow, QUEUED, ())


def results(project, runners, target, count):
    dues = [due(project, target) for _ in range(count)]
    waits = [runners.start(d) for d in dues]
    assert [wait() for wait in waits] == [(0, "")] * count
    return [project.value(project.state(d.run).end.output, d.run) for d in dues]


@pytest.mark.skipif(
    sys.platform != "linux", reason="elsewhere a fork is not safe, and each run begins in a fresh process"
)
def test_each_run_is_a_child_of_its_own_with_modules_as_imported(project, runners):
    record(project, PLAIN, "where")
    found = results(project, runners, "where", 3)
    assert len({f["pid"] for f in found}) == 3
    assert len({f["parent"] for f in found}) == 1, "forked by one process"
    assert all(f["session"] == f["group"] == f["pid"] for f in found), "killable, and left alone by who started it"
    assert {f["seen"] for f in found} == {1}
    assert len({f["drawn"] for f in found}) == 1
    assert len({f["random"] for f in found}) == 3, "each has randomness of its own"


@pytest.mark.parametrize("shares", [THREAD, SOCKET], ids=["thread", "socket"])
def test_code_that_cannot_be_shared_begins_in_fresh_processes(project, runners, shares):
    record(project, PLAIN, "where")
    source = project.version({"n": 1, "id": project.choose("where", "").version.id})
    source["files"]["flows.py"] = (shares + PLAIN).encode()
    encoded = project.values.encode(source, frozenset(), "version")
    project.repo.put_objects(encoded.objects)
    project.repo.add_version("where", id=encoded.id, digest="f" * 64, at=2, by="")
    project.repo.trust.decide("versions", encoded.id, trusted=True, at=2, by="test")
    found = results(project, runners, "where@v2", 2)
    assert {f["parent"] for f in found} == {os.getpid()}
    assert len({f["drawn"] for f in found}) == 2


def test_what_code_registers_for_its_end_happens_at_the_end_of_each_run(project, runners):
    record(project, PLAIN, "where")
    record(project, NOTED + PLAIN, "where")
    found = results(project, runners, "where@v2", 2)
    assert len({f["parent"] for f in found}) == 1
    assert (project.root / "left.txt").read_text() == "left\nleft\n"


def test_code_that_cannot_be_imported_is_told(project, runners):
    record(project, PLAIN, "where")
    source = project.version({"n": 1, "id": project.choose("where", "").version.id})
    source["files"]["flows.py"] = b"import nothing_of_this_name\n" + PLAIN.encode()
    encoded = project.values.encode(source, frozenset(), "version")
    project.repo.put_objects(encoded.objects)
    project.repo.add_version("where", id=encoded.id, digest="f" * 64, at=2, by="")
    queued = due(project, "where@v2")
    code, told = runners.start(queued)()
    assert (code, "kitaru trust where@v2" in told) == (11, True)
    project.repo.trust.decide("versions", encoded.id, trusted=True, at=2, by="test")
    code, told = runners.start(queued)()
    assert code == 1
    assert "nothing_of_this_name" in told
    assert not project.repo.has_run(queued.run)


def test_a_target_that_leads_nowhere_is_told_without_a_process(project, runners):
    record(project, PLAIN, "where")
    queued = due(project, "where")
    project.set_route("where", "nightly", "v1")
    routed = due(project, "where@nightly")
    project.remove_route("where", "nightly")
    code, told = runners.start(routed)()
    assert code == 2
    assert "nightly" in told
    assert runners.start(queued)()[0] == 0


def started(mark):
    """Wait until a run executes; return its process."""
    waited = threading.Event()
    for _ in range(LIMIT_S * 100):
        if mark.exists() and mark.read_text():
            return int(mark.read_text())
        waited.wait(0.01)
    raise TimeoutError(mark)


def test_a_run_outlives_who_forks_and_is_killed_alone(project, runners, tmp_path):
    record(project, HANGS, "hanging")
    marks = [tmp_path / f"mark{n}" for n in range(2)]
    dues = [due(project, "hanging", mark=str(mark)) for mark in marks]
    waits = [runners.start(d) for d in dues]
    pids = [started(mark) for mark in marks]
    os.kill(pids[0], signal.SIGKILL)
    assert waits[0]()[0] == -signal.SIGKILL
    assert project.state(dues[0].run).status == "interrupted"
    (zygote,) = runners._zygotes.values()
    zygote._process.kill()
    code, told = waits[1]()
    assert code == 1
    assert "is gone" in told
    assert project.state(dues[1].run).status == "running"
    Path(f"{marks[1]}.go").touch()
    project.await_run(dues[1].run)
    assert project.state(dues[1].run).status == "completed"
    assert not zygote.is_alive


@pytest.mark.parametrize("background", [False, True])
def test_runs_are_interrupted_to_be_resumed(project, runners, tmp_path, background):
    record(project, HANGS, "hanging")
    mark = tmp_path / "mark"
    queued = due(project, "hanging", mark=str(mark))
    before = signal.signal(signal.SIGINT, signal.SIG_IGN) if background else None  # as a shell does for `kitaru work &`
    try:
        wait = runners.start(queued)
    finally:
        if background:
            signal.signal(signal.SIGINT, before)
    started(mark)
    runners.interrupt()
    assert wait()[0] == 130
    assert project.state(queued.run).status == "interrupted"
    Path(f"{mark}.go").touch()
    assert runners.start(Due(queued.run, "hanging", "interrupted", ()))()[0] == 0
    assert project.state(queued.run).status == "completed"


def test_a_run_that_was_begun_elsewhere_is_left_alone(project, runners):
    record(project, PLAIN, "where")
    queued = due(project, "where")
    assert runners.start(queued)() == (0, "")
    code, told = runners.start(queued)()
    assert code == 7
    assert "another worker" in told


def test_what_is_not_needed_for_long_is_let_go(project):
    now = [0.0]
    runners = Runners(project, Processes(project.root), clock=lambda: now[0])
    for n in range(2):
        record(project, PLAIN + f"# {n}\n", "where")
    results(project, runners, "where@v1", 1)
    first = runners._zygotes[project.choose("where@v1", "").version.id]
    now[0] = 60.0
    runners.let_go()
    results(project, runners, "where@v2", 1)
    assert len(runners._zygotes) == 2 < MAX_ZYGOTES
    now[0] = 61.0
    runners.let_go()
    assert first._process.wait(LIMIT_S) == 0
    assert len(runners._zygotes) == 1
    runners.close()


@pytest.mark.parametrize("code", [PLAIN, THREAD + PLAIN])
def test_what_lies_in_the_directory_that_one_is_in_is_not_taken_for_a_library(project, runners, code, monkeypatch):
    """Where code that nobody trusts yet was exported to, to be looked at."""
    record(project, code, "where")
    review = project.root / "review"
    (review / "kitaru").mkdir(parents=True)
    for name in ("json.py", "kitaru/__init__.py", "typing.py"):
        (review / name).write_text(EVIL)
    monkeypatch.chdir(review)
    taken = due(project, "where@v1")
    assert runners.start(taken)() == (0, "")
    assert "is completed" in Processes(project.root).start(taken.run)()[1]
    detached = resume_detached(project.root, taken.run)
    detached.process.wait()
    assert "is completed" in detached.told()
    assert not list(review.rglob("executed"))
