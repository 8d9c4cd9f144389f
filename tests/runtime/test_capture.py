"""What user code prints and logs: kept with its call, shown live, and nothing of it mixed up."""

from __future__ import annotations

import logging
import sys
import threading

import pytest

import kitaru
from kitaru import checkpoint, flow


def logs(bench, view):
    return [(stream, text) for _, stream, text in bench.project.value(view.record.logs)] if view.record.logs else []


def one_call(fn):
    @checkpoint
    def step():
        return fn()

    @flow
    def body():
        return step()

    return body


def test_output_is_kept_with_its_call_and_told(bench):
    def speak():
        print("out")
        print("err", file=sys.stderr)
        sys.stdout.writelines(["a", "b"])

    ended = bench.run(one_call(speak))
    expected = [("stdout", "out\n"), ("stderr", "err\n"), ("stdout", "ab")]
    assert logs(bench, ended.state.calls[1]) == expected
    assert [(e["stream"], e["text"]) for e in ended.events("output")] == expected
    assert {e["call"] for e in ended.events("output")} == {"step"}


def test_output_is_told_line_by_line_and_as_soon_as_it_is_asked_for(bench):
    def speak():
        print("a", 1)
        print("10%", end="\r")
        print("name? ", end="", flush=True)
        print("long", end="")

    ended = bench.run(one_call(speak))
    assert [e["text"] for e in ended.events("output")] == ["a 1\n", "10%\r", "name? ", "long"]
    assert logs(bench, ended.state.calls[1]) == [("stdout", "a 1\n"), ("stdout", "10%\rname? long")]


def test_without_an_observer_it_goes_where_it_went(bench, capsys):
    handle = bench.project.run(one_call(lambda: print("hello")), {}, foreground=True)
    assert capsys.readouterr().out == "hello\n"
    assert logs(bench, bench.project.state(handle.exec_id).calls[1]) == [("stdout", "hello\n")]


def test_the_streams_are_put_back(bench):
    before = sys.stdout, sys.stderr, logging.getLogRecordFactory(), list(logging.getLogger().handlers)
    inside = []
    bench.run(one_call(lambda: inside.append(sys.stdout)))
    assert inside[0] is not before[0]
    assert (sys.stdout, sys.stderr, logging.getLogRecordFactory(), logging.getLogger().handlers) == before


def test_a_stream_that_somebody_replaced_is_left_alone(bench, monkeypatch):
    class Mine:
        def write(self, text):
            return len(text)

        def flush(self):
            pass

    mine = Mine()
    bench.run(one_call(lambda: monkeypatch.setattr(sys, "stdout", mine)))
    assert sys.stdout is mine


def test_the_body_speaks_for_no_call(bench):
    @flow
    def body():
        print("body")

    ended = bench.run(body)
    assert [(e["call"], e["text"]) for e in ended.events("output")] == [("", "body"), ("", "\n")]


def test_log_records_are_kept_at_every_logger(bench):
    quiet = logging.getLogger("tests.quiet")
    quiet.propagate, quiet.handlers = False, [logging.NullHandler()]
    quiet.setLevel("INFO")

    def speak():
        quiet.info("told %s", "you")
        quiet.debug("never")
        logging.getLogger("tests.loud").warning("careful")

    ended = bench.run(one_call(speak))
    kept = logs(bench, ended.state.calls[1])
    assert [e for e in kept if e[0] == "log"] == [
        ("log", "INFO tests.quiet: told you\n"),
        ("log", "WARNING tests.loud: careful\n"),
    ]


def test_a_record_with_a_wrong_format_is_no_failure_of_the_call(bench, monkeypatch):
    monkeypatch.setattr(logging, "raiseExceptions", False)
    ended = bench.run(one_call(lambda: logging.getLogger("x").warning("%d", "no number")))
    assert ended.status == "completed"


def test_basic_config_works_in_a_call_and_warnings_are_shown(scripts):
    """A handler of ours on the root logger would make both silent."""
    scripts.write(
        "flows.py",
        """
        import logging
        from kitaru import checkpoint, flow

        @checkpoint
        def before() -> None:
            logging.getLogger("a").warning("shown by default")

        @checkpoint
        def after() -> None:
            logging.basicConfig(level="INFO", format="mine %(message)s")
            logging.getLogger("a").info("configured")

        @flow
        def body() -> None:
            before()
            after()
        """,
    )
    said = scripts.do("project.run('flows.py:body', {}, foreground=True)")
    assert "shown by default" in said
    assert "mine configured" in said
    state = scripts.project.state(scripts.project.find_run("@"))
    kept = [[(s, t) for _, s, t in scripts.project.value(c.record.logs)] for c in state.ordered_calls]
    assert kept == [[("log", "WARNING a: shown by default\n")], [("log", "INFO a: configured\n")]]


def test_output_beyond_the_limit_is_shown_and_not_stored(bench, monkeypatch):
    monkeypatch.setattr("kitaru.runtime.context.MAX_LOG_CHARS", 10)
    ended = bench.run(one_call(lambda: print("x" * 8, "y" * 8, sep="")))
    assert "".join(text for _, text in logs(bench, ended.state.calls[1])) == "x" * 8 + "yy"
    assert "".join(e["text"] for e in ended.events("output")) == "x" * 8 + "y" * 8 + "\n"


def test_two_runs_at_once_do_not_mix(bench):
    together = threading.Barrier(2)

    @checkpoint
    def step(name, n):
        together.wait(10)
        print(f"{name} {n}", end="")
        together.wait(10)
        logging.getLogger("x").warning("%s %s", name, n)

    @flow
    def body(name):
        for n in range(3):
            step(name, n)

    handles = {name: bench.project.run(body, {"name": name}) for name in ("one", "two")}
    for name, handle in handles.items():
        handle.wait(30)
        views = bench.project.state(handle.exec_id).ordered_calls
        for n, view in enumerate(views):
            assert logs(bench, view)[:2] == [("stdout", f"{name} {n}"), ("log", f"WARNING x: {name} {n}\n")]


def test_failing_and_nested_calls_keep_their_output(bench):
    @checkpoint
    def inner():
        print("inner", end="")

    @checkpoint
    def outer():
        print("outer", end="")
        inner()
        raise ValueError

    @flow
    def body():
        outer()

    ended = bench.run(body)
    assert logs(bench, ended.state.calls[1]) == [("stdout", "outerinner")]
    assert [e["text"] for e in ended.events("output")] == ["outerinner"]


def test_threads_that_copy_their_context_speak_for_the_call(bench):
    import contextvars

    def speak():
        context = contextvars.copy_context()
        thread = threading.Thread(target=context.run, args=(print, "from a thread"))
        thread.start()
        thread.join()

    ended = bench.run(one_call(speak))
    assert ("stdout", "from a thread\n") in logs(bench, ended.state.calls[1])


@pytest.mark.parametrize("what", ["isatty", "fileno", "encoding", "buffer"])
def test_the_rest_of_a_stream_is_the_real_one(bench, what, capfd):
    found = []
    bench.run(one_call(lambda: found.append(getattr(sys.stdout, what))))
    assert found[0] == getattr(sys.stdout, what) or callable(found[0])


def test_nothing_is_kept_for_a_call_that_is_silent(bench):
    ended = bench.run(one_call(lambda: kitaru.current_call().key))
    assert ended.state.calls[1].record.logs is None
