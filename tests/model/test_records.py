"""Records as bytes: canonical, typed, and refused where they are not what this version writes."""

from __future__ import annotations

import dataclasses
import json

import pytest

from kitaru.errors import Damaged
from kitaru.model.records import KINDS, decode, encode, record_id
from tests.model.samples import answer, begun, call, end, failed_call, note, resumed, start, stored, wait

EVERY = [
    start(source={"run": "r", "head": "h", "cut": None}, tags=["a"], overrides={"set": {"x": "1"}}),
    begun(1, after=0),
    call(2, saved={"draft": "1" * 64}, mutated=["x"], drift="new", after=1),
    failed_call(3),
    wait(4, schema={"type": "boolean"}, shown={"fetch": "2" * 64}),
    answer(stored([wait(4)])[0]),
    note("branched", cut=3),
    resumed(on_drift="new"),
    end(output="3" * 64),
]


@pytest.mark.parametrize("record", EVERY, ids=lambda r: r.kind)
def test_round_trip(record):
    data = encode(record, "p" * 64)
    back = decode(data)
    assert dataclasses.asdict(back.record) == dataclasses.asdict(record)
    assert type(back.record) is KINDS[record.kind]
    assert (back.id, back.parent) == (record_id(data), "p" * 64)
    assert encode(back.record, back.parent) == data


def test_every_kind_is_tried_here():
    assert {r.kind for r in EVERY} == KINDS.keys()


def test_the_bytes_are_canonical():
    data = encode(note("metadata", z="é", a=[1, {"y": 2, "b": 1}]), None)
    assert data == b'{"about":"metadata","at":60,"data":{"a":[1,{"b":1,"y":2}],"z":"\\u00e9"},"kind":"note","v":1}'


def test_fields_that_hold_their_default_are_left_out():
    fields = json.loads(encode(call(1), None))
    assert set(fields) == {"kind", "v", "at", "name", "order", "began", "args", "output"}


def test_lone_surrogates_survive():
    assert decode(encode(note("metadata", text="\ud800"), None)).record.data == {"text": "\ud800"}


def changed(**fields):
    data = json.loads(encode(call(1), None))
    data.update(fields)
    return json.dumps({k: v for k, v in data.items() if v != "absent"}).encode()


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "not a record"),
        (b"\xff", "not a record"),
        (b"[]", "not a record"),
        (b"null", "not a record"),
        (b"[" * 100_000, "not a record"),
        (changed(kind="absent"), "not a record"),
        (changed(kind="bogus"), "not a record"),
        (changed(kind=["call"]), "not a record"),
        (changed(at=1.5), "not a record"),
        (b'{"kind":"note","v":1,"at":NaN,"about":"x"}', "not a record"),
        (changed(v=2), "version 2"),
        (changed(v="absent"), "not a record"),
        (changed(order="1"), "order"),
        (changed(order=True), "order"),
        (changed(order=None), "order"),
        (changed(args=[]), "args"),
        (changed(args={"x": 1}), "args"),
        (changed(mutated=[1]), "mutated"),
        (changed(mutated="x"), "mutated"),
        (changed(output=5), "output"),
        (changed(surprise=1), "surprise"),
        (changed(name="absent"), "without name"),
        (changed(name="absent", at="absent"), "without at, name"),
    ],
)
def test_what_is_no_record_is_damage(data, said):
    with pytest.raises(Damaged, match=said) as caught:
        decode(data, "segment s at 7")
    assert str(caught.value).startswith("segment s at 7: ")


def test_a_newer_record_says_what_to_do():
    with pytest.raises(Damaged) as caught:
        decode(changed(v=2))
    assert caught.value.hint == "pip install --upgrade kitaru"


def test_a_float_is_never_written():
    with pytest.raises(ValueError, match="float"):
        encode(note("metadata", x=float("nan")), None)
