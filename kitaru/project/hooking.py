"""Runs one hook, in a process of its own: `python hooking.py HOOK SECONDS LOG`, with the document on stdin.

Owns: that a hook outlives whoever fired it, has only so long, and leaves what it wrote in a file. It is started as a
script, with the standard library alone: the run waits until it has read its stdin, some 20 ms, and no longer.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import IO

MAX_LOG = 1 << 20
"""Bytes that the log of a run's hooks may have; what one hook writes beyond is cut off, and the next begins it anew."""
_APPEND = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
LOOK_S = 0.1
"""Time after which a log is looked at again."""


def main(hook: str, seconds: str, log: str) -> None:
    """Read the document, let whoever started this go on, and run the hook."""
    document = sys.stdin.buffer.read()
    if os.fork():
        os._exit(0)
    path = Path(log)
    with contextlib.suppress(OSError):
        path.parent.mkdir(0o700, parents=True, exist_ok=True)
        with os.fdopen(os.open(path, _APPEND, 0o600), "ab") as file:
            if os.fstat(file.fileno()).st_size >= MAX_LOG:
                file.truncate(0)
            told = _run(hook, float(seconds), document, file)
            file.write(f"{Path(hook).name}: {told}\n".encode())
    os._exit(0)


def _run(hook: str, seconds: float, document: bytes, log: IO[bytes]) -> str:
    """Run the hook and return how it ended, in words."""
    try:
        process = subprocess.Popen(  # noqa: S603 - a file that the project's owner put there and made executable
            [hook], stdin=subprocess.PIPE, stdout=log, stderr=log, start_new_session=True
        )
    except OSError as error:
        return f"could not be started: {error.strerror}"
    if not _ends(process, seconds, document, log):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return f"killed, it took longer than {seconds:g} s"
    return "done" if process.returncode == 0 else f"ended with status {process.returncode}"


def _ends(process: subprocess.Popen[bytes], seconds: float, document: bytes | None, log: IO[bytes]) -> bool:
    """Wait for a hook, and keep its log small meanwhile: tell whether it ended in time."""
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        try:
            process.communicate(document, timeout=min(LOOK_S, left))
        except subprocess.TimeoutExpired:
            document = None  # it is being given already
            _cut(log)
        else:
            _cut(log)
            return True
    return False


def _cut(log: IO[bytes]) -> None:
    if os.fstat(log.fileno()).st_size > MAX_LOG:
        log.truncate(MAX_LOG)


if __name__ == "__main__":
    main(*sys.argv[1:4])
