"""What is given to `kitaru.llm()`, checked, and in the form that is recorded: the arguments of its call.

Owns: which arguments are part of what is asked, and which only say how it is asked this time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from kitaru.errors import NotCheckpointable, UsageError
from kitaru.model.ids import is_call_name
from kitaru.runtime.options import seconds
from kitaru.runtime.retry import Retry

Prompt: TypeAlias = "str | Sequence[Mapping[str, Any]]"

NAME = "llm"
RETRIES = 3
FIRST_DELAY_S = 0.5

_NAMED = frozenset({"model", "system", "response_format", "tools", "name", "timeout", "retries"})


@dataclass(slots=True)
class Way:
    """How a question is asked, this time: no part of what it is.

    Attributes:
        schema: pydantic class of the reply, or None.
        show: told each piece of text as it comes, where the reply is streamed to somebody.
    """

    retries: Retry
    schema: Any = None
    timeout_s: float | None = None
    stream: bool = False
    show: Callable[[str], None] | None = None


@dataclass(slots=True)
class Question:
    """All that was given.

    Attributes:
        name: what its call is recorded under.
        messages: as OpenAI's API has them.
        request: what else is part of it: those of `model`, `options`, `schema`, `tools`, `full` that were given.
    """

    name: str
    messages: list[dict[str, Any]]
    request: dict[str, Any]
    way: Way


def question(prompt: Prompt, arguments: Mapping[str, Any], *, stream: bool = False, full: bool = False) -> Question:
    """Return what is asked.

    Args:
        prompt: a text, or messages.
        arguments: those of `kitaru.llm`; what is none of its own is for the provider.
        full: the whole reply is wanted.

    Raises:
        UsageError: it makes no sense.
    """
    told = {name: value for name, value in arguments.items() if name not in _NAMED and value is not None}
    messages = messages_of(prompt, arguments.get("system"))
    schema = _schema(arguments.get("response_format"), stream=stream)
    if schema is None and arguments.get("response_format") is not None:
        told["response_format"] = dict(arguments["response_format"])
    tools = [dict(tool) for tool in arguments.get("tools") or ()]
    parts = {
        "model": arguments.get("model"),
        "options": told,
        "schema": schema and schema.model_json_schema(),
        "tools": tools,
        "full": full or bool(tools),
    }
    request = {name: value for name, value in parts.items() if value}
    way = Way(retry_of(arguments.get("retries", RETRIES)), schema, seconds(arguments.get("timeout"), "timeout"), stream)
    return Question(_name(arguments.get("name")), messages, request, way)


def _name(name: str | None) -> str:
    if name is not None and not is_call_name(name):
        raise NotCheckpointable(f"{name!r} is no name for a call", hint="use letters, digits, - and _")
    return name or NAME


def _schema(wanted: Any, *, stream: bool) -> Any:  # noqa: ANN401 - a pydantic class, or None
    if not isinstance(wanted, type):
        return None
    if not hasattr(wanted, "model_validate_json"):
        raise UsageError(f"response_format={wanted.__name__} is no pydantic model", hint="derive it from BaseModel")
    if stream:
        raise UsageError("a reply cannot be streamed and be validated", hint="leave out stream= or response_format=")
    return wanted


def messages_of(prompt: Prompt, system: str | None) -> list[dict[str, Any]]:
    """Return a prompt as a list of messages, the system's first; raises UsageError."""
    messages = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else list(prompt)
    if not messages or not all(isinstance(message, Mapping) and "role" in message for message in messages):
        raise UsageError(
            "kitaru.llm() takes a text, or a list of messages with a role each",
            hint='kitaru.llm([{"role": "user", "content": "..."}])',
        )
    first: list[dict[str, Any]] = [{"role": "system", "content": system}] if system is not None else []
    return first + [dict(message) for message in messages]


def retry_of(retries: int | Retry | None) -> Retry:
    """Return what is done about failures that pass; raises UsageError."""
    if isinstance(retries, Retry):
        return retries
    count = 0 if retries is None else retries
    if type(count) is not int or count < 0:
        raise UsageError(f"retries is {retries!r}", hint="give a number, 0 or more, or kitaru.Retry(...)")
    return Retry(max_attempts=count + 1, initial=FIRST_DELAY_S)
