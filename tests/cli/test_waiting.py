"""Questions on the command line: where answers come from, rejections, deadlines, what is shown safely, a worker."""

import json
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

FLOWS = """
import os
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator

import kitaru
from kitaru import checkpoint, flow


def even(n: int) -> int:
    if n % 2:
        raise ValueError("odd")
    return n


@checkpoint
def publish(what: object) -> object:
    return what


@flow
def approval() -> object:
    return publish(kitaru.wait("approve", "Right?"))


@flow
def text() -> str:
    return publish(kitaru.wait("words", "Say it", schema=str))


@flow
def number() -> int:
    return publish(kitaru.wait("n", "How many?", schema=Annotated[int, AfterValidator(even)]))


@flow
def late() -> bool:
    return publish(kitaru.wait("approve", "Right?", deadline=0.001, default=False))


@flow
def soon() -> bool:
    return publish(kitaru.wait("approve", "Right?", deadline="3d", default=False))


@flow
def lapses() -> bool:
    return publish(kitaru.wait("approve", "Right?", deadline=0.001))


@flow
def hostile() -> bool:
    return publish(kitaru.wait("approve", os.environ["HOSTILE"] * int(os.environ.get("TIMES", "1"))))
"""


@pytest.fixture
def project(kitaru, directory):
    (directory / "asks.py").write_text(FLOWS)
    assert kitaru("init").code == 0
    yield kitaru
    sys.modules.pop("asks", None)


def asked(project, flow, **_):
    assert project("run", "-q", f"asks.py:{flow}").code == 3


def only_wait(project, *words):
    (found,) = json.loads(project("waits", "-o", "json", *words).out)["waits"]
    return found


# -- where an answer comes from ------------------------------------------------------------


def test_from_a_file(project, directory):
    asked(project, "text")
    (directory / "reply.md").write_text("two\nlines\n")
    assert project("answer", "-q", "@", "--from-file", "reply.md").out == "two\nlines\n"


def test_from_stdin(project, directory):
    asked(project, "text")
    program = [sys.executable, "-m", "kitaru", "answer", "-q", "@", "-"]
    ended = subprocess.run(program, input=b"from afar\n", capture_output=True, check=False, timeout=60)
    assert ended.stdout == b"from afar\n", ended.stderr


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--from-file", "nowhere"], "cannot read nowhere: No such file"),
        (["words", "x", "--from-file", "reply"], "two answers"),
        (["--from-file", "bytes"], "no UTF-8 text"),
    ],
    ids=["absent", "two", "bytes"],
)
def test_a_file_that_gives_no_answer(project, directory, words, told):
    asked(project, "text")
    (directory / "bytes").write_bytes(b"\xff")
    ended = project("answer", "@", *words)
    assert (ended.code, told in ended.err) == (2, True), ended.err
    assert only_wait(project)["given"] is None


def test_a_note_is_kept(project):
    asked(project, "approval")
    project("answer", "-q", "@", "true", "--note", "as agreed", "--by", "bob")
    assert "as agreed" in project("show", "@:approve").out


# -- cancelling ------------------------------------------------------------


def test_a_question_of_a_cancelled_run_is_closed_by_that(project):
    asked(project, "approval")
    assert only_wait(project)["state"] == "open"
    project("cancel", "@", "--reason", "no need")
    assert re.search(r"waits +approve \(closed by the cancel\)", project("show", "@").out)
    assert re.search(r"approve +closed +Right", project("log", "@").out)
    found = only_wait(project, "--all")
    assert (found["state"], found["open"]) == ("closed by the cancel", False)


# -- rejecting ------------------------------------------------------------


def test_a_rejection(project):
    asked(project, "approval")
    ended = project("answer", "@", "--reject", "--note", "too dear", "--by", "bob")
    assert ended.code == 0
    assert re.fullmatch(r"run \w+ is rejected\n", ended.out)
    second = project("answer", "@", "approve", "true")
    assert second.code == 6
    assert "approve of run" in second.err
    assert "was rejected by bob at 2026-01-01" in second.err
    assert "cancelled" in project("status").out + project("log").out
    assert "rejected by bob: too dear" in project("show", "@:approve").out
    assert only_wait(project, "--all")["state"] == "rejected"
    assert project("resume", "@").code == 2


def test_a_rejection_as_json(project):
    asked(project, "approval")
    document = json.loads(project("answer", "@", "--abort", "-o", "json").out)
    assert (document["rejected"], document["ended"]) == (True, True)


# -- what used to be told wrongly ------------------------------------------------------------


def test_why_the_codes_own_type_refused_an_answer_is_told(project):
    asked(project, "number")
    ended = project("answer", "-q", "@", "3", "--by", "bob")
    assert ended.code == 3
    assert re.search("refused: bob answered, but .*odd", ended.err)
    assert "kitaru answer" in ended.err
    assert project("answer", "-q", "@", "4").out == "4\n"


def test_no_value_for_a_wait_that_is_answered_says_who_answered_it(project):
    asked(project, "approval")
    project("answer", "-q", "@", "true", "--by", "bob")
    ended = project("answer", "@", "approve")
    assert ended.code == 6
    assert "was answered by bob" in ended.err


# -- deadlines ------------------------------------------------------------


def test_a_deadline_is_told_and_what_comes_then(project):
    asked(project, "soon")
    wait = only_wait(project)
    assert wait["deadline"] > wait["asked"]
    assert wait["default"]
    for words in (["waits"], ["show", "@:approve"]):
        assert re.search(r"until 2026-01-04 00:00:00\S* \(for 2 d 23 h\), then false", project(*words).out)


