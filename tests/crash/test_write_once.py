"""No command rewrites what the store has: files are only added. `open/`, `cache/`, `tmp/` and `locks/` are apart."""

from __future__ import annotations

import signal

import pytest

APART = ("open", "cache", "tmp", "locks")
FRESHENED = ("objects", "segments")


def snapshot(place):
    """Return path to content, inode, mode and modification time of every file that is written once.

    The time of what is named by its content is left out: who would write it again sets it to now, for gc to see.
    """
    store = place.root / ".kitaru"
    found = {}
    for path in sorted(store.rglob("*")):
        inside = path.relative_to(store)
        if inside.parts[0] not in APART and not path.is_dir():
            stat = path.lstat()
            time_ns = 0 if inside.parts[0] in FRESHENED else stat.st_mtime_ns
            found[str(inside)] = (path.read_bytes(), stat.st_ino, stat.st_mode, time_ns)
    return found


class Watched:
    """A project of which every command is checked to have only added."""

    def __init__(self, place):
        self.place = place
        self.before = snapshot(place)

    def __call__(self, *words, code=0, adds=False, **env):
        ended = self.place.kitaru(*words, **env)
        assert ended.code == code, (words, ended.err)
        after = snapshot(self.place)
        assert {path: after.get(path) for path in self.before} == self.before, words
        assert (len(after) > len(self.before)) == adds, words
        self.before = after
        return ended.out


@pytest.fixture
def watched(place):
    return Watched(place)


def test_executing(watched, place, tmp_path):
    release = {"RELEASE": str(tmp_path / "release")}
    watched("run", "-q", "steps.py:twenty", "calls=3", adds=True)
    watched("run", "-q", "steps.py:failing", code=1, adds=True, **release)
    watched("resume", "-q", "@", code=1, adds=True, **release)
    (tmp_path / "release").touch()
    watched("resume", "-q", "@", adds=True, **release)
    watched("run", "-q", "steps.py:asks", "name=it", code=3, adds=True)
    watched("answer", "@", "approve", "true", "--no-resume", adds=True)
    watched("answer", "@", "approve", "false", code=6)
    watched("resume", "-q", "@", adds=True)
    watched("resume", "-q", "@", code=2)
    watched("replay", "-q", "@~2", "--from", "step#2", adds=True)
    watched("replay", "-q", "@~3", "--set", 'step#2={"n": 5, "square": 0}', adds=True)
    watched("run", "-q", "steps.py:twenty", "calls=x", code=2)
    place.is_clean()


def test_killed_and_resumed(watched, place):
    watched("run", "-q", "steps.py:twenty", code=-signal.SIGKILL, adds=True, STRIKE="KILL:inside:5")
    watched("resume", "-q", "@", code=-signal.SIGKILL, adds=True, STRIKE="KILL:inside:9")
    watched("resume", "-q", "@", adds=True)
    place.is_clean()


def test_with_changed_code(watched, place):
    watched("run", "-q", "steps.py:asks", "name=it", code=3, adds=True)
    source = place.root / "steps.py"
    source.write_text(source.read_text() + "\n\n# changed\n")
    watched("answer", "-q", "@", "approve", "true", adds=True)
    source.write_text(source.read_text() + "\n\n# changed again\n")
    watched("replay", "-q", "@", "--from", "approve", code=3, adds=True)
    source.write_text("this is no Python")
    watched("replay", "-q", "@~1", "--from", "approve", code=1)
    watched("resume", "-q", "@", code=1)
    place.is_clean()


def test_looking(watched, place):
    watched("run", "-q", "steps.py:twenty", "calls=3", adds=True)
    watched("run", "-q", "steps.py:asks", "name=it", code=3, adds=True)
    watched("run", "-q", "steps.py:twenty", code=-signal.SIGKILL, STRIKE="KILL:inside:5")
    version = watched("rev-parse", "@~2:step#2").strip()
    assert len(version) == 64
    output = place.project().find_call("@~2:step#2")[1].record.output
    for words in (
        ["log"],
        ["log", "@"],
        ["log", "-o", "json"],
        ["show", "@"],
        ["show", "@~2:step#2"],
        ["show", "@~1:approve"],
        ["status"],
        ["waits"],
        ["cat-object", output],
        ["fsck"],
        ["config"],
        ["config", "list", "-o", "json"],
    ):
        watched(*words)
