"""The real program: its exit statuses, pipes, completion, and a person at a terminal."""

import hashlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pexpect
import pytest

ROOT = Path(__file__).parents[2]
PROGRAM = [sys.executable, "-m", "kitaru.cli"]
TIMEOUT_S = 60


@pytest.fixture
def there(tmp_path):
    shutil.copyfile(Path(__file__).with_name("flows.py"), tmp_path / "flows.py")
    run(tmp_path, "init")
    return tmp_path


def environment(**more):
    kept = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "KITARU_DIR", "COLUMNS", "LINES")}
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))
    return {**kept, "PYTHONPATH": path, "TERM": "xterm", **more}


def run(directory, *words, **more):
    return subprocess.run(
        [*PROGRAM, *words], cwd=directory, env=environment(**more), capture_output=True, timeout=TIMEOUT_S, check=False
    )


def at_terminal(directory, *words, columns=100):
    return pexpect.spawn(
        PROGRAM[0],
        [*PROGRAM[1:], *words],
        cwd=str(directory),
        env=environment(),
        encoding="utf-8",
        timeout=TIMEOUT_S,
        dimensions=(30, columns),
    )


def ends(child, status=0):
    """The program says nothing more, and ends with this status."""
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == status


def test_statuses_and_streams(there):
    ended = run(there, "run", "flows.py:agent", "question=hi")
    assert (ended.returncode, ended.stdout) == (3, b"")
    assert b"kitaru answer " in ended.stderr
    assert b"\x1b" not in ended.stderr
    ended = run(there, "answer", "@", "true")
    assert (ended.returncode, ended.stdout) == (0, b"2 documents\n")
    assert run(there, "run", "flows.py:bad").returncode == 1
    assert run(there, "nothing").returncode == 2


def test_raw_bytes_hash_to_their_id(there):
    run(there, "run", "flows.py:numbers")
    object_id = json.loads(run(there, "show", "-o", "json").stdout)["result"]["id"]
    assert hashlib.sha256(run(there, "cat-object", "--raw", object_id).stdout).hexdigest() == object_id


def test_a_reader_that_goes_away(there):
    run(there, "run", "flows.py:numbers", "n=0")
    reader, writer = os.pipe()
    os.close(reader)
    ended = subprocess.run(
        [*PROGRAM, "log"],
        cwd=there,
        env=environment(),
        stdout=writer,
        stderr=subprocess.PIPE,
        timeout=TIMEOUT_S,
        check=False,
    )
    os.close(writer)
    assert ended.stderr == b""


BROKEN_AT = re.compile(r"[@:=]+|[^@:=\s]+")
"""How bash splits a line into the words of COMP_WORDS, given its default COMP_WORDBREAKS."""


def bash(directory):
    """Return PATH with a `kitaru` on it, and the completion script that it prints."""
    program = directory / "bin" / "kitaru"
    program.parent.mkdir(exist_ok=True)
    program.write_text(f'#!/bin/sh\nexec {shlex.join(PROGRAM)} "$@"\n')
    program.chmod(0o755)
    shown = run(directory, "--show-completion", "bash", _TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION="1")
    return f"{program.parent}{os.pathsep}{os.environ['PATH']}", shown.stdout.decode()


def complete(directory, *words):
    """Return what the installed script's function completes in a real bash."""
    path, script = bash(directory)
    typed = ["kitaru", *(part for word in words for part in BROKEN_AT.findall(word) or [""])]
    typed += [""] * (words[-1] == "")
    call = f"COMP_WORDS=({shlex.join(typed)}); COMP_CWORD={len(typed) - 1}; _kitaru_completion kitaru"
    ended = subprocess.run(
        ["bash", "--norc", "--noprofile", "-c", f'{script}\n{call}\nprintf "%s\\n" "${{COMPREPLY[@]}}"'],
        cwd=directory,
        env=environment(PATH=path),
        capture_output=True,
        timeout=TIMEOUT_S,
        check=True,
    )
    assert ended.stderr == b""
    return ended.stdout.decode().split()


