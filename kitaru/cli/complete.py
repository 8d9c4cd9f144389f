"""What the shell completes: run ids, call names, flows.

Owns: the candidates, and bash's habit of splitting words at colons. Never says anything on a terminal: whatever goes
wrong, there is nothing to complete.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MAX_RUNS = 50
TAKE_VERSIONS = frozenset({"diff", "export", "flow", "invoke", "schedule", "trust"})
"""The verbs that a flow's version may be told: `FLOW@v3`."""
_FLOW = re.compile(r"^@(?:kitaru\.)?flow\b[^\n]*\n(?:@[^\n]*\n)*(?:async[ ]+)?def[ ]+(\w+)", re.MULTILINE)


def runs(incomplete: str) -> list[tuple[str, str]]:
    """Return run ids, newest first, each with its flow and status."""
    if incomplete.startswith("@"):
        return []
    return list(_safely(lambda: _runs(incomplete)))


def revisions(incomplete: str) -> list[tuple[str, str]]:
    """Return runs, and after `RUN:` the names of its calls and waits."""
    run, colon, _ = incomplete.partition(":")
    if not colon:
        return runs(incomplete)
    return list(_safely(lambda: ((f"{run}:{label}", how) for label, how in _labels(run or "@"))))


def comparable(incomplete: str) -> list[tuple[str, str]]:
    """Return what can be compared: revisions of runs, and versions of flows."""
    return [*revisions(incomplete), *versions(incomplete)]


def versions(incomplete: str) -> list[tuple[str, str]]:
    """Return flows, and after `FLOW@` its versions, newest first."""
    return list(_safely(lambda: _versions(incomplete)))


def flows(incomplete: str) -> list[tuple[str, str]]:
    """Return the flows that have a version."""
    return list(_safely(lambda: ((name, "flow") for name in _flows() if name.startswith(incomplete))))


def statuses(incomplete: str) -> list[str]:
    """Return what can have become of a run."""
    from kitaru.model.history import Status

    return [str(status) for status in Status if status.startswith(incomplete)]


def routes(incomplete: str) -> list[tuple[str, str]]:
    """Return the routes of all flows, each with the flows that have it."""
    return list(_safely(lambda: _routes(incomplete)))


def invocable(incomplete: str) -> list[tuple[str, str]]:
    """Return flows, and after `FLOW@` its routes and versions."""
    return [*_safely(lambda: _routed(incomplete)), *versions(incomplete)]


def queued(incomplete: str) -> list[tuple[str, str]]:
    """Return what waits for a worker, each with what is meant."""
    return list(_safely(lambda: _queued(incomplete)))


def schedules(incomplete: str) -> list[tuple[str, str]]:
    """Return the schedules, each with what is invoked."""
    return list(_safely(lambda: _schedules(incomplete)))


def remotes(incomplete: str) -> list[tuple[str, str]]:
    """Return the remotes, each with its URL."""
    return list(_safely(lambda: ((name, url) for name, url in _remotes() if name.startswith(incomplete))))


def remotes_and_runs(incomplete: str) -> list[tuple[str, str]]:
    """Return the remotes, and runs."""
    return [*remotes(incomplete), *runs(incomplete)]


def calls_of(run: str) -> list[tuple[str, str]]:
    """Return the names of a run's calls, in call order."""
    return list(_safely(lambda: _labels(run)))


def targets(incomplete: str) -> list[tuple[str, str]]:
    """Return `FILE.py` paths, and after `FILE.py:` the flows in that file, found without importing it."""
    file, colon, _ = incomplete.partition(":")
    if colon:
        return list(_safely(lambda: ((f"{file}:{name}", "flow") for name in flows_in(Path(file)))))
    return list(_safely(lambda: _files(incomplete)))


def flows_in(file: Path) -> list[str]:
    """Return the names of the flows that a file seems to define."""
    return _FLOW.findall(file.read_text("utf-8", errors="replace"))


def answer_shell(run: Callable[[], int]) -> int:
    """Answer a completion request of the shell, undoing bash's splitting at colons.

    Bash takes `abc:pl` for three words and replaces only the last, so the words are joined before the verb sees them,
    and what stands before the colon is taken off the candidates.
    """
    prefix = ""
    if os.environ["_KITARU_COMPLETE"] == "complete_bash":
        prefix = _join_words()
    answers = io.StringIO()
    status = 0
    with contextlib.redirect_stdout(answers):
        try:
            status = run()
        except SystemExit as end:
            status = end.code if isinstance(end.code, int) else 0
    sys.stdout.write("\n".join(line.removeprefix(prefix) for line in answers.getvalue().split("\n")))
    return status


