"""A question in the place where it is asked: a flow's body, a checkpoint, or no run at all.

Owns: where it is recorded: as a call of its own in a body, within the call that executes where one does. How it is
asked is `asking` and `carrying`.
"""

from __future__ import annotations

import functools
import os
import time
from typing import TYPE_CHECKING, Any, TypeAlias

from kitaru.config import STORE, find_root, load
from kitaru.errors import NotAProject
from kitaru.llm.asking import Asking, Wanted
from kitaru.llm.carrying import carry, carry_async
from kitaru.llm.keeping import keep, keep_value, with_values
from kitaru.llm.questions import question
from kitaru.llm.settings import DEFAULT_VARIABLE, any_model, targets
from kitaru.runtime.context import active_call, current_engine
from kitaru.runtime.decorators import Checkpoint
from kitaru.runtime.options import CheckpointOptions

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from kitaru.llm.questions import Question, Way
    from kitaru.llm.replies import Reply

Messages: TypeAlias = "list[dict[str, Any]]"
Request: TypeAlias = "Mapping[str, Any]"


def project_settings() -> Mapping[str, Any]:
    """Return the settings of the run that executes here, or of the project that this process is in."""
    engine = current_engine.get()
    if engine is not None:
        return engine.settings
    try:
        return load(find_root(None) / STORE / "config.toml").settings
    except NotAProject:
        return {}


def has_default() -> bool:
    """Tell whether `kitaru.llm` has a model to ask where none is named."""
    return bool(any_model() or os.environ.get(DEFAULT_VARIABLE) or project_settings().get("default-model"))


def _asking(messages: Messages, request: Request, way: Way, settings: Mapping[str, Any]) -> Asking:
    engine = current_engine.get()
    options = {**request.get("options", {}), **({"tools": request["tools"]} if "tools" in request else {})}
    wanted = Wanted(request.get("model"), messages, options, way.schema, way.stream, way.timeout_s, way.retries)
    return Asking(
        wanted,
        targets(wanted.asked, settings, os.environ.get(DEFAULT_VARIABLE, "")),
        settings,
        now_us=engine.now if engine is not None else lambda: time.time_ns() // 1000,
        random_bytes=engine.services.random_bytes if engine is not None else os.urandom,
    )


class Asked:
    """A question that is asked here and now, and recorded with the call that executes here, if one does.

    Args:
        keeps: messages and reply are recorded with it: the call is not the question's own.
    """

    def __init__(self, messages: Messages, request: Request, way: Way, *, keeps: bool) -> None:
        self._request, self._keeps, self._show = request, keeps, way.show
        self._prompt_id = keep_value(messages, "the prompt") if keeps else ""
        self.asking = _asking(messages, request, way, project_settings())

    def __enter__(self) -> Asked:
        return self

    def piece(self, text: str) -> str:
        """Show a piece of the reply to those who watch, and return it."""
        engine, active = current_engine.get(), active_call.get()
        if engine is not None and active is not None:
            engine.output.show_text(active, text)
        if self._show is not None:
            self._show(text)
        return text

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        reply = self.asking.reply
        usage = reply.usage if reply is not None else self.asking.usage(error)
        if self._keeps:
            usage = with_values(usage, self._prompt_id, reply.message if reply is not None else None)
        keep(usage)

    @property
    def result(self) -> Any:  # noqa: ANN401 - what was asked for
        """What the caller gets: the reply, an instance of the schema, or the text."""
        reply = self.asking.reply
        assert reply is not None  # noqa: S101 - carried to its end
        if self._request.get("full"):
            return reply
        return reply.text if reply.value is None else reply.value


def ask(messages: Messages, request: Request, *, way: Way, keeps: bool = False) -> Any:  # noqa: ANN401 - what was asked for
    """Ask, and return what the caller of `kitaru.llm` gets. Of its arguments the first two are recorded."""
    with Asked(messages, request, way, keeps=keeps) as asked:
        for text in carry(asked.asking):
            asked.piece(text)
    return asked.result


async def ask_async(messages: Messages, request: Request, *, way: Way, keeps: bool = False) -> Any:  # noqa: ANN401 - as of `ask`
    """Ask from async code."""
    with Asked(messages, request, way, keeps=keeps) as asked:
        async for text in carry_async(asked.asking):
            asked.piece(text)
    return asked.result


@functools.lru_cache(maxsize=256)
def _as_checkpoint(name: str, fn: Callable[..., Any]) -> Checkpoint[..., Any]:
    """Return the checkpoint that a question in a flow's body is a call of."""
    made: Checkpoint[..., Any] = Checkpoint(fn, CheckpointOptions(ignore=frozenset({"way", "keeps"})))
    made.name = name
    return made


def in_body() -> bool:
    """Tell whether this is a flow's body, where a question is a call of its own."""
    return current_engine.get() is not None and active_call.get() is None


def call(asked: Question, fn: Callable[..., Any]) -> Any:  # noqa: ANN401 - what `fn` returns
    """Ask with `fn`, here: as a call of its own in a flow's body."""
    if in_body():
        return _as_checkpoint(asked.name, fn)(asked.messages, asked.request, way=asked.way)
    return fn(asked.messages, asked.request, way=asked.way, keeps=True)


def submit(asked: Question, fn: Callable[..., Any]) -> Any:  # noqa: ANN401 - a CallFuture
    """Make a question in a flow's body a call that somebody else carries."""
    return _as_checkpoint(asked.name, fn).submit(asked.messages, asked.request, way=asked.way)


def ask_settings(settings: Mapping[str, Any], prompt: str, *, model: str | None) -> Reply:
    """Ask by the settings of a project, outside of any run, without trying again; raises as `kitaru.llm`."""
    asked = question(prompt, {"model": model, "retries": 0}, full=True)
    asking = _asking(asked.messages, asked.request, asked.way, settings)
    for _ in carry(asking):
        pass
    assert asking.reply is not None  # noqa: S101 - carried to its end
    return asking.reply
