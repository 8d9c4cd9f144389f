"""Nothing on a remote is believed: what is not as it should be is refused by name, and all else comes."""

from __future__ import annotations

import hashlib
import json
import os
import struct
import zlib

import pytest
import zstandard

from kitaru.blobs import MemoryBlobs
from kitaru.errors import Damaged, UnknownFormat
from kitaru.model.records import Call, End, Start, Wait
from kitaru.store import Repository, envelope, layout, loose, names, remote_check, verified
from kitaru.store.routes import Destination, RouteEntry, add_entry, route_log
from tests.store.samples import nonces, value
from tests.store.sync.machines import remote_damage

LARGE = b"".join(hashlib.sha256(b"%d" % n).digest() for n in range(4000))


@pytest.fixture(autouse=True)
def large(monkeypatch):
    """Objects count as large sooner, so that values have some."""
    monkeypatch.setattr(loose, "LARGE", 5_000)


@pytest.fixture
def shared(ana, remote):
    """A remote with two runs, an answer and a version of another flow."""
    ana.run("good").run("bad", large=LARGE, flow="other")
    ana.answer("bad", "yes")
    ana.push()
    return remote


def overwrite(remote, key, data):
    """Write what no Kitaru would: over what is there."""
    path = remote.root / key
    path.parent.mkdir(parents=True, exist_ok=True)
    if os.path.lexists(path):
        path.unlink()
    path.write_bytes(data)


def flip(remote, key, at):
    data = bytearray(remote.get(key))
    data[at] ^= 1
    overwrite(remote, key, bytes(data))


def refused(machine, *expected):
    """Pull, and return why those that were expected, and only these, were refused; the run `good` came."""
    pulled = machine.pull()
    assert {left.what for left in pulled.refused} == set(expected)
    assert "good" in machine.repo.run_ids()
    assert machine.damage() == []
    assert isinstance(pulled.error(), Damaged)
    return [left.why for left in pulled.refused]


def segment_of(remote, run):
    return layout.segment_key(names.segment_name(remote, run, 1).segment)


@pytest.mark.parametrize("at", [0, 20, 300, -40, -1])
def test_a_changed_segment(shared, bob, at):
    flip(shared, segment_of(shared, "bad"), at)
    refused(bob, "bad")
    assert bob.repo.run_ids() == ["good"]


def test_a_segment_that_is_another(shared, bob):
    overwrite(shared, segment_of(shared, "bad"), shared.get(segment_of(shared, "good")))
    [why] = refused(bob, "bad")
    assert "does not have the hash that names it" in why


def test_a_segment_that_is_gone(shared, bob):
    (shared.root / segment_of(shared, "bad")).unlink()
    [why] = refused(bob, "bad")
    assert "a segment that is named is missing" in why


def large_keys(remote):
    """Keys of the large objects, largest first: what calls returned."""
    return sorted(remote.keys(layout.OBJECTS), key=remote.size, reverse=True)


@pytest.mark.parametrize("at", [0, 9, 13, 20, 24, 2000, -1])
def test_a_changed_object(shared, bob, at):
    flip(shared, large_keys(shared)[0], at)
    refused(bob, "bad")
    assert not bob.blobs.exists(large_keys(shared)[0])


def test_an_object_that_is_gone(shared, bob):
    (shared.root / large_keys(shared)[0]).unlink()
    [why] = refused(bob, "bad")
    assert "an object that is named is missing" in why


def test_objects_that_were_swapped(shared, bob, ana):
    ana.run("worse", large=LARGE[::-1]).push()
    first, second = large_keys(shared)[:2]
    data = shared.get(first), shared.get(second)
    overwrite(shared, first, data[1])
    overwrite(shared, second, data[0])
    refused(bob, "bad", "worse")


def test_a_header_that_tells_of_ten_gigabytes(shared, bob):
    key = large_keys(shared)[0]
    for method, body in (0, shared.get(key)[24:]), (1, b"\x28\xb5\x2f\xfd\x00\x58\x01\x00\x00"):
        head = struct.pack("<8sB3sQ", loose.MAGIC, method, b"", 10 << 30)
        overwrite(shared, key, head + zlib.crc32(head).to_bytes(4, "little") + body)
        refused(bob, "bad")


