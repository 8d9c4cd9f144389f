"""Bit rot: a byte flipped anywhere gives never a wrong value, always an error with its place, and the rest reads.

What people edit (`config.toml`) and locks are apart; the cache must not lie either.
"""

from __future__ import annotations

import json
import random
import shutil
from hashlib import sha256

import pytest

from kitaru.errors import KitaruError
from kitaru.project import Project
from kitaru.store import loose, packing
from kitaru.store.check import check_blobs
from kitaru.store.pack import Pack
from tests.crash.story import ORDER, Teller, open_project
from tests.store.faults import FaultyFiles

APART = ("config.toml", "README.md", ".gitignore", "locks")
PASSING = (".db-wal", ".db-shm")
"""Files of the cache that are there while somebody has it open."""
BODY = 24
"""Where in a large object's file its compressed content begins."""
SEALED = ("segments", "packs", "objects", "runs", "flows", "answers", "pruned", "cancels", "keys", "format")
STEPS = ("run", "answer", "resume", "replay", "other", "prune", "gc", "run", "cancel", "order", "run")


@pytest.fixture
def store(tmp_path, monkeypatch):
    """A store with one of everything: runs that ended, a replay, a pack, an open journal, names, large objects."""
    monkeypatch.setattr(loose, "LARGE", 20_000)
    monkeypatch.setattr(packing, "ENOUGH", 2)
    root = tmp_path / "whole"
    Project.init(root)
    files = FaultyFiles()
    Teller(open_project(root, files), files, STEPS).tell()
    project = open_project(root, FaultyFiles(), "again")
    records = project.repo.records(project.log()[0].run)
    with project.repo.begin("interrupted") as writer:
        for stored in records[:3]:
            writer.commit(stored.record, [(i, project.raw(i)) for i in outputs(stored.record)])
    project.log()
    return root


def outputs(record):
    return [record.output] if getattr(record, "output", None) else []


def read(root):
    """Return everything that can be read, by what it is; what cannot be read is an error."""
    found = {}
    try:
        project = open_project(root)
    except KitaruError as error:
        return {"": error}
    take(found, "log", lambda: [s.to_json() for s in project.log()])
    for run in [*project.repo.run_ids(), *project.repo.pruned_ids()]:
        take(found, run, lambda run=run: [stored.id for stored in project.repo.records(run)])
        take(found, f"values {run}", lambda run=run: values(project, run))
        take(found, f"request {run}", lambda run=run: project.repo.cancellation(run))
        take(found, f"tombstone {run}", lambda run=run: project.repo.tombstone(run))
    take(found, "key", lambda: project.repo.start_key("ordered", ORDER))
    for flow in ("story", "aside", "ordered"):
        take(found, flow, lambda flow=flow: [(v.n, v.id, v.digest, v.by) for v in project.repo.versions(flow)])
    return found


def take(found, what, get):
    try:
        found[what] = get()
    except KitaruError as error:
        found[what] = error


def values(project, run):
    state = project.state(run)
    answers = [project.repo.answer(run, wait.record.digest) for wait in state.ordered_waits]
    return [*answers, *(project.value(call.record.output, run) for call in state.ordered_calls)]


def flips(root, count):
    numbers = random.Random(7)
    store = root / ".kitaru"
    files = sorted(p for p in store.rglob("*") if p.is_file() and p.suffix not in PASSING and p.stat().st_size)
    files = [p.relative_to(store) for p in files if p.relative_to(store).parts[0] not in APART]
    assert {path.parts[0] for path in files} >= {*SEALED, "cache", "open"}
    for _ in range(count):
        path = numbers.choice(files)
        yield path, numbers.randrange((store / path).stat().st_size), 1 << numbers.randrange(8)


def flip(file, at, bit):
    file.chmod(0o600)
    content = bytearray(file.read_bytes())
    content[at] ^= bit
    file.write_bytes(content)


@pytest.mark.parametrize("count", [100, pytest.param(1000, marks=pytest.mark.long)])
def test_never_a_wrong_value(store, tmp_path, count):
    whole = read(store)
    assert not [error for error in whole.values() if isinstance(error, KitaruError)]
    for path, at, bit in flips(store, count):
        damaged = tmp_path / "damaged"
        shutil.rmtree(damaged, ignore_errors=True)
        shutil.copytree(store, damaged)
        flip(damaged / ".kitaru" / path, at, bit)
        found = read(damaged)
        if path.parts[0] == "format":
            assert str(damaged) in str(found[""])
            continue
        for what, wanted in whole.items():
            assert isinstance(found[what], KitaruError) or is_right(what, found[what], wanted, path), (path, at, what)
        told(damaged, path, at)
        the_rest(damaged, path, at, whole, found)


def is_right(what, found, wanted, path):
    """Tell whether it is all right, or less for a reason.

    The last commit of an open journal cannot be told from a torn tail: it may be gone, but never be wrong. A listing
    leaves out what cannot be read.
    """
    if what == "log":
        return all(summary in wanted or summary["run"] == "interrupted" for summary in found)
    cut = path.parts[0] == "open" and "interrupted" in what
    return found == wanted or (cut and found == wanted[: len(found)])


def told(damaged, path, at):
    """The check names the file."""
    report = check_blobs(open_project(damaged).repo.blobs)
    if report.is_clean and path.parts[0] == "objects":  # zstd has bits that say nothing, and the content is verified
        assert at >= BODY, (path, at)
    elif path.parts[0] in SEALED:
        assert not report.is_clean, (path, at)
        assert any(path.name in f"{f.where} {f.what}" for f in report.findings if f.severity == "damage"), (path, at)


def the_rest(damaged, path, at, whole, found):
    """A run that does not depend on the damaged file, or part of a pack, reads as before."""
    owners = {path.parts[1]} if path.parts[0] in ("runs", "open") else set()
    if path.parts[0] in ("segments", "packs"):
        hurt = {path.parent.name + path.name, *in_pack(damaged / ".kitaru" / path, at)}
        names = (damaged / ".kitaru/runs").glob("*/*")
        owners = {p.parent.name for p in names if json.loads(p.read_bytes())["segment"] in hurt}
    for run in [what for what in whole if f"values {what}" in whole and what not in owners]:
        assert found[run] == whole[run], (path, run)


def in_pack(path, at):
    """Return the segments that a flip there hurts: one, or all where it hits the index."""
    if path.parent.name != "packs":
        return []
    content = bytearray(path.read_bytes())
    for bit in range(8):
        content[at] ^= 1 << bit
        if sha256(content).hexdigest() == path.name:
            break
        content[at] ^= 1 << bit
    places = Pack(bytes(content), "").in_order()
    return [s for s, offset, length in places if offset <= at < offset + length] or [s for s, _, _ in places]
