"""What reaches a screen is harmless, and fits."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kitaru.cli.text import age, cells, clean, clip, duration, iso, local_time, one_line, since
from kitaru.errors import UsageError


@given(st.text())
def test_clean_text_has_nothing_a_terminal_acts_on(text):
    assert not any(ord(c) < 32 or 127 <= ord(c) < 160 or 0xD800 <= ord(c) < 0xE000 for c in clean(text))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred\x1b[0m", r"\x1b[31mred\x1b[0m"),
        ("[red]markup[/red]", "[red]markup[/red]"),
        ("a\nb\tc\rd", r"a\nb\tc\rd"),
        ("\x9b31m", r"\x9b31m"),
        ("abc\u202edef", r"abc\u202edef"),
        ("\ud800", r"\ud800"),
        ("\x00\x07\x08\x7f", r"\x00\x07\x08\x7f"),
        ("naïve 日本 🙂", "naïve 日本 🙂"),
    ],
)
def test_clean(text, shown):
    assert clean(text) == shown


def test_clean_lines_keeps_layout_only():
    assert clean("a\n\tb\x1b[2J\rc", lines=True) == "a\n\tb\\x1b[2J\\rc"


@given(st.text(st.characters(exclude_categories=["C"])), st.integers(1, 30))
def test_clip_never_exceeds_its_width(text, width):
    assert cells(clip(text, width)) <= width


def test_clip_marks_what_it_cut():
    assert clip("abcdef", 4) == "abc…"
    assert clip("日本語", 4) == "日…"
    assert clip("abcd", 4) == "abcd"


def test_one_line_takes_the_first():
    assert one_line("why?\nbecause") == "why? …"


@pytest.mark.parametrize(
    ("us", "shown"),
    [
        (0, "0 µs"),
        (999, "999 µs"),
        (12_345, "12 ms"),
        (3_449_000, "3.4 s"),
        (59_949_000, "59.9 s"),
        (59_960_000, "59 s"),
        (125_000_000, "2 m 05 s"),
        (3 * 3600_000_000 + 12 * 60_000_000, "3 h 12 m"),
        (98 * 3600_000_000, "4 d 02 h"),
    ],
)
def test_duration(us, shown):
    assert duration(us) == shown


@pytest.mark.parametrize(("ago_s", "shown"), [(0, "just now"), (1, "1 second ago"), (7200, "2 hours ago")])
def test_age(ago_s, shown):
    assert age(10**15, 10**15 + ago_s * 1_000_000) == shown


def test_times_in_json():
    assert iso(1_700_000_000_123_456) == "2023-11-14T22:13:20.123456+00:00"
    assert iso(0) is None


def test_since():
    now = 1_700_000_000_000_000
    assert since("7d", now) == now - 7 * 86400 * 1_000_000
    assert since("2023-11-14T22:13:20+00:00", now) == now
    with pytest.raises(UsageError, match="not a time"):
        since("yesterday-ish", now)


@pytest.mark.parametrize("at", [-(2**70), -1, 2**62, 2**70, 253_402_300_800_000_000])
def test_a_time_that_no_calendar_has_is_told_all_the_same(at):
    assert (local_time(at)[:4], (iso(at) or "")[:4]) in (
        (("9999", "9999"),) if at > 0 else (("1970",) * 2, ("1969", "1970"))
    )
