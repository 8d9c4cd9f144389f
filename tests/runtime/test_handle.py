"""A run in hand: in the background, in an event loop, in a notebook, and in a script that ends first."""

from __future__ import annotations

import asyncio
import signal
import threading

import pytest

import kitaru
from kitaru import checkpoint, flow
from kitaru.errors import RunFailed, RunInterrupted, RunNotFinished, RunWaiting
from kitaru.project import Project

LONG_S = 40


@pytest.fixture
def gate():
    return threading.Event()


def gated(gate, began=None):
    @checkpoint
    def step(n):
        if began is not None:
            began.set()
        assert gate.wait(30)
        return n

    @flow
    def body():
        return [step(1), step(2)]

    return body


def test_a_run_in_the_background(bench, gate):
    code = gated(gate)
    handle = bench.project.run(code, {})
    assert handle.status == "running"
    assert handle.outcome is None
    with pytest.raises(RunNotFinished):
        handle.get()
    with pytest.raises(TimeoutError):
        handle.wait(timeout=0)
    assert repr(handle) == f"<run {handle.exec_id}: running>"
    gate.set()
    assert handle.wait(30) == [1, 2]
    assert handle.get() == [1, 2]
    assert handle.status == "completed"
    assert repr(handle) == f"<run {handle.exec_id}: completed>"


def test_the_ways_a_run_ends_reach_the_caller(bench):
    def ending(error):
        @flow
        def body():
            if error is None:
                return kitaru.wait()
            raise error

        return body

    for error, expected in [(ValueError("x"), RunFailed), (KeyboardInterrupt(), RunInterrupted), (None, RunWaiting)]:
        code = ending(error)
        handle = bench.project.run(code, {})
        for ask in (lambda handle=handle: handle.wait(30), handle.get):
            with pytest.raises(expected):
                ask()
    with pytest.raises(RunWaiting, match=rf"^kitaru answer {handle.exec_id} answer true$"):
        handle.wait()


def test_status_is_read_anew_each_time(bench):
    @flow
    def body():
        return kitaru.wait()

    handle = bench.project.run(body, {}, foreground=True)
    assert handle.status == "waiting"
    bench.project.answer(handle.exec_id, None, True, foreground=True)
    assert handle.status == "completed"
    with pytest.raises(RunWaiting):
        handle.wait()  # what this execution came to


def test_stopping_a_background_run(bench, gate):
    began = threading.Event()
    code = gated(gate, began)
    handle = bench.project.run(code, {})
    assert began.wait(30)
    handle.stop()
    gate.set()
    with pytest.raises(RunInterrupted):
        handle.wait(30)
    state = bench.project.state(handle.exec_id)
    assert state.status == "interrupted"
    assert [c.label for c in state.ordered_calls] == ["step"]
    assert bench.resume(handle.exec_id, code).value == [1, 2]


def test_ctrl_c_while_waiting_stops_the_run(bench, gate, monkeypatch):
    code = gated(gate)
    handle = bench.project.run(code, {})
    thread = handle._thread

    def interrupted(timeout=None):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(thread, "join", interrupted)
        with pytest.raises(KeyboardInterrupt):
            handle.wait()
    gate.set()
    with pytest.raises(RunInterrupted):
        handle.wait(30)


def test_in_a_running_event_loop(bench):
    @checkpoint
    def step(n):
        return asyncio.run(asyncio.sleep(0, n))  # a loop of its own, for the run is on a thread of its own

    @flow
    def body():
        return step(5)

    async def main():
        return bench.project.run(body, {}).wait(30)

    assert asyncio.run(main()) == 5


def test_a_finished_run_of_another_process(bench):
    def make(error):
        @flow
        def body():
            if kitaru.wait() and error:
                raise ValueError("no luck")
            return 5

        return body

    code = make(None)
    run = bench.run(code).run
    handle = bench.project.answer(run, None, True, resume=False)
    with pytest.raises(RunWaiting, match=f"kitaru answer {run} answer true"):
        handle.wait()
    assert bench.resume(run, code).value == 5
    assert bench.project._finished(run).wait() == 5
    code = make("yes")
    run = bench.run(code).run
    assert bench.answer(run, True).status == "failed"
    with pytest.raises(RunFailed, match=f"run {run} is failed: no luck"):
        bench.project._finished(run).wait()


