"""Installed distributions, Python and git, found without importing anything."""

from __future__ import annotations

import shutil
import subprocess
import sys

import pytest

from kitaru.runtime import environment as module
from kitaru.runtime.environment import distributions, environment, git_state


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """A `sys.path` of one directory with made-up installed distributions."""
    folder = tmp_path / "site-packages"
    folder.mkdir()
    monkeypatch.setattr(sys, "path", [str(folder)])
    monkeypatch.setattr(module, "_last", None)

    def put(directory: str, **files: str) -> None:
        (folder / directory).mkdir()
        for name, text in files.items():
            (folder / directory / name.replace("__", ".")).write_text(text)

    return put


def test_a_distribution_with_its_modules_name(installed):
    installed("Fine_Thing-1.2.dist-info", RECORD="fine_thing/__init__.py,sha256=x,1\n")
    assert distributions({"fine_thing"}) == {"fine-thing": "1.2"}


def test_a_distribution_with_another_name(installed):
    installed("attrs-24.1.0.dist-info", RECORD="attr/__init__.py,,\nattrs/__init__.py,,\n../../bin/tool.py,,\n")
    installed("attr-0.1.dist-info", RECORD="something_else.py,,\n")
    installed("PyYAML-6.0.dist-info", top_level__txt="_yaml\nyaml\n")
    assert distributions({"attr", "yaml"}) == {"attrs": "24.1.0", "pyyaml": "6.0"}


def test_one_module_of_several_distributions(installed):
    installed("google_a-1.dist-info", RECORD="google/a.py,,\n")
    installed("google_b-2.dist-info", RECORD="google/b.py,,\n")
    assert distributions({"google"}) == {"google-a": "1", "google-b": "2"}


def test_editable_and_old_style_installs(installed):
    installed("mine-0.3.dist-info", RECORD="__editable___mine_finder.py,,\nmine-0.3.dist-info/METADATA,,\n")
    installed("older-2.0-py3.11.egg-info", top_level__txt="older\n")
    assert distributions({"mine", "older"}) == {"mine": "0.3", "older": "2.0"}


def test_modules_of_no_distribution_are_left_out(installed):
    assert distributions({"nothing"}) == {}


def test_an_upgrade_is_noticed(installed, tmp_path):
    installed("thing-1.dist-info", RECORD="thing.py,,\n")
    assert distributions({"thing"}) == {"thing": "1"}
    shutil.rmtree(tmp_path / "site-packages/thing-1.dist-info")
    installed("thing-2.dist-info", RECORD="thing.py,,\n")
    assert distributions({"thing"}) == {"thing": "2"}


def test_environment_of_this_very_process():
    found = environment({"pytest", "no_such_module"})
    assert found == {"python": sys.version.split()[0], "distributions": {"pytest": pytest.__version__}}


def git(root, *args):
    who = ["-c", "user.name=a", "-c", "user.email=a@example.com", "-c", "commit.gpgsign=false"]
    return subprocess.run(["git", *who, *args], cwd=root, check=True, capture_output=True).stdout.decode().strip()


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
def test_git_state_tells_commit_and_dirt_of_the_files_asked_for(tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert git_state(tmp_path) is None
    git(tmp_path, "init", "-q")
    (tmp_path / "flow.py").write_text("1")
    assert git_state(tmp_path) is None
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-q", "-m", "first")
    commit = git(tmp_path, "rev-parse", "HEAD")
    (tmp_path / "[new].py").write_text("1")
    assert git_state(tmp_path) == {"commit": commit, "dirty": False}
    assert git_state(tmp_path, ["flow.py"]) == {"commit": commit, "dirty": False}
    assert git_state(tmp_path, ["flow.py", "[new].py"]) == {"commit": commit, "dirty": True}
    (tmp_path / "flow.py").write_text("2")
    assert git_state(tmp_path) == {"commit": commit, "dirty": True}


def test_without_git_there_is_no_state(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert git_state(tmp_path) is None
