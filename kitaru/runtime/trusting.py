"""Whether recorded code may be executed here.

Owns: the one question that is asked before code from the store is loaded, and the trust that recording code here
gives it. Code of the working tree needs none. What was decided is the store's (`store.trust`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kitaru.errors import Untrusted
from kitaru.store import trust

if TYPE_CHECKING:
    from kitaru.store.repository import Repository, VersionName


def check_trusted(repo: Repository, flow: str, version_id: str, n: int) -> None:
    """Return if a version of a flow may be executed from the store: it was recorded here, or somebody trusts it.

    Args:
        repo: the store.
        flow: name of the flow, as the run or invocation says.
        version_id: id of the version's value.
        n: its number, as it was recorded; what is told is the number that it has here.

    Raises:
        Untrusted: nobody here has looked at it.
        Damaged: what was decided cannot be read.
    """
    if repo.trust.may_execute(flow, version_id):
        return
    raise _untrusted(repo, flow, version_id, n)


def _untrusted(repo: Repository, flow: str, version_id: str, n: int) -> Untrusted:
    named = next((name for name in repo.versions(flow) if name.id == version_id), None)
    standing = repo.trust.standing(trust.VERSIONS, version_id) or repo.trust.standing(trust.FLOWS, flow)
    came = repo.trust.origins(version_id)
    who = f"{flow} v{named.n} was recorded by {named.by or 'somebody'}" if named else f"{flow} v{n} was recorded"
    origin = f" and came from {came[0].remote}" if came else " elsewhere"
    why = "its code has not been looked at here"
    if standing is not None:
        why = f"{standing.by or 'somebody'} took back the trust in it" + (f": {standing.why}" if standing.why else "")
    called = f"{flow}@v{named.n}" if named else version_id[:12]
    return Untrusted(f"{who}{origin}; {why}", hint=f"kitaru trust {called}")


def trust_recorded(repo: Repository, flow: str, named: VersionName, *, at: int, by: str) -> None:
    """Trust a version whose code is, file by file, what has just been loaded from the working tree.

    What was decided about it before stands.
    """
    if not repo.trust.is_decided(named.id):
        what, why = f"{flow}@v{named.n}", trust.RECORDED_HERE
        repo.trust.decide(trust.VERSIONS, named.id, trusted=True, at=at, by=by, what=what, why=why)
