"""Run ids, call names and revisions: one grammar."""

from __future__ import annotations

import os

import pytest

from kitaru.errors import BadRevision, UnknownRun
from kitaru.model.ids import (
    RUN_ALPHABET,
    RUN_ID_LENGTH,
    CallName,
    Revision,
    display_call,
    is_call_name,
    is_run_id,
    is_run_prefix,
    new_run_id,
    parse_call,
    parse_revision,
)


def test_run_ids_come_from_the_injected_source_alone():
    assert new_run_id(lambda n: bytes(n)) == RUN_ALPHABET[0] * RUN_ID_LENGTH
    assert new_run_id(lambda n: b"\xff" * n) == new_run_id(lambda n: b"\xff" * n)
    ids = {new_run_id(os.urandom) for _ in range(200)}
    assert len(ids) == 200
    assert all(is_run_id(i) for i in ids)


def test_no_letter_of_a_run_id_is_mistaken_for_another():
    assert not set("01oil") & set(RUN_ALPHABET)
    assert len(set(RUN_ALPHABET)) == len(RUN_ALPHABET) == 31


@pytest.mark.parametrize("text", ["", "x" * 9, "x" * 11, "XXXXXXXXXX", "xxxxxxxxx0", "xxxxxxxxx\n"])
def test_what_is_no_run_id(text):
    assert not is_run_id(text)


def test_prefixes():
    assert is_run_prefix("x")
    assert is_run_prefix("x" * 10)
    assert not is_run_prefix("")
    assert not is_run_prefix("x" * 11)


@pytest.mark.parametrize(
    ("text", "name", "nth"),
    [
        ("fetch", "fetch", None),
        ("fetch#1", "fetch", 1),
        ("fetch#20", "fetch", 20),
        ("fetch#*", "fetch", 0),
        ("fetch#0", "fetch#0", None),
        ("fetch#x", "fetch#x", None),
        ("a#1#2", "a#1", 2),
    ],
)
def test_call_names(text, name, nth):
    assert parse_call(text) == CallName(name, nth)
    assert str(parse_call(text)) == text


def test_an_empty_call_name_is_refused():
    with pytest.raises(BadRevision, match="empty"):
        parse_call("")


@pytest.mark.parametrize(
    ("text", "revision"),
    [
        ("@", Revision(0, None)),
        ("@~0", Revision(0, None)),
        ("@~12", Revision(12, None)),
        ("abc", Revision(None, "abc")),
        ("ABC", Revision(None, "abc")),
        (":plan", Revision(0, None, CallName("plan"))),
        ("@:plan", Revision(0, None, CallName("plan"))),
        ("@~2:plan#3", Revision(2, None, CallName("plan", 3))),
        ("abc:fetch#*", Revision(None, "abc", CallName("fetch", 0))),
        ("abc:a:b", Revision(None, "abc", CallName("a:b"))),
    ],
)
def test_revisions(text, revision):
    assert parse_revision(text) == revision


@pytest.mark.parametrize("text", ["", "@@", "@~", "@~-1", "~1", "abc~1", "abc:", "@~9999999999", "a b", "f.py"])
def test_what_is_no_revision(text):
    with pytest.raises(BadRevision):
        parse_revision(text)


@pytest.mark.parametrize("text", ["l0", "nope", "x" * 11, "nope:plan"])
def test_a_word_that_no_run_id_begins_with(text):
    with pytest.raises(UnknownRun, match=f"no run matches '{text.partition(':')[0]}'"):
        parse_revision(text)


def test_the_first_call_is_shown_without_a_number():
    assert display_call("fetch", 1) == "fetch"
    assert display_call("fetch", 2) == "fetch#2"


@pytest.mark.parametrize("name", ["fetch", "fetch_2", "fetch-all", "prüfe", "ask.it", "a=b", "a+b"])
def test_names_that_can_be_typed(name):
    assert is_call_name(name)
    assert parse_revision(f"@:{name}").call == CallName(name)


@pytest.mark.parametrize(
    "name", ["", "a b", "a\tb", "a\u00a0b", "a:b", "a#2", "@a", "a*", "a/b", "a\x1b[31m", "a\n", "<lambda>"]
)
def test_names_that_cannot(name):
    assert not is_call_name(name)


@pytest.mark.parametrize(
    "name", ["$(id)", "`id`", "a;id", "a|id", "a&", "a>f", "a<f", "'a", '"a', "a\\", "a!1", "--yes", "~a"]
)
def test_a_name_that_a_shell_would_act_on_is_none(name):
    assert not is_call_name(name)
