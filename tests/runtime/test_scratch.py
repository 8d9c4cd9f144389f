"""Where recorded code is laid out: removed at a process's end, whichever way that came."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import kitaru
from kitaru.errors import CodeUnloadable
from kitaru.runtime import scratch

MAKE = "import sys; from kitaru.runtime.scratch import make_scratch; print(make_scratch(), flush=True); "
STAY = "sys.stdin.read()"
FORKED = """
import os
from kitaru.runtime.scratch import make_scratch

made = make_scratch()
if os.fork() == 0:
    print(made, flush=True)
    sys.stdin.read()
    sys.exit()  # as a process of its own would
"""
ENDS = {"killed": "os.kill(os.getpid(), 9)\n", "as it should": "sys.exit()\n"}


@pytest.fixture
def start(tmp_path):
    """Start processes that make a directory and stay; kill what is left of them."""
    env = {"PYTHONPATH": str(Path(kitaru.__file__).parents[1]), "TMPDIR": str(tmp_path)}
    started = []

    def start(code=MAKE + STAY):
        process = subprocess.Popen(
            [sys.executable, "-c", code], env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        started.append(process)
        return process, Path(process.stdout.readline().rstrip("\n"))

    yield start
    for process in started:
        process.kill()
        process.communicate()


def end(process):
    process.communicate()
    return process.returncode


def test_it_is_private_and_goes_with_the_process(start):
    process, made = start()
    (made / "a").mkdir()
    (made / "a/x.py").touch(0o444)
    assert made.stat().st_mode & 0o777 == made.parent.stat().st_mode & 0o777 == 0o700
    assert end(process) == 0
    assert not made.exists()


def test_what_a_killed_process_left_goes_when_the_next_one_comes(start):
    killed, left = start()
    living, kept = start()
    (left / "a").mkdir()
    (left / "a/x.py").touch(0o444)
    killed.kill()
    killed.wait()
    assert left.exists()
    process, made = start()
    assert {*left.parent.iterdir()} == {kept, made}
    assert end(process) == end(living) == 0
    assert not [*left.parent.iterdir()]


@pytest.mark.parametrize("ended", ENDS)
def test_a_forked_process_keeps_what_it_may_import_from_and_does_not_remove_it(start, ended):
    process, made = start("import sys\n" + FORKED + ENDS[ended])
    process.wait()
    end(start()[0])
    assert made.exists(), "its maker has ended, but another process holds it"
    process.communicate()  # which ends when nobody can tell it anything any more
    assert made.exists()
    end(start()[0])
    assert not made.exists()


@pytest.mark.parametrize("squat", [lambda p: p.mkdir(0o777) or p.chmod(0o777), lambda p: p.symlink_to("/"), Path.touch])
def test_a_name_that_somebody_else_took_is_not_used(start, tmp_path, squat):
    taken = tmp_path / f"kitaru-code-{os.geteuid()}"
    squat(taken)
    process, made = start()
    assert made.parent == tmp_path
    assert made.stat().st_mode & 0o777 == 0o700
    assert end(process) == 0
    assert not made.exists()


def test_a_directory_that_was_swept_before_it_was_held_is_not_used(tmp_path):
    assert not scratch._hold(str(tmp_path / "gone"))
    (tmp_path / "swept").mkdir()
    fd = os.open(tmp_path / "swept", os.O_RDONLY)
    assert scratch._lock(fd)  # as who sweeps does
    assert not scratch._hold(str(tmp_path / "swept"))
    os.close(fd)


def test_where_the_directory_of_all_is_tidied_up_at_once_there_is_another_place(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(Path, "mkdir", lambda *_: None)  # as it looks to who has just made it
    made = Path(scratch._make())
    assert (made.parent, made.is_dir()) == (tmp_path, True)


def test_no_place_for_it_is_an_error_that_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "gone"))
    with pytest.raises(CodeUnloadable, match=r"cannot be laid out: No such file") as caught:
        scratch.make_scratch()
    assert "TMPDIR" in caught.value.hint
