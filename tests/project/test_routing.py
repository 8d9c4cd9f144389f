"""Routes of a project: set, weighted, rolled back, removed, and what is said where that cannot be."""

import pytest

from kitaru.errors import Diverged, FlowNotFound, UsageError
from kitaru.store import layout
from kitaru.store.routes import Destination, RouteEntry, add_entry, point_of


@pytest.fixture
def project(bench):
    """A project with three versions of a flow, of which only the names and that they can be started matter here."""
    entry = {"module": "agent", "qualname": "agent", "file": "agent.py", "path": []}
    for n in range(1, 4):
        value = bench.project.values.encode({"n": n, "entry": entry, "files": {}}, frozenset(), "n")
        bench.project.repo.put_objects(value.objects)
        bench.project.repo.add_version("agent", id=value.id, digest=f"{n}" * 64, at=n, by="ann")
    return bench.project


def goes_to(project, route="stable"):
    return [d.n for entry in project.routes("agent") if entry.route == route for d in entry.to]


def test_a_route_is_moved_and_tells_by_whom(project):
    project.set_route("agent", "stable", "v1")
    project.set_route("agent", "stable", "latest", note="it is time")
    entry = project.route_log("agent", "stable")[-1]
    assert goes_to(project) == [3]
    assert (entry.n, entry.by, entry.note, entry.weights[0][1:]) == (2, "tester", "it is time", [3, 1])


def test_no_two_routes_look_the_same(project):
    composed, decomposed = "gr\u00f6\u00dfe", "gro\u0308\u00dfe"
    project.set_route("agent", composed, "v1")
    with pytest.raises(UsageError, match="a route cannot be called"):
        project.set_route("agent", decomposed, "v2")
    with pytest.raises(UsageError, match="names no flow version"):
        project.choose(f"agent@{decomposed}", "k")
    assert project.choose(f"agent@{composed}", "k").version.n == 1


def test_rolled_back_twice_it_goes_further_back(project):
    for name in ("v1", "v2", "v3"):
        project.set_route("agent", "stable", name)
    assert project.roll_back_route("agent", "stable").to[0].n == 2
    assert project.roll_back_route("agent", "stable").to[0].n == 1
    with pytest.raises(UsageError, match="nowhere to go back to"):
        project.roll_back_route("agent", "stable")
    assert project.roll_back_route("agent", "stable", to=3).back == 3
    assert goes_to(project) == [3]
    with pytest.raises(UsageError, match="no entry 9"):
        project.roll_back_route("agent", "stable", to=9)


def test_a_removed_route_is_gone_until_it_is_rolled_back(project):
    project.set_route("agent", "stable", "v2")
    project.remove_route("agent", "stable")
    assert project.routes("agent") == []
    with pytest.raises(UsageError, match=r"was removed by tester at 2026-"):
        project.choose("agent@stable", "k")
    with pytest.raises(UsageError, match="was removed"):
        project.remove_route("agent", "stable")
    project.roll_back_route("agent", "stable")
    assert goes_to(project) == [2]


def test_weights_send_one_key_always_the_same_way(project):
    project.set_route("agent", "stable", {"v1": 90, "v2": 10})
    found = {key: project.choose("agent@stable", key) for key in (f"order {n}" for n in range(300))}
    for key, choice in found.items():
        assert choice.version.n == (1 if point_of(key, 100) < 90 else 2)
        assert project.choose("agent@stable", key) == choice
        assert (choice.told["point"], choice.told["entry"]) == (point_of(key, 100), 1)
    assert {choice.version.n for choice in found.values()} == {1, 2}


def test_a_flow_alone_is_stable_or_without_routes_the_latest(project):
    assert (project.choose("agent", "k").version.n, project.choose("agent", "k").why) == (3, "latest")
    project.set_route("agent", "canary", "v2")
    with pytest.raises(UsageError, match="has routes, and none named stable") as caught:
        project.choose("agent", "k")
    assert caught.value.hint == "agent@canary or agent@latest"
    project.set_route("agent", "stable", "v1")
    assert (project.choose("agent", "k").version.n, project.choose("agent", "k").told["route"]) == (1, "stable")


def test_a_version_is_meant_by_its_id_and_called_by_the_number_it_has_here(project):
    first = project.repo.versions("agent")[0]
    elsewhere = Destination("ab" * 32, 7, 1)
    entry = RouteEntry("agent", "stable", 1, (Destination(first.id, 9, 1), elsewhere), 0, 5, "bo", "", "n1")
    assert add_entry(project.repo.blobs, entry)[0]
    assert [project.destination_name("agent", d) for d in entry.to] == ["v1", "v7?"]
    low = next(f"k{n}" for n in range(99) if point_of(f"k{n}", 2) == 0)
    high = next(f"k{n}" for n in range(99) if point_of(f"k{n}", 2) == 1)
    assert project.choose("agent@stable", low).version.n == 1
    with pytest.raises(UsageError, match=r"goes to v7 .*not in this store") as caught:
        project.choose("agent@stable", high)
    assert caught.value.hint == "kitaru pull"


def test_who_is_second_is_told_who_was_first(project, monkeypatch):
    project.set_route("agent", "stable", "v1")
    before = project.route_log("agent", "stable")
    project.set_route("agent", "stable", "v2")
    monkeypatch.setattr("kitaru.store.routes.route_log", lambda *_: before)  # what he saw a moment ago
    with pytest.raises(Diverged, match=r"route stable of agent was moved to v2 by tester at 2026-.* meanwhile"):
        project.set_route("agent", "stable", "v3")
    monkeypatch.undo()
    assert goes_to(project) == [2]


@pytest.mark.parametrize(
    ("flow_name", "route", "to", "error"),
    [
        ("agnt", "stable", "v1", FlowNotFound),
        ("agent", "stable", "v9", UsageError),
        ("agent", "stable", "canary", UsageError),
        ("agent", "latest", "v1", UsageError),
        ("agent", "v3", "v1", UsageError),
        ("agent", "a" * 1001, "v1", UsageError),
        ("agent", "a b", "v1", UsageError),
        ("agent", "stable", {}, UsageError),
        ("agent", "stable", {"v1": 0}, UsageError),
        ("agent", "stable", {"v3": 1, "latest": 2}, UsageError),
    ],
)
def test_what_cannot_be_changes_nothing(project, flow_name, route, to, error):
    with pytest.raises(error) as caught:
        project.set_route(flow_name, route, to)
    assert caught.value.hint
    assert project.repo.blobs.children(layout.ROUTES) == []


def test_a_note_that_no_name_can_hold_is_refused(project):
    with pytest.raises(UsageError, match="a note of"):
        project.set_route("agent", "stable", "v1", note="x" * 5000)
