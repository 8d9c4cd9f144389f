"""Long values share what did not change, and only new objects are returned."""

import hashlib
import json
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kitaru.model.encoding import Decoder, Encoder, memo, texts
from kitaru.model.encoding.wire import varint

ENCODER = Encoder()


def message(i):
    return {"role": "user", "id": f"m{i}", "content": f"message {i} " * 60}


def objects(value):
    return dict(ENCODER.encode(value).objects)


def test_objects_are_named_by_the_hash_of_their_bytes_children_first():
    seen = set()
    encoded = ENCODER.encode([message(i) for i in range(200)])
    for object_id, data in encoded.objects:
        assert hashlib.sha256(data).hexdigest() == object_id
        assert object_id not in seen
        seen.add(object_id)
    assert encoded.objects[-1][0] == encoded.id


def test_known_objects_are_not_returned():
    history = [message(i) for i in range(50)]
    first = ENCODER.encode(history)
    known = {object_id for object_id, _ in first.objects}
    assert ENCODER.encode(history, known).objects == []
    assert ENCODER.encode(history, known).id == first.id


def test_a_remembered_text_is_still_returned_to_a_store_that_lacks_it():
    text, raw = "remember me " * 100, b"remember me " * 100
    for value in (text, raw, [text, raw]):
        assert objects(value) == objects(value)
    assert len(objects([text, raw])) == 3
    assert memo.LARGE_STRINGS.get(text) is not None


def test_memory_of_texts_is_bounded():
    leaves = memo.LargeLeaves[str](1000)
    for i in range(500):
        leaves.put(f"{i:0100}", (b"", ""))
    assert sum(len(text) for generation in (leaves._young, leaves._old) for text in generation) <= 2000
    leaves.put("x" * 900, (b"", ""))
    assert leaves.get("x" * 900) is None
    for i in range(memo.SMALL_ENTRIES + 10):
        ENCODER.digest(f"small {i}")
        ENCODER.digest(i)
    assert len(memo.STRINGS) <= memo.SMALL_ENTRIES
    assert len(memo.INTS) <= memo.SMALL_ENTRIES


@pytest.mark.parametrize("change", ["append", "insert", "delete", "edit"])
@pytest.mark.parametrize("make", [lambda n: [message(i) for i in range(n)], lambda n: list(range(n * 20))])
def test_one_change_shares_all_but_a_few_objects(make, change):
    before = make(3000)
    after = list(before)
    middle = len(after) // 2
    if change == "append":
        after.append({"new": "content"})
    elif change == "insert":
        after.insert(middle, {"new": "content"})
    elif change == "delete":
        del after[middle]
    else:
        after[middle] = {"new": "content"}
    old, new = objects(before), objects(after)
    assert len(old) > 100
    assert len(new.keys() - old.keys()) <= 10
    assert sum(len(new[object_id]) for object_id in new.keys() - old.keys()) < 60_000


def test_a_dict_and_a_set_share_too():
    before = {f"key {i}": i for i in range(20_000)}
    after = {**before, "one more": 1}
    assert len(objects(after).keys() - objects(before).keys()) <= 6
    assert len(objects(set(after)).keys() - objects(set(before)).keys()) <= 8


def test_a_chunk_is_the_list_of_its_elements():
    chunks = [data for data in objects(list(range(5000))).values() if data[:1] == b"l"]
    assert len(chunks) > 5
    for data in chunks:
        chunk_id = hashlib.sha256(data).hexdigest()
        part = Decoder({chunk_id: data}.__getitem__).decode(chunk_id)
        assert ENCODER.digest(part) == chunk_id


@pytest.mark.parametrize("kind", [list, tuple, set, frozenset, dict.fromkeys])
@pytest.mark.parametrize("n", [500, 2000, 100_000])
def test_long_containers_come_back(kind, n):
    value = kind(range(n))
    encoded = ENCODER.encode(value)
    again = Decoder(dict(encoded.objects).__getitem__).decode(encoded.id)
    assert type(again) is type(value)
    assert again == value
    assert list(again) == list(value) or not isinstance(value, list | tuple | dict)


def test_equal_elements_make_few_chunks():
    encoded = ENCODER.encode([None] * 1_000_000)
    assert len(encoded.objects) < 10
    assert Decoder(dict(encoded.objects).__getitem__).decode(encoded.id) == [None] * 1_000_000


