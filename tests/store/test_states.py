"""From records to state, across branches that nobody vouches for."""

from __future__ import annotations

import pytest

from kitaru.blobs.memory import MemoryBlobs
from kitaru.errors import Damaged
from kitaru.store.repository import Repository
from kitaru.store.states import run_state
from tests.store.samples import call, nonces, start


@pytest.fixture
def repo():
    return Repository.create(MemoryBlobs(), nonces())


def branch(repo, run, source):
    with repo.begin(run) as writer:
        record = start()
        record.source = source
        writer.commit(record)
        return writer.commit(call(9)).id


def test_a_branch_shares_what_its_source_had_when_it_branched(repo):
    with repo.begin("source") as writer:
        writer.commit(start())
        head = writer.commit(call(1)).id
        writer.commit(call(2))
    branch(repo, "branch", {"run": "source", "head": head, "cut": None})
    state, runs = run_state(repo, "branch")
    assert list(state.calls) == [1, 9]
    assert runs == ["branch", "source"]


@pytest.mark.parametrize("source", [{}, {"run": "source"}, {"head": "0" * 64}, {"run": 3, "head": None}])
def test_a_source_that_names_no_run_is_damage(repo, source):
    branch(repo, "branch", source)
    with pytest.raises(Damaged, match="does not say which record of which run"):
        run_state(repo, "branch")


def test_a_record_that_the_source_does_not_have_is_damage(repo):
    head = branch(repo, "source", None)
    branch(repo, "branch", {"run": "source", "head": head[::-1], "cut": None})
    with pytest.raises(Damaged, match="which its source does not have"):
        run_state(repo, "branch")


def test_branches_without_end_are_damage(repo, monkeypatch):
    monkeypatch.setattr("kitaru.store.states.MAX_BRANCH_DEPTH", 3)
    head = branch(repo, "run0", None)
    for n in range(1, 6):
        head = branch(repo, f"run{n}", {"run": f"run{n - 1}", "head": head, "cut": None})
    run_state(repo, "run3")
    with pytest.raises(Damaged, match="branches of branches"):
        run_state(repo, "run5")
