"""Output of calls in flight: read by another while it is written, bounded, and believed only in its right form."""

from __future__ import annotations

import json
import os

import pytest

from kitaru.store import live
from kitaru.store.live import LiveReader, LiveWriter, Piece


def piece(text, *, order=1, began=5, stream="stdout", start=0):
    return Piece("fetch", order, began, stream, start, 7, text)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "cache/live/abc"


@pytest.fixture
def writer(path):
    made = LiveWriter(path)
    yield made
    made.close()


def texts(reader):
    return [p.text for p in reader.read()]


def test_lines_are_read_as_they_come(writer, path):
    reader = LiveReader(path)
    assert reader.read() == []
    writer.add(piece("one\n"))
    assert reader.read() == [piece("one\n")]
    assert reader.read() == []
    writer.add(piece("tw"))
    assert reader.read() == []
    writer.add(piece("o\n"))
    assert reader.read() == [piece("two\n", start=4)]


def test_nothing_is_made_for_who_writes_nothing(writer, path):
    writer.flush(1)
    writer.forget(1)
    writer.close()
    assert not path.parent.exists()


def test_a_line_that_is_flushed_or_long_is_written_before_it_ends(writer, path):
    reader = LiveReader(path)
    writer.add(piece("now"))
    writer.add(piece("other", order=2))
    writer.flush(1)
    assert texts(reader) == ["now"]
    writer.add(piece("x" * live.MAX_HELD))
    assert texts(reader) == []
    writer.add(piece("y"))
    (long,) = reader.read()
    assert (long.start, len(long.text)) == (3, live.MAX_HELD + 1)


def test_streams_attempts_and_calls_are_counted_apart(writer, path):
    reader = LiveReader(path)
    for given in (
        piece("a\n"),
        piece("b\n", stream="stderr"),
        piece("c\n", order=2),
        piece("d\n", began=6),
        piece("e\n"),
    ):
        writer.add(given)
    assert [p.start for p in reader.read()] == [0, 0, 0, 0, 2]


def test_what_an_attempt_had_not_ended_is_no_part_of_the_next(writer, path):
    reader = LiveReader(path)
    writer.add(piece("half"))
    writer.add(piece("whole\n", began=6))
    assert [(p.text, p.start) for p in reader.read()] == [("whole\n", 0)]


def test_a_call_that_is_over_leaves_nothing(writer, path):
    writer.add(piece("a\n"))
    writer.add(piece("half"))
    writer.forget(1)
    assert (writer._ends, writer._held) == ({}, {})


def test_it_is_bounded_and_the_reader_follows(writer, path, monkeypatch):
    monkeypatch.setattr(live, "MAX_FILE", 1000)
    reader = LiveReader(path)
    seen = []
    for i in range(100):
        writer.add(piece(f"line {i}\n"))
        assert path.stat().st_size <= 1000
        seen += texts(reader)
    assert seen == [f"line {i}\n" for i in range(100)]


def test_what_a_dead_process_left_is_begun_anew(path):
    path.parent.mkdir(parents=True)
    path.write_text("old\n")
    writer = LiveWriter(path)
    writer.add(piece("new\n"))
    assert texts(LiveReader(path)) == ["new\n"]
    writer.close()
    assert not path.exists()


def test_it_is_private(writer, path):
    writer.add(piece("a\n"))
    assert path.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    "line",
    [
        b"not json",
        b"[]",
        b"{}",
        b'"text"',
        b"[" * 100_000,
        json.dumps({**dict.fromkeys(live._TYPES, 1), "text": "x"}).encode(),
        json.dumps({"call": "a", "order": True, "began": 1, "stream": "", "start": 0, "at": 0, "text": ""}).encode(),
        b"\xff\xfe",
    ],
)
def test_what_has_not_the_right_form_is_not_believed(writer, path, line):
    writer.add(piece("a\n"))
    with path.open("ab") as file:
        file.write(line + b"\n")
    writer.add(piece("b\n"))
    assert texts(LiveReader(path)) == ["a\n", "b\n"]


def test_neither_a_link_nor_a_pipe_is_followed(tmp_path, path):
    path.parent.mkdir(parents=True)
    (tmp_path / "secret").write_text("secret\n")
    path.symlink_to(tmp_path / "secret")
    assert LiveReader(path).read() == []
    writer = LiveWriter(path)
    writer.add(piece("a\n"))
    writer.close()
    assert (tmp_path / "secret").read_text() == "secret\n"
    os.mkfifo(path)
    assert LiveReader(path).read() == []


def test_a_disk_that_refuses_changes_nothing(tmp_path):
    (tmp_path / "cache").write_text("a file, and no directory")
    writer = LiveWriter(tmp_path / "cache/live/abc")
    writer.add(piece("a\n"))
    writer.close()


def test_a_store_without_a_disk():
    writer, reader = LiveWriter(None), LiveReader(None)
    writer.add(piece("a\n"))
    writer.flush(1)
    writer.close()
    assert reader.read() == []
