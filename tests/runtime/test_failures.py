"""Calls and runs that fail: what is executed again, what is not, and what is told."""

from __future__ import annotations

import threading

import pytest

from kitaru import checkpoint, flow
from kitaru.errors import Damaged, SchemaChanged, Unencodable
from kitaru.model.encoding import Decoder


class RateLimitError(Exception):
    """As in a model's client: with an argument of its own, and something that cannot be stored."""

    def __init__(self, message, *, retry_after):
        super().__init__(message)
        self.retry_after = retry_after
        self.response = threading.Lock()


def survivor(ran, log, *, crash=False, raised=lambda: RateLimitError("slow down", retry_after=7)):
    @checkpoint
    def ask():
        ran.append("ask")
        raise raised()

    @checkpoint
    def later():
        ran.append("later")
        if crash:
            raise KeyboardInterrupt
        return "done"

    @flow
    def body():
        try:
            ask()
        except RateLimitError as error:
            log.append((str(error), error.retry_after))
        return later()

    return body


def test_a_caught_failure_is_recorded_and_not_executed_again(bench):
    ran, log = [], []
    first = bench.run(survivor(ran, log, crash=True))
    assert first.status == "interrupted"
    ended = bench.resume(first.run, survivor(ran, log))
    assert ended.value == "done"
    assert ran == ["ask", "later", "later"]
    assert log == [("slow down", 7)] * 2
    assert ended.calls == ["ask recorded", "later ran"]


def test_a_failure_that_is_rebuilt_and_ends_the_run_executes_again(bench):
    ran = []

    def make(*, catch, crash=False, fail=True):
        @checkpoint
        def ask():
            ran.append("ask")
            if fail:
                raise RateLimitError("slow", retry_after=1)
            return "answer"

        @checkpoint
        def between():
            if crash:
                raise KeyboardInterrupt

        @flow
        def body():
            try:
                return ask()
            except RateLimitError:
                if not catch:
                    raise
            return between()

        return body

    first = bench.run(make(catch=True, crash=True))
    assert bench.resume(first.run, make(catch=False)).status == "failed"
    assert ran == ["ask"]
    assert bench.resume(first.run, make(catch=False, fail=False)).value == "answer"
    assert ran == ["ask", "ask"]


def chained(kind, ran, *, fail):
    @checkpoint
    def fetch(n):
        ran.append(n)
        if fail:
            raise RateLimitError(f"{n}", retry_after=1)
        return n

    def attempt(n):
        return fetch(n)

    @flow
    def body():
        if kind == "group":
            errors = []
            for n in (1, 2):
                try:
                    attempt(n)
                except RateLimitError as error:
                    errors.append(error)
            if errors:
                raise ExceptionGroup("all", errors)
            return "done"
        try:
            attempt(1)
        except RateLimitError as error:
            if kind == "from":
                raise LookupError("x") from error
            if kind == "none":
                raise LookupError("x") from None
            if kind == "bare":
                raise LookupError("x")  # noqa: B904 - the point of it
            if kind == "twice":
                try:
                    raise LookupError("x") from error
                except LookupError as second:
                    raise KeyError("y") from second
        return "done"

    return body


@pytest.mark.parametrize("kind", ["from", "none", "bare", "twice", "group"])
def test_the_call_behind_the_error_that_ended_the_run_executes_again(bench, kind):
    ran = []
    first = bench.run(chained(kind, ran, fail=True))
    assert first.status == "failed"
    before = list(ran)
    ended = bench.resume(first.run, chained(kind, ran, fail=False))
    assert (ended.status, ended.value) == ("completed", "done")
    assert ran == before * 2


def test_a_failure_in_whose_handler_another_call_failed_was_survived(bench):
    ran = []

    def make(*, fail):
        @checkpoint
        def main():
            ran.append("main")
            raise RateLimitError("main", retry_after=1)

        @checkpoint
        def fallback():
            ran.append("fallback")
            if fail:
                raise ValueError("fallback")
            return "fallback"

        @flow
        def body():
            try:
                return main()
            except RateLimitError:
                return fallback()

        return body

    first = bench.run(make(fail=True))
    ended = bench.resume(first.run, make(fail=False))
    assert ended.value == "fallback"
    assert ran == ["main", "fallback", "fallback"]


def test_an_exception_of_a_class_that_is_gone_is_told_by_its_name(bench):
    class Local(Exception):
        pass

    caught = []

    def make(*, crash):
        @checkpoint
        def ask():
            raise Local("odd")

        @checkpoint
        def later():
            if crash:
                raise KeyboardInterrupt

        @flow
        def body():
            try:
                ask()
            except Exception as error:
                caught.append(error)
            return later()

        return body

    first = bench.run(make(crash=True))
    assert bench.resume(first.run, make(crash=False)).status == "completed"
    assert type(caught[0]) is Local
    assert "odd" in str(caught[1])


