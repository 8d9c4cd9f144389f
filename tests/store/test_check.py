"""fsck tells what is damaged, where, and who depends on it, and finds nothing in a store that is whole."""

from __future__ import annotations

import os
import random
from dataclasses import replace
from pathlib import Path

import pytest

from kitaru.blobs import LocalBlobs
from kitaru.errors import KitaruError
from kitaru.model.records import Note, Start
from kitaru.store import Repository
from kitaru.store import check as checking
from kitaru.store.check import check, check_blobs
from kitaru.store.repair import repair
from tests.store.samples import call, end, fill, nonces, start, value, whole


@pytest.fixture
def root(tmp_path):
    repo = Repository.create(LocalBlobs(tmp_path), nonces())
    fill(repo, "one")
    fill(repo, "two", seal=False)
    version, objects = value({"entry": "demo", "files": {"a.py": b"x" * 1000}})
    repo.put_objects(objects)
    repo.add_version("demo", id=version, digest="d", at=1, by="ann")
    answer, objects = value(True)
    repo.put_objects(objects)
    repo.put_answer("one", "ab" * 32, value=answer, by="ann", at=1)
    repo.put_cancellation("one", by="ann", at=1, reason="")
    repo.put_start_key("demo", "order 17", "two", by="ann", at=1)
    with repo.begin("large") as writer:
        output, objects = whole(bytes(range(256)) * 4000)
        writer.commit(start(version))
        writer.commit(call(1, output), objects)
        writer.commit(end())
        writer.seal()
    return tmp_path


def looked(root):
    return check_blobs(LocalBlobs(root))


def change(path, content):
    path.chmod(0o600)
    path.write_bytes(content)


def test_a_whole_store_is_clean(root):
    report = looked(root)
    assert report.findings == []
    assert report.is_clean
    assert (report.runs, report.records) == (3, 5 + 4 + 3)


@pytest.mark.parametrize("name", ["prompt_id", "response_id"])
def test_what_a_model_was_asked_is_followed(root, name):
    repo = Repository.open(LocalBlobs(root))
    with repo.begin("asked") as writer:
        writer.commit(start(repo.versions("demo")[0].id))
        writer.commit(replace(call(1), llm=[{"asked": "fast", name: "77" * 32}]))
        writer.seal()
    (finding,) = looked(root).findings
    assert ("77" * 32 in finding.where, finding.affects) == (True, ("asked",))


def branching(root, source):
    repo = Repository.open(LocalBlobs(root))
    version = {"n": 1, "id": repo.versions("demo")[0].id}
    with repo.begin("branch") as writer:
        writer.commit(Start(at=1, flow="demo", version=version, inputs={}, source=source))
        writer.seal()


NAMED = ("runs", "flows", "answers", "cancels", "keys", "pruned", "open")
NO_FILES = {"pipe": os.mkfifo, "link": lambda path: path.symlink_to("/etc/passwd"), "empty directory": Path.mkdir}


@pytest.mark.parametrize(
    "kind", ["segments", "objects", "runs", "flows", "answers", "cancels", "keys", "pruned", "open"]
)
@pytest.mark.parametrize("made", NO_FILES)
def test_what_is_no_file_is_told_and_put_aside_or_left(root, kind, made):
    Repository.open(LocalBlobs(root)).prune("two", at=1, by="ann", may=None)
    path = next(p for p in sorted((root / kind).rglob("*")) if p.is_file())
    path.unlink()
    NO_FILES[made](path)
    report = looked(root)
    assert not report.is_clean
    repo = Repository.open(LocalBlobs(root))
    repair(repo, nonce=nonce, now=1)
    assert {run for run in repo.run_ids() if readable(repo, run)} >= {"one", "large"} - affected(report)


def nonce():
    return os.urandom(12).hex()


def affected(report):
    return {run for finding in report.findings for run in finding.affects}


def readable(repo, run):
    try:
        return bool(repo.records(run))
    except KitaruError:
        return False


