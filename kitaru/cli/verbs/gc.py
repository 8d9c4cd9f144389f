"""`kitaru gc`.

Removed are: pruned runs, but for what replays still share with them; values that nothing names, such as those of a call
that was killed before it was recorded; files left in `tmp/` for more than a day; empty directories of runs; what
was made of sources, such as bytecode, which is made again where it is needed. What was put aside in `lost/` stays.

It takes two visits. The first notes what nothing reaches; one that comes at least the grace later looks again, and
removes what is unreached still. So a process that is about to name something has time to do it, and gc is safe while
runs execute; with `--grace 0s` it is so only while none does. Where something that is needed cannot be read, nobody
knows what it names, and nothing is removed.

What runs recorded, a small file for each, is put into packs: many in one file, which takes less room and is read
faster. That needs no second visit. Packed are at least 64 files; packs that are small are put together.

`--remote NAME` does the same on a remote, by its clock, and packs nothing there. Others may push meanwhile: a push that
relies on what is just being removed puts it back. One gc at a time is at work on a remote; what one notes, another may
remove. What a person pruned goes for everybody once the tombstone was pushed. In a bucket, uploads in parts that a
killed push began are given up once they are older than the grace; until then they cost room that no listing shows.

## JSON

`removed` and `noted` (each `files` and `bytes`), `removable_from` (when the first of what is noted may go, or null),
`scratch` (how many files left in `tmp/` were removed), `uploads` (how many unfinished uploads to a bucket were given
up; null if these credentials may not do that), `packed` (`files` that were put into packs, and how many `packs` were
written).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from kitaru.cli.options import Output, OutputOpt, RemoteOpt
from kitaru.cli.page import Page, write_json
from kitaru.cli.text import duration, iso, size, span

if TYPE_CHECKING:
    from kitaru.store.gc import Collected


def gc(
    *,
    grace: Annotated[
        str, typer.Option("--grace", metavar="SPAN", help="The time between two visits: 30m, 12h, 7d.")
    ] = "12h",
    remote: RemoteOpt = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Tell what would be removed now, and change nothing.")
    ] = False,
    output: OutputOpt = Output.TEXT,
) -> None:
    """Give back the room of what nothing needs."""
    from kitaru.project import Project

    project = Project.open()
    if remote is None:
        done = project.gc(grace_us=span(grace), dry_run=dry_run)
    else:
        done = project.gc_remote(remote, grace_us=span(grace), dry_run=dry_run)
    if output is Output.JSON:
        return write_json(_document(done))
    page = Page()
    verb = "would remove" if dry_run else "removed"
    page.line(f"{verb} {_files(len(done.removed))}, {size(done.removed_bytes)}")
    if done.noted:
        left = max(done.due - project.services.clock_us(), 0)
        when = f"in {duration(left)}" if left >= 1_000_000 else "from now on"
        page.line(f"noted {_files(len(done.noted))}, {size(done.noted_bytes)}: a visit {when} removes them")
    if done.uploads:
        page.line(f"{verb} {done.uploads} unfinished upload{'s' * (done.uploads != 1)}")
    if done.uploads is None:
        page.line("unfinished uploads stay: these credentials may not list them, or not give them up")
    if done.packs:
        verb = "would pack" if dry_run else "packed"
        page.line(f"{verb} {_files(done.packed)} into {done.packs} pack{'s' * (done.packs != 1)}")
    return page.write()


def _files(count: int) -> str:
    return f"{count} file{'s' * (count != 1)}"


def _document(done: Collected) -> dict[str, object]:
    return {
        "removed": {"files": len(done.removed), "bytes": done.removed_bytes},
        "noted": {"files": len(done.noted), "bytes": done.noted_bytes},
        "removable_from": iso(done.due),
        "scratch": done.scratch,
        "uploads": done.uploads,
        "packed": {"files": done.packed, "packs": done.packs},
    }
