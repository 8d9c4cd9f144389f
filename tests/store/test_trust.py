"""Trust: the last decision stands, the most specific counts, and what nobody decided about is not trusted."""

from __future__ import annotations

import itertools
import threading

import pytest

from kitaru.blobs import LocalBlobs, MemoryBlobs
from kitaru.errors import Damaged
from kitaru.store import Repository, layout, names
from kitaru.store.check import check
from kitaru.store.repair import repair
from kitaru.store.trust import FLOWS, REMOTES, VERSIONS, place, read_origin
from tests.store.faults import PowerLoss

V1, V2 = "1" * 64, "2" * 64
URL = "s3://team/store"


@pytest.fixture(params=["memory", "local"])
def repo(request, tmp_path):
    repo = Repository.create(MemoryBlobs() if request.param == "memory" else LocalBlobs(tmp_path))
    for n, version in enumerate((V1, V2), 1):
        repo.add_version("find/it", id=version, digest=str(n) * 64, at=n, by="ann")
    return repo


def decide(repo, kind, name, trusted=True, **more):
    return repo.trust.decide(kind, name, trusted=trusted, at=7, by="ann", **more)


def test_what_nobody_decided_about_is_not_trusted(repo):
    assert repo.trust.may_execute("find/it", V1) is False
    assert repo.trust.may_execute("never heard of", V1) is False
    assert not repo.trust.is_decided(V1)
    assert repo.trust.standing(VERSIONS, V1) is None
    assert repo.trust.decisions() == []


def test_a_version_is_trusted_for_itself(repo):
    made = decide(repo, VERSIONS, V1, what="find/it@v1", why="looked at it")
    assert repo.trust.may_execute("find/it", V1)
    assert not repo.trust.may_execute("find/it", V2)
    assert repo.trust.is_decided(V1)
    assert repo.trust.standing(VERSIONS, V1) == made == repo.trust.decisions()[0]
    assert (made.n, made.trusted, made.by, made.at, made.what) == (1, True, "ann", 7, "find/it@v1")


def test_the_last_decision_stands_and_repeating_it_adds_nothing(repo):
    for trusted in (True, True, False, False, True):
        assert decide(repo, VERSIONS, V1, trusted).trusted is trusted
        assert repo.trust.may_execute("find/it", V1) is trusted
    assert repo.trust.standing(VERSIONS, V1).n == 3
    assert len(list(repo.blobs.keys(layout.TRUST))) == 3


def test_a_flow_is_trusted_with_what_is_a_version_of_it_now_or_later(repo):
    decide(repo, FLOWS, "find/it")
    assert repo.trust.may_execute("find/it", V1)
    later = "3" * 64
    assert not repo.trust.may_execute("find/it", later), "a run may say that anything is a version of a flow"
    repo.add_version("find/it", id=later, digest="3" * 64, at=3, by="eve")
    assert repo.trust.may_execute("find/it", later)
    assert not repo.trust.may_execute("other", V1)


def test_a_remote_is_trusted_by_its_place_and_not_by_its_name(repo):
    repo.trust.came_from([V1], "team", URL, 5)
    decide(repo, REMOTES, URL, what="team")
    assert repo.trust.may_execute("find/it", V1)
    assert not repo.trust.may_execute("find/it", V2)
    repo.trust.came_from([V2], "team", "s3://elsewhere", 6)
    assert not repo.trust.may_execute("find/it", V2)


def test_a_version_can_come_from_several_remotes(repo):
    repo.trust.came_from([V1, V2], "team", URL, 5)
    repo.trust.came_from([V1], "other", "/srv/other", 4)
    repo.trust.came_from([V1], "team again", URL, 9)
    assert [(o.remote, o.url, o.at) for o in repo.trust.origins(V1)] == [("other", "/srv/other", 4), ("team", URL, 5)]
    assert [o.remote for o in repo.trust.origins(V2)] == ["team"]
    assert repo.trust.origins("4" * 64) == []


@pytest.mark.parametrize(
    ("version", "flow", "remote", "may"),
    [
        (True, False, False, True),
        (False, True, True, False),
        (None, True, False, True),
        (None, False, True, False),
        (None, None, True, True),
        (None, None, False, False),
        (True, None, None, True),
    ],
)
def test_the_most_specific_decision_counts(repo, version, flow, remote, may):
    repo.trust.came_from([V1], "team", URL, 5)
    for kind, name, trusted in ((VERSIONS, V1, version), (FLOWS, "find/it", flow), (REMOTES, URL, remote)):
        if trusted is not None:
            decide(repo, kind, name, trusted)
    assert repo.trust.may_execute("find/it", V1) is may


def test_decisions_are_listed_by_kind_as_they_stand(repo):
    decide(repo, REMOTES, URL)
    decide(repo, FLOWS, "Find it/" + "x" * 300)
    decide(repo, VERSIONS, V2)
    decide(repo, VERSIONS, V2, trusted=False)
    found = [(d.kind, d.name, d.trusted) for d in repo.trust.decisions()]
    assert found == [(VERSIONS, V2, False), (FLOWS, "Find it/" + "x" * 300, True), (REMOTES, URL, True)]


