"""Records and objects to fill stores with, the same on every run."""

from __future__ import annotations

import hashlib
import itertools

from kitaru.model.encoding import Encoder
from kitaru.model.encoding.wire import varint
from kitaru.model.records import Call, End, Start


def nonces(seed=0):
    """A source of random bytes that gives the same ones every time."""
    counter = itertools.count(seed)
    return lambda n: hashlib.sha256(b"%d" % next(counter)).digest()[:n]


def obj(data):
    """An object of these bytes, as `commit` takes it."""
    return hashlib.sha256(data).hexdigest(), data


def value(thing):
    """A value: its id, and its objects."""
    encoded = Encoder().encode(thing)
    return encoded.id, encoded.objects


def whole(raw):
    """A bytes value in one object, however long: its id, and its objects. Such a one has a file of its own."""
    made = obj(b"b" + varint(len(raw)) + raw)
    return made[0], [made]


def start(version="0" * 64, at=1):
    return Start(at=at, flow="demo", version={"n": 1, "id": version}, inputs={})


def call(order, output=None):
    return Call(at=1000 * order + 500, name="step", order=order, began=1000 * order, output=output)


def end(at=99):
    return End(at=at, status="completed")


def fill(repo, run="abc", calls=3, *, seal=True):
    """Write a small run; return the outputs, by id."""
    outputs = {}
    version, objects = value({"entry": "demo"})
    with repo.begin(run) as writer:
        writer.commit(start(version), objects)
        for i in range(1, calls + 1):
            output, objects = value({"number": i, "text": f"what call {i} returned"})
            outputs.update(objects)
            writer.commit(call(i, output), objects)
        if seal:
            writer.commit(end())
            writer.seal()
    return outputs
