"""Write-once names: the first wins, whoever meets his own nonce has won, and nothing unwritten is believed."""

from __future__ import annotations

import threading

import pytest

from kitaru.blobs import LocalBlobs, MemoryBlobs
from kitaru.errors import Damaged, StoreError, UnknownRun
from kitaru.store import Repository, layout, names
from tests.store.samples import fill, nonces, start

WAIT = "ab" * 32


@pytest.fixture(params=["memory", "local"])
def repo(request, tmp_path):
    return Repository.create(MemoryBlobs() if request.param == "memory" else LocalBlobs(tmp_path))


def test_the_first_answer_stands(repo):
    assert repo.answer("abc", WAIT) is None
    won, mine = repo.put_answer("abc", WAIT, value="v1", by="ann", at=1, note="fine")
    assert won
    lost, standing = repo.put_answer("abc", WAIT, value="v2", by="bob", at=2, note="")
    assert not lost
    assert standing == mine == repo.answer("abc", WAIT) == repo.answer("abc", WAIT, settle=True)
    assert (standing.by, standing.at, standing.value, standing.note) == ("ann", 1, "v1", "fine")


def test_what_time_or_a_refusal_settled_is_a_name_like_an_answer(repo):
    _, mine = repo.put_answer("abc", WAIT, value="v1", by="", at=1, source="default")
    assert repo.answer("abc", WAIT) == mine
    assert mine.source == "default"
    assert b"source" in repo.blobs.get(f"answers/abc/{WAIT}")
    won, standing = repo.put_answer("abc", WAIT, value="v2", by="ann", at=2)
    assert (won, standing) == (False, mine)
    repo.put_answer("abd", WAIT, value="v2", by="ann", at=2)
    assert b"source" not in repo.blobs.get(f"answers/abd/{WAIT}")
    assert repo.answer("abd", WAIT).source == "person"


def test_of_many_answers_at_once_one_stands(repo):
    outcomes = []
    barrier = threading.Barrier(8)

    def give(n):
        barrier.wait()
        outcomes.append((n, *repo.put_answer("abc", WAIT, value=f"v{n}", by=f"p{n}", at=n)))

    threads = [threading.Thread(target=give, args=(n,)) for n in range(8)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    (winner,) = [n for n, won, _ in outcomes if won]
    assert {standing.by for _, _, standing in outcomes} == {f"p{winner}"}


def test_whoever_meets_his_own_nonce_has_won(repo):
    again = Repository(repo.blobs, nonces(7)), Repository(repo.blobs, nonces(7))
    for repeated in again:
        won, _ = repeated.put_answer("abc", WAIT, value="v", by="ann", at=1)
        assert won


def test_versions_are_numbered(repo):
    assert repo.versions("Demo/flow") == []
    one = repo.add_version("Demo/flow", id="i1", digest="d1", at=1, by="ann")
    two = repo.add_version("Demo/flow", id="i2", digest="d2", at=2, by="bob")
    assert (one.n, two.n) == (1, 2)
    assert repo.versions("Demo/flow") == [one, two]
    repo.add_version("x" * 450, id="i", digest="d", at=1, by="")
    repo.add_version("x" * 200, id="i", digest="d", at=1, by="")
    repo.add_version("000001", id="i", digest="d", at=1, by="")
    assert repo.flows() == sorted(["Demo/flow", "x" * 450, "x" * 200, "000001"])
    assert [v.n for v in repo.versions("x" * 200)] == [1]


def test_versions_added_at_once_each_get_a_number(repo):
    barrier = threading.Barrier(6)
    added = []

    def add(n):
        barrier.wait()
        added.append(repo.add_version("f", id=f"i{n}", digest=f"d{n // 2}", at=n, by=""))

    threads = [threading.Thread(target=add, args=(n,)) for n in range(6)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    standing = repo.versions("f")
    assert [v.n for v in standing] == list(range(1, len(standing) + 1))
    assert {v.digest for v in standing} == {"d0", "d1", "d2"}
    assert all(v in standing for v in added)


def test_a_version_that_another_process_added_meanwhile_is_not_added_again(repo):
    """Who looked before it was there finds it when he comes to add his own."""
    first = repo.add_version("f", id="i1", digest="d1", at=1, by="ann")
    repo.add_version("f", id="i2", digest="d2", at=2, by="ann")
    assert repo.add_version("f", id="other", digest="d1", at=3, by="bob") == first
    assert [v.n for v in repo.versions("f")] == [1, 2]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{}",
        b"null",
        b"[" * 10_000,
        b"\xff\xfe",
        b'{"at":1,"by":"x","nonce":"n","note":"","value":7}\n',
        b'{"at":true,"by":"x","nonce":"n","note":"","value":"v"}\n',
        b'{"at":1,"by":"x","extra":1,"nonce":"n","note":"","value":"v"}\n',
        b'{"at": 1, "by": "x", "nonce": "n", "note": "", "value": "v"}\n',
        b'{"at":1,"by":"x","check":"0123456789abcdef","nonce":"n","note":"","value":"v"}\n',
        b'{"at":1,"by":"x","nonce":"n","note":"","value":"v"}\n',
        b" " * (names.MAX_NAME + 1),
    ],
)
def test_what_is_no_name_is_damage(repo, content):
    repo.blobs.create(f"answers/abc/{WAIT}", content)
    with pytest.raises(Damaged):
        repo.answer("abc", WAIT)
    with pytest.raises(Damaged):
        repo.put_answer("abc", WAIT, value="v", by="", at=1)


