"""What an object names is found from its bytes alone: all that the encoder made, and no bytes that it never writes."""

import contextlib
import dataclasses
import enum
import random
import typing

import numpy as np
import pandas as pd
import pydantic
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kitaru.model.encoding import Encoder, Malformed, references
from kitaru.model.encoding.references import bytes_references, is_bytes
from kitaru.model.encoding.wire import varint
from tests.model.test_encoding_hostile import MALFORMED, text
from tests.model.test_encoding_roundtrip import VALUES, values

ENCODER = Encoder()
T = typing.TypeVar("T")

# What shows only when the value is built: the decoder refuses these.
BUILT_ONLY = {
    *("key twice", "unhashable key", "unhashable element", "range of step 0", "month 13", "hour 25"),
    *("duration in another form", "zone with a path", "decimal of letters", "decimal with half an exponent"),
    *("field twice", "unknown extension", "unknown numpy extension"),
}


@dataclasses.dataclass
class Node:
    name: str
    parts: list[typing.Any] = dataclasses.field(default_factory=list)
    unset: int = dataclasses.field(init=False)


class Pair(typing.NamedTuple):
    left: object
    right: object


class Model(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="allow")
    n: int
    texts: list[str] = []


class Box(pydantic.BaseModel, typing.Generic[T]):
    inside: T


class Perm(enum.Flag):
    R = 1
    W = 2


def failure(note):
    error = OSError(2, "no such file", "a" * 300)
    error.add_note(note)
    error.__cause__ = ExceptionGroup("several", [KeyError("k" * 500), ValueError(Node("x"))])
    return error


def closure(encoded):
    """Everything that can be reached from the root."""
    store = dict(encoded.objects)
    reached, waiting = set(), [encoded.id]
    while waiting:
        object_id = waiting.pop()
        if object_id not in reached:
            reached.add(object_id)
            waiting += references(store[object_id])
    return reached


def reaches_all(value):
    encoded = ENCODER.encode(value)
    assert closure(encoded) == {object_id for object_id, _ in encoded.objects}


wrapped = values.flatmap(
    lambda value: st.sampled_from(
        [
            value,
            Node("n" * 300, [value]),
            Pair(value, [value, "p" * 900]),
            Model(n=3, texts=["t" * 300], other=value),
            Box[int | str](inside=3),
            ValueError(value, "e" * 400),
            failure("note " * 100),
            [value] * 3,
        ]
    )
)


@settings(max_examples=150, deadline=None)
@given(wrapped)
def test_references_reach_what_the_encoder_wrote(value):
    reaches_all(value)


@pytest.mark.parametrize("value", VALUES, ids=lambda v: type(v).__name__)
def test_of_every_plain_type(value):
    reaches_all(value)
    reaches_all([value] * 400)


@pytest.mark.parametrize(
    "value",
    [
        Perm.R | Perm.W,
        [Node("a", [Node("b" * 400)])] * 100,
        failure("short"),
        np.arange(1000),
        [np.arange(n) for n in range(1, 60)],
        np.array([(1, 2.5)], dtype=[("a", "<i4"), ("b", "<f8")]),
        pd.DataFrame({"a": range(500), "b": [f"text {i}" for i in range(500)]}),
        [f"message {i} " * 40 for i in range(300)],
        {f"key {i}": i for i in range(20_000)},
        {f"element {i}" for i in range(20_000)},
        list(range(300_000)),
    ],
    ids=lambda v: type(v).__name__,
)
def test_of_other_types(value):
    reaches_all(value)


def test_they_come_in_order_and_again():
    first, second = ENCODER.encode("a" * 300).id, ENCODER.encode("b" * 300).id
    data = ENCODER.encode(["a" * 300, 1, "b" * 300, "a" * 300]).objects[-1][1]
    assert references(data) == [first, second, first]


@pytest.mark.parametrize("name", MALFORMED.keys() - BUILT_ONLY)
def test_malformed_bytes_are_refused(name):
    with pytest.raises(Malformed):
        references(MALFORMED[name])


@pytest.mark.parametrize("name", sorted(BUILT_ONLY))
def test_what_only_a_value_shows_is_left_to_the_decoder(name):
    assert references(MALFORMED[name]) == []


@pytest.mark.parametrize(
    "data",
    [
        b"l\x01b" + varint(254) + bytes(254),
        b"d\x02" + text("a") + b"N" + text("a") + b"N",
        b"Cl" + varint(5) + b"\x02" + (bytes(32) + b"\x02") * 2,
        b"Cl" + varint(2) + b"\x01" + bytes(32) + b"\x02",
        b"l\x01R" + bytes(31),
    ],
    ids=["long part", "text twice as key", "wrong total", "one part", "half a reference"],
)
def test_more_that_no_encoder_writes(data):
    with pytest.raises(Malformed):
        references(data)


@pytest.mark.parametrize("opener", [b"l\x01", b"t\x01", b"d\x01N", b"e\x01", b"k\x01", b"S\x01sa", b"O", b"Z"])
def test_a_million_levels_end(opener):
    with pytest.raises(Malformed):
        references(opener * 1_000_000 + b"N")


def test_random_changes_never_crash():
    source = random.Random(7)
    data = ENCODER.encode([Node("x", [failure("n")]), Model(n=1), {1: 2.5}, {"a"}]).objects[-1][1]
    for _ in range(2000):
        changed = bytearray(data)
        changed[source.randrange(len(data))] = source.randrange(256)
        with contextlib.suppress(Malformed):
            references(bytes(changed))
    for end in range(len(data)):
        with pytest.raises(Malformed):
            references(data[:end])


@pytest.mark.parametrize("size", [0, 1, 127, 128, 70_000])
@pytest.mark.parametrize("tag", [b"b", b"B"])
def test_of_bytes_the_beginning_is_enough(tag, size):
    data = tag + varint(size) + bytes(size)
    assert is_bytes(data)
    assert bytes_references(data[:16], len(data)) == references(memoryview(data)) == []
    for wrong in (len(data) - 1, len(data) + 1):
        with pytest.raises(Malformed):
            bytes_references(data[:16], wrong)


def test_a_view_of_any_other_value_is_as_its_bytes():
    for _, data in ENCODER.encode(
        [Node("x", [failure("n")]), list(range(5000)), b"x" * 9000, {"a": "b" * 9000}]
    ).objects:
        assert references(memoryview(data)) == references(data)
