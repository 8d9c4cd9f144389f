"""A story through every verb that writes, told to a project on a disk that may die at any call, and its check."""

from __future__ import annotations

import hashlib
from contextlib import suppress

from kitaru import checkpoint, flow, wait
from kitaru.blobs import LocalBlobs, locks
from kitaru.config import Config
from kitaru.errors import AlreadyAnswered, KitaruError, PrunedRun, RunCancelled, UnknownRun
from kitaru.project import Project
from kitaru.store import Repository
from kitaru.store.check import check
from kitaru.testing import FixedClock, Recorder, fixed_services
from tests.store.faults import Died
from tests.store.samples import nonces

CALLS = 3
executed = []


def noise(n):
    return b"".join(hashlib.sha256(b"%d %d" % (n, i)).digest() for i in range(700))


@checkpoint
def fetch(n: int) -> dict:
    executed.append(f"fetch {n}")
    return {"n": n, "text": "some words " * 20, "data": noise(n)}


@checkpoint
def write(pages: list, approved: bool) -> str:
    executed.append("write")
    return f"{len(pages)} pages, {approved}"


@flow
def story() -> str:
    pages = [fetch(n) for n in range(CALLS)]
    return write(pages, wait(name="ok", question="Good?", schema=bool))


@flow
def aside() -> int:
    return fetch(99)["n"]


@checkpoint(cache=True)
def look_up(n: int) -> dict:
    executed.append(f"look up {n}")
    return {"n": n, "text": "found " * 20, "data": noise(-n)}


@flow
def ordered(n: int) -> int:
    return look_up(n)["n"] + fetch(50 + n)["n"]


RESULTS = {"story": "3 pages, True", "aside": 99, "ordered": 57 + 7}
ORDER = "order 17"


def open_project(root, files=None, seed="kitaru"):
    """Open the project as a process would; without `files` on the real disk."""
    blobs = LocalBlobs(root / ".kitaru", files is not None, files, nonces(int.from_bytes(seed.encode()) % 10_000))
    repo = Repository.open(blobs, nonces(20_000))
    return Project(root, repo, Config(), fixed_services(FixedClock(), seed))


class Teller:
    """Tells the story step by step; `acknowledged` is what it was told is done.

    Args:
        steps: names of methods to call, in order.
    """

    STEPS = ("run", "answer", "resume", "replay", "other", "prune", "gc", "gc")
    NAMES = ("order", "order", "repeat", "run", "cancel", "run", "reject", "prune", "gc", "gc")
    """Requests to cancel and to reject, keys, and results taken from the cache."""

    def __init__(self, project, files, steps=STEPS):
        self.project, self.files, self.steps = project, files, steps
        self.acknowledged, self.refused = [], []
        self.over, self.ordered = [], []
        self.runs = []

    def tell(self):
        executed.clear()
        for step in self.steps:
            try:
                getattr(self, step)()
            except Died:
                break
            except KitaruError as error:
                self.refused.append(error)
            if self.files.dead:
                break
        for holder in list(locks._inherited):  # what the kernel does when a process dies
            holder.forget()
        return self

    def _watched(self, act):
        told = Recorder()
        try:
            handle = act(observer=told, foreground=True)
            self.runs.append(handle.exec_id)
            if str(handle.status) not in ("waiting", "completed"):
                self.refused.append(handle.outcome.error)
        finally:
            self.acknowledged += [
                (e.run, e.data["call"], e.data["output"]) for e in told.events if e.kind == "call" and e.data["output"]
            ]

    def _run(self, number=0):
        if not self.runs:
            raise UnknownRun("any")
        return self.runs[number % len(self.runs)]

    def run(self):
        self._watched(lambda **how: self.project.run(story, {}, **how))

    def answer(self):
        self.project.answer(self._run(), "ok", True, resume=False)
        self.acknowledged.append((self._run(), "ok", None))

    def resume(self):
        self._watched(lambda **how: self.project.resume(self._run(), **how))

    def replay(self):
        self._watched(lambda **how: self.project.replay(self._run(), from_="write", **how))

    def other(self):
        self._watched(lambda **how: self.project.run(aside, {}, **how))

    def order(self):
        self._watched(lambda **how: self.project.run(ordered, {"n": 7}, key=ORDER, **how))
        self.ordered.append(self.runs[-1])

    def repeat(self):
        self._watched(lambda **how: self.project.run(ordered, {"n": 7}, **how))

    def cancel(self):
        run = self._run(-1)
        self.project.cancel(run, reason="no need")
        self.over.append(run)

    def reject(self):
        run = self._run(-1)
        self.project.reject(run, "ok", note="no")
        self.over.append(run)

    def prune(self):
        self.project.prune(runs=[self._run(), self._run(-1)])

    def gc(self):
        self.project.gc(grace_us=0)


def survives(root, teller):
    """Reopen after a crash: the store is valid, nothing acknowledged is lost, and the story comes to its end."""
    project = open_project(root, seed="again")
    assert check(project.repo).is_clean, check(project.repo).findings
    _all_is_there(project, teller)
    _carry_on(project)
    _order_again(project, teller)
    _all_is_there(project, teller)
    for _ in range(2):
        project.gc(grace_us=0)
    _carry_on(project)
    report = check(project.repo)
    assert report.is_clean, report.findings
    assert [f for f in report.findings if "tmp" not in f.where and "lost" not in f.where] == []


def _all_is_there(project, teller):
    pruned = set(project.repo.pruned_ids())
    for run, call, output in teller.acknowledged:
        if run not in pruned:
            _is_there(project, run, call, output)
    for run in teller.over:
        assert run in pruned or str(project.state(run).status) == "cancelled"


def _order_again(project, teller):
    """Whoever comes with the key again gets the run that was started for it, and no other ever is."""
    try:
        run = project.run(ordered, {"n": 7}, key=ORDER, foreground=True).exec_id
    except PrunedRun:
        run = project.repo.start_key("ordered", ORDER).run
        assert run in project.repo.pruned_ids()
    assert set(teller.ordered) <= {run}
    keyed = [s.run for s in project.log() if project.state(s.run).start.key == ORDER]
    assert keyed in ([], [run])


def _is_there(project, run, call, output):
    state = project.state(run)
    if call == "ok":
        (view,) = state.ordered_waits
        assert view.answer or project.repo.answer(run, view.record.digest)
        return
    views = [view for view in state.ordered_calls if view.label == call and view.record]
    assert [(view.record.output, len(view.attempts)) for view in views] == [(output, 1)], "executed again"
    project.value(output, run)


def _carry_on(project):
    """Bring every run to its end, as a user would, and look at how it ended."""
    for summary in project.log():
        with suppress(RunCancelled):
            _finish(project, summary)
    for summary in project.log():
        state = project.state(summary.run)
        if str(state.status) == "cancelled":
            assert _was_called_off(project, state)
            continue
        assert str(state.status) == "completed", (summary, state.end)
        assert project.value(state.end.output, summary.run) == RESULTS[summary.flow]


def _finish(project, summary):
    handle = project.resume(summary.run, foreground=True) if summary.status == "interrupted" else None
    if str(handle.status if handle else summary.status) == "waiting":
        with suppress(AlreadyAnswered):
            project.answer(summary.run, "ok", True, resume=False)
        project.resume(summary.run, foreground=True)


def _was_called_off(project, state):
    waits = [project.repo.answer(state.run, view.record.digest) for view in state.ordered_waits]
    rejected = any(answer is not None and answer.source == "rejected" for answer in waits)
    return rejected or project.repo.cancellation(state.run) is not None
