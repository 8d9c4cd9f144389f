"""What a push, fetch or pull did, in text and as JSON.

Owns: the words for it, git's where git has them. What was done, and whether it ends in an error, is the store's.
"""

from __future__ import annotations

import sys
from dataclasses import asdict
from shlex import quote
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from kitaru.cli.page import Page
from kitaru.cli.text import counted, iso, local_time, size
from kitaru.text import clip

if TYPE_CHECKING:
    from kitaru.cli.page import Span
    from kitaru.project.remotes import Remote
    from kitaru.store.sync.results import Lost, Outcome, Parted, VersionMoved

Verb: TypeAlias = Literal["push", "fetch", "pull", "clone"]

_DONE = {"push": "pushed", "fetch": "fetched", "pull": "pulled", "clone": "cloned"}
_ONE = {
    "flows": "version",
    "answers": "answer",
    "cancels": "request to cancel",
    "keys": "key",
    "routes": "entry of a route",
    "schedules": "entry of a schedule",
    "queue": "invocation",
    "pruned": "tombstone",
}
_MANY = {"cancels": "requests to cancel", "routes": "entries of routes", "schedules": "entries of schedules"}
MAX_LEFT = 5
"""Runs that were left alone are named up to here."""
MAX_WHAT = 120
"""So much of a key that was left alone is shown: one of a run always fits."""


def outcome_json(remote: Remote, outcome: Outcome, untrusted: list[str]) -> dict[str, Any]:
    """Return what was done as a document; `untrusted` are versions that came with it, and may not be executed yet."""
    return {
        "remote": remote.name,
        "url": remote.url,
        "dry_run": outcome.dry_run,
        "runs": [asdict(moved) for moved in outcome.runs],
        "versions": [asdict(moved) for moved in outcome.versions],
        "names": dict(outcome.names),
        "lost": [{**asdict(lost), "at": iso(lost.at)} for lost in outcome.lost],
        "diverged": [{**asdict(parted), "at": iso(parted.at)} for parted in outcome.parted],
        "refused": [asdict(left) for left in outcome.refused],
        "skipped": [asdict(left) for left in outcome.skipped],
        "untrusted": untrusted,
        "files": outcome.files,
        "bytes": outcome.bytes,
        "requests": outcome.requests,
    }


def print_outcome(remote: Remote, outcome: Outcome, verb: Verb, untrusted: list[str], *, quiet: bool) -> None:
    """Print what was done; with `quiet` only what somebody has to know, on stderr."""
    page = Page(sys.stderr) if quiet else Page()
    rows = [] if quiet else _copied(outcome)
    rows += _troubles(outcome, verb)
    if rows:
        page.line("To " if verb == "push" else "From ", (remote.url, "bold"), whole=True)
        page.table(rows, whole=True)
    if not quiet:
        _left(page, outcome)
        page.line(_sum(outcome, verb))
        _trust(page, untrusted, remote)
    page.write()


def _copied(outcome: Outcome) -> list[list[Span]]:
    rows: list[list[Span]] = []
    for moved in outcome.runs:
        more = "" if moved.new else counted(moved.segments, "more segment")
        told = ", ".join(filter(None, (moved.flow, more)))
        rows.append(["  ", ("new run" if moved.new else "further", "green"), (moved.run, "bold"), told])
    rows += [
        ["  ", ("version", "green"), (f"{moved.flow} v{moved.n}", "bold"), _was(moved)] for moved in outcome.versions
    ]
    return rows


def _was(moved: VersionMoved) -> str:
    return f"was v{moved.was} here; that number is another's" if moved.was and moved.was != moved.n else ""


def _troubles(outcome: Outcome, verb: Verb) -> list[list[Span]]:
    rows: list[list[Span]] = [
        ["  ", ("diverged", "yellow"), (parted.run, "bold"), _parted(parted)] for parted in outcome.parted
    ]
    rows += [["  ", ("second", "yellow"), (lost.owner, "bold"), _lost(lost)] for lost in outcome.lost]
    where = "" if verb == "push" else "; nothing of it is visible here"
    rows += [["  ", ("refused", "red"), (left.what, "bold"), left.why + where] for left in outcome.refused]
    return rows


def _parted(parted: Parted) -> str:
    who = " on ".join(filter(None, (parted.by, parted.host))) or "somebody else"
    return f"continued by {who} at {local_time(parted.at)}; what was done here is run {parted.new_run} now"


def _lost(lost: Lost) -> str:
    what = _ONE.get(lost.kind, lost.kind)
    return f"the {what} of {lost.by or 'somebody'} at {local_time(lost.at)} stands, not the one made here"


def _left(page: Page, outcome: Outcome) -> None:
    for left in outcome.skipped[:MAX_LEFT]:
        page.line((f"left {clip(left.what, MAX_WHAT)}: {left.why}", "dim"), wrap=True)
    more = len(outcome.skipped) - MAX_LEFT
    if more > 0:
        page.line((f"and {more} more", "dim"))


def _trust(page: Page, untrusted: list[str], remote: Remote) -> None:
    """Say what is to be done before the code that came is executed."""
    if len(untrusted) == 1:
        page.line(
            ("its code is executed here once you trust it: ", "dim"), f"kitaru trust {quote(untrusted[0])}", whole=True
        )
    elif untrusted:
        names = ", ".join(untrusted[:MAX_LEFT]) + ", …" * (len(untrusted) > MAX_LEFT)
        page.line((f"the code of {names} is executed here once you trust it:", "dim"), wrap=True)
        page.line(f"  kitaru trust {quote(untrusted[0])}, or --remote {remote.name} for all of it", whole=True)


def _sum(outcome: Outcome, verb: Verb) -> str:
    names = dict(outcome.names)
    if verb != "push":  # which counts those that went; others may have got another number here
        names["flows"] = len(outcome.versions) or names.get("flows", 0)
    counts = [(len(outcome.runs), "run", "")]
    counts += [(names[kind], one, _MANY.get(kind, "")) for kind, one in _ONE.items() if kind in names]
    told = ", ".join(counted(*count) for count in counts if count[0])
    if outcome.dry_run and told:
        return f"would be {_DONE[verb]}: {told}"
    files = f"{counted(outcome.files, 'file')}, {size(outcome.bytes)}"
    if told or outcome.files:
        return f"{_DONE[verb]} {told}{': ' * bool(told)}{files}"
    return "Everything up to date" if outcome.is_nothing else f"nothing was {_DONE[verb]}"
