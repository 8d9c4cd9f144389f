"""`runtime="isolated"`: each call in a process that can be killed, with limits and an environment of its own.

Owns: its options, and which worker a job goes to. Workers are `pool`'s, talking to one is `exchange`'s.
"""

from __future__ import annotations

import fnmatch
import os
import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from kitaru.errors import BadConfig

if TYPE_CHECKING:
    from kitaru.runtime.placement.pool import Pool
    from kitaru.runtime.placement.protocol import Finished, Host, Job

INHERITED = (
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "LANG",
    "LANGUAGE",
    "LC_*",
    "TZ",
    "TMPDIR",
    "PYTHON*",
    "VIRTUAL_ENV",
    "LD_LIBRARY_PATH",
    "DYLD_LIBRARY_PATH",
)
"""Environment variables that every isolated call sees, where they are set; any other is asked for by `env=`."""

_UNITS = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30}
_LEAST_MEMORY = 64 * 2**20
_CORE = "RLIMIT_CORE"


@dataclass(frozen=True, slots=True)
class Isolated:
    """Limits of an isolated call.

    Attributes:
        memory: bytes of data that the process may have, as a number or as `"2GB"`, `"512MiB"`; None for no limit.
        cpu_s: seconds of CPU time that one call may use; None for no limit.
        env: variables that it sees beside `INHERITED`: names, patterns such as `AWS_*`, or name to value.
        cwd: its working directory, relative to the project; the run's own by default.
        max_calls: calls after which the process is ended and another one started.
    """

    runtime: ClassVar[str] = "isolated"

    memory: int | str | None = None
    cpu_s: float | None = None
    env: tuple[str, ...] | Mapping[str, str] = ()
    cwd: str | None = None
    max_calls: int = 100

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Isolated:
        """Check options as they were given to the decorator.

        Raises:
            BadConfig: one of them is unknown or has no sense.
        """
        names = [field.name for field in fields(cls)]
        unknown = sorted(given.keys() - set(names))
        if unknown:
            raise BadConfig(
                f"an isolated call has no option {', '.join(unknown)}", hint=f"its options are {', '.join(names)}"
            )
        env = given.get("env", ())
        if isinstance(env, str) or not isinstance(env, Iterable) or not all(isinstance(part, str) for part in env):
            raise BadConfig(f"env= is {env!r}", hint='give names, env=["OPENAI_API_KEY"], or a dict of values')
        made = cls(**{**given, "env": dict(env) if isinstance(env, Mapping) else tuple(env)})
        made._check()
        return made

    def _check(self) -> None:
        if self.memory_bytes is not None and self.memory_bytes < _LEAST_MEMORY:
            raise BadConfig(f"memory={self.memory!r} is less than Python needs to start", hint='use memory="256MiB"')
        if self.cpu_s is not None and not (isinstance(self.cpu_s, (int, float)) and self.cpu_s > 0):
            raise BadConfig(f"cpu_s={self.cpu_s!r} is no number of seconds", hint="use cpu_s=60")
        if not isinstance(self.max_calls, int) or self.max_calls < 1:
            raise BadConfig(f"max_calls={self.max_calls!r} is no number of calls", hint="use max_calls=1 for a new one")
        if self.cwd is not None and not isinstance(self.cwd, str | os.PathLike):
            raise BadConfig(f"cwd={self.cwd!r} is no directory", hint='use cwd="work"')

    @property
    def memory_bytes(self) -> int | None:
        """The limit of memory in bytes.

        Raises:
            BadConfig: it is no size.
        """
        if self.memory is None or (isinstance(self.memory, int) and not isinstance(self.memory, bool)):
            return self.memory
        match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMG]I?B|B|)", str(self.memory).strip().upper())
        if match is None or isinstance(self.memory, bool):
            raise BadConfig(f"memory={self.memory!r} is no size", hint='use bytes, or memory="2GB"')
        return int(float(match[1]) * _UNITS[match[2]])

    def environment(self) -> dict[str, str]:
        """Return the variables that the call is to see, as they are in this process now."""
        named = (*INHERITED, *(() if isinstance(self.env, Mapping) else self.env))
        pattern = re.compile("|".join(fnmatch.translate(name) for name in named))
        found = {name: value for name, value in os.environ.items() if pattern.match(name)}
        return {**found, **self.env} if isinstance(self.env, Mapping) else found

    def limits(self) -> dict[str, int]:
        """Return the process's limits, by the names that `resource` gives them.

        Linux counts in RLIMIT_DATA what a process may write to, also what it maps; elsewhere only RLIMIT_AS comes near.
        """
        limits = {_CORE: 0}
        if self.memory_bytes is not None:
            limits["RLIMIT_DATA" if sys.platform.startswith("linux") else "RLIMIT_AS"] = self.memory_bytes
        return limits


class IsolatedRuntime:
    """Executes calls in processes of their own, kept warm between calls. Made once per process."""

    kills = True

    def __init__(self, pool: Pool | None = None) -> None:
        if pool is None:
            from kitaru.runtime.placement.pool import Pool

            pool = Pool()
        self.pool = pool

    def options(self, given: Mapping[str, Any]) -> Isolated:
        """Check the options of a checkpoint."""
        return Isolated.of(given)

    def execute(self, job: Job, host: Host) -> Finished:
        """Execute a call in a worker, and end the worker if it is not as good as new afterwards."""
        from kitaru.runtime.placement.exchange import Exchange

        limits = job.options or Isolated()
        env = limits.environment()
        kind = (
            tuple(sorted(env.items())),
            limits.memory_bytes,
            job.function.root,
            job.function.version,
            job.function.recorded,
        )
        worker = self.pool.take(kind, env, limits.limits())
        exchange = Exchange(worker, job, host, _settings(limits, job.function.root))
        try:
            return exchange.run()
        finally:
            if exchange.tainted or worker.calls >= limits.max_calls:
                self.pool.discard(worker)
            else:
                self.pool.give_back(worker, kind)


def _settings(limits: Isolated, root: str) -> dict[str, Any]:
    cwd = str(Path.cwd()) if limits.cwd is None else str(Path(root, limits.cwd))
    return {"cpu_s": limits.cpu_s, "cwd": cwd}
