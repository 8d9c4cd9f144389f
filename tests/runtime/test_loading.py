"""Importing a flow's code: from a target, from the working tree, from a recorded snapshot; and failing to."""

from __future__ import annotations

import os
import subprocess
import sys
import traceback
from pathlib import Path

import pytest

import kitaru.errors
from kitaru.errors import CodeUnloadable, FlowNotFound
from kitaru.runtime.entry import Entry
from kitaru.runtime.loading import (
    LoadedFlow,
    Target,
    during_import,
    load_entry,
    load_target,
    materialize,
    parse_target,
)
from kitaru.runtime.sources import snapshot

FLOW = "from kitaru.runtime.decorators import flow\n@flow\ndef agent() -> object:\n    return {}\n"


pytestmark = pytest.mark.usefixtures("clean_imports")


@pytest.fixture
def project(tmp_path):
    root = tmp_path / "project"
    root.mkdir()
    return root


def write(root: Path, files: dict[str, str]) -> None:
    for file, text in files.items():
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).write_text(text)


def recorded(loaded: LoadedFlow, root: Path) -> dict[str, bytes]:
    return snapshot(loaded.entry, root, loaded.loaded_files)


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("docs/agent.py:agent", Target("docs/agent.py", None, "agent")),
        ("docs/agent.py", Target("docs/agent.py", None, None)),
        ("docs:x/agent.py", Target("docs:x/agent.py", None, None)),
        ("app.flows:agent", Target(None, "app.flows", "agent")),
        ("app.flows", Target(None, "app.flows", None)),
        ("a.py:Group.agent", Target("a.py", None, "Group.agent")),
    ],
)
def test_targets_are_parsed(text, target):
    assert parse_target(text) == target
    assert str(target) == text


@pytest.mark.parametrize("text", ["", ":", ":agent", "agent.py:"])
def test_what_is_no_target_is_refused(text):
    with pytest.raises(FlowNotFound):
        parse_target(text)


def test_a_file_finds_its_siblings_and_the_projects_modules(project):
    write(
        project,
        {
            "docs/agent.py": "import sibling, shared\n" + FLOW.format("sibling.X + shared.X"),
            "docs/sibling.py": "X = 1",
            "shared.py": "X = 2",
        },
    )
    loaded = load_target("agent.py:agent", project, project / "docs")
    assert loaded.flow.fn() == 3
    assert loaded.entry == Entry("docs.agent", "agent", "docs/agent.py", ("docs", "."))
    assert loaded.loaded_files == ("docs/agent.py", "docs/sibling.py", "shared.py")
    assert sys.modules["docs.agent"].agent is loaded.flow


def test_the_main_block_does_not_run(project):
    write(project, {"agent.py": FLOW.format(1) + "if __name__ == '__main__':\n    raise SystemExit(9)\n"})
    assert load_target("agent.py", project, project).flow.fn() == 1


def test_a_file_in_a_package_is_imported_as_part_of_it(project):
    write(
        project,
        {
            "src/app/__init__.py": "",
            "src/app/flows.py": "from .steps import X\n" + FLOW.format("X"),
            "src/app/steps.py": "X = 5",
        },
    )
    loaded = load_target("src/app/flows.py:agent", project, project)
    assert loaded.flow.fn() == 5
    assert loaded.entry.module == "app.flows"
    assert loaded.entry.path[0] == "src"


