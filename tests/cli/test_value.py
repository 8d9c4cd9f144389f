"""Any value can be shown, and its JSON is JSON."""

import datetime as dt
import decimal
import enum
import json
import uuid
from collections import namedtuple
from dataclasses import dataclass
from pathlib import PurePosixPath

import pydantic
import pytest

from kitaru.cli.value import plain, pretty
from kitaru.model.encoding import Opaque, RecordedError


class Colour(enum.Enum):
    RED = "red"


class Level(enum.IntEnum):
    LOW = 1


@dataclass
class Doc:
    title: str
    parts: tuple


class Model(pydantic.BaseModel):
    n: int
    inner: Doc | None = None


Point = namedtuple("Point", "x y")


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, None),
        (True, True),
        (10**30, 10**30),
        (float("nan"), "nan"),
        (float("-inf"), "-inf"),
        (b"\x00\xff", "AP8="),
        ((1, [2, {3}]), [1, [2, [3]]]),
        ({"a": 1, 2: "b"}, {"a": 1, "2": "b"}),
        ({1: "a", "1": "b"}, [[1, "a"], ["1", "b"]]),
        (Colour.RED, "red"),
        (Level.LOW, 1),
        (Doc("t", (1, 2)), {"title": "t", "parts": [1, 2]}),
        (Model(n=1, inner=Doc("t", ())), {"n": 1, "inner": {"title": "t", "parts": []}}),
        (Point(1, 2), {"x": 1, "y": 2}),
        (dt.datetime(2026, 1, 2, tzinfo=dt.UTC), "2026-01-02T00:00:00+00:00"),
        (dt.timedelta(seconds=90), "0:01:30"),
        (decimal.Decimal("1.10"), "1.10"),
        (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (PurePosixPath("a/b"), "a/b"),
        (range(3), "range(0, 3)"),
        (ValueError("no", 1), {"type": "ValueError", "args": ["no", 1]}),
        (Opaque("mod:Plan", {"steps": [1]}), {"steps": [1]}),
        (RecordedError("no", class_name="mod:Bad", original_args=("no",)), {"type": "Bad", "args": ["no"]}),
    ],
)
def test_plain(value, shown):
    assert plain(value) == shown
    json.dumps(plain(value), allow_nan=False)


def test_a_string_is_shown_as_it_is():
    assert pretty("two\nlines") == "two\nlines"


def test_long_values_are_bounded_and_say_so():
    assert pretty(list(range(10)), 4) == "[\n  0,\n  1,\n  2,\n… 8 more lines"
