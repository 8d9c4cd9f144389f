"""Values that refer to the same parts again and again: what they come to is foreseen, and is refused by who writes."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kitaru.errors import Damaged, Unencodable
from kitaru.model.encoding import Decoder, Encoder, session
from kitaru.model.encoding.classes import loaded_class
from kitaru.model.encoding.expansion import repeated_bytes
from kitaru.model.encoding.session import Session
from kitaru.model.encoding.wire import varint


def tangled(draw):
    """Return a value in which lists, dicts, tuples, long texts and bytes stand in several places."""
    parts = [
        list(range(200)),
        {"k" * 300: 1},
        "t" * 400,
        b"b" * 400,
        bytearray(500),
        "\u00e9" * 150_000,
        b"x" * 300_000,
    ]
    for _ in range(draw(st.integers(1, 5))):
        chosen = draw(st.lists(st.sampled_from(parts), min_size=1, max_size=12))
        kind = draw(st.sampled_from(["list", "tuple", "dict"]))
        made = {str(n): part for n, part in enumerate(chosen)} if kind == "dict" else chosen
        parts.append(tuple(made) if kind == "tuple" else made)
    return parts[-1]


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_what_is_foreseen_is_what_is_read(data):
    value = tangled(data.draw)
    encoded = Encoder().encode(value)
    objects = dict(encoded.objects)
    read = Session(objects.__getitem__, objects.__getitem__, loaded_class, opaque=False)
    assert read.value(objects[encoded.id]) == value
    assert repeated_bytes(objects[encoded.id], objects.__getitem__) == read._repeats


def test_a_bomb_is_found_out_before_it_goes_off():
    store, fetched = {}, []

    def put(data):
        object_id = hashlib.sha256(data).hexdigest()
        store[object_id] = data
        return object_id

    def fetch(object_id):
        fetched.append(object_id)
        return store[object_id]

    inner = put(b"l" + varint(60_000) + b"N" * 60_000)
    for _ in range(60):
        inner = put(b"l" + varint(8) + (b"R" + bytes.fromhex(inner)) * 8)
    with pytest.raises(Damaged, match="over and over"):
        Decoder(fetch).decode(inner)
    assert len(fetched) < 300


@pytest.mark.parametrize("kind", [bytes, bytearray])
def test_a_large_text_of_one_part_repeated_is_no_bomb(kind, monkeypatch):
    monkeypatch.setattr(session, "REPEAT_BUDGET", 1 << 20)
    value = kind(6 << 20)
    encoded = Encoder().encode(value)
    assert len(encoded.objects) < 10
    assert Decoder(dict(encoded.objects).__getitem__).decode(encoded.id) == value


REPEATED = {
    "a list": list(range(3000)),
    "messages": [{"role": "user", "content": f"message {n}"} for n in range(300)],
    "a dict with long texts": {"a": "x" * 5000, "b": "y" * 5000},
    "a nested dict": {"a": {"b": ["x" * 300, "y" * 300] * 20}},
    "a bytearray": bytearray(10_000),
    "a text of many parts": "some words " * 40_000,
    "bytes of many parts": bytes(range(256)) * 2000,
    "a long text": "x" * 40_000,
    "a set": set(range(3000)),
}


NEVER = ("a dict with long texts", "a long text")
"""These hold nothing that is read again: a text that is one object is one text in memory."""


@pytest.mark.parametrize("what", REPEATED)
@pytest.mark.parametrize("is_known", [False, True])
def test_what_is_written_can_be_read_back(what, is_known, monkeypatch):
    part = REPEATED[what]
    monkeypatch.setattr(session, "REPEAT_BUDGET", 200_000)
    store = {}
    encoder = Encoder(fetch=store.__getitem__)
    if is_known:
        store.update(encoder.encode(part).objects)
    refused = []
    for count in (1, 2, 5, 20, 80, 400):
        value = [[part, n] for n in range(count)]
        try:
            encoded = encoder.encode(value, store)
        except Unencodable as error:
            assert "over and over" in str(error)
            refused.append(count)
            continue
        store.update(encoded.objects)
        assert Decoder(store.__getitem__).decode(encoded.id) == value
        assert not refused
    assert bool(refused) == (what not in NEVER)


def test_parts_in_line_for_the_store_are_no_obstacle(monkeypatch):
    monkeypatch.setattr(session, "REPEAT_BUDGET", 1000)
    part = list(range(3000))
    with pytest.raises(Unencodable, match="over and over"):
        Encoder().encode([part] * 9)
    known = {object_id for object_id, _ in Encoder().encode(part).objects}
    assert len(Encoder().encode([part] * 9, known).objects) == 1
