"""Values of Python's own types come back exactly, under ids that are the same everywhere."""

import datetime as dt
import struct
from decimal import Decimal
from pathlib import Path, PurePosixPath, PureWindowsPath
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kitaru.model.encoding import Decoder, Encoder

ENCODER = Encoder()


def back(value):
    encoded = ENCODER.encode(value)
    assert encoded.objects[-1][0] == encoded.id
    return Decoder(dict(encoded.objects).__getitem__).decode(encoded.id)


def same(a, b):
    """Equal in exact type, content and order."""
    if type(a) is not type(b):
        return False
    if isinstance(a, float):
        return struct.pack("d", a) == struct.pack("d", b) or (a != a and b != b)
    if isinstance(a, complex):
        return same(a.real, b.real) and same(a.imag, b.imag)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict):
        return len(a) == len(b) and all(map(same, a.items(), b.items()))
    if isinstance(a, set | frozenset):
        return len(a) == len(b) and sorted(map(ENCODER.digest, a)) == sorted(map(ENCODER.digest, b))
    if isinstance(a, Decimal):
        return a.as_tuple() == b.as_tuple()
    if isinstance(a, dt.datetime | dt.time):
        return (
            a.replace(tzinfo=None) == b.replace(tzinfo=None) and a.fold == b.fold and repr(a.tzinfo) == repr(b.tzinfo)
        )
    return a == b


BERLIN = ZoneInfo("Europe/Berlin")
VALUES = [
    None,
    True,
    False,
    ...,
    NotImplemented,
    *(0, 1, -1, 127, 128, -128, -129, 2**63, -(2**63), 2**64, 10**1000, -(10**1000)),
    *(0.0, -0.0, 1.5, float("inf"), float("-inf"), float("nan"), 5e-324),
    *(1j, complex(-0.0, float("nan"))),
    *("", "a", "ä€𝄞", "\ud800 lone \udfff", "\0", "x" * 127, "x" * 128, "ü" * 200, "y" * 100_000),
    *(b"", b"\xff\0", b"z" * 253, b"z" * 254, b"z" * 255, b"z" * 100_000, bytearray(b"12"), bytearray(1000)),
    *([], (), {}, set(), frozenset(), [[], ()], [[[[1]]]]),
    {"b": 1, "a": [None, {"x": (1, 2)}], 3: "int key", (1, "t"): "tuple key", None: 0, frozenset({1}): 1},
    {1, "1", 1.5, b"1", (1,), frozenset({2})},
    *(range(3), range(10, -5, -3), range(0), range(10**30)),
    dt.datetime(2024, 2, 29, 23, 59, 59, 999999),
    dt.datetime(2024, 10, 27, 2, 30, tzinfo=BERLIN, fold=1),
    dt.datetime(1, 1, 1, tzinfo=dt.UTC),
    dt.datetime(2024, 1, 1, tzinfo=dt.timezone(dt.timedelta(hours=-3, minutes=-30), "NST")),
    *(dt.date(9999, 12, 31), dt.time(1, 2, 3, 4, fold=1), dt.time(0, tzinfo=dt.UTC), dt.time(1, tzinfo=BERLIN)),
    *(dt.timedelta(-1, 5, 7), dt.timedelta.max, dt.timedelta.min, dt.UTC, BERLIN),
    *map(Decimal, ["0", "-0", "1.10", "1E+400", "-Infinity", "NaN", "-sNaN123", "0E-7"]),
    UUID(int=5),
    *(Path("a/b"), Path(), PurePosixPath("/x/../y"), PureWindowsPath("C:\\a\\b")),
]


@pytest.mark.parametrize("value", VALUES, ids=lambda v: f"{type(v).__name__}-{ENCODER.digest(v)[:6]}")
def test_comes_back_exactly(value):
    assert same(back(value), value)
    assert same(back([value, {"k": value}]), [value, {"k": value}])


def test_equal_values_of_different_types_have_different_ids():
    groups = [
        [1, 1.0, True, 1 + 0j],
        [0, 0.0, -0.0, False],
        ["a", b"a", bytearray(b"a")],
        [[], (), {}, set(), frozenset()],
    ]
    for group in groups:
        assert len({ENCODER.digest(v) for v in group}) == len(group)
        assert len({ENCODER.digest([v]) for v in group}) == len(group)


def test_dict_order_is_content_and_set_order_is_not():
    assert ENCODER.digest({"a": 1, "b": 2}) != ENCODER.digest({"b": 2, "a": 1})
    assert ENCODER.digest({1, 9, 17}) == ENCODER.digest({17, 9, 1})


def test_every_nan_is_the_same():
    odd = struct.unpack(">d", b"\xff\xf8\0\0\0\0\0\1")[0]
    assert ENCODER.digest(odd) == ENCODER.digest(float("nan"))
    assert ENCODER.digest(complex(odd, 0)) == ENCODER.digest(complex(float("nan"), 0))


def test_nan_as_key_and_element():
    first, second = float("nan"), float("nan")
    assert len(back({first: 1, second: 2})) == 2
    assert len(back({first, second})) == 2


leaves = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.complex_numbers()
    | st.text(st.characters(exclude_categories=()), max_size=400)
    | st.binary(max_size=400)
    | st.binary(max_size=20).map(bytearray)
    | st.datetimes(timezones=st.none() | st.timezones(), allow_imaginary=True)
    | st.dates()
    | st.times(timezones=st.none() | st.just(dt.UTC))
    | st.timedeltas()
    | st.decimals()
    | st.uuids()
    | st.builds(range, st.integers(), st.integers(), st.integers(1, 9))
)
keys = st.none() | st.booleans() | st.integers() | st.text(max_size=9) | st.binary(max_size=9) | st.uuids()
values = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=40)
        | st.lists(inner, max_size=9).map(tuple)
        | st.dictionaries(keys, inner, max_size=40)
        | st.sets(keys, max_size=40)
        | st.frozensets(keys, max_size=9)
    ),
    max_leaves=60,
)


@settings(max_examples=150, deadline=None)
@given(values)
def test_any_value_comes_back_exactly(value):
    again = back(value)
    assert same(again, value)
    assert ENCODER.digest(again) == ENCODER.encode(value).id == ENCODER.digest(value)


@settings(max_examples=80, deadline=None)
@given(values, values)
def test_an_id_is_the_same_alone_and_nested(value, other):
    alone = ENCODER.encode(value)
    nested = ENCODER.encode({"before": other, "it": value})
    if len(alone.objects[-1][1]) > 256:
        assert alone.id in {object_id for object_id, _ in nested.objects}
    else:
        assert alone.objects[-1][1] in b"".join(data for _, data in nested.objects)
