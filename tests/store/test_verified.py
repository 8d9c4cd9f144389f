"""A large object that streams by: whole or refused, and what it names is known without reading it again."""

from __future__ import annotations

import hashlib
import random

import pytest

from kitaru.blobs import MemoryBlobs
from kitaru.errors import Damaged
from kitaru.model.encoding import references
from kitaru.model.encoding.wire import varint
from kitaru.store import layout, loose
from kitaru.store import verified as verify
from kitaru.store.verified import Verified

NOISE = random.Random(1).randbytes(2_500_000)
IDS = [bytes([n]) * 32 for n in range(1, 4)]
NAMING = b"l" + varint(3 + 50_000) + b"".join(b"R" + one for one in IDS) + b"N" * 50_000
VALUES = {
    "noise": b"b" + varint(len(NOISE)) + NOISE,
    "zeros": b"b" + varint(3 << 20) + bytes(3 << 20),
    "naming": NAMING,
}


def file_of(data: bytes) -> tuple[str, bytes]:
    blobs, object_id = MemoryBlobs(), hashlib.sha256(data).hexdigest()
    loose.write(blobs, object_id, data, lambda: "n")
    return object_id, blobs.get(layout.object_key(object_id))


def pieces(data: bytes, size: int = 999_983) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


@pytest.mark.parametrize("name", VALUES)
def test_what_comes_through_is_the_file_and_what_it_names(name):
    object_id, file = file_of(VALUES[name])
    stream = Verified(pieces(file), object_id, "there")
    assert stream.references is None
    assert b"".join(stream) == file
    assert stream.references == references(VALUES[name])


@pytest.mark.parametrize("name", VALUES)
def test_what_is_too_large_to_keep_is_read_again_unless_it_names_nothing(name, monkeypatch):
    monkeypatch.setattr(verify, "_MOST", 1000)
    object_id, file = file_of(VALUES[name])
    stream = Verified(pieces(file), object_id, "there")
    assert b"".join(stream) == file
    assert stream.references == (None if name == "naming" else [])


@pytest.mark.parametrize(
    "data", [b"?" + NOISE, b"b", b"b" + varint(7) + NOISE, b""], ids=["tag", "short", "length", "empty"]
)
def test_what_is_no_value_is_refused(data):
    object_id, file = file_of(data)
    with pytest.raises(Damaged, match="no value"):
        b"".join(Verified(pieces(file), object_id, "there"))


def test_another_object_is_refused():
    object_id, file = file_of(VALUES["noise"])
    with pytest.raises(Damaged, match="hash"):
        b"".join(Verified(pieces(file[:-1] + b"x"), object_id, "there"))
