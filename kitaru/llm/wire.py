"""Requests to providers, by litellm: the only place that knows it, and it is imported with the first request.

Owns: what litellm is told (no retries, callbacks, telemetry or price lists of its own from the network), what its
replies and errors mean here. Knows nothing of aliases, runs or records.
"""

from __future__ import annotations

import os
import re
import threading
import warnings
from contextlib import contextmanager
from email.utils import parsedate_to_datetime
from functools import cache
from typing import TYPE_CHECKING, Any

from kitaru.errors import MissingExtra
from kitaru.llm.replies import Answer, Failure
from kitaru.model.spending import NANO

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from kitaru.llm.replies import Sent
    from kitaru.model.spending import ModelCall

_PREFIX = re.compile(r"^(?:litellm\.\w+: |\w*Error: |\w+Exception - )+")
_AGAIN = frozenset({408, 409, 425, 429})
_LATE_WARNING = r"Item .* on TypedDict class .* is using the `ReadOnly` qualifier"
_import_lock = threading.Lock()
MAX_SAID = 600


def litellm() -> Any:  # noqa: ANN401 - litellm has no types that hold
    """Return the library, set up so that it connects to nobody but the provider.

    Raises:
        MissingExtra: it is not installed.
    """
    with _import_lock:
        return _litellm()


@cache
def _litellm() -> Any:  # noqa: ANN401 - as above
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")  # else it fetches its price list from the network
    os.environ.setdefault("LITELLM_TELEMETRY", "False")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of its dependencies, which are not the user's business
            import litellm as library
    except ImportError as error:
        raise MissingExtra("asking a model", "llm") from error
    warnings.filterwarnings("ignore", message=_LATE_WARNING)  # it builds some of its types with the first requests
    library.telemetry = False
    library.suppress_debug_info = True
    library.num_retries = 0
    library.disable_aiohttp_transport = True
    _quiet_services()
    return library


def _quiet_services() -> None:
    """Keep its monitoring of itself from beginning, and never closing, an event loop on the caller's thread."""
    try:
        from litellm._service_logger import ServiceLogging
    except ImportError:  # another release
        return
    if hasattr(ServiceLogging, "_dispatch_from_sync"):
        ServiceLogging._dispatch_from_sync = staticmethod(  # type: ignore[method-assign]  # it has no switch
            lambda hook: None
        )


class Wire:
    """The transport that is used where a test does not give another one."""

    def ask(self, sent: Sent) -> Iterator[str | Answer]:
        """Make a request; see `replies.Transport`."""
        library = litellm()
        with _failing():
            found = library.completion(**_params(sent))
            if not sent.stream:
                yield _answer(found, sent.model)
                return
            collected = _Collected(sent.model)
            yield from filter(None, map(collected.add, found))
            yield collected.answer(found)

    async def ask_async(self, sent: Sent) -> AsyncIterator[str | Answer]:
        """Make a request on an event loop."""
        library = litellm()
        with _failing():
            found = await library.acompletion(**_params(sent))
            if not sent.stream:
                yield _answer(found, sent.model)
                return
            collected = _Collected(sent.model)
            async for chunk in found:
                if text := collected.add(chunk):
                    yield text
            yield collected.answer(found)


@contextmanager
def _failing() -> Iterator[None]:
    """Say whatever litellm raises as it is said here."""
    try:
        yield
    except Exception as error:
        raise _failure(error) from error


def _params(sent: Sent) -> dict[str, Any]:
    params: dict[str, Any] = {
        "model": sent.model,
        "messages": sent.messages,
        "max_retries": 0,
        "num_retries": 0,
        **sent.options,
    }
    if sent.options.get("tools"):
        params["_skip_mcp_handler"] = True  # which would need the package mcp, and is of no use here
    if sent.timeout_s is not None:
        params["timeout"] = sent.timeout_s
    if sent.api_base:
        params["api_base"] = sent.api_base
    if sent.api_key is not None:
        params["api_key"] = sent.api_key
    if sent.stream:
        params |= {"stream": True, "stream_options": {"include_usage": True}}
    return params


# -- replies -----------------------------------------------------------------------------------------------------------


def _answer(response: Any, model: str) -> Answer:  # noqa: ANN401 - a litellm.ModelResponse
    choice = response.choices[0]
    said = choice.message
    message: dict[str, Any] = {"role": "assistant", "content": said.content}
    if said.tool_calls:
        message["tool_calls"] = [_plain(call) for call in said.tool_calls]
    answer = Answer(message, str(choice.finish_reason or ""), str(response.model or ""), _request_id(response))
    _count(answer, getattr(response, "usage", None), model)
    return answer


def _plain(found: Any) -> Any:  # noqa: ANN401 - any part of a reply
    return found.model_dump(exclude_none=True) if hasattr(found, "model_dump") else found


def _request_id(response: Any) -> str:  # noqa: ANN401 - as above
    headers = (getattr(response, "_hidden_params", None) or {}).get("additional_headers") or {}
    found = headers.get("llm_provider-x-request-id") or headers.get("llm_provider-request-id") or response.id
    return str(found or "")


