"""`kitaru replay`.

`--from X` is consent to keep everything before the first call of `X`: calls kept although their inputs changed are
listed as stale. `--set` on a name that is called several times must say which: `fetch#2`, or `fetch#*` for all. A
change that the run never comes to is an error. `--model fast=anthropic/claude-haiku-4-5` asks that model where the run
asks `fast`; alone it branches at the first call that asked. Values are JSON, or plain text where they are not.
Progress, JSON and events are those of [run](run.md). `--check` tells what would happen, as of
[resume](resume.md).
"""

from __future__ import annotations

from typing import Annotated, Any

import typer

from kitaru.cli import complete
from kitaru.cli.carry import carry
from kitaru.cli.check_page import tell_check
from kitaru.cli.groups import Manner, Matching, spread
from kitaru.cli.inputs import pairs
from kitaru.cli.options import CheckOpt, RunArg, TagOpt

_FORMS = {"set": "CALL=JSON", "args": "NAME=VALUE", "answers": "WAIT=VALUE", "models": "ALIAS=MODEL"}


def _calls(ctx: typer.Context, incomplete: str) -> list[tuple[str, str]]:
    found = complete.calls_of(ctx.params.get("run") or "@")
    return [(name, how) for name, how in found if name.startswith(incomplete)]


@spread
def replay(
    run: RunArg = "@",
    *,
    from_: Annotated[
        str | None,
        typer.Option(
            "--from", metavar="CALL", help="Branch at this call; all before it is kept.", autocompletion=_calls
        ),
    ] = None,
    set_: Annotated[
        list[str], typer.Option("--set", metavar="CALL=JSON", help="Give this call this output; fetch#2, fetch#*.")
    ] = [],  # noqa: B006 - typer copies defaults, and shows None as a value
    arg: Annotated[list[str], typer.Option("--arg", metavar="NAME=VALUE", help="Change an input of the flow.")] = [],  # noqa: B006 - as above
    answer: Annotated[list[str], typer.Option("--answer", metavar="WAIT=VALUE", help="Answer a wait ahead.")] = [],  # noqa: B006 - as above
    model: Annotated[
        list[str],
        typer.Option("--model", metavar="ALIAS=MODEL", help="Ask another model where kitaru.llm() asks this."),
    ] = [],  # noqa: B006 - as above
    tag: TagOpt = [],  # noqa: B006 - as above
    matching: Matching,
    check: CheckOpt = False,
    manner: Manner,
) -> None:
    """Branch from a recorded run, with something changed.

    A new run shares all before the branch and executes the rest. Without --from, a failed run branches at its failure,
    and --set and --arg branch at the first call that they reach.
    """
    from kitaru.project import Project

    project = Project.open()
    source = project.find_run(run)
    changes = {"set": set_, "args": arg, "answers": answer, "models": model}
    given: dict[str, Any] = {"from_": from_, "text": True, **_read(changes), **matching.given()}
    if check:
        return tell_check(project.check_replay(source, **given), manner.output)
    return carry(
        project,
        lambda observer: project.replay(source, **given, tags=tag, observer=observer, foreground=True),
        manner,
    )


def _read(changes: dict[str, list[str]]) -> dict[str, dict[str, str] | None]:
    """Return what is to be changed as `Project` takes it."""
    return {name: pairs(words, _FORMS[name]) or None for name, words in changes.items()}
