"""The command line: `main`, and the only place where an error becomes text and an exit status.

Owns: how faults end a command. A user's mistake is one line and a hint; a bug is a traceback that says so. Knows
nothing of what verbs do: those live in `kitaru.cli.verbs`, each imported when it is typed.
"""

from __future__ import annotations

import errno
import os
import sys
from typing import TYPE_CHECKING, NoReturn

from kitaru.cli.streams import let_go, settle
from kitaru.errors import KitaruError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main"]

BUG = 70
"""EX_SOFTWARE of sysexits.h: the program, not its user, is at fault."""

INTERRUPTED = 130
_OF_STDOUT = frozenset({errno.EPIPE, errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO})


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status; what `kitaru` on a shell calls.

    Args:
        argv: the words after `kitaru`; those of this process by default.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    settle()
    try:
        helped = words in ([], ["-h"], ["--help"]) and "_KITARU_COMPLETE" not in os.environ
        status = _help(words) if helped else _command(words)
        sys.stdout.flush()
    except OSError as error:  # of stdout itself: whatever else is opened, is opened by somebody who knows what it is
        return _unwritten(error)
    return status


def _help(words: list[str]) -> int:
    from kitaru.cli.table import help_page

    (sys.stdout if words else sys.stderr).write(help_page())
    return 0 if words else 2


def _command(words: list[str]) -> int:
    try:
        from kitaru.cli.app import invoke  # here, for this takes a while in which somebody may press Ctrl-C

        return invoke(words)
    except KitaruError as error:
        _tell(error.message, error.hint)
        if getattr(error, "at_once", False):
            _leave_threads(error.exit_code)
        return error.exit_code
    except KeyboardInterrupt:
        _tell("interrupted")
        return INTERRUPTED
    except OSError as error:
        if error.filename is None and error.errno in _OF_STDOUT:
            raise
        return _bug()
    except Exception:  # whatever reaches this line is a bug, and is shown as one
        return _bug()


def _leave_threads(status: int) -> NoReturn:
    """End this process now: Python would wait for threads that user code has begun, and so for their calls."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def _tell(message: str, hint: str = "") -> None:
    from kitaru.cli.page import Page

    sys.stdout.flush()
    page = Page(sys.stderr)
    for n, line in enumerate(message.replace("\t", "    ").split("\n")):
        page.line("" if n else "error: ", line, wrap=True)
    for line in hint.splitlines():
        page.line("hint: ", line, whole=line.startswith("kitaru "), wrap=not line.startswith("kitaru "))
    page.write()


def _bug() -> int:
    import traceback

    from kitaru.cli.text import clean
    from kitaru.runtime.redaction import redacted

    sys.stderr.write(clean(redacted(traceback.format_exc()), lines=True))
    sys.stderr.write("\nerror: this is a bug in kitaru, not a mistake of yours; please report the lines above\n")
    return BUG


def _unwritten(error: OSError) -> int:
    """Tell that a result went nowhere; but whoever read us and has gone (`kitaru log | head`) wants to hear nothing."""
    let_go()
    if isinstance(error, BrokenPipeError):
        return 0
    _tell(f"the result cannot be written: {error.strerror}")
    return KitaruError.exit_code
