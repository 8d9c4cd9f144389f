"""Nothing that a run says can act on a terminal."""

import json

import pytest

BAD = ["\x1b", "\x07", "\x9b"]


@pytest.fixture
def hostile(project):
    ended = project("run", "flows.py:hostile", "--tag", "t\x1b[31m[red]\nx")
    assert ended.code == 3
    return project, ended


@pytest.mark.parametrize(
    "words",
    [
        ["log"],
        ["log", "@"],
        ["status"],
        ["waits"],
        ["show"],
        ["show", "@:evil"],
        ["show", "@:sure"],
        ["log", "-o", "json"],
        ["waits", "-o", "json"],
        ["show", "@:evil", "-o", "json"],
    ],
)
def test_pages(hostile, words):
    project, _ = hostile
    ended = project(*words)
    assert ended.code == 0
    assert not [bad for bad in BAD if bad in ended.out + ended.err]
    if "json" in words:
        json.loads(ended.out)


def test_what_is_shown_is_the_text_itself(hostile):
    project, ended = hostile
    assert r"\x1b[2Jgone" in ended.err
    assert r"q\x1b[31m[red]" in project("waits").out
    assert r"a\x1b[31m[red]" in project("show", "@:evil").out
    assert r"#t\x1b[31m[red]\nx" in project("log").out


def test_progress_and_errors(hostile, project):
    _, ended = hostile
    assert not [bad for bad in BAD if bad in ended.err]
    ended = project("run", "flows.py:bad", "why=\x1b[31m[red]\nmore")
    assert not [bad for bad in BAD if bad in ended.err]
    assert r"\x1b[31m[red]" in ended.err


def test_a_text_result_is_exact_in_a_pipe_only(project, monkeypatch, capsys):
    from kitaru.cli.carry import write_result

    write_result("a\x1b[31m")
    assert capsys.readouterr().out == "a\x1b[31m\n"
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    write_result("a\x1b[31m")
    assert capsys.readouterr().out == "a\\x1b[31m\n"
