"""Every byte of a journal and of a segment: cut at each, flipped at each, never a wrong value."""

from __future__ import annotations

import struct
import zlib

import pytest
import zstandard

from kitaru.blobs import LocalBlobs, MemoryBlobs
from kitaru.errors import Damaged, KitaruError
from kitaru.model.canonical import encode, record_id
from kitaru.store import Repository, envelope, footer, layout
from kitaru.store.journal import GROUP
from kitaru.store.strand import FrameCache, Sealed, read_journal, read_segment
from tests.store.samples import call, end, fill, nonces, obj, start


@pytest.fixture
def journal():
    """The bytes of a small open journal, the offsets at which its envelopes end, and its records' ids."""
    blobs = MemoryBlobs()
    repo = Repository.create(blobs, nonces())
    ends, ids = [], []
    with repo.begin("abc") as writer:
        for i, record in enumerate([start(), call(1), call(2), end()]):
            ids.append(writer.commit(record, [obj(b"object %d" % i)]).id)
            (key,) = blobs.keys("open")
            ends.append(blobs.size(key))
    return blobs.get(key), ends, ids


@pytest.fixture
def synced(journal):
    """The same as a disk would hold it: every envelope but the first knows those before it to be durable."""
    data, ends, ids = journal
    head = envelope.parse_header(data, "")
    packer = envelope.Packer(data[: head.start])
    strand, _ = read_journal(data, "")
    made, durable = bytearray(data[: head.start]), 0
    for number, frame in enumerate(strand.frames):
        raw = envelope.inflate(data, frame, "")
        assert number == 0
        pieces, at = [], 0
        for begin, stop in frame.payloads:
            length = envelope.HEADER.unpack_from(data, begin - envelope.HEADER.size)[3]
            pieces.append(raw[at : at + length])
            at += length
            assert stop in ends
    for piece in pieces:
        packed, _ = packer.pack(piece, len(made), durable)
        made += packed
        durable = len(made)
    assert len(made) == len(data)
    return bytes(made), ends, ids


def whole(ends, size):
    return sum(1 for e in ends if e <= size)


def test_a_journal_cut_anywhere_keeps_what_was_whole(synced):
    data, ends, ids = synced
    for size in range(len(data) + 1):
        for room in (b"", bytes(64)):
            strand, torn = read_journal(data[:size] + room, "j")
            found = [stored.id for stored in strand.records] if strand else []
            assert found == ids[: whole(ends, size)]
            kept = strand.end if strand and found else 0
            assert len(torn) <= size - kept or strand is None
            assert bool(torn) == (data[kept:size].rstrip(b"\0") != b"" and size not in ends) or kept < ends[0]


def test_a_byte_flipped_anywhere_is_damage_or_at_most_the_last_commit(synced):
    data, ends, ids = synced
    for at in range(len(data)):
        flipped = data[:at] + bytes([data[at] ^ 0x10]) + data[at + 1 :]
        if at >= ends[-2]:  # nobody knew the last commit to be durable: it may as well have been torn by a crash
            strand, _ = read_journal(flipped, "j")
            assert [stored.id for stored in strand.records] == ids[:-1]
            continue
        with pytest.raises(Damaged) as caught:
            read_journal(flipped, "j")
        assert "j" in str(caught.value)
        assert "offset" in str(caught.value)


def test_without_a_promise_of_durability_it_is_a_torn_tail(journal):
    """Where nothing is synced, a hole may be left by power loss: what is behind it was never promised."""
    data, _, _ = journal
    unsynced = bytearray(data)
    header = envelope.parse_header(data, "")
    packer = envelope.Packer(data[: header.start])
    unsynced[header.start :] = b""
    for record in (b"one", b"two", b"three"):
        unsynced += packer.pack(envelope.pack_entry(envelope.OBJECT, record) + record, len(unsynced), 0)[0]
    unsynced[header.start + 40] ^= 1
    strand, torn = read_journal(bytes(unsynced), "j")
    assert strand.objects == {}
    assert torn


@pytest.fixture
def segment():
    blobs = MemoryBlobs()
    repo = Repository.create(blobs, nonces())
    outputs = fill(repo)
    (key,) = blobs.keys("segments")
    return blobs.get(key), key.replace("segments", "").replace("/", ""), outputs


def test_a_segment_with_any_byte_flipped_is_refused(segment):
    data, segment_id, _ = segment
    for at in range(len(data)):
        with pytest.raises(Damaged):
            read_segment(data[:at] + bytes([data[at] ^ 0x04]) + data[at + 1 :], segment_id, "s")


def test_a_segment_cut_anywhere_is_refused(segment):
    data, segment_id, _ = segment
    for size in range(len(data)):
        with pytest.raises(Damaged):
            read_segment(data[:size], segment_id, "s")


def test_an_object_of_a_damaged_segment_is_right_or_refused(segment):
    data, _, outputs = segment
    wanted = next(iter(outputs))
    refused = 0
    for at in range(len(data)):
        flipped = data[:at] + bytes([data[at] ^ 0x40]) + data[at + 1 :]
        try:
            assert Sealed(flipped, "s", FrameCache()).find(wanted) == outputs[wanted]
        except Damaged:
            refused += 1
    assert refused > len(data) // 2


def test_sealing_again_gives_the_same_bytes(segment):
    data, segment_id, _ = segment
    strand = read_segment(data, segment_id, "s")
    assert data == data[: strand.end] + strand.footer()


def test_an_unfinished_index_is_no_torn_tail(segment):
    data, segment_id, _ = segment
    strand = read_segment(data, segment_id, "s")
    for size in range(strand.end + len(footer.FOOTER_MAGIC), len(data)):
        again, torn = read_journal(data[:size], "j")
        assert torn == b""
        assert len(again.records) == len(strand.records)


