"""A pack gives back what was put in, and says where it is damaged."""

from __future__ import annotations

import hashlib
import struct
import zlib

import pytest

from kitaru.errors import Damaged
from kitaru.store.pack import Pack, build

PARTS = [(hashlib.sha256(data).hexdigest(), data) for data in (b"x" * n for n in (900, 0, 3, 2_000_000, 77))]
WHOLE = b"".join(build(PARTS))


def test_what_was_put_in():
    pack = Pack(WHOLE, "somewhere")
    assert len(pack) == 5
    assert pack.size == len(WHOLE)
    assert sorted(pack) == sorted(segment for segment, _ in PARTS)
    assert [segment for segment, _, length in pack.in_order() if length] == [s for s, data in PARTS if data]
    assert list(Pack(lying([(0, 8, 4)]), "x")) == ["00" * 32]
    for segment, data in PARTS:
        assert pack.segment(segment) == data
    for other in ("0" * 64, "f" * 64, hashlib.sha256(b"another").hexdigest()):
        assert pack.find(other) is pack.segment(other) is None


def test_it_comes_in_pieces():
    pieces = list(build(PARTS))
    assert len(pieces) == 2
    assert b"".join(build([])) == b"".join(build([]))
    assert list(Pack(b"".join(build([])), "x")) == []


def test_every_damage_of_the_index_is_told():
    begin = WHOLE.rindex(b"KTPACKI1")
    for at in [*range(8), *range(begin, len(WHOLE))]:
        with pytest.raises(Damaged, match=r"somewhere: .* at offset"):
            Pack(WHOLE[:at] + bytes([WHOLE[at] ^ 4]) + WHOLE[at + 1 :], "somewhere")
    for cut in (0, 7, 20, len(WHOLE) - 1):
        with pytest.raises(Damaged):
            Pack(WHOLE[:cut], "somewhere")


def lying(places):
    """Return a pack of 4 bytes with this index (hash's last byte, offset, length), its checksums right."""
    body = b"KTPACKI1" + b"".join(bytes(31) + bytes([p[0]]) for p in places)
    body += b"".join(struct.pack("<QQ", *p[1:]) for p in places)
    head = struct.pack("<QII", 12, len(places), zlib.crc32(body))
    return b"KITARUP1" + b"abcd" + body + head + struct.pack("<I8s", zlib.crc32(head), b"KITARUQ1")


@pytest.mark.parametrize("place", [(0, 8), (8, 1 << 40), (1 << 63, 1 << 63), (7, 2)])
def test_a_place_outside_is_refused(place):
    pack = Pack(lying([(0, *place)]), "somewhere")
    with pytest.raises(Damaged, match="points outside"):
        pack.segment("0" * 64)
    with pytest.raises(Damaged, match="points outside"):
        pack.in_order()


@pytest.mark.parametrize(
    "places",
    [
        [(0, 8, 3)],
        [(0, 9, 3)],
        [(0, 8, 4), (1, 8, 4)],
        [(0, 8, 2), (1, 9, 3)],
        [(0, 8, 2), (0, 10, 2)],
        [],
        [(n, 8, 4) for n in range(200)],
    ],
)
def test_bytes_that_stand_for_several_segments_or_none(places):
    with pytest.raises(Damaged, match="the index at offset 12"):
        list(Pack(lying(places), "somewhere"))


def test_a_count_that_lies_costs_nothing():
    head = struct.pack("<QII", 8, 0xFFFFFFFF, 0)
    data = b"KITARUP1" + head + struct.pack("<I8s", zlib.crc32(head), b"KITARUQ1")
    with pytest.raises(Damaged):
        Pack(data, "somewhere")