def test_a_few_bytes_that_would_become_many(shared, bob):
    zeros = zstandard.ZstdCompressor().compress(bytes(200 << 20))
    head = struct.pack("<8sB3sQ", loose.MAGIC, 1, b"", 200 << 20)
    overwrite(shared, large_keys(shared)[0], head + zlib.crc32(head).to_bytes(4, "little") + zeros)
    [why] = refused(bob, "bad")
    assert "that declare to become" in why


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}\n",
        b"[" * 50_000,
        b'{"nonce":"x","segment":"../../../etc/passwd"}\n',
        b"x" * 70_000,
        names.pack({"segment": "../../format", "nonce": "0" * 24}),
        names.pack({"segment": "0" * 64, "nonce": "0" * 24}),
        names.pack({"segment": "0" * 64, "nonce": "0" * 24, "more": 1}),
    ],
)
def test_a_name_that_is_none(shared, bob, data):
    overwrite(shared, "runs/bad/000001", data)
    refused(bob, "bad")
    assert bob.repo.run_ids() == ["good"]


def test_a_run_under_anothers_name_is_what_it_says(shared, bob):
    overwrite(shared, "runs/bad/000001", shared.get("runs/good/000001"))
    assert not bob.pull().refused
    assert bob.runs()["bad"] == bob.runs()["good"]


@pytest.mark.parametrize(
    "key",
    [
        "runs/bad/1",
        "runs/bad/000000",
        "runs/bad/0000002",
        "runs/bad/two",
        "runs/Bad/000001",
        "runs/%zz/000001",
        "runs/bad/000001/more",
        "runs/loose",
        "runs/.../000001",
        f"runs/{'a' * 201}/000001",
        "flows/demo/latest",
        "flows/000001",
        "answers/bad",
        "pruned/bad/000001",
        "keys/demo/0",
        "parted/good/Bad",
    ],
)
def test_a_key_that_no_store_makes(ana, bob, remote, key):
    ana.run("good").push()
    overwrite(remote, key, remote.get("runs/good/000001"))
    [why] = refused(bob, key)
    assert why
    assert not bob.blobs.exists(key)
    assert bob.repo.run_ids() == ["good"]


class Listing:
    """A remote with keys that no folder can have."""

    def __init__(self, remote, *keys):
        self._remote, self._keys = remote, keys

    def __getattr__(self, name):
        return getattr(self._remote, name)

    def listing(self, prefix):
        found = list(self._remote.listing(prefix))
        yield from found
        yield from (found[0]._replace(key=key) for key in self._keys if key.startswith(prefix + "/"))


@pytest.mark.parametrize(
    "key", ["runs/../../evil", "runs/good/../evil/000001", "runs//000001", "runs/a\0b/000001", "runs/a\\b/000001"]
)
def test_a_key_that_leads_elsewhere(ana, bob, remote, tmp_path, key):
    ana.run("good").push()
    before = sorted(path.name for path in tmp_path.iterdir())
    pulled = bob.pull(remote=Listing(remote, key))
    assert [left.what for left in pulled.refused] == [key]
    assert bob.repo.run_ids() == ["good"]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted({*before, "bob"})


def test_what_stands_behind_a_gap(ana, bob, remote):
    ana.run("good").run("bad").push()
    overwrite(remote, "runs/bad/000003", remote.get("runs/bad/000001"))
    overwrite(remote, "flows/demo/999999999999", remote.get("flows/demo/000001"))
    refused(bob, "runs/bad/000003", "flows/demo/999999999999")
    assert bob.repo.run_ids() == ["bad", "good"]
    assert len(bob.repo.versions("demo")) == 1


def test_a_damaged_entry_leaves_a_route_that_can_be_read(shared, ana, bob, remote):
    version = ana.version()
    for n in (1, 2, 3):
        to = (Destination(version, 1, n),)
        add_entry(ana.blobs, RouteEntry("demo", "stable", n, to, 0, n, "ana", "", f"n{n}"))
    ana.push()
    flip(remote, layout.route_key("demo", "stable", 2), 5)
    refused(bob, *(layout.route_key("demo", "stable", n) for n in (2, 3)))
    assert [entry.n for entry in route_log(bob.blobs, "demo", "stable")] == [1]


