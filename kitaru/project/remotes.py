"""The remotes that a project knows: what `config.toml` says of each, and what may stand there.

Owns: the table `remotes` as a list of `Remote`. A remote that is named nowhere is the first of the table. No URL or
option holds a secret. Knows nothing of what goes to a remote and comes from it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kitaru.blobs.remotes import OPTIONS, is_relative, open_remote, written
from kitaru.config import is_name
from kitaru.errors import BadConfig, UnknownRemote, UsageError
from kitaru.store import trust

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from kitaru.blobs.contract import RemoteBlobs


@dataclass(frozen=True, slots=True)
class Remote:
    """Another store that runs are pushed to and pulled from.

    Attributes:
        name: what it is called here.
        url: `s3://BUCKET/PREFIX`, or the whole path of a shared folder.
        options: those of `endpoint-url`, `profile` and `region` that are set.
    """

    name: str
    url: str
    options: Mapping[str, str] = field(default_factory=dict)

    def connect(self) -> RemoteBlobs:
        """Return the place itself; nothing is sent before it is used.

        Raises:
            BadConfig: the URL or an option is none.
            RemoteUnreachable: a folder is not there.
            MissingExtra: the library for such a URL is not installed.
        """
        return open_remote(self.url, self.options)

    @property
    def place(self) -> str:
        """How it is known wherever what is known of it is kept: another server's is another place."""
        return trust.place(self.entry())

    def entry(self) -> dict[str, str]:
        """Return what `config.toml` says of it."""
        return {"url": self.url, **self.options}


def configured(table: Mapping[str, Any], where: str) -> list[Remote]:
    """Return the remotes of a table, in its order; raises BadConfig where an entry is none."""
    return [_read(name, entry, where) for name, entry in table.items()]


def _read(name: str, entry: Mapping[str, Any], where: str) -> Remote:
    told = f"{where}: remote {name!r}"
    unknown = sorted(entry.keys() - {"url", *OPTIONS})
    if unknown:
        raise BadConfig(f"{told} has no setting {unknown[0]!r}", hint=f"its settings are url, {', '.join(OPTIONS)}")
    wrong = sorted(key for key, value in entry.items() if not isinstance(value, str))
    if wrong:
        raise BadConfig(f"{told}: {wrong[0]} is {entry[wrong[0]]!r}, and must be text", hint=f"mend the file: {where}")
    if not entry.get("url"):
        raise BadConfig(f"{told} has no url", hint=f"kitaru remote remove {name}")
    if is_relative(entry["url"]):
        hint = f"kitaru remote remove {name}, and kitaru remote add {name} PATH"
        raise BadConfig(f"{told}: url is {entry['url']!r}, which another directory makes another place", hint=hint)
    return Remote(name, entry["url"], {key: entry[key] for key in OPTIONS if entry.get(key)})


def chosen(remotes: Iterable[Remote], name: str | None) -> Remote:
    """Return the remote of this name, or the first.

    Raises:
        UnknownRemote: there is none of that name, or none at all.
    """
    found = {remote.name: remote for remote in remotes}
    if name is None and found:
        return next(iter(found.values()))
    if name is None or name not in found:
        raise UnknownRemote(name, list(found))
    return found[name]


def check(url: str, *, endpoint_url: str = "", profile: str = "", region: str = "") -> None:
    """Raise BadConfig where these can be no remote's."""
    written(url, {"endpoint-url": endpoint_url, "profile": profile, "region": region})


def check_elsewhere(remote: Remote, store: Path) -> None:
    """Raise BadConfig where a remote would be the store itself, or in it."""
    place = Path(remote.url)
    if place.is_absolute() and place.resolve().is_relative_to(store.resolve()):
        raise BadConfig(f"{remote.url} is this project's own store", hint="choose a folder that others can write to")


def made(name: str, url: str, options: Mapping[str, str], known: Iterable[Remote]) -> Remote:
    """Return a new remote as it is to be written down.

    Raises:
        BadConfig: it cannot be called so, or the URL or an option is none, or holds a secret.
        UsageError: there is one of that name.
    """
    if not is_name(name):
        raise BadConfig(f"{name!r} is no name for a remote", hint="use letters, digits, - and _")
    for there in known:
        if there.name == name:
            raise UsageError(f"there is a remote {name!r} already: {there.url}", hint=f"kitaru remote remove {name}")
    return Remote(name, written(url, options), {key: value for key, value in options.items() if value})
