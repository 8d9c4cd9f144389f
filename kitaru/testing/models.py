"""A model that replies by a script, in the place of all providers: for tests of flows that ask one.

Owns: the script. Everything else is the real thing: aliases, retries, records, cost (which is unknown, for no provider
says any).
"""

from __future__ import annotations

import json
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeAlias

from kitaru.llm import carrying
from kitaru.llm.replies import Answer, Failure, Sent

ScriptedReply: TypeAlias = "str | Mapping[str, Any] | BaseException | Callable[[list[dict[str, Any]]], Any]"

MODEL = "scripted/model"


class ScriptExhausted(AssertionError):
    """The flow asked more often than the script has replies."""


class ScriptedModel:
    """What `scripted_model` yields.

    Attributes:
        requests: the messages of each request, in the order they came.
        sent: each request with its model and options.
    """

    def __init__(self, replies: Sequence[ScriptedReply]) -> None:
        self._replies, self._lock = list(replies), threading.Lock()
        self.sent: list[Sent] = []

    @property
    def requests(self) -> list[list[dict[str, Any]]]:
        """The messages of each request."""
        return [sent.messages for sent in self.sent]

    @property
    def left(self) -> int:
        """How many replies nobody has asked for."""
        return len(self._replies)

    def ask(self, sent: Sent) -> Iterator[str | Answer]:
        """Reply, as a transport does."""
        answer = self._next(sent)
        text = str(answer.message.get("content") or "")
        if sent.stream and text:
            yield from _pieces(text)
        yield answer

    async def ask_async(self, sent: Sent) -> AsyncIterator[str | Answer]:
        """Reply on an event loop."""
        for part in self.ask(sent):
            yield part

    def _next(self, sent: Sent) -> Answer:
        with self._lock:
            self.sent.append(sent)
            if not self._replies:
                last = sent.messages[-1].get("content")
                raise ScriptExhausted(f"the script has no reply number {len(self.sent)}; it was asked: {last!r}")
            reply = self._replies.pop(0)
        if callable(reply) and not isinstance(reply, type):
            reply = reply(sent.messages)
        return _answer(reply, sent)


def _answer(reply: Any, sent: Sent) -> Answer:  # noqa: ANN401 - any ScriptedReply
    if isinstance(reply, BaseException):
        raise reply
    if isinstance(reply, str):
        message: dict[str, Any] = {"role": "assistant", "content": reply}
    elif "tool_calls" in reply or "role" in reply:
        message = {"role": "assistant", "content": None, **reply}
    else:
        message = {"role": "assistant", "content": json.dumps(reply)}
    finish = "tool_calls" if message.get("tool_calls") else "stop"
    return Answer(message, finish, sent.model, prompt=0, completion=0)


def _pieces(text: str) -> list[str]:
    """Cut a text behind its spaces."""
    return [piece for piece in text.replace(" ", " \0").split("\0") if piece]


def rate_limited(retry_after_s: float | None = None) -> Failure:
    """Return what stands in a script for a provider that wants to be left alone for a while."""
    return Failure("slow down", passes=True, status=429, retry_after_s=retry_after_s)


@contextmanager
def scripted_model(replies: Sequence[ScriptedReply]) -> Iterator[ScriptedModel]:
    """Have `kitaru.llm` answered by a script, in this process, whatever model it asks; without network and keys.

    Args:
        replies: one for each request, in order: a text; a dict, which is sent as JSON (for `response_format=`), or a
            message where it has `tool_calls` or `role`; an exception to raise; or a function from the messages to one
            of these.

    Raises:
        ScriptExhausted: from within the flow, where it asks more often.

    Example::

        with scripted_model(["Paris"]) as model:
            assert project.run(capital, {"of": "France"}, foreground=True).wait() == "Paris"
        assert "France" in model.requests[0][-1]["content"]
    """
    from kitaru.llm.settings import any_model

    model = ScriptedModel(replies)
    before, named = carrying.transport, any_model()
    carrying.transport = model
    any_model(MODEL)
    try:
        yield model
    finally:
        carrying.transport = before
        any_model(named)