def test_completion(there):
    assert "replay" in complete(there, "re")
    run(there, "run", "flows.py:numbers", "n=2")
    run_id = json.loads(run(there, "log", "-o", "json").stdout)["runs"][0]["run"]
    assert complete(there, "show", run_id[:3]) == [run_id]
    assert complete(there, "show", f"{run_id}:sq") == ["square", "square#2"]
    assert complete(there, "show", "@:sq") == complete(there, "show", "@~0:sq") == ["square", "square#2"]
    assert complete(there, "replay", "--from", "sq") == ["square", "square#2"]
    assert "flows.py:numbers" in complete(there, "run", "flo")
    assert "--on-drift" in complete(there, "run", "--on")
    assert complete(there.parent, "show", "x") == []


def test_completion_of_versions_and_routes(there):
    run(there, "run", "flows.py:numbers", "n=2")
    run(there, "route", "set", "numbers", "stable", "v1")
    assert complete(there, "invoke", "num") == ["numbers"]
    assert complete(there, "invoke", "numbers@") == ["@stable", "@v1"]
    assert complete(there, "invoke", "numbers@s") == complete(there, "flow", "show", "numbers@s") == ["@stable"]
    assert complete(there, "schedule", "add", "daily", "numbers@s") == ["@stable"]
    assert complete(there, "diff", "numbers@v1", "numbers@") == complete(there, "diff", "@", "numbers@v") == ["@v1"]
    assert complete(there, "export", "numbers@v") == ["@v1"]
    assert complete(there, "route", "set", "numbers", "stable", "") == ["v1"]
    assert complete(there, "deploy", "flows.py:numbers", "--route", "s") == ["stable"]
    assert complete(there, "log", "--status", "comp") == ["completed"]
    for verb in ("cost", "log", "prune", "push"):
        assert complete(there, verb, "--flow", "num") == ["numbers"]
    assert complete(there, "config", "set", "on-drift", "") == ["stop", "new", "reuse"]
    assert complete(there, "diff", "@~0", "@:sq") == ["square", "square#2"]


def test_a_tab_in_an_interactive_bash(there):
    run(there, "run", "flows.py:numbers", "n=1")
    path, script = bash(there)
    (there / "script").write_text(f"{script}\nPS1='ready''> '\nbind 'set enable-bracketed-paste off'\n")
    child = pexpect.spawn(
        "bash",
        ["--norc", "--noprofile", "-i"],
        cwd=str(there),
        env=environment(PATH=path),
        encoding="utf-8",
        timeout=TIMEOUT_S,
        dimensions=(30, 100),
    )
    child.sendline(". ./script")
    typed_on = {
        "sho": "w ",
        "show @:": "square ",
        "show @:sq": "uare ",
        "show @~0:": "square ",
        "trust numbers@": "v1 ",
    }
    for typed, more in typed_on.items():
        child.expect("ready> ")
        child.send(f"kitaru {typed}\t")
        child.expect_exact(f"kitaru {typed}{more}")
        child.send("\x15\r")
    child.close()


def test_the_completion_script(there):
    shown = run(there, "--show-completion", "bash", _TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION="1")
    assert shown.returncode == 0
    assert b"_KITARU_COMPLETE=complete_bash" in shown.stdout
    assert b"_KITARU_COMPLETE=complete_bash" in run(there, _KITARU_COMPLETE="source_bash").stdout


def test_a_person_is_asked_and_the_run_goes_on(there):
    child = at_terminal(there, "run", "flows.py:agent", "question=hi")
    child.expect("plan")
    child.expect(r"Looks right\?")
    child.expect("y/n: ")
    child.sendline("perhaps")
    child.expect("answer y or n")
    child.expect("y/n: ")
    child.sendline("y")
    child.expect("reused")
    child.expect("synthesize")
    child.expect("2 documents")
    ends(child)


def test_a_choice_is_numbered(there):
    child = at_terminal(there, "run", "flows.py:choose")
    child.expect("1  red")
    child.expect("1-2: ")
    child.sendline("2")
    child.expect("green")
    ends(child)


