"""What stops a run from outside: Ctrl-C, a failing disk, an observer that fails."""

from __future__ import annotations

import contextlib
import errno

import pytest

import kitaru
from kitaru import checkpoint, flow
from kitaru.blobs.files import store_error
from kitaru.errors import StoreError
from kitaru.project import Project
from kitaru.runtime.context import current_engine
from kitaru.testing import fixed_services


def test_an_interrupt_in_a_call_leaves_the_call_unrecorded(bench):
    @checkpoint
    def ask():
        raise KeyboardInterrupt

    @flow
    def body():
        try:
            ask()
        except BaseException:
            return "swallowed"

    ended = bench.run(body)
    assert ended.status == "interrupted"
    assert ended.state.calls == {}


def test_an_interrupt_in_the_body(bench):
    @flow
    def body():
        raise KeyboardInterrupt

    ended = bench.run(body)
    assert ended.status == "interrupted"
    assert ended.error.exit_code == 130
    assert ended.run in ended.error.hint


class Failing:
    """Blobs whose journals refuse to be written once the switch is on."""

    def __init__(self, blobs):
        self._blobs, self.full = blobs, False

    def __getattr__(self, name):
        return getattr(self._blobs, name)

    def appender(self, key):
        return FailingAppender(self._blobs.appender(key), self)


class FailingAppender:
    def __init__(self, appender, switch):
        self._appender, self._switch = appender, switch

    def __getattr__(self, name):
        return getattr(self._appender, name)

    def append(self, data):
        if self._switch.full:
            raise store_error(OSError(errno.ENOSPC, "no space left on device"), "write", "the journal")
        return self._appender.append(data)

    def finish(self):
        if self._switch.full:
            raise StoreError("no space left on device")
        return self._appender.finish()


@pytest.fixture
def failing(tmp_path, bench):
    from kitaru.blobs.memory import MemoryBlobs
    from kitaru.config import Config
    from kitaru.store.repository import Repository

    blobs = Failing(MemoryBlobs())
    services = fixed_services()
    bench.project = Project(tmp_path, Repository.create(blobs, services.random_bytes), Config(), services)
    return blobs


def test_a_full_disk_interrupts_the_run_with_the_reason(bench, failing):
    ran = []

    @checkpoint
    def step(n):
        ran.append(n)
        failing.full = n == 2 and len(ran) == 2
        return n

    @flow
    def body():
        try:
            return [step(n) for n in (1, 2, 3)]
        except Exception:
            return "swallowed"

    ended = bench.run(body)
    assert ended.status == "interrupted"
    assert isinstance(ended.error, StoreError)
    assert "no space left" in str(ended.error)
    assert ended.error.hint == f"free some space; `kitaru resume {ended.run}` carries the run on"
    assert ran == [1, 2]
    failing.full = False
    again = bench.resume(ended.run)
    assert again.value == [1, 2, 3]
    assert ran == [1, 2, 2, 3]
    assert again.log == ["step", "step#2", "step#3"]


def test_a_disk_that_fails_at_the_last_record_leaves_the_run_resumable(bench, failing):
    tries = iter((True, False))

    @flow
    def body():
        failing.full = next(tries)
        return 1

    ended = bench.run(body)
    assert ended.status == "interrupted"
    assert "no space left" in str(ended.error)
    failing.full = False
    assert bench.resume(ended.run).value == 1


def test_a_result_that_is_durable_is_not_lost_with_the_seal(bench, failing):
    @checkpoint
    def step():
        return 1

    @flow
    def body():
        return step()

    def adopt(source, key):
        raise StoreError("no space left on device")

    failing.adopt = adopt
    ended = bench.run(body)
    assert (ended.status, ended.value, ended.state.status) == ("completed", 1, "completed")


def test_an_observer_that_fails_interrupts_the_run(bench):
    ran = []

    @checkpoint
    def step(n):
        ran.append(n)
        return n

    @flow
    def body():
        try:
            return step(1) + step(2)
        except Exception:
            return "swallowed"

    def watch(event):
        if event.kind == "call":
            raise BrokenPipeError("nobody reads")

    handle = bench.project.run(body, {}, observer=watch, foreground=True)
    assert handle.outcome.status == "interrupted"
    assert "nobody reads" in str(handle.outcome.error)
    assert isinstance(handle.outcome.error.__cause__, BrokenPipeError)
    assert ran == [1]
    assert bench.resume(handle.exec_id).value == 3
    assert ran == [1, 2]


def test_an_observer_may_print(bench, capsys):
    @checkpoint
    def step():
        print("from the call")

    @flow
    def body():
        step()

    bench.project.run(body, {}, observer=lambda event: print("seen", event.kind), foreground=True)
    assert "seen output" in capsys.readouterr().out


def test_the_first_reason_to_stop_is_the_one_that_is_told(bench):
    @flow
    def body():
        with contextlib.suppress(BaseException):
            kitaru.wait()
        current_engine.get().interrupt()
        return 1

    ended = bench.run(body)
    assert ended.status == "waiting"
    assert "kitaru answer" in str(ended.error)
