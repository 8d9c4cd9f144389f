"""Numbers of flow versions that two stores gave: the remote's stay, ours give way, whatever it is cut short at."""

from __future__ import annotations

import pytest

from kitaru.blobs import LocalBlobs
from kitaru.store import Repository, layout, names
from kitaru.store.sync import numbering
from tests.store.faults import PowerLoss
from tests.store.samples import nonces


def version(code):
    return names.pack({"id": code * 64, "digest": code * 64, "at": 1, "by": "ann", "nonce": "n"})


def store(place, codes, files=None):
    repo = Repository.create(LocalBlobs(place, files is not None, files=files, random_bytes=nonces(1)), nonces(2))
    for number, code in enumerate(codes, 1):
        repo.blobs.create(layout.flow_key("demo", number), version(code))
    return repo


def numbered(codes):
    return {number: version(code) for number, code in enumerate(codes, 1)}


def here(repo):
    return {name.n: name.id[0] for name in repo.versions("demo")}


@pytest.mark.parametrize(
    ("ours", "theirs", "then"),
    [
        ("", "ab", {1: "a", 2: "b"}),
        ("ab", "ab", {1: "a", 2: "b"}),
        ("ac", "ab", {1: "a", 2: "b", 3: "c"}),
        ("c", "abd", {1: "a", 2: "b", 3: "d", 4: "c"}),
        ("ba", "ab", {1: "a", 2: "b"}),
        ("cde", "a", {1: "a", 2: "d", 3: "e", 4: "c"}),
        ("cde", "ab", {1: "a", 2: "b", 3: "e", 4: "c", 5: "d"}),
    ],
)
def test_theirs_keep_their_numbers_and_ours_get_free_ones(tmp_path, ours, theirs, then):
    repo = store(tmp_path, ours)
    moved = numbering.fit(repo, "demo", numbered(theirs))
    assert here(repo) == then
    assert {version.id[0]: version.n for version in moved}.items() <= {c: n for n, c in then.items()}.items()
    assert numbering.fit(repo, "demo", numbered(theirs)) == []


def test_one_that_got_its_new_number_before_gets_no_second_one(tmp_path):
    """Whoever moved it was killed before it lost the old one."""
    repo = store(tmp_path, "acxc")
    numbering.fit(repo, "demo", numbered("ab"))
    assert here(repo) == {1: "a", 2: "b", 3: "x", 4: "c"}


def test_the_numbers_outlast_a_power_failure(tmp_path):
    files = PowerLoss()
    repo = store(tmp_path, "ac", files)
    numbering.fit(repo, "demo", numbered("ab"))
    files.fail_power()
    assert here(repo) == {1: "a", 2: "b", 3: "c"}
