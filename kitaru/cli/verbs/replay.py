"""`kitaru replay`.

`--from X` is consent to keep everything before the first call of `X`: calls kept although their inputs changed are
listed as stale. `--set` on a name that is called several times must say which: `fetch#2`, or `fetch#*` for all. A
change that the run never comes to is an error. `--model fast=anthropic/claude-haiku-4-5` asks that model where the run
asks `fast`; alone it branches at the first call that asked. Values are JSON, or plain text where they are not.
Progress, JSON and events are those of [run](run.md). `--check` tells what would happen, as of
[resume](resume.md).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from kitaru.cli import complete
from kitaru.cli.carry import Manner, carry
from kitaru.cli.check_page import tell_check
from kitaru.cli.inputs import pairs
from kitaru.cli.options import (
    AsRecordedOpt,
    CacheOpt,
    CheckOpt,
    EventsOpt,
    NoInputOpt,
    OnDriftOpt,
    Output,
    OutputOpt,
    QuietOpt,
    RunArg,
    TagOpt,
    policy,
)

if TYPE_CHECKING:
    from kitaru.project import Project

_FORMS = {"set_": "CALL=JSON", "arg": "NAME=VALUE", "answer": "WAIT=VALUE", "model": "ALIAS=MODEL"}


def _calls(ctx: typer.Context, incomplete: str) -> list[tuple[str, str]]:
    found = complete.calls_of(ctx.params.get("run") or "@")
    return [(name, how) for name, how in found if name.startswith(incomplete)]


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
    on_drift: OnDriftOpt = None,
    as_recorded: AsRecordedOpt = None,
    cache: CacheOpt = None,
    check: CheckOpt = False,
    output: OutputOpt = Output.TEXT,
    quiet: QuietOpt = False,
    events: EventsOpt = False,
    no_input: NoInputOpt = False,
) -> None:
    """Branch from a recorded run, with something changed.

    A new run shares all before the branch and executes the rest. Without --from, a failed run branches at its failure,
    and --set and --arg branch at the first call that they reach.
    """
    from kitaru.project import Project

    project = Project.open()
    source = project.find_run(run)
    changes = _changes({"set_": set_, "arg": arg, "answer": answer, "model": model})
    if check:
        given = {"on_drift": policy(on_drift), "as_recorded": as_recorded, "cache": cache, **_given(changes)}
        return tell_check(project.check_replay(source, from_=from_, **given), output)
    return carry(
        project,
        lambda observer: _start(
            project,
            source,
            changes,
            from_=from_,
            tags=tag,
            on_drift=policy(on_drift),
            cache=cache,
            as_recorded=as_recorded,
            observer=observer,
        ),
        Manner(output, quiet, events, no_input),
    )


def _changes(given: dict[str, list[str]]) -> dict[str, dict[str, str]]:
    return {name: pairs(words, _FORMS[name]) for name, words in given.items()}


def _given(changes: dict[str, dict[str, str]]) -> dict[str, Any]:
    """Return the changes as `Project` takes them."""
    values = {"args": changes["arg"], "set": changes["set_"], "answers": changes["answer"], "models": changes["model"]}
    return {"text": True, **{name: given or None for name, given in values.items()}}


def _start(project: Project, source: str, changes: dict[str, dict[str, str]], **options: Any) -> Any:  # noqa: ANN401 - passed on
    return project.replay(source, foreground=True, **_given(changes), **options)
