"""The worked cases of docs/changing-code.md do what the page says; `KITARU_GOLDEN=1` writes the outputs anew.

Each case begins with a run of `report.py` that waits. A `python` block whose first line names a file is that file, a
`diff` block is a change of `report.py`, and a `console` block is what a command prints.
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import pytest

from kitaru.runtime import decorators

PAGE = Path(__file__).parents[2] / "docs" / "changing-code.md"
BLOCK = re.compile(r"^```(python|diff|console)\n(.*?)^```\n", re.MULTILINE | re.DOTALL)
TEXT = PAGE.read_text("utf-8")
WORKED = TEXT[TEXT.index("## Worked cases\n") : TEXT.index("## Methods and closures\n")]
INTRO, *CASES = re.split(r"^### ", WORKED, flags=re.MULTILINE)


def write(directory, block):
    name = re.match(r"# (\S+\.py)\n", block)
    assert name is not None
    (directory / name[1]).write_text(block[name.end() :], "utf-8")


def change(directory, block):
    """Apply a diff without line numbers; each hunk's old lines must stand in the file once."""
    file = directory / "report.py"
    text = file.read_text("utf-8")
    for hunk in block.split("@@\n"):
        lines = hunk.splitlines(keepends=True)
        was = "".join(line[1:] for line in lines if not line.startswith("+"))
        now = "".join(line[1:] for line in lines if not line.startswith("-"))
        assert text.count(was) == 1, was
        text = text.replace(was, now)
    file.write_text(text, "utf-8")


def forget(directory):
    """Let the next command load the flow's files anew, and know no other checkpoints, as a process of its own would."""
    for name, module in list(sys.modules.items()):
        if str(getattr(module, "__file__", None) or "").startswith(str(directory)):
            del sys.modules[name]
    decorators._checkpoints.clear()


def printed(kitaru, directory, block):
    """Return a console block with what its commands print."""
    told = []
    for line in block.splitlines():
        if line.startswith("$ kitaru "):
            forget(directory)
            ended = kitaru(*line.removeprefix("$ kitaru ").split())
            told.append(f"{line}\n{ended.out}{ended.err}")
    return "".join(told)


@pytest.mark.parametrize("case", CASES, ids=[case.partition("\n")[0] for case in CASES])
def test_case(kitaru, directory, case):
    assert kitaru("init").code == 0
    write(directory, BLOCK.search(INTRO)[2])
    assert kitaru("run", "report.py", "-q").code == 3
    for language, block in BLOCK.findall(case):
        if language == "python":
            write(directory, block)
        elif language == "diff":
            change(directory, block)
        else:
            found = printed(kitaru, directory, block)
            if os.environ.get("KITARU_GOLDEN"):
                rewrite(case, block, found)
            else:
                assert found == block
    forget(directory)


def rewrite(case, was, now):
    text = PAGE.read_text("utf-8")
    at = text.index(case.partition("\n")[0] + "\n")
    place = text.index(f"```console\n{was}```", at)
    PAGE.write_text(text[:place] + f"```console\n{now}```" + text[place + len(f"```console\n{was}```") :], "utf-8")
