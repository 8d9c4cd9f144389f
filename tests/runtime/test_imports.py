"""What a file imports, found by parsing it: statements, and calls that import by name."""

from __future__ import annotations

import pytest

from kitaru.runtime.entry import Entry
from kitaru.runtime.imports import EVERYTHING, computed_lines, imports_of, optional_lines
from kitaru.runtime.sources import snapshot


def found(source):
    return [(item.level, item.parts, item.names) for item in imports_of(source.encode())]


@pytest.mark.parametrize(
    ("call", "imported"),
    [
        ('import_module("tools.web")', (0, ("tools", "web"), ())),
        ('importlib.import_module("tools")', (0, ("tools",), ())),
        ('__import__("tools")', (0, ("tools",), ())),
        ('import_module(".web", __package__)', (1, ("web",), ())),
        ('import_module("tools" + ".web")', (0, ("tools", "web"), ())),
        ('import_module(f"tools.{name}")', (0, ("tools",), (EVERYTHING,))),
        ('import_module("tools." + name)', (0, ("tools",), (EVERYTHING,))),
        ('import_module("tools.%s" % name)', (0, ("tools",), (EVERYTHING,))),
        ('import_module("tools.{}".format(name))', (0, ("tools",), (EVERYTHING,))),
        ('import_module(f"tools.web_{name}")', (0, ("tools",), (EVERYTHING,))),
        ('import_module(f".{name}", __package__)', (1, (), (EVERYTHING,))),
    ],
)
def test_a_call_that_imports_by_name_is_read_as_far_as_the_name_stands_there(call, imported):
    assert found(f"def f(name):\n    return {call}\n") == [imported]
    assert computed_lines(f"def f(name):\n    return {call}\n".encode()) == []


@pytest.mark.parametrize(
    "call", ["import_module(name)", 'import_module(f"{name}.web")', "import_module(names[0])", "__import__(name())"]
)
def test_a_name_that_is_computed_as_a_whole_is_told_by_its_line(call):
    assert found(f"def f():\n    {call}") == []
    assert computed_lines(f"def f():\n    {call}".encode()) == [2]


def test_what_is_computed_while_a_file_is_imported_has_been_seen_by_then():
    assert computed_lines(b"import_module(name)") == []


@pytest.mark.parametrize("call", ["import_module()", "import_module('')", "other('tools')", "x.import_it('a')"])
def test_other_calls_import_nothing(call):
    assert found(call) == []


@pytest.mark.parametrize(
    "source",
    [
        "try:\n    import a\nexcept ImportError:\n    import b\n",
        "try:\n    import a\nexcept (KeyError, ModuleNotFoundError):\n    import b\n",
        "try:\n    import a\nexcept:\n    import b\n",
        "with contextlib.suppress(ImportError):\n    import a\nimport b\n",
        "if typing.TYPE_CHECKING:\n    import a\nelse:\n    import b\n",
    ],
)
def test_imports_that_may_fail_are_told_from_those_that_may_not(source):
    optional = optional_lines(source.encode())
    assert {item.parts: item.line in optional for item in imports_of(source.encode())} == {("a",): True, ("b",): False}


@pytest.mark.parametrize(
    "source", ["try:\n    import a\nexcept OSError: ...", "if x:\n    import a", "with x: import a"]
)
def test_others_may_not(source):
    assert not optional_lines(source.encode())


def test_a_package_of_which_any_module_may_be_imported_is_taken_whole(tmp_path):
    sources = {
        "flow.py": 'def f(name):\n    import importlib\n    importlib.import_module(f"tools.{name}")\n',
        "tools/__init__.py": "",
        "tools/web.py": "import late",
        "tools/deep/__init__.py": "from . import inner",
        "tools/deep/inner.py": "",
        "tools/data.txt": "",
        "late.py": "",
        "unused.py": "",
    }
    for path, text in sources.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    taken = snapshot(Entry("flow", "f", "flow.py", (".",)), tmp_path)
    assert taken.keys() == sources.keys() - {"unused.py", "tools/data.txt"}
