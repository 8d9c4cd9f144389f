"""Mending names: what can be given again is put aside, what follows from other bytes is made again.

Owns: what is done about a damaged name of each kind, runs' segments last. Knows nothing of what else can be damaged.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from kitaru.errors import Damaged, KitaruError
from kitaru.model.records import Start
from kitaru.store import kinds, layout, names
from kitaru.store.partial import PARTIAL_SHAPE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kitaru.store.kinds import Key, Kind
    from kitaru.store.mending import Mending

WHO = "kitaru fsck --repair"
MAX_FLIPPED = 16
"""A name of which at most so many bytes are wrong is known by the others."""
_AGAIN = {
    layout.FLOWS: "the next run records it anew",
    layout.ANSWERS: "it can be answered anew",
    layout.CANCELS: "it can be asked anew",
    layout.QUEUE: "it can be queued anew",
    layout.SCHEDULES: "what the entry before it says holds",
    layout.ROUTES: "what the entry before it says holds",
    layout.PARTED: "the next pull brings it, if it was pushed",
}


def mend(hands: Mending) -> None:
    """Mend all names but those of runs' segments."""
    own = {layout.PRUNED: _tombstone, layout.KEYS: _start_key}
    for kind in kinds.KINDS:
        if kind is kinds.RUNS:
            continue
        damaged = _damaged(hands, kind)
        if kinds.is_unbroken(kind):
            damaged = _mend_logs(hands, kind, damaged)
        for key in damaged:
            own.get(kind.directory, _put_aside)(hands, key)
    _trust(hands)
    _marks(hands)


def _damaged(hands: Mending, kind: Kind) -> list[str]:
    """Return the keys of damaged names; what is none, and lies where one belongs, is put aside."""
    files, damaged = set(hands.blobs.keys(kind.directory)), []
    for key in kinds.keys(hands.blobs, kind):
        if key not in files:
            hands.put_nameless_aside(key, "a directory where a name belongs")
        elif not kinds.stands(key):
            if hands.tell(key, f"nothing in {kind.directory}/ has such a name: put aside"):
                hands.put_aside(key)
        elif not is_whole(hands, key):
            damaged.append(key)
    return damaged


def is_whole(hands: Mending, key: str) -> bool:
    """Tell whether the name at a key is one, or gone meanwhile."""
    try:
        _fields(hands, kinds.parse(key))
    except Damaged:
        return False
    except KeyError:
        return True
    return True


def _fields(hands: Mending, key: Key) -> dict[str, Any]:
    return kinds.read(key, hands.blobs.get(key.key, limit=names.MAX_NAME), hands.blobs.where(key.key))


def _put_aside(hands: Mending, key: str) -> None:
    if hands.tell(key, f"put aside: {_AGAIN[key.partition('/')[0]]}"):
        hands.put_aside(key)


def _mend_logs(hands: Mending, kind: Kind, damaged: list[str]) -> list[str]:
    """Make the entries anew that logs lack before others; return the keys of the damaged that nothing follows."""
    logs: dict[str, dict[int, Key]] = {}
    for key in map(kinds.parse, filter(kinds.stands, hands.blobs.keys(kind.directory))):
        if key.key not in damaged:
            logs.setdefault(key.log, {})[key.number] = key
    for log, whole in logs.items():
        for number in sorted(set(range(1, max(whole))) - whole.keys()):
            _repeat(hands, log + layout.numbered(number), whole.get(number - 1) or whole[min(whole)])
            whole[number] = whole.get(number - 1) or whole[min(whole)]
    return [key.key for key in map(kinds.parse, damaged) if key.number > max(logs.get(key.log, {}), default=0)]


def _repeat(hands: Mending, key: str, beside: Key) -> None:
    """Have an entry that is damaged, or gone, say what another does: the log is read as a whole, and it never holds."""
    is_there = hands.blobs.exists(key)
    if hands.tell(key, f"{'put aside' if is_there else 'is missing'}: repeats entry {beside.number} of its log"):
        fields = {**_fields(hands, beside), "by": WHO, "nonce": hands.nonce()}
        data = names.pack(fields | ({"back": 0} if "back" in fields else {}))
        if is_there:
            hands.blobs.replace(key, data, hands.aside(key))
        else:
            hands.blobs.create(key, data)


def _tombstone(hands: Mending, key: str) -> None:
    if hands.tell(key, "put aside, and put anew"):
        fields = {"by": WHO, "at": hands.now, "nonce": hands.nonce()}
        hands.blobs.replace(key, names.pack(fields), hands.aside(key))


def _start_key(hands: Mending, key: str) -> None:
    """Make the name of a key again from the run that was started for it; without one it is left as it is."""
    for run in hands.repo.run_ids() + hands.repo.pruned_ids():
        try:
            start = hands.repo.records(run)[0].record
        except KitaruError:
            continue
        if not isinstance(start, Start) or not start.key:
            continue
        if layout.start_key(start.flow, names.key_digest(start.key)) == key:
            if hands.tell(key, f"put aside, and made again from run {run}, which was started for it"):
                fields = {"run": run, "by": WHO, "at": start.at, "nonce": hands.nonce()}
                hands.blobs.replace(key, names.pack(fields), hands.aside(key))
            return


def _trust(hands: Mending) -> None:
    """Put damaged decisions aside; the last one may have been to take trust back, so that is what stands then."""
    for key, _ in hands.repo.trust.damaged():
        if hands.tell(key, "put aside: what it was about is not trusted, until somebody says so"):
            hands.repo.trust.doubt(key, at=hands.now, by=WHO)
            hands.put_aside(key)


def _marks(hands: Mending) -> None:
    for key in list(hands.blobs.keys(layout.PARTIAL)):
        try:
            names.unpack(hands.blobs.get(key, limit=names.MAX_NAME), PARTIAL_SHAPE, hands.blobs.where(key))
        except Damaged:
            if hands.tell(key, "put aside: a pull of its run makes it whole"):
                hands.put_aside(key)
        except KeyError:  # gone meanwhile
            continue


# -- names of runs' segments -----------------------------------------------------------------------------------------


def mend_runs(hands: Mending) -> None:
    """Make a run's damaged name again if one segment that nobody names must be the one it named."""
    for run in list(hands.runs(layout.RUNS)):
        for part in hands.blobs.children(layout.run_key(run)):
            _run_name(hands, f"{layout.run_key(run)}/{part}")


def _run_name(hands: Mending, key: str) -> None:
    if not kinds.stands(key) or is_whole(hands, key):
        return
    try:
        content = hands.blobs.get(key, limit=names.MAX_NAME)
    except Damaged:  # much larger than any name, or no file
        return
    fitting = [data for data in _unclaimed(hands) if _is_nearly(data, content)]
    if len(fitting) == 1 and hands.tell(key, "put aside, and made again from the segment that it named"):
        hands.blobs.replace(key, fitting[0], hands.aside(key))


def _unclaimed(hands: Mending) -> Iterator[bytes]:
    """Yield the name that each whole segment would have which no name that can be read names."""
    claimed = {name.segment for run in hands.runs(layout.RUNS) for name in hands.names_of(run)}
    segments = hands.repo.segments
    there = {segment for pack in segments.packs().values() for segment in pack}
    for segment in sorted((there | {segment for segment, _ in segments.files()}) - claimed):
        with contextlib.suppress(Damaged):
            nonce = segments.strand(segment).journal.nonce
            yield names.pack({"segment": segment, "nonce": nonce})


def _is_nearly(right: bytes, found: bytes) -> bool:
    return len(right) == len(found) and sum(a != b for a, b in zip(right, found, strict=True)) <= MAX_FLIPPED
