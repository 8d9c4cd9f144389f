"""Names become file names and back, and never meet on the way."""

from __future__ import annotations

import string
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kitaru.blobs.contract import check_key
from kitaru.store import layout

NAMES = st.text(st.characters(), min_size=1, max_size=240).filter(
    lambda name: len(name.encode("utf-8", "surrogatepass")) <= layout.MAX_NAME_BYTES
)


@given(NAMES)
def test_round_trip(name):
    assert layout.unescape(layout.escape(name)) == name


@given(NAMES)
def test_what_comes_out_survives_every_file_system(name):
    text = layout.escape(name)
    check_key(f"flows/{text}/000001")
    assert text == text.lower()
    assert text == unicodedata.normalize("NFC", text) == unicodedata.normalize("NFD", text)
    assert set(text) <= set(string.ascii_lowercase + string.digits + "-_.%/")
    assert all(part[0] != "." and len(part) <= 220 for part in text.split("/")[:1])


@given(NAMES, NAMES)
def test_two_names_never_meet(one, other):
    assert (layout.escape(one) == layout.escape(other)) == (one == other)


@given(st.text(string.ascii_letters + string.digits + "%/.-_", min_size=1))
def test_what_escape_never_makes_is_refused(text):
    try:
        name = layout.unescape(text)
    except ValueError:
        return
    assert layout.escape(name) == text


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("research_agent", "research_agent"),
        ("Research", "%52esearch"),
        ("..", "%2e%2e"),
        (".", "%2e"),
        (".hidden", "%2ehidden"),
        ("a/b", "a%2fb"),
        ("a%b", "a%25b"),
        ("é", "%c3%a9"),
        ("\ud800", "%ed%a0%80"),
        ("a" * 201, "a" * 200 + "%/a"),
        ("con.", "con%2e"),
    ],
)
def test_examples(name, text):
    assert layout.escape(name) == text
    assert layout.unescape(text) == name


@pytest.mark.parametrize("name", ["", "x" * 1001])
def test_names_that_cannot_be_kept(name):
    with pytest.raises(ValueError, match="name of"):
        layout.escape(name)


@pytest.mark.parametrize("run", ["", "x" * 201, "é" * 34])
def test_a_run_is_one_part_of_a_key(run):
    keys = (layout.run_key, layout.open_key, layout.answer_key, layout.pruned_key, layout.cancel_key, layout.lock_name)
    for key in keys:
        assert layout.unescape(key("x" * 200).rpartition("/")[2]) == "x" * 200
        with pytest.raises(ValueError, match=r"name of|id of"):
            key(run)


@pytest.mark.parametrize("part", ["000000", "1", "00001", "0000001", "00000a", "+00001", "000001/", "", "²00001"])
def test_what_is_no_number(part):
    assert layout.number_of(part) is None


@pytest.mark.parametrize("number", [1, 42, 999_999, 1_000_000, 12_345_678])
def test_numbers(number):
    assert layout.number_of(layout.numbered(number)[1:]) == number


@pytest.mark.parametrize("bad", ["../../etc/passwd", "AB" * 32, "ab" * 31, "ab" * 33, ""])
def test_an_id_that_is_none_makes_no_key(bad):
    for key in (layout.object_key, layout.segment_key):
        with pytest.raises(ValueError, match="SHA-256"):
            key(bad)
