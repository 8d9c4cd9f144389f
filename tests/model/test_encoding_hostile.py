"""Bytes that no encoder writes are refused, in bounded time and memory."""

import contextlib
import hashlib
import random

import pytest

from kitaru.errors import Damaged, KitaruError
from kitaru.model.encoding import Decoder, Encoder
from kitaru.model.encoding.wire import varint

ENCODER = Encoder()


def put(store, data):
    object_id = hashlib.sha256(data).hexdigest()
    store[object_id] = data
    return object_id


def decode(data, store=None, **options):
    store = {} if store is None else store
    return Decoder(store.__getitem__, **options).decode(put(store, data))


def text(value):
    raw = value.encode()
    return b"s" + varint(len(raw)) + raw


MALFORMED = {
    "empty": b"",
    "unknown tag": b"?",
    "left over": b"NN",
    "truncated int": b"i\x04\0",
    "empty int": b"i\0",
    "padded int": b"i\x02\0\x01",
    "truncated float": b"f\0\0",
    "another NaN": b"f\xff\xf8\0\0\0\0\0\1",
    "truncated text": b"s\x05ab",
    "bad UTF-8": b"s\x01\xff",
    "padded length": b"s\x81\0a",
    "absurd length": b"s" + b"\xff" * 8 + b"\x01",
    "endless length": b"s" + b"\xff" * 100,
    "absurd count": b"l\xff\xff\xff\xff\x7f",
    "count over elements": b"l\x03NN",
    "key twice": b"d\x02i\x01\x01Nf\x3f\xf0\0\0\0\0\0\0N",
    "unhashable key": b"d\x01l\0N",
    "dict without value": b"d\x01N",
    "unsorted set": b"e\x02i\x01\x02i\x01\x01",
    "set with one element twice": b"e\x02i\x01\x01i\x01\x01",
    "unhashable element": b"z\x01l\0",
    "range without end": b"ri\x01\0N",
    "range of step 0": b"ri\x01\0i\x01\0i\x01\0",
    "reference as an object": b"R" + bytes(32),
    "concatenation of none": b"Cl\0\0",
    "concatenation of numbers": b"Ci\0\0",
    "month 13": b"D\x07\xe4\x0d\x01",
    "hour 25": b"M\x19\0\0\0\0\0\0\0N",
    "zone is a number": b"M\x01\0\0\0\0\0\0\0i\x01\0",
    "duration in another form": b"Y\0\0\0\0\0\1\x51\x80\0\0\0\0",
    "zone with a path": b"Z" + text("../../etc/passwd"),
    "decimal of letters": b"m+" + text("abc") + b"i\x01\0",
    "decimal with half an exponent": b"m+" + text("1") + b"s\x01q",
    "path of no system": b"pq" + text("a"),
    "enum of nothing": b"ni\x01\0NN",
    "field twice": b"k" + text("a:B") + b"\x02" + (text("x") + b"N") * 2 + b"N",
    "extras are a list": b"k" + text("a:B") + b"\0l\0",
    "exception without parts": b"X" + text("a:B"),
    "unknown extension": b"x" + text("os.system") + b"N",
    "unknown numpy extension": b"x" + text("numpy.load") + b"N",
    "unset outside a field": b"U",
}


@pytest.mark.parametrize("data", MALFORMED.values(), ids=MALFORMED)
def test_malformed_bytes_are_damage(data):
    with pytest.raises(Damaged, match="object "):
        decode(data, opaque=True)
    if not data.startswith(b"R"):  # nested it is a reference, to an object that is not there
        with pytest.raises(Damaged):
            decode(b"l\x01" + data)


def test_damage_names_the_innermost_object():
    store = {}
    inner = put(store, b"s" + varint(300) + b"\xff" * 300)
    with pytest.raises(Damaged, match=inner[:16]):
        decode(b"l\x01R" + bytes.fromhex(inner), store)


def test_a_short_object_cannot_be_referred_to():
    store = {}
    inner = put(store, b"N")
    with pytest.raises(Damaged, match="too short"):
        decode(b"l\x01R" + bytes.fromhex(inner), store)


@pytest.mark.parametrize("opener", [b"l\x01", b"t\x01", b"d\x01N", b"e\x01", b"k\x01", b"S\x01sa"])
def test_a_million_levels(opener):
    with pytest.raises(Damaged):
        decode(opener * 1_000_000 + b"N")


