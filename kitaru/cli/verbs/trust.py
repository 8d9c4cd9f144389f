"""`kitaru trust`.

What was pulled from a remote is data until somebody here has looked at it: the code of a flow version that was
recorded elsewhere is not executed, neither by `resume --as-recorded` and `replay --as-recorded` nor by `invoke` and
`work`, which end with status 11. The working tree's code needs no trust, nor does a version that was recorded in this
project, or is found to be what lies in the working tree.

`kitaru trust FLOW@v3` shows the code, and what differs from the newest version of the flow that is trusted, and asks.
What is decided is about these very bytes. `--flow` is about all versions of a flow and `--remote` about all that comes
from a remote, those to come as well: who may publish there may then execute code here. The most specific decision
counts. `--revoke` takes trust back and asks nothing. Without anything to trust, what was decided is listed, and the
versions that are not trusted. Trust never leaves this project: no push takes it along.

## JSON

A version: `version`, `flow`, `id`, `by`, `at`, `trusted` (before), `origins` (each `remote`, `url`, `at`), `python`,
`distributions`, `git`, `entry`, `files` (path to text), `changes` (as of [diff](diff.md), or null) and `decision`. A
flow or remote: `versions` (each `version`, `id`, `by`, `at`, `trusted`) and `decision`. The list: `decisions` and
`untrusted`, versions as before. A decision has `kind` (`version`, `flow`, `remote`), `name` (id, flow or place), `what`
(how it was called), `trusted`, `why`, `by`, `at`. Nothing is asked: without `--yes` nothing is decided, and `decision`
is null.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from kitaru.cli import complete
from kitaru.cli.ask import can_ask
from kitaru.cli.keyboard import Keyboard
from kitaru.cli.options import Output, OutputOpt
from kitaru.cli.page import Page, write_json
from kitaru.cli.trust_page import covered_json, covered_page, decision_json, decision_line, review_json, review_page
from kitaru.errors import UsageError

if TYPE_CHECKING:
    from kitaru.project import Project
    from kitaru.store.trust import Decision

REFUSED = 1


def trust(
    version: Annotated[
        str | None,
        typer.Argument(
            metavar="[FLOW@vN]",
            help="The version to look at; or the first digits of its id.",
            autocompletion=complete.versions,
        ),
    ] = None,
    *,
    flow: Annotated[
        str,
        typer.Option(
            "--flow", metavar="FLOW", help="All versions of this flow, now and later.", autocompletion=complete.flows
        ),
    ] = "",
    remote: Annotated[
        str,
        typer.Option(
            "--remote",
            metavar="NAME",
            help="All that comes from this remote, now and later.",
            autocompletion=complete.remotes,
        ),
    ] = "",
    revoke: Annotated[bool, typer.Option("--revoke", help="Take the trust back.")] = False,
    list_: Annotated[bool, typer.Option("--list", help="List what was decided, and what is not trusted.")] = False,
    whole: Annotated[bool, typer.Option("--whole", help="Show the whole code, not only what differs.")] = False,
    why: Annotated[str, typer.Option("--why", metavar="TEXT", help="A note for the record.")] = "",
    yes: Annotated[bool, typer.Option("-y", "--yes", help="Do not ask.")] = False,
    output: OutputOpt = Output.TEXT,
) -> None:
    """Look at code that came from elsewhere, and say that it may be executed here."""
    from kitaru.project import Project

    project = Project.open()
    if list_ or not (version or flow or remote):
        if version or flow or remote or revoke:
            raise UsageError("--list takes nothing else", hint="kitaru trust --list")
        return _list(project, output)
    chosen = {"version": version or "", "flow": flow, "remote": remote}
    if sum(map(bool, chosen.values())) != 1:
        raise UsageError("trust one thing at a time", hint="kitaru trust FLOW@v3, or --flow FLOW, or --remote NAME")
    if revoke:
        return _tell(project, project.distrust(**chosen, why=why), output)
    shown = _review(project, version, output, whole=whole) if version else _covered(project, flow, remote, output)
    if version:
        chosen["version"] = shown["id"]  # what was looked at, whatever has its number by now
    decision = project.trust(**chosen, why=why) if _agreed(output, yes=yes) else None
    if output is Output.JSON:
        return write_json({**shown, "decision": decision_json(decision) if decision else None})
    if decision is None:
        raise typer.Exit(REFUSED)
    return _tell(project, decision, output)


def _review(project: Project, version: str, output: Output, *, whole: bool) -> dict[str, Any]:
    review = project.review(version)
    if output is Output.TEXT:
        page = Page()
        review_page(page, review, project.services.clock_us(), whole=whole)
        page.browse()
    return review_json(review)


def _covered(project: Project, flow: str, remote: str, output: Output) -> dict[str, Any]:
    covered = project.covered(flow=flow, remote=remote)
    if output is Output.TEXT:
        page = Page()
        covered_page(page, covered, project.services.clock_us())
        page.line("whoever may publish there may then execute code here, with your rights", wrap=True)
        page.write()
    return {"versions": covered_json(covered)}


def _agreed(output: Output, *, yes: bool) -> bool:
    """Tell whether what was shown is to be trusted.

    Raises:
        UsageError: there is nobody to ask.
    """
    if yes or output is Output.JSON:
        return yes
    if not can_ask():
        raise UsageError("nothing was decided, for there is nobody to ask", hint="look at it, then add --yes")
    try:
        return Keyboard(lambda: False).line("May it be executed here? [y/N] ").lower() in {"y", "yes"}
    except (EOFError, KeyboardInterrupt):
        return False


def _tell(project: Project, decision: Decision, output: Output) -> None:
    if output is Output.JSON:
        return write_json({"decision": decision_json(decision)})
    page = Page()
    decision_line(page, decision, project.services.clock_us())
    return page.write()


def _list(project: Project, output: Output) -> None:
    decisions, untrusted = project.decisions(), project.untrusted()
    if output is Output.JSON:
        listed = [decision_json(decision) for decision in decisions]
        return write_json({"decisions": listed, "untrusted": covered_json(untrusted)})
    page, now = Page(), project.services.clock_us()
    for decision in decisions:
        decision_line(page, decision, now)
    if untrusted:
        page.gap()
        covered_page(page, untrusted, now)
    return page.write()