@pytest.mark.parametrize("kind", NAMED)
def test_what_is_far_too_large_is_told_and_not_read(root, kind):
    Repository.open(LocalBlobs(root)).prune("two", at=1, by="ann", may=None)
    path = next(p for p in sorted((root / kind).rglob("*")) if p.is_file())
    path.chmod(0o600)
    os.truncate(path, 1 << 36)
    assert not looked(root).is_clean
    repair(Repository.open(LocalBlobs(root)), nonce=nonce, now=1)


def test_a_branch_of_what_is_there(root):
    head = Repository.open(LocalBlobs(root)).records("one")[2].id
    branching(root, {"run": "one", "head": head, "cut": 2, "from": "step"})
    assert looked(root).is_clean


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ({"run": "gone", "head": "0" * 64}, "branches from run gone, which is not there"),
        ({"run": "one", "head": "0" * 64}, f"branches from record {'0' * 64} of run one, which has none such"),
        ({"run": "", "head": "0" * 64}, "branches from run , which is not there"),
        ({}, "branches from run None, which is not there"),
    ],
)
def test_a_branch_of_what_is_not_there_is_damage(root, source, told):
    branching(root, source)
    (finding,) = looked(root).findings
    assert (finding.severity, finding.what, finding.affects) == ("damage", told, ("branch",))


def test_a_branch_of_a_run_that_cannot_be_read_is_told_once(root):
    branching(root, {"run": "one", "head": "0" * 64})
    change(root / "runs/one/000001", b"x")
    assert "branches" not in f"{looked(root).findings}"


def test_every_file_flipped_is_found_and_the_rest_still_read(root):
    numbers = random.Random(1)
    kinds = ("runs", "segments", "objects", "flows", "answers", "cancels", "keys", "format")
    files = [p for p in sorted(root.rglob("*")) if p.is_file() and p.relative_to(root).parts[0] in kinds]
    assert len(files) >= 10
    for path in files:
        content = path.read_bytes()
        for _ in range(8):
            at, bit = numbers.randrange(len(content)), numbers.randrange(8)
            change(path, content[:at] + bytes([content[at] ^ 1 << bit]) + content[at + 1 :])
            report = looked(root)
            assert not report.is_clean, (path, at, bit)
            assert any(str(path) in f"{f.where} {f.what}" or f.affects for f in report.findings)
        change(path, content)
    assert looked(root).findings == []


def test_a_damaged_large_object_is_told_with_the_run_that_needs_it(root):
    path = max(root.glob("objects/*/*"), key=lambda p: p.stat().st_size)
    change(path, path.read_bytes()[:-1] + b"?")
    (finding,) = looked(root).findings
    assert (finding.severity, finding.where, finding.affects) == ("damage", str(path), ("large",))


def test_a_missing_object_is_told_with_who_names_it(root):
    for path in root.glob("objects/*/*"):
        path.unlink()
    told = {finding.affects for finding in looked(root).findings}
    assert ("large",) in told
    assert any("demo@v1" in affects for affects in told)
    assert ("one",) in told


def test_arguments_and_keys_are_wanted_too(root):
    repo = Repository.open(LocalBlobs(root), nonces(500))
    output, objects = value("out")
    with repo.begin("argued") as writer:
        writer.commit(start(output), objects)
        record = call(1, output)
        record.args, record.key = {"x": "a" * 64}, "b" * 64
        writer.commit(record)
        writer.seal()
    told = [f for f in looked(root).findings if f.affects == ("argued",)]
    assert sorted(f.where for f in told) == [f"object {'a' * 64}", f"object {'b' * 64}"]


def test_what_a_flow_logged_is_wanted_too(root):
    repo = Repository.open(LocalBlobs(root), nonces(500))
    output, objects = value("out")
    with repo.begin("logged") as writer:
        writer.commit(start(output), objects)
        writer.commit(Note(2, "metadata", {"value": "a" * 64}))
        writer.seal()
    (finding,) = looked(root).findings
    assert (finding.where, finding.affects) == (f"object {'a' * 64}", ("logged",))


def test_bytes_that_are_no_value_are_damage(root):
    import hashlib

    repo = Repository.open(LocalBlobs(root), nonces(500))
    odd = b"l\x02N"
    odd_id = hashlib.sha256(odd).hexdigest()
    with repo.begin("odd") as writer:
        writer.commit(start(odd_id), [(odd_id, odd)])
        writer.seal()
    (finding,) = looked(root).findings
    assert (finding.severity, finding.affects) == ("damage", ("odd",))
    assert "not a value" in finding.what


