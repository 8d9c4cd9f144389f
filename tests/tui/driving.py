"""The application driven by keys, without a terminal: what stands on its screen, as text."""

import io
from contextlib import asynccontextmanager

from rich.console import Console

from kitaru.project.inbox import Inbox
from kitaru.tui.app import InboxApp


def screen_text(app):
    """Return the lines of the screen."""
    width, height = app.size
    console = Console(
        width=width, height=height, file=io.StringIO(), force_terminal=True, record=True, legacy_windows=False
    )
    update = app.screen._compositor.render_update(full=True, screen_stack=app._background_screens, simplify=False)
    console.print(update)
    lines = console.export_text(styles=False).split("\n")
    return "\n".join(line.rstrip() for line in lines).rstrip("\n") + "\n"


class Driver:
    """An application, its keys and its screen."""

    def __init__(self, app, pilot):
        self.app, self.pilot = app, pilot

    async def settle(self):
        """Wait until nothing is under way any more."""
        for _ in range(3):
            await self.app.workers.wait_for_complete()
            await self.pilot.pause()

    async def press(self, *keys):
        for key in keys:
            await self.pilot.press(key)
            await self.settle()

    async def type(self, text):
        await self.press(*["space" if c == " " else c for c in text])

    async def poll(self):
        await self.app.poll()
        await self.settle()

    async def tick(self):
        self.app.tick()
        await self.settle()

    @property
    def screen(self):
        return screen_text(self.app)

    def one(self, selector, of=None):
        return self.app.screen.query_one(selector, of) if of else self.app.screen.query_one(selector)


@asynccontextmanager
async def driven(project, *, size=(80, 24), only="", carry_on=lambda run: None, undo_s=5.0):
    """Yield a driver of an application that looks and writes only when it is told to."""
    app = InboxApp(Inbox(project, only, carry_on), undo_s=undo_s, is_live=False)
    async with app.run_test(size=size) as pilot:
        driver = Driver(app, pilot)
        await driver.settle()
        yield driver
