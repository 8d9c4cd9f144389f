"""Every byte of a store is counted once, and for whom it should be."""

from __future__ import annotations

from collections import defaultdict

import pytest

from kitaru.blobs import LocalBlobs
from kitaru.model.records import Answer, Note, Start, Wait
from kitaru.store import Repository, loose
from kitaru.store.usage import RECORDS, TOMBSTONES, UNREACHED, usage
from tests.store.samples import call, end, fill, nonces, value, whole

LARGE, LARGE_OBJECTS = whole(bytes(range(256)) * 3000)
NOT_COUNTED = ("format", "locks")


@pytest.fixture(autouse=True)
def large(monkeypatch):
    """Objects count as large sooner, so that values have some."""
    monkeypatch.setattr(loose, "LARGE", 50_000)


@pytest.fixture
def repo(tmp_path):
    return Repository.create(LocalBlobs(tmp_path / "store", False), nonces())


def write(repo, run, at, *, source=None):
    version, more = value({"entry": "demo"})
    text, texts = value("some words " * 400)
    with repo.begin(run) as writer:
        inputs = {"topic": text}
        writer.commit(Start(at=at, flow="demo", version={"n": 1, "id": version}, inputs=inputs, source=source), texts)
        record = call(1, LARGE)
        record.saved, record.args = {"draft": text}, {"topic": text}
        writer.commit(record, [*LARGE_OBJECTS, *more])
        wait = writer.commit(Wait(at=at, name="ok", order=2, digest="d", shown={"draft": text}))
        reply, objects = value("yes, do it")
        writer.commit(Answer(at=at, wait=wait.id, value=reply), objects)
        noted, objects = value({"model": "scripted"})
        writer.commit(Note(at=at, about="metadata", data={"value": noted}), objects)
        writer.commit(end())
        writer.seal()


def by(uses, *fields):
    found = defaultdict(int)
    for use in uses:
        found[tuple(getattr(use, field) for field in fields)] += use.size
    return found


def test_the_sum_is_that_of_the_files(repo, tmp_path):
    write(repo, "one", 2)
    write(repo, "two", 1)
    fill(repo, "open", seal=False)
    repo.put_objects(value(["nobody names it"])[1])
    repo.prune("one", at=3, by="ann", may=lambda records: True)
    repo.blobs.create("lost/thing", b"x" * 100)
    repo.blobs.create("tmp/thing", b"x" * 10)
    counted = sum(use.size for use in usage(repo))
    files = [p for p in (tmp_path / "store").rglob("*") if p.is_file()]
    kept = [p for p in files if p.relative_to(tmp_path / "store").parts[0] not in NOT_COUNTED]
    assert counted == sum(p.stat().st_size for p in kept)
    assert all(use.size >= 0 for use in usage(repo))


def test_a_large_object_counts_for_the_oldest_run(repo):
    write(repo, "late", 200)
    write(repo, "early", 100)
    size = sum(repo.blobs.size(key) for key in repo.blobs.keys("objects"))
    uses = by(usage(repo), "run", "artifact")
    assert uses["early", "step"] >= size > 0
    assert uses["late", "step"] < 100


def test_artifacts(repo):
    write(repo, "one", 1)
    uses = by(usage(repo), "flow", "artifact")
    assert uses["demo", "input topic"] > 0
    assert uses["demo", "ok"] > 0
    assert uses["demo", "note"] > 0
    assert uses["demo", RECORDS] > 0
    assert ("demo", "step.draft") not in uses  # counted already, as the input


def test_what_is_nobodys(repo):
    repo.put_objects(value(["nobody names it"])[1])
    fill(repo, "one")
    repo.prune("one", at=3, by="ann", may=lambda records: True)
    uses = by(usage(repo), "artifact")
    assert uses[UNREACHED,] > 0
    assert uses[TOMBSTONES,] == repo.blobs.size("pruned/one")


def test_versions_count_for_their_flow(repo):
    version, objects = value({"files": {"a.py": b"x" * 5000}})
    repo.put_objects(objects)
    repo.add_version("demo", id=version, digest="d", at=1, by="ann")
    uses = by(usage(repo), "flow", "run", "artifact")
    assert uses["demo", "", "v1"] > 100


def test_damage_counts_as_nobodys(repo):
    fill(repo, "one")
    (segment,) = repo.blobs.keys("segments")
    content = repo.blobs.get(segment)
    repo.blobs.delete(segment)
    repo.blobs.create(segment, content[:200] + bytes([content[200] ^ 1]) + content[201:])
    assert by(usage(repo), "artifact")[UNREACHED,] == len(content)


def test_links_and_what_goes_meanwhile_take_nothing(repo, tmp_path, monkeypatch):
    cache = tmp_path / "store/cache"
    for name in ("code/tmpabc", "environments/x/bin/activate"):
        (cache / name).parent.mkdir(parents=True)
        (cache / name).write_bytes(bytes(1 << 20))  # more than the index of runs
    (cache / "environments/x/bin/python").symlink_to("/usr/bin/python3")
    (cache / "environments/x/lib64").symlink_to("lib")
    assert by(usage(repo), "artifact")["(cache/)",] >> 20 == 2
    listed = repo.blobs.keys

    def keys(prefix):
        found = list(listed(prefix))
        (cache / "code/tmpabc").unlink(missing_ok=True)  # another process has put it in its place
        return found

    monkeypatch.setattr(repo.blobs, "keys", keys)
    assert by(usage(repo), "artifact")["(cache/)",] >> 20 == 1