def _count(answer: Answer, usage: Any, model: str) -> None:  # noqa: ANN401 - a litellm.Usage, or None
    if usage is None:
        return
    answer.prompt, answer.completion = _tokens(usage, "prompt_tokens"), _tokens(usage, "completion_tokens")
    answer.cached = _tokens(getattr(usage, "prompt_tokens_details", None), "cached_tokens")
    answer.reasoning = _tokens(getattr(usage, "completion_tokens_details", None), "reasoning_tokens")
    answer.nano_usd = list_price(model, usage)


def _tokens(found: Any, name: str) -> int | None:  # noqa: ANN401 - as above
    count = getattr(found, name, None)
    return count if type(count) is int and count >= 0 else None


def list_price(model: str, usage: Any) -> int | None:  # noqa: ANN401 - as above
    """Return what litellm's own price list makes of a usage, in nano-dollars; None where it does not know the model."""
    library = litellm()
    try:
        key = library.get_model_info(model)["key"]
        if "input_cost_per_token" not in library.model_cost.get(key, {}):
            return None
        prompt, completion = library.cost_per_token(model=model, usage_object=usage)
    except Exception:  # it raises whatever it likes for a model that it does not know
        return None
    return round(float(prompt + completion) * NANO)


def price_of(call: ModelCall) -> int | None:
    """Return what litellm's price list makes of tokens that somebody else counted; raises MissingExtra."""
    usage = litellm().Usage(
        prompt_tokens=call.prompt,
        completion_tokens=call.completion,
        prompt_tokens_details={"cached_tokens": call.cached or 0},
    )
    return list_price(call.model, usage)


class _Collected:
    """A streamed reply, put together."""

    def __init__(self, model: str) -> None:
        self._asked = model
        self._texts: list[str] = []
        self._tools: dict[int, dict[str, Any]] = {}
        self._usage: Any = None
        self._answer = Answer({"role": "assistant", "content": None})

    def add(self, chunk: Any) -> str:  # noqa: ANN401 - a litellm chunk
        """Take a chunk, and return the text in it."""
        answer = self._answer
        answer.model = answer.model or str(chunk.model or "")
        answer.request = answer.request or _request_id(chunk)
        self._usage = getattr(chunk, "usage", None) or self._usage
        if not chunk.choices:
            return ""
        choice = chunk.choices[0]
        answer.finish = str(choice.finish_reason or answer.finish)
        for part in choice.delta.tool_calls or ():
            self._add_tool(part)
        text = str(choice.delta.content or "")
        if text:
            self._texts.append(text)
        return text

    def _add_tool(self, part: Any) -> None:  # noqa: ANN401 - as above
        call = self._tools.setdefault(
            part.index or 0, {"id": "", "type": "function", "function": {"name": "", "arguments": ""}}
        )
        call["id"] = part.id or call["id"]
        call["function"]["name"] = part.function.name or call["function"]["name"]
        call["function"]["arguments"] += part.function.arguments or ""

    def answer(self, stream: Any) -> Answer:  # noqa: ANN401 - a litellm.CustomStreamWrapper
        """Return the whole; raise `Failure` for a stream that was cut, which litellm itself passes over."""
        if not getattr(stream, "received_finish_reason", None) and not self._tools:
            raise Failure("the reply broke off in the middle", passes=True)
        answer = self._answer
        answer.message["content"] = "".join(self._texts) or None
        if self._tools:
            answer.message["tool_calls"] = [self._tools[index] for index in sorted(self._tools)]
        _count(answer, self._usage, self._asked)
        return answer


# -- errors ------------------------------------------------------------------------------------------------------------


def _failure(error: Exception) -> Failure:
    """Return what an exception of litellm means."""
    if isinstance(error, Failure):
        return error
    said = _PREFIX.sub("", str(error)).strip().splitlines()
    text = (said[0] if said else "")[:MAX_SAID] or type(error).__name__
    status = getattr(error, "status_code", None)
    status = status if type(status) is int else 0
    name = type(error).__name__
    passes = status in _AGAIN or status >= 500 or "Timeout" in name or "Connection" in name
    if "Timeout" in name:
        text = "it did not answer in time"
    return Failure(text, passes=passes, status=status, retry_after_s=_retry_after(error))


def _retry_after(error: Exception) -> float | None:
    for headers in (
        getattr(error, "litellm_response_headers", None),
        getattr(getattr(error, "response", None), "headers", None),
    ):
        said = headers.get("retry-after") if headers is not None and hasattr(headers, "get") else None
        if said is not None:
            return _seconds(str(said))
    return None


def _seconds(text: str) -> float | None:
    """Read `Retry-After`: seconds, or a date (RFC 9110, 10.2.3)."""
    try:
        return max(float(text), 0.0) if float(text) == float(text) else None
    except ValueError:
        pass
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    from datetime import datetime

    return max((moment - datetime.now(moment.tzinfo)).total_seconds(), 0.0)