def test_a_module_is_imported_from_where_the_user_stands(project):
    write(project, {"work/app/__init__.py": "", "work/app/flows.py": FLOW.format(6)})
    loaded = load_target("app.flows:agent", project, project / "work")
    assert (loaded.entry.module, loaded.entry.file, loaded.flow.fn()) == ("app.flows", "work/app/flows.py", 6)


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("agnet.py:agent", r"no file agnet\.py"),
        ("notes.txt", "no module named notes"),
        ("./notes.txt", "not a Python file"),
        ("two.py", "several flows"),
        ("two.py:three", "no flow named 'three'"),
        ("none.py", "has no flow"),
        ("../outside.py", "outside of the project"),
        ("no.such.module:agent", "no module named no"),
        ("app..flows:agent", "is no module"),
    ],
)
def test_a_flow_that_is_not_there(project, target, said):
    second = "@flow\ndef other(): pass\n"
    write(project, {"agent.py": "", "notes.txt": "", "two.py": FLOW.format(1) + second, "none.py": "x = 1"})
    write(project.parent, {"outside.py": ""})
    before = list(sys.path), set(sys.modules)
    with pytest.raises(FlowNotFound, match=said) as caught:
        load_target(target, project, project)
    assert caught.value.hint
    assert sys.path == before[0]
    assert not {"two", "none", "outside"} & set(sys.modules)


def test_flows_there_are_listed(project):
    write(project, {"two.py": FLOW.format(1) + "@flow\ndef other(): pass\n"})
    with pytest.raises(FlowNotFound) as caught:
        load_target("two.py:three", project, project)
    assert caught.value.hint == "its flows are agent, other"


def test_an_imported_flow_is_not_the_files_own(project):
    write(
        project,
        {"lib.py": FLOW.format(1), "agent.py": "from lib import agent\n" + FLOW.replace("agent", "mine").format(2)},
    )
    assert load_target("agent.py", project, project).flow.name == "mine"


@pytest.mark.parametrize(
    ("source", "said", "cause"),
    [
        ("x = 1\ndef f(:\n", r"agent\.py:2: SyntaxError: invalid syntax", SyntaxError),
        ("import no_such_thing_here\n", r"agent\.py:1: ModuleNotFoundError: No module named 'no_such", ImportError),
        ("\n\n1 / 0\n", r"agent\.py:3: ZeroDivisionError: division by zero", ZeroDivisionError),
        ("import sys\nsys.exit(3)\n", r"agent\.py:2: SystemExit: 3", SystemExit),
        ("import helper\n", r"helper\.py:2: ValueError: two lines", ValueError),
        ("import json\njson.loads('{')\n", r"agent\.py:2: JSONDecodeError", ValueError),
    ],
)
def test_a_failing_import_says_where_and_leaves_all_as_it_was(project, source, said, cause):
    write(
        project,
        {
            "agent.py": source + FLOW.format(1),
            "helper.py": "import fine\nraise ValueError('two\\nlines')",
            "fine.py": "",
        },
    )
    before = list(sys.path), list(sys.meta_path)
    with pytest.raises(CodeUnloadable, match=said) as caught:
        load_target("agent.py:agent", project, project)
    assert isinstance(caught.value.__cause__, cause)
    assert (sys.path, sys.meta_path) == before
    assert not {"agent", "helper", "fine"} & set(sys.modules)
    assert not during_import()


def test_ctrl_c_while_importing_stays_ctrl_c(project):
    write(project, {"agent.py": "raise KeyboardInterrupt"})
    with pytest.raises(KeyboardInterrupt):
        load_target("agent.py", project, project)
    assert "agent" not in sys.modules


def test_code_can_tell_that_it_is_being_imported(project):
    write(
        project,
        {"agent.py": "from kitaru.runtime.loading import during_import\nX = during_import()\n" + FLOW.format("X")},
    )
    assert load_target("agent.py", project, project).flow.fn() is True
    assert during_import() is False


def test_a_script_named_like_a_loaded_module_is_refused(project):
    import json

    write(project, {"json.py": FLOW.format(1)})
    with pytest.raises(CodeUnloadable, match="cannot be loaded as json"):
        load_target("json.py", project, project)
    assert sys.modules["json"] is json


def test_the_same_file_is_imported_once_and_again_when_it_or_its_imports_change(project):
    write(project, {"agent.py": "import helper\n" + FLOW.format("helper.X"), "helper.py": "X = 1"})
    first = load_target("agent.py", project, project)
    again = load_target("agent.py", project, project)
    assert again.flow is first.flow
    assert again.loaded_files == first.loaded_files
    (project / "helper.py").write_text("X = 22")
    os.utime(project / "helper.py", ns=(1, 1))
    assert load_entry(first.entry, project).flow.fn() == 22


