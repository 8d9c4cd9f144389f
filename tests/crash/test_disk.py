"""A disk that is full or read-only, and a store of a format nobody knows: one clear line, and no harm done.

Needs a tmpfs of its own, which takes root; elsewhere these are skipped.
"""

from __future__ import annotations

import json
import os
import subprocess

import pytest


class Disk:
    """A small file system."""

    def __init__(self, path):
        self.path = path
        path.mkdir()
        self._mount("-t", "tmpfs", "-o", "size=1m,mode=700", "tmpfs", str(path))

    def remount(self, options):
        self._mount("-o", f"remount,{options}", str(self.path))

    def unmount(self):
        subprocess.run(["umount", str(self.path)], check=True, capture_output=True)

    def _mount(self, *words):
        try:
            subprocess.run(["mount", *words], check=True, capture_output=True, text=True)
        except FileNotFoundError:
            pytest.skip("there is no mount command here")
        except subprocess.CalledProcessError as error:
            pytest.skip(f"a tmpfs cannot be mounted here: {error.stderr.strip()}")


@pytest.fixture
def disk(tmp_path):
    if os.geteuid() != 0:
        pytest.skip("mounting a tmpfs takes root")
    disk = Disk(tmp_path / "disk")
    yield disk
    disk.unmount()


@pytest.fixture
def on_disk(make_place, durability, disk):
    return make_place(durability, disk.path / "project")


def goes_on_with_room(place, run, recorded):
    did = place.did()
    resumed = place.kitaru("resume", "-q", run)
    assert resumed.code == 0, resumed.err
    assert json.loads(resumed.out) == list(range(1, 21))
    after = place.did()[len(did) :]
    assert after == list(range(len(recorded) + 1, 21))
    place.is_clean()


def fills_up(place):
    """Run until the disk is full; return the run and the calls it recorded."""
    full = place.kitaru("run", "-q", "steps.py:filling")
    assert full.code == 1
    first, second, *rest = full.err.splitlines()
    assert first.startswith("error: cannot write ")
    assert "no space left on the disk" in first
    assert not rest
    run = place.only_run()
    assert second == f"hint: free some space; `kitaru resume {run}` carries the run on"
    assert place.project().state(run).status == "interrupted"
    recorded = place.recorded(run)
    assert recorded
    # what was refused may have been no more than the zeros written ahead of a record, which then stands
    assert len(place.did()) - len(recorded) in (0, 1)
    assert place.did() == list(range(1, len(place.did()) + 1))
    place.is_clean()
    return run, recorded


def test_a_full_disk_fails_the_run_which_goes_on_when_there_is_a_larger_one(on_disk, disk):
    run, recorded = fills_up(on_disk)
    disk.remount("size=16m")
    goes_on_with_room(on_disk, run, recorded)


def test_a_full_disk_fails_the_run_which_goes_on_when_files_were_removed(on_disk, disk):
    disk.remount("size=4m")
    ballast = disk.path / "ballast"
    ballast.write_bytes(bytes(3 << 20))
    run, recorded = fills_up(on_disk)
    ballast.unlink()
    goes_on_with_room(on_disk, run, recorded)


def test_reading_goes_on_when_the_disk_is_full(on_disk, disk):
    run, _ = fills_up(on_disk)
    with (disk.path / "ballast").open("wb", buffering=0) as file:
        while True:
            try:
                file.write(bytes(1024))
            except OSError:
                break
    looking_works(on_disk, run)
    refused = on_disk.kitaru("run", "-q", "steps.py:twenty").err
    assert "no space left on the disk" in refused
    assert "hint: free some space, and do it again" in refused  # there is no run yet


def looking_works(place, run):
    for words in (["log"], ["log", run], ["show", run], ["status"], ["waits"], ["fsck"], ["show", f"{run}:large"]):
        seen = place.kitaru(*words)
        assert (seen.code, seen.err.replace("no open questions\n", "")) == (0, ""), (words, seen.err)


def test_a_read_only_store_can_be_read_and_says_so_when_it_is_to_be_written(on_disk, disk):
    disk.remount("size=4m")
    assert on_disk.kitaru("run", "-q", "steps.py:filling", "calls=2").code == 0
    assert on_disk.kitaru("run", "-q", "steps.py:asks", "name=it").code == 3
    done, asking = on_disk.project().log()[1].run, on_disk.project().log()[0].run
    disk.remount("ro")
    looking_works(on_disk, done)
    for words in (
        ["run", "-q", "steps.py:filling"],
        ["answer", asking, "approve", "true"],
        ["resume", asking],
        ["replay", done, "--from", "large#2"],
    ):
        refused = on_disk.kitaru(*words)
        assert refused.code == 1, words
        first, second = refused.err.splitlines()
        assert "the file system is read-only" in first
        assert second == "hint: mount it writable, or copy the project to where you can write"
    disk.remount("rw")
    on_disk.is_clean()
    assert on_disk.kitaru("answer", "-q", asking, "approve", "true").code == 0


PUT_BACK = 'put back the one line that the file has in every store, {"hash":"sha256","version":1}; kitaru fsck'


@pytest.mark.parametrize(
    ("content", "found", "hint"),
    [
        (
            '{"version": 2, "hash": "sha256"}',
            "this store has format 2, and this kitaru reads format 1",
            "pip install --upgrade kitaru",
        ),
        ("junk", "says no format: b'junk'", PUT_BACK),
        ("", "says no format: b''", PUT_BACK),
    ],
)
def test_an_unknown_format_is_refused_by_every_verb(make_place, content, found, hint):
    place = make_place("power-loss")
    place.kitaru("run", "-q", "steps.py:twenty", "calls=1")
    format_file = place.root / ".kitaru" / "format"
    format_file.chmod(0o600)
    format_file.write_text(content)
    for words in (
        ["run", "steps.py:twenty"],
        ["resume", "@"],
        ["replay", "@", "--from", "step"],
        ["answer", "@", "approve", "true"],
        ["log"],
        ["show", "@"],
        ["status"],
        ["waits"],
        ["fsck"],
        ["rev-parse", "@"],
        ["cat-object", "abcd"],
    ):
        refused = place.kitaru(*words)
        assert refused.code == 4, words
        first, second = refused.err.splitlines()
        assert first == f"error: {format_file}: {found}"
        assert second == f"hint: {hint}"
