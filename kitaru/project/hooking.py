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
from pathlib import Path
from typing import IO

MAX_LOG = 1 << 20
"""Bytes that the log of a run's hooks may have; what comes then begins it anew."""


def main(hook: str, seconds: str, log: str) -> None:
    """Read the document, let whoever started this go on, and run the hook."""
    document = sys.stdin.buffer.read()
    if os.fork():
        os._exit(0)
    path = Path(log)
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        mode = "wb" if path.exists() and path.stat().st_size > MAX_LOG else "ab"
        with path.open(mode) as file:
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
    try:
        process.communicate(document, timeout=seconds)
    except subprocess.TimeoutExpired:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return f"killed, it took longer than {seconds:g} s"
    return "done" if process.returncode == 0 else f"ended with status {process.returncode}"


if __name__ == "__main__":
    main(*sys.argv[1:4])
