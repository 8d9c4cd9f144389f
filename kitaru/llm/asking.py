"""Asking a model until there is a reply: retries, fallbacks, and telling it what was wrong with its reply.

Owns: the decisions, as a state machine: what to send next, and what an answer or a failure means. It waits for nothing
and sends nothing; `carrying` does, on a thread or on an event loop.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from kitaru.errors import BadReply, ModelRefused, ModelUnavailable
from kitaru.llm.replies import Answer, Failure, Reply, Sent
from kitaru.llm.secrets import learn_provider, value_of
from kitaru.llm.settings import nano_usd, price
from kitaru.model.spending import ModelCall
from kitaru.runtime.redaction import redacted
from kitaru.runtime.retry import Retry

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from kitaru.errors import ModelError
    from kitaru.llm.settings import Target

MAX_REPAIRS = 2
"""How often a model is told that its reply is not what was asked for."""

LONGEST_WAIT_S = 600.0
"""A provider that wants to be left alone for longer than this is asked no more."""

NO_KEY = "none"
"""What a server of one's own is given, which wants no key, for the client insists on one."""


@dataclass(slots=True)
class Wanted:
    """A question.

    Attributes:
        asked: alias or model as it was named, or None.
        messages: as OpenAI's API has them.
        options: for the provider.
        schema: pydantic class of the reply, or None.
        stream: have the text as it comes.
        timeout_s: for one request, or None.
        retries: what is done about failures that pass.
    """

    asked: str | None
    messages: list[dict[str, Any]]
    options: Mapping[str, Any] = field(default_factory=dict)
    schema: Any = None
    stream: bool = False
    timeout_s: float | None = None
    retries: Retry = field(default_factory=Retry)