def test_a_route_to_a_version_that_is_not_there(shared, bob, remote):
    add_entry(remote, RouteEntry("demo", "stable", 1, (Destination("ab" * 32, 1, 1),), 0, 1, "ana", "", "n"))
    assert [finding.affects for finding in remote_damage(remote)] == [("demo@stable",)]
    refused(bob, layout.route_key("demo", "stable", 1))


# -- well hashed, and still not what a store writes --------------------------------------------------------------------


def forge(remote, run, *records, objects=()):
    """Put a run on a remote as one who knows the format could, with whatever records."""
    repo = Repository.create(MemoryBlobs(), nonces(99))
    with repo.begin(run) as writer:
        for number, record in enumerate(records):
            writer.commit(record, objects if number == 0 else ())
        writer.seal()
    for key in [*repo.blobs.keys(layout.SEGMENTS), *repo.blobs.keys(layout.OBJECTS), *repo.blobs.keys(layout.RUNS)]:
        remote.create(key, repo.blobs.get(key))


def start(version, **more):
    return Start(at=5, flow="demo", version={"id": version, "n": 1}, inputs={}, **more)


@pytest.fixture
def version(ana, remote):
    ana.run("good").push()
    return ana.repo.versions("demo")[0].id


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[" * 60_000,
        b'{"version":' * 900 + b"1" + b"}" * 900,
        b'{"version":' + b"[" * 900 + b"]" * 900 + b"}",
        b'{"version":' + b"9" * 60_000 + b"}",
        b'{"version":"\\u001b[2J"}',
        b"\xff\xfe",
        b"x" * 70_000,
    ],
)
def test_a_format_that_is_none(shared, bob, data):
    overwrite(shared, layout.FORMAT_KEY, data)
    for act in (bob.pull, bob.push):
        with pytest.raises((UnknownFormat, Damaged)) as error:
            act()
        assert error.value.exit_code == 4
        assert len(error.value.message) < 400
    local = MemoryBlobs()
    local.create(layout.FORMAT_KEY, data)
    with pytest.raises((UnknownFormat, Damaged)):
        Repository.open(local)


@pytest.mark.parametrize(
    "said",
    [{"host": ["a"], "pid": 1, "nonce": "x"}, {"host": "a", "pid": "1", "nonce": "x"}, {"host": "a", "pid": 1}, []],
)
def test_a_journal_whose_header_says_something_else(said):
    body = json.dumps(said).encode()
    with pytest.raises(Damaged, match="not that of a journal: "):
        envelope.parse_header(headed(body), "a journal")


def test_a_journal_whose_header_is_deep():
    with pytest.raises(Damaged, match="not that of a journal: "):
        envelope.parse_header(headed(b"[" * 4000), "a journal")


def headed(body):
    return envelope.JOURNAL_MAGIC + struct.pack("<II", len(body), zlib.crc32(body)) + body


def test_records_that_do_not_add_up(bob, remote, version):
    forge(remote, "bad", start(version), End(at=6, status="completed"), Wait(at=7, name="w", order=1, digest="0" * 64))
    [why] = refused(bob, "bad")
    assert "cannot follow when completed" in why


def test_a_run_without_a_start(ana, bob, remote):
    ana.run("good").push()
    forge(remote, "bad", Call(at=6, name="step", order=1, began=5))
    [why] = refused(bob, "bad")
    assert "its first record is not a start" in why


def test_a_run_whose_segments_do_not_follow_each_other(bob, ana, remote, version):
    overwrite(remote, "runs/good/000002", remote.get("runs/good/000001"))
    pulled = bob.pull()
    assert [left.what for left in pulled.refused] == ["good"]
    assert "does not follow the run's last record" in pulled.refused[0].why
    assert bob.repo.run_ids() == []


@pytest.mark.parametrize(
    "source",
    [
        {"run": "nowhere", "head": "0" * 64, "cut": None, "from": ""},
        {"run": "good", "head": "0" * 64, "cut": None, "from": ""},
        {"run": "bad", "head": "0" * 64, "cut": None, "from": ""},
        {"run": "../../x", "head": "0" * 64, "cut": None, "from": ""},
        {"run": 7, "head": "0" * 64},
        {},
    ],
)
def test_a_branch_of_what_is_not_there(bob, remote, version, source):
    forge(remote, "bad", start(version, source=source))
    refused(bob, "bad")
    assert bob.repo.run_ids() == ["good"]


