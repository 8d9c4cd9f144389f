"""The remotes of a project: named, listed, forgotten, looked at, and compared with what is here.

Owns: these verbs. What a remote is called and where it lies is `kitaru.project.remotes`; nothing is copied here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kitaru.config import STORE, load, put
from kitaru.errors import UnknownRemote
from kitaru.project.reading import Reading
from kitaru.store import layout

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from kitaru.project.inspecting import Inspection
    from kitaru.project.remotes import Remote
    from kitaru.store.sync.results import Standing
    from kitaru.store.sync.tracking import Tracking


class Remoting(Reading):
    """A project that knows where other stores are."""

    @property
    def _settings_file(self) -> Path:
        return self.root / STORE / "config.toml"

    def remotes(self) -> list[Remote]:
        """Return the remotes, the default one first.

        Raises:
            BadConfig: what `config.toml` says of one cannot be.
        """
        from kitaru.project.remotes import configured

        return configured(self.config.tables.get("remotes", {}), str(self._settings_file))

    def remote(self, name: str | None = None) -> Remote:
        """Return a remote by its name, or the default one; raises UnknownRemote."""
        from kitaru.project.remotes import chosen

        return chosen(self.remotes(), name)

    def split_remote(self, words: Sequence[str]) -> tuple[Remote, list[str]]:
        """Return the remote that the first word names, or the default one; and the words that are left, for runs.

        Raises:
            UnknownRemote: there is no remote at all.
        """
        if words and any(remote.name == words[0] for remote in self.remotes()):
            return self.remote(words[0]), list(words[1:])
        return self.remote(), list(words)

    def add_remote(self, name: str, url: str, *, endpoint_url: str = "", profile: str = "", region: str = "") -> Remote:
        """Write down a remote; the first is the default. Nothing is sent there.

        Args:
            name: what it is called here.
            url: `s3://BUCKET/PREFIX`, or a shared folder.
            endpoint_url: of an S3 server that is not Amazon's.
            profile: of `~/.aws/config`, for its credentials.
            region: where the bucket is.

        Raises:
            BadConfig: the name or the URL cannot be, or there is a secret in it.
            UsageError: there is a remote of that name.
        """
        from kitaru.project.remotes import check_elsewhere, made

        options = {"endpoint-url": endpoint_url, "profile": profile, "region": region}
        remote = made(name, url, options, self.remotes())
        check_elsewhere(remote, self.root / STORE)
        put(self._settings_file, "remotes", name, remote.entry())
        self.config = load(self._settings_file)
        return remote

    def remove_remote(self, name: str) -> None:
        """Forget a remote, and what is known of it; what was pulled from it stays, and so does who is trusted.

        Raises:
            UnknownRemote: there is none of that name.
        """
        from kitaru.store.sync.tracking import Tracking

        table = self.config.tables.get("remotes", {})  # not `remotes()`: one that is not as it must be can go, too
        if name not in table:
            raise UnknownRemote(name, list(table))
        put(self._settings_file, "remotes", name, None)
        self.config = load(self._settings_file)
        Tracking.open(self.repo.blobs, name, "").forget()

    def inspect_remote(self, name: str | None = None) -> Inspection:
        """Ask a remote whether it can be reached, what it can do, and whose runs it has; raises UnknownRemote."""
        from kitaru.project.inspecting import inspect

        return inspect(self.remote(name), self.repo)

    def standing(self) -> dict[str, Standing]:
        """Return how this store stands to each remote, by name, as of the last look there; none is asked."""
        remotes = self.remotes()
        if not remotes:
            return {}
        from kitaru.store.sync import compare, keys_here

        ours = keys_here(self.repo.blobs)
        return {remote.name: compare(ours, self._tracking(remote)) for remote in remotes}

    def _tracking(self, remote: Remote) -> Tracking:
        from kitaru.store.sync.tracking import Tracking

        return Tracking.open(self.repo.blobs, remote.name, remote.place)

    def lives_on(self, run: str, *, behind: bool = False) -> str:
        """Return the name of the first remote that had a run at the last look there; empty where none had.

        Args:
            behind: only one that had less of it than is here now.
        """
        here = len(self.repo.blobs.children(layout.run_key(run)))
        for remote in self.remotes():
            there = self._tracking(remote).segments_of(run)
            if there and (there < here or not behind):
                return remote.name
        return ""
