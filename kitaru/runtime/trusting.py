"""Whether recorded code may be executed here.

Owns: the one question that is asked before code from the store is loaded, and the trust that recording code here
gives it. Code of the working tree needs none; but which file of it is imported a run from elsewhere may not choose
freely. What was decided is the store's (`store.trust`).
"""

from __future__ import annotations

from shlex import quote
from typing import TYPE_CHECKING

from kitaru.errors import CodeUnloadable, Untrusted
from kitaru.runtime.imports import defined_in, imports_of
from kitaru.runtime.sources import project_source
from kitaru.store import trust

if TYPE_CHECKING:
    from pathlib import Path

    from kitaru.runtime.entry import Entry
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


def check_is_flow(repo: Repository, flow: str, version_id: str, entry: Entry, root: Path) -> None:
    """Return if the file of the working tree that a version names is one of flows, as far as reading it tells.

    A version that nobody here trusts names a file to import, and what stands at the top level of that is executed,
    whether or not a flow is found in it: it is not to be just any script of the project.

    Args:
        repo, flow, version_id: as of `check_trusted`; what is trusted is believed.
        entry: where the version says that its flow is; a file that is not there is for who loads it to tell of.
        root: the project's directory.

    Raises:
        CodeUnloadable: there is no such flow in that file.
    """
    place = root / (entry.file or "")
    if not place.is_file() or repo.trust.may_execute(flow, version_id):
        return
    dotted = "." + (entry.file or "").removesuffix(".py").removesuffix("/__init__").replace("/", ".")
    if project_source(place, root) is None or not dotted.endswith(f".{entry.module}") or not _has_flow(place, entry):
        raise CodeUnloadable(
            f"the run's version, which is not trusted here, says that {flow} is {entry.qualname} in {entry.file} "
            f"(module {entry.module}), where there is no such flow",
            hint=_untrusted(repo, flow, version_id, 0).hint,
        )


def _has_flow(place: Path, entry: Entry) -> bool:
    source = place.read_bytes()
    uses_kitaru = any(not item.level and item.parts[0] == "kitaru" for item in imports_of(source))
    return uses_kitaru and entry.qualname.rpartition(".")[2] in defined_in(source)


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
    return Untrusted(f"{who}{origin}; {why}", hint=f"kitaru trust {quote(called)}")


def trust_recorded(repo: Repository, flow: str, named: VersionName, *, at: int, by: str) -> None:
    """Trust a version whose code is, file by file, what has just been loaded from the working tree.

    What was decided about it before stands.

    Args:
        flow: the flow's name.
        named: the version.
        at: microseconds since 1970 UTC.
        by: who recorded it.
    """
    if not repo.trust.is_decided(named.id):
        what, why = f"{flow}@v{named.n}", trust.RECORDED_HERE
        repo.trust.decide(trust.VERSIONS, named.id, trusted=True, at=at, by=by, what=what, why=why)
