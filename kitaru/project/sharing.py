"""Sharing runs with a team: remotes, and what goes to them and comes from them.

Owns: these verbs. What a remote is called and where it lies is `kitaru.project.remotes`; how stores are brought
together is `kitaru.store.sync`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kitaru.config import STORE, load, put
from kitaru.project.reading import Reading

if TYPE_CHECKING:
    from pathlib import Path

    from kitaru.project.remotes import Remote


class Sharing(Reading):
    """A project as one of several that share runs."""

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
        from kitaru.project.remotes import made

        options = {"endpoint-url": endpoint_url, "profile": profile, "region": region}
        remote = made(name, url, options, self.remotes())
        put(self._settings_file, "remotes", name, remote.entry())
        self.config = load(self._settings_file)
        return remote

    def remove_remote(self, name: str) -> None:
        """Forget a remote, and what is known of it; what was pulled from it stays, and so does who is trusted.

        Raises:
            UnknownRemote: there is none of that name.
        """
        from kitaru.errors import UnknownRemote

        table = self.config.tables.get("remotes", {})  # not `remotes()`: one that is not as it must be can go, too
        if name not in table:
            raise UnknownRemote(name, list(table))
        put(self._settings_file, "remotes", name, None)
        self.config = load(self._settings_file)