SCRIPT = """
    import sys
    from dataclasses import dataclass
    from enum import Enum

    from pydantic import BaseModel

    import kitaru
    from kitaru import checkpoint, flow, wait

    class Kind(Enum):
        A = "a"

    class Query(BaseModel):
        text: str
        kind: Kind = Kind.A

    @dataclass
    class Plan:
        queries: list[Query]

    class Refused(Exception):
        pass

    @checkpoint
    def plan(question: str) -> Plan:
        print("planning")
        return Plan([Query(text=question)])

    @checkpoint
    def refuse() -> None:
        print("refusing")
        raise Refused("no")

    @checkpoint
    def use(made: Plan) -> list:
        print("using")
        return [type(made) is Plan, isinstance(made.queries[0], Query), made.queries[0].kind is Kind.A, made]

    @flow
    def body(question: str) -> list:
        made = plan(question)
        try:
            refuse()
        except Refused as error:
            assert type(error) is Refused
        assert type(made) is Plan and made == Plan([Query(text=question)])
        wait("approve")
        return use(made)

    if __name__ == "__main__":
        handle = body.run(question="why")
        print("started", flush=True)
"""


@pytest.mark.parametrize("where", ["agent.py", "agents/deep/agent.py", "odd-name.py"])
def test_a_script_that_ends_before_its_run_and_its_classes_resumed_elsewhere(scripts, where):
    scripts.write(where, SCRIPT)
    said = scripts.python(where)
    assert "planning" in said
    project = scripts.project
    run = project.find_run("@")
    assert project.state(run).status == "waiting"
    said = scripts.do("project.answer('@', None, True, foreground=True)")
    assert "planning" not in said
    assert "refusing" not in said
    assert "using" in said
    assert "completed | [True, True, True, Plan(" in said


def test_a_script_that_ends_first_may_use_thread_pools(scripts):
    """`concurrent.futures` refuses new work once the main thread has ended; the run must be waited for before."""
    scripts.write(
        "agent.py",
        """
        import threading
        from concurrent.futures import ThreadPoolExecutor
        from kitaru import checkpoint, flow

        ended = threading.Event()

        @checkpoint
        def late() -> int:
            ended.wait(30)
            with ThreadPoolExecutor() as pool:
                return pool.submit(lambda: 5).result()

        @flow
        def body() -> int:
            return late()

        if __name__ == "__main__":
            body.run()
            threading._register_atexit(ended.set)  # what is registered last is called first
        """,
    )
    scripts.python("agent.py")
    state = scripts.project.state(scripts.project.find_run("@"))
    assert state.status == "completed", state.end


def test_code_typed_in_a_session_without_a_file(scripts):
    said = scripts.python(
        "-c",
        """
import kitaru
from kitaru import checkpoint, flow, Project

source = '''
from dataclasses import dataclass

@dataclass
class Plan:
    n: int

@checkpoint
def plan() -> Plan:
    print("planning")
    return Plan(5)

@flow
def body():
    made = plan()
    kitaru.wait()
    return made.n, type(made) is Plan
'''
exec(source)
handle = body.run()
try:
    handle.wait()
except kitaru.KitaruError as error:
    print(type(error).__name__)
print(Project.open().answer(handle.exec_id, None, True).wait())
""",
    )
    assert said.splitlines() == ["planning", "RunWaiting", "(5, True)"]
    run = scripts.project.find_run("@")
    said = scripts.do(f"project.replay('{run}', from_='plan', foreground=True)", code=1)
    assert "CodeUnloadable" in said
    assert "interactive session" in said


def test_run_belongs_to_the_project_of_the_current_directory(tmp_path, monkeypatch):
    Project.init(tmp_path)
    monkeypatch.chdir(tmp_path)

    @flow
    def body(a, b=2):
        return a + b

    handle = body.run(1, b=5)
    assert handle.wait(30) == 6
    assert Project.open().state(handle.exec_id).status == "completed"
    assert Project.open(tmp_path / "deeper").find_run("@") == handle.exec_id


def test_a_second_ctrl_c_that_comes_while_the_first_is_told_of_waits_for_nothing(bench, gate):
    """It meets the body between its end and the wait for calls that cannot be stopped."""

    began = threading.Event()

    @checkpoint
    def holds():
        began.set()
        gate.wait(LONG_S)

    @flow
    async def body():
        beside = holds.submit()
        assert began.wait(LONG_S)
        signal.raise_signal(signal.SIGINT)
        await beside

    def watch(event):
        if event.kind == "stopping":
            signal.raise_signal(signal.SIGINT)

    opener = threading.Timer(LONG_S / 2, gate.set)
    opener.start()
    try:
        with pytest.raises(RunInterrupted):
            bench.project.run(body, {}, foreground=True, observer=watch).get()
        assert not gate.is_set(), "the call was waited for"
    finally:
        opener.cancel()
        gate.set()
