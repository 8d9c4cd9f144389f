"""Answering: the countdown, taking back, quitting, being second, and runs that go on to their end by themselves."""

import asyncio
import shutil
import sys
from pathlib import Path

import pytest

import kitaru
from kitaru.model.history import Status
from kitaru.project import Project
from kitaru.project.detached import resume_detached
from tests.tui.driving import driven


@pytest.fixture
def real(tmp_path, monkeypatch):
    """A project on disk, whose runs are carried on by processes of their own."""
    shutil.copyfile(Path(__file__).parent / "flows" / "questions.py", tmp_path / "shop.py")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("KITARU_DIR", raising=False)
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    yield Project.init(tmp_path)
    sys.modules.pop("shop", None)


def told(project, run):
    """Wait until a run is over, by following it, and return how it ended."""
    follower = project.follow(run, wait=True)
    for _ in follower.lines():
        pass
    return str(project.state(run).status)


ENDS = {
    "publish": ({"topic": "tides"}, ["y", "y"], "# tides\n\nA *draft* about tides:\n\n- one\n- two\n"),
    "paint": ({}, ["enter", "enter", "down", "down", "enter", "ctrl+s"], "blue"),
    "order": (
        {},
        [
            *("enter", *"ann", "tab", "3", "tab", "enter", "down", "enter"),
            *("tab", *"Rome", "tab", "tab", "enter", "down", "enter", "tab", "2", "ctrl+s"),
        ],
        "3 for ann in Rome",
    ),
}


@pytest.mark.parametrize("flow", ENDS)
def test_the_run_is_carried_on_to_its_end(real, flow):
    inputs, keys, result = ENDS[flow]
    run = real.run(f"shop.py:{flow}", inputs, foreground=True).exec_id

    async def drive():
        async with driven(real, carry_on=None, undo_s=0) as driver:
            await driver.press(*keys)
            assert driver.app.session.pending, driver.screen
            await driver.tick()
            assert await asyncio.to_thread(told, real, run) == "completed"
            await driver.poll()
            assert "run completed" in driver.screen

    asyncio.run(drive())
    state = real.state(run)
    assert real.value(state.end.output, run) == result
    assert state.ordered_waits[0].answer.by == real.services.user


def test_a_run_that_could_not_be_carried_on_is_told(real, tmp_path):
    real.run("shop.py:publish", {"topic": "tides"}, foreground=True)
    code, started = (tmp_path / "shop.py").read_text(), []
    (tmp_path / "shop.py").write_text("import no_such_module\n")

    def carry_on(run):
        started.append(resume_detached(tmp_path, run))
        return started[-1]

    async def drive():
        async with driven(real, size=(120, 40), carry_on=carry_on, undo_s=0) as driver:
            await driver.press("y", "y")
            await driver.tick()
            await asyncio.to_thread(started[0].process.wait)
            await driver.poll()
            await driver.poll()
            assert "run not carried on" in driver.screen
            [told] = driver.app._notifications
            assert "No module named 'no_such_module'" in told.message
            (tmp_path / "shop.py").write_text(code)
            await driver.press("a", "c")
            await asyncio.to_thread(started[1].process.wait)
            await driver.press("escape")
            await driver.poll()
            assert "run completed" in driver.screen

    asyncio.run(drive())


def test_an_answer_is_written_when_its_time_has_come(project, ask, clock):
    run, carried = ask("publish", topic="tides"), []

    async def drive():
        async with driven(project, carry_on=carried.append) as driver:
            await driver.press("y", "y")
            clock.advance(4.9)
            await driver.tick()
            assert "in 1 s" in driver.screen
            assert _given(project, run) is None
            clock.advance(0.1)
            await driver.tick()
            assert "run resuming" in driver.screen

    asyncio.run(drive())
    assert project.value(_given(project, run).value) is True
    assert carried == [run]


def _given(project, run):
    state = project.state(run)
    return project.given(state, state.open_waits[0])


def test_two_runs_that_ask_the_same_are_answered_each(project, ask):
    first, second = ask("publish", topic="tides"), ask("publish", topic="tides")

    async def drive():
        async with driven(project, undo_s=0) as driver:
            await driver.press("y", "y")
            await driver.press("down")
            assert driver.app.session.find(driver.app.inbox_screen.question) is None, driver.screen
            await driver.tick()
            await driver.press("n", "n")
            await driver.tick()

    asyncio.run(drive())
    assert project.value(_given(project, first).value) is True
    assert project.value(_given(project, second).value) is False


def test_a_run_is_rejected(project, ask):
    run = ask("order")

    async def drive():
        async with driven(project, undo_s=0) as driver:
            await driver.press("x")
            assert "The run ends here" in driver.screen
            await driver.press("escape")
            assert driver.app.session.pending == []
            driver.app.inbox_screen.query_one("#note").value = "out of stock"
            await driver.press("x", "x")
            await driver.tick()
            await driver.poll()
            assert "reject · run cancelled" in driver.screen

    asyncio.run(drive())
    end = project.state(run).end
    assert (end.status, end.cancelled["reason"]) == ("cancelled", "out of stock")


