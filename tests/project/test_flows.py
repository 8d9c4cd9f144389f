"""What is told of versions that nobody vouches for, and of how runs ended."""

from __future__ import annotations

import io
import json

import pytest

from kitaru.cli.flow_page import version_json, version_page
from kitaru.cli.page import Page
from kitaru.cli.text import clean
from kitaru.errors import CodeUnloadable, Damaged, KitaruError, StoreError, UsageError
from kitaru.model.summary import RunSummary
from kitaru.project.flows import outcomes_of
from kitaru.store import layout
from kitaru.testing import memory_project

ENTRY = {"module": "a", "qualname": "agent", "file": "a.py", "path": ["."]}
FILES = {"a.py": b"def agent(x): ..."}


@pytest.fixture
def project(tmp_path):
    return memory_project(tmp_path)


def put(project, value, name="agent"):
    """Name a value as a version, as one that was pulled may be."""
    encoded = project.values.encode(value, frozenset(), "a version")
    project.repo.put_objects(encoded.objects)
    project.repo.add_version(name, id=encoded.id, digest=encoded.id, at=1, by="eve\x1b[31m")


DEEP: list = []
for _ in range(40):
    DEEP = [DEEP]


@pytest.mark.parametrize(
    "value",
    [
        {"entry": ENTRY, "files": FILES},
        {"entry": ENTRY, "files": {}},
        {"entry": ENTRY, "files": FILES, "inputs": 7, "python": {1: 2}, "distributions": [1], "git": "x"},
        {"entry": ENTRY, "files": FILES, "inputs": {"properties": {"x": 7, "\x1b]0;": {"$ref": "#/$defs/no"}}}},
        {"entry": ENTRY, "files": FILES, "inputs": {"properties": {3: {"default": DEEP}, "y": {"type": DEEP}}}},
        {"entry": ENTRY, "files": FILES, "inputs": {"properties": {"x": {}}, "required": "x"}, "git": {"commit": DEEP}},
        {"entry": ENTRY, "files": FILES, "distributions": {b"\x00": {1}}, "python": "\x1b[2J"},
        {"entry": ENTRY, "files": {"a.py": b"def agent(\x1b", "\x1b[2J.py": b""}},
        {"entry": {**ENTRY, "qualname": "\x1b[2J"}, "files": FILES},
    ],
)
def test_a_version_is_shown_whatever_it_says(project, value):
    put(project, value)
    version = project.flow_version("agent")
    stream = io.StringIO()
    page = Page(stream)
    version_page(page, project, version, 0)
    page.write()
    text = stream.getvalue()
    assert clean(text, lines=True) == text
    assert json.loads(json.dumps(version_json(project, version), allow_nan=False))["flow"] == "agent"


@pytest.mark.parametrize(
    "value",
    [
        7,
        {},
        {"entry": ENTRY},
        {"entry": ENTRY, "files": {"a.py": "text"}},
        {"entry": ENTRY, "files": {1: b""}},
        {"entry": {}, "files": FILES},
        {"entry": {**ENTRY, "file": "../a.py"}, "files": FILES},
        {"entry": {**ENTRY, "path": ["/etc"]}, "files": FILES},
    ],
)
def test_what_is_no_version_is_an_error(project, value):
    put(project, value)
    with pytest.raises((Damaged, CodeUnloadable)):
        project.flow_version("agent")


@pytest.mark.parametrize(
    "path", ["../a.py", "/tmp/a.py", "a\\..\\b.py", ".bashrc", "a/../../b.py", "hooks/post", "a\0.py"]
)
def test_nothing_is_exported_where_one_path_leads_elsewhere(project, tmp_path, path):
    put(project, {"entry": ENTRY, "files": {"a.py": b"", path: b"evil"}})
    with pytest.raises(CodeUnloadable, match="the recorded version names"):
        project.export("agent@v1", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_export_of_what_holds_no_file_says_so(project, tmp_path):
    put(project, {"entry": {**ENTRY, "file": None}, "files": {}})
    with pytest.raises(CodeUnloadable, match="agent@v1 holds no source file"):
        project.export("agent@v1", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_export_does_not_follow_a_linked_folder_out_of_its_directory(project, tmp_path):
    put(project, {"entry": ENTRY, "files": {"lib/a.py": b"evil"}})
    (tmp_path / "home").mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "out/lib").symlink_to(tmp_path / "home")
    with pytest.raises(UsageError, match="by a link"):
        project.export("agent@v1", tmp_path / "out", force=True)
    assert list((tmp_path / "home").iterdir()) == []


def test_an_export_into_a_link_that_is_the_directory_itself_is_meant(project, tmp_path):
    put(project, {"entry": ENTRY, "files": FILES})
    (tmp_path / "home").mkdir()
    (tmp_path / "out").symlink_to(tmp_path / "home")
    assert [path.read_bytes() for path in project.export("agent@v1", tmp_path / "out")] == list(FILES.values())


def test_a_file_in_place_of_a_folder_is_an_error_of_the_disk(project, tmp_path):
    put(project, {"entry": ENTRY, "files": {"lib/a.py": b"x"}})
    (tmp_path / "out").mkdir()
    (tmp_path / "out/lib").write_text("mine")
    with pytest.raises(StoreError, match="cannot be written") as refused:
        project.export("agent@v1", tmp_path / "out", force=True)
    assert refused.value.hint == "write to another directory"
    assert (tmp_path / "out/lib").read_text() == "mine"


def test_a_damaged_version_is_told_of_and_the_others_are_listed(project):
    put(project, {"entry": ENTRY, "files": FILES})
    put(project, 7, "broken")
    assert [line.flow for line in project.flows()] == ["agent", "broken"]
    with pytest.raises(KitaruError):
        project.flow_version("broken")


def test_a_flow_whose_name_is_damaged_is_left_out_and_the_others_are_listed(project):
    put(project, {"entry": ENTRY, "files": FILES})
    assert project.repo.blobs.create(layout.flow_key("broken", 1), b"{")
    assert [line.flow for line in project.flows()] == ["agent"]
    assert list(project.damaged_flows) == ["broken"]


def run(status, took=0, cost=0):
    return RunSummary("r", "f", 1, status, 100, 100 + took if took else 0, calls=2, nano_usd=cost, model_calls=1)


def test_outcomes_are_added_up():
    runs = [run("completed", took, 10) for took in (9, 1, 5, 7, 3)] + [run("failed", 99, 1), run("waiting")]
    found = outcomes_of(runs)
    assert (found.runs, found.by_status) == (7, {"completed": 5, "failed": 1, "waiting": 1})
    assert found.took_us == [1, 3, 5, 7, 9]
    assert (found.calls, found.spent.nano_usd, found.spent.calls) == (14, 51, 7)


@pytest.mark.parametrize(
    ("took", "median", "most"),
    [([], None, None), ([4], 4, 4), ([1, 2], 1, 2), ([*range(1, 11)], 5, 9), ([1, 2, 3], 2, 3)],
)
def test_how_long_runs_took_is_the_nearest_rank(took, median, most):
    found = outcomes_of([run("completed", us) for us in reversed(took)])
    assert (found.took(50), found.took(90)) == (median, most)
