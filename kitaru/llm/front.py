"""`kitaru.llm()` and its kin: the public signatures.

Owns: what users write, typed. What it means is `questions`, what becomes of it `asked`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypeVar, cast, overload

from kitaru.llm.asked import ask, ask_async, call, has_default
from kitaru.llm.questions import Prompt, question

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from kitaru.llm.replies import Reply
    from kitaru.llm.streams import AsyncText, Text
    from kitaru.runtime.retry import Retry

T = TypeVar("T")

Tools: TypeAlias = "Sequence[Mapping[str, Any]]"


class Llm:
    """What `kitaru.llm` is: a function, and a few more."""

    @overload
    def __call__(
        self,
        prompt: Prompt,
        *,
        response_format: type[T],
        tools: None = ...,
        stream: Literal[False] = ...,
        **given: object,
    ) -> T: ...
    @overload
    def __call__(
        self, prompt: Prompt, *, stream: Literal[True], tools: Tools | None = ..., **given: object
    ) -> Text: ...
    @overload
    def __call__(self, prompt: Prompt, *, tools: Tools, stream: Literal[False] = ..., **given: object) -> Reply: ...
    @overload
    def __call__(
        self,
        prompt: Prompt,
        *,
        model: str | None = ...,
        system: str | None = ...,
        temperature: float | None = ...,
        max_tokens: int | None = ...,
        response_format: Mapping[str, Any] | None = ...,
        tools: None = ...,
        stream: Literal[False] = ...,
        name: str | None = ...,
        timeout: object = ...,
        retries: int | Retry | None = ...,
        **provider_options: object,
    ) -> str: ...
    def __call__(self, prompt: Prompt, *, stream: bool = False, **given: object) -> Any:
        """Ask a model, and return its text.

        In a flow's body it is a call of its own: recorded once, returned from the record afterwards, never paid twice.
        In a checkpoint it is recorded within that call; outside of a run it is only asked.

        Args:
            prompt: a text, or a list of messages as OpenAI's API has them.
            model: an alias of the project, or `provider/model`; by default `KITARU_DEFAULT_MODEL`, then the project's.
            system: goes before the messages.
            temperature, max_tokens: for the provider.
            response_format: a pydantic class, of which an instance is returned, or a dict for the provider. A reply
                that is not valid is sent back with what is wrong, twice.
            tools: as OpenAI's API has them; a `Reply` is returned then.
            stream: return an iterator of pieces of text, as they come.
            name: what the call is recorded under; `llm` by default.
            timeout: seconds that one request may take.
            retries: how often a request is made again after a rate limit, a timeout or a failing provider; or a
                `kitaru.Retry`. `Retry-After` is respected.
            provider_options: whatever else the provider takes.

        Raises:
            UnknownModel, UnknownSecret: the project's settings do not say whom to ask, or with which key.
            ModelUnavailable, ModelRefused, BadReply: there was no reply, or not what was asked for.
            MissingExtra: `pip install 'kitaru[llm]'`.
        """
        if not stream:
            return call(question(prompt, given), ask)
        from kitaru.llm.streams import stream_text

        return stream_text(question(prompt, given, stream=True))

    def full(self, prompt: Prompt, **given: object) -> Reply:
        """Ask a model as `llm` does, and return the whole reply: message, tool calls, usage, cost, value."""
        return cast("Reply", call(question(prompt, given, full=True), ask))

    async def afull(self, prompt: Prompt, **given: object) -> Reply:
        """Ask a model as `allm` does, and return the whole reply."""
        return cast("Reply", await call(question(prompt, given, full=True), ask_async))

    def has_default(self) -> bool:
        """Tell whether there is a model to ask where none is named."""
        return has_default()


llm = Llm()
full, afull = llm.full, llm.afull


@overload
def allm(
    prompt: Prompt, *, response_format: type[T], tools: None = ..., stream: Literal[False] = ..., **given: object
) -> Coroutine[Any, Any, T]: ...
@overload
def allm(prompt: Prompt, *, stream: Literal[True], tools: Tools | None = ..., **given: object) -> AsyncText: ...
@overload
def allm(
    prompt: Prompt, *, tools: Tools, stream: Literal[False] = ..., **given: object
) -> Coroutine[Any, Any, Reply]: ...
@overload
def allm(
    prompt: Prompt,
    *,
    model: str | None = ...,
    system: str | None = ...,
    temperature: float | None = ...,
    max_tokens: int | None = ...,
    response_format: Mapping[str, Any] | None = ...,
    tools: None = ...,
    stream: Literal[False] = ...,
    name: str | None = ...,
    timeout: object = ...,
    retries: int | Retry | None = ...,
    **provider_options: object,
) -> Coroutine[Any, Any, str]: ...
def allm(prompt: Prompt, *, stream: bool = False, **given: object) -> Any:
    """Ask a model from async code: `await kitaru.allm(...)`, or `async for text in kitaru.allm(..., stream=True)`.

    Arguments, results and errors are those of `llm`.
    """
    if not stream:
        return call(question(prompt, given), ask_async)
    from kitaru.llm.streams import stream_text_async

    return stream_text_async(question(prompt, given, stream=True))
