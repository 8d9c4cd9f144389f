"""What modules and classes are called, however Python came to load them."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import pytest

import kitaru.errors
from kitaru.runtime.names import ClassNames, alias_main, file_module, import_base, module_name, relative


@pytest.fixture
def main_at(monkeypatch):
    """Let `__main__` be a module with this file."""

    def put(file: Path | None) -> ModuleType:
        module = ModuleType("__main__")
        if file is not None:
            module.__file__ = str(file)
        monkeypatch.setitem(sys.modules, "__main__", module)
        return module

    return put


def write(root: Path, *files: str) -> None:
    for file in files:
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).write_text("")


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("docs/examples/agent.py", "docs.examples.agent"),
        ("agent.py", "agent"),
        ("my-flows/research agent.py", "my-flows.research agent"),
        ("src/app/deep/flows.py", "app.deep.flows"),
        ("src/app/__init__.py", "app"),
        ("src/app/__main__.py", "app.__main__"),
    ],
)
def test_a_file_has_its_importable_name(tmp_path, file, name):
    write(tmp_path, file, "src/app/__init__.py", "src/app/deep/__init__.py")
    assert file_module(tmp_path / file, tmp_path) == name


def test_a_file_outside_of_the_project_has_its_own_name(tmp_path):
    write(tmp_path, "elsewhere/agent.py")
    assert file_module(tmp_path / "elsewhere/agent.py", tmp_path / "project") == "agent"


def test_a_package_is_imported_from_above_it(tmp_path):
    write(tmp_path, "src/app/__init__.py", "src/app/flows.py", "script.py")
    assert import_base(tmp_path / "src/app/flows.py") == tmp_path / "src"
    assert import_base(tmp_path / "script.py") == tmp_path


def test_relative_sees_through_a_linked_root_and_not_past_it(tmp_path):
    write(tmp_path, "real/a.py", "really/b.py")
    (tmp_path / "link").symlink_to("real")
    assert relative(tmp_path / "real/a.py", tmp_path / "link") == "a.py"
    assert relative(tmp_path / "real", tmp_path / "real") == "."
    assert relative(tmp_path / "really/b.py", tmp_path / "real") is None


def test_an_imported_module_keeps_its_name(tmp_path):
    assert module_name("json", tmp_path) == "json"
    assert module_name(kitaru.errors, tmp_path) == "kitaru.errors"
    assert module_name(kitaru.errors.KitaruError, tmp_path) == "kitaru.errors"


def test_main_has_the_name_of_its_file_or_its_own(tmp_path, main_at):
    write(tmp_path, "docs/agent.py")
    main_at(tmp_path / "docs/agent.py")
    assert module_name("__main__", tmp_path) == "docs.agent"
    main_at(None)
    assert module_name("__main__", tmp_path) == "__main__"


def test_alias_main_leads_to_the_running_script(tmp_path, main_at, monkeypatch):
    write(tmp_path, "flows/aliased.py")
    monkeypatch.delitem(sys.modules, "flows.aliased", raising=False)
    main = main_at(tmp_path / "flows/aliased.py")
    alias_main(tmp_path)
    assert sys.modules.pop("flows.aliased") is main


def test_alias_main_takes_no_other_modules_name(tmp_path, main_at):
    import json

    write(tmp_path, "json.py")
    main_at(tmp_path / "json.py")
    alias_main(tmp_path)
    assert sys.modules["json"] is json


@dataclass
class Plan:
    """A class at the top of a module."""

    class Step:
        """A class inside it."""


def test_class_names_go_there_and_back(tmp_path):
    names = ClassNames(tmp_path)
    for cls in (Plan, Plan.Step):
        assert names.class_of(names.name_of(cls)) is cls


def test_classes_of_main_are_found_under_its_importable_name(tmp_path, main_at):
    write(tmp_path, "agent_main.py")
    main = main_at(tmp_path / "agent_main.py")
    main.Plan = type("Plan", (), {"__module__": "__main__", "__qualname__": "Plan"})
    names = ClassNames(tmp_path)
    assert names.name_of(main.Plan) == "agent_main:Plan"
    assert names.class_of("agent_main:Plan") is main.Plan


@pytest.mark.parametrize(
    "name",
    [
        "colorsys:ONE_THIRD",
        "no_such_module:X",
        "json",
        "json:",
        "json:loads",
        "json:JSONDecoder.decode",
        "a:f.<locals>.X",
    ],
)
def test_names_that_lead_to_no_class(tmp_path, name):
    assert ClassNames(tmp_path).class_of(name) is None


def test_looking_for_a_class_imports_nothing(tmp_path, monkeypatch):
    monkeypatch.delitem(sys.modules, "colorsys", raising=False)
    module = ModuleType("lazy_one")
    module.__getattr__ = lambda _: pytest.fail("a module's __getattr__ was called")
    monkeypatch.setitem(sys.modules, "lazy_one", module)
    names = ClassNames(tmp_path)
    assert names.class_of("colorsys:X") is None
    assert "colorsys" not in sys.modules
    assert names.class_of("lazy_one:X") is None


def test_a_script_names_its_classes_as_an_import_of_it_would(tmp_path):
    (tmp_path / "flows").mkdir()
    (tmp_path / "flows/agent.py").write_text(
        "from pathlib import Path\n"
        "from kitaru.runtime.names import ClassNames, alias_main\n"
        "class Plan: pass\n"
        "root = Path(__file__).parents[1]\n"
        "alias_main(root)\n"
        "import sys\n"
        "assert sys.modules['flows.agent'].Plan is Plan\n"
        "print(ClassNames(root).name_of(Plan))\n"
    )
    env = {"PYTHONPATH": str(Path(kitaru.errors.__file__).parents[1])}
    done = subprocess.run([sys.executable, "flows/agent.py"], cwd=tmp_path, env=env, capture_output=True, check=True)
    assert done.stdout.decode().strip() == "flows.agent:Plan"
