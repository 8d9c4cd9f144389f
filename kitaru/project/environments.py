"""Environments as flow versions recorded them: built by uv, each once, in `cache/environments/<digest>`.

Owns: what goes into one, how it is built, and how it is found again. A version names the distributions that its code
imports, each with the version that it had; uv resolves what these need. Kitaru itself is not installed but linked in:
the very one that asks, beside what it needs, so that an editable one will do. Whoever builds one runs what these
distributions run when they are installed: only a trusted version's is built.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import shutil
import sys
import sysconfig
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kitaru.errors import EnvironmentUnbuildable
from kitaru.runtime.environment import MARK, made_of, wanted
from kitaru.text import one_line

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator, Mapping, Sequence

DIRECTORY = "environments"
MAX_TOLD = 400
"""Characters of what uv says last that are told."""

_PACKAGE = Path(__file__).parents[1].resolve()


@dataclass(frozen=True, slots=True)
class Environment:
    """What a flow version is to run on.

    Attributes:
        python: such as `3.12`.
        pins: distributions, as `name==version`, sorted.
        needs: what Kitaru needs, as requirements.
        place: where the built one is, or is to be.
    """

    python: str
    pins: tuple[str, ...]
    needs: tuple[str, ...]
    place: Path

    @property
    def executable(self) -> Path:
        """Its Python."""
        return self.place / "bin" / "python"

    @property
    def is_this(self) -> bool:
        """Whether this process runs in it."""
        return Path(sys.prefix) == self.place

    def build(self, root: Path) -> Path:
        """Build it, unless it is there, whole or not at all; return its Python.

        Args:
            root: the project's directory, where uv finds its settings.

        Raises:
            EnvironmentUnbuildable: there is no uv, or it says no; the message has its last words.
        """
        if self.executable.exists():
            return self.executable
        uv = _uv()
        with _made(self.place.parent) as directory:
            _run([*uv, "venv", "--quiet", "--relocatable", "--python", self._interpreter(), str(directory)], root)
            install = [*uv, "pip", "install", "--quiet", "--python", str(directory / "bin" / "python"), "-r", "-"]
            _run(install, root, "\n".join([*self.pins, *self.needs]))
            (packages,) = (directory / "lib").glob("python3.*/site-packages")
            (packages / "kitaru").symlink_to(_PACKAGE)
            (directory / MARK).write_text(json.dumps([self.python, *self.pins]))
            with contextlib.suppress(OSError):  # another process was first
                directory.rename(self.place)
        if not self.executable.exists():
            raise EnvironmentUnbuildable(f"{self.place} cannot be put in its place", hint=f"remove {self.place}")
        return self.executable

    def _interpreter(self) -> str:
        """Return what uv is to make it of: this Python where it will do, so that none is looked for or fetched."""
        return getattr(sys, "_base_executable", sys.executable) if self.python == _minor() else self.python


def environment_of(recorded: Mapping[str, Any], cache: Path) -> Environment:
    """Return the environment that a flow version recorded.

    Args:
        recorded: the version's value; nobody vouches for it.
        cache: the store's directory for what can be made anew.

    Raises:
        EnvironmentUnbuildable: the version names what no index can have, or Kitaru does not know what it needs itself.
    """
    python, *pins = made = wanted(recorded)
    if made_of(Path(sys.prefix)) == made:
        return Environment(python, tuple(pins), (), Path(sys.prefix))
    needs = _own_needs()
    told = [made, needs, str(_PACKAGE), sysconfig.get_platform()]
    digest = hashlib.sha256(json.dumps(told).encode()).hexdigest()
    return Environment(python, tuple(pins), needs, cache.absolute() / DIRECTORY / digest[:32])


def _minor() -> str:
    return f"{sys.version_info.major}.{sys.version_info.minor}"


def _own_needs() -> tuple[str, ...]:
    """Return the requirements of Kitaru itself, without its extras: of the installed one, or of a source checkout."""
    from importlib.metadata import PackageNotFoundError, requires

    try:
        named: Sequence[str] = requires("kitaru") or []
    except PackageNotFoundError:
        named = _checkout_needs()
    return tuple(sorted(need for need in named if "extra ==" not in need))


def _checkout_needs() -> list[str]:
    import tomllib

    try:
        document = tomllib.loads((_PACKAGE.parent / "pyproject.toml").read_text("utf-8"))
        return [str(need) for need in document["project"]["dependencies"]]
    except (OSError, ValueError, KeyError) as error:
        raise EnvironmentUnbuildable("this kitaru does not know what it needs", hint="pip install kitaru") from error


def _uv() -> list[str]:
    from importlib.util import find_spec

    found = shutil.which("uv")
    if found is not None:
        return [found]
    if find_spec("uv") is not None:
        return [sys.executable, "-P", "-m", "uv"]
    raise EnvironmentUnbuildable("there is no uv to build the recorded environment with", hint="pip install uv")


@contextlib.contextmanager
def _made(parent: Path) -> Iterator[Path]:
    parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    directory = Path(tempfile.mkdtemp(prefix="building-", dir=parent))
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _run(words: Sequence[str], root: Path, given: str = "") -> None:
    import subprocess

    try:
        done = subprocess.run(  # noqa: S603 - uv, with names that were checked, on stdin
            words, cwd=root, input=given.encode(), capture_output=True, check=False
        )
    except OSError as error:
        raise EnvironmentUnbuildable(f"uv cannot be started: {error.strerror}", hint="pip install uv") from error
    if done.returncode:
        raise EnvironmentUnbuildable(f"the recorded environment cannot be built: {_last_words(done)}", hint=_HINT)


_FRAMES = "\u00d7\u2570\u2500\u25b6\u2502\u256d"
"""What uv draws around its words."""
_HINT = "--env current runs it on what is installed here"


def _last_words(done: subprocess.CompletedProcess[bytes]) -> str:
    said = (done.stderr or done.stdout).decode("utf-8", "replace")
    return (
        one_line(re.sub(f"[\\s{_FRAMES}]+", " ", said).strip(), MAX_TOLD) or f"uv ended with status {done.returncode}"
    )
