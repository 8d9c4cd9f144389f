"""A history that begins as one before takes over its chunks: never to another id, and never what a store lacks."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kitaru.model.encoding import Decoder, Encoder, rows, state

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


def test_a_growing_history_has_the_ids_it_has_alone():
    history = [message(i) for i in range(rows.LEAST - 5)]
    known = set()
    for i in range(300):
        history.append(message(1000 + i))
        encoded = ENCODER.encode(history, known)
        assert encoded.id == plainly(history).id
        assert len(encoded.objects) <= 8 or not known
        known.update(object_id for object_id, _ in encoded.objects)
    assert known >= {object_id for object_id, _ in plainly(history).objects}
    assert len(rows._recent) == 1


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from([list, tuple]))
def test_edits_of_every_kind(seed, kind):
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


def test_what_another_thread_changes_meanwhile_is_not_remembered(monkeypatch):
    """The change is made where the parts are encoded, after the keys were read."""
    history = [message(i) for i in range(300)]
    wanted = plainly([message(i) for i in range(300)]).id
    refer = state.State.refer

    def meddling(self, data):
        history[299]["content"] = "changed"
        return refer(self, data)

    monkeypatch.setattr(state.State, "refer", meddling)
    ENCODER.digest(history)
    monkeypatch.setattr(state.State, "refer", refer)
    assert rows._recent == []
    assert ENCODER.digest([message(i) for i in range(300)]) == wanted
