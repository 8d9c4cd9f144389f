"""Starting a run once for a key that the caller chose, or under an id that was chosen before, however often and
wherever it is asked for.

Owns: the order of the steps, each of which may be the last before a crash: the key is named for a run id, then the run
is begun under that id. Whoever comes next with the key, or the id, finds the run, or begins it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kitaru.errors import RunHeld, StoreError, UnknownRun
from kitaru.model.ids import new_run_id

if TYPE_CHECKING:
    from kitaru.runtime.events import Services
    from kitaru.store.repository import Repository, RunWriter

MAX_TRIES = 20
"""How often a lock is tried for that belongs to who is just beginning the run: half a second each."""


class StartedBefore(Exception):
    """The run of this key was begun before.

    Args:
        run: its id.

    Attributes:
        other_inputs: names of the inputs that it was begun with otherwise than now.
    """

    def __init__(self, run: str) -> None:
        super().__init__(run)
        self.run = run
        self.other_inputs: tuple[str, ...] = ()


def begin_once(repo: Repository, flow: str, key: str, services: Services, run: str = "") -> RunWriter:
    """Begin the run of a key.

    Args:
        flow: the flow's name; each flow has keys of its own.
        key: as the user chose it.
        services: clock, randomness, and who it is.
        run: the id that it is to have, where nobody has named another for this key; a new one by default.

    Raises:
        StartedBefore: it was begun, by whomever.
        PrunedRun: it was, and removed on purpose: what was to happen once has happened.
        RunHeld: another process has been beginning it for long, and has not recorded anything.
    """
    standing = repo.start_key(flow, key)
    if standing is None:
        run = run or new_run_id(services.random_bytes)
        _, standing = repo.put_start_key(flow, key, run, by=services.user, at=services.clock_us())
    return begin_named(repo, standing.run)


def begin_named(repo: Repository, run: str) -> RunWriter:
    """Begin a run whose id was chosen before.

    Raises:
        StartedBefore, PrunedRun, RunHeld: as `begin_once`.
    """
    for _ in range(MAX_TRIES):
        repo.check_unpruned(run)
        if is_recorded(repo, run):
            raise StartedBefore(run)
        try:
            return repo.begin(run)
        except (RunHeld, StoreError) as error:  # somebody is just beginning it, or has begun it since we looked
            refused = error
        if isinstance(refused, StoreError) and not is_recorded(repo, run):
            break
    raise refused


def is_recorded(repo: Repository, run: str) -> bool:
    """Tell whether a run has begun, so that anything is recorded of it."""
    try:
        return bool(repo.records(run))
    except UnknownRun:
        return False
