"""Which files a flow needs, and what tells its versions apart."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from kitaru.errors import CodeUnloadable
from kitaru.runtime.decorators import flow
from kitaru.runtime.entry import Entry
from kitaru.runtime.environment import environment
from kitaru.runtime.sources import (
    MAX_FILE_BYTES,
    changed_files,
    entry_of,
    external_imports,
    fingerprint,
    project_source,
    snapshot,
    version_value,
)


def write(root: Path, files: dict[str, str]) -> None:
    for file, text in files.items():
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).write_text(text)


def closure(root: Path, files: dict[str, str], *path: str, also: tuple[str, ...] = ()) -> list[str]:
    write(root, files)
    return list(snapshot(Entry("flow", "f", "flow.py", path or (".",)), root, also))


def test_imports_are_followed_transitively_wherever_they_stand(tmp_path):
    found = closure(
        tmp_path,
        {
            "flow.py": "import a\ndef f():\n    from late import thing\n",
            "a.py": "import b",
            "b.py": "import a",
            "late.py": "try:\n    import c\nexcept ImportError: pass",
            "c.py": "",
            "unused.py": "",
        },
    )
    assert found == ["a.py", "b.py", "c.py", "flow.py", "late.py"]


@pytest.mark.parametrize(
    "text",
    [
        "class A:\n  def f(self):\n    async def g():\n      import a",
        "if x: pass\nelif y:\n  import a",
        "for x in y: pass\nelse:\n  import a",
        "try: pass\nexcept* E:\n  import a",
        "try: pass\nfinally:\n  import a",
        "with x:\n  while y:\n    import a as b",
        "match x:\n  case 1:\n    from a import *",
        "f = lambda: 0; import a",
    ],
)
def test_imports_are_found_in_every_kind_of_block(tmp_path, text):
    assert closure(tmp_path, {"flow.py": text, "a.py": ""}) == ["a.py", "flow.py"]


def test_packages_bring_their_parents_and_their_relative_imports(tmp_path):
    found = closure(
        tmp_path,
        {
            "flow.py": "from app.deep import tool",
            "app/__init__.py": "",
            "app/deep/__init__.py": "from . import near",
            "app/deep/near.py": "from ..up import x\nfrom .. import other",
            "app/deep/tool.py": "",
            "app/up.py": "",
            "app/other.py": "",
            "app/unused.py": "",
        },
    )
    assert found == [
        "app/__init__.py",
        "app/deep/__init__.py",
        "app/deep/near.py",
        "app/deep/tool.py",
        "app/other.py",
        "app/up.py",
        "flow.py",
    ]


def test_folders_without_init_are_packages_too(tmp_path):
    found = closure(tmp_path, {"flow.py": "import lib.deep.tool", "lib/deep/tool.py": "", "lib/deep/unused.py": ""})
    assert found == ["flow.py", "lib/deep/tool.py"]


def test_the_first_entry_of_the_path_wins(tmp_path):
    files = {"flow.py": "import helper", "x/helper.py": "", "helper.py": ""}
    assert closure(tmp_path, files, "x", ".") == ["flow.py", "x/helper.py"]


def test_a_flow_in_a_package_brings_the_packages_init(tmp_path):
    write(tmp_path, {"src/app/__init__.py": "import side", "src/app/flow.py": "", "src/side.py": ""})
    found = snapshot(Entry("app.flow", "f", "src/app/flow.py", ("src",)), tmp_path)
    assert list(found) == ["src/app/__init__.py", "src/app/flow.py", "src/side.py"]


def test_files_loaded_by_computed_imports_are_added(tmp_path):
    files = {"flow.py": "", "plugins/one.py": "import shared", "shared.py": ""}
    assert closure(tmp_path, files, also=("plugins/one.py",)) == ["flow.py", "plugins/one.py", "shared.py"]


@pytest.mark.parametrize("place", [".venv/lib/x.py", "env/lib/site-packages/x.py", ".kitaru/x.py", "../outside.py"])
def test_what_is_not_the_projects_own_is_left_out(tmp_path, place):
    root = tmp_path / "project"
    write(root, {"flow.py": "", ".venv/pyvenv.cfg": "", place: ""})
    assert project_source(root / place, root) is None
    assert closure(root, {}, also=(place,)) == ["flow.py"]


def test_kitaru_itself_and_the_standard_library_are_not_sources():
    import json

    import kitaru.errors

    repository = Path(kitaru.errors.__file__).parents[1]
    assert project_source(kitaru.errors.__file__, repository) is None
    assert project_source(json.__file__, Path("/")) is None


def test_a_file_that_does_not_parse_is_kept_as_it_is(tmp_path):
    assert closure(tmp_path, {"flow.py": "import broken", "broken.py": "def ("}) == ["broken.py", "flow.py"]


def test_an_odd_escape_in_a_source_warns_nobody(tmp_path):
    assert closure(tmp_path, {"flow.py": "import a\nx = '\\d'", "a.py": ""}) == ["a.py", "flow.py"]


def test_a_huge_file_is_refused_by_name(tmp_path):
    write(tmp_path, {"flow.py": "import table", "table.py": ""})
    with (tmp_path / "table.py").open("wb") as out:
        out.truncate(MAX_FILE_BYTES + 1)
    with pytest.raises(CodeUnloadable, match=r"table\.py has 4,194,305 bytes"):
        closure(tmp_path, {})


def test_an_edit_is_seen_though_time_and_size_stay(tmp_path):
    import os

    files = {"flow.py": "import aa", "aa.py": "", "bb.py": ""}
    assert closure(tmp_path, files) == ["aa.py", "flow.py"]
    before = (tmp_path / "flow.py").stat()
    (tmp_path / "flow.py").write_text("import bb")
    os.utime(tmp_path / "flow.py", ns=(before.st_atime_ns, before.st_mtime_ns))
    assert closure(tmp_path, {}) == ["bb.py", "flow.py"]


def test_external_imports_are_neither_the_projects_nor_pythons(tmp_path):
    write(
        tmp_path, {"flow.py": "import os, app.x, numpy.linalg\nfrom . import y\nfrom yaml import load", "app/x.py": ""}
    )
    files = snapshot(Entry("flow", "f", "flow.py", (".",)), tmp_path)
    assert external_imports(files, (".",)) == {"numpy", "yaml"}


@flow
def sample_flow(question: str) -> str:
    return question


def test_entry_of_a_flow_tells_its_file_and_the_path_inside_the_project(monkeypatch):
    root = Path(__file__).parents[1]
    monkeypatch.setattr(sys, "path", [str(root / "runtime"), "/elsewhere", str(root), str(root), *sys.path])
    entry = entry_of(sample_flow, root)
    assert (entry.qualname, entry.file) == ("sample_flow", "runtime/test_sources.py")
    assert entry.path[:2] == ("runtime", ".")
    assert entry.module == sample_flow.fn.__module__


def test_fingerprint_tells_code_python_and_distributions_apart():
    entry, files = Entry("flow", "f", "flow.py", (".",)), {"flow.py": b"1"}
    runs_on = {"python": "3.11.7", "distributions": {"numpy": "2.0"}}
    same = fingerprint(entry, dict(files), dict(runs_on))
    assert fingerprint(Entry("flow", "f", "flow.py", ("x", ".")), files, runs_on) == same
    for changed in (
        fingerprint(Entry("flow", "g", "flow.py", (".",)), files, runs_on),
        fingerprint(entry, {"flow.py": b"2"}, runs_on),
        fingerprint(entry, {**files, "a.py": b""}, runs_on),
        fingerprint(entry, files, {**runs_on, "python": "3.12.0"}),
        fingerprint(entry, files, {**runs_on, "distributions": {"numpy": "2.1"}}),
    ):
        assert changed != same


def test_version_value_holds_all_that_a_resume_needs():
    entry, files = Entry("flow", "f", "flow.py", (".",)), {"flow.py": b"1"}
    value = version_value(entry, files, environment([]), {"type": "object"}, None)
    assert value["entry"] == entry.to_json()
    assert value["files"] == files
    assert value["python"] == sys.version.split()[0]
    assert value["git"] is None


def test_changed_files_are_listed_with_how():
    recorded = {"a.py": b"1", "b.py": b"1", "c.py": b"1"}
    current = {"a.py": b"1", "b.py": b"2", "d.py": b"1"}
    assert changed_files(recorded, current) == [("b.py", "changed"), ("c.py", "removed"), ("d.py", "added")]
