"""The command as it is typed: in a real terminal of tmux, without a terminal, and without textual."""

import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from kitaru.project import Project

REPO = Path(__file__).parents[2]
LONGEST_S = 60


@pytest.fixture
def root(tmp_path, monkeypatch):
    """A directory with a project and a run of it that asks."""
    monkeypatch.setenv("PYTHONPATH", str(REPO))
    monkeypatch.delenv("KITARU_DIR", raising=False)
    shutil.copyfile(Path(__file__).parent / "flows" / "questions.py", tmp_path / "shop.py")
    kitaru(tmp_path, "init")
    kitaru(tmp_path, "run", "shop.py:publish", "topic=tides", "-q", "--no-input")
    return tmp_path


def kitaru(root, *words):
    return subprocess.run(
        [sys.executable, "-m", "kitaru", *words], cwd=root, stdin=subprocess.DEVNULL, capture_output=True, text=True
    )


class Tmux:
    """A terminal of 80 columns and 24 lines, in a server of its own."""

    def __init__(self, socket, root):
        self._words = ["tmux", "-S", str(socket), "-f", "/dev/null"]
        command = f"{sys.executable} -m kitaru inbox; echo left with $?; exec cat"
        self.run("new-session", "-d", "-x", "80", "-y", "24", "-c", str(root), command)

    def run(self, *words):
        return subprocess.run([*self._words, *words], check=True, capture_output=True, text=True).stdout

    def press(self, *keys):
        self.run("send-keys", *keys)

    def until(self, wanted, *, is_there=True):
        """Return the screen once it shows a text, or no longer does; each look is a process, and so not a busy one."""
        ends = time.monotonic() + LONGEST_S
        while (wanted in (screen := self.run("capture-pane", "-p"))) is not is_there:
            assert time.monotonic() < ends, f"{wanted!r} on\n{screen}"
        return screen

    def until_gone(self, told):
        self.until(told, is_there=False)


@pytest.fixture
def tmux(tmp_path_factory, root):
    if shutil.which("tmux") is None:
        pytest.skip("there is no tmux")
    terminal = Tmux(tmp_path_factory.mktemp("tmux") / "socket", root)
    yield terminal
    terminal.run("kill-server")


def test_a_question_is_answered_in_a_terminal(tmux, root):
    assert "Publish tides?" in tmux.until("y Yes")
    tmux.press("?")
    tmux.until("another question")
    tmux.press("Escape")
    tmux.until_gone("another question")
    tmux.press("/")
    tmux.until_gone("y Yes")
    tmux.press("tides")
    tmux.until("1 of 1 open")
    tmux.press("Enter")
    tmux.until("y Yes")
    tmux.press("y")
    tmux.until("Yes to approve of publish")
    tmux.press("y")
    tmux.until("u takes it back")
    tmux.until("run completed")
    tmux.press("q")
    tmux.until("left with 0")
    [summary] = Project.open(root).log()
    assert str(summary.status) == "completed"


def test_without_a_terminal_the_waits_are_printed(root):
    ended = kitaru(root, "inbox")
    assert ended.returncode == 0
    listed = ended.stdout.splitlines()[1:]  # the first says how long ago
    assert any("kitaru answer" in line for line in listed)
    assert kitaru(root, "waits").stdout.splitlines()[1:] == listed
    assert kitaru(root, "inbox", "@").stdout.splitlines()[1:] == listed


def test_of_an_unknown_run_it_is_a_mistake(root):
    assert kitaru(root, "inbox", "zzzzzz").returncode == 2


def test_without_textual_it_is_said_what_to_install(root):
    script = (
        "import sys; sys.modules['textual'] = None\n"
        "from kitaru.project import Project\nfrom kitaru.tui import open_inbox\n"
        "try: open_inbox(Project.open())\n"
        "except Exception as error: print(type(error).__name__, error.hint)"
    )
    ended = subprocess.run([sys.executable, "-c", script], cwd=root, capture_output=True, text=True)
    assert ended.stdout == "UsageError pip install 'kitaru[tui]'\n", ended.stderr


def test_help_imports_no_textual(root):
    words = [sys.executable, "-X", "importtime", "-m", "kitaru", "--help"]
    told = subprocess.run(words, cwd=root, capture_output=True, text=True).stderr
    assert "kitaru.cli.table" in told
    assert "textual" not in told
    assert "kitaru.tui" not in told
