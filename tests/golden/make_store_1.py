"""Make tests/golden/store-1: a small store of format 1 with one of everything, and what is to be read from it.

It was run once, by the first version that wrote format 1; what it made is kept for ever and never made again, for what
old versions wrote must stay readable. A new format gets a script and a store of its own.

    python -m tests.golden.make_store_1 DIRECTORY
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from unittest.mock import patch

from kitaru.blobs import LocalBlobs
from kitaru.model import records
from kitaru.store import Repository, packing
from kitaru.store.gc import collect
from tests.store.samples import call, end, nonces, obj, start, value


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
    return _expected(repo)


def _version(repo: Repository, flow: str) -> str:
    version, objects = value({"entry": {"qualname": flow}, "files": {"flow.py": b"print('golden')\n" * 40}})
    repo.put_objects(objects)
    repo.add_version(flow, id=version, digest=hashlib.sha256(flow.encode()).hexdigest(), at=1000, by="ann")
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
        run.commit(records.Answer(at=8, wait=asked.id, value=answer, by="ann", answered=7), objects)
        run.commit(end())
        run.seal()


def _lapsed(repo: Repository, version: str) -> None:
    """A question whose deadline passed: answered by default, in the name and in the run."""
    digest = "d0" * 32
    default, objects = value("hold")
    with repo.begin("aged234567") as run:
        run.commit(start(version))
        wait = records.Wait(at=5, name="ship", order=1, digest=digest, question="Go?", deadline=9, default=default)
        asked = run.commit(wait, objects)
        repo.put_answer("aged234567", digest, value=default, by="", at=10, source="default")
        run.commit(records.Answer(at=10, wait=asked.id, value=default, answered=10, source="default"))
        run.commit(end())
        run.seal()


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
            run: {digest: [(found := repo.answer(run, digest)).by, found.source]}
            for run, digest in (("waitingrun", "c0" * 32), ("aged234567", "d0" * 32))
        },
    }


if __name__ == "__main__":
    target = Path(sys.argv[1])
    with patch("socket.gethostname", lambda: "golden"), patch("os.getpid", lambda: 4242):
        expected = make(target / "store")
    (target / "expected.json").write_text(json.dumps(expected, indent=1, sort_keys=True) + "\n")
