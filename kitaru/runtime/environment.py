"""What a flow runs on: Python, the installed distributions that its code imports, and the git commit.

Owns: finding these, quickly. Knows nothing of stores and runs, and never imports what it looks for.
"""

from __future__ import annotations

import json
import os
import re
import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kitaru.errors import EnvironmentUnbuildable
from kitaru.text import one_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

MARK = "recorded.json"
"""In an environment that was built for flow versions: what it was made of."""

GIT_TIMEOUT_S = 2.0
_MAX_GIT_PATHS = 500
_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?")
_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9.!+_-]*")
_PYTHON = re.compile(r"([0-9]{1,2}\.[0-9]{1,3})\.[0-9]+[A-Za-z0-9]*\+?")
_METADATA = re.compile(r"(?P<name>.+?)-(?P<version>[^-]+)(?:-py[\d.]+)?\.(?:dist|egg)-info")


def environment(modules: Iterable[str]) -> dict[str, Any]:
    """Return `{"python": version, "distributions": {name: version}}` for code that imports these top-level modules.

    Args:
        modules: top-level names, as `kitaru.runtime.sources.external_imports` finds them.
    """
    return {"python": sys.version.split(maxsplit=1)[0], "distributions": distributions(modules)}


def distributions(modules: Iterable[str]) -> dict[str, str]:
    """Return name and version of every installed distribution that provides one of these top-level modules."""
    installed = _installed()
    found = dict(sorted(pair for module in set(modules) for pair in installed.providers(module)))
    return found


def differing(recorded: Mapping[str, Any]) -> list[list[str]]:
    """Return what is not here as a flow version recorded it: name, version then, and now (empty where it is missing).

    Not Kitaru itself: it reads what any earlier one recorded, and may be no distribution at all.

    Args:
        recorded: a flow version's value, or what `environment` returned; nobody vouches for it.
    """
    python, named = recorded.get("python"), recorded.get("distributions")
    told = [["python", str(python), sys.version.split(maxsplit=1)[0]]] if isinstance(python, str) else []
    if isinstance(named, dict):
        pairs = sorted((str(name), str(then)) for name, then in named.items() if name != "kitaru")
        told += [[name, then, _installed().version(name)] for name, then in pairs]
    return [[name, then, now] for name, then, now in told if then != now]


def wanted(recorded: Mapping[str, Any]) -> list[str]:
    """Return what an environment for a flow version is made of: Python as `3.12`, then `name==version`, sorted.

    Kitaru is not among them. What is an option or a URL to an installer is refused.

    Args:
        recorded: as of `differing`.

    Raises:
        EnvironmentUnbuildable: the version does not say, or names what no index can have.
    """
    python, named = _PYTHON.fullmatch(str(recorded.get("python"))), recorded.get("distributions")
    if python is None or not isinstance(named, dict):
        raise EnvironmentUnbuildable("the version does not say what it was recorded with", hint="--env current")
    others = [(name, version) for name, version in named.items() if _normal(str(name)) != "kitaru"]
    return [python[1], *sorted(_pin(name, version) for name, version in others)]


def _pin(name: object, version: object) -> str:
    if isinstance(name, str) and isinstance(version, str) and _NAME.fullmatch(name) and _VERSION.fullmatch(version):
        return f"{name}=={version}"
    told = one_line(f"{name} {version}", 80)
    raise EnvironmentUnbuildable(
        f"the version was recorded with {told}, which cannot be installed", hint="--env current"
    )


def made_of(prefix: Path) -> object:
    """Return what the environment in a directory was made of, as `wanted` told it; None for any other."""
    try:
        return json.loads((prefix / MARK).read_text())
    except (OSError, ValueError):
        return None


def is_inside(recorded: Mapping[str, Any]) -> bool:
    """Tell whether this process runs in the environment of a flow version; raises as `wanted`."""
    return made_of(Path(sys.prefix)) == wanted(recorded)


@dataclass(frozen=True)
class _Folder:
    """One directory with installed packages, as it was at `stamp`."""

    path: str
    stamp: int

    @cached_property
    def found(self) -> dict[str, tuple[str, str]]:
        """Map each normalized distribution name to its version and metadata directory."""
        try:
            names = [item.name for item in os.scandir(self.path)]
        except OSError:
            return {}
        matches = filter(None, map(_METADATA.fullmatch, sorted(names, reverse=True)))
        return {_normal(m["name"]): (m["version"], os.path.join(self.path, m[0])) for m in matches}  # noqa: PTH118 - hot


