"""Whose code an isolated call executes: a script's, the working tree's, the recorded one."""

from __future__ import annotations

import json

HELPER = "def double(n):\n    return n * 2\n"
FLOW = """
    import os
    from dataclasses import dataclass
    from kitaru import checkpoint, flow
    from pieces import double

    @dataclass
    class Point:
        x: int

    @checkpoint(runtime="isolated")
    def moved(point: Point, n: int) -> Point:
        return Point(double(point.x) + n)

    @dataclass
    class Mover:
        by: int

        @checkpoint(runtime="isolated")
        def move(self, n: int) -> int:
            return n + self.by

    @flow
    def agent(fail: bool = False) -> list:
        first = moved(Point(1), 10)
        second = Mover(1).move(1)
        if fail and not os.path.exists("mended"):
            raise ValueError("not yet")
        third = moved(Point(2), 20)
        return [first.x, second, third.x, type(third) is Point]

    if __name__ == "__main__":
        print(agent.run().wait())
"""


def test_a_script(scripts):
    scripts.write("pieces.py", HELPER)
    scripts.write("agent.py", FLOW)
    assert "[12, 2, 24, True]" in scripts.python("agent.py")


def test_a_script_in_a_directory_of_its_own(scripts):
    scripts.write("deep/pieces.py", HELPER)
    scripts.write("deep/agent.py", FLOW)
    assert "[12, 2, 24, True]" in scripts.python("deep/agent.py")


def test_the_recorded_code_and_the_working_tree(scripts):
    scripts.write("pieces.py", HELPER)
    scripts.write("agent.py", FLOW)
    scripts.python("-m", "kitaru", "run", "-q", "agent.py", "fail=true", code=1)
    (run,) = scripts.project.repo.run_ids()
    scripts.write("pieces.py", HELPER.replace("* 2", "* 100"))
    scripts.write("mended", "")
    recorded = scripts.python("-m", "kitaru", "resume", "-q", run, "--as-recorded")
    assert json.loads(recorded) == [12, 2, 24, True]
    replayed = scripts.python("-m", "kitaru", "replay", "-q", run, "--from", "moved#2")
    assert json.loads(replayed) == [12, 2, 220, True]


def test_code_that_was_edited_meanwhile_is_not_called(scripts):
    scripts.write("pieces.py", HELPER)
    edited = (
        FLOW.replace("first = moved", "edit()\n        first = moved")
        + """
    @checkpoint
    def edit() -> None:
        from pathlib import Path
        text = Path("agent.py").read_text()
        Path("agent.py").write_text(text.replace("+ " + "n)", "- " + "n)"))
"""
    )
    scripts.write("agent.py", edited)
    said = scripts.python("-m", "kitaru", "run", "-q", "agent.py", code=None)
    assert "moved is not the code that the run began with" in said
    (run,) = scripts.project.repo.run_ids()
    assert json.loads(scripts.python("-m", "kitaru", "resume", "-q", run)) == [-8, 2, -16, True]
