"""Which objects a run's records lead to and that are not in this store.

Owns: the walk. Changes nothing, and brings nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kitaru.errors import Damaged, UnknownObject
from kitaru.model.encoding import Malformed, references
from kitaru.store.naming import named_by
from kitaru.store.states import run_state

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kitaru.store.repository import Repository


def missing(repo: Repository, run: str) -> set[str]:
    """Return the ids of objects that a run's records lead to and that are not here.

    What a missing object refers to is not known before it is here; so there may be more once these are.

    Raises:
        UnknownRun, Damaged: the run itself cannot be read.
    """
    _, runs = run_state(repo, run)
    waiting = {object_id for each in runs for object_id in _named(repo, each)}
    seen: set[str] = set()
    found: set[str] = set()
    while waiting:
        object_id = waiting.pop()
        seen.add(object_id)
        try:
            data = repo.object_here(object_id, runs)
            waiting.update(set(references(data)) - seen)
        except UnknownObject:
            found.add(object_id)
        except Malformed as error:
            raise Damaged(f"object {object_id[:16]}", f"not a value: {error}") from error
    return found


def _named(repo: Repository, run: str) -> Iterator[str]:
    for stored in repo.records(run):
        yield from named_by(stored.record)