def test_an_envelope_that_got_where_it_does_not_belong_is_none(synced):
    data, ends, _ = synced
    moved = data + data[ends[1] : ends[2]]
    strand, torn = read_journal(moved, "j")
    assert strand.end == len(data)
    assert torn


# -- data that lies --------------------------------------------------------------------------------------------------


def lying(payload, raw_length, flags=envelope.FRAME_START):
    header = envelope.journal_header("h", 1, "n")
    seed = zlib.crc32(header)
    head = struct.pack("<4sIIIQI", envelope.MAGIC, flags, len(payload), raw_length, 0, zlib.crc32(payload))
    return header + head + struct.pack("<I", zlib.crc32(head, (seed + len(header)) & 0xFFFFFFFF)) + payload


def test_a_claim_of_more_than_an_envelope_may_hold(tracked_memory):
    strand, torn = read_journal(lying(b"x", 0xFFFFFFFF), "j")
    assert strand.frames == []
    assert torn
    assert tracked_memory() < 1_000_000


@pytest.mark.parametrize("declared", [0, 1000, envelope.MAX_RAW])
def test_a_bomb_is_not_inflated(tracked_memory, declared):
    bomb = zstandard.ZstdCompressor().compress(bytes(200 * 1024 * 1024))
    base = tracked_memory()
    with pytest.raises(Damaged):
        read_journal(lying(bomb, declared), "j")
    assert tracked_memory() - base < 3 * envelope.MAX_RAW


@pytest.fixture
def tracked_memory():
    import tracemalloc

    tracemalloc.start()
    yield lambda: tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()


@pytest.mark.parametrize(
    "raw",
    [b"o", b"x\x01a", b"o\x05abc", b"o\x80", b"o\x80\x80\x80\x80\x80\x01a", b"o\xff\xff\xff\xff\x0fabc", b"r\x02{}"],
)
def test_raw_bytes_that_are_no_entries(raw):
    packed = zstandard.ZstdCompressor().compress(raw)
    with pytest.raises(Damaged):
        read_journal(lying(packed, len(raw)), "j")


def test_a_record_that_does_not_follow():
    one, other = encode(start(), None), encode(call(1), "f" * 64)
    raw = b"".join(envelope.pack_entry(envelope.RECORD, r) + r for r in (one, other))
    with pytest.raises(Damaged, match="does not follow"):
        read_journal(lying(zstandard.ZstdCompressor().compress(raw), len(raw)), "j")


@pytest.mark.parametrize(
    "header",
    [
        b"",
        b"KITARUJ1",
        struct.pack("<8sII", b"KITARUJ1", 0xFFFFFFF0, 0),
        struct.pack("<8sII", b"KITARUJ1", 2, zlib.crc32(b"[]")) + b"[]",
        struct.pack("<8sII", b"KITARUJ1", 2, zlib.crc32(b"{}")) + b"{}",
    ],
)
def test_headers_that_are_none(header):
    with pytest.raises(Damaged):
        envelope.parse_header(header, "j")


def test_an_index_with_absurd_counts():
    head = struct.pack("<QIII", 0, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    with pytest.raises(Damaged):
        footer.parse(b"x" * 100 + head + struct.pack("<I8s", zlib.crc32(head), footer.END_MAGIC), "s")


# -- frames ----------------------------------------------------------------------------------------------------------


def test_frames_are_restarted_and_large_commits_split():
    blobs = MemoryBlobs()
    repo = Repository.create(blobs, nonces())
    random = nonces(100)
    objects = [obj(b"".join(random(32) for _ in range(3000))) for _ in range(40)]
    with repo.begin("abc") as writer:
        writer.commit(start(), objects)
        for i in range(1, 5):
            writer.commit(call(i), objects)  # known already
        writer.seal()
    (key,) = blobs.keys("segments")
    strand = read_segment(blobs.get(key), key[9:].replace("/", ""), "s")
    assert len(strand.frames) >= sum(len(data) for _, data in objects) // GROUP
    assert all(frame.raw_length <= GROUP + 4096 for frame in strand.frames)
    assert set(strand.objects) == {object_id for object_id, _ in objects}
    again = Repository.open(blobs)
    for object_id, data in objects:
        assert again.object(object_id, ["abc"]) == data
    assert len(again.records("abc")) == 5


def test_what_repeats_between_commits_costs_little():
    blobs = MemoryBlobs()
    repo = Repository.create(blobs, nonces())
    fill(repo, calls=200)
    (key,) = blobs.keys("segments")
    assert blobs.size(key) / 200 < 350


def test_ids_are_those_of_the_bytes(journal):
    data, _, ids = journal
    strand, _ = read_journal(data, "j")
    parent = None
    for stored, expected in zip(strand.records, ids, strict=True):
        assert record_id(encode(stored.record, parent)) == stored.id == expected
        parent = stored.id


def test_the_disk_holds_the_promises(tmp_path):
    """On a disk, each commit's envelope says how much was durable: damage in an earlier one is told as damage."""
    repo = Repository.create(LocalBlobs(tmp_path), nonces())
    fill(repo, seal=False)
    (path,) = (tmp_path / "open" / "abc").iterdir()
    data = path.read_bytes()
    strand, _ = read_journal(data, "j")
    first = strand.frames[0].payloads[0][0]
    path.write_bytes(data[:first] + b"\xff" + data[first + 1 :])
    for use in (repo.records, repo.reopen):
        with pytest.raises(Damaged, match="offset") as caught:
            use("abc")
        assert str(path) in str(caught.value)
    assert not repo.is_held("abc")


def test_keys_of_journals():
    assert layout.open_key("abc", "n") == "open/abc/n"
    assert issubclass(Damaged, KitaruError)
