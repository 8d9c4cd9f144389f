"""Which kind of place a remote's URL stands for.

Owns: what a URL and the options of a remote may say, and the choice of a backend, which is imported only when it is
chosen. Knows nothing of what is kept there. No URL holds a secret: one that would is refused, and not repeated.
"""

from __future__ import annotations

import os
import re
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from kitaru.blobs.contract import check_key
from kitaru.blobs.folder import FolderBlobs
from kitaru.errors import BadConfig, MissingExtra

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kitaru.blobs.contract import RemoteBlobs

OPTIONS = ("endpoint-url", "profile", "region")
"""What may be said of a remote beside its URL: for `s3://` only."""

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://(.*)", re.DOTALL)
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,253}[A-Za-z0-9]")
_ENDPOINT = re.compile(r"https?://([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?(/[A-Za-z0-9._/-]*)?")
_HINT = "kitaru remote add NAME s3://BUCKET/PREFIX, or a folder"


def open_remote(url: str, options: Mapping[str, str] | None = None) -> RemoteBlobs:
    """Return the place that a URL stands for. Nothing is sent anywhere before it is used.

    Args:
        url: `s3://BUCKET[/PREFIX]`, a path or `file://PATH` of a shared folder, or any other URL that fsspec knows.
        options: those of `OPTIONS` that are set.

    Raises:
        BadConfig: not such a URL, one with a secret in it, or an option that there is not.
        RemoteUnreachable: there is no such folder.
        MissingExtra: the library for such a URL is not installed.
    """
    chosen = {name: value for name, value in (options or {}).items() if value}
    scheme, rest = _split(url)
    _check_options(scheme, chosen)
    if not scheme:
        return FolderBlobs(rest)
    if scheme == "s3":
        return _bucket(rest, chosen)
    return _anywhere(url)


def written(url: str, options: Mapping[str, str] | None = None) -> str:
    """Return a URL as it may be written down, to be opened from anywhere: that of a folder has its whole path.

    Raises:
        BadConfig: as `open_remote`; whether anything is there is not asked.
    """
    scheme, rest = _split(url)
    _check_options(scheme, {name: value for name, value in (options or {}).items() if value})
    if scheme == "s3":
        _bucket_and_prefix(rest)
    return url if scheme else os.path.abspath(Path(rest).expanduser())  # noqa: PTH100 - without `..` in it


def is_relative(url: str) -> bool:
    """Tell whether a URL stands for a folder that depends on the current directory."""
    return _SCHEME.fullmatch(url) is None and not Path(os.path.expanduser(url)).is_absolute()  # noqa: PTH111 - as any text


def _split(url: str) -> tuple[str, str]:
    """Return the scheme, empty for a folder, and what follows it."""
    match = _SCHEME.fullmatch(url)
    if not url or "\0" in url or "::" in url:
        raise BadConfig("that is not the URL of a remote", hint=_HINT)
    if match is None:
        return "", url
    scheme, rest = match[1].lower(), match[2]
    if scheme in {"file", "local"}:
        return "", _folder(rest)
    authority = rest.partition("/")[0]
    if "?" in rest or "#" in rest or ("@" in authority and (scheme == "s3" or ":" in authority.rpartition("@")[0])):
        raise BadConfig("the URL of a remote has no user, password, key or query in it", hint=_SECRETS)
    return scheme, rest


_SECRETS = "credentials come from the environment or from ~/.aws; see `--profile`"


def _folder(rest: str) -> str:
    if not rest.startswith("/"):
        raise BadConfig(f"file://{rest} does not name a folder of this machine", hint="file:///absolute/path")
    return rest


def _bucket_and_prefix(rest: str) -> tuple[str, str]:
    name, _, prefix = rest.partition("/")
    if _BUCKET.fullmatch(name) is None:
        raise BadConfig(f"{name!r} is no name of a bucket", hint=_HINT)
    prefix = prefix.strip("/")
    try:
        check_key(prefix or "none")
    except ValueError as error:
        raise BadConfig(str(error), hint=_HINT) from None
    return name, prefix


def _bucket(rest: str, options: Mapping[str, str]) -> RemoteBlobs:
    name, prefix = _bucket_and_prefix(rest)
    if find_spec("s3fs") is None:
        raise MissingExtra("a bucket as a remote", "s3")
    from kitaru.blobs.bucket import BucketBlobs

    return BucketBlobs(name, prefix, options)


def _anywhere(url: str) -> RemoteBlobs:
    if find_spec("fsspec") is None:
        raise MissingExtra("such a remote", "fsspec")
    from kitaru.blobs.anywhere import AnywhereBlobs

    return AnywhereBlobs(url)


def _check_options(scheme: str, options: Mapping[str, str]) -> None:
    for name in options:
        if name not in OPTIONS:
            raise BadConfig(f"a remote has no setting {name!r}", hint=f"its settings are {', '.join(OPTIONS)}")
        if scheme != "s3":
            raise BadConfig(f"{name} is a setting of s3:// only", hint=_HINT)
    if _ENDPOINT.fullmatch(options.get("endpoint-url", "http://none")) is None:
        raise BadConfig("endpoint-url is not http://HOST[:PORT] or https://…, without user and password", hint=_SECRETS)