def _join_words() -> str:
    """Join the words that bash broke, and return what of the last one stands before the part that it replaces.

    That part begins behind a colon, but with an `@` (readline's `rl_special_prefixes`).
    """
    typed = os.environ.get("COMP_WORDS", "")
    between = "\n" if "\n" in typed else " "  # the installed script joins them by line ends
    head = typed.split(between)[: int(os.environ.get("COMP_CWORD", "0")) + 1]
    joined: list[str] = []
    for word in head:
        if joined and _continues(joined, word):
            joined[-1] += word
        else:
            joined.append(word)
    os.environ["COMP_WORDS"], os.environ["COMP_CWORD"] = between.join(joined), str(len(joined) - 1)
    last, part = joined[-1], head[-1]
    return last if part.endswith(":") else last.removesuffix(part).removesuffix("@")


def _continues(joined: list[str], word: str) -> bool:
    """Tell whether bash made two words of one: it splits `abc:pl`, `@~1:pl` and `agent@v1` at `:` and `@`.

    It does not tell where there were spaces: an `@` belongs to the word before it where a verb takes versions of flows.
    """
    before = joined[-1]
    if word == ":" or before.endswith(":") or (before == "@" and word.startswith("~")):
        return True
    if not _names_a_flow(joined):
        return False
    if word == "@":
        return not before.startswith(("@", "-"))
    return before.endswith("@") and before != "@"


def _names_a_flow(joined: list[str]) -> bool:
    verbs = [word for word in joined[1:-1] if word in TAKE_VERSIONS]
    return bool(verbs) and not joined[-1].startswith("-")


def _runs(incomplete: str) -> Iterator[tuple[str, str]]:
    from kitaru.project import Project

    for summary in Project.open().log(limit=MAX_RUNS):
        if summary.run.startswith(incomplete):
            yield summary.run, f"{summary.flow}, {summary.status}"


def _flows() -> list[str]:
    from kitaru.project import Project

    return Project.open().repo.flows()


def _routes(incomplete: str) -> Iterator[tuple[str, str]]:
    from kitaru.project import Project

    flows_by: dict[str, list[str]] = {}
    for entry in Project.open().routes():
        flows_by.setdefault(entry.route, []).append(entry.flow)
    yield from ((name, ", ".join(of)) for name, of in sorted(flows_by.items()) if name.startswith(incomplete))


def _routed(incomplete: str) -> Iterator[tuple[str, str]]:
    from kitaru.project import Project

    flow, at, _ = incomplete.rpartition("@")
    if not at:
        return
    project = Project.open()
    for entry in project.routes(flow):
        name = f"{flow}@{entry.route}"
        if name.startswith(incomplete):
            yield name, ", ".join(project.destination_name(flow, to) for to in entry.to)


def _queued(incomplete: str) -> Iterator[tuple[str, str]]:
    from kitaru.project import Project

    for queued in Project.open().queue():
        if queued.invocation.id.startswith(incomplete):
            yield queued.invocation.id, f"{queued.invocation.target}, {queued.state}"


def _schedules(incomplete: str) -> Iterator[tuple[str, str]]:
    from kitaru.project import Project

    for view in Project.open().schedules():
        if view.entry.schedule.startswith(incomplete):
            yield view.entry.schedule, f"{view.entry.target}, {view.entry.state}"


def _remotes() -> list[tuple[str, str]]:
    from kitaru.project import Project

    return [(remote.name, remote.url) for remote in Project.open().remotes()]


def _versions(incomplete: str) -> Iterator[tuple[str, str]]:
    from kitaru.project import Project

    flow, at, _ = incomplete.rpartition("@")
    if not at:
        yield from flows(incomplete)
        return
    for version in reversed(Project.open().repo.versions(flow)):
        name = f"{flow}@v{version.n}"
        if name.startswith(incomplete):
            yield name, f"recorded by {version.by}" if version.by else "version"


def _labels(run: str) -> Iterator[tuple[str, str]]:
    from kitaru.project import Project

    project = Project.open()
    state = project.state(project.find_run(run))
    for call in state.ordered_calls:
        yield call.label, "call"
    for wait in state.waits.values():
        yield wait.label, "wait"


def _files(incomplete: str) -> Iterator[tuple[str, str]]:
    directory, _, name = incomplete.rpartition("/")
    for path in sorted(Path(directory or ".").iterdir()):
        shown = f"{directory}/{path.name}" if directory else path.name
        if not path.name.startswith(name) or path.name.startswith("."):
            continue
        if path.is_dir():
            yield f"{shown}/", "directory"
        elif path.suffix == ".py" and (found := flows_in(path)):
            yield from ((f"{shown}:{flow}", "flow") for flow in found)


def _safely(candidates: Callable[[], Iterator[tuple[str, str]]]) -> Iterator[tuple[str, str]]:
    from kitaru.errors import KitaruError

    with contextlib.suppress(KitaruError, OSError, ValueError):
        yield from candidates()
