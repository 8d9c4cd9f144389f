"""Ids of values that are in stores already never change: not by a new version, process, or hash seed."""

import dataclasses
import datetime as dt
import enum
import json
import os
import subprocess
import sys
import typing
from decimal import Decimal
from pathlib import Path, PurePosixPath, PureWindowsPath
from uuid import UUID
from zoneinfo import ZoneInfo

import numpy as np
import pydantic
import pytest

from kitaru.model.encoding import Encoder

GOLDEN = Path(__file__).parent.parent / "golden" / "values.json"


@dataclasses.dataclass
class Step:
    name: str
    tries: int = 1


class Pair(typing.NamedTuple):
    a: int
    b: str


class Model(pydantic.BaseModel):
    n: int = pydantic.Field(gt=0)
    t: list[str] | None = None
    s: Step | None = None


class Colour(enum.Enum):
    RED = "r"


class Perm(enum.Flag):
    R = 1
    W = 2


def failure():
    error = OSError(2, "no such file", "a.txt")
    error.add_note("while testing")
    error.__cause__ = KeyError("k")
    return error


VALUES = {
    "none": None,
    "true": True,
    "false": False,
    "ellipsis": ...,
    "zero": 0,
    "minus one": -1,
    "128": 128,
    "big": 10**100,
    "float": 1.5,
    "minus zero": -0.0,
    "nan": float("nan"),
    "complex": 1 - 2j,
    "empty text": "",
    "text": "häß 𝄞",
    "surrogate": "\ud83d",
    "long text": "long " * 1000,
    "document": "".join(f"Line {i} of {i * i % 9973}: häß 𝄞, {'lorem ipsum ' * (i % 7)}\n" for i in range(5000)),
    "binary": b"".join(i.to_bytes(3, "big") * (i % 5) for i in range(40_000)),
    "growing bytes": bytearray(b"".join(b"%d," % (i * i) for i in range(9000))),
    "zeros": bytes(300_000),
    "bytes": b"\x00\xff",
    "long bytes": bytes(1000),
    "bytearray": bytearray(b"ab"),
    "range": range(1, 10, 3),
    "list": [1, [2, "three"]],
    "tuple": (1, (2,)),
    "dict": {"b": 1, "a": None, 3: [4]},
    "set": {1, "a", b"a", (1, 2), None, 2.5},
    "frozenset": frozenset(map(str, range(50))),
    "long list": list(range(10_000)),
    "long list of texts": [f"message {i} " * 40 for i in range(300)],
    "long dict": {f"key {i}": i * i for i in range(3000)},
    "long set": {f"element {i}" for i in range(3000)},
    "history": [{"role": "user", "id": i, "content": f"{i} " * 300} for i in range(300)],
    "datetime": dt.datetime(2024, 2, 29, 1, 2, 3, 456789),
    "zoned": dt.datetime(2024, 10, 27, 2, 30, tzinfo=ZoneInfo("Europe/Berlin"), fold=1),
    "utc": dt.datetime(2024, 1, 1, tzinfo=dt.UTC),
    "offset": dt.timezone(dt.timedelta(hours=5, minutes=30), "IST"),
    "date": dt.date(2024, 1, 2),
    "time": dt.time(1, 2, 3, 4),
    "timedelta": dt.timedelta(days=-1, seconds=2, microseconds=3),
    "decimal": Decimal("-1.50E+3"),
    "uuid": UUID("12345678-1234-5678-1234-567812345678"),
    "posix path": PurePosixPath("/a/b c"),
    "windows path": PureWindowsPath("C:\\a"),
    "dataclass": Step("plan"),
    "named tuple": Pair(1, "x"),
    "model": Model(n=3, t=["x"]),
    "array": np.arange(6, dtype="<f8").reshape(2, 3),
    "enum": Colour.RED,
    "flags": Perm.R | Perm.W,
    "exception": failure(),
}


def ids():
    encoder = Encoder(name_of=lambda cls: f"golden:{cls.__qualname__}")
    return {name: encoder.digest(value) for name, value in VALUES.items()}


@pytest.mark.parametrize("name", VALUES)
def test_golden_ids(name):
    golden = json.loads(GOLDEN.read_text())
    assert ids()[name] == golden[name]


def test_the_table_has_every_value():
    assert json.loads(GOLDEN.read_text()).keys() == VALUES.keys()


@pytest.mark.parametrize("seed", ["1", "77"])
def test_ids_are_equal_under_other_hash_seeds(seed):
    done = subprocess.run(
        [sys.executable, __file__],
        env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(GOLDEN.parents[2])},
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout) == json.loads(GOLDEN.read_text())


if __name__ == "__main__":
    print(json.dumps(ids(), indent=1))
