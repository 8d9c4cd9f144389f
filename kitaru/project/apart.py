"""A recorded version started in a process of its own: one that outlives who asked, or another Python.

Owns: both ends of it. The one that asks hands over what was asked as JSON, and stays until the run has begun, or
cannot: so what is wrong is told where it was asked. What the process prints goes to a file in the store's `tmp/`; what
the run did is in the run.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from kitaru import errors
from kitaru.errors import BadInput, KitaruError, StoreError
from kitaru.project.giving_up import COUNTED
from kitaru.runtime.handle import FlowHandle
from kitaru.store.layout import run_part

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from kitaru.model.history import Status
    from kitaru.runtime.ending import Outcome
    from kitaru.runtime.prepared import Options

R = TypeVar("R")

MAX_TOLD = 300
"""Characters of the last line of a process that died are told."""
_OF_THIS_PYTHON = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")


@dataclass(frozen=True, slots=True)
class Begun:
    """What a process of its own tells of a run: its id, and whether it was there already, with which other inputs."""

    run: str
    existing: bool
    other_inputs: tuple[str, ...]


class ApartHandle(FlowHandle[R]):
    """A run that another process executes.

    Args:
        run: its id.
        process: the one that executes it.
        tell: tells how the run stands, once the process has ended.
        status: tells where it stands now.
    """

    def __init__(
        self,
        run: str,
        process: subprocess.Popen[bytes],
        tell: Callable[[], Outcome],
        status: Callable[[], Status],
    ) -> None:
        super().__init__(run, tell, status, process.terminate)
        self._process = process

    def join(self, timeout: float | None = None) -> None:
        """Block until the process has ended, or `timeout` seconds have passed; tell nothing."""
        import subprocess

        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout)
            if self.outcome is None:
                self.outcome = self._carry()

    async def _awaited(self) -> R:
        import asyncio

        return await asyncio.to_thread(self.wait)

    def get(self) -> R:
        """Return the result of a run that has finished; raises as `FlowHandle.get`."""
        self.join(0)
        return super().get()


def start_apart(
    python: Path | str, store: Path, request: Mapping[str, Any], *, outlives: bool
) -> tuple[subprocess.Popen[bytes], Begun]:
    """Start a version in a process of its own, and return it and what it tells, once the run has begun.

    Args:
        python: the interpreter that executes it, which has this Kitaru.
        store: the project's store.
        request: what `Project.invoke` is to be called with, as JSON data, and the project's directory as `root`.
        outlives: it goes on when this process, or the terminal, is gone.

    Raises:
        KitaruError: whatever keeps the run from beginning; nothing was started.
    """
    import threading

    data = _as_json(request)
    try:
        log = _log(store, str(request["run"]))
        process = _spawn(python, log, outlives=outlives)
        reply = _ask(process, data)
    except OSError as error:
        raise StoreError(f"no process could be started: {error.strerror}", hint="kitaru invoke, in this one") from error
    if "run" not in reply:
        process.wait()
        raise _refusal(reply, log)
    threading.Thread(target=process.wait, name=f"run {reply['run']}", daemon=True).start()  # so that no zombie is left
    return process, Begun(str(reply["run"]), bool(reply.get("existing")), tuple(reply.get("other_inputs", ())))


def _as_json(request: Mapping[str, Any]) -> bytes:
    try:
        return json.dumps(request).encode()
    except (TypeError, ValueError) as error:
        told = f"an input is no JSON data, which another process could take: {error}"
        raise BadInput(told, hint="give JSON data, or start the run in this process") from error


def _spawn(python: Path | str, log: Path, *, outlives: bool) -> subprocess.Popen[bytes]:
    """Start the other end, which is asked through its stdin; what it prints goes to a file."""
    import subprocess

    with log.open("wb") as printed:
        return subprocess.Popen(  # noqa: S603 - our own Python, or one that was built from a trusted version
            [str(python), "-P", "-m", "kitaru.project.apart"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=printed,
            start_new_session=outlives,
            env=environ_of(str(python)),
        )


def resume_apart(python: Path, root: Path, run: str, options: Options, *, offline: bool) -> subprocess.Popen[bytes]:
    """Start `kitaru resume RUN` with another Python; whoever watches the run sees its progress on stderr.

    Raises:
        StoreError: it could not be started.
    """
    import subprocess

    words = ["resume", "--no-input", "--stay", f"{options.stay_us // 1_000_000}s"]
    words += ["--on-drift", options.on_drift] if options.on_drift else []
    words += [] if options.cache is None else ["--cache" if options.cache else "--no-cache"]
    words += ["--offline"] if offline else []
    if (calls := options.limits.get("max_calls")) is not None:
        words += ["--max-calls", str(calls)]
    if (took := options.limits.get("max_us")) is not None:
        words += ["--max-seconds", str(took / 1_000_000)]
    shown = None if options.observer is not None else subprocess.DEVNULL
    try:
        return subprocess.Popen(  # noqa: S603 - a Python that was built of a trusted version, and an id of ours
            [str(python), "-P", "-m", "kitaru", "-C", str(root), *words, "--", run],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=shown,
            env={**environ_of(str(python)), **({COUNTED: run} if options.counted else {})},
        )
    except OSError as error:
        raise StoreError(f"run {run} was not carried on: {error.strerror}", hint=f"kitaru resume {run}") from error


def environ_of(python: str) -> dict[str, str]:
    """Return the environment variables for a process: another Python is not to find the packages of this one."""
    if python == sys.executable:
        return dict(os.environ)
    return {name: value for name, value in os.environ.items() if name not in _OF_THIS_PYTHON}


def _log(store: Path, run: str) -> Path:
    from kitaru.blobs.files import private_directory

    private_directory(store / "tmp")
    return store / "tmp" / f"invoke-{run_part(run)}.log"


def _ask(process: subprocess.Popen[bytes], data: bytes) -> dict[str, Any]:
    assert process.stdin is not None  # noqa: S101 - piped; for the type checker
    assert process.stdout is not None  # noqa: S101 - as above
    with contextlib.suppress(BrokenPipeError), process.stdin as stdin:  # it died; its last words say more
        stdin.write(data)
    with process.stdout as stdout:
        line = stdout.readline()
    found = json.loads(line) if line.endswith(b"\n") else {}
    return found if isinstance(found, dict) else {}


def _refusal(reply: Mapping[str, Any], log: Path) -> KitaruError:
    """Return the error that the process told of, or one with its last words."""
    from kitaru.text import one_line

    if "error" in reply:
        kind = getattr(errors, str(reply["error"]), KitaruError)
        error: KitaruError = kind.__new__(kind)
        KitaruError.__init__(error, str(reply["message"]), hint=str(reply["hint"]))
        return error
    with contextlib.suppress(OSError):
        lines = log.read_text("utf-8", "replace").strip().splitlines()
        if lines:
            return StoreError(f"the process that was to start the run died: {one_line(lines[-1], MAX_TOLD)}")
    return StoreError("the process that was to start the run died", hint="kitaru invoke, in this process")


# --- the other end ---------------------------------------------------------------------------------------------------


class _Teller:
    """Tells, once, that the run has begun, or why not."""

    def __init__(self, out: int) -> None:
        self._out = out

    def tell(self, **reply: object) -> None:
        out, self._out = self._out, -1
        if out >= 0:
            with os.fdopen(out, "wb") as stream, contextlib.suppress(BrokenPipeError):
                stream.write(json.dumps(reply).encode() + b"\n")


def main() -> int:
    """Start what stdin asks for, tell on stdout that it has begun, and execute it to its end or to a stop."""
    from kitaru.project.project import Project
    from kitaru.runtime.events import Event

    request = json.loads(sys.stdin.buffer.read())
    teller = _Teller(os.dup(1))
    os.dup2(2, 1)  # what the flow prints must not be taken for an answer

    def begun(event: Event) -> None:
        teller.tell(run=event.run)

    try:
        project = Project.open(request.pop("root"))
        handle = project.invoke(**request, observer=begun, foreground=True)
    except KitaruError as error:
        teller.tell(error=type(error).__name__, message=error.message, hint=error.hint)
        return error.exit_code
    outcome = handle.outcome
    if outcome is not None:
        teller.tell(run=handle.exec_id, existing=outcome.existing, other_inputs=list(outcome.other_inputs))
    return outcome.error.exit_code if outcome is not None and outcome.error is not None else 0


if __name__ == "__main__":
    sys.exit(main())
