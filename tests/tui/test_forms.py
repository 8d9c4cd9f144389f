"""Every kind of schema is answered by keys, and what does not fit is told at its field."""

import asyncio

import pytest

from kitaru.tui.controls import FieldView
from tests.tui.driving import driven

ANSWERS = {
    "integer": (["7"], 7),
    "number": ([*"0.75"], 0.75),
    "line": ([*"hello"], "hello"),
    "lines": (["a", "enter", "b"], "a\nb"),
    "literal": (["enter", "down", "down", "enter"], 2),
    "list": (["enter", "4", "shift+tab", "enter", "5"], [4, 5]),
    "optional": (["tab", "3"], 3),
    "union": (["enter", "down", "enter", "tab", *"Rome"], {"city": "Rome", "zip": "00000"}),
    "dataclass": (["1", "tab", *"Rome"], {"left": 1, "right": {"city": "Rome", "zip": "00000"}}),
    "mapping": ([*'{"a":1}'], {"a": 1}),
    "tuple": ([*'[1,"x"]'], [1, "x"]),
    "recursive": (["a", "tab", "enter", "b"], {"name": "a", "inner": [{"name": "b", "inner": []}]}),
    "any": ([*"[null]"], [None]),
}

WRONG = {
    "integer": (["1"], "Input should be at least 2"),
    "number": ([*"0.5"], "Input should be greater than 0.5"),
    "line": (["x"] * 21, "Input should have at most 20 characters"),
    "list": (["enter", "x"], "Input should be an integer"),
    "mapping": ([*'{"a"'], "no JSON: "),
    "tuple": ([*'["x",""]'], "Input should be an integer"),
    "dataclass": (["x"], "Input should be an integer"),
}


def answering(project, keys, then):
    """Go to the form, press keys, and look at what came of it."""

    async def drive():
        async with driven(project) as driver:
            await driver.press("enter", *keys)
            then(driver)

    asyncio.run(drive())


@pytest.mark.parametrize("kind", ANSWERS)
def test_a_kind_of_schema_is_answered(project, ask, clock, kind):
    run, (keys, value) = ask("ask", kind=kind), ANSWERS[kind]

    async def drive():
        async with driven(project) as driver:
            await driver.press("enter", *keys, "ctrl+s")
            assert [p.value for p in driver.app.session.pending] == [value], driver.screen
            clock.advance(5)
            await driver.tick()
            assert not driver.app.session.pending

    asyncio.run(drive())
    assert project.resume(run, foreground=True).outcome.error is None
    assert project.value(project.state(run).ordered_waits[0].answer.value, run) == value


@pytest.mark.parametrize("kind", WRONG)
def test_what_does_not_fit_is_told_as_it_is_typed(project, ask, kind):
    ask("ask", kind=kind)
    keys, told = WRONG[kind]

    def then(driver):
        wrong = [view for view in driver.app.screen.query(FieldView) if view.has_class("-wrong")]
        assert len(wrong) == 1
        assert told in driver.screen

    answering(project, keys, then)


@pytest.mark.parametrize("kind", WRONG)
def test_what_does_not_fit_is_not_answered(project, ask, kind):
    ask("ask", kind=kind)
    answering(project, [*WRONG[kind][0], "ctrl+s"], lambda driver: _has_no_answer(driver))


def _has_no_answer(driver):
    assert driver.app.session.pending == []


def test_a_field_is_not_complained_of_before_somebody_was_there(project, ask):
    ask("order")
    answering(project, [], lambda driver: _is_silent(driver))
    answering(project, ["tab"], lambda driver: _complains_once(driver))


def _is_silent(driver):
    assert "Field required" not in driver.screen


def _complains_once(driver):
    assert driver.screen.count("Field required") == 1


def test_the_first_wrong_field_is_gone_to(project, ask):
    ask("order")
    answering(project, [*"ann", "tab", "3", "ctrl+s"], lambda driver: _is_on_choice(driver))


def _is_on_choice(driver):
    view = next(node for node in driver.app.focused.ancestors if isinstance(node, FieldView))
    assert view.field.place == "colour"


def test_an_item_is_taken_out_again(project, ask):
    ask("ask", kind="list")
    keys = ["enter", "4", "shift+tab", "enter", "5", "shift+tab", "enter", "ctrl+s"]
    answering(project, keys, lambda driver: _has(driver, [5]))


def _has(driver, value):
    assert [p.value for p in driver.app.session.pending] == [value], driver.screen


def test_none_is_chosen(project, ask):
    ask("ask", kind="optional")
    answering(project, ["enter", "down", "enter", "ctrl+s"], lambda driver: _has(driver, None))


def test_a_note_goes_with_the_answer(project, ask, clock):
    run = ask("publish", topic="tides")

    async def drive():
        async with driven(project) as driver:
            await driver.press("enter", "shift+tab")
            await driver.type("reads well")
            await driver.press("escape", "y", "y")
            clock.advance(5)
            await driver.tick()

    asyncio.run(drive())
    state = project.state(run)
    assert project.given(state, state.open_waits[0]).note == "reads well"
