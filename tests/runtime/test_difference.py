"""Where two values differ, told shortly however large they are."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from kitaru.runtime.difference import MAX_DIFF_LINES, difference


@dataclass
class Prompt:
    system: str
    rules: list[str]
    limits: dict[str, int]


LONG = "Be kind. " * 100
TEXT = "".join(f"rule {n}: be kind\n" for n in range(1000))


def test_small_values_are_shown_whole():
    told = difference("x", 1, "1")
    assert told.short == told.full == "x was 1, is now '1'"


def test_a_long_line_is_shown_where_it_differs():
    told = difference("prompt", LONG + "one" + LONG, LONG + "two" + LONG)
    assert told.short == told.full
    assert told.short.startswith("prompt differs from character 901 on: was '...")
    assert "kind. oneBe kind" in told.short
    assert "kind. twoBe kind" in told.short
    assert len(told.short) < 400


def test_a_text_gets_a_diff():
    told = difference("prompt", TEXT, TEXT.replace("rule 500: be kind", "rule 500: be brief"))
    first, *diff = told.full.splitlines()
    assert first.startswith("prompt differs from character")
    assert diff == [
        " rule 498: be kind",
        " rule 499: be kind",
        "-rule 500: be kind",
        "+rule 500: be brief",
        " rule 501: be kind",
        " rule 502: be kind",
    ]
    assert "\n" not in told.short


def test_a_text_with_nothing_in_common_is_cut():
    told = difference("prompt", TEXT, TEXT.replace("be", "do be"))
    assert len(told.full.splitlines()) <= MAX_DIFF_LINES + 2
    assert told.full.endswith("\n...")


def test_a_line_end_at_the_end():
    assert "is now" in difference("prompt", TEXT, TEXT[:-1]).full


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda p: p.rules.__setitem__(3, "new"), "prompt.rules[3] was 'rule 3', is now 'new'"),
        (lambda p: p.rules.append("more"), "prompt.rules[40] is new, 'more'"),
        (lambda p: p.rules.pop(), "prompt.rules[39] is gone, it was 'rule 39'"),
        (lambda p: p.limits.__setitem__("tokens", 5), "prompt.limits['tokens'] was 1, is now 5"),
        (lambda p: p.limits.__setitem__("tokens", True), "prompt.limits['tokens'] was 1, is now True"),
    ],
)
def test_parts_are_named_by_their_path(change, told):
    was, now = (Prompt("be kind", [f"rule {n}" for n in range(40)], {"tokens": 1}) for _ in range(2))
    change(now)
    assert difference("prompt", was, now).full == told


def test_many_parts_are_cut():
    told = difference("items", list(range(1000)), list(range(1, 1001)))
    assert told.short == "items[0] was 0, is now 1; and more"
    assert told.full.splitlines() == [*(f"items[{n}] was {n}, is now {n + 1}" for n in range(5)), "and more"]


def test_what_is_cyclic_or_huge_ends():
    was, now = list(range(200_000)), list(range(200_000))
    now[-1] = 0
    assert "items" in difference("items", was, now).short
    was, now = list(range(100)), list(range(100))
    was.append(was)
    now.append(now)
    assert "x" in difference("x", was, now).short


def test_what_looks_the_same_is_said_to():
    assert difference("d", {1: 2}, {1: 2}).short.startswith("d shows the same, {1: 2}")
