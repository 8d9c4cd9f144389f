"""Where a project is, and what makes a directory one."""

from __future__ import annotations

import os

import pytest

from kitaru import flow
from kitaru.errors import NotAProject, ProjectExists, StoreError, UnknownFormat
from kitaru.project import Project


def test_init_lays_down_a_project_that_opens(tmp_path):
    made = Project.init(tmp_path)
    assert made.root == tmp_path
    opened = Project.open(tmp_path)
    assert opened.root == tmp_path
    assert opened.log() == []
    assert (tmp_path / ".kitaru/config.toml").exists()
    with pytest.raises(ProjectExists):
        Project.init(tmp_path)


def test_a_project_tells_which_it_is(tmp_path):
    assert repr(Project.init(tmp_path)) == f"<Project {tmp_path}>"


def test_init_finishes_what_was_begun(tmp_path):
    (tmp_path / ".kitaru").mkdir()
    (tmp_path / ".kitaru/config.toml").write_text("# mine\n")
    Project.init(tmp_path)
    assert (tmp_path / ".kitaru/config.toml").read_text() == "# mine\n"


def test_a_project_is_found_upwards(tmp_path, monkeypatch):
    Project.init(tmp_path)
    deep = tmp_path / "a" / "b"
    deep.mkdir(parents=True)
    assert Project.open(deep).root == tmp_path
    monkeypatch.chdir(deep)
    assert Project.open().root == tmp_path
    Project.init(deep)
    assert Project.open(deep).root == deep
    assert Project.open(deep.parent).root == tmp_path


def test_the_environment_says_where_to_begin(tmp_path, monkeypatch):
    Project.init(tmp_path / "one")
    Project.init(tmp_path / "two")
    monkeypatch.chdir(tmp_path / "one")
    monkeypatch.setenv("KITARU_DIR", str(tmp_path / "two"))
    assert Project.open().root == tmp_path / "two"
    assert Project.open(tmp_path / "one").root == tmp_path / "one"


def test_no_project(tmp_path, monkeypatch):
    with pytest.raises(NotAProject) as caught:
        Project.open(tmp_path)
    assert caught.value.hint == "kitaru init"
    monkeypatch.chdir(tmp_path)

    @flow
    def body():
        return 1

    body.fn.__code__ = body.fn.__code__.replace(co_filename=str(tmp_path / "gone.py"))
    with pytest.raises(NotAProject):
        body.run()


def test_a_directory_without_a_format_is_no_project(tmp_path):
    (tmp_path / ".kitaru").mkdir()
    with pytest.raises(NotAProject):
        Project.open(tmp_path)


def test_a_store_of_another_format(tmp_path):
    Project.init(tmp_path)
    file = tmp_path / ".kitaru/format"
    file.chmod(0o644)
    file.write_text('{"hash":"sha256","version":2}\n')
    with pytest.raises(UnknownFormat, match="format 2"):
        Project.open(tmp_path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes anywhere")
def test_where_nothing_can_be_written(tmp_path):
    tmp_path.chmod(0o555)
    with pytest.raises(StoreError):
        Project.init(tmp_path)


def test_a_place_that_is_a_file(tmp_path):
    (tmp_path / ".kitaru").write_text("")
    with pytest.raises(StoreError, match="cannot be written"):
        Project.init(tmp_path)
