"""What stands on every screen, as text, driven by keys; `KITARU_GOLDEN=1` writes the texts anew."""

import asyncio
import os
from pathlib import Path

import pytest

from tests.tui.driving import driven

GOLDEN = Path(__file__).parents[1] / "golden" / "tui"
SIZES = {"80x24": (80, 24), "120x40": (120, 40)}


def check(name, text):
    file = GOLDEN / f"{name}.txt"
    if os.environ.get("KITARU_GOLDEN"):
        file.parent.mkdir(exist_ok=True)
        file.write_text(text, "utf-8")
    assert text == file.read_text("utf-8")


def shot(name, project, keys, size, *, before=None):
    """Open the inbox, press keys, and compare the screen."""

    async def drive():
        async with driven(project, size=SIZES[size]) as driver:
            if before is not None:
                await before(driver)
            await driver.press(*keys)
            check(f"{name}-{size}", driver.screen)

    asyncio.run(drive())


@pytest.fixture(params=SIZES)
def size(request):
    return request.param


def test_no_questions(project, size):
    shot("inbox-0", project, [], size)


def test_one_question(project, ask, size):
    ask("publish", topic="tides")
    shot("inbox-1", project, [], size)


def test_many_questions(many, size):
    shot("inbox-500", many, ["pagedown", "down"], size)


def test_the_filter(many, size):
    shot("filter", many, ["slash", *"topic", "space", "4", "9"], size)


def test_a_filter_that_nothing_fits(many, size):
    shot("filter-nothing", many, ["slash", *"zzqq"], size)


def test_a_form_with_what_is_wrong(project, ask, size):
    ask("order")
    shot("form", project, ["enter", "ctrl+s", *"ann"], size)


def test_a_choice(project, ask, size):
    ask("paint")
    shot("choice", project, ["enter", "enter"], size)


def test_a_tree_and_a_text(project, ask, size):
    ask("ask", kind="lines")
    shot("text", project, ["enter", "h", "i", "enter", "y", "o", "u"], size)


def test_the_confirm(project, ask, size):
    ask("publish", topic="tides")
    shot("confirm", project, ["y"], size)


def test_the_countdown(project, ask, size):
    ask("publish", topic="tides")
    shot("countdown", project, ["n", "n"], size)


def test_quitting_during_the_countdown(project, ask, size):
    ask("publish", topic="tides")
    shot("leave", project, ["y", "y", "q"], size)


def test_help(project, ask, size):
    ask("publish", topic="tides")
    shot("help", project, ["question_mark"], size)


def test_recent_answers(project, ask, clock, size):
    runs = [ask("publish", topic=topic) for topic in ("tides", "moons")]
    project.answer(runs[0], "approve", True, note="reads well", foreground=True)
    clock.advance(3600)
    project.answer(runs[1], "approve", False, resume=False)
    shot("answers", project, ["a", "down"], size)


def test_no_recent_answers(project, size):
    shot("answers-0", project, ["a"], size)


def test_the_command_palette_has_the_inboxes_commands(project, ask):
    async def drive():
        async with driven(project) as driver:
            await driver.press("ctrl+p", *"recent")
            assert "Recent answers" in driver.screen

    asyncio.run(drive())


def test_light_and_dark(project, ask):
    async def drive():
        async with driven(project) as driver:
            assert driver.app.current_theme.dark
            await driver.press("d")
            assert not driver.app.current_theme.dark

    asyncio.run(drive())