def test_a_segment_name_that_leads_elsewhere_is_damage(repo):
    fill(repo)
    repo.blobs.create("runs/abc/000002", names.pack({"segment": "../../../etc/passwd", "nonce": "n"}))
    with pytest.raises(Damaged, match="names no segment"):
        repo.records("abc")


def test_a_number_that_is_none_is_damage(repo):
    fill(repo)
    repo.blobs.create("runs/abc/2", names.pack({"segment": "0" * 64, "nonce": "n"}))
    with pytest.raises(Damaged, match="not a number"):
        repo.records("abc")


def test_the_first_request_to_cancel_stands(repo):
    assert repo.cancellation("abc") is None
    assert not repo.is_cancellation_there("abc")
    won, mine = repo.put_cancellation("abc", by="ann", at=1, reason="too dear")
    lost, standing = repo.put_cancellation("abc", by="bob", at=2, reason="")
    assert (won, lost) == (True, False)
    assert standing == mine == repo.cancellation("abc") == repo.cancellation("abc", settle=True)
    assert (standing.by, standing.at, standing.reason) == ("ann", 1, "too dear")
    assert repo.is_cancellation_there("abc")


@pytest.mark.parametrize("key", ["order 17", "", "\ud800", "a" * 5000, "../x"])
def test_the_first_run_of_a_key_stands(repo, key):
    assert repo.start_key("Demo/flow", key) is None
    assert repo.put_start_key("Demo/flow", key, "one", by="ann", at=1)[0]
    won, standing = repo.put_start_key("Demo/flow", key, "two", by="bob", at=2)
    assert not won
    assert (standing.run, standing.by) == ("one", "ann")
    assert repo.start_key("Demo/flow", key) == standing
    assert repo.start_key("Demo", key) is None
    assert repo.start_key("Demo/flow", key + "x") is None


def test_a_run_of_which_nothing_was_recorded_is_begun_again(repo):
    """A key's run may die right after its journal was made: who comes with the key begins it under the same id."""
    with repo.begin("abc") as writer:
        writer.announce()
        repo.blobs.create("open/abc/left", b"half a hea")
    with repo.begin("abc") as writer:
        assert "10 bytes" in writer.tail
        writer.commit(start())
    assert len(repo.records("abc")) == 1
    with pytest.raises(StoreError, match="there is a run abc already"):
        repo.begin("abc")
    assert not repo.is_held("abc")


@pytest.mark.parametrize("run", ["", "x" * 201])
def test_a_key_that_names_what_can_be_no_run(tmp_path, run):
    blobs = LocalBlobs(tmp_path)
    key = layout.start_key("demo", names.key_digest("k"))
    blobs.create(key, names.pack({"run": run, "by": "eve", "at": 1, "nonce": "0" * 24}))
    with pytest.raises(Damaged, match="names no run"):
        names.start_key(blobs, "demo", "k")
    with pytest.raises(UnknownRun):
        Repository.create(blobs).records(run)