def test_of_two_who_decide_at_once_both_are_in_the_log(repo):
    barrier = threading.Barrier(2)
    decide(repo, VERSIONS, V1, trusted=False)

    def give(trusted):
        barrier.wait()
        for _ in range(5):
            decide(repo, VERSIONS, V1, trusted)

    threads = [threading.Thread(target=give, args=(trusted,)) for trusted in (True, False)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    keys = sorted(repo.blobs.keys(layout.trust_key(VERSIONS, V1)))
    assert [layout.number_of(key.rpartition("/")[2]) for key in keys] == list(range(1, len(keys) + 1))
    logged = [repo.trust._read(VERSIONS, V1, n).trusted for n in range(1, len(keys) + 1)]
    assert all(a is not b for a, b in itertools.pairwise(logged))


def test_a_damaged_decision_is_told_and_trusts_nothing(repo):
    key = layout.trust_key(VERSIONS, V1, 1)
    repo.blobs.create(key, b'{"trusted":true}\n')
    with pytest.raises(Damaged, match="000001"):
        repo.trust.may_execute("find/it", V1)


def test_an_origin_that_is_not_where_it_belongs_is_damage(repo):
    repo.trust.came_from([V1], "team", URL, 5)
    (key,) = repo.blobs.keys(f"{layout.TRUST}/origins")
    moved = key.replace(V1, V2)
    repo.blobs.create(moved, repo.blobs.get(key))
    assert read_origin(repo.blobs, key).version == V1
    with pytest.raises(Damaged, match="not the name of what it says"):
        repo.trust.may_execute("find/it", V2)


def damage(repo, key):
    repo.blobs.delete(key)
    repo.blobs.create(key, b'{"trusted":true}\n')


def test_repair_of_a_damaged_decision_trusts_nothing(repo):
    for trusted in (True, False):
        decide(repo, VERSIONS, V1, trusted)
    assert check(repo).is_clean is False, "the versions' values are not there"
    before = {f.where for f in check(repo).findings}
    damage(repo, layout.trust_key(VERSIONS, V1, 2))
    repo.blobs.create(f"{layout.TRUST}/nonsense", b"x")
    told = {f.where for f in check(repo).findings} - before
    assert told == {repo.blobs.where(layout.trust_key(VERSIONS, V1, 2)), repo.blobs.where(f"{layout.TRUST}/nonsense")}
    repair(repo, nonce=lambda: "n", now=9)
    assert {f.where for f in check(repo).findings if f.severity == "damage"} == before
    standing = repo.trust.standing(VERSIONS, V1)
    assert (standing.n, standing.trusted, standing.why) == (3, False, "the log was damaged")
    assert decide(repo, VERSIONS, V1).n == 4


def test_doubt_is_the_last_word_whichever_entry_was_damaged(repo):
    for trusted in (True, False, True):
        decide(repo, VERSIONS, V1, trusted)
    damage(repo, layout.trust_key(VERSIONS, V1, 1))
    repair(repo, nonce=lambda: "n", now=9)
    standing = repo.trust.standing(VERSIONS, V1)
    assert (standing.n, standing.trusted) == (4, False)


def test_a_decision_about_what_none_can_be_about_is_damage(repo):
    decide(repo, VERSIONS, V1)
    data = repo.blobs.get(layout.trust_key(VERSIONS, V1, 1))
    repo.blobs.create(f"{layout.TRUST}/strangers/{V1}/000001", data)
    assert [key for key, _ in repo.trust.damaged()] == [f"{layout.TRUST}/strangers/{V1}/000001"]


def test_a_name_that_a_repair_puts_aside_meanwhile_is_no_damage(repo, monkeypatch):
    decide(repo, VERSIONS, V1)
    keys = list(repo.blobs.keys(layout.TRUST))
    monkeypatch.setattr(repo.blobs, "keys", lambda directory: iter(keys))
    repo.blobs.delete(keys[0])
    assert repo.trust.damaged() == []


def test_the_same_url_on_another_server_is_another_place():
    assert place({"url": URL}) == URL
    assert place({"url": URL, "endpoint-url": "http://here"}) != place({"url": URL, "endpoint-url": "http://there"})


def test_what_was_decided_and_where_it_came_from_outlast_a_power_failure(tmp_path):
    files = PowerLoss()
    trust = Repository.create(LocalBlobs(tmp_path, True, files=files)).trust
    key = layout.trust_key(VERSIONS, V1, 1)
    said = {"trusted": True, "what": "", "why": "", "by": "ann", "at": 7}
    trust._blobs.stage(key, names.pack(said))  # by somebody who is not done yet
    assert trust.decide(VERSIONS, V1, trusted=True, at=8, by="bob").by == "ann"
    trust.came_from([V1, V2], "team", URL, 5)
    files.fail_power()
    assert trust.standing(VERSIONS, V1).trusted
    assert [len(trust.origins(version)) for version in (V1, V2)] == [1, 1]


def test_repair_of_a_damaged_origin_forgets_it(repo):
    repo.trust.came_from([V1], "team", URL, 5)
    decide(repo, REMOTES, URL)
    (key,) = repo.blobs.keys(f"{layout.TRUST}/origins")
    damage(repo, key)
    repair(repo, nonce=lambda: "n", now=9)
    assert repo.trust.damaged() == []
    assert repo.trust.may_execute("find/it", V1) is False
