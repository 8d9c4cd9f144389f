"""Being told: scripts in `.kitaru/hooks/` that are run when a question is asked, and when a run is over.

Owns: when one is fired, and what it is given. It runs by itself (`hooking.py`): whatever it does, the run goes on.
Hooks belong to this folder alone: no remote has them, and nothing but a person's own hand puts one here.
"""

from __future__ import annotations

import contextlib
import json
import os
from typing import TYPE_CHECKING, Any

from kitaru.errors import KitaruError
from kitaru.model.history import OVER
from kitaru.model.moments import to_datetime

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from kitaru.model.history import RunState
    from kitaru.runtime.events import Event, Observer

ON_WAIT, ON_END = "on-wait", "on-end"
LIMIT_S = 60.0
"""How long a hook may take."""
START_LIMIT_S = 5.0


class Hooks:
    """The hooks of one project.

    Args:
        root: the project's directory.
        store: its `.kitaru/`.
        state: reads a run.
    """

    def __init__(self, root: Path, store: Path, state: Callable[[str], RunState]) -> None:
        self._root, self._store, self._state = root, store, state

    def has(self, name: str) -> bool:
        """Tell whether there is a hook of this name, made executable."""
        return os.access(self._store / "hooks" / name, os.X_OK)

    def watching(self, observer: Observer | None) -> Observer | None:
        """Return an observer that fires `on-wait` at each question that is asked, and tells the other one."""
        if not self.has(ON_WAIT):
            return observer

        flow = ""

        def watch(event: Event) -> None:
            nonlocal flow
            if event.kind == "run":
                flow = str(event.data["flow"])
            elif event.kind == "wait":
                self._fire(ON_WAIT, event.run, wait_document(event, flow))
            if observer is not None:
                observer(event)

        return watch

    def ended(self, run: str) -> None:
        """Fire `on-end` for a run, if it is over; nothing where it cannot be read, for others tell that."""
        with contextlib.suppress(KitaruError):
            if self.has(ON_END) and (state := self._state(run)).status in OVER:
                self._fire(ON_END, run, end_document(state))

    def _fire(self, name: str, run: str, document: dict[str, Any]) -> None:
        import subprocess
        import sys
        from pathlib import Path

        words = [
            *(sys.executable, "-I", "-S", str(Path(__file__).with_name("hooking.py"))),
            *(str(self._store / "hooks" / name), str(LIMIT_S), str(self._store / "cache" / "hooks" / f"{run}.log")),
        ]
        given = {"event": name, "project": str(self._root), **document}
        try:
            subprocess.run(  # noqa: S603 - this very Python, and a script of ours
                words,
                input=json.dumps(given).encode(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd=self._root,
                env={**os.environ, "KITARU_DIR": str(self._root)},
                start_new_session=True,
                timeout=START_LIMIT_S,
                check=False,
            )
        except (OSError, subprocess.SubprocessError):
            return  # no process to be had: to tell somebody is not worth the run


def wait_document(event: Event, flow: str) -> dict[str, Any]:
    """Return what `on-wait` is given of a question: what is known without reading the run again."""
    from kitaru.runtime.examples import choices
    from kitaru.runtime.waits import line_that_answers

    data = event.data
    return {
        "run": event.run,
        "flow": flow,
        "wait": data["wait"],
        "question": data["question"],
        "schema": data["schema"],
        "choices": choices(data["schema"]),
        "shown": dict(data["shown"]),
        "asked": _iso(data["asked"]),
        "deadline": _iso(data["deadline"]),
        "answer_with": line_that_answers(event.run, data["wait"], data["schema"]),
    }


def end_document(state: RunState) -> dict[str, Any]:
    """Return what `on-end` is given of a run."""
    end = state.end
    error = end.error if end else None
    return {
        "run": state.run,
        "flow": state.start.flow,
        "status": str(state.status),
        "started": _iso(state.start.at),
        "ended": _iso(end.at) if end else None,
        "error": {"type": error.get("type"), "message": error.get("message")} if error else None,
        "cancelled": dict(end.cancelled) if end and end.cancelled else None,
    }


def _iso(at_us: int | None) -> str | None:
    return to_datetime(at_us).isoformat() if at_us else None