def test_a_default_is_told(project):
    ended = project("run", "asks.py:late")
    assert (ended.code, ended.out) == (3, "") or ended.out == "false\n"
    if ended.code == 3:
        ended = project("resume", "@")
        assert ended.out == "false\n"
    assert "its deadline has passed, answered by default" in ended.err
    assert "answered by default: false" in project("waits", "--all").out
    late = project("answer", "@", "approve", "true")
    assert late.code == 6
    assert "was answered by default at 2026" in late.err


def test_an_expiry_is_told(project):
    ended = project("run", "asks.py:lapses")
    if ended.code == 3:
        ended = project("resume", "@")
    assert ended.code == 1
    assert "nobody answered approve of run" in ended.err
    assert "--answer approve=VALUE" in ended.err
    assert "expired" in project("waits", "--all").out
    assert project("waits").out == ""


# -- shown safely ------------------------------------------------------------


HOSTILE = (
    "\x1b[2J\x1b]0;owned\x07[bold red]x[/] \u202egnp.exe \u0085 \x9b31m \ud800 [link=javascript:x]y[/link]\r\nnext"
)


def is_safe(text):
    return not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]", text)


def test_a_question_that_would_act_on_the_terminal_is_shown_as_it_is(project, directory, monkeypatch):
    monkeypatch.setenv("HOSTILE", HOSTILE.encode("utf-8", "surrogatepass").decode("utf-8", "replace"))
    ended = project("run", "asks.py:hostile")
    assert ended.code == 3
    pages = [project(*words) for words in (["waits"], ["status"], ["log", "@"], ["show", "@"], ["show", "@:approve"])]
    pages += [project("logs", "@"), project("waits", "--all"), project("answer", "@", "maybe")]
    for page in [ended, *pages]:
        assert is_safe(page.out), page.out
        assert is_safe(page.err), page.err
    assert "[bold red]x[/]" in pages[0].out
    assert r"\x1b[2J" in pages[0].out
    assert only_wait(project)["question"].startswith("\x1b[2J")


def test_a_question_of_ten_megabytes(project, monkeypatch):
    monkeypatch.setenv("HOSTILE", "a line of text\n")
    monkeypatch.setenv("TIMES", str(10 * 1024 * 1024 // 15))
    assert project("run", "-q", "asks.py:hostile").code == 3
    shown = project("waits").out
    assert len(shown) < 100_000
    assert re.search(r"more characters: kitaru show \w+:approve", shown)
    assert len(project("show", "@:approve").out) > 10_000_000
    assert len(project("log", "@").out) < 1000
    assert project("answer", "-q", "@", "true").out == "true\n"


# -- in the background, and a worker ------------------------------------------------------------


def kitaru_(directory, *words, **options):
    return subprocess.run(
        [sys.executable, "-m", "kitaru", *words], cwd=directory, capture_output=True, check=False, timeout=60, **options
    )


def test_carried_on_in_the_background(project, directory):
    asked(project, "text")
    document = json.loads(project("answer", "@", "x", "--detach", "-o", "json").out)
    assert (document["recorded"], document["detached"]) == (True, True)
    followed = kitaru_(directory, "logs", "-f", "--wait", document["run"])
    assert followed.returncode == 0
    shown = json.loads(kitaru_(directory, "log", "@", "-o", "json").stdout)
    assert shown["run"]["status"] == "completed" if "run" in shown and isinstance(shown["run"], dict) else True
    assert "completed" in project("log").out


def test_a_worker_carries_on_what_was_answered_and_ends(project, directory):
    for _ in range(3):
        asked(project, "approval")
    for revision in ("@", "@~1"):
        assert project("answer", revision, "true", "--no-resume").code == 0
    ended = kitaru_(directory, "work", "--once", "-j", "2", "-o", "json")
    assert ended.returncode == 0, ended.stderr
    events = [json.loads(line) for line in ended.stdout.splitlines()]
    assert sorted(e["event"] for e in events) == ["end", "end", "start", "start"]
    assert {(e["status"], e["code"], e["why"]) for e in events if e["event"] == "end"} == {("completed", 0, "answered")}
    assert len(json.loads(project("waits", "-o", "json").out)["waits"]) == 1
    assert kitaru_(directory, "work", "--once").stdout == b""


def test_a_worker_says_why_a_run_came_no_further(project, directory):
    asked(project, "approval")
    assert project("answer", "@", "true", "--no-resume").code == 0
    file = directory / "asks.py"
    file.write_text(FLOWS + "\nthis is no python\n")
    ended = kitaru_(directory, "work", "--once")
    assert ended.returncode == 0
    assert re.search(r"came no further: error: .*asks\.py", ended.stdout.decode())
    file.write_text(FLOWS)
    assert b"completed" in kitaru_(directory, "work", "--once").stdout


def test_a_worker_drains_when_it_is_asked_to_end(project, directory):
    asked(project, "approval")
    assert project("answer", "@", "true", "--no-resume").code == 0
    worker = subprocess.Popen(
        [sys.executable, "-m", "kitaru", "work"],
        cwd=directory,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    guard = threading.Timer(60, worker.kill)
    guard.start()
    try:
        assert "was answered" in worker.stdout.readline()
        worker.send_signal(signal.SIGTERM)
        out, err = worker.communicate()
    finally:
        guard.cancel()
    assert (worker.returncode, err) == (0, "")
    assert "completed" in out
    assert Path(directory).exists()


def test_an_answer_that_is_an_object_is_told_on_one_line(project, directory):
    (directory / "asks.py").write_text(
        FLOWS.replace("schema=str", "schema=dict[str, int]").replace("-> str", "-> object")
    )
    asked(project, "text")
    assert project("answer", "-q", "@", '{"a": 1, "b": 2}', "--by", "bob").code == 0
    assert 'answered by bob: {"a": 1, "b": 2}\n' in project("waits", "--all").out
