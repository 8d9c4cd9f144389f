"""A history that begins as one before takes over its chunks: never to another id, and never what a store lacks."""

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, PrivateAttr

from kitaru.errors import Unencodable
from kitaru.model.encoding import Decoder, Encoder, contents, register_serializer, rows, state

ENCODER = Encoder()


def message(i, **more):
    return {"role": "user", "id": f"m{i}", "content": f"message {i} " * 60, **more}


@pytest.fixture(autouse=True)
def fresh(monkeypatch):
    monkeypatch.setattr(rows, "_recent", [])


def plainly(value):
    """The encoding without any memory of lists."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rows, "LEAST", 1 << 60)
        return ENCODER.encode(value)


def check(value):
    assert ENCODER.encode(value) == plainly(value)
    assert ENCODER.digest(value) == plainly(value).id


def nested(i):
    return message(i, calls=[{"name": "search", "arguments": {"n": i, "limit": 1.5, "of": (None, True)}}])


class Message(BaseModel):
    model_config = ConfigDict(extra="allow")
    role: str = "user"
    id: str
    content: Any = ""
    _seen: int = PrivateAttr(0)


def model(i):
    return Message(id=f"m{i}", content=f"message {i} " * 60)


MAKERS = [message, nested, model]


@pytest.mark.parametrize("make", MAKERS)
def test_a_growing_history_has_the_ids_it_has_alone(make):
    history = [make(i) for i in range(rows.LEAST - 5)]
    known = set()
    for i in range(300):
        history.append(make(1000 + i))
        encoded = ENCODER.encode(history, known)
        assert encoded.id == plainly(history).id
        assert len(encoded.objects) <= 8 or not known
        known.update(object_id for object_id, _ in encoded.objects)
    assert known >= {object_id for object_id, _ in plainly(history).objects}
    assert len(rows._recent) == 1


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from([list, tuple]), st.sampled_from([message, nested]))
def test_edits_of_every_kind(seed, kind, message):
    source = random.Random(seed)
    history = [message(i) for i in range(source.randint(100, 700))]
    for _ in range(4):
        check(kind(history))
        what, at = source.choice("pcirtf"), source.randrange(len(history))
        if what == "p":
            history = history + [message(source.random()) for _ in range(source.randint(1, 300))]
        elif what == "c":
            history = history[: source.randint(1, len(history))]
        elif what == "i":
            history = [*history[:at], message(-1), *history[at:]]
        elif what == "r":
            history[at]["content"] = "changed in place"
        elif what == "t":
            history = [{**part, "n": source.choice([1, True, None])} for part in history]
        else:
            history = [*history[:at], source.choice([{"f": 1.5}, {"l": []}, {}]), *history[at:]]
    check(kind(history))


@pytest.mark.parametrize(
    "variants",
    [
        [{"n": 1}, {"n": True}, {"n": 1.0}],
        [{"n": 0}, {"n": False}, {"n": 0.0}, {"n": -0.0}, {"n": None}, {"n": b""}, {"n": ""}],
        [{1: "a"}, {True: "a"}, {1.0: "a"}],
        [{"n": "b"}, {"n": b"b"}, {"n": bytearray(b"b")}],
        [{"n": [1]}, {"n": [True]}, {"n": [1.0]}, {"n": (1,)}, {"n": {1}}, {"n": frozenset({1})}],
        [{"n": [0.0]}, {"n": [-0.0]}, {"n": [0]}, {"n": [None]}, {"n": [""]}, {"n": []}, {"n": {}}],
        [{"n": ["b"]}, {"n": [b"b"]}, {"n": [bytearray(b"b")]}],
        [{"n": {1: "a"}}, {"n": {True: "a"}}, {"n": {1.0: "a"}}],
    ],
)
def test_equal_lists_of_other_types_never_meet(variants):
    for order in (variants, variants[::-1], variants):
        for variant in order:
            check([{**variant, "text": "t" * 50}] * 400)
            check([{**variant, "text": f"text {i} " * 9} for i in range(400)])
    ids = {ENCODER.digest([{**variant, "text": "t"}] * 400) for variant in variants}
    assert len(ids) == len(variants)


def test_another_store_gets_every_object():
    history = [message(i) for i in range(400)]
    first = ENCODER.encode(history)
    again = ENCODER.encode(history)
    assert again == first
    assert Decoder(dict(again.objects).__getitem__).decode(again.id) == history
    known = {object_id for object_id, _ in first.objects}
    assert ENCODER.encode(history, known).objects == []
    lacking = next(object_id for object_id, data in first.objects if data[:1] == b"l")
    assert lacking in dict(ENCODER.encode(history, known - {lacking, first.id}).objects)


def test_a_list_and_a_tuple_share_nothing():
    history = [message(i) for i in range(300)]
    assert ENCODER.encode(history).id != ENCODER.encode(tuple(history)).id
    check(tuple(history))


def test_what_is_kept_is_bounded(monkeypatch):
    for n in range(20):
        ENCODER.digest([message(i, n=n) for i in range(200)])
    assert len(rows._recent) == rows._KEPT_LISTS
    monkeypatch.setattr(rows, "_recent", [])
    ENCODER.digest([{"n": i, "text": "long " * 20_000} for i in range(200)])
    assert rows._recent == []


@pytest.mark.parametrize("make", MAKERS)
def test_what_another_thread_changes_meanwhile_is_not_remembered(monkeypatch, make):
    """The change is made where the parts are encoded, after the keys were read."""
    history = [make(i) for i in range(300)]
    wanted = plainly([make(i) for i in range(300)]).id
    refer = state.State.refer

    def meddling(self, data):
        own = history[299] if make is not model else history[299].__dict__
        own["content"] = "changed"
        return refer(self, data)

    monkeypatch.setattr(state.State, "refer", meddling)
    ENCODER.digest(history)
    monkeypatch.setattr(state.State, "refer", refer)
    assert rows._recent == []
    assert ENCODER.digest([make(i) for i in range(300)]) == wanted


class Twin(Message):
    """Of the same fields, and another name."""


class Watched(Message):
    def __getattribute__(self, name):
        return "what somebody likes" if name == "__dict__" else super().__getattribute__(name)


def changed(history, **state):
    for name, value in state.items():
        object.__setattr__(history[7], name, value)
    return history


@pytest.mark.parametrize(
    "vary",
    [
        lambda history: [Twin(id=part.id, content=part.content) for part in history],
        lambda history: [Watched(id=part.id, content=part.content) for part in history],
        lambda history: [*history[:7], Twin(id="m7", content=history[7].content), *history[8:]],
        lambda history: changed(history, content="changed in place"),
        lambda history: changed(history, content=["changed"]),
        lambda history: changed(history, content=b"bytes"),
        lambda history: changed(history, content=bytearray(b"bytes")),
        lambda history: changed(history, more="a field of its own"),
        lambda history: changed(history, _seen=1),
        lambda history: changed(history, __pydantic_fields_set__={"id"}),
        lambda history: changed(history, __pydantic_extra__=None),
        lambda history: [part.model_copy(update={"content": 1}) for part in history],
        lambda history: [part.model_copy(update={"content": True}) for part in history],
    ],
)
def test_models_are_told_apart_by_all_that_they_hold(vary):
    known = [model(i) for i in range(300)]
    check(known)
    assert len(rows._recent) == 1
    varied = vary([model(i) for i in range(300)])
    for value in (varied, known, varied):
        check(value)
    assert ENCODER.digest(varied) != ENCODER.digest(known)


def test_bytes_in_models_and_nested_dicts_are_never_taken_for_bytearrays():
    for kind in (bytes, bytearray, bytes):
        check([Message(id=f"m{i}", content=[kind(b"x" * 100)]) for i in range(300)])
        check([{"id": f"m{i}", "content": [kind(b"x" * 100)]} for i in range(300)])
    assert rows._recent == []


def test_models_are_encoded_as_each_encoder_names_them_and_as_is_registered_now():
    history = [model(i) for i in range(300)]
    first = ENCODER.digest(history)
    other = Encoder(name_of=lambda cls: f"elsewhere:{cls.__qualname__}")
    assert other.digest(history) != first
    assert ENCODER.digest(history) == first

    class Own(BaseModel):
        text: str

    many = [Own(text=f"text {i} " * 20) for i in range(300)]
    with pytest.raises(Unencodable):  # it is local
        ENCODER.digest(many)
    register_serializer(Own, name="tests.rows.Own", encode=lambda own: own.text, decode=lambda text: Own(text=text))
    registered = ENCODER.digest(many)
    register_serializer(Own, name="tests.rows.Own2", encode=lambda own: own.text, decode=lambda text: Own(text=text))
    assert ENCODER.digest(many) != registered


def test_a_part_that_cannot_be_stored_is_told_by_its_place_in_the_whole():
    history = [nested(i) for i in range(300)]
    check(history)
    code = compile("1", "f", "eval")  # marshal takes it
    history.insert(250, nested(-1))
    history[250]["calls"][0]["name"] = code
    with pytest.raises(Unencodable, match=r"value\[250\]\['calls'\]\[0\]\['name'\]|value\[250\]"):
        ENCODER.encode(history)


def test_long_lists_of_large_parts_are_not_read_twice(monkeypatch):
    monkeypatch.setattr(contents, "MOST", 100_000)
    check([nested(i) for i in range(400)])
    assert rows._recent == []
