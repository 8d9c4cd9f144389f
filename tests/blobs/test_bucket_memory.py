"""What a bucket's threads have in memory at once is bounded, whatever they send and fetch."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from kitaru.blobs.bucket import transfers
from kitaru.blobs.bucket.room import Room


class Watched(Room):
    """Room that knows how much of it was ever taken at once."""

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self.most = 0

    @property
    def used(self) -> int:
        return self._size - self._free

    def _note(self) -> None:
        self.most = max(self.most, self.used)

    def tried(self, size: int) -> bool:
        found = super().tried(size)
        self._note()
        return found


def test_who_comes_when_all_is_taken_waits():
    room, inside, order = Room(10), threading.Event(), []

    def second() -> None:
        inside.wait()
        with room.taken(5):
            order.append("second")

    thread = threading.Thread(target=second)
    thread.start()
    with room.taken(6):
        inside.set()
        assert room.tried(4)
        assert not room.tried(1)
        order.append("first")
        room.give_back(4)
    thread.join()
    assert order == ["first", "second"]
    assert room.tried(10)


def test_what_is_larger_than_all_room_has_it_alone():
    room = Room(10)
    with room.taken(99):
        assert not room.tried(1)
    assert room.tried(10)


def test_a_failure_gives_room_back():
    room = Room(10)
    with pytest.raises(KeyError), room.taken(10):
        raise KeyError
    assert room.tried(10)


@pytest.mark.parametrize("size", [0, 1, transfers.PART_BYTES, transfers.PART_BYTES + 1, 2 * transfers.PART_BYTES])
def test_parts_are_the_content(size):
    content = (bytes(range(251)) * (size // 251 + 1))[:size]
    pieces = [content[at : at + 1_000_003] for at in range(0, size, 1_000_003)]
    for data in content, memoryview(content), iter(pieces):
        parts = list(transfers.parts(data))
        assert b"".join(parts) == content
        assert {len(part) for part in parts[:-1]} <= {transfers.PART_BYTES}
        assert all(parts)


def test_a_piece_that_is_a_part_is_not_copied():
    content = bytes(transfers.PART_BYTES)
    whole, rest = transfers.parts(iter([memoryview(content), b"rest"]))
    assert isinstance(whole, memoryview)
    assert whole.obj is content
    assert rest == b"rest"


def test_a_piece_that_may_change_is_copied():
    """Whoever makes pieces may fill the same memory again, while the part is still under way."""
    memory = bytearray(transfers.PART_BYTES)

    def filled():
        for value in b"12":
            memory[:] = bytes([value]) * len(memory)
            yield memory

    assert [bytes(part[:1]) for part in list(transfers.parts(filled()))] == [b"1", b"2"]


def test_many_at_once_share_the_room_there_is(s3_remote, monkeypatch):
    """Little room, parts of little bytes, and more threads than fit: all that is sent comes back whole."""
    monkeypatch.setattr(transfers, "PART_BYTES", 5 << 20)  # SeaweedFS takes no smaller ones
    monkeypatch.setattr(transfers, "RANGE_BYTES", 1 << 20)
    blobs = s3_remote().open()
    room = Watched(11 << 20)
    monkeypatch.setattr(type(blobs._connection), "room", room)
    contents = {f"objects/{n}": bytes([n]) * (6 << 20) for n in range(4)}
    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(lambda key: blobs.create(key, memoryview(contents[key])), contents))
        found = dict(zip(contents, pool.map(lambda key: b"".join(blobs.chunks(key)), contents), strict=True))
    assert found == contents
    assert 0 < room.most <= 11 << 20
    assert room.used == 0
