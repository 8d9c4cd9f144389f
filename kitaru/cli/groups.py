"""Options that belong together: one parameter of a verb's function, several options on its command line.

Owns: which these are, and how a verb that takes a group gets its options. Knows nothing of what they are for.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass
from functools import wraps
from inspect import Parameter, signature
from typing import Any, get_type_hints

from kitaru.cli.options import (
    AsRecordedOpt,
    CacheOpt,
    EventsOpt,
    MaxCallsOpt,
    MaxSecondsOpt,
    NoInputOpt,
    OnDriftOpt,
    Output,
    OutputOpt,
    QuietOpt,
    StayOpt,
    policy,
)
from kitaru.cli.text import span


@dataclass(frozen=True, slots=True)
class Manner:
    """How a run is shown: of all verbs that carry one on."""

    output: OutputOpt = Output.TEXT
    quiet: QuietOpt = False
    events: EventsOpt = False
    no_input: NoInputOpt = False


@dataclass(frozen=True, slots=True)
class Limits:
    """How far a run goes before it stops."""

    max_calls: MaxCallsOpt = None
    max_seconds: MaxSecondsOpt = None
    stay: StayOpt = None

    def given(self) -> dict[str, Any]:
        """Return them as `Project` takes them; raises UsageError for a span that is none."""
        stay_s = None if self.stay is None else span(self.stay) / 1_000_000
        return {"max_calls": self.max_calls, "max_seconds": self.max_seconds, "stay_s": stay_s}

    def typed(self) -> dict[str, object]:
        """Return them as the options that they were."""
        return {"--max-calls": self.max_calls, "--max-seconds": self.max_seconds, "--stay": self.stay}


@dataclass(frozen=True, slots=True)
class Matching:
    """With which code, and by which rules, a recorded history is gone through."""

    on_drift: OnDriftOpt = None
    as_recorded: AsRecordedOpt = None
    cache: CacheOpt = None

    def given(self) -> dict[str, Any]:
        """Return them as `Project` takes them."""
        return {"on_drift": policy(self.on_drift), "as_recorded": self.as_recorded, "cache": self.cache}


def spread(verb: Callable[..., None]) -> Callable[..., None]:
    """Return a verb's function with the options of each group where it takes that group, as typer is to see them."""
    given = signature(verb, eval_str=True).parameters
    groups: dict[str, Any] = {
        name: wanted.annotation for name, wanted in given.items() if is_dataclass(wanted.annotation)
    }
    shown = [one for name, wanted in given.items() for one in (_options(groups[name]) if name in groups else [wanted])]

    @wraps(verb)
    def command(**typed: Any) -> None:  # noqa: ANN401 - whatever its options are
        for name, group in groups.items():
            typed[name] = group(**{option.name: typed.pop(option.name) for option in fields(group)})
        verb(**typed)

    command.__signature__ = signature(verb).replace(parameters=shown)  # type: ignore[attr-defined]  # inspect's own way
    command.__annotations__ = {one.name: one.annotation for one in shown}
    return command


def _options(group: Any) -> list[Parameter]:  # noqa: ANN401 - a dataclass, for which there is no type
    hints = get_type_hints(group, include_extras=True)
    return [
        Parameter(option.name, Parameter.KEYWORD_ONLY, default=option.default, annotation=hints[option.name])
        for option in fields(group)
    ]
