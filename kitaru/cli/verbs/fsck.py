"""`kitaru fsck`.

Every segment, journal, object and name is read and its hash checked, and everything that a record names is looked for.
Nothing is changed. Damage ends with status 4. A torn tail is what a crash leaves of a write that was never
acknowledged: the next resume cuts it; it is no damage, nor are leftovers.

## JSON

`clean`, `runs`, `records`, `objects` (how many were checked), and `findings`, each `severity` (`damage`, `torn tail`,
`leftover`), `where`, `what`, `offset` (or null) and `affects` (runs and flows that depend on it).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from kitaru.cli.options import Output, OutputOpt
from kitaru.cli.page import Page, write_json

if TYPE_CHECKING:
    from kitaru.store.check import Finding, Report

DAMAGED = 4
_STYLES = {"damage": "red", "torn tail": "yellow"}


def fsck(*, output: OutputOpt = Output.TEXT) -> None:
    """Check every byte of the store."""
    from kitaru.project import Project

    report = Project.open().check()
    if output is Output.JSON:
        write_json(_document(report))
    else:
        _print(report)
    if not report.is_clean:
        raise typer.Exit(DAMAGED)


def _document(report: Report) -> dict[str, object]:
    return {
        "clean": report.is_clean,
        "runs": report.runs,
        "records": report.records,
        "objects": report.objects,
        "findings": [
            {"severity": f.severity, "where": f.where, "what": f.what, "offset": f.offset, "affects": list(f.affects)}
            for f in report.findings
        ],
    }


def _print(report: Report) -> None:
    page = Page()
    for finding in report.findings:
        _finding(page, finding)
    looked_at = f"{report.runs} runs, {report.records} records, {report.objects} objects"
    page.line(f"{looked_at}: ", ("clean", "green") if report.is_clean else ("damaged", "red"), whole=True)
    page.write()


def _finding(page: Page, finding: Finding) -> None:
    # the check tells the offset in `what`, where it knows one
    page.line(
        (finding.severity, _STYLES.get(finding.severity, "dim")), f": {finding.where}: {finding.what}", whole=True
    )
    if finding.affects:
        page.line(("  affects: ", "dim"), ", ".join(finding.affects), whole=True)
