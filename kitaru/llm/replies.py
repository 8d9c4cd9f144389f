"""A model's reply, as user code gets it and as the store keeps it; and what travels to get one.

Owns: the types between asking and the wire. Knows neither litellm nor runs.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from kitaru.model.spending import NANO, ModelCall

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping
    from typing import Protocol

    class Transport(Protocol):
        """What carries a request to a model: pieces of text where it is streamed, and at last the `Answer`.

        Raises `Failure` for whatever goes wrong.
        """

        def ask(self, sent: Sent) -> Iterator[str | Answer]:
            """Make a request."""

        def ask_async(self, sent: Sent) -> AsyncIterator[str | Answer]:
            """Make a request on an event loop."""


@dataclass(frozen=True, slots=True)
class Sent:
    """One request.

    Attributes:
        options: everything else that the provider is told.
        api_key: a secret's value, or None for what litellm finds itself. Never shown.
    """

    model: str
    messages: list[dict[str, Any]]
    options: Mapping[str, Any]
    stream: bool = False
    timeout_s: float | None = None
    api_base: str = ""
    api_key: str | None = field(default=None, repr=False)


@dataclass(slots=True)
class Answer:
    """What a provider answered to one request; tokens and price are None where they are not known."""

    message: dict[str, Any]
    finish: str = ""
    model: str = ""
    request: str = ""
    prompt: int | None = None
    completion: int | None = None
    cached: int | None = None
    reasoning: int | None = None
    nano_usd: int | None = None


class Failure(Exception):
    """A request failed.

    Args:
        text: what the provider said, in one line.
        passes: the same request may succeed later.
        status: HTTP status, or 0.
        retry_after_s: how long the provider wants to be left alone, or None.
    """

    def __init__(self, text: str, *, passes: bool, status: int = 0, retry_after_s: float | None = None) -> None:
        super().__init__(text)
        self.text, self.passes, self.status, self.retry_after_s = text, passes, status, retry_after_s


@dataclass(frozen=True, slots=True)
class Reply:
    """What a model replied: `kitaru.llm.full(...)`.

    Attributes:
        message: as it is appended to the history: `role`, `content`, and `tool_calls` where there are any.
        usage: tokens, cost, time, and which model it was.
        value: the instance of `response_format=`, or None.
    """

    message: dict[str, Any]
    usage: ModelCall
    value: Any = None

    @property
    def text(self) -> str:
        """The text of the reply; empty where it only calls tools."""
        return str(self.message.get("content") or "")

    @property
    def tool_calls(self) -> list[dict[str, Any]]:
        """The tools that the model wants called, as OpenAI's API has them."""
        return list(self.message.get("tool_calls") or [])

    @property
    def cost_usd(self) -> float | None:
        """What it cost, in dollars; None where that is not known."""
        return None if self.usage.nano_usd is None else self.usage.nano_usd / NANO
