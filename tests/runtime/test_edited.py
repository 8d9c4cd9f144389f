"""Files edited between two executions: in a process that lives on, and what is told of the change."""

from __future__ import annotations

import pytest

FLOWS = """
from helper import helped
from kitaru import checkpoint, flow

@checkpoint
def one(x: int) -> int:
    return helped(x)

@flow
def body(x: int = 1) -> int:
    return one(x) + EXTRA
"""

LONG_LIVED = """
from pathlib import Path
from kitaru import Project

project = Project.open()
told = []
watch = lambda event: told.append((event.kind, event.data))
first = project.run("flows.py:body", {}, foreground=True)
print(first.outcome.status)
Path("helper.py").write_text("def helped(x): return x * 100\\n")
second = project.resume(first.exec_id, foreground=True, observer=watch)
print(second.outcome.status, second.outcome.value)
print([data for kind, data in told if kind == "code"])
Path("helper.py").write_text("def helped(x): return x * 7\\n")
third = project.replay(first.exec_id, from_="one", foreground=True)
print(third.outcome.value)
print(project.replay(first.exec_id, from_="one", as_recorded=True, foreground=True).outcome.value)
print(project.replay(first.exec_id, from_="one", foreground=True).outcome.value)
"""


def test_a_process_that_lives_on_sees_edited_files(scripts):
    scripts.write("flows.py", FLOWS + "EXTRA = 1\n")
    scripts.write("helper.py", "def helped(x): return x / 0\n")
    said = scripts.python("-c", LONG_LIVED).splitlines()
    assert said == [
        "failed",
        "completed 101",
        "[{'changes': [['helper.py', 'changed']], 'recorded': 1, 'executes': 'working-tree'}]",
        "8",
        "101",
        "8",
    ]
    versions = scripts.project.repo.versions("body")
    assert [v.n for v in versions] == [1, 2, 3]


def test_the_recorded_code_is_used_where_it_is_asked_for(scripts):
    scripts.write("flows.py", FLOWS + "EXTRA = 1\n")
    scripts.write("helper.py", "def helped(x): return x\n")
    scripts.do("project.run('flows.py:body', {'x': 5}, foreground=True)")
    (scripts.root / "helper.py").unlink()
    (scripts.root / "flows.py").write_text("broken (")
    assert "CodeUnloadable" in scripts.do("project.replay('@', from_='one', foreground=True)", code=1)
    said = scripts.do("project.replay('@', from_='one', as_recorded=True, foreground=True)")
    assert said.startswith("completed | 6 ")
    (scripts.root / "flows.py").unlink()
    said = scripts.do("project.replay('@', from_='one', foreground=True)", code=1)
    assert "CodeUnloadable: flows.py is not in the project" in said
    said = scripts.do("project.replay('@', from_='one', as_recorded=True, foreground=True)")
    assert said.startswith("completed | 6 ")


def test_a_flow_file_moved_away_is_no_reason_to_execute_old_code(scripts):
    scripts.write("flows.py", FLOWS + "EXTRA = 1\n")
    scripts.write("helper.py", "def helped(x): return x / 0\n")
    scripts.do("project.run('flows.py:body', {}, foreground=True)")
    (scripts.root / "flows.py").rename(scripts.root / "moved.py")
    scripts.write("helper.py", "def helped(x): return x\n")
    said = scripts.do("project.resume('@', foreground=True)", code=1)
    assert "CodeUnloadable: flows.py is not in the project" in said
    assert str(scripts.project.state(scripts.project.find_run("@")).status) == "failed"


def test_a_branch_of_recorded_code_goes_on_with_it_until_told_otherwise(scripts):
    text = FLOWS.replace("+ EXTRA", "+ more()") + "@checkpoint\ndef more() -> int:\n    return 1 // {}\n"
    scripts.write("flows.py", text.format("0"))
    scripts.write("helper.py", "def helped(x): return x\n")
    assert scripts.do("project.run('flows.py:body', {}, foreground=True)").startswith("failed")
    assert scripts.do("project.replay('@', as_recorded=True, foreground=True)").startswith("failed")
    scripts.write("flows.py", text.format("1"))
    assert scripts.do("project.resume('@', foreground=True)").startswith("failed")
    assert scripts.do("project.resume('@', as_recorded=False, foreground=True)").startswith("completed | 2 ")


