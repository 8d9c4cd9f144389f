# A model of a disk speaks in system calls and in paths as text, as the code under test does:
# ruff: noqa: PTH101, PTH103, PTH110, PTH112, PTH115, PTH116, PTH120, PTH123
"""A disk that loses power: what was not synced is lost, kept, or kept by half; names and removals as well as bytes."""

from __future__ import annotations

import os

from tests.store.faults import PowerLoss

FATES = ("lost", "kept", "half")


class Disk(PowerLoss):
    """Counts and models the calls that write; a sync is only noted, for nothing here outlives the test.

    Args:
        attic: a directory on the same file system, where removed files are kept until their removal is synced.
        fate: what becomes of what was not synced.
    """

    def __init__(self, attic, fate="lost", **kwargs):
        super().__init__(**kwargs)
        self._attic, self._fate = attic, fate
        self._removed = {}  # directory: (path, where it is kept, or None for a directory), since its last sync
        attic.mkdir(parents=True)

    def _real(self, name, args):
        if name == "unlink":
            self._keep(args[0])
        elif name == "rmdir":
            self._removals(args[0]).append((args[0], None))
        elif name in ("fsync", "fdatasync"):
            self._synced(args[0])
            path = os.readlink(f"/proc/self/fd/{args[0]}")
            self._removed.pop(path, None)
            return None
        return super()._real(name, args)

    def _removals(self, path):
        return self._removed.setdefault(os.path.dirname(path), [])

    def _keep(self, path):
        made = self._names.get(os.path.dirname(path), [])
        if path in made:  # nobody will know that it ever was
            made.remove(path)
        elif os.path.lexists(path):
            kept = os.fspath(self._attic / str(len(self.calls)))
            os.link(path, kept)
            self._removals(path).append((path, kept))

    def fail_power(self):
        """Let what was not synced meet its fate."""
        if self._fate == "kept":
            return
        self._lose_bytes()
        for names in self._names.values():
            names[:] = self._chosen(names)
        self._bytes.clear()
        super().fail_power()
        gone = self._chosen([item for items in self._removed.values() for item in items])
        for path, kept in sorted(gone, key=lambda item: item[0]):
            if kept is None:
                os.makedirs(path, 0o700, exist_ok=True)
            elif os.path.isdir(os.path.dirname(path)) and not os.path.lexists(path):
                os.link(kept, path)

    def _chosen(self, items):
        return items if self._fate == "lost" else items[::2]

    def _lose_bytes(self):
        for inode, synced in self._bytes.items():
            for path in self._paths[inode]:
                if not os.path.exists(path) or os.stat(path).st_ino != inode:
                    continue
                with open(path, "rb") as file:
                    now = file.read()
                if now != synced:
                    os.chmod(path, 0o600)
                    with open(path, "wb") as file:
                        file.write(synced if self._fate == "lost" else _half(synced, now))


def _half(synced, now):
    """Return the old bytes with the first half of the change."""
    longer = max(len(synced), len(now))
    differing = [at for at in range(longer) if synced[at : at + 1] != now[at : at + 1]]
    cut = (differing[0] + differing[-1] + 1) // 2
    return now[:cut] + synced[cut:]