def test_each_object_is_read_once(root, monkeypatch):
    repo = Repository.open(LocalBlobs(root), nonces(500))
    history, known = [], set()
    with repo.begin("long") as writer:
        version, objects = value("v")
        writer.commit(start(version), objects)
        for n in range(1, 60):
            history.append(f"message {n} " * 100)
            output, objects = value(history)
            writer.commit(call(n, output), [item for item in objects if item[0] not in known])
            known.update(object_id for object_id, _ in objects)
        writer.seal()
    read = []
    walk = checking._references
    monkeypatch.setattr(checking, "_references", lambda data: (read.append(data), walk(data))[1])
    assert check(repo).findings == []
    assert len(read) == len(set(read)) > 100


def test_leftovers_are_no_damage(root):
    blobs = LocalBlobs(root)
    blobs.create("tmp/half", b"x")
    blobs.create("lost/thing", b"x")
    blobs.create("open/never/n", b"")
    report = looked(root)
    assert report.is_clean
    assert {f.severity for f in report.findings} == {"leftover"}
    assert len(report.findings) == 3
    assert report.runs == 3  # what never recorded anything is none
    assert affected(report) == set()


def test_an_unnamed_segment_is_a_leftover(root):
    (root / "runs/one/000001").unlink()
    report = looked(root)
    assert report.is_clean
    assert "a segment that no run names" in [f.what for f in report.findings]


def test_a_missing_segment_is_damage(root):
    blobs = LocalBlobs(root)
    for key in list(blobs.keys("segments")):
        blobs.delete(key)
    report = check(Repository.open(blobs))
    assert {a for f in report.findings if f.severity == "damage" for a in f.affects} >= {"one", "large"}


@pytest.mark.parametrize(
    "key", ["runs/Upper/000001", "runs/one/2", "segments/ab/cd", "objects/zz/..x", "answers/one/%zz"]
)
def test_a_name_that_is_none_is_damage(root, key):
    LocalBlobs(root).create(key, b"{}")
    report = looked(root)
    assert not report.is_clean
    assert any(key.rpartition("/")[0] in f.where for f in report.findings)


def test_an_index_that_lies_is_damage(root):
    """A segment whose hash is right, but whose index is another's."""
    import hashlib

    from kitaru.store import footer, layout, names

    repo = Repository.open(LocalBlobs(root))
    (name,) = names.segments(repo.blobs, "one")
    strand = repo.segments.strand(name.segment)
    data = bytes(repo.blobs.view(layout.segment_key(name.segment)))[: strand.end]
    forged = data + footer.build(strand.end, [(f.offset, f.raw_length, 0) for f in strand.frames], [])
    segment = hashlib.sha256(forged).hexdigest()
    repo.blobs.create(layout.segment_key(segment), forged)
    repo.blobs.create("runs/forged/000001", names.pack({"segment": segment, "nonce": "n"}))
    (finding,) = [f for f in looked(root).findings if f.severity == "damage"]
    assert "index" in finding.what
    assert finding.affects == ("forged",)


def test_reading_a_damaged_store_gives_errors_never_wrong_values(root):
    """Bits flipped anywhere: each object is right or refused."""
    good = Repository.open(LocalBlobs(root))
    wanted = {object_id: good.object(object_id) for object_id in good.find_objects("")}
    numbers = random.Random(2)
    files = [p for kind in ("segments", "objects", "open") for p in sorted((root / kind).rglob("*")) if p.is_file()]
    for _ in range(60):
        path = numbers.choice(files)
        content = path.read_bytes()
        at = numbers.randrange(len(content))
        change(path, content[:at] + bytes([content[at] ^ 1 << numbers.randrange(8)]) + content[at + 1 :])
        repo = Repository.open(LocalBlobs(root))
        for object_id, data in wanted.items():
            try:
                assert repo.object(object_id, ["one", "two", "large"]) == data
            except KitaruError:
                continue
        change(path, content)