def test_two_projects_do_not_see_each_others_modules(project, tmp_path):
    other = tmp_path / "other"
    for root, x in ((project, 1), (other, 2)):
        write(root, {"agent.py": "import helper\n" + FLOW.format("helper.X"), "helper.py": f"X = {x}"})
    assert load_target("agent.py", project, project).flow.fn() == 1
    assert load_target("agent.py", other, other).flow.fn() == 2
    assert str(project) not in sys.path


def test_an_entry_is_loaded_from_the_working_tree(project):
    write(project, {"src/agent.py": "import helper\n" + FLOW.format("helper.X"), "lib/helper.py": "X = 7"})
    entry = Entry("agent", "agent", "src/agent.py", ("src", "lib"))
    assert load_entry(entry, project).flow.fn() == 7
    assert sys.modules["agent"].__file__ == str(project / "src/agent.py")


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        (Entry("gone", "agent", "gone.py", (".",)), "gone.py is not in the project"),
        (Entry("agent", "older", "agent.py", (".",)), "no flow older any more"),
        (Entry("agent", "f.<locals>.agent", "agent.py", (".",)), "defined inside a function"),
        (Entry("__main__", "no_such_flow", None, ()), "defined in a notebook or REPL"),
    ],
)
def test_an_entry_whose_flow_is_gone(project, entry, said):
    write(project, {"agent.py": FLOW.format(1)})
    with pytest.raises(CodeUnloadable, match=said):
        load_entry(entry, project)
    assert "agent" not in sys.modules


def test_a_flow_under_another_name_is_found_by_its_function(project):
    write(
        project,
        {"agent.py": "from kitaru.runtime.decorators import flow\ndef body():\n    return 4\nagent = flow(body)\n"},
    )
    loaded = load_target("agent.py:agent", project, project)
    assert loaded.entry.qualname == "body"
    assert load_entry(loaded.entry, project).flow is loaded.flow


def test_recorded_files_shadow_the_projects_own(project, tmp_path):
    write(
        project,
        {
            "agent.py": "import helper\nfrom pkg import part\nfrom space.deep import leaf\n"
            + FLOW.format("(helper.X, part.X, leaf.X)"),
            "helper.py": "X = 1",
            "pkg/__init__.py": "",
            "pkg/part.py": "X = 1",
            "space/deep/leaf.py": "X = 1",
        },
    )
    live = load_target("agent.py", project, project)
    files = recorded(live, project)
    write(project, {"helper.py": "X = 22", "pkg/part.py": "X = 22", "space/deep/leaf.py": "X = 22"})
    old = load_entry(live.entry, project, files, tmp_path / "recorded")
    assert old.flow.fn() == (1, 1, 1)
    assert load_entry(live.entry, project).flow.fn() == (22, 22, 22)
    assert str(tmp_path / "recorded") not in sys.path


def test_recorded_code_sees_its_data_files_and_tracebacks_show_its_lines(project, tmp_path):
    source = "from pathlib import Path\nHERE = Path(__file__).parent\n" + FLOW.format("1 / 0  # as recorded")
    write(project, {"docs/agent.py": source, "docs/prompt.txt": "hello"})
    live = load_target("docs/agent.py", project, project)
    files = recorded(live, project)
    (project / "docs/agent.py").write_text("# changed\n" * 9)
    old = load_entry(live.entry, project, files, tmp_path / "recorded")
    assert (sys.modules["docs.agent"].HERE / "prompt.txt").read_text() == "hello"
    with pytest.raises(ZeroDivisionError) as caught:
        old.flow.fn()
    assert traceback.extract_tb(caught.value.__traceback__)[-1].line == "return 1 / 0  # as recorded"


