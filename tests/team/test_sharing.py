"""Sharing runs through the binary, over a folder and a real server of S3: what goes, what is refused, what leaks."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys

import pytest

from kitaru.store import loose, runs
from kitaru.store.strand import FrameCache, read_segment
from tests.team.machines import FLOWS, ROOT

SECRETS = """
import hashlib
from kitaru import checkpoint, flow, wait

@checkpoint
def look(n: int) -> str:
    print("working with", n)
    return "".join(hashlib.sha256(b"%d %d" % (n, i)).hexdigest() for i in range(20_000)) + str(n)

@flow
def asks(n: int) -> str:
    text = look(n)
    return text[-1] if wait("approve", "Is it right?") else ""
"""


def test_run_push_clone_answer_push_pull(team):
    ana = team.machine("ana")
    (ana.directory / "flows.py").write_text(FLOWS)
    assert ana.kitaru("run", "flows.py:asks", "n=3", "-q", code=3).code == 3
    run = ana.kitaru("rev-parse", "@").out.strip()
    assert run in ana.kitaru("push").out
    assert "Everything up to date" in ana.kitaru("push").out
    ben = team.machine("ben")
    options = [word for name, value in team.place.options.items() for word in (f"--{name}", value)]
    ben.kitaru("clone", team.place.url, "work", *options)
    ben.directory /= "work"
    assert run in ben.kitaru("log").out
    assert "approve" in ben.kitaru("waits").out
    assert "waiting" in ben.kitaru("show", run).out
    ben.kitaru("answer", run, "approve", "true", "--no-resume")
    assert "1 answer" in ben.kitaru("push", "-o", "text").out
    assert "1 answer" in ana.kitaru("pull").out
    assert ana.kitaru("resume", run, "-q").out == "3\n"
    assert "further" in ana.kitaru("push").out
    assert "origin: up to date" in ben.kitaru("status").out
    ben.kitaru("pull")
    assert re.search(r"result\n.*\n +3\n", ben.kitaru("show", run).out)
    assert json.loads(ben.kitaru("remote", "show", "-o", "json").out)["people"] == {"ana": 1}
    assert ben.kitaru("fsck").code == 0
    assert team.did() == [3]


# -- secrets ---------------------------------------------------------------------------------------------------------


def contents(place):
    """Yield the bytes of everything on a remote, as they lie there and as they read."""
    blobs = place.open()
    for listed in list(blobs.listing("")):
        data = blobs.get(listed.key)
        yield listed.key, data
        kind, _, rest = listed.key.partition("/")
        if kind == "objects":
            yield listed.key, bytes(loose._unpacked(data, listed.key))
        if kind == "segments":
            cache = FrameCache()
            strand = read_segment(data, rest.replace("/", ""), listed.key, cache)
            for frame in runs.frames(strand, cache, lambda data=data: data):
                yield listed.key, frame


def test_nothing_that_is_pushed_holds_a_credential(team, monkeypatch):
    """The values of the environment's credentials and of configured secrets are in no byte of the remote."""
    monkeypatch.setenv("AWS_SESSION_TOKEN_OF_A_TEST", "session-token-of-a-test")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-a-test-0123456789")
    known = [value.encode() for name, value in os.environ.items() if name.startswith("AWS_") and len(value) > 9]
    known.append(b"sk-of-a-test-0123456789")
    ana = team.machine("ana")
    (ana.directory / "flows.py").write_text(SECRETS)
    ana.kitaru("secret", "add", "openai", "env:OPENAI_API_KEY")
    ana.kitaru("run", "flows.py:asks", "n=7", "-q", code=3)
    ana.kitaru("answer", "@", "approve", "true", "-q")
    ana.kitaru("run", "flows.py:asks", "n=8", "-q", code=3)
    ana.kitaru("cancel", "@", "--reason", "enough")
    ana.kitaru("push", "--all")
    kinds, printed = set(), False
    for key, data in contents(team.place):
        kinds.add(key.partition("/")[0])
        printed = printed or b"working with" in data  # so what flows print would be found
        assert not [secret for secret in known if secret in data], key
    assert {"segments", "objects", "runs", "flows", "answers", "cancels"} <= kinds
    assert printed


