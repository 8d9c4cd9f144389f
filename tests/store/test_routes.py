"""Routes as a log of write-once names: reading it, rollback, and which version a key leads to."""

import hashlib

import pytest

from kitaru.blobs.memory import MemoryBlobs
from kitaru.errors import Damaged
from kitaru.store import layout
from kitaru.store.names import pack
from kitaru.store.routes import (
    Destination,
    RouteEntry,
    add_entry,
    destination_at,
    entry_before,
    flows_with_routes,
    last_entry,
    point_of,
    route_log,
    route_names,
)

IDS = ["0" + str(n) * 63 for n in range(1, 10)]


def entry(n, *versions, back=0, nonce="aa", route="stable"):
    to = tuple(Destination(IDS[v], v, 1) for v in versions)
    return RouteEntry("agent", route, n, to, back, 1000 + n, "ann", "", nonce)


def log(*entries):
    return [entry(n, *to, back=back) for n, (*to, back) in enumerate(entries, 1)]


def test_an_entry_is_read_as_it_was_written():
    blobs = MemoryBlobs()
    long = "a flow of a very long name, " * 9
    put = RouteEntry(
        long, "Ä stable", 1, (Destination(IDS[3], 3, 90), Destination(IDS[4], 4, 10)), 0, 7, "bo", "why", "n"
    )
    assert add_entry(blobs, put) == (True, put)
    assert last_entry(blobs, long, "Ä stable") == put
    assert (flows_with_routes(blobs), route_names(blobs, long)) == ([long], ["Ä stable"])
    assert last_entry(blobs, long, "other") is None


def test_the_second_at_a_number_is_told_who_was_first():
    blobs = MemoryBlobs()
    first, second = entry(1, 1, nonce="aa"), entry(1, 2, nonce="bb")
    assert add_entry(blobs, first) == (True, first)
    assert add_entry(blobs, second) == (False, first)
    assert add_entry(blobs, first) == (True, first)


@pytest.mark.parametrize(
    ("entries", "before"),
    [
        ([(1, 0)], None),
        ([(1, 0), (2, 0)], 1),
        ([(1, 0), (2, 0), (3, 0), (2, 2)], 1),  # rolled back twice: further back
        ([(1, 0), (2, 0), (3, 0), (2, 2), (1, 1)], None),
        ([(1, 0), (2, 0), (1, 1), (3, 0)], 1),  # not to what was rolled back before
        ([(1, 0), (2, 0), (1, 1), (3, 0), (1, 1)], None),
        ([(1, 0), (2, 0), (2, 0)], 1),  # what says the same is passed over
        ([(1, 0), (0,)], 1),  # a removal is undone
        ([(1, 0), (0,), (2, 0)], 1),  # and is nothing to go back to
        ([(0,)], None),
    ],
)
def test_a_rollback_goes_to_what_held_before(entries, before):
    found = entry_before(log(*entries))
    assert (found and found.to[0].n) == before


def test_a_key_falls_where_its_hash_says():
    digest = hashlib.sha256(b"order 17").digest()
    assert point_of("order 17", 100) == int.from_bytes(digest[:8], "big") * 100 // 2**64
    assert {point_of(f"key {n}", 10) for n in range(400)} == set(range(10))
    for n in range(100):  # nine to one, whatever it is counted in
        assert (point_of(f"key {n}", 10) < 9) == (point_of(f"key {n}", 100) < 90)


def test_a_point_lies_in_the_share_of_one_destination():
    to = (Destination(IDS[1], 1, 2), Destination(IDS[2], 2, 3))
    assert [destination_at(to, point).n for point in range(5)] == [1, 1, 2, 2, 2]


@pytest.mark.parametrize(
    ("to", "back"),
    [
        ([["no id", 1, 1]], 0),
        ([[IDS[1], 1]], 0),
        ([[IDS[1], 0, 1]], 0),
        ([[IDS[1], 1, 0]], 0),
        ([[IDS[1], 1, True]], 0),
        ([[IDS[1], 1, 10**9]], 0),
        ([IDS[1]], 0),
        ([], 1),
        ([], -1),
        ([[IDS[1], 1, 1]] * 101, 0),
    ],
)
def test_an_entry_that_none_of_ours_wrote_is_damage(to, back):
    blobs = MemoryBlobs()
    fields = {"to": to, "back": back, "at": 1, "by": "", "note": "", "nonce": "n"}
    blobs.create(layout.route_key("agent", "stable", 1), pack(fields))
    with pytest.raises(Damaged):
        last_entry(blobs, "agent", "stable")


@pytest.mark.parametrize("name", ["000002", "one", "1"])
def test_a_gap_in_the_log_is_damage(name):
    blobs = MemoryBlobs()
    fields = {"to": [[IDS[1], 1, 1]], "back": 0, "at": 1, "by": "", "note": "", "nonce": "n"}
    blobs.create(f"{layout.route_key('agent', 'stable')}/{name}", pack(fields))
    with pytest.raises(Damaged, match="is missing" if name == "000002" else "not a number"):
        route_log(blobs, "agent", "stable")
