"""What lies in `.kitaru/` is its user's alone, whatever umask he has."""

import os
import stat
from pathlib import Path

import pytest

HOOK = "#!/bin/sh\necho told\n"


@pytest.fixture
def umask():
    before = os.umask(0o022)
    yield
    os.umask(before)


def readable_by_others(root):
    """Return what below `root`, itself included, anybody but its owner may read, write or enter."""
    found = [root, *root.rglob("*")]
    return [str(path.relative_to(root)) for path in found if stat.S_IMODE(path.lstat().st_mode) & 0o077]


def test_a_project_that_has_done_everything(umask, project, directory):
    hook = directory / ".kitaru" / "hooks" / "on-end"
    hook.write_text(HOOK)
    hook.chmod(0o700)
    project("run", "flows.py:agent", "question=why", "-q")
    project("answer", "@", "approve", "true", "-q")
    project("run", "flows.py:numbers", "n=3", "--cache", "-q")
    project("replay", "@", "--from", "square#2", "-q")
    project("log")
    project("config", "set", "user.name", "Ada")
    project("prune", "@", "--force")
    project("gc", "--grace", "0s")
    project("gc", "--grace", "0s")
    project("fsck")
    assert readable_by_others(directory / ".kitaru") == []


def test_large_values_of_the_cache(umask, tmp_path):
    from kitaru.store.cache import BytesCache

    cache = BytesCache(tmp_path / "made" / "cache")
    cache.write({"large": bytes(1 << 20)})
    assert cache.read(["large"])["large"] == bytes(1 << 20)
    files = [path for path in (tmp_path / "made").rglob("*") if path.is_file()]
    assert any(path.stat().st_size == 1 << 20 for path in files)
    assert readable_by_others(tmp_path / "made") == []


def test_an_executable_sample_stays_one_for_its_user(umask, project, directory):
    assert os.access(Path(directory, ".kitaru", "hooks", "on-end.sample"), os.X_OK)
