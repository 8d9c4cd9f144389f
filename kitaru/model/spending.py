"""What asking language models took: one request as a record keeps it, and sums of many.

Owns: the fields of `Call.llm`, how they are read back (they come from a store, and are checked), and that an unknown
price stays unknown. Money is whole nano-dollars (10⁻⁹ USD): records hold no floats. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

from kitaru.errors import Damaged

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kitaru.model.records import Call

NANO = 1_000_000_000

_TEXTS = frozenset({"asked", "model", "answered", "finish", "request", "prompt_id", "response_id", "via", "error"})


@dataclass(frozen=True, slots=True)
class ModelCall:
    """One question to a model, with all requests that it took.

    Attributes:
        asked: what was asked for: an alias, or a model as `provider/model`; empty for the default.
        model: the model that answered, as it was configured.
        answered: the model that answered, as the provider names it.
        prompt, completion, cached, reasoning: tokens; None where the provider did not say. Cached ones are among those
            of the prompt, reasoning ones among those of the completion.
        nano_usd: what it cost; None where that is not known.
        took_us: from the first request to the end of the last reply.
        first_us: until the first piece of a streamed reply; None where it was not streamed.
        finish: why the model stopped: `stop`, `length`, `tool_calls`, …
        request: the provider's id of the last request.
        retries: requests that were made again after a failure.
        repairs: times that the model was told that its reply was not what was asked for.
        tried: models that failed before the one that answered.
        prompt_id, response_id: value ids of messages and reply; empty where they are the call's own argument and
            output.
        via: what made the request where that was not `kitaru.llm`: `openai`, `pydantic_ai`, `litellm`.
        error: why there was no reply that could be used; empty where there was one.
    """

    asked: str = ""
    model: str = ""
    answered: str = ""
    prompt: int | None = None
    completion: int | None = None
    cached: int | None = None
    reasoning: int | None = None
    nano_usd: int | None = None
    took_us: int = 0
    first_us: int | None = None
    finish: str = ""
    request: str = ""
    retries: int = 0
    repairs: int = 0
    tried: list[str] = field(default_factory=list)
    prompt_id: str = ""
    response_id: str = ""
    via: str = ""
    error: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return the fields that do not hold their default."""
        return {f.name: value for f in fields(self) if (value := getattr(self, f.name)) not in (None, "", 0, [])} | (
            {name: 0 for name in _COUNTS if getattr(self, name) == 0}
        )

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> ModelCall:
        """Read what a record holds; fields of later versions are left out.

        Raises:
            Damaged: a field has the wrong type.
        """
        for name in data.keys() & _NAMES:
            if not _fits(name, data[name]):
                raise Damaged("a call's record", f"its request to a model has {name} = {data[name]!r}")
        return cls(**{name: data[name] for name in data.keys() & _NAMES})


_NAMES = frozenset(f.name for f in fields(ModelCall))
_COUNTS = ("prompt", "completion", "cached", "reasoning", "nano_usd", "first_us")
"""Fields in which 0 is not the same as unknown."""


def _fits(name: str, value: object) -> bool:
    if name in _TEXTS:
        return isinstance(value, str)
    if name == "tried":
        return isinstance(value, list) and all(isinstance(item, str) for item in value)
    return type(value) is int and value >= 0


@dataclass(slots=True)
class Spent:
    """A sum over questions to models.

    Attributes:
        calls: how many there are.
        prompt, completion: tokens, as far as they are known.
        nano_usd: what those cost of which the price is known.
        unpriced: of how many it is not.
    """

    calls: int = 0
    prompt: int = 0
    completion: int = 0
    nano_usd: int = 0
    unpriced: int = 0

    def add(self, call: ModelCall) -> None:
        """Add one."""
        self.calls += 1
        self.prompt += call.prompt or 0
        self.completion += call.completion or 0
        self.nano_usd += call.nano_usd or 0
        self.unpriced += call.nano_usd is None

    def take(self, other: Spent) -> None:
        """Add another sum."""
        for f in fields(self):
            setattr(self, f.name, getattr(self, f.name) + getattr(other, f.name))

    def to_json(self) -> dict[str, Any]:
        """Return it as plain data; `cost_usd` is None where nothing of it is known."""
        return {
            "model_calls": self.calls,
            "prompt_tokens": self.prompt,
            "completion_tokens": self.completion,
            "cost_usd": None if self.calls and self.unpriced == self.calls else self.nano_usd / NANO,
            "unpriced": self.unpriced,
        }


def model_calls(record: Call | None) -> list[ModelCall]:
    """Return the questions that were asked in a call; raises Damaged."""
    return [ModelCall.from_json(item) for item in record.llm] if record is not None and record.llm else []


def spent(calls: Iterable[ModelCall]) -> Spent:
    """Return the sum of some."""
    found = Spent()
    for call in calls:
        found.add(call)
    return found


def dollars(total: Spent) -> str:
    """Return what a sum cost, as it is shown: `$0.0123`, `unknown`, or `$0.01 + 2 unknown`."""
    if not total.calls:
        return ""
    if total.unpriced == total.calls:
        return "cost unknown"
    amount = total.nano_usd / NANO
    shown = (
        f"${amount:.2f}" if amount >= 1 or amount == 0 else f"${amount:.4f}" if amount >= 0.0001 else f"${amount:.2g}"
    )
    return f"{shown} + {total.unpriced} unknown" if total.unpriced else shown