class _Installed:
    """What is installed on one `sys.path`.

    A distribution mostly has its module's name, so that reading one RECORD proves it; only for others, such as PIL of
    pillow, every distribution's is read. (`importlib.metadata.packages_distributions` always reads them all.)
    """

    def __init__(self, folders: Sequence[_Folder]) -> None:
        self._folders = folders
        self._known: dict[str, list[tuple[str, str]]] = {}

    def providers(self, module: str) -> list[tuple[str, str]]:
        if module not in self._known:
            self._known[module] = self._same_name(module) or self._table.get(module) or self._editable(module)
        return self._known[module]

    def version(self, distribution: str) -> str:
        """Return the version of a distribution, or nothing where it is not installed."""
        name = _normal(distribution)
        return next((folder.found[name][0] for folder in self._folders if name in folder.found), "")

    def _same_name(self, module: str) -> list[tuple[str, str]]:
        name = _normal(module)
        for folder in self._folders:
            if name in folder.found:
                version, metadata = folder.found[name]
                return [(name, version)] if module in _top_levels(metadata) else []
        return []

    def _editable(self, module: str) -> list[tuple[str, str]]:
        """An editable install lists only its hook, so that the name alone must do."""
        name = _normal(module)
        return next(([(name, f.found[name][0])] for f in self._folders if name in f.found), [])

    @cached_property
    def _table(self) -> dict[str, list[tuple[str, str]]]:
        table: dict[str, list[tuple[str, str]]] = {}
        seen: set[str] = set()
        for folder in self._folders:
            for name, (version, metadata) in folder.found.items():
                if name not in seen:
                    seen.add(name)
                    for module in _top_levels(metadata):
                        table.setdefault(module, []).append((name, version))
        return table


_last: tuple[tuple[tuple[str, int], ...], _Installed] | None = None


def _installed() -> _Installed:
    """Return what is installed; as told before, unless a directory of `sys.path` has changed since."""
    global _last  # noqa: PLW0603 - one remembered answer; two threads that both refresh it do no harm
    stamps = tuple(_stamps())
    if _last is None or _last[0] != stamps:
        _last = stamps, _Installed([_Folder(path, stamp) for path, stamp in stamps])
    return _last[1]


def _stamps() -> Iterator[tuple[str, int]]:
    for path in dict.fromkeys(sys.path):
        try:
            yield path, Path(path or ".").stat().st_mtime_ns
        except OSError:
            continue


def _top_levels(metadata: str) -> set[str]:
    """Return the top-level modules that a distribution's metadata directory tells of."""
    folder = Path(metadata)
    told = _text(folder / "top_level.txt").split()
    if told:
        return {name.split("/")[0] for name in told}
    paths = (line.split(",", 1)[0].strip('"') for line in _text(folder / "RECORD").splitlines())
    return {top for top in map(_module_of, paths) if top}


def _module_of(path: str) -> str:
    top, slash, rest = path.partition("/")
    if not slash:
        return top.split(".")[0] if top.endswith((".py", ".so", ".pyd")) else ""
    return top if top.isidentifier() and rest.endswith((".py", ".so", ".pyd", ".pyi")) else ""


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8", "replace")
    except OSError:
        return ""


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def git_state(root: Path, files: Sequence[str] = ()) -> dict[str, Any] | None:
    """Return the git commit, and whether these files differ from it.

    Args:
        root: the project's directory.
        files: project-relative paths, such as a snapshot's; without any, all tracked files count.

    Returns:
        `{"commit": hex, "dirty": bool}`, or None without git, a repository, a commit, or an answer in time.
    """
    import subprocess

    paths = [f":(literal){f}" for f in files] if len(files) <= _MAX_GIT_PATHS else []
    untracked = "--untracked-files=all" if paths else "--untracked-files=no"
    command = ["git", "-c", "core.fsmonitor=false", "status", "--porcelain=v2", "--branch", untracked, "--", *paths]
    try:
        done = subprocess.run(  # noqa: S603 - a fixed command; paths are literal and come after `--`
            command,
            cwd=root,
            env={**os.environ, "GIT_OPTIONAL_LOCKS": "0"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=GIT_TIMEOUT_S,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return _parse_status(done.stdout.decode("utf-8", "replace"))


def _parse_status(text: str) -> dict[str, Any] | None:
    lines = text.splitlines()
    commit = next((line.split()[-1] for line in lines if line.startswith("# branch.oid ")), "")
    if re.fullmatch(r"[0-9a-f]{40,64}", commit) is None:
        return None
    return {"commit": commit, "dirty": any(not line.startswith("#") for line in lines)}
