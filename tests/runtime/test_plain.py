"""Every value as plain JSON data, within bounds."""

from __future__ import annotations

import datetime as dt
import json
from collections import namedtuple
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum, IntEnum
from pathlib import Path
from uuid import UUID

import numpy as np
import pytest
from pydantic import BaseModel, ConfigDict

from kitaru.model.encoding import Opaque
from kitaru.runtime.schema import to_plain


class Color(Enum):
    RED = "red"


class Level(IntEnum):
    HIGH = 2


@dataclass
class Plan:
    queries: list[str]
    color: Color


class Model(BaseModel):
    model_config = ConfigDict(extra="allow")
    x: int


Point = namedtuple("Point", "x y")


class Rude:
    def __str__(self):
        raise RuntimeError("no")


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (None, None),
        (True, True),
        (1, 1),
        (1.5, 1.5),
        (float("nan"), "nan"),
        (float("-inf"), "-inf"),
        (2**5000, hex(2**5000)),
        ("text", "text"),
        (b"ab", {"$bytes": "YWI="}),
        ([1, (2, 3)], [1, [2, 3]]),
        ({"b", "a"}, ["a", "b"]),
        ({"a": {1: 2}}, {"a": {"1": 2}}),
        ({1: "a", "1": "b"}, [["1", "a"], ["'1'", "b"]]),
        ({Color.RED: 1}, {"red": 1}),
        (Color.RED, "red"),
        (Level.HIGH, 2),
        (Plan(["a"], Color.RED), {"queries": ["a"], "color": "red"}),
        (Model(x=1, y=2), {"x": 1, "y": 2}),
        (Point(1, 2), {"x": 1, "y": 2}),
        (dt.datetime(2026, 1, 2, 3, tzinfo=dt.UTC), "2026-01-02T03:00:00+00:00"),
        (dt.timedelta(minutes=1), "0:01:00"),
        (Decimal("1.10"), "1.10"),
        (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (Path("a/b"), "a/b"),
        (range(3), "range(0, 3)"),
        (ValueError("bad"), {"type": "builtins:ValueError", "message": "bad"}),
        (Opaque("m:Plan", {"queries": ["a"]}), {"queries": ["a"]}),
        (np.arange(3), "[0 1 2]"),
        (Rude(), "<Rude: RuntimeError while showing it>"),
        (Plan, "<class '" + Plan.__module__ + ".Plan'>"),
    ],
)
def test_each_type_has_one_rendering(value, plain):
    assert to_plain(value) == plain
    json.loads(json.dumps(to_plain(value), allow_nan=False))


def test_what_is_left_out_is_counted():
    assert to_plain(list(range(5)), max_items=3) == [0, 1, 2, "… 2 more"]
    assert to_plain({"a": 1, "b": 2}, max_items=1) == {"a": 1, "…": "1 more"}
    assert to_plain("abcdef", max_text=4) == "abcd… 2 more"
    assert to_plain(b"abcdef", max_text=3) == {"$bytes": "YWJj", "size": 6}
    assert to_plain([[1, 2], [3]], max_items=3) == [[1, "… 1 more"], ["… 1 more"]]


def test_a_value_that_holds_itself_ends():
    loop: list[object] = []
    loop.append(loop)
    json.dumps(to_plain(loop))