class Asking:
    """One question on its way: `request()`, then `answered` or `failed`, until `reply` is there.

    Args:
        targets: models in the order they are tried.
        settings: for secrets and prices.
        now_us: the time, in microseconds.
        random_bytes: for the jitter of delays.
    """

    def __init__(
        self,
        wanted: Wanted,
        targets: list[Target],
        settings: Mapping[str, Any],
        *,
        now_us: Callable[[], int],
        random_bytes: Callable[[int], bytes],
    ) -> None:
        self.wanted, self._targets, self._settings = wanted, targets, settings
        self._now_us, self._random_bytes = now_us, random_bytes
        self._began = now_us()
        self._messages = list(wanted.messages)
        self._failures = self._retries = self._repairs = 0
        self._tried: list[str] = []
        self._answers: list[tuple[Target, Answer]] = []
        self._first_us: int | None = None
        self.reply: Reply | None = None

    @property
    def _target(self) -> Target:
        return self._targets[0]

    def request(self) -> Sent:
        """Return what to send now; raises UnknownSecret where the model's secret is not there."""
        target, wanted = self._target, self.wanted
        key = value_of(target.secret, self._settings) if target.secret else None
        if key is None:
            learn_provider(target.provider)
            key = NO_KEY if target.api_base else None
        options = {**target.options, **wanted.options}
        if wanted.schema is not None:
            options["response_format"] = wanted.schema
        return Sent(target.model, self._messages, options, wanted.stream, wanted.timeout_s, target.api_base, key)

    def gave(self) -> None:
        """A piece of the reply has come."""
        if self._first_us is None:
            self._first_us = self._now_us() - self._began

    # -- answers ---------------------------------------------------------------------------------------------------

    def answered(self, answer: Answer) -> None:
        """Take an answer: it is the reply, or the model is to be told what is wrong with it.

        Raises:
            BadReply: it was told often enough.
        """
        answer.message = _cleaned(answer.message)
        self._answers.append((self._target, answer))
        schema = self.wanted.schema
        value = None
        if schema is not None and not answer.message.get("tool_calls"):
            from pydantic import ValidationError

            try:
                value = schema.model_validate_json(answer.message.get("content") or "")
            except ValidationError as error:
                self._repair(answer, error)
                return
        self.reply = Reply(answer.message, self.usage(), value)

    def _repair(self, answer: Answer, error: Any) -> None:  # noqa: ANN401 - a pydantic.ValidationError
        why = json.dumps(error.errors(include_url=False, include_context=False, include_input=False), default=str)
        if self._repairs >= MAX_REPAIRS:
            times, name = self._repairs + 1, self.wanted.schema.__name__
            raise BadReply(
                f"{self._named} replied {times} times what is no {name}: {why[:300]}",
                hint="make the model's fields simpler, or ask a larger model",
            )
        self._repairs += 1
        told = f"This is not valid: {why}\nReply again, with nothing but JSON that fits the schema."
        self._messages = [*self._messages, answer.message, {"role": "user", "content": told}]

    # -- failures --------------------------------------------------------------------------------------------------

    def failed(self, failure: Failure) -> int:
        """Return the microseconds to wait before the next request.

        Raises:
            ModelUnavailable: it was tried often enough, or pieces of the reply are given away already.
            ModelRefused: trying again is of no use.
        """
        given_away = self.wanted.stream and self._first_us is not None
        if failure.passes and not given_away:
            delay = self._delay_us(failure)
            if delay is not None:
                self._failures += 1
                self._retries += 1
                return delay
        error = self._error(failure)
        if given_away or len(self._targets) == 1:
            raise error
        self._tried.append(f"{self._target.model}: {redacted(failure.text)}")
        self._targets = self._targets[1:]
        self._failures = 0
        return 0

    def _delay_us(self, failure: Failure) -> int | None:
        delay = self.wanted.retries.delay_us(1 + self._failures, failure, self._random_bytes)
        if delay is None or failure.retry_after_s is None:
            return delay
        if failure.retry_after_s > LONGEST_WAIT_S:
            return None
        return max(delay, int(failure.retry_after_s * 1_000_000))

    @property
    def _named(self) -> str:
        target = self._target
        return f"{target.alias} ({target.model})" if target.alias else target.model

    def _error(self, failure: Failure) -> ModelError:
        target, said = self._target, redacted(failure.text)
        secret = f"the secret {target.secret}" if target.secret else "no secret of the project"
        status = f" [{failure.status}]" if failure.status else ""
        if failure.passes:
            times = f" after {self._retries + 1} requests" if self._retries else ""
            hint = "kitaru resume, once it answers again; retries= and a fallback model make it more patient"
            return ModelUnavailable(
                f"{self._named} gave no reply{times}: {said}{status}", hint=hint, status=failure.status
            )
        check = f"kitaru secret check {target.secret}" if target.secret else "kitaru model add NAME MODEL --secret NAME"
        hint = check if failure.status in (401, 403) else "change the request; it would be refused again"
        return ModelRefused(
            f"{self._named} refused the request, made with {secret}: {said}{status}", hint=hint, status=failure.status
        )

    # -- what it took ----------------------------------------------------------------------------------------------

    def usage(self, error: BaseException | None = None) -> ModelCall:
        """Return what it has taken so far."""
        target = self._answers[-1][0] if self._answers else self._target
        last = self._answers[-1][1] if self._answers else Answer({})
        answers = [answer for _, answer in self._answers]
        made = ModelCall(
            asked=self.wanted.asked or target.alias,
            model=target.model,
            answered=last.model,
            prompt=_sum(a.prompt for a in answers),
            completion=_sum(a.completion for a in answers),
            cached=_sum(a.cached for a in answers),
            reasoning=_sum(a.reasoning for a in answers),
            nano_usd=_sum(self._price(t, a) for t, a in self._answers),
            took_us=max(self._now_us() - self._began, 0),
            first_us=self._first_us,
            finish=last.finish,
            request=last.request,
            retries=self._retries,
            repairs=self._repairs,
            tried=list(self._tried),
            error=type(error).__name__ if error is not None else "",
        )
        return made if self._answers else replace(made, nano_usd=None)

    def _price(self, target: Target, answer: Answer) -> int | None:
        own = price(target.model, self._settings)
        if own is None:
            return answer.nano_usd
        return nano_usd(own, ModelCall(prompt=answer.prompt, completion=answer.completion, cached=answer.cached))


def _sum(counts: Any) -> int | None:  # noqa: ANN401 - an iterable of numbers and Nones
    """Return a sum, which is not known where one of its parts is not."""
    found = list(counts)
    return None if not found or None in found else sum(found)


def _cleaned(message: dict[str, Any]) -> dict[str, Any]:
    """Return a reply without secrets that a provider echoes: it must be the same live and recorded."""
    text = json.dumps(message)
    return message if (clean := redacted(text)) == text else dict(json.loads(clean))
