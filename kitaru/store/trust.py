"""Whose code may be executed from this store: decisions that people took here, and where flow versions came from.

Owns: the names below `trust/`, and what follows from them. They never leave this store: trust is one's own. Knows
nothing of what a version holds, nor of how it is executed.

A decision is an entry in a numbered log: of a version (by its value's id), of a flow (by name), of a remote (by its
URL, so that another place under the same name is not trusted for it). The last entry of a log stands, and of the
three the most specific counts. What nobody has decided about is not trusted. The names have no nonce: who finds his
number taken looks at what stands now, whoever put it there.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kitaru.errors import Damaged
from kitaru.store import layout, names

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from kitaru.blobs.contract import Blobs, Workspace

VERSIONS, FLOWS, REMOTES = "versions", "flows", "remotes"
KINDS = (VERSIONS, FLOWS, REMOTES)
ORIGINS = "origins"
RECORDED_HERE = "recorded here"

DECISION_SHAPE: dict[str, type] = {"trusted": bool, "what": str, "why": str, "by": str, "at": int}
ORIGIN_SHAPE: dict[str, type] = {"version": str, "remote": str, "url": str, "at": int}


@dataclass(frozen=True, slots=True)
class Decision:
    """What somebody decided.

    Attributes:
        kind: `versions`, `flows` or `remotes`.
        name: the version's id, the flow's name, the remote's URL.
        n: number of the entry.
        trusted: whether it may be executed from now on.
        what: how it was named then, such as `research_agent@v3`.
        why: `recorded here`, or what was said.
        by: who.
        at: microseconds since 1970 UTC.
    """

    kind: str
    name: str
    n: int
    trusted: bool
    what: str
    why: str
    by: str
    at: int


@dataclass(frozen=True, slots=True)
class Origin:
    """A remote that a flow version came from; `remote` is what it was called then."""

    version: str
    remote: str
    url: str
    at: int


class Trust:
    """The decisions of one store; safe between threads and processes.

    Args:
        blobs: the store.
    """

    def __init__(self, blobs: Workspace) -> None:
        self._blobs = blobs

    # -- decisions -----------------------------------------------------------------------------------------------

    def is_decided(self, version: str) -> bool:
        """Tell whether anything was decided about a version itself: one look at the disk."""
        return bool(self._blobs.children(layout.trust_key(VERSIONS, version)))

    def standing(self, kind: str, name: str) -> Decision | None:
        """Return what stands about a version, flow or remote itself, if anything was decided."""
        numbers = self._numbers(kind, name)
        return self._read(kind, name, max(numbers)) if numbers else None

    def decide(
        self, kind: str, name: str, *, trusted: bool, at: int, by: str, what: str = "", why: str = ""
    ) -> Decision:
        """Put a decision at the end of its log, durably; where the same stands already, that is returned."""
        while True:
            standing = self.standing(kind, name)
            if standing is not None and standing.trusted is trusted:
                self._blobs.settle(layout.trust_key(kind, name, standing.n))
                return standing
            n = standing.n + 1 if standing else 1
            fields = {"trusted": trusted, "what": what, "why": why, "by": by, "at": at}
            if self._blobs.create(layout.trust_key(kind, name, n), names.pack(fields)):
                return Decision(kind, name, n, trusted, what, why, by, at)

    def decisions(self) -> list[Decision]:
        """Return all that stands: of versions, then of flows, then of remotes."""
        found = []
        for kind in KINDS:
            for name in names.escaped_names(self._blobs, f"{layout.TRUST}/{kind}"):
                standing = self.standing(kind, name)
                if standing is not None:
                    found.append(standing)
        return found

    def may_execute(self, flow: str, version: str) -> bool:
        """Tell whether a version, as one of this flow, may be executed.

        A flow's trust covers what is a version of it by name here, not what a run only says is one.
        """
        decided = self.standing(VERSIONS, version)
        if decided is None and version in {name.id for name in names.versions(self._blobs, flow)}:
            decided = self.standing(FLOWS, flow)
        if decided is not None:
            return decided.trusted
        urls = {origin.url for origin in self.origins(version)}
        return any(found.trusted for url in sorted(urls) if (found := self.standing(REMOTES, url)) is not None)

    def doubt(self, key: str, *, at: int, by: str) -> None:
        """Take back whatever was decided in the log that a damaged name is in: it may have been just that."""
        directory, _, number = key.rpartition("/")
        n = layout.number_of(number)
        if n is None or not _is_log(directory):
            return
        fields = {"trusted": False, "what": "", "why": "the log was damaged", "by": by, "at": at}
        last = max((m for part in self._blobs.children(directory) if (m := layout.number_of(part))), default=n)
        self._blobs.create(f"{directory}{layout.numbered(last + 1)}", names.pack(fields))

    def damaged(self) -> list[tuple[str, Damaged]]:
        """Return key and error of each name below `trust/` that cannot be read."""
        found = []
        for key in self._blobs.keys(layout.TRUST):
            try:
                if key.split("/")[1] == ORIGINS:
                    read_origin(self._blobs, key)
                else:
                    _check_decision(self._blobs, key)
            except KeyError:  # put aside meanwhile
                continue
            except Damaged as error:
                found.append((key, error))
        return found

    def _numbers(self, kind: str, name: str) -> list[int]:
        parts = self._blobs.children(layout.trust_key(kind, name))
        return [n for part in parts if (n := layout.number_of(part)) is not None]

    def _read(self, kind: str, name: str, n: int) -> Decision | None:
        key = layout.trust_key(kind, name, n)
        try:
            data = self._blobs.get(key, limit=names.MAX_NAME)
        except KeyError:  # put aside by a repair, which has put another
            return None
        fields = names.unpack(data, DECISION_SHAPE, self._blobs.where(key))
        return Decision(kind, name, n, **fields)

    # -- where versions came from ----------------------------------------------------------------------------------

    def came_from(self, versions: Iterable[str], remote: str, url: str, at: int) -> None:
        """Note that versions came from a remote: before their names are made, and durable when this returns.

        Args:
            versions: ids of their values.
            remote: what the remote is called.
            url: its place, as `place` returns it.
            at: microseconds since 1970 UTC.
        """
        key = ""
        for version in versions:
            key = _origin_key(version, url)
            fields = {"version": version, "remote": remote, "url": url, "at": at}
            self._blobs.stage(key, names.pack(fields))
        if key:  # all are in one directory
            self._blobs.settle(key)

    def origins(self, version: str) -> list[Origin]:
        """Return the remotes that a version came from, the first one first."""
        parts = self._blobs.children(f"{layout.TRUST}/{ORIGINS}")
        found = [read_origin(self._blobs, f"{layout.TRUST}/{ORIGINS}/{p}") for p in parts if p.startswith(version)]
        return sorted(found, key=lambda origin: (origin.at, origin.url))


def _check_decision(blobs: Blobs, key: str) -> None:
    directory, _, number = key.rpartition("/")
    if layout.number_of(number) is None or not _is_log(directory):
        raise Damaged(blobs.where(key), "no decision has such a name")
    names.unpack(blobs.get(key, limit=names.MAX_NAME), DECISION_SHAPE, blobs.where(key))


def _is_log(directory: str) -> bool:
    """Tell whether a directory is that of the decisions about something."""
    _, kind, name = (*directory.split("/", 2), "", "")[:3]
    try:
        return kind in KINDS and bool(layout.unescape(name))
    except ValueError:
        return False


def place(remote: Mapping[str, object]) -> str:
    """Return how the place of a remote is known here, from its settings: its URL, and the server where one is named."""
    endpoint = remote.get("endpoint-url")
    return f"{remote.get('url')} at {endpoint}" if endpoint else f"{remote.get('url')}"


def read_origin(blobs: Blobs, key: str) -> Origin:
    """Return where a version came from, as a name of the store says.

    Raises:
        KeyError: there is no such name.
        Damaged: it is not what was written, or is not where it belongs.
    """
    fields = names.unpack(blobs.get(key, limit=names.MAX_NAME), ORIGIN_SHAPE, blobs.where(key))
    origin = Origin(**fields)
    if not layout.is_object_id(origin.version) or key != _origin_key(origin.version, origin.url):
        raise Damaged(blobs.where(key), "is not the name of what it says")
    return origin


def _origin_key(version: str, url: str) -> str:
    tag = hashlib.sha256(url.encode("utf-8", "surrogatepass")).hexdigest()[:16]
    return layout.trust_key(ORIGINS, f"{version}-{tag}")