def test_levels_through_references_count():
    store = {}
    data = b"N"
    for _ in range(300):
        inner = put(store, b"l\x02" + data + b"b" + varint(300) + bytes(300))
        data = b"R" + bytes.fromhex(inner)
    with pytest.raises(Damaged, match="levels deep"):
        Decoder(store.__getitem__).decode(inner)


def test_a_cycle_ends():
    # Impossible by hash; but fetch is given by the caller.
    loop = b"l\x02R" + b"\x11" * 32 + b"b" + varint(300) + bytes(300)
    with pytest.raises(Damaged, match="levels deep"):
        Decoder(lambda _: loop).decode("11" * 32)
    node = b"Cl" + varint(4) + b"\x02" + (b"\x11" * 32 + b"\x02") * 2
    with pytest.raises(Damaged):
        Decoder(lambda _: node).decode("11" * 32)


def test_a_value_that_repeats_itself_over_and_over_ends():
    store = {}
    inner = put(store, b"l" + varint(400) + b"N" * 400)
    for _ in range(60):
        inner = put(store, b"l" + varint(8) + (b"R" + bytes.fromhex(inner)) * 8)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("kitaru.model.encoding.session.REPEAT_BUDGET", 1 << 20)
        with pytest.raises(Damaged, match="over and over"):
            Decoder(store.__getitem__).decode(inner)


def concatenation(total, parts, kind=b"l"):
    store = {}
    entries = b"".join(bytes.fromhex(put(store, data)) + varint(size) for data, size in parts)
    return b"C" + kind + varint(total) + varint(len(parts)) + entries, store


PART = b"l\x02NN"
BAD_CONCATENATIONS = {
    "wrong total": concatenation(5, [(PART, 2), (PART, 2)]),
    "wrong count of a part": concatenation(5, [(PART, 3), (PART, 2)]),
    "part of another kind": concatenation(4, [(PART, 2), (b"t\x02NN", 2)]),
    "part with something left over": concatenation(4, [(PART, 2), (PART + b"N", 2)]),
    "one part": concatenation(2, [(PART, 2)]),
    "node of another kind": concatenation(4, [(PART, 2), (b"Ct\0\0", 2)]),
    "key in two parts": concatenation(2, [(b"d\x01NN", 1), (b"d\x01NT", 1)], b"d"),
    "unsorted across parts": concatenation(2, [(b"e\x01T", 1), (b"e\x01N", 1)], b"e"),
}


@pytest.mark.parametrize(("data", "store"), BAD_CONCATENATIONS.values(), ids=BAD_CONCATENATIONS)
def test_bad_concatenations(data, store):
    with pytest.raises(Damaged):
        decode(data, store)


def test_a_good_concatenation():
    data, store = concatenation(4, [(PART, 2), (PART, 2)])
    assert decode(data, store) == [None] * 4


def test_random_changes_never_crash():
    """Flip bytes of a rich value: an error of ours or another value, never anything else."""
    source = random.Random(7)
    value = {"a": [1, 2.5, "text", None, (True, b"x")], "s": {1, 2, 3}, "e": ValueError("x", 1), "u": "é" * 20}
    value["d"] = [__import__("datetime").datetime(2024, 1, 1), __import__("decimal").Decimal("1.5"), range(4)]
    data = ENCODER.encode(value).objects[-1][1]
    for _ in range(3000):
        changed = bytearray(data)
        for _ in range(source.randint(1, 3)):
            changed[source.randrange(len(data))] = source.randrange(256)
        with contextlib.suppress(KitaruError, KeyError):  # KeyError: fetch has not the object of a reference
            repr(decode(bytes(changed)))
    for end in range(len(data)):
        with pytest.raises(Damaged):
            decode(data[:end])


def test_a_unicode_error_cannot_lie_about_its_text():
    """`str()` of one built from unchecked parts reads memory beyond its object."""
    honest = UnicodeDecodeError("utf-8", b"abcd", 1, 2, "bad")
    raw = ENCODER.encode(honest).objects[-1][1]
    assert str(decode(raw)) == str(honest)
    lying = raw.replace(text("start") + b"i\x01\x01", text("start") + b"i\x01\x70")
    assert lying != raw
    assert type(decode(lying)) is not UnicodeDecodeError
