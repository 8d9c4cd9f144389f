"""Flow versions: recorded when something changed, read back when a run needs its code.

Owns: turning a loaded flow into a version in the store, and a version back into files. How code is found and imported
is `runtime.sources` and `runtime.loading`.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kitaru.errors import Damaged, KitaruError
from kitaru.runtime.derived import Derived
from kitaru.runtime.entry import Entry
from kitaru.runtime.environment import environment, git_state
from kitaru.runtime.import_lists import ImportLists
from kitaru.runtime.notebook import notebook_source
from kitaru.runtime.schema import inputs_schema
from kitaru.runtime.sources import external_imports, fingerprint, snapshot, version_value
from kitaru.runtime.trusting import trust_recorded

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from kitaru.runtime.decorators import Flow
    from kitaru.runtime.events import Services
    from kitaru.runtime.values import Values
    from kitaru.store.repository import Repository, VersionName


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
        self._imports = ImportLists(Derived(repo.blobs.scratch)).of

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
        files = snapshot(entry, self._root, also, self._imports) if entry.file else notebook_source(flow.fn)
        distributions = environment(external_imports(files, entry.path, self._imports))
        digest = fingerprint(entry, files, distributions)
        known = self._repo.versions(flow.name)
        for name in reversed(known):
            if name.digest == digest:
                self._trust(flow.name, name, entry, files, distributions)
                return Version(name.n, name.id, entry, files), False
        git = git_state(self._root, list(files)) if entry.file else None
        value = version_value(entry, files, distributions, inputs_schema(flow.fn), git)
        encoded = self._values.encode(value, frozenset(), "the flow's code")
        self._repo.put_objects(encoded.objects)
        at, by = self._services.clock_us(), self._services.user
        added = self._repo.add_version(flow.name, id=encoded.id, digest=digest, at=at, by=by)
        if added.id == encoded.id:
            trust_recorded(self._repo, flow.name, added, at=at, by=by)
        else:  # another process was first
            self._trust(flow.name, added, entry, files, distributions)
        return Version(added.n, added.id, entry, files), True

    def _trust(
        self, flow: str, name: VersionName, entry: Entry, files: dict[str, bytes], runs_on: dict[str, Any]
    ) -> None:
        """Trust a version that by its digest is the working tree's code, if that is true: the digest is only said."""
        if self._repo.trust.is_decided(name.id):
            return
        with contextlib.suppress(KitaruError):  # what cannot be read is not trusted
            value = describe(self._values, {"id": name.id})
            said = Entry.from_json(value["entry"])
            same_place = (said.module, said.qualname, said.file) == (entry.module, entry.qualname, entry.file)
            if same_place and value["files"] == files and all(value.get(k) == v for k, v in runs_on.items()):
                at, by = self._services.clock_us(), self._services.user
                trust_recorded(self._repo, flow, name, at=at, by=by)

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
    if not isinstance(value, dict) or "entry" not in value or not _are_files(value.get("files")):
        raise Damaged(f"object {recorded['id'][:12]}", "not a flow version")
    return value


def digest_of(value: Mapping[str, Any]) -> str:
    """Return the digest of a version, from its value: what `Versions.record` gives to the same code.

    Raises:
        CodeUnloadable, Damaged: it is none.
    """
    runs_on = {name: value.get(name) for name in ("python", "distributions")}
    try:
        return fingerprint(Entry.from_json(value["entry"]), value["files"], runs_on)
    except (TypeError, ValueError, RecursionError) as error:  # what JSON has no form for
        raise Damaged("a flow version", "does not tell what it ran on") from error


def _are_files(files: object) -> bool:
    return isinstance(files, dict) and all(type(p) is str and type(data) is bytes for p, data in files.items())
