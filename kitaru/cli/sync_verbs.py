"""What push, fetch, pull and clone have in common: words for a remote and runs, the page, and how the command ends.

Owns: the order of these. What is done is `Project`'s.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kitaru.cli.options import Output
from kitaru.cli.page import write_json
from kitaru.cli.sync_page import outcome_json, print_outcome
from kitaru.cli.transfers import transferring

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from kitaru.cli.sync_page import Verb
    from kitaru.project import Project
    from kitaru.project.remotes import Remote
    from kitaru.store.sync.results import Outcome, Tell

_DOING = {"push": "pushing to", "fetch": "fetching from", "pull": "pulling from"}


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