def test_that_recorded_code_is_executed_is_told_each_time(scripts):
    scripts.write("flows.py", FLOWS.replace("+ EXTRA", "+ 1 // 0"))
    scripts.write("helper.py", "def helped(x): return x\n")
    scripts.do("project.run('flows.py:body', {}, foreground=True)")
    scripts.write("watched.py", WATCHED)
    for as_recorded in ("True", "None"):
        said = scripts.python("watched.py", as_recorded)
        assert "[{'changes': [], 'recorded': 1, 'executes': 'recorded'}]" in said


FIELDS = """
import os
from dataclasses import dataclass
from pydantic import BaseModel
from kitaru import checkpoint, flow

{}

@checkpoint
def make() -> D:
    return D(a=1)

@checkpoint
def use(d: D, n: int) -> int:
    with open("ran", "a") as out:
        print(n, file=out)
    if os.environ.get("CRASH") == str(n):
        os._exit(9)
    return d.a + n

@flow
def body() -> int:
    d = make()
    return sum(use(d, n) for n in range(3))
"""


@pytest.mark.parametrize("head", ["@dataclass\nclass D:\n", "class D(BaseModel):\n"], ids=["dataclass", "model"])
def test_a_field_with_a_default_added_to_an_argument_is_no_drift(scripts, head):
    scripts.write("flows.py", FIELDS.format(head + "    a: int"))
    scripts.do("project.run('flows.py:body', {}, foreground=True)", code=9, CRASH="2")
    scripts.write("flows.py", FIELDS.format(head + "    a: int\n    b: str = 'dflt'"))
    assert scripts.do("project.resume('@', foreground=True)").startswith("completed | 6 ")
    assert scripts.lines("ran") == ["0", "1", "2", "2"]


WATCHED = """
import sys
from kitaru import Project

told = []
watch = lambda event: told.append((event.kind, event.data))
Project.open().resume("@", as_recorded=eval(sys.argv[1]), foreground=True, observer=watch)
print([data for kind, data in told if kind == "code"])
"""

DRIFTING = """
import os
from kitaru import checkpoint, flow

@checkpoint
def ask(prompt: str) -> str:
    return prompt.upper()

@checkpoint
def send(text: str) -> str:
    if os.environ.get("CRASH"):
        os._exit(9)
    return text

@flow
def body() -> str:
    return send(ask("{}"))
"""


def test_code_that_only_drifted_is_not_what_was_recorded(scripts):
    scripts.write("flows.py", DRIFTING.format("old"))
    scripts.do("project.run('flows.py:body', {}, foreground=True)", code=9, CRASH="1")
    scripts.write("flows.py", DRIFTING.format("new"))
    assert "Drift" in scripts.do("project.resume('@', foreground=True)")
    assert "Drift" in scripts.do("project.resume('@', foreground=True)")
    assert scripts.do("project.resume('@', as_recorded=True, foreground=True)").startswith("completed | 'OLD'")


def test_a_run_of_recorded_code_goes_on_with_it(scripts):
    text = FLOWS.replace("+ EXTRA", "+ more(one(2))") + "@checkpoint\ndef more(x: int) -> int:\n    return 1 // {}\n"
    scripts.write("flows.py", text.format("0"))
    scripts.write("helper.py", "def helped(x): return x\n")
    assert scripts.do("project.run('flows.py:body', {}, foreground=True)").startswith("failed")
    scripts.write("flows.py", text.format("1"))
    assert scripts.do("project.resume('@', as_recorded=True, foreground=True)").startswith("failed")
    assert scripts.do("project.resume('@', foreground=True)").startswith("failed")
    assert scripts.do("project.replay('@', from_='more', foreground=True)").startswith("completed | 2 ")
