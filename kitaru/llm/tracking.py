"""Questions that other libraries ask, recorded with the call they are asked in: `kitaru.track`.

Owns: reading tokens out of what these libraries return. They are found by their fields, and none of them is imported.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from kitaru.llm.asked import project_settings
from kitaru.llm.keeping import keep
from kitaru.llm.settings import nano_usd, price
from kitaru.model.spending import ModelCall

if TYPE_CHECKING:
    from types import TracebackType


class track:
    """Record a question that another library asks, with its tokens and cost.

    Inside of a checkpoint it is recorded with that call; anywhere else nothing is::

        with kitaru.track("openai/gpt-5-nano") as asked:
            asked.add(client.chat.completions.create(...))

    Args:
        model: `provider/model`, for the price; by default what the response says.
        via: the library, for the record.

    Attributes:
        usage: what was recorded, once the block is over.
    """

    def __init__(self, model: str = "", *, via: str = "") -> None:
        self._model, self._via = model, via
        self._began = 0.0
        self._found: list[ModelCall] = []
        self.usage: list[ModelCall] = []

    def __enter__(self) -> track:
        self._began = time.perf_counter()
        return self

    def add(self, response: Any) -> Any:  # noqa: ANN401 - of whichever library, and returned as it is
        """Count a response: of OpenAI's or Anthropic's SDK, litellm, a run of Pydantic AI, a message of LangChain."""
        self._found.append(read_response(response, self._model, self._via))
        return response

    def __exit__(
        self, kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        took = int((time.perf_counter() - self._began) * 1_000_000)
        if kind is not None and not self._found:
            self._found.append(ModelCall(asked=self._model, model=self._model, via=self._via, error=kind.__name__))
        for found in self._found:
            usage = replace(_priced(found), took_us=took // len(self._found))
            self.usage.append(usage)
            keep(usage)


def read_response(response: Any, model: str = "", via: str = "") -> ModelCall:  # noqa: ANN401 - of whichever library
    """Return what a library's response says of its model and tokens; unknown where it does not."""
    usage = _usage_of(response)
    answered = _text(_first(response, "model", "model_name")) or _text(
        _deep(response, "response_metadata", "model_name")
    )
    choices = _first(response, "choices") or [None]
    return ModelCall(
        asked=model or answered,
        model=model or answered,
        answered=answered,
        prompt=_count(_first(usage, "prompt_tokens", "input_tokens", "request_tokens")),
        completion=_count(_first(usage, "completion_tokens", "output_tokens", "response_tokens")),
        cached=_count(
            _deep(usage, "prompt_tokens_details", "cached_tokens")
            or _deep(usage, "input_tokens_details", "cached_tokens")
            or _first(usage, "cache_read_tokens", "cache_read_input_tokens")
        ),
        reasoning=_count(
            _deep(usage, "completion_tokens_details", "reasoning_tokens")
            or _deep(usage, "output_tokens_details", "reasoning_tokens")
        ),
        finish=_text(_first(choices[0], "finish_reason")) or _text(_first(response, "stop_reason", "status")),
        request=_text(_first(response, "_request_id", "id")),
        via=via or type(response).__module__.partition(".")[0],
    )


def _usage_of(response: Any) -> Any:  # noqa: ANN401 - as above
    found = _first(response, "usage", "usage_metadata")
    return found() if callable(found) and not hasattr(found, "input_tokens") else found


def _first(found: Any, *names: str) -> Any:  # noqa: ANN401 - as above
    for name in names:
        value = found.get(name) if isinstance(found, dict) else getattr(found, name, None)
        if value is not None:
            return value
    return None


def _deep(found: Any, outer: str, inner: str) -> Any:  # noqa: ANN401 - as above
    return _first(_first(found, outer), inner)


def _text(found: Any) -> str:  # noqa: ANN401 - as above
    return found if isinstance(found, str) else ""


def _count(found: Any) -> int | None:  # noqa: ANN401 - as above
    return found if type(found) is int and found >= 0 else None


def _priced(call: ModelCall) -> ModelCall:
    """Return a question with its cost, by the project's prices or litellm's list, where that is installed."""
    own = price(call.model, project_settings())
    if own is not None:
        return replace(call, nano_usd=nano_usd(own, call))
    if call.prompt is None or call.completion is None:
        return call
    from kitaru.errors import MissingExtra
    from kitaru.llm.wire import price_of

    try:
        return replace(call, nano_usd=price_of(call))
    except MissingExtra:
        return call
