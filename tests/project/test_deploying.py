"""Deploying: what works from its snapshot alone is recorded without running it, anything else is refused by name."""

from __future__ import annotations

import importlib.machinery
import os
import shutil
import sys
from pathlib import Path

import pytest

from kitaru.errors import CodeUnloadable, FlowNotFound, UsageError
from kitaru.project import Project
from kitaru.project.deploying import weights_of
from kitaru.store.routes import MAX_WEIGHT
from kitaru.testing import memory_project
from tests.runtime.bench import Scripts

AGENT = """
from kitaru import checkpoint, flow
import shared

@checkpoint
def plan(question: str) -> str:
    from late import shout
    return shout(f"{shared.WORD} {question}")

@flow
def agent(question: str = "hi") -> str:
    return plan(question)
"""


@pytest.fixture
def project(tmp_path):
    write(tmp_path, "agent.py", AGENT)
    write(tmp_path, "late.py", "def shout(text): return text.upper()\n")
    write(tmp_path, "shared.py", "WORD = 'one'\n")
    return memory_project(tmp_path)


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = set(sys.modules)
    yield
    for name in {"agent", "late", "shared"} & (sys.modules.keys() - before):
        sys.modules.pop(name)


def write(root, path, text):
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_text(text)


def destinations(entry):
    return [(d.n, d.weight) for d in entry.to]


def test_a_version_is_recorded_and_nothing_runs(project):
    deployed = project.deploy("agent.py:agent")
    assert (str(deployed), deployed.new, deployed.route, deployed.notes) == ("agent@v1", True, None, ())
    assert project.log() == []
    assert list(project.flow_version("agent@v1").files) == ["agent.py", "late.py", "shared.py"]
    again = project.deploy("agent.py:agent", route="stable", note="as before")
    assert (str(again), again.new) == ("agent@v1", False)
    assert [(e.note, destinations(e)) for e in project.route_log("agent", "stable")] == [("as before", [(1, 100)])]


def test_deployed_versions_run_without_the_projects_sources_also_from_a_copy(project, tmp_path):
    project.deploy("agent.py:agent", route="stable")
    write(tmp_path, "shared.py", "WORD = 'two'\n")
    project.deploy("agent.py:agent", route="stable", note="two")
    for name in ("agent.py", "late.py", "shared.py"):
        (tmp_path / name).unlink()
    said = {
        target: project.invoke(target, {"question": "hi"}, foreground=True).wait()
        for target in ("agent@v1", "agent@v2", "agent@stable", "agent@latest")
    }
    assert said == {"agent@v1": "ONE HI", "agent@v2": "TWO HI", "agent@stable": "TWO HI", "agent@latest": "TWO HI"}


def test_a_share_of_a_route_is_taken_from_the_others_in_proportion(project, tmp_path):
    with pytest.raises(UsageError, match="goes nowhere yet"):
        project.deploy("agent.py:agent", route="stable", weight=10)
    assert project.repo.flows() == []
    project.deploy("agent.py:agent", route="stable")
    for word, weight, shares in (
        ("two", 10, [(1, 90), (2, 10)]),
        ("three", 50, [(1, 45), (2, 5), (3, 50)]),
        ("three", 1, [(1, 891), (2, 99), (3, 10)]),
    ):
        write(tmp_path, "shared.py", f"WORD = '{word}'\n")
        entry = project.deploy("agent.py:agent", route="stable", weight=weight).route
        assert destinations(entry) == shares
        assert sum(w for n, w in shares if n == len(shares)) * 100 == weight * sum(w for _, w in shares)
    assert destinations(project.deploy("agent.py:agent", route="stable").route) == [(3, 100)]


@pytest.mark.parametrize(
    ("before", "percent", "weights"),
    [
        ([], 10, [100]),
        ([1], 10, [90, 10]),
        ([100], 1, [99, 1]),
        ([1, 1, 1], 10, [30, 30, 30, 10]),
        ([1, 2], 1, [33, 66, 1]),
        ([1_000_000, 999_999], 50, [500_000, 499_999, 1_000_000]),
        ([1_000_000, 1], 99, [10_101, 1, 1_000_000]),
    ],
)
def test_weights_are_exact_where_they_can_be_and_never_too_large(before, percent, weights):
    found = weights_of(before, percent)
    assert found == weights
    assert max(found) <= MAX_WEIGHT


def test_a_route_that_is_moved_while_a_flow_is_deployed_keeps_what_it_was_given(project, tmp_path, monkeypatch):
    project.deploy("agent.py:agent", route="stable")
    write(tmp_path, "shared.py", "WORD = 'two'\n")
    record = project.runner.versions.record

    def meanwhile(*what):
        project.set_route("agent", "stable", {"v1": 1}, note="of somebody else")
        return record(*what)

    monkeypatch.setattr(project.runner.versions, "record", meanwhile)
    entry = project.deploy("agent.py:agent", route="stable", weight=25).route
    assert (entry.n, destinations(entry)) == (3, [(1, 75), (2, 25)])


