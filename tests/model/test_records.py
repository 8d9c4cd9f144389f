"""Records as bytes: canonical, typed, and refused where they are not what this version writes."""

from __future__ import annotations

import dataclasses
import json

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from kitaru.errors import Damaged
from kitaru.model import canonical
from kitaru.model.canonical import decode, encode, record_id
from kitaru.model.records import KINDS
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
        (changed(at=1.5), "at"),
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


def test_what_is_no_number_is_never_written():
    with pytest.raises(ValueError, match="float"):
        encode(note("metadata", x=float("nan")), None)


def test_a_fraction_inside_an_object_reads_back():
    data = encode(note("metadata", x=[0.1, 1.5, 1e300]), None)
    assert decode(data).record.data == {"x": [0.1, 1.5, 1e300]}


@pytest.mark.parametrize("text", ["1e999", "-1e999", "NaN", "Infinity"])
def test_a_number_without_a_value_is_refused(text):
    data = encode(note("metadata", x=7), None).replace(b'"x":7', f'"x":{text}'.encode())
    with pytest.raises(Damaged):
        decode(data)


PLAIN = encode(call(7, occurrence=3, code="c" * 16), "e" * 64)
FULL = encode(
    call(7, code="c" * 16, scope="/s#1", repeat=2, cache="a" * 64, logs="b" * 64, metadata="d" * 64), "e" * 64
)
"""What nearly every record of a run looks like."""

FRAGMENTS = [
    b'"',
    b"\\",
    b"{",
    b"}",
    b",",
    b":",
    b" ",
    b"\x00",
    b"\x1f",
    b"\n",
    b"\xff",
    b"-",
    b"0",
    b"1.0",
    b"1e3",
    b"null",
]
FRAGMENTS += [b'"v":1', b'"v":2', b'"args":{},', b'"kind":"note"', b',"key":"k"', b"\\u0041", b"[" * 5000, b"9" * 5000]


@st.composite
def damaged(draw):
    """Return a record's bytes with parts cut out, put in or put in another's place."""
    record = draw(st.sampled_from([*EVERY, call(1), call(2, args={}), call(3, args={"a": "b", "c": "\u00e9"})]))
    data = draw(st.sampled_from([PLAIN, FULL, encode(record, "p" * 64)]))
    for _ in range(draw(st.integers(0, 3))):
        start = draw(st.integers(0, len(data)))
        end = min(len(data), start + draw(st.sampled_from([0, 0, 1, 2, 16, 64])))
        data = data[:start] + draw(st.sampled_from(FRAGMENTS) | st.binary(max_size=2)) + data[end:]
    return data


def outcome(data):
    try:
        back = decode(data, "here")
    except Damaged as error:
        return str(error)
    return type(back.record), dataclasses.asdict(back.record), back.id, back.parent


@settings(max_examples=400)
@given(damaged())
@example(PLAIN)
@example(PLAIN.replace(b"e" * 64, b"e" * 32 + b"  " + b"e" * 30))
@example(PLAIN.replace(b"e" * 64, b"e" * 62 + b"\n\t"))
@example(PLAIN.replace(b"e" * 64, b"e" * 62 + b"\\/"))
@example(PLAIN.replace(b'"order":7', b'"order":007'))
@example(PLAIN.replace(b'"args":{', b'"args":[{').replace(b'},"at"', b'}],"at"'))
@example(PLAIN.replace(b'"args":{"x":', b'"args":{"x":1,"x":'))
@example(PLAIN.replace(b'"v":1', b'"v":1,"v":2'))
@example(PLAIN + b"\n")
@example(FULL)
@example(FULL.replace(b"b" * 64, b"b" * 32 + b"  " + b"b" * 30))
@example(FULL.replace(b'"repeat":2', b'"repeat":0'))
@example(FULL.replace(b'"' + b"b" * 64, b'"'))
@example(FULL.replace(b'"scope":"/s#1"', b'"scope":"/s\\u00231"'))
def test_the_fast_way_to_read_a_call_gives_what_the_general_one_gives(data):
    fast = outcome(data)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(canonical, "_usual_call", lambda *_: None)
        assert outcome(data) == fast


ARGS = [{}, {"x": "1" * 64}, {"y": "2" * 64, "x": "1" * 64}, {"\u00e9": "1" * 64}]
USUAL = {
    "plain": {},
    "of a map": {"scope": "/step#12", "occurrence": 9},
    "of a task": {"scope": "/work.<lambda>#2/ask#1", "repeat": 3},
    "cached, with metadata and logs": {"cache": "a" * 64, "metadata": "b" * 64, "logs": "d" * 64},
}
OTHER = [
    {"after": 0},
    {"code": ""},
    {"output": None},
    {"error": {"type": "E", "message": "", "traceback": ""}, "output": None},
    {"error": {}},
    {"key": "1" * 64},
    {"how": "reused", "reused": {"run": "r", "record": "1" * 64, "call": "step"}},
    {"saved": {"draft": "1" * 64}},
    {"mutated": ["x"], "drift": "new"},
    {"delay": 0},
    {"overran": 5},
]


@pytest.mark.parametrize("fields", USUAL.values(), ids=USUAL)
@pytest.mark.parametrize("args", ARGS[1:3])
def test_calls_as_they_come_in_thousands_take_the_fast_way(args, fields):
    record = call(7, args=args, code="c" * 16, **fields)
    assert canonical._is_usual(record)
    data = encode(record, "e" * 64)
    assert canonical._usual_call(data, data.decode()) is not None
    assert dataclasses.asdict(decode(data).record) == dataclasses.asdict(record)


@pytest.mark.parametrize("fields", [*USUAL.values(), *OTHER, {"scope": '/"\u00e9\\\n#1'}, {"name": "\u00e9"}], ids=repr)
@pytest.mark.parametrize("args", ARGS)
def test_the_fast_way_to_write_a_call_gives_what_the_general_one_gives(args, fields):
    record = call(7, **{"args": args, "code": "c" * 16, **fields})
    fast = encode(record, "e" * 64)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(canonical, "_is_usual", lambda _: False)
        assert encode(record, "e" * 64) == fast
