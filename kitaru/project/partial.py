"""Runs that were pulled without their large objects: these are brought as they are read, or all at once.

Owns: which remote a mark leads to, and that nothing is loaded or asked before something is missing. How objects are
brought is `store.bringing`.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from kitaru.notices import notice

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from kitaru.blobs.contract import RemoteBlobs
    from kitaru.config import Config
    from kitaru.store.bringing import Bringer
    from kitaru.store.partial import Mark
    from kitaru.store.repository import Repository


class FromRemotes:
    """Brings objects from the remotes of a project; an `Elsewhere`.

    Args:
        repo: the store.
        config: returns the project's settings, with its remotes, as they are then.
    """

    def __init__(self, repo: Repository, config: Callable[[], Config]) -> None:
        self._repo, self._config = repo, config

    def fetch(self, object_id: str, runs: Sequence[str]) -> bool:
        """Bring an object; see `Elsewhere`."""
        return self._repo.partial.has_any() and self._bringer.fetch(object_id, runs)

    def ids(self, prefix: str) -> list[str]:
        """Return the ids of objects that begin so; see `Elsewhere`."""
        return self._bringer.ids(prefix) if self._repo.partial.has_any() else []

    def complete(self, runs: Iterable[str]) -> None:
        """Bring all that these runs lack; those that are not partial lack nothing.

        Raises:
            RemoteError: a remote said no, or nothing, or does not have it.
            Damaged: what came is not what was recorded.
        """
        for run in runs:
            if self._repo.partial.is_marked(run):
                self._bringer.complete(run)

    @cached_property
    def _bringer(self) -> Bringer:
        from kitaru.store.bringing import Bringer

        return Bringer(self._repo, self._connect, notice)

    def _connect(self, mark: Mark) -> RemoteBlobs:
        from kitaru.config import STORE
        from kitaru.errors import RemoteError
        from kitaru.project.remotes import configured

        for remote in configured(self._config().tables.get("remotes", {}), f"{STORE}/config.toml"):
            if remote.place == mark.url:
                return remote.connect()
        raise RemoteError(
            f"the large objects of run {mark.run} were left on {mark.remote}, {mark.url}, which is no remote any more",
            hint=f"kitaru remote add {mark.remote} {mark.url}",
        )
