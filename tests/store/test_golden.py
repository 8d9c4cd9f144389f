"""A store that the first version of format 1 wrote is read by every later one, to the last byte."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
from pathlib import Path

import pytest

from kitaru.blobs import LocalBlobs
from kitaru.model.records import KINDS
from kitaru.store import Repository, kinds
from kitaru.store.catalog import Catalog
from kitaru.store.check import check
from kitaru.store.gc import collect
from kitaru.store.invocations import invocation_ids, read_invocation
from kitaru.store.names import key_digest
from kitaru.store.routes import flows_with_routes, route_log, route_names
from kitaru.store.schedules import schedule_log, schedule_names
from tests.store.samples import call

NAMES = [kind.directory for kind in kinds.KINDS]
GOLDEN = Path(__file__).parent.parent / "golden/store-1"
EXPECTED = json.loads((GOLDEN / "expected.json").read_text())


@pytest.fixture
def repo(tmp_path):
    shutil.copytree(GOLDEN / "store", tmp_path / "store")
    return Repository.open(LocalBlobs(tmp_path / "store"))


def test_records(repo):
    assert {run: [s.id for s in repo.records(run)] for run in repo.run_ids()} == EXPECTED["runs"]


def test_objects(repo):
    assert repo.find_objects("") == sorted(EXPECTED["objects"])
    for object_id, size in EXPECTED["objects"].items():
        data = repo.object(object_id)
        assert len(data) == size
        assert hashlib.sha256(data).hexdigest() == object_id


def test_names(repo):
    versions = {f: [[v.n, v.id, v.digest, v.at, v.by] for v in repo.versions(f)] for f in repo.flows()}
    assert versions == EXPECTED["versions"]
    for run, answers in EXPECTED["answers"].items():
        for digest, told in answers.items():
            found = repo.answer(run, digest)
            assert [found.by, found.source] == told


def test_requests_tombstones_and_keys(repo):
    assert {run: repo.tombstone(run).by for run in repo.pruned_ids()} == EXPECTED["pruned"]
    assert {run: repo.cancellation(run).reason for run in EXPECTED["cancels"]} == EXPECTED["cancels"]
    for key in ("order 17", "order 18"):
        assert repo.start_key("demo", key).run == EXPECTED["keys"]["demo"][key_digest(key)]


def test_routes(repo):
    found = {
        f: {r: route_log(repo.blobs, f, r) for r in route_names(repo.blobs, f)} for f in flows_with_routes(repo.blobs)
    }
    told = {f: {r: [[e.weights, e.back] for e in log] for r, log in of.items()} for f, of in found.items()}
    assert told == EXPECTED["routes"]


def test_queue_and_schedules(repo):
    found = {run: read_invocation(repo.blobs, run).fields() for run in invocation_ids(repo.blobs)}
    assert found == EXPECTED["queue"]
    logs = {name: [e.fields() for e in schedule_log(repo.blobs, name)] for name in schedule_names(repo.blobs)}
    assert logs == EXPECTED["schedules"]


def test_trust_and_partial_runs(repo):
    stands = [[found.kind, found.name, found.n, found.trusted, found.what] for found in repo.trust.decisions()]
    assert stands == EXPECTED["trust"]
    version = repo.versions("demo")[0].id
    assert [dataclasses.asdict(origin) for origin in repo.trust.origins(version)] == EXPECTED["origins"]
    assert [dataclasses.asdict(mark) for mark in repo.partial.marks()] == EXPECTED["partial"]


def test_it_has_every_kind_of_name_and_record_and_every_field(repo):
    there = {part.name for part in (GOLDEN / "store").iterdir()}
    assert there == {"format", *NAMES, "objects", "segments", "packs", "open", "gc", "trust", "partial"}
    stored = [s.record for run in repo.run_ids() for s in repo.records(run)]
    assert {record.kind for record in stored} == set(KINDS)
    for kind in KINDS.values():
        said = [record for record in stored if isinstance(record, kind)]
        for field in dataclasses.fields(kind):
            plain = field.default_factory() if callable(field.default_factory) else field.default
            assert any(getattr(record, field.name) != plain for record in said), f"{kind.kind}.{field.name}"


def test_gc_believes_no_list_of_other_files(repo):
    """The files were copied since, and have other times: they are noted anew."""
    assert collect(repo, 10**18, grace=1, nonce="90" * 12, dry_run=True).removed == []


def test_it_is_whole_but_for_the_torn_tail(repo):
    (finding,) = check(repo).findings
    assert (finding.severity, finding.affects) == ("torn tail", ("tornrun234",))


def test_it_goes_on(repo):
    with repo.reopen("tornrun234") as run:
        assert "21 bytes" in run.tail
        assert [s.id for s in run.records] == EXPECTED["runs"]["tornrun234"]
        run.commit(call(2))
        run.seal()
    assert len(repo.records("tornrun234")) == 5
    assert {s.run for s in Catalog(repo).summaries()} == set(EXPECTED["runs"])