@pytest.mark.parametrize("leave", ["empty", "ctrl-c"])
def test_leaving_a_question_open(there, leave):
    child = at_terminal(there, "run", "flows.py:agent", "question=hi", columns=40)
    child.expect("y/n: ")
    if leave == "empty":
        child.sendline("")
    else:
        child.sendintr()
    child.expect("kitaru answer ")
    ends(child, 3)


def test_no_input_never_asks(there):
    child = at_terminal(there, "run", "flows.py:agent", "question=hi", "--no-input")
    child.expect("kitaru answer ")
    ends(child, 3)


def test_answer_asks_for_a_value_that_is_left_out(there):
    run(there, "run", "flows.py:agent", "question=hi")
    child = at_terminal(there, "answer", "@")
    child.expect("y/n: ")
    child.sendline("n")
    child.expect("rejected")
    ends(child)


@pytest.mark.parametrize("words", [["run", "flows.py:order"], ["answer", "@"]], ids=str)
def test_a_person_is_told_what_a_json_answer_is_made_of_and_asked_again(there, words):
    if words[0] == "answer":
        run(there, "run", "flows.py:order")
    child = at_terminal(there, *words)
    child.expect("How much")
    child.expect("amount.*an integer, required")
    child.expect('colour.*one of "red", "blue", required')
    child.expect("for example ")
    child.expect(r"amount \(an integer\): ")
    child.sendline('{"amount": 7}')
    child.expect("colour: Field required")
    child.expect("an object with amount")
    child.expect(r"amount \(an integer\): ")
    child.sendline('{"amount": 7, "colour": "red"}')
    child.expect("7\r\n")
    ends(child)


def test_an_object_is_asked_for_field_by_field(there):
    child = at_terminal(there, "run", "flows.py:order")
    child.expect(r"amount \(an integer\): ")
    child.sendline("")
    child.expect("must have a value")
    child.expect(r"amount \(an integer\): ")
    child.sendline("many")
    child.expect("an integer")
    child.expect(r"amount \(an integer\): ")
    child.sendline("7")
    child.expect(r'colour \(one of "red", "blue"\): ')
    child.sendline("2")
    child.expect(r'note \(text; empty for ""\): ')
    child.sendline("")
    child.expect("7\r\n")
    ends(child)
    shown = json.loads(run(there, "show", "@:order", "-o", "json").stdout)
    assert shown["reply"] == {"amount": 7, "colour": "blue"}


def test_an_answer_from_elsewhere_ends_the_prompt(there):
    child = at_terminal(there, "run", "flows.py:agent", "question=hi")
    child.expect("y/n: ")
    assert run(there, "answer", "@", "true", "--by", "bob", "--no-resume").returncode == 0
    child.expect("approve was answered by bob: true")
    child.expect("2 documents")
    ends(child)


def test_a_cancel_from_elsewhere_ends_the_prompt(there):
    child = at_terminal(there, "run", "flows.py:agent", "question=hi")
    child.expect("y/n: ")
    assert run(there, "answer", "@", "--reject", "--by", "bob", "--note", "no").returncode == 0
    child.expect("approve was rejected by bob: no")
    ends(child, 9)


def test_a_call_in_flight_is_drawn_with_its_time(there):
    child = at_terminal(there, "run", "flows.py:slow")
    child.expect(r"until_told.*\d\.\d s")
    child.expect(r"until_told[^\r\n]*(0\.[1-9]|[1-9]\d*\.\d) s")  # it ticks
    (there / "go").touch()
    child.expect("told\r\n")
    ends(child)


def test_ctrl_c_stops_a_run_which_can_be_resumed(there):
    child = at_terminal(there, "run", "flows.py:slow")
    child.expect(r"until_told.*\d\.\d s")
    child.sendintr()
    child.expect("hint: kitaru resume ")
    ends(child, 130)
    assert b"Interrupted:" in run(there, "status").stdout
    (there / "go").touch()
    assert run(there, "resume", "@").stdout == b"told\n"
