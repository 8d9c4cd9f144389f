"""`kitaru fsck`.

Every segment, journal, object and name is read and its hash checked, and everything that a record names is looked for.
Without `--repair` nothing is changed. Damage ends with status 4. A torn tail is what a crash leaves of a write that was
never acknowledged: the next resume cuts it; it is no damage, nor are leftovers.

`--repair` deletes nothing. It cuts torn tails and keeps them, makes indexes and names again where other bytes say what
they were, and puts damaged files aside in `.kitaru/lost/`. Where a journal is damaged in the middle, what was recorded
before that stays: of a run that was never sealed as the run itself, whose later calls run again when it is resumed; of
a sealed one as a run of its own, while the run itself waits for a whole copy of the file. `kitaru prune --force RUN`
gives it up.

`--remote NAME` checks a remote: everything there is read. It is not repaired: nothing that a name there says is ever
changed, and what is damaged there may be whole in somebody's store.

## JSON

`clean`, `runs`, `records`, `objects` (how many were checked), `elsewhere` (how many objects partial runs left on a
remote), and `findings`, each `severity` (`damage`, `torn tail`, `leftover`), `where`, `what`, `offset` (or null) and
`affects` (runs and flows that depend on it); `repaired` and `repairable`, what was done and what `--repair` would do,
each `where` and `did`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from kitaru.cli.options import Output, OutputOpt, RemoteOpt
from kitaru.cli.page import Page, write_json
from kitaru.cli.text import counted
from kitaru.errors import UsageError

if TYPE_CHECKING:
    from kitaru.project import Project
    from kitaru.store.check import Finding, Report
    from kitaru.store.mending import Repaired

DAMAGED = 4
_STYLES = {"damage": "red", "torn tail": "yellow"}


def fsck(
    *,
    mend: Annotated[bool, typer.Option("--repair", help="Mend what can be mended, and check what is left.")] = False,
    remote: RemoteOpt = None,
    output: OutputOpt = Output.TEXT,
) -> None:
    """Check every byte of the store."""
    from kitaru.project import Project

    project = Project.open()
    if remote is not None:
        return _remote(project, remote, output, mend=mend)
    mended = project.repair() if mend else []
    report = project.check()
    left = project.repair(dry_run=True) if report.findings else []
    if output is Output.JSON:
        write_json({**_document(report), "repaired": _told(mended), "repairable": _told(left)})
    else:
        _print(report, mended, left)
    if not report.is_clean:
        raise typer.Exit(DAMAGED)
    return None


def _remote(project: Project, remote: str, output: Output, *, mend: bool) -> None:
    if mend:
        raise UsageError("a remote is not repaired from here", hint="kitaru push --all, from a store that is whole")
    report = project.check_remote(remote)
    if output is Output.JSON:
        write_json({**_document(report), "repaired": [], "repairable": []})
    else:
        _print(report, [], [])
    if not report.is_clean:
        raise typer.Exit(DAMAGED)


def _told(repairs: list[Repaired]) -> list[dict[str, str]]:
    return [{"where": repaired.where, "did": repaired.did} for repaired in repairs]


def _document(report: Report) -> dict[str, object]:
    return {
        "clean": report.is_clean,
        "runs": report.runs,
        "records": report.records,
        "objects": report.objects,
        "elsewhere": report.elsewhere,
        "findings": [
            {"severity": f.severity, "where": f.where, "what": f.what, "offset": f.offset, "affects": list(f.affects)}
            for f in report.findings
        ],
    }


def _print(report: Report, mended: list[Repaired], left: list[Repaired]) -> None:
    page = Page()
    for repaired in mended:
        page.line(("repaired", "green"), f": {repaired.where}: {repaired.did}", whole=True)
    for finding in report.findings:
        _finding(page, finding)
    counts = ((report.runs, "run"), (report.records, "record"), (report.objects, "object"))
    looked_at = ", ".join(counted(count, noun) for count, noun in counts)
    for repaired in left:
        page.line(("--repair would: ", "dim"), f"{repaired.where}: {repaired.did}", whole=True)
    if report.elsewhere:
        elsewhere = counted(report.elsewhere, "object of partial runs is", "objects of partial runs are")
        page.line(f"{elsewhere} on a remote, and not looked at", whole=True)
    page.line(f"{looked_at}: ", ("clean", "green") if report.is_clean else ("damaged", "red"), whole=True)
    page.write()


def _finding(page: Page, finding: Finding) -> None:
    # the check tells the offset in `what`, where it knows one
    page.line(
        (finding.severity, _STYLES.get(finding.severity, "dim")), f": {finding.where}: {finding.what}", whole=True
    )
    if finding.affects:
        page.line(("  affects: ", "dim"), ", ".join(finding.affects), whole=True)
