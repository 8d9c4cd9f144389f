"""What a checkpoint or a flow is decorated with: the options, their meaning and their bounds.

Owns: checking them where they are given, so that a mistake shows at decoration. Knows nothing of functions or runs.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NoReturn, TypedDict

from kitaru.errors import BadConfig
from kitaru.runtime.retry import Retry

DRIFT_POLICIES = ("stop", "new", "reuse")

DEFAULT_WORKERS = 16
"""Threads for submitted calls, where a flow does not say: calls of agents mostly wait for somebody else."""

INLINE = "inline"

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


def check_policy(policy: str) -> str:
    """Return a drift policy, or the empty string for "not said here".

    Raises:
        BadConfig: it is none of `stop`, `new` and `reuse`.
    """
    if policy and policy not in DRIFT_POLICIES:
        raise BadConfig(f"on_drift is {policy!r}", hint="use stop, new or reuse")
    return policy


def check_on_error(policy: str) -> bool:
    """Tell whether the failure of one call of many calls off the others.

    Raises:
        BadConfig: the policy is neither `finish` nor `cancel`.
    """
    if policy not in ("finish", "cancel"):
        raise BadConfig(
            f"on_error is {policy!r}", hint="use finish or cancel; a parameter of this name is mapped by position"
        )
    return policy == "cancel"


def seconds(value: object, option: str) -> float | None:
    """Return a duration as seconds: a number, a timedelta, or text such as `30s`, `5m`, `2h`, `7d`; None stays None.

    Raises:
        BadConfig: it is none of these, or not more than nothing.
    """
    if value is None:
        return None
    found: float | None = None
    if hasattr(value, "total_seconds"):
        found = value.total_seconds()
    elif isinstance(value, str) and (match := re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smhdw])", value.strip())):
        found = float(match[1]) * _UNITS[match[2]]
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        found = float(value)
    if found is None or not 0 < found < float("inf"):
        raise BadConfig(
            f"{option} is {value!r}", hint=f"give seconds, a timedelta, or text: {option}=30, {option}='5m'"
        )
    return found


class CheckpointArguments(TypedDict, total=False):
    """What `@checkpoint(...)` and `checkpoint.with_options(...)` take; see `CheckpointOptions`."""

    name: str
    ignore: Iterable[str]
    key: Callable[..., object] | None
    on_drift: str
    retries: int | Retry | None
    timeout: object
    concurrency: int | None
    runtime: Any
    runtime_options: Mapping[str, Any]
    cache: bool | None
    cache_key: Callable[..., object] | None
    expires: object


@dataclass(frozen=True, slots=True)
class CheckpointOptions:
    """How a checkpoint's calls are told apart, executed and kept.

    Attributes:
        name: the name its calls are recorded under; empty for the function's own.
        ignore: parameters that are no part of a call's identity and are not stored.
        key: called with the same arguments; what it returns is the call's identity instead of them.
        on_drift: `stop`, `new` or `reuse`; empty leaves it to the flow.
        retries: what is done about a failed attempt; None lets it be the call's failure.
        timeout: seconds that one attempt may take, or None.
        concurrency: how many of its submitted or async calls execute at once in a run, or None.
        runtime: where it executes: `inline`, or the name of a runtime.
        runtime_options: for that runtime.
        cache: reuse the output of an equal call of an earlier run; None leaves it to the flow.
        cache_key: called with the same arguments; stands for them in the cache.
        expires: seconds after which a cached output is too old, or None.
    """

    name: str = ""
    ignore: frozenset[str] = frozenset()
    key: Callable[..., object] | None = None
    on_drift: str = ""
    retries: Retry | None = None
    timeout: float | None = None
    concurrency: int | None = None
    runtime: Any = INLINE
    runtime_options: Mapping[str, Any] = field(default_factory=dict)
    cache: bool | None = None
    cache_key: Callable[..., object] | None = None
    expires: float | None = None

    def changed(self, given: CheckpointArguments) -> CheckpointOptions:
        """Return these options with others given.

        Raises:
            BadConfig: one of them is unknown, or cannot be.
        """
        checked = {name: _check_one(name, value) for name, value in given.items()}
        made = replace(self, **checked)
        if made.runtime != INLINE:
            from kitaru.runtime.placement.registry import check_options

            check_options(made.runtime, made.runtime_options)
        return made


class FlowArguments(TypedDict, total=False):
    """What `@flow(...)` and `flow.with_options(...)` take besides the name; see `FlowOptions`."""

    on_drift: str
    tags: Iterable[str]
    max_workers: int
    retries: int | Retry | None
    timeout: object
    cache: bool | None
    max_calls: int | None
    max_seconds: object
    key: str


@dataclass(frozen=True, slots=True)
class FlowOptions:
    """What a flow's runs are started with.

    Attributes:
        on_drift: policy for checkpoints that say none; empty where the flow does not say either.
        tags: names to find its runs by.
        max_workers: threads for submitted calls.
        retries: what is done about a failed run: it goes on from where it failed.
        timeout: seconds that one execution may take, from start or resume to its end or stop; or None.
        cache: whether checkpoints that do not say use the result cache; None means not.
        max_calls: calls that a run may execute, or None.
        max_seconds: seconds that a run may execute, or None.
        key: for `with_options`: a run is started once for one key, and found afterwards.
    """

    on_drift: str = ""
    tags: tuple[str, ...] = ()
    max_workers: int = DEFAULT_WORKERS
    retries: Retry | None = None
    timeout: float | None = None
    cache: bool | None = None
    max_calls: int | None = None
    max_seconds: float | None = None
    key: str = ""

    def changed(self, given: FlowArguments) -> FlowOptions:
        """Return these options with others given; raises BadConfig as `CheckpointOptions.changed`."""
        checked = {name: _check_one(name, value, _FLOW_CHECKS) for name, value in given.items()}
        return replace(self, **checked)


def _text(value: object, option: str) -> object:
    return _refused(option, value, "text") if not isinstance(value, str) else value


def _names(value: Any, option: str) -> tuple[str, ...]:  # noqa: ANN401 - whatever was given
    names = (value,) if isinstance(value, str) else tuple(value)
    return names if all(isinstance(name, str) for name in names) else _refused(option, value, "names")


def _function(value: object, option: str) -> object:
    return value if value is None or callable(value) else _refused(option, value, "a function of the same parameters")


def _count(value: object, option: str) -> object:
    fits = value is None or (type(value) is int and value >= 1)
    return value if fits else _refused(option, value, "a whole number, 1 or more")


def _flag(value: object, option: str) -> object:
    return value if value is None or isinstance(value, bool) else _refused(option, value, "True or False")


def _retries(value: object, option: str) -> Retry | None:
    if value is None or isinstance(value, Retry):
        return value
    if type(value) is not int or value < 0:
        _refused(option, value, "a number of retries, or kitaru.Retry(...)")
    return Retry(max_attempts=value + 1) if value else None


def _runtime(value: object, option: str) -> object:
    fits = (isinstance(value, str) and value) or hasattr(value, "runtime")
    return value if fits else _refused(option, value, 'the name of a runtime, such as "inline" or "isolated"')


def _mapping(value: Any, option: str) -> dict[str, Any]:  # noqa: ANN401 - whatever was given
    return dict(value) if isinstance(value, Mapping) else _refused(option, value, "a dict")


def _workers(value: object, option: str) -> object:
    return DEFAULT_WORKERS if value is None else _count(value, option)


def _refused(option: str, value: object, wanted: str) -> NoReturn:
    raise BadConfig(f"{option} is {value!r}", hint=f"{option} is {wanted}")


_CHECKS: dict[str, Callable[[Any, str], Any]] = {
    "name": _text,
    "ignore": lambda value, option: frozenset(_names(value, option)),
    "key": _function,
    "on_drift": lambda value, _: check_policy(value),
    "retries": _retries,
    "timeout": seconds,
    "concurrency": _count,
    "runtime": _runtime,
    "runtime_options": _mapping,
    "cache": _flag,
    "cache_key": _function,
    "expires": seconds,
    "tags": _names,
    "max_workers": _workers,
    "max_calls": _count,
    "max_seconds": seconds,
}


_FLOW_CHECKS = {**_CHECKS, "key": _text}


def _check_one(option: str, value: object, checks: Mapping[str, Callable[[Any, str], Any]] = _CHECKS) -> Any:  # noqa: ANN401 - the option's own type
    check = checks.get(option)
    if check is None:
        raise BadConfig(f"there is no option {option}", hint=f"options are {', '.join(checks)}")
    return check(value, option)
