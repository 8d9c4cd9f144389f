"""When a schedule is due: days on which the clock changes, ticks that nobody was there for, and names of ticks."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from kitaru.errors import UsageError
from kitaru.model.ids import is_run_id
from kitaru.project.ticks import MAX_CAUGHT_UP, Cron, due_ticks, local, tick_id, zone_of_machine

BERLIN, NEW_YORK = "Europe/Berlin", "America/New_York"
MINUTE = 60_000_000


def us(text, tz="UTC"):
    return int(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(tz)).timestamp()) * 1_000_000


def found(line, tz, after, until):
    cron = Cron(line, tz)
    ticks = cron.latest(us(after, tz), us(until, tz))
    walked, at = [], us(after, tz)
    while (at := cron.first_after(at)) <= us(until, tz):
        walked.append(at)
    assert ticks == walked, "backwards as forwards"
    return [local(tick, tz).isoformat(" ", "minutes") for tick in ticks]


@pytest.mark.parametrize(
    ("line", "tz", "after", "until", "expected"),
    [
        # The hour after 2 does not exist: what is due in it is due when it is over, once.
        (
            "30 2 * * *",
            BERLIN,
            "2026-03-28T00:00",
            "2026-03-30T12:00",
            ["2026-03-28 02:30+01:00", "2026-03-29 03:00+02:00", "2026-03-30 02:30+02:00"],
        ),
        (
            "30 2 * * *",
            NEW_YORK,
            "2026-03-07T00:00",
            "2026-03-09T12:00",
            ["2026-03-07 02:30-05:00", "2026-03-08 03:00-04:00", "2026-03-09 02:30-04:00"],
        ),
        # An hour comes twice: the first of them counts.
        (
            "30 2 * * *",
            BERLIN,
            "2026-10-24T00:00",
            "2026-10-26T12:00",
            ["2026-10-24 02:30+02:00", "2026-10-25 02:30+02:00", "2026-10-26 02:30+01:00"],
        ),
        (
            "30 1 * * *",
            NEW_YORK,
            "2026-10-31T00:00",
            "2026-11-02T12:00",
            ["2026-10-31 01:30-04:00", "2026-11-01 01:30-04:00", "2026-11-02 01:30-05:00"],
        ),
        # What is due every so often goes on through both.
        (
            "30 * * * *",
            NEW_YORK,
            "2026-11-01T00:00",
            "2026-11-01T02:45",
            ["2026-11-01 00:30-04:00", "2026-11-01 01:30-04:00", "2026-11-01 01:30-05:00", "2026-11-01 02:30-05:00"],
        ),
        (
            "*/30 * * * *",
            BERLIN,
            "2026-03-29T01:00",
            "2026-03-29T03:30",
            ["2026-03-29 01:30+01:00", "2026-03-29 03:00+02:00", "2026-03-29 03:30+02:00"],
        ),
        (
            "0 9 * * 1-5",
            BERLIN,
            "2026-03-27T10:00",
            "2026-03-31T10:00",
            ["2026-03-30 09:00+02:00", "2026-03-31 09:00+02:00"],
        ),
        (
            "0 0 29 2 *",
            "UTC",
            "2026-01-01T00:00",
            "2033-01-01T00:00",
            ["2028-02-29 00:00+00:00", "2032-02-29 00:00+00:00"],
        ),
    ],
)
def test_which_moments_a_line_names(line, tz, after, until, expected):
    assert found(line, tz, after, until) == expected


@pytest.mark.parametrize(
    ("line", "tz", "told"),
    [
        ("0 9 * *", "UTC", "no cron line of five fields"),
        ("0 9 * * 1-5 2026", "UTC", "no cron line of five fields"),
        ("@daily", "UTC", "no cron line of five fields"),
        ("61 * * * *", "UTC", "Bad minute"),
        ("0 0 30 2 *", "UTC", "no cron line"),
        ("x * * * *", "UTC", "no cron line"),
        ("0 9 * * *", "Mars/Olympus", "no time zone"),
        ("0 9 * * *", "../../etc/passwd", "no time zone"),
        ("0 9 * * *", "", "no time zone"),
        ("0 9 * * *", "Europe", "no time zone"),
    ],
)
def test_what_is_no_line_or_zone_is_told(line, tz, told):
    with pytest.raises(UsageError, match=told):
        Cron(line, tz).check()


HOURLY = Cron("0 * * * *", "UTC")
T = us("2026-06-01T00:00")
HOUR = 60 * MINUTE


@pytest.mark.parametrize(
    ("catch_up", "now", "looked", "expected"),
    [
        ("none", T + 59 * MINUTE, 0, []),
        ("none", T + HOUR, 0, [1]),
        ("none", T + HOUR + MINUTE - 1, 0, [1]),
        ("none", T + HOUR + MINUTE, 0, []),
        ("none", T + HOUR + 30 * MINUTE, T + 59 * MINUTE, [1]),  # who looked was there, and only slow
        ("last", T + HOUR + 30 * MINUTE, 0, [1]),
        ("last", T + 3 * HOUR + 30 * MINUTE, 0, [3]),
        ("last", T + 3 * HOUR, 0, [3]),
        ("last", T + 30 * MINUTE, 0, []),
        ("all", T + 3 * HOUR + 30 * MINUTE, 0, [1, 2, 3]),
        ("all", T + 3 * HOUR, T + 2 * HOUR, [1, 2, 3]),
    ],
)
def test_what_is_due_by_how_it_is_caught_up(catch_up, now, looked, expected):
    assert due_ticks(HOURLY, catch_up, T, now, looked) == [T + n * HOUR for n in expected]


def test_no_more_than_a_thousand_are_caught_up_the_latest_ones():
    now = T + 5000 * HOUR
    ticks = due_ticks(HOURLY, "all", T, now)
    assert len(ticks) == MAX_CAUGHT_UP == 1000
    assert (ticks[0], ticks[-1]) == (T + 4001 * HOUR, now)


def test_a_tick_has_one_name_everywhere():
    assert tick_id("daily", T) == "vyeuutrwbz"
    ids = {tick_id(name, T + n) for name in ("daily", "daily2", "d", "é", "\ud800") for n in range(200)}
    assert len(ids) == 1000
    assert all(map(is_run_id, ids))


def test_the_zone_of_this_machine(monkeypatch):
    monkeypatch.setenv("TZ", "Asia/Kolkata")
    assert zone_of_machine() == "Asia/Kolkata"
    monkeypatch.setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")
    assert zone_of_machine() == "UTC"
    monkeypatch.delenv("TZ")
    assert ZoneInfo(zone_of_machine())