def test_a_run_that_names_what_is_not_there(bob, remote, version):
    forge(remote, "bad", start(version), Call(at=6, name="step", order=1, began=5, output="0" * 64))
    [why] = refused(bob, "bad")
    assert "an object that is named is missing" in why


def test_what_branches_from_a_run_that_is_refused_is_refused(bob, ana, remote, version):
    ana.run("bad", large=LARGE).branch("branch", "bad", asks=False).push()
    (remote.root / large_keys(remote)[0]).unlink()
    refused(bob, "bad", "branch")
    assert bob.repo.run_ids() == ["good"]


def test_an_object_that_is_no_value(bob, remote, version):
    data = b"\xff\xff no value"
    object_id = hashlib.sha256(data).hexdigest()
    forge(remote, "bad", start(version), objects=[(object_id, data)])
    [why] = refused(bob, "bad")
    assert "is no value" in why


@pytest.mark.parametrize("most", [None, 0], ids=["kept as it comes", "too large to be kept"])
def test_a_large_object_that_is_no_value(bob, ana, remote, version, monkeypatch, most):
    if most is not None:
        monkeypatch.setattr(verified, "_MOST", most)
    bad = b"\xff" * 100
    bad_id = hashlib.sha256(bad).hexdigest()
    other = Repository.create(MemoryBlobs(), nonces(5))
    other.put_objects([(bad_id, bad)])
    remote.create(layout.object_key(bad_id), other.blobs.get(layout.object_key(bad_id)))
    forge(remote, "bad", start(version), Call(at=6, name="step", order=1, began=5, output=bad_id))
    [why] = refused(bob, "bad")
    assert "no value" in why
    assert not bob.blobs.exists(layout.object_key(bad_id))


def test_an_answer_whose_value_is_not_there(shared, bob):
    [key] = shared.keys("answers/bad")
    fields = {"value": "0" * 64, "by": "eve", "at": 5, "note": "", "nonce": "0" * 24, "source": "person"}
    overwrite(shared, key, names.pack(fields))
    refused(bob, key)
    assert not bob.repo.is_answered("bad")


def test_a_version_whose_code_is_not_there(shared, bob):
    key = layout.flow_key("other", 1)
    version, _ = value("gone")
    fields = {"id": version, "digest": "0" * 64, "at": 5, "by": "eve", "nonce": "0" * 24}
    overwrite(shared, key, names.pack(fields))
    refused(bob, key)
    assert bob.repo.versions("other") == []


def test_what_parts_from_a_run_is_named_as_it_must_be(ana, bob, remote):
    ana.run("good").run("bad").push()
    fields = {"number": 1, "segment": "0" * 64, "nonce": "0" * 24}
    overwrite(remote, layout.parted_key("good", "bad"), names.pack(fields))
    [why] = refused(bob, "parted/good/bad")
    assert "does not name the run that it stands for" in why


def test_a_damaged_name_does_not_stop_a_push(shared, bob, ana):
    flip(shared, "runs/bad/000001", 20)
    bob.run("mine", flow="third").push()
    bob.tracking.forget()
    pushed = bob.push()
    assert not pushed.runs
    ana.tracking.forget()
    pushed = ana.push()
    assert [left.what for left in pushed.refused] == ["runs/bad/000001"]
    assert isinstance(pushed.error(), Damaged)
    assert "bad" in ana.repo.run_ids()


def test_a_segment_of_ten_gigabytes_is_refused_by_its_name_and_all_else_is_checked(shared):
    key = segment_of(shared, "bad")
    overwrite(shared, key, b"")
    os.truncate(shared.root / key, 10 << 30)
    report = remote_check.check(shared)
    assert any("10737418240 bytes, where at most" in f"{finding}" for finding in report.findings)
    assert "good" not in "".join(map(str, report.findings))


def test_many_keys_that_no_store_makes_take_no_time_that_grows_with_their_square(ana, bob, remote):
    ana.run("good").push()
    junk = [f"runs/junk/{n}" for n in range(30_000)]
    pulled = bob.pull(remote=Listing(remote, *junk))
    assert len(pulled.refused) == 30_000
    assert bob.repo.run_ids() == ["good"]
