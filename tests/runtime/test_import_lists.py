"""What files import, kept: the same as parsing finds, and found without it."""

from __future__ import annotations

import pytest

from kitaru.runtime import derived, import_lists
from kitaru.runtime.derived import Derived, key_of
from kitaru.runtime.entry import Entry
from kitaru.runtime.import_lists import ImportLists
from kitaru.runtime.imports import imports_of
from kitaru.runtime.sources import external_imports, snapshot

SOURCES = [
    b"",
    b"import a.b, c\nfrom . import d\nfrom ..e import f as g, h\n",
    b"def f():\n    import late\n    return import_module(f'tools.{late}')\n",
    "name = 'Grüße'\nfrom größe import *\n".encode(),
    b"def f(:\n",
    b"\0",
]


@pytest.fixture
def parsed(monkeypatch):
    """Return the sources that were parsed."""
    found = []
    monkeypatch.setattr(import_lists, "imports_of", lambda source: found.append(source) or imports_of(source))
    return found


def test_each_is_parsed_once_and_found_whole(tmp_path, parsed):
    for _ in range(2):
        lists = ImportLists(Derived(tmp_path))
        assert [lists.of(source) for source in SOURCES * 2] == [imports_of(source) for source in SOURCES * 2]
    assert parsed == SOURCES


@pytest.mark.parametrize("bad", [b"", b"[", b"[1]", b"[[1, 2]]", b"null", b"[[0, 1, [], 1]]"])
def test_what_is_no_list_is_parsed_though_its_digest_is_right(tmp_path, parsed, bad):
    ImportLists(Derived(tmp_path)).of(SOURCES[1])
    (entry,) = (tmp_path / "code").iterdir()
    entry.write_bytes(derived._FORM + derived._digest(entry.name, bad) + bad)
    assert ImportLists(Derived(tmp_path)).of(SOURCES[1]) == imports_of(SOURCES[1])
    assert len(parsed) == 2


def test_other_rules_have_lists_of_their_own(tmp_path, parsed, monkeypatch):
    ImportLists(Derived(tmp_path)).of(SOURCES[1])
    assert (tmp_path / "code" / key_of(SOURCES[1], import_lists._rules())).exists()
    monkeypatch.setattr(import_lists, "_rules", lambda: "those of another release")
    ImportLists(Derived(tmp_path)).of(SOURCES[1])
    monkeypatch.setattr(import_lists, "_rules", lambda: "")  # which cannot be told
    ImportLists(Derived(tmp_path)).of(SOURCES[1])
    assert len(parsed) == 3
    assert len(list((tmp_path / "code").iterdir())) == 2


def test_a_snapshot_is_the_same_with_them(tmp_path, parsed):
    files = {"agent.py": b"import part.one, json, yaml\n", "part/__init__.py": b"", "part/one.py": b"import late\n"}
    files["late.py"] = b"import requests\n"
    root = tmp_path / "project"
    for path, data in {**files, "other.py": b"import never\n"}.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(data)
    entry = Entry("agent", "agent", "agent.py", (".",))
    for _ in range(2):
        lists = ImportLists(Derived(tmp_path / "cache"))
        assert snapshot(entry, root, (), lists.of) == files
        assert external_imports(files, entry.path, lists.of) == {"yaml", "requests"}
    assert sorted(parsed) == sorted(files.values())
