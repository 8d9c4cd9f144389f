"""Huge texts: cut at even places, hashed and handed on part by part, never copied whole."""

import hashlib
import random
import threading

import pytest

from kitaru.errors import Damaged, UnknownObject
from kitaru.model.encoding import Decoder, Encoder, Part, session, texts
from kitaru.model.encoding.wire import varint

ENCODER = Encoder()


@pytest.fixture(autouse=True)
def _small(monkeypatch):
    monkeypatch.setattr(texts, "HUGE", 100_000)
    monkeypatch.setattr(texts, "HUGE_PART", 40_000)
    monkeypatch.setattr(texts, "WHOLE", 35_000)


def noise(size):
    return random.Random(size).randbytes(size)


def letters(size):
    return "".join(f"é{i}" for i in range(size // 7))


def test_huge_texts_are_cut_at_even_places(monkeypatch):
    monkeypatch.setattr(texts, "HUGE_PART", 40_001)
    assert texts.cuts(bytes(120_003), letters=False) == [40_001, 80_002]
    assert texts.cuts(bytes(120_004), letters=False) == [40_001, 80_002, 120_003]
    assert texts.cuts("é".encode() * 60_000, letters=True) == [40_002, 80_004]
    assert texts.cuts("é".encode() * 60_000, letters=False) == [40_001, 80_002]


@pytest.mark.parametrize("make", [noise, letters, bytearray])
def test_huge_texts_are_given_as_they_lie_in_memory(make):
    value = make(150_000)
    encoded = ENCODER.encode([value])
    parts = [data for _, data in encoded.objects if isinstance(data, Part)]
    if make is noise:
        assert len(parts) == 3  # of four, the last is small
        assert all(part.body.obj is value for part in parts)
    store = {object_id: bytes(data) for object_id, data in encoded.objects}
    for object_id, data in encoded.objects:
        assert hashlib.sha256(store[object_id]).hexdigest() == object_id
        assert len(store[object_id]) == len(data)
    assert Decoder(store.__getitem__).decode(encoded.id) == [value]
    assert ENCODER.digest([value]) == encoded.id
    assert [object_id for object_id, _ in ENCODER.encode([value]).objects] == [i for i, _ in encoded.objects]


class Sink:
    def __init__(self):
        self.taken = {}

    def __call__(self, object_id, part):
        self.taken[object_id] = bytes(part)


@pytest.mark.parametrize("make", [noise, letters, lambda n: bytearray(noise(n))])
def test_a_sink_takes_the_large_parts_and_the_rest_is_returned(make):
    value = make(150_000)
    sink = Sink()
    encoded = ENCODER.encode([value, "beside"], sink=sink)
    assert encoded.id == ENCODER.digest([value, "beside"])
    assert len(sink.taken) == 3
    assert not any(isinstance(data, Part) for _, data in encoded.objects)
    assert not sink.taken.keys() & {object_id for object_id, _ in encoded.objects}
    assert Decoder({**sink.taken, **dict(encoded.objects)}.__getitem__).decode(encoded.id) == [value, "beside"]


def test_a_sink_is_not_given_what_is_known_nor_anything_twice():
    value = noise(150_000)
    first = Sink()
    encoded = ENCODER.encode(value, sink=first)
    known = {*first.taken, *(object_id for object_id, _ in encoded.objects)}
    again = Sink()
    assert ENCODER.encode([value, value], known, sink=again).id == ENCODER.digest([value, value])
    assert again.taken == {}
    counted = []
    ENCODER.encode([value, value], sink=lambda object_id, part: counted.append(object_id))
    assert sorted(counted) == sorted(first.taken)


def test_what_a_sink_raises_ends_the_encoding_and_the_parts_not_begun_are_left():
    given = []

    def full(object_id, part):
        given.append(object_id)
        raise OSError("full")

    with pytest.raises(OSError, match="full"):
        ENCODER.encode(noise(40 * 40_000), sink=full)
    assert len(given) < 40
    assert not [t for t in threading.enumerate() if t.name.startswith("kitaru-large")]


def test_what_changes_meanwhile_is_written_as_it_was_hashed():
    value = bytearray(noise(150_000))

    def change(object_id, part):
        value[:] = bytes(len(value))
        assert hashlib.sha256(bytes(part)).hexdigest() == object_id

    ENCODER.encode(value, sink=change)


@pytest.mark.parametrize(
    "shape",
    [
        lambda np, flat: flat,
        lambda np, flat: flat.reshape(100, -1),
        lambda np, flat: np.asfortranarray(flat.reshape(100, -1)),
        lambda np, flat: flat.reshape(100, -1)[:, ::2],
        lambda np, flat: flat.view("M8[us]"),
        lambda np, flat: flat.reshape(100, -1)[:50],
        lambda np, flat: np.frombuffer(flat.tobytes(), flat.dtype),
    ],
    ids=["flat", "C", "F", "strided", "times", "slice", "read-only"],
)
def test_huge_arrays_have_the_ids_of_the_bytes_they_consist_of(monkeypatch, shape):
    np = pytest.importorskip("numpy")
    array = shape(np, np.random.default_rng(1).integers(0, 1 << 60, 50_000))
    assert array.nbytes > texts.HUGE
    sink = Sink()
    encoded = ENCODER.encode(array, sink=sink)
    assert len(sink.taken) >= array.nbytes // texts.HUGE_PART
    again = Decoder({**sink.taken, **dict(encoded.objects)}.__getitem__).decode(encoded.id)
    assert again.dtype == array.dtype
    assert again.flags.f_contiguous == (array.flags.f_contiguous or array.ndim == 1)
    assert again.flags.writeable
    np.testing.assert_array_equal(again, array)
    from kitaru.model.encoding import arrays

    monkeypatch.setattr(arrays, "_raw", lambda value, order: value.tobytes(order=order))
    assert ENCODER.digest(array) == encoded.id


@pytest.mark.parametrize("make", [noise, letters, lambda n: bytearray(noise(n)), lambda n: "\ud800é" * (n // 5)])
def test_parts_of_huge_texts_may_come_as_views_and_other_objects_never_do(make):
    value = [make(150_000), make(150_000), "beside " * 100]
    encoded = ENCODER.encode(value)
    store = {object_id: bytes(data) for object_id, data in encoded.objects}
    viewed = []

    def view(object_id):
        viewed.append(object_id)
        return memoryview(store[object_id])

    again = Decoder(store.__getitem__, view=view).decode(encoded.id)
    assert again == value
    assert [type(part) for part in again] == [type(part) for part in value]
    assert len(viewed) == 8
    assert all(store[object_id][:1] in (b"s", b"b", b"B") for object_id in viewed)


def test_what_is_wrong_with_a_part_is_told_of_the_part():
    encoded = ENCODER.encode(noise(150_000))
    store = {object_id: bytes(data) for object_id, data in encoded.objects}
    bad = next(object_id for object_id, data in store.items() if data[:1] == b"b")
    with pytest.raises(Damaged, match=f"object {bad[:16]}"):
        Decoder(store.__getitem__, view=lambda i: memoryview(b"C" if i == bad else store[i])).decode(encoded.id)

    def gone(object_id):
        raise UnknownObject(object_id)

    with pytest.raises(UnknownObject):
        Decoder(store.__getitem__, view=gone).decode(encoded.id)


def test_parts_that_repeat_are_counted(monkeypatch):
    monkeypatch.setattr(session, "REPEAT_BUDGET", 400_000)
    part = b"b\xc0\xb8\x02" + bytes(40_000)
    part_id = hashlib.sha256(part).digest()
    size = b"\xc0\xb8\x02"
    node = b"Cb" + varint(40_000 * 100) + varint(100) + (part_id + size) * 100
    store = {part_id.hex(): part, "node": node}
    with pytest.raises(Damaged, match="over and over"):
        Decoder(store.__getitem__).decode("node")


def test_a_huge_array_owns_the_memory_that_its_bytes_were_read_into():
    np = pytest.importorskip("numpy")
    array = np.arange(50_000)
    encoded = ENCODER.encode([array, array])
    store = {object_id: bytes(data) for object_id, data in encoded.objects}
    first, second = Decoder(store.__getitem__).decode(encoded.id)
    first[:] = 0
    np.testing.assert_array_equal(second, array)
    assert first.flags.writeable
    assert type(first.base) is bytearray
