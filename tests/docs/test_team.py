"""The story of docs/team.md, "Carrying on elsewhere", told by real commands, machines and a real bucket.

Each `console` block is a machine's: `ana$ kitaru …`. A machine is a directory and a user of its own.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "team.md").read_text("utf-8")
STORY = TEXT[TEXT.index("## Carrying on elsewhere\n") : TEXT.index("### Claims\n")]
BLOCK = re.compile(r"^```(python|console)\n(.*?)^```\n", re.MULTILINE | re.DOTALL)
URL = "s3://acme-agents/research"


class Machines:
    """Directories, and who works in them."""

    def __init__(self, root, place):
        self._root, self._place = root, place
        self._at = {}

    def directory(self, name):
        there = self._at.setdefault(name, self._root / name)
        there.mkdir(exist_ok=True)
        return there

    def type(self, line, code=0):
        """Type a line such as `ana$ kitaru push`; return what it printed."""
        name, words = line.split("$ ")
        if words.startswith("cd "):
            self._at[name] = self.directory(name) / words[3:]
            return ""
        assert words.startswith("kitaru ")
        words = words.removeprefix("kitaru ").split()
        if URL in words:
            words[words.index(URL)] = self._place.url
            words += [word for key, value in self._place.options.items() for word in (f"--{key}", value)]
            if words[0] == "clone":
                words.insert(2, "research")
        env = {**os.environ, "USER": name, "LOGNAME": name, "PYTHONPATH": str(ROOT), "NO_COLOR": "1"}
        ended = subprocess.run(
            [sys.executable, "-m", "kitaru", *words],
            cwd=self.directory(name),
            env=env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert ended.returncode == code, f"{line}\n{ended.returncode}\n{ended.stdout}\n{ended.stderr}"
        return ended.stdout + ended.stderr


@pytest.fixture(params=[pytest.param("folder", marks=pytest.mark.long), "bucket"])
def machines(request, tmp_path):
    if request.param == "folder":
        from tests.servers.fixtures import Place

        place = Place(str(tmp_path / "shared"), {})
    else:
        place = request.getfixturevalue("s3_remote")()
    return Machines(tmp_path, place)


def test_the_story(machines):
    printed = {}
    for language, block in BLOCK.findall(STORY):
        if language == "python":
            file = machines.directory("ana") / re.match(r"# (\S+\.py)\n", block)[1]
            file.write_text(block, "utf-8")
            continue
        for line in block.splitlines():
            printed[line] = machines.type(line, code=3 if " kitaru run " in line else 0)
    assert "Publish this?" in printed["ben$ kitaru waits"]
    assert "kitaru push team" in printed["ben$ kitaru answer @ approve true --no-resume"]
    assert "kitaru push" not in printed["cyd$ kitaru work --remote team --once"]
    assert "published: All that is known about tides." in machines.type("ana$ kitaru show @")

    state = json.loads(machines.type("ana$ kitaru show @ -o json"))
    assert state["status"] == "completed"
    log = machines.type("ana$ kitaru logs @")
    assert "ben" in log
    assert not (machines.directory("cyd") / "report.py").exists()
