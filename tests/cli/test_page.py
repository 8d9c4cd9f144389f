"""Pages: clipped on a terminal and nowhere else, coloured only where colour is wanted, harmless always."""

import io

import pytest

from kitaru.cli.page import Page


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def narrow(monkeypatch):
    monkeypatch.setenv("COLUMNS", "10")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)


def written(stream, *spans, **kwargs):
    page = Page(stream)
    page.line(*spans, **kwargs)
    page.write()
    return stream.getvalue()


def test_a_pipe_gets_everything_and_no_colour():
    assert written(io.StringIO(), ("a" * 200, "red"), "b") == "a" * 200 + "b\n"


@pytest.mark.usefixtures("narrow")
def test_a_terminal_gets_colour_and_its_width():
    assert written(Terminal(), ("abcdef", "red"), "ghijkl") == "\x1b[31mabcdef\x1b[0mghi…\n"
    assert written(Terminal(), "abcdefghijkl", whole=True) == "abcdefghijkl\n"


@pytest.mark.usefixtures("narrow")
@pytest.mark.parametrize(("name", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_no_colour_where_none_is_wanted(monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    assert written(Terminal(), ("abc", "red")) == "abc\n"


def test_text_is_harmless():
    assert written(io.StringIO(), "\x1b[2J\n", ("[red]", "red")) == "\\x1b[2J\\n[red]\n"
    page = Page(stream := io.StringIO())
    page.block("a\n\x1b]0;title\x07", "> ")
    page.write()
    assert stream.getvalue() == "> a\n> \\x1b]0;title\\x07\n"


def test_columns_are_aligned_by_what_is_seen():
    page = Page(stream := io.StringIO())
    page.table([["日本", ("x", "red"), "1"], ["abc\n", "yy", "22"]])
    page.write()
    assert stream.getvalue() == "日本   x   1\nabc\\n  yy  22\n"


@pytest.mark.usefixtures("narrow")
def test_words_are_kept_whole_where_a_line_wraps(monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    assert (
        written(Terminal(), " one ", ("two three", "dim"), " incredible", wrap=True)
        == " one two\n   three\n   incredible\n"
    )
    assert written(io.StringIO(), "one two three four", wrap=True) == "one two three four\n"
