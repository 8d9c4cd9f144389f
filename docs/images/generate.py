"""Write the pictures of docs/approvals.md from the inbox itself: `python docs/images/generate.py`.

They are of a project in memory whose clock stands still, so that they come out the same each time.
"""

from __future__ import annotations

import asyncio
import re
import sys
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, Field

import kitaru
from kitaru.project import Project
from kitaru.project.inbox import Inbox
from kitaru.testing import START_US, FixedClock, memory_project
from kitaru.tui.app import InboxApp

HERE = Path(__file__).parent
SIZE = (100, 30)
PICTURES: dict[str, tuple[str, ...]] = {
    "inbox": (),
    "inbox-form": ("down", "enter", *"eu-west", "tab", "0", "ctrl+s"),
    "inbox-answers": ("a",),
}


class Rollout(BaseModel):
    """Where it goes, and how fast."""

    region: str
    percent: int = Field(ge=1, le=100)
    speed: Literal["slow", "fast"] = "slow"
    pause: bool = False


@kitaru.checkpoint
def draft(version: str) -> str:
    kitaru.log(cost=0.0231, usage={"input_tokens": 5200, "output_tokens": 640})
    return f"## What is new in {version}\n\n- runs *resume* where they stopped\n- answers are written **once**\n"


@kitaru.checkpoint
def risks(version: str) -> list[dict[str, object]]:
    return [{"part": "store", "changes": 12, "risk": "low"}, {"part": "sync", "changes": 48, "risk": "high"}]


@kitaru.flow
def release(version: str) -> bool:
    draft(version)
    return bool(kitaru.wait("publish", question=f"Publish the notes of **{version}**?", schema=bool))


@kitaru.flow
def deploy(version: str) -> str:
    risks(version)
    return str(kitaru.wait("rollout", question=f"How is **{version}** to be rolled out?", schema=Rollout).region)


def example() -> Project:
    """Return a project with open questions and an answer."""
    clock = FixedClock(START_US, step_us=0)
    project = memory_project(HERE, clock=clock)
    for flow, version in ((release, "1.3"), (release, "1.4"), (deploy, "1.3.2"), (release, "1.5")):
        clock.advance(5400)
        handle = project.run(flow, {"version": version}, foreground=True)
        if version == "1.3":
            project.answer(handle.exec_id, "publish", True, by="ada", note="reads well", foreground=True)
    clock.advance(720)
    return project


async def picture(project: Project, keys: tuple[str, ...]) -> str:
    """Return the screen after these keys, as SVG that needs no fonts from elsewhere."""
    app = InboxApp(Inbox(project, carry_on=lambda run: None), is_live=False)
    async with app.run_test(size=SIZE) as pilot:
        for key in ("", *keys):
            if key:
                await pilot.press(key)
            for _ in range(3):  # what one message draws may send the next: a footer is made anew after the question
                await app.workers.wait_for_complete()
                await pilot.pause()
        drawn = app.export_screenshot(title="kitaru inbox", simplify=True)
    drawn = re.sub(r"@font-face \{.*?\}\s*", "", drawn, flags=re.DOTALL)
    return re.sub(r"terminal-\d+", "terminal", drawn).replace("Fira Code", "monospace")


def main() -> None:
    """Write every picture."""
    sys.modules.setdefault("generate", sys.modules[__name__])
    project = example()
    for name, keys in PICTURES.items():
        (HERE / f"{name}.svg").write_text(asyncio.run(picture(project, keys)), "utf-8")


if __name__ == "__main__":
    main()
