"""Large objects: whole or refused, and written again when damaged."""

from __future__ import annotations

import hashlib
import os
import struct
import tracemalloc
import zlib

import pytest
import zstandard

from kitaru.blobs import LocalBlobs
from kitaru.errors import Damaged
from kitaru.model.encoding import Part
from kitaru.store import layout, loose
from tests.store.samples import obj

SHRINKS, RANDOM = obj(b"some text " * 1000), obj(os.urandom(3000))


@pytest.fixture
def blobs(tmp_path):
    return LocalBlobs(tmp_path)


def write(blobs, thing):
    loose.write(blobs, *thing, lambda: "nonce")


@pytest.mark.parametrize("thing", [SHRINKS, RANDOM, obj(b"")])
def test_round_trip(blobs, thing):
    write(blobs, thing)
    write(blobs, thing)
    assert loose.read(blobs, thing[0]) == thing[1]


def test_what_shrinks_is_compressed_and_what_does_not_is_not(blobs):
    write(blobs, SHRINKS)
    write(blobs, RANDOM)
    assert blobs.size(layout.object_key(SHRINKS[0])) < 200
    assert blobs.size(layout.object_key(RANDOM[0])) == 3000 + 24


@pytest.mark.parametrize("thing", [obj(b"some text " * 20), obj(os.urandom(200))])
def test_any_byte_flipped_is_refused(tmp_path, thing):
    blobs = LocalBlobs(tmp_path)
    write(blobs, thing)
    path = tmp_path / layout.object_key(thing[0])
    content = path.read_bytes()
    for at in range(len(content)):
        path.chmod(0o600)
        path.write_bytes(content[:at] + bytes([content[at] ^ 0x20]) + content[at + 1 :])
        with pytest.raises(Damaged, match=thing[0][2:]):
            loose.read(blobs, thing[0])
        path.write_bytes(content[:at])
        with pytest.raises(Damaged):
            loose.read(blobs, thing[0])


def test_a_damaged_one_is_put_aside_and_written_again(tmp_path):
    blobs = LocalBlobs(tmp_path)
    write(blobs, SHRINKS)
    path = tmp_path / layout.object_key(SHRINKS[0])
    path.chmod(0o600)
    path.write_bytes(b"damaged")
    write(blobs, SHRINKS)
    assert loose.read(blobs, SHRINKS[0]) == SHRINKS[1]
    (aside,) = (tmp_path / "lost").iterdir()
    assert aside.read_bytes() == b"damaged"


@pytest.mark.parametrize("raw", [b"some text " * 100_000, os.urandom(3_000_000)], ids=["text", "random"])
def test_a_part_is_written_as_it_lies_in_memory(tmp_path, raw):
    part = Part(b"head", memoryview(raw))
    object_id = hashlib.sha256(bytes(part)).hexdigest()
    write(LocalBlobs(tmp_path), (object_id, part))
    assert loose.read(LocalBlobs(tmp_path), object_id) == b"head" + raw
    write(LocalBlobs(tmp_path), (object_id, part))


def test_what_is_long_and_not_compressed_is_mapped(blobs):
    raw = os.urandom(3_000_000)
    long, short = obj(raw), obj(raw[:1000])
    for thing in (long, short, SHRINKS):
        write(blobs, thing)
    assert type(loose.view(blobs, long[0])) is memoryview
    assert loose.view(blobs, long[0]) == raw
    assert type(loose.read(blobs, long[0])) is bytes
    assert loose.view(blobs, short[0]) == raw[:1000]
    assert type(loose.view(blobs, short[0])) is type(loose.view(blobs, SHRINKS[0])) is bytes
    damaged = blobs.root / layout.object_key(long[0])
    damaged.chmod(0o600)
    damaged.write_bytes(damaged.read_bytes()[:-1] + bytes([raw[-1] ^ 1]))
    with pytest.raises(Damaged, match="hash"):
        loose.view(blobs, long[0])


def packed(method, length, body):
    head = struct.pack("<8sB3sQ", loose.MAGIC, method, b"", length)
    return head + struct.pack("<I", zlib.crc32(head)) + body


BOMB = zstandard.ZstdCompressor().compress(bytes(300 * 1024 * 1024))


@pytest.mark.parametrize(
    "content",
    [
        packed(loose.RAW, 10_000_000_000, b"short"),
        packed(loose.ZSTD, 10_000_000_000, BOMB),
        packed(loose.ZSTD, 2**64 - 1, BOMB),
        packed(loose.ZSTD, 100, BOMB),
        packed(loose.ZSTD, 65 * 1024 * 1024, zstandard.ZstdCompressor().compress(bytes(1000))),
        packed(2, 5, b"short"),
        packed(loose.ZSTD, 5, b"short"),
    ],
)
def test_what_lies_is_refused_in_little_memory(blobs, content):
    name = hashlib.sha256(content).hexdigest()
    blobs.create(layout.object_key(name), content)
    tracemalloc.start()
    with pytest.raises(Damaged):
        loose.read(blobs, name)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 80 * 1024 * 1024
