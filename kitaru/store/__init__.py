"""What the bytes of a store mean: layout, journals, segments, objects, names. `Repository` is the only way in."""

from kitaru.store.names import AnswerName, VersionName
from kitaru.store.repository import Repository
from kitaru.store.writer import RunWriter

__all__ = ["AnswerName", "Repository", "RunWriter", "VersionName"]