@settings(max_examples=30, deadline=None)
@given(st.lists(st.text(max_size=300), max_size=300), st.data())
def test_an_insertion_keeps_the_rest(items, data):
    at = data.draw(st.integers(0, len(items)))
    after = [*items[:at], "inserted", *items[at:]]
    new = objects(after).keys() - objects(items).keys()
    assert len(new) <= 12


@pytest.mark.parametrize(("tag", "whole"), [(b"s", "grün" * 9), (b"b", b"1234567890"), (b"B", bytearray(b"123456"))])
def test_texts_cut_in_other_ways_are_read(tag, whole):
    """By another writer of format 1, even inside a letter."""
    raw = whole.encode() if isinstance(whole, str) else bytes(whole)
    store = {}
    node = b"C" + tag + varint(len(raw)) + varint(2)
    for part in (raw[:3], raw[3:]):
        data = tag + varint(len(part)) + part
        object_id = hashlib.sha256(data).hexdigest()
        store[object_id] = data
        node += bytes.fromhex(object_id) + varint(len(part))
    store["root"] = node
    again = Decoder(store.__getitem__).decode("root")
    assert type(again) is type(whole)
    assert again == whole


def words(seed, size):
    source = random.Random(seed)
    vocabulary = ["".join(source.choices("bcdfghklmnprstvwaeiouäß", k=source.randint(2, 9))) for _ in range(3000)]
    return " ".join(source.choices(vocabulary, k=size // 7))


DOCUMENTS = {
    "prose": words(1, 1_000_000),
    "table": "".join(f"{i},{i * 37 % 1000},result {i % 7}\n" for i in range(60_000)),
    "much the same": json.dumps([{"tool": "search", "n": i, "text": f"result {i} " * 9} for i in range(8000)]),
    "letters of three bytes": "".join(
        random.Random(3).choices("検索結果の一覧を表示します、東京都新宿区。", k=300_000)
    ),
    "random bytes": random.Random(4).randbytes(1_000_000),
    "numbers": bytearray(b"".join((i * i).to_bytes(5, "big") for i in range(200_000))),
}


@pytest.mark.parametrize("change", ["insert", "delete", "append"])
@pytest.mark.parametrize("name", DOCUMENTS)
def test_an_edited_document_shares_most_of_itself(name, change):
    before = DOCUMENTS[name]
    piece = type(before)(b"a few new words") if not isinstance(before, str) else "a few new wörds"
    middle = len(before) // 2
    if change == "insert":
        after = before[:middle] + piece + before[middle:]
    elif change == "delete":
        after = before[:middle] + before[middle + 999 :]
    else:
        after = before + piece
    old, new = objects(before), objects(after)
    assert len(old) > 5
    assert sum(len(new[i]) for i in new.keys() - old.keys()) <= 2 * texts.CHUNK_MAX
    assert all(len(data) <= texts.CHUNK_MAX + 8 for data in new.values())
    encoded = ENCODER.encode(after)
    again = Decoder(dict(encoded.objects).__getitem__).decode(encoded.id)
    assert type(again) is type(after)
    assert again == after


def test_the_parts_of_a_str_are_texts_themselves():
    for document in ("prose", "letters of three bytes"):
        for object_id, data in objects(DOCUMENTS[document]).items():
            if data[:1] == b"s":
                part = Decoder({object_id: data}.__getitem__).decode(object_id)
                assert ENCODER.digest(part) == object_id


@pytest.mark.parametrize("size", [texts.SPLIT_MIN, texts.SPLIT_MIN + 1, texts.CHUNK_MAX, texts.CHUNK_MAX + 1, 400_000])
@pytest.mark.parametrize("make", [bytes, lambda n: "x" * n, lambda n: "é" * (n // 2)])
def test_monotonous_texts_are_cut_by_size_alone(make, size):
    value = make(size)
    encoded = ENCODER.encode(value)
    assert Decoder(dict(encoded.objects).__getitem__).decode(encoded.id) == value
    assert len(encoded.objects) <= 1 + -(-size // texts.CHUNK_MAX)


def test_texts_that_are_cut_are_remembered_and_returned():
    for document in ("prose", "random bytes"):
        first = ENCODER.encode(DOCUMENTS[document])
        assert ENCODER.encode(DOCUMENTS[document]).objects == first.objects
        assert ENCODER.encode(DOCUMENTS[document], {object_id for object_id, _ in first.objects}).objects == []
    short = objects("x" * (texts.CHUNK_MAX + 5))  # two parts: the concatenation stands in its parent
    assert objects(["x" * (texts.CHUNK_MAX + 5)]).items() >= {i: d for i, d in short.items() if d[:1] != b"C"}.items()


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32), st.integers(33_000, 90_000), st.sampled_from([2, 5, 40, 3000]))
def test_texts_of_any_alphabet_come_back(seed, size, alphabet):
    source = random.Random(seed)
    value = "".join(source.choices([chr(0x61 + i) for i in range(alphabet)], k=size))
    encoded = ENCODER.encode([value])
    assert Decoder(dict(encoded.objects).__getitem__).decode(encoded.id) == [value]


EQUAL_BUT_DIFFERENT = [
    *({"a": 1}, {"a": True}, {"a": 1.0}, {"a": 0.0}, {"a": -0.0}, {"a": 0}, {"a": False}, {"a": None}),
    *({1: "a"}, {True: "a"}, {1.0: "a"}, {"a": "b"}, {"a": b"b"}, {"a": bytearray(b"b")}),
    *({"a": {"x": 1}}, {"a": {"x": True}}, {"a": {"x": 1.0}}, {"a": [b"b"]}, {"a": [bytearray(b"b")]}, {"a": ["b"]}),
    *({"a": (1, 2)}, {"a": [1, 2]}, {"a": [True, 2]}, {"a": [0.0]}, {"a": [-0.0]}, {"a": {1, 2}}),
]


def test_equal_dicts_of_different_types_are_never_taken_for_each_other():
    """Dicts are remembered by content, and 1 == 1.0 == True: each must meet only its own kind, in any order."""
    alone = {repr(v): Encoder().digest([v]) for v in EQUAL_BUT_DIFFERENT}
    assert len(set(alone.values())) == len(EQUAL_BUT_DIFFERENT)
    for value in [*EQUAL_BUT_DIFFERENT, *reversed(EQUAL_BUT_DIFFERENT), *EQUAL_BUT_DIFFERENT]:
        encoded = Encoder().encode([value])
        assert encoded.id == alone[repr(value)]
        again = Decoder(dict(encoded.objects).__getitem__).decode(encoded.id)
        assert repr(again) == repr([value])


@pytest.mark.parametrize(
    "part", [{"role": "user", "text": "t" * 600}, {"role": "user", "parts": [{"text": "t" * 600}]}]
)
def test_a_remembered_dict_is_still_returned_to_a_store_that_lacks_it(part):
    first = ENCODER.encode([part])
    assert len(first.objects) > 1
    assert ENCODER.encode([part]).objects == first.objects
    assert ENCODER.encode([part], {object_id for object_id, _ in first.objects}).objects == []
    assert len(ENCODER.encode([part, part]).objects) == len(first.objects)


@pytest.mark.parametrize("part", [{"role": "user", "text": "short"}, {"role": "user", "parts": [{"text": "short"}]}])
def test_a_change_in_place_is_seen_in_what_is_remembered(part):
    history = [part]
    before = ENCODER.digest(history)
    inner = part.get("parts", [part])[0]
    inner["text"] = "other"
    changed = ENCODER.digest(history)
    inner["text"] = "short"
    assert changed != before == ENCODER.digest(history)


def test_memory_of_dicts_is_bounded():
    dicts = memo.Dicts(10_000)
    for i in range(200):
        dicts.put((0, ("k", i)), 100, (b"", ()))
    assert len(dicts.young) + len(dicts._old) <= 2 * 10_000 / 600
    dicts.put((0, "huge"), 5000, (b"", ()))
    assert dicts.get((0, "huge")) is None


def test_dicts_of_other_types_are_not_remembered():
    class Odd(str):
        __slots__ = ()

    assert memo.Dicts(100).shape((str, Odd)) is None
    assert memo.flat_size(("a", 0.0)) is None
    assert memo.flat_size(("a", float("nan"))) is None
    assert memo.nested_key({"a": [object()]}) is None
    assert memo.nested_key({"a": ["x" * 100_000]}) is None
    assert not memo.is_plain({"a": [b"raw"]})
    assert not memo.is_plain({"a": {1}})
    loop = []
    loop.append(loop)
    assert not memo.is_plain(loop)