def test_the_time_that_is_left_stands_in_the_list(project, clock):
    @kitaru.flow
    def hurry():
        return kitaru.wait("now", "Now?", deadline="3h", default=False)

    project.run(hurry, {}, foreground=True)

    async def drive():
        async with driven(project) as driver:
            clock.advance(3600)
            await driver.poll()
            assert "1h, 2h left" in driver.screen
            clock.advance(7200)
            await driver.poll()
            assert "3h, too late" in driver.screen

    asyncio.run(drive())


def test_an_answer_is_taken_back(project, ask, clock):
    run = ask("publish", topic="tides")

    async def drive():
        async with driven(project) as driver:
            await driver.press("n", "n", "u")
            clock.advance(60)
            await driver.tick()
            await driver.press("y")
            assert "Yes to approve" in driver.screen

    asyncio.run(drive())
    assert _given(project, run) is None


def test_a_key_pressed_twice_before_the_screen_changes_is_asked_about_once(project, ask):
    ask("publish", topic="tides")

    async def drive():
        async with driven(project) as driver:
            for _ in range(2):
                driver.app.inbox_screen.action_approve(True)
            await driver.settle()
            assert len(driver.app.screen_stack) == 2
            await driver.press("escape")
            assert driver.app.screen is driver.app.inbox_screen

    asyncio.run(drive())


def test_a_run_that_is_gone_is_told_of_once(real, tmp_path):
    run = real.run("shop.py:publish", {"topic": "tides"}, foreground=True).exec_id

    async def drive():
        async with driven(real) as driver:
            shutil.rmtree(tmp_path / ".kitaru" / "runs" / run)
            await driver.poll()
            await driver.poll()
            assert "no longer open: the run is gone" in driver.screen
            assert not driver.app._notifications
            await driver.press("y")
            assert driver.app.screen is driver.app.inbox_screen

    asyncio.run(drive())


def test_escape_confirms_nothing(project, ask):
    ask("publish", topic="tides")

    async def drive():
        async with driven(project) as driver:
            await driver.press("y", "escape")
            assert driver.app.session.pending == []
            await driver.press("y", "n")
            assert driver.app.session.pending == []

    asyncio.run(drive())


@pytest.mark.parametrize(("key", "is_written"), [("w", True), ("d", False)])
def test_quitting_asks_what_becomes_of_an_answer(project, ask, key, is_written):
    run = ask("publish", topic="tides")

    async def drive():
        async with driven(project) as driver:
            await driver.press("y", "y", "q")
            assert "Not written yet" in driver.screen
            await driver.press(key)
            assert not driver.app.is_running or driver.app._exit

    asyncio.run(drive())
    assert (_given(project, run) is not None) is is_written


def test_who_is_second_is_told_who_was_first(project, ask, clock):
    run = ask("publish", topic="tides")

    async def drive():
        async with driven(project, size=(120, 40)) as driver:
            await driver.press("y", "y")
            project.answer(run, "approve", False, by="grace", resume=False)
            clock.advance(5)
            await driver.tick()
            assert "was answered by grace" in next(iter(driver.app._notifications)).message
            await driver.poll()
            assert "answered by grace: no" in driver.screen

    asyncio.run(drive())


def test_a_question_that_went_away_is_not_answered_by_the_next(project, ask):
    first, second = ask("publish", topic="tides"), ask("publish", topic="moons")

    async def drive():
        async with driven(project) as driver:
            project.answer(first, "approve", True, by="grace").wait()
            await driver.poll()
            assert first in driver.screen
            assert "answered by grace" in driver.screen
            await driver.press("y", "y")
            assert driver.app.session.pending == []
            await driver.press("down")
            assert second in driver.screen

    asyncio.run(drive())


def test_new_questions_appear_and_the_cursor_stays(project, ask):
    first = ask("publish", topic="tides")

    async def drive():
        async with driven(project) as driver:
            await asyncio.to_thread(ask, "publish", topic="moons")
            await driver.poll()
            assert "2 open" in driver.screen
            assert "moons" in driver.screen
            assert f"run {first}" in driver.screen

    asyncio.run(drive())


def test_what_is_typed_stays_while_questions_come(project, ask):
    ask("order")

    async def drive():
        async with driven(project) as driver:
            await driver.press("enter", *"ann")
            await asyncio.to_thread(ask, "publish", topic="moons")
            await driver.poll()
            assert "ann" in driver.screen
            assert driver.app.focused.value == "ann"

    asyncio.run(drive())


def test_one_runs_questions_alone(project, ask):
    ask("publish", topic="tides")
    run = ask("publish", topic="moons")

    async def drive():
        async with driven(project, only=run) as driver:
            assert "1 open" in driver.screen
            assert "tides" not in driver.screen

    asyncio.run(drive())


def test_a_run_that_nobody_carried_on_is_carried_on(project, ask):
    run, carried = ask("publish", topic="tides"), []
    project.answer(run, "approve", True, resume=False)

    async def drive():
        async with driven(project, carry_on=carried.append) as driver:
            await driver.press("a", "c")

    asyncio.run(drive())
    assert carried == [run]
    assert project.state(run).status is Status.WAITING