def test_recorded_code_works_where_the_project_is_not(project, tmp_path):
    write(
        project,
        {
            "src/app/__init__.py": "",
            "src/app/flows.py": "from . import x\n" + FLOW.format("x.X"),
            "src/app/x.py": "X = 3",
        },
    )
    live = load_target("src/app/flows.py", project, project)
    files = recorded(live, project)
    assert load_entry(live.entry, tmp_path / "empty", files, tmp_path / "recorded").flow.fn() == 3


def test_recorded_code_that_fails_puts_the_projects_modules_back(project, tmp_path):
    write(project, {"agent.py": "import helper\n" + FLOW.format("helper.X"), "helper.py": "X = 1"})
    live = load_target("agent.py", project, project)
    modules = sys.modules["agent"], sys.modules["helper"]
    before = list(sys.path), list(sys.meta_path)
    files = {**recorded(live, project), "helper.py": b"\nraise ValueError('old')"}
    with pytest.raises(CodeUnloadable, match=r"^helper\.py:2: ValueError: old"):
        load_entry(live.entry, project, files, tmp_path / "recorded")
    assert (sys.modules["agent"], sys.modules["helper"]) == modules
    assert (sys.path, sys.meta_path) == before
    assert load_entry(live.entry, project).flow is live.flow


@pytest.mark.parametrize("path", ["/tmp/x.py", "../x.py", "a/../../x.py", "a//x.py", "x.txt", "a\0.py", ".", ""])
def test_recorded_paths_that_lead_elsewhere_are_refused(tmp_path, path):
    with pytest.raises(CodeUnloadable):
        materialize({path: b""}, tmp_path / "recorded")
    assert [p.name for p in tmp_path.iterdir()] == ["recorded"]


def test_recorded_files_do_not_follow_links_nor_replace_files(tmp_path):
    (tmp_path / "recorded").mkdir()
    (tmp_path / "recorded/a").symlink_to(tmp_path)
    with pytest.raises(CodeUnloadable, match="not empty"):
        materialize({"a/x.py": b""}, tmp_path / "recorded")
    with pytest.raises(CodeUnloadable, match="cannot be laid out"):
        materialize({"x.py": b"", "x.py/y.py": b""}, tmp_path / "second")
    assert not (tmp_path / "x.py").exists()


def test_recorded_files_are_read_only(tmp_path):
    materialize({"a/x.py": b"1"}, tmp_path / "recorded")
    assert (tmp_path / "recorded/a/x.py").stat().st_mode & 0o222 == 0


def test_a_script_that_loads_its_own_flow_gets_the_running_one(project):
    write(
        project,
        {
            "agent.py": FLOW.format(1) + "if __name__ == '__main__':\n"
            "    from pathlib import Path\n"
            "    from kitaru.runtime.loading import load_entry\n"
            "    from kitaru.runtime.sources import entry_of\n"
            "    root = Path(__file__).parent\n"
            "    entry = entry_of(agent, root)\n"
            "    assert load_entry(entry, root).flow is agent\n"
            "    print(entry.module, entry.path)\n"
        },
    )
    env = {"PYTHONPATH": str(Path(kitaru.errors.__file__).parents[1])}
    done = subprocess.run([sys.executable, "agent.py"], cwd=project, env=env, capture_output=True, check=True)
    assert done.stdout.decode() == "agent ('.',)\n"


def test_what_one_recorded_version_imported_late_is_not_another_ones(project, tmp_path):
    body = FLOW.replace("return {}", "import late\n    return late.X").encode()
    entry = Entry("agent", "agent", "agent.py", (".",))
    for n in (1, 2):
        files = {"agent.py": body, "late.py": b"X = %d\n" % n}
        assert load_entry(entry, project, files, tmp_path / str(n)).flow.fn() == n
    write(project, {"agent.py": body.decode(), "late.py": "X = 3\n"})
    assert load_entry(entry, project).flow.fn() == 3