def test_an_error_whose_text_cannot_be_shown(bench):
    class Mute(Exception):
        def __str__(self):
            raise RuntimeError("never")

    @checkpoint
    def ask():
        raise Mute

    @flow
    def body():
        ask()

    ended = bench.run(body)
    assert ended.status == "failed"
    assert "Mute" in ended.state.end.error["message"]


@pytest.mark.parametrize("stop", [SystemExit(3), GeneratorExit()], ids=lambda e: type(e).__name__)
def test_other_ways_out_of_a_body(bench, stop):
    @flow
    def body():
        raise stop

    ended = bench.run(body)
    assert ended.status == "failed"
    assert ended.error.__cause__ is stop


def test_exit_inside_a_call_fails_the_run(bench):
    @checkpoint
    def leave():
        raise SystemExit(3)

    @flow
    def body():
        leave()

    ended = bench.run(body)
    assert ended.status == "failed"
    assert ended.state.calls[1].record.error["type"] == "builtins:SystemExit"


def test_an_argument_that_cannot_be_stored_names_the_place(bench):
    ran = []

    def make(value):
        @checkpoint
        def ask(docs):
            ran.append(docs)
            return len(docs)

        @flow
        def body():
            return ask(value)

        return body

    first = bench.run(make([{"client": threading.Lock()}]))
    assert first.status == "failed"
    assert isinstance(first.error.__cause__, Unencodable)
    assert first.error.__cause__.path.startswith("docs[0]")
    assert "client" in first.error.__cause__.path
    assert ran == []
    assert bench.resume(first.run, make([{"client": "c"}])).value == 1


def test_a_result_that_cannot_be_stored_fails_its_call(bench):
    def make(result):
        @checkpoint
        def ask():
            return result

        @flow
        def body():
            return ask()

        return body

    first = bench.run(make(threading.Lock()))
    assert isinstance(first.error.__cause__, Unencodable)
    assert "result of ask" in first.error.__cause__.path
    assert bench.resume(first.run, make("fine")).value == "fine"


def test_a_flow_result_that_cannot_be_stored_fails_the_run_and_no_call(bench):
    ran = []

    def make(result):
        @checkpoint
        def ask():
            ran.append(1)

        @flow
        def body():
            ask()
            return result

        return body

    first = bench.run(make(threading.Lock()))
    assert isinstance(first.error.__cause__, Unencodable)
    assert "the flow's result" in str(first.error)
    assert bench.resume(first.run, make(5)).value == 5
    assert ran == [1]


@pytest.mark.parametrize("error", [SchemaChanged("Plan has changed"), Damaged("segment s", "rotten")])
def test_a_recorded_value_that_cannot_be_read_stops_the_run_whatever_the_body_catches(bench, monkeypatch, error):
    ran = []

    def make(*, crash):
        @checkpoint
        def ask():
            ran.append("ask")
            return ["recorded"]

        @checkpoint
        def later(_answer):
            ran.append("later")
            if crash:
                raise KeyboardInterrupt

        @flow
        def body():
            try:
                answer = ask()
            except Exception:
                answer = "made up"
            later(answer)

        return body

    first = bench.run(make(crash=True))
    unreadable, decode = first.state.calls[1].record.output, Decoder.decode

    def refuse(decoder, object_id):
        if object_id == unreadable:
            raise error
        return decode(decoder, object_id)

    with monkeypatch.context() as patch:
        patch.setattr(Decoder, "decode", refuse)
        ended = bench.resume(first.run, make(crash=False))
    assert (ended.status, ended.error) == ("interrupted", error)
    assert ran == ["ask", "later"]
    assert bench.resume(first.run, make(crash=False)).status == "completed"
    assert ran == ["ask", "later", "later"]


def test_what_a_call_raises_is_not_marked_on_the_way(bench):
    seen = []

    @checkpoint
    def fails():
        try:
            raise KeyError("inner")
        except KeyError:
            raise ValueError("outer")  # noqa: B904 - implicit chaining is what is tested

    @checkpoint
    async def fails_too():
        fails.fn()

    @flow
    async def body():
        for call in (fails, fails_too):
            try:
                made = call()
                if made is not None:
                    await made
            except ValueError as error:
                seen.append((error.__suppress_context__, type(error.__context__)))

    bench.run(body)
    assert seen == [(False, KeyError), (False, KeyError)]
