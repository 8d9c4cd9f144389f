"""Flow versions: recorded when something changed, read back when a run needs its code.

Owns: turning a loaded flow into a version in the store, and a version back into files. How code is found and imported
is `runtime.sources` and `runtime.loading`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kitaru.errors import Damaged
from kitaru.runtime.environment import environment, git_state
from kitaru.runtime.schema import inputs_schema
from kitaru.runtime.sources import (
    Entry,
    external_imports,
    fingerprint,
    notebook_source,
    snapshot,
    version_value,
)

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from kitaru.runtime.decorators import Flow
    from kitaru.runtime.events import Services
    from kitaru.runtime.values import Values
    from kitaru.store.repository import Repository


@dataclass(frozen=True, slots=True)
class Version:
    """A flow version: its number, its id, and the code it holds."""

    n: int
    id: str
    entry: Entry
    files: dict[str, bytes]

    def to_json(self) -> dict[str, Any]:
        """Return how a record names it."""
        return {"n": self.n, "id": self.id}


class Versions:
    """The flow versions of one project, whose directory is `root`."""

    def __init__(self, repo: Repository, root: Path, values: Values, services: Services) -> None:
        self._repo, self._root, self._values, self._services = repo, root, values, services

    def record(self, flow: Flow[Any, Any], entry: Entry, also: Iterable[str] = ()) -> tuple[Version, bool]:
        """Return the version of a flow's code as it is now, and whether it had to be recorded.

        Args:
            flow: the flow, loaded.
            entry: where its code begins.
            also: files loaded with it that parsing its imports does not find.

        Raises:
            CodeUnloadable: a source file cannot be read.
            StoreError: the version cannot be written.
        """
        files = snapshot(entry, self._root, also) if entry.file else notebook_source(flow.fn)
        distributions = environment(external_imports(files, entry.path))
        digest = fingerprint(entry, files, distributions)
        known = self._repo.versions(flow.name)
        for name in reversed(known):
            if name.digest == digest:
                return Version(name.n, name.id, entry, files), False
        git = git_state(self._root, list(files)) if entry.file else None
        value = version_value(entry, files, distributions, inputs_schema(flow.fn), git)
        encoded = self._values.encode(value, frozenset(), "the flow's code")
        self._repo.put_objects(encoded.objects)
        added = self._repo.add_version(
            flow.name, id=encoded.id, digest=digest, at=self._services.clock_us(), by=self._services.user
        )
        return Version(added.n, added.id, entry, files), True

    def read(self, recorded: dict[str, Any]) -> Version:
        """Return the version that a record names.

        Raises:
            Damaged: what the store holds under its id is no flow version.
        """
        value = describe(self._values, recorded)
        return Version(int(recorded["n"]), recorded["id"], Entry.from_json(value["entry"]), value["files"])


def describe(values: Values, recorded: dict[str, Any]) -> dict[str, Any]:
    """Return the whole value of the version that a record names.

    Raises:
        Damaged: what the store holds under its id is no flow version.
    """
    value = values.decoder((), opaque=True).decode(recorded["id"])
    if not isinstance(value, dict) or not isinstance(value.get("files"), dict) or "entry" not in value:
        raise Damaged(f"object {recorded['id'][:12]}", "not a flow version")
    return value