def test_what_is_edited_while_it_is_deployed_gets_no_route(project, tmp_path, monkeypatch):
    record = project.runner.versions.record

    def meanwhile(*what):
        write(tmp_path, "late.py", "def shout(text): return text\n")
        return record(*what)

    monkeypatch.setattr(project.runner.versions, "record", meanwhile)
    with pytest.raises(CodeUnloadable, match="agent was edited while it was deployed"):
        project.deploy("agent.py:agent", route="stable")
    assert project.routes() == []


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ({"route": "v3"}, "a route cannot be called 'v3'"),
        ({"route": "a b"}, "a route cannot be called 'a b'"),
        ({"route": "a" * 1001}, "a route cannot be called"),
        ({"note": "why"}, "a note is kept in the log of a route"),
        ({"weight": 10}, "a weight is of a route"),
        ({"route": "stable", "weight": 0}, "a weight of 0"),
        ({"route": "stable", "weight": 101}, "a weight of 101"),
        ({"route": "stable", "note": "x" * 5000}, "a note of 5000 characters"),
    ],
)
def test_what_a_route_cannot_be_is_refused_before_anything_is_recorded(project, how, told):
    with pytest.raises(UsageError, match=told) as caught:
        project.deploy("agent.py:agent", **how)
    assert caught.value.hint
    assert project.repo.flows() == []


def refused(project, target="agent.py:agent", error=CodeUnloadable):
    """Return why a deploy is refused, and the hint; nothing is recorded."""
    with pytest.raises(error) as caught:
        project.deploy(target, route="stable")
    assert project.repo.flows() == []
    assert project.routes() == []
    return caught.value.message, caught.value.hint


def test_what_a_function_imports_from_where_only_the_process_looks_is_refused_by_name(project, tmp_path, monkeypatch):
    write(tmp_path, "lib/helper.py", "")
    write(tmp_path, "agent.py", AGENT + "\ndef f():\n    sys.path.append('lib')\n    import helper\n")
    message, hint = refused(project)
    assert message.endswith("agent.py:16 imports helper, and lib/helper.py is not in it")
    assert hint.endswith("import lib.helper")


def test_a_projects_module_that_the_environment_leads_to_is_not_found_in_the_check(project, tmp_path, monkeypatch):
    only_there = "if 'alone' in repr(sys.orig_argv):\n    importlib.import_module(''.join(['hel', 'per']))"
    text = f"import importlib, sys\n{only_there}\n"
    write(tmp_path, "agent.py", text + AGENT)
    write(tmp_path, "helper.py", "")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    message, hint = refused(project)
    assert message.endswith("agent.py:3: ModuleNotFoundError: helper.py is not in the recorded version")
    assert hint.endswith("import helper")


def test_the_check_may_lie_inside_the_project(project, tmp_path, monkeypatch):
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    assert project.deploy("agent.py:agent").notes == ()
    write(tmp_path, "agent.py", AGENT + "\ndef f():\n    import helper\n")
    write(tmp_path, "tmp/helper.py", "")
    with pytest.raises(CodeUnloadable, match=r"tmp/helper\.py is not in it"):
        project.deploy("agent.py:agent")


NATIVE = importlib.machinery.EXTENSION_SUFFIXES[0]


@pytest.mark.parametrize(
    ("files", "line", "missing"),
    [
        ({"pack/__init__.py": "", "pack/a.py": "def f():\n    from . import b\n", "pack/b.py": ""}, "pack.a", ""),
        ({"pack/__init__.py": "", "pack/a.py": "def f():\n    from .deep.b import c\n"}, "pack.a", ""),
        ({"pack/a.py": "def f():\n    import pack.deep.b", "pack/deep/b.py": ""}, "pack.a", ""),
        ({"pack/a.py": "if TYPE_CHECKING:\n    import helper", "other/helper.py": ""}, "pack.a", "other/helper.py"),
        ({f"fast{NATIVE}": ""}, "fast", f"fast{NATIVE}"),
        ({f"other/fast{NATIVE}": ""}, "fast", f"other/fast{NATIVE}"),
        ({"pack/__init__.py": "fast = None", f"pack/fast{NATIVE}": ""}, "from pack import fast", f"pack/fast{NATIVE}"),
        ({"pack/__init__.py": "fast = None"}, "from pack import fast", ""),
        ({".hidden/helper.py": "", "venv/pyvenv.cfg": "", "venv/helper.py": ""}, "helper", ""),
        ({"other/json.py": "", "other/pytest.py": ""}, "json.decoder, pytest", ""),
    ],
)
def test_every_import_of_every_file_leads_to_the_snapshot_or_to_what_is_installed(
    project, tmp_path, files, line, missing
):
    for path, text in files.items():
        write(tmp_path, path, text)
    line = line if line.startswith("from") else f"import {line}"
    write(tmp_path, "agent.py", f"TYPE_CHECKING = False\n{AGENT}\ndef late():\n    {line}\n")
    if not missing:
        assert project.deploy("agent.py:agent").new
        return
    message, hint = refused(project)
    assert f"and {missing} is not in it" in message
    if missing.endswith(NATIVE):
        assert hint == f"a version holds Python files only: install what {missing} is of as a package"