# -- what goes wrong -------------------------------------------------------------------------------------------------


def closed_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def bucket(bucket_team):
    """A machine with a run, and the address of its remote."""
    ana = bucket_team.machine("ana")
    (ana.directory / "flows.py").write_text(FLOWS)
    ana.kitaru("run", "flows.py:asks", "n=1", "-q", code=3)
    return ana, bucket_team.place


def one_line(ended, *said):
    lines = ended.err.splitlines()
    assert [line.partition(":")[0] for line in lines] == ["error", "hint"], ended
    assert ended.out == ""
    for text in said:
        assert text in ended.err
    assert "Traceback" not in ended.err


def test_a_wrong_key(bucket, monkeypatch):
    ana, _ = bucket
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not-the-secret-of-the-writer")
    ended = ana.kitaru("push", code=1)
    one_line(ended)
    assert "not-the-secret" not in ended.err


def test_no_such_bucket(bucket):
    ana, place = bucket
    ana.kitaru("remote", "add", "other", "s3://no-such-bucket/x", "--endpoint-url", place.options["endpoint-url"])
    one_line(ana.kitaru("push", "other", code=1), "no-such-bucket")


def test_no_network(bucket):
    ana, place = bucket
    port = closed_port()
    ana.kitaru("remote", "add", "away", place.url, "--endpoint-url", f"http://127.0.0.1:{port}")
    one_line(ana.kitaru("pull", "away", code=1), str(port))
    ended = ana.kitaru("clone", place.url, "new", "--endpoint-url", f"http://127.0.0.1:{port}", code=1)
    one_line(ended, str(port))
    assert not (ana.directory / "new").exists()
    shown = ana.kitaru("remote", "show", "away", code=1)
    assert str(port) in shown.err
    assert json.loads(ana.kitaru("remote", "show", "away", "-o", "json", code=1).out)["reachable"] is False


def test_credentials_that_may_only_read(bucket, s3_server, monkeypatch):
    ana, _ = bucket
    ana.kitaru("push")
    for name, value in s3_server.reader.env.items():
        monkeypatch.setenv(name, value)
    assert "we may only read there" in ana.kitaru("remote", "show").out
    assert "Everything up to date" in ana.kitaru("pull").out
    ana.kitaru("run", "flows.py:asks", "n=2", "-q", code=3)
    ended = ana.kitaru("push", code=1)
    one_line(ended)
    assert s3_server.reader.secret not in ended.err


# -- what a terminal shows -------------------------------------------------------------------------------------------


@pytest.mark.skipif(sys.platform == "win32", reason="needs a terminal")
def test_a_bar_on_a_terminal_and_nothing_in_a_pipe(folder_team):
    import pty

    ana = folder_team.machine("ana")
    (ana.directory / "flows.py").write_text(SECRETS)
    ana.kitaru("run", "flows.py:asks", "n=1", "-q", code=3)
    piped = ana.kitaru("push", "-n")
    assert piped.err == ""
    ours, theirs = pty.openpty()
    env = {**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm", "COLUMNS": "100"}
    env.pop("NO_COLOR", None)
    process = subprocess.Popen(
        [sys.executable, "-m", "kitaru", "push"], cwd=ana.directory, env=env, stderr=theirs, stdout=subprocess.PIPE
    )
    os.close(theirs)
    drawn = b""
    try:
        while piece := os.read(ours, 4096):
            drawn += piece
    except OSError:  # the other end is closed
        pass
    out = process.communicate(timeout=60)[0]
    os.close(ours)
    assert process.returncode == 0
    assert b"pushed 1 run" in out
    text = drawn.decode()
    assert "pushing to team" in text
    assert re.search(r"\d+/\d+ files", text)
    assert re.search(r"B/s|\d [kM]B", text)
    assert ana.kitaru("push").err == ""
