"""What push, fetch, pull and clone have in common: words for a remote and runs, the page, and how the command ends.

Owns: the order of these. What is done is `Project`'s.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from kitaru.cli.options import Output
from kitaru.cli.page import write_json
from kitaru.cli.sync_page import outcome_json, print_outcome
from kitaru.cli.text import since as time_of
from kitaru.cli.transfers import transferring

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from kitaru.cli.sync_page import Verb
    from kitaru.project import Project
    from kitaru.project.remotes import Remote
    from kitaru.store.sync.results import Outcome, Tell

_DOING = {"push": "pushing to", "fetch": "fetching from", "pull": "pulling from"}


def bring(
    verb: Literal["fetch", "pull"],
    words: Sequence[str],
    *,
    since: str | None,
    quiet: bool,
    output: Output,
    **choice: Any,  # noqa: ANN401 - what `Project.fetch` or `Project.pull` takes
) -> None:
    """Fetch or pull what a remote has of what is chosen; `since` is a span or a date, as typed."""
    from kitaru.project import Project

    project = Project.open()
    act = {"fetch": project.fetch, "pull": project.pull}[verb]
    began = time_of(since, project.services.clock_us()) if since else None

    def brought(remote: Remote, runs: list[str], tell: Tell) -> Outcome:
        return act(remote.name, runs=runs, since_us=began, strict=False, tell=tell, **choice)

    carry_out(project, verb, words, brought, quiet=quiet, output=output)


def carry_out(
    project: Project,
    verb: Verb,
    words: Sequence[str],
    act: Callable[[Remote, list[str], Tell], Outcome],
    *,
    quiet: bool,
    output: Output,
) -> None:
    """Do it, show what was done, and end with the error that it ends in, if any.

    Args:
        words: `[REMOTE] [RUN]...`: the first is a remote, if there is one of that name.
        act: does it, and returns also what did not go well.
    """
    remote, runs = project.split_remote(words)
    with transferring(f"{_DOING[verb]} {remote.name}", quiet=quiet or output is Output.JSON) as tell:
        done = act(remote, runs, tell)
    show(project, remote, verb, done, quiet=quiet, output=output)


def show(
    project: Project,
    remote: Remote,
    verb: Verb,
    done: Outcome,
    *,
    quiet: bool,
    output: Output,
    more: dict[str, Any] | None = None,
) -> None:
    """Show what was done, and raise what it ends in; `more` goes before the rest of the JSON document."""
    untrusted = project.untrusted_of(done) if verb in ("pull", "clone") else []
    if output is Output.JSON:
        write_json({**(more or {}), **outcome_json(remote, done, untrusted)})
    else:
        print_outcome(remote, done, verb, untrusted, quiet=quiet)
    error = done.error() if verb == "push" or done.refused else None
    if error is not None:
        raise error
