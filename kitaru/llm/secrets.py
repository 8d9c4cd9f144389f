"""Secrets: a name, and where its value lives. A value is read when it is needed, and never written anywhere.

Owns: the sources (`env:`, `keyring:`, `file:`, `cmd:`, and any other by an entry point of the group `kitaru.secrets`),
and that a value that was read is kept out of whatever is captured, by `runtime.redaction`.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kitaru.errors import MissingExtra, UnknownSecret
from kitaru.runtime.redaction import hide

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

GROUP = "kitaru.secrets"

CMD_TIMEOUT_S = 60.0

_read: dict[tuple[str, str], str] = {}
"""What was read from sources that take time or ask somebody: once in a process."""


def value_of(name: str, settings: Mapping[str, Any]) -> str:
    """Return a secret's value, and keep it out of everything that is captured.

    Raises:
        UnknownSecret: it is not configured, or not where its source says.
    """
    source = settings.get("secrets", {}).get(name)
    if source is None:
        raise UnknownSecret(f"there is no secret {name!r}", hint=f"kitaru secret add {name} env:VARIABLE")
    scheme, rest = split(name, source)
    if scheme in ("env", "file"):
        value = _value(name, scheme, rest)
    else:
        value = _read.get((name, source)) or _value(name, scheme, rest)
        _read[name, source] = value
    hide(name, value)
    return value


def split(name: str, source: str) -> tuple[str, str]:
    """Return scheme and rest of a source, checked; raises UnknownSecret."""
    scheme, colon, rest = source.partition(":")
    if not colon or not rest or scheme not in schemes():
        raise UnknownSecret(
            f"the source of secret {name} cannot be read; sources begin with {', '.join(s + ':' for s in schemes())}",
            hint=f"kitaru secret add {name} env:VARIABLE",
        )
    return scheme, rest


def schemes() -> list[str]:
    """Return how sources may begin, less the colon."""
    from importlib.metadata import entry_points

    return [*_SOURCES, *sorted(entry_points(group=GROUP).names)]


def learn(settings: Mapping[str, Any]) -> None:
    """Keep out of all that is captured what can be known of secrets without asking anybody: variables and files."""
    for name, source in settings.get("secrets", {}).items():
        scheme, _, rest = str(source).partition(":")
        if scheme in ("env", "file"):
            try:
                hide(name, _value(name, scheme, rest))
            except UnknownSecret:
                continue


def learn_provider(provider: str) -> None:
    """Keep out, too, the key that litellm finds by itself for a provider, where a model names no secret."""
    variable = f"{provider.upper().replace('-', '_')}_API_KEY"
    if os.environ.get(variable):
        hide(variable, os.environ[variable])


def _value(name: str, scheme: str, rest: str) -> str:
    found = _SOURCES[scheme](name, rest) if scheme in _SOURCES else _by_entry_point(name, scheme, rest)
    value = found.strip()
    if not value:
        raise UnknownSecret(f"secret {name} is empty in {scheme}:{rest}", hint=f"kitaru secret check {name}")
    return value


def _env(name: str, variable: str) -> str:
    value = os.environ.get(variable)
    if not value:
        raise UnknownSecret(
            f"secret {name} is to be in the environment variable {variable}, which is not set",
            hint=f"export {variable}=...",
        )
    return value


def _file(name: str, path: str) -> str:
    try:
        return Path(path).expanduser().read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not text"
        raise UnknownSecret(f"secret {name} is to be in {path}, which cannot be read: {why}") from None


def _keyring(name: str, place: str) -> str:
    try:
        import keyring  # type: ignore[import-not-found,unused-ignore]  # an extra
    except ImportError:
        raise MissingExtra(f"secret {name}, in a keyring,", "keyring") from None
    service, _, user = place.partition("/")
    try:
        value = keyring.get_password(service, user)
    except Exception as error:  # each backend has its own
        raise UnknownSecret(f"secret {name}: the keyring cannot be read: {type(error).__name__}") from None
    if value is None:
        raise UnknownSecret(f"secret {name}: the keyring has no {service}/{user}", hint=f"keyring set {service} {user}")
    return str(value)


def _cmd(name: str, line: str) -> str:
    import shlex
    import subprocess

    try:
        done = subprocess.run(  # noqa: S603 - the project's own configuration says so
            shlex.split(line), capture_output=True, timeout=CMD_TIMEOUT_S, check=True
        )
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        code = getattr(error, "returncode", None)
        why = f"exit status {code}" if code is not None else type(error).__name__
        raise UnknownSecret(f"secret {name}: its command failed: {why}", hint=line) from None
    return done.stdout.decode("utf-8", "replace")


def _by_entry_point(name: str, scheme: str, rest: str) -> str:
    from importlib.metadata import entry_points

    (found, *_) = entry_points(group=GROUP, name=scheme)
    try:
        return str(found.load()(rest))
    except Exception as error:  # whatever a third party's resolver raises; its text might hold anything
        raise UnknownSecret(f"secret {name}: {scheme}: failed with {type(error).__name__}") from None


_SOURCES: dict[str, Callable[[str, str], str]] = {"env": _env, "file": _file, "keyring": _keyring, "cmd": _cmd}
