"""How flow versions are named, and what a name leads to."""

from __future__ import annotations

import pytest

from kitaru.errors import FlowNotFound, UsageError
from kitaru.project.targets import FlowTarget, find_version, is_route_name, names_version, parse_flow_target
from kitaru.store.routes import Destination, RouteEntry, add_entry
from kitaru.testing import memory_project


@pytest.fixture
def repo(tmp_path):
    repo = memory_project(tmp_path).repo
    for n in range(3):
        repo.add_version("agent", id=f"{n}" * 64, digest=f"d{n}", at=n, by="ana")
    return repo


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("agent", FlowTarget("agent")),
        ("agent@v3", FlowTarget("agent", 3)),
        ("agent@latest", FlowTarget("agent", latest=True)),
        ("agent@stable", FlowTarget("agent", route="stable")),
        ("team:agent@v12", FlowTarget("team:agent", 12)),
        ("a@b@v3", FlowTarget("a@b", 3)),
        ("agent@größer", FlowTarget("agent", route="größer")),
    ],
)
def test_a_name_is_parsed_and_written_the_same(text, target):
    assert parse_flow_target(text) == target
    assert str(target) == text


def test_only_a_flow_is_bare():
    found = [parse_flow_target(text).bare for text in ("f", "f@v1", "f@latest", "f@stable")]
    assert found == [True, False, False, False]


@pytest.mark.parametrize(
    "text", ["", "@", "@v1", "agent@", "agent@v0", "agent@v01", "agent@3", "agent@V3", "a@b c", "a@b:c", "a@b/c"]
)
def test_anything_else_is_refused(text):
    with pytest.raises(UsageError, match="names no flow version"):
        parse_flow_target(text)


@pytest.mark.parametrize("name", ["", "latest", "v1", "V1", "7", "a b", "a@b", "a:b", "a/b", "a\x1b", "a*"])
def test_a_route_cannot_be_called_like_a_version(name):
    assert not is_route_name(name)


def test_a_run_is_no_version():
    assert [names_version(text) for text in ("@", "@~2", "@:plan", "abc:plan", "abc")] == [False] * 5


@pytest.mark.parametrize(("text", "n"), [("agent", 3), ("agent@latest", 3), ("agent@v1", 1), ("agent@v3", 3)])
def test_a_name_leads_to_a_version(repo, text, n):
    assert find_version(repo, text).n == n


@pytest.mark.parametrize(
    ("text", "error", "told", "hint"),
    [
        ("agent@v9", UsageError, "flow agent has no version v9", "v1 to v3"),
        ("agnet@v1", FlowNotFound, "nothing is recorded of a flow 'agnet'", "agent"),
        ("x" * 2000, FlowNotFound, "nothing is recorded", "agent"),
        ("agent@canary", UsageError, "flow agent has no route 'canary'", "kitaru"),
    ],
)
def test_a_name_that_leads_nowhere_says_what_there_is(repo, text, error, told, hint):
    with pytest.raises(error, match=told) as caught:
        find_version(repo, text)
    assert hint in caught.value.hint


def test_a_route_to_several_versions_tells_the_numbers_that_they_have_now(repo):
    """Each version was given another number since the route was set, as where two stores met."""
    to = (Destination("1" * 64, 3, 1), Destination("2" * 64, 1, 1))
    add_entry(repo.blobs, RouteEntry("agent", "stable", 1, to, 0, 1, "ana", "", "n"))
    with pytest.raises(UsageError, match="goes to v2 and v3: which is meant") as refused:
        find_version(repo, parse_flow_target("agent@stable"))
    assert refused.value.hint == "agent@v2"
