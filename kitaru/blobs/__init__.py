"""Write-once bytes at keys. Knows nothing of runs, records or formats; a key is a path and a blob is some bytes."""

from kitaru.blobs.contract import Appender, Blobs, Listed, Lock, RemoteBlobs, Workspace
from kitaru.blobs.files import Files, OsFiles
from kitaru.blobs.local import LocalBlobs
from kitaru.blobs.memory import MemoryBlobs

__all__ = [
    "Appender",
    "Blobs",
    "Files",
    "Listed",
    "LocalBlobs",
    "Lock",
    "MemoryBlobs",
    "OsFiles",
    "RemoteBlobs",
    "Workspace",
]
