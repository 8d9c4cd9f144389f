"""The inbox: a terminal UI for the people who answer questions.

Owns: everything of textual. Sees the project and the plain data that it gives; knows nothing of the command line, and
of the store neither where it is nor what lies in it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kitaru.errors import UsageError

if TYPE_CHECKING:
    from kitaru.project import Project

__all__ = ["open_inbox"]


def open_inbox(project: Project, run: str = "") -> None:
    """Show the open questions of a project on this terminal, until somebody quits.

    Args:
        project: where they are.
        run: a revision that names the one run whose questions are wanted; all by default.

    Raises:
        UsageError: textual is not installed.
        UnknownRun, AmbiguousRevision: of `run`.
    """
    from kitaru.project.inbox import Inbox

    inbox = Inbox(project, run)
    try:
        from kitaru.tui.app import InboxApp
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "textual":
            raise
        raise UsageError("the inbox needs textual, which is not installed", hint="pip install 'kitaru[tui]'") from None
    InboxApp(inbox).run()