def test_a_data_file_that_is_read_on_import_is_named(project, tmp_path):
    write(tmp_path, "prompts/system.txt", "be kind")
    text = "from pathlib import Path\nSAID = (Path(__file__).parent / 'prompts/system.txt').read_text()\n"
    write(tmp_path, "agent.py", text + AGENT)
    message, hint = refused(project)
    assert "agent.py:2: FileNotFoundError" in message
    assert str(tmp_path) not in message
    assert hint == "a version holds Python files only: keep what is in prompts/system.txt in one of them"


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("import os, sys; 'alone' in repr(sys.orig_argv) and os._exit(3)", "ended the process (status 3)"),
        ("import sys; 'alone' in repr(sys.orig_argv) and sys.exit('enough')", "SystemExit: enough"),
        ("import sys; 'alone' in repr(sys.orig_argv) and 1 / 0", "agent.py:1: ZeroDivisionError"),
    ],
)
def test_a_module_that_works_only_here_is_refused(project, tmp_path, line, told):
    write(tmp_path, "agent.py", f"{line}\n{AGENT}")
    assert told in refused(project)[0]


def test_what_the_module_starts_does_not_outlive_the_check(project, tmp_path):
    pid = tmp_path / "pid"
    text = f"""
import subprocess, sys
if "alone" in repr(sys.orig_argv):
    started = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    open({str(pid)!r}, "w").write(str(started.pid))
"""
    write(tmp_path, "agent.py", text + AGENT)
    project.deploy("agent.py:agent")
    state = _state_of(int(pid.read_text()))
    assert state in ("", "Z")


def _state_of(pid):
    """Return the state of a process, as the kernel has it, once it is one that does not run."""
    while True:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return ""
        if state == "Z":
            return state
        os.sched_yield()


def test_what_may_be_missing_is_told_and_no_reason_to_refuse(project, tmp_path):
    text = """
def f(name):
    import importlib, nowhere_installed
    importlib.import_module(name)
    try:
        import not_needed
    except ImportError:
        pass
"""
    write(tmp_path, "agent.py", AGENT + text)
    assert project.deploy("agent.py:agent").notes == (
        "agent.py:15 imports nowhere_installed, which is not installed here",
        "agent.py:16 imports by a computed name: what it leads to is not in the version",
    )


@pytest.mark.parametrize(
    ("target", "error"),
    [("agent.py:other", FlowNotFound), ("none.py:agent", FlowNotFound), ("broken.py:agent", CodeUnloadable)],
)
def test_a_target_that_is_none_is_refused_as_of_run(project, tmp_path, target, error):
    write(tmp_path, "broken.py", "def (")
    refused(project, target, error)


def test_a_flow_that_no_version_can_hold_is_refused(project):
    from kitaru import flow

    @flow
    def inner() -> None: ...

    message, hint = refused(project, inner, UsageError)
    assert "inner" in message
    assert hint


SCRIPT = """
from kitaru import flow

@flow
def agent(question: str = "hi") -> str:
    return question + "!"

{guard}
    deployed = agent.deploy(route="stable", note="from a script")
    print(deployed, deployed.new, deployed.route.note, deployed.version.by)
"""


def test_a_script_deploys_its_flow(tmp_path):
    scripts = Scripts(tmp_path)
    scripts.write("script.py", SCRIPT.format(guard='if __name__ == "__main__":'))
    user = scripts.project.services.user
    assert scripts.python("script.py").split("\n")[0] == f"agent@v1 True from a script {user}"
    shutil.move(tmp_path / "script.py", tmp_path / "script.txt")
    handle = Project.open(tmp_path).invoke("agent@stable", {"question": "you"}, foreground=True)
    assert handle.wait() == "you!"


def test_a_script_that_deploys_whenever_it_is_imported_is_told_so(tmp_path):
    scripts = Scripts(tmp_path)
    scripts.write("script.py", SCRIPT.format(guard="if True:"))
    told = scripts.python("script.py", code=1)
    assert "a flow was deployed while its file is being imported" in told
    assert 'put .deploy() under `if __name__ == "__main__":`' in told
    assert scripts.project.repo.flows() == []
