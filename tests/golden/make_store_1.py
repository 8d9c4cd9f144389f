"""Make tests/golden/store-1: a small store of format 1 with one of everything, and what is to be read from it.

It was run once, by the first version that wrote format 1; what it made is kept for ever and never made again, for what
old versions wrote must stay readable. A new format gets a script and a store of its own.

    python -m tests.golden.make_store_1 DIRECTORY
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from dataclasses import asdict, replace
from pathlib import Path
from unittest.mock import patch

from kitaru.blobs import LocalBlobs
from kitaru.model import records
from kitaru.store import Repository, invocations, names, packing, parted, routes, schedules, trust
from kitaru.store.gc import _last_visit, collect
from kitaru.store.names import key_digest
from tests.store.samples import call, end, nonces, obj, start, value

LONG = "a flow of a very long name, " * 9
"""Its escaped form takes two parts of a key."""


def make(root: Path) -> dict[str, object]:
    repo = Repository.create(LocalBlobs(root, random_bytes=nonces(1)), nonces(1000))
    version = _version(repo, "demo")
    _version(repo, "Recherche d'été")
    _sealed(repo, version, "sea1edrun2")
    _waiting(repo, version)
    with patch.object(packing, "ENOUGH", 2):
        collect(repo, 1, grace=1, nonce="n")
    _sealed(repo, version, "1ooserun23", 1)
    _interrupted(repo, version, root)
    repo.put_objects([obj(b"a large object that shrinks " * 400), obj(b"".join(nonces(50)(32) for _ in range(9)))])
    _lapsed(repo, version)
    _everything(repo, version)
    _branch(repo, version)
    _called_off(repo, version)
    _resumed(repo, version)
    _version(repo, LONG)
    repo.put_start_key("demo", "order 18", "neverbegun", by="cy", at=20)
    _queued(repo)
    _parted(repo)
    _pruned(repo, version, root)
    _routed(repo, version)
    _trusted(repo, version)
    return _expected(repo)


def _version(repo: Repository, flow: str, times: int = 40) -> str:
    version, objects = value({"entry": {"qualname": flow}, "files": {"flow.py": b"print('golden')\n" * times}})
    repo.put_objects(objects)
    digest = hashlib.sha256(flow.encode() + b"*" * (40 - times)).hexdigest()
    repo.add_version(flow, id=version, digest=digest, at=1000, by="ann")
    return version


def _sealed(repo: Repository, version: str, name: str, calls: int = 5) -> None:
    with repo.begin(name) as run:
        run.commit(start(version))
        for i in range(1, calls + 1):
            output, objects = value(
                {"n": i, "history": [{"role": "user", "content": "x" * 300 + str(j)} for j in range(i)]}
            )
            run.commit(call(i, output), objects)
        run.commit(end())
        run.seal()


def _waiting(repo: Repository, version: str) -> None:
    digest = "c0" * 32
    answer, objects = value(True)
    with repo.begin("waitingrun") as run:
        run.commit(start(version))
        asked = run.commit(records.Wait(at=5, name="approve", order=1, digest=digest, question="Go?"))
        run.seal()
    repo.put_objects(objects)
    repo.put_answer("waitingrun", digest, value=answer, by="ann", at=7, note="looks right")
    with repo.reopen("waitingrun") as run:
        run.commit(records.Answer(at=8, wait=asked.id, value=answer, by="ann", answered=7, note="looks right"), objects)
        run.commit(end())
        run.seal()


def _lapsed(repo: Repository, version: str) -> None:
    """A question whose deadline passed: answered by default, in the name and in the run."""
    digest = "d0" * 32
    default, objects = value("hold")
    with repo.begin("aged234567") as run:
        run.commit(start(version))
        wait = records.Wait(
            at=5, name="ship", order=1, digest=digest, question="Go?", deadline=9, default=default, scope="/branch#1",
            occurrence=2, shown={"plan": default}, metadata=default, after=0,
        )  # fmt: skip
        asked = run.commit(wait, objects)
        repo.put_answer("aged234567", digest, value=default, by="", at=10, source="default")
        run.commit(records.Answer(at=10, wait=asked.id, value=default, answered=10, source="default"))
        run.commit(end())
        run.seal()


def _everything(repo: Repository, version: str) -> None:
    """A run that was invoked for a key by a route, and a call of which every field says something."""
    repo.put_start_key("demo", "order 17", "keyedrun23", by="cy", at=11)
    given, objects = value({"question": "why"})
    origin = {"host": "golden", "user": "cy"}
    limits = {"max_calls": 9, "max_us": 60_000_000}
    first = records.Start(
        11, "demo", {"id": version, "n": 1}, {"topic": given}, tags=["nightly"], on_drift="new", key="order 17",
        origin=origin, code="c1", limits=limits, invoked=_invoked({"id": version, "n": 1}),
    )  # fmt: skip
    with repo.begin("keyedrun23") as run:
        run.commit(first, objects)
        run.commit(records.Begun(12, "fetch", 1, 12, "/map#1", 2, after=0))
        run.commit(_full_call(given, version), objects)
        run.commit(records.Note(16, "metadata", {"value": given}))
        run.commit(records.End(17, "completed", output=given))
        run.seal()


def _routed(repo: Repository, version: str) -> None:
    """A route that was set to two versions, removed, and rolled back."""
    both = (routes.Destination(version, 1, 90), routes.Destination(_version(repo, "demo", 39), 2, 10))
    for n, (to, back) in enumerate([(both, 0), ((), 0), (both, 1)], 1):
        entry = routes.RouteEntry("demo", "stable", n, to, back, 20 + n, "cy", "why", "f0" * 12)
        routes.add_entry(repo.blobs, entry)


def _trusted(repo: Repository, version: str) -> None:
    """What may be executed, a trust that was taken back, where a version came from, and a run that is partly there."""
    decide, place = repo.trust.decide, "s3://team/kitaru at https://s3.example"
    decide(trust.VERSIONS, version, trusted=True, at=40, by="ann", what="demo@v1", why="recorded here")
    decide(trust.FLOWS, LONG, trusted=True, at=41, by="ann", what=LONG, why="read it")
    for at, trusted in ((42, True), (43, False)):
        decide(trust.REMOTES, place, trusted=trusted, at=at, by="ann", what="team", why="why")
    repo.trust.came_from([version], "team", place, 44)
    repo.partial.mark("1ooserun23", remote="team", url=place, at=45)


def _queued(repo: Repository) -> None:
    """An invocation that nobody has begun, one that a schedule called for, and that schedule, paused."""
    inputs, _ = value({"question": "why"})  # held by the run that was started for a key
    put, entry = invocations.put_invocation, schedules.ScheduleEntry
    first = invocations.Invocation(
        "queuedrun2", "demo@stable", "demo", inputs, "", "recorded", 3, 99, ["nightly"], at=24
    )
    tick = invocations.Invocation("tickedrun2", "demo", "demo", inputs, schedule="daily", tick=25, at=26, by="cy")
    for invocation in (first, tick):
        put(repo.blobs, replace(invocation, nonce="f1" * 12))
    for n, state in enumerate(("active", "paused"), 1):
        fields = ("demo", inputs, "0 9 * * 1-5", "Europe/Berlin", "last", 20 + n, "cy", "why", "f2" * 12)
        schedules.put_entry(repo.blobs, entry("daily", n, state, *fields))


def _parted(repo: Repository) -> None:
    """What parted from a run is named before it comes from a remote."""
    parted.put(repo.blobs, "sea1edrun2", 1, names.segment_name(repo.blobs, "1ooserun23", 1).segment)


def _invoked(version: dict[str, object]) -> dict[str, object]:
    weights = [[version["id"], 1, 90], ["0f" * 32, 2, 10]]
    return {
        "target": "demo@stable", "version": version, "why": "weight", "route": "stable", "entry": 3, "moved": 23,
        "weights": weights, "point": 42, "key": "order 17",
    }  # fmt: skip


def _full_call(given: str, version: str) -> records.Call:
    return records.Call(
        15, "fetch", 1, 12, "/map#1", 2, key=given, args={"q": given}, output=given, code="c0de", saved={"page": given},
        logs=given, metadata=version, mutated=["q"], drift="new", cache="ca" * 32,
        llm=[{"asked": "fast", "model": "provider/model-1", "prompt": 12, "completion": 3}],
    )  # fmt: skip


def _branch(repo: Repository, version: str) -> None:
    """A replay, whose first call of its own took its result from the cache, and one that stands behind the first."""
    source = repo.records("keyedrun23")
    taken = source[2]
    given = taken.record.output
    begun = {"run": "keyedrun23", "head": source[0].id, "cut": 1, "from": "fetch"}
    reused = {"call": "fetch#2", "record": taken.id, "run": "keyedrun23"}
    with repo.begin("branchrun2") as run:
        given_objects = [(given, repo.object(given))]
        run.commit(records.Start(18, "demo", {"id": version, "n": 1}, {}, source=begun, overrides={"set": {}}))
        run.commit(records.Call(19, "fetch", 1, 19, output=given, how="reused", reused=reused), given_objects)
        run.commit(records.Call(20, "step", 2, 19, after=0))
        run.commit(end())
        run.seal()


def _called_off(repo: Repository, version: str) -> None:
    """A run that somebody asked to be cancelled; one that was rejected at a question; one whose deadline passed."""
    repo.put_cancellation("ca11edoff2", by="ann", at=21, reason="no need")
    with repo.begin("ca11edoff2") as run:
        run.commit(start(version))
        run.commit(records.End(22, "cancelled", cancelled={"by": "ann", "at": 21, "reason": "no need"}))
        run.seal()
    nothing, objects = value(None)
    repo.put_objects(objects)
    for name, source in (("rejected23", "rejected"), ("expired234", "expired")):
        digest = hashlib.sha256(source.encode()).hexdigest()
        with repo.begin(name) as run:
            run.commit(start(version))
            run.commit(records.Wait(23, "ship", 1, digest, "Go?", schema={"type": "boolean"}, deadline=24))
            repo.put_answer(name, digest, value=nothing, by="bob", at=24, note="no", source=source)
            cancelled = {"by": "bob", "at": 24, "reason": "no", "wait": "ship"}
            error = {"type": "kitaru.errors:WaitExpired", "message": "the deadline passed", "traceback": ""}
            is_rejected = source == "rejected"
            run.commit(
                records.End(25, "cancelled", cancelled=cancelled)
                if is_rejected
                else records.End(25, "failed", error=error)
            )
            run.seal()


def _resumed(repo: Repository, version: str) -> None:
    """A run that failed, and was carried on with other limits."""
    error = {"type": "builtins:ValueError", "message": "no", "traceback": "line 1"}
    with repo.begin("resumed234") as run:
        run.commit(start(version))
        failed = run.commit(records.Call(27, "fetch", 1, 26, error=error))
        run.commit(records.End(28, "failed", error=error, failed=[failed.id]))
        run.seal()
    with repo.reopen("resumed234") as run:
        how = {"on_drift": "reuse", "limits": {"max_calls": 3, "max_us": None}, "code": "c2"}
        run.commit(records.Resumed(29, {"id": version, "n": 1}, origin={"host": "golden"}, **how))
        run.commit(call(1))
        run.commit(end())
        run.seal()


def _pruned(repo: Repository, version: str, root: Path) -> None:
    """A run that was removed on purpose, of which gc has noted what it will remove."""
    _sealed(repo, version, "prunedrun2", 1)
    repo.prune("prunedrun2", at=30, by="ann", may=None)
    for path in root.rglob("*"):
        os.utime(path, (30, 30))
    collect(repo, 31, grace=10**15, nonce="90" * 12)


def _attempts(output: str) -> list[records.Call]:
    """One call in a task of the body, the second of its identity: an attempt that failed, and one that took long."""
    failure = {"type": "builtins:OSError", "message": "reset", "traceback": ""}
    shared = {"name": "fetch", "order": 2, "began": 20, "scope": "/branch#1", "occurrence": 1, "repeat": 1}
    return [
        records.Call(21, **shared, error=failure, delay=1_000_000),
        records.Call(1_000_030, **shared, output=output, overran=500_000),
    ]


def _interrupted(repo: Repository, version: str, root: Path) -> None:
    with repo.begin("tornrun234") as run:
        run.commit(start(version))
        output, objects = value("what the last call returned")
        run.commit(call(1, output), objects)
        for attempt in _attempts(output):
            run.commit(attempt)
        size = run._journal.size
    (path,) = (root / "open/tornrun234").iterdir()
    content = path.read_bytes()
    path.write_bytes(content[:size] + b"\xabKE1 half an envelope" + bytes(200))


def _expected(repo: Repository) -> dict[str, object]:
    return {
        "runs": {run: [s.id for s in repo.records(run)] for run in repo.run_ids()},
        "objects": {i: len(repo.object(i)) for i in repo.find_objects("")},
        "versions": {f: [[v.n, v.id, v.digest, v.at, v.by] for v in repo.versions(f)] for f in repo.flows()},
        "answers": {
            run: {wait.record.digest: [(found := repo.answer(run, wait.record.digest)).by, found.source]}
            for run in repo.run_ids()
            for wait in repo.records(run)
            if isinstance(wait.record, records.Wait)
        },
        "pruned": {run: repo.tombstone(run).by for run in repo.pruned_ids()},
        "cancels": {"ca11edoff2": repo.cancellation("ca11edoff2").reason},
        "keys": {"demo": {key_digest(key): repo.start_key("demo", key).run for key in ("order 17", "order 18")}},
        "routes": {"demo": {"stable": [[e.weights, e.back] for e in routes.route_log(repo.blobs, "demo", "stable")]}},
        "queue": {
            i: invocations.read_invocation(repo.blobs, i).fields() for i in invocations.invocation_ids(repo.blobs)
        },
        "schedules": {"daily": [entry.fields() for entry in schedules.schedule_log(repo.blobs, "daily")]},
        "parted": {"sea1edrun2": parted.family(repo.blobs, "sea1edrun2")[1:]},
        "trust": [[found.kind, found.name, found.n, found.trusted, found.what] for found in repo.trust.decisions()],
        "origins": [asdict(o) for v in repo.versions("demo") for o in repo.trust.origins(v.id)],
        "partial": [asdict(mark) for mark in repo.partial.marks()],
        "noted": sorted(_last_visit(repo.blobs, 31)),
    }


if __name__ == "__main__":
    target = Path(sys.argv[1])
    with patch("socket.gethostname", lambda: "golden"), patch("os.getpid", lambda: 4242):
        expected = make(target / "store")
    (target / "expected.json").write_text(json.dumps(expected, indent=1, sort_keys=True) + "\n")
