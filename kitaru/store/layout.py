"""Where everything lies in a store, and how a free name becomes a file's name.

Owns: the keys of format 1. Knows nothing of what is in the files.

A name is escaped so that it survives every file system and bucket: `%xx` for each byte of its UTF-8 form that is not a
lower-case letter, a digit, `-`, `_` or an inner `.`. So two names never meet by case or by Unicode form, and none is a
path. What is longer than a file's name may be goes on in a directory: `aaaa…%/aaaa`.
"""

from __future__ import annotations

import hashlib
import re
from functools import lru_cache

FORMAT_KEY = "format"
FORMAT = {"hash": "sha256", "version": 1}

OPEN, SEGMENTS, OBJECTS, RUNS, FLOWS, ANSWERS = "open", "segments", "objects", "runs", "flows", "answers"
PACKS = "packs"
PRUNED, CANCELS, KEYS = "pruned", "cancels", "keys"
ROUTES, QUEUE, SCHEDULES = "routes", "queue", "schedules"
CLAIMS = "claims"
PARTED = "parted"
TRUST, PARTIAL = "trust", "partial"
LOST, TMP, CACHE, VISITS = "lost", "tmp", "cache", "gc"

GC_LOCK, REUSE_LOCK = "%gc", "%reuse"
"""No run's lock is called so: no name escapes to this."""

MAX_PART = 200
MAX_NAME_BYTES = 1000

_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-_.")
_ESCAPED = re.compile(r"%([0-9a-f]{2})")
_HEX_ID = re.compile(r"[0-9a-f]{64}")
_NUMBER = re.compile(r"0{0,5}[1-9][0-9]*")


@lru_cache(4096)
def escape(name: str) -> str:
    """Return the key part, or parts, that stand for a name.

    Raises:
        ValueError: the name is empty, or longer than 1000 bytes of UTF-8.
    """
    data = name.encode("utf-8", "surrogatepass")
    if not data or len(data) > MAX_NAME_BYTES:
        raise ValueError(f"a name of {len(data)} bytes, where 1 to {MAX_NAME_BYTES} can be stored")
    text = "".join(chr(b) if chr(b) in _PLAIN else f"%{b:02x}" for b in data)
    if text[0] == ".":
        text = "%2e" + text[1:]
    if text[-1] == ".":
        text = text[:-1] + "%2e"
    parts = [text[i : i + MAX_PART] for i in range(0, len(text), MAX_PART)]
    return "%/".join(parts)


def run_part(run: str) -> str:
    """Return the key part that stands for a run, which is always one.

    Raises:
        ValueError: the id is empty, or longer than 200 bytes when it is escaped.
    """
    part = escape(run)
    if "/" in part:
        raise ValueError(f"a run's id of {len(part)} bytes, where {MAX_PART} can be stored")
    return part


def is_run(run: str) -> bool:
    """Tell whether a run can have this id."""
    try:
        run_part(run)
    except ValueError:
        return False
    return True


def unescape(text: str) -> str:
    """Return the name that `escape` made `text` of.

    Raises:
        ValueError: `escape` never makes this.
    """
    joined = text.replace("%/", "")
    data = _ESCAPED.sub(lambda match: chr(int(match[1], 16)), joined).encode("latin-1")
    name = data.decode("utf-8", "surrogatepass")
    if escape(name) != text:
        raise ValueError(f"{text!r} is not an escaped name")
    return name


def is_object_id(text: str) -> bool:
    """Tell whether `text` is a whole object, record or segment id: 64 lower-case hex digits."""
    return _HEX_ID.fullmatch(text) is not None


def _hashed(kind: str, content_id: str) -> str:
    if not is_object_id(content_id):
        raise ValueError(f"{content_id!r} is not a SHA-256 in hex")
    return f"{kind}/{content_id[:2]}/{content_id[2:]}"


def object_key(object_id: str) -> str:
    """Return where a large object lies."""
    return _hashed(OBJECTS, object_id)


def segment_key(segment_id: str) -> str:
    """Return where a sealed journal lies."""
    return _hashed(SEGMENTS, segment_id)


def pack_key(pack_id: str) -> str:
    """Return where a pack of sealed journals lies."""
    if not is_object_id(pack_id):
        raise ValueError(f"{pack_id!r} is not a SHA-256 in hex")
    return f"{PACKS}/{pack_id}"


def run_key(run: str, number: int | None = None) -> str:
    """Return the directory of a run's segment names, or the key of one."""
    return f"{RUNS}/{run_part(run)}" + numbered(number)


def open_key(run: str, nonce: str = "") -> str:
    """Return the directory of the journals of a run executing here, or the key of one."""
    return f"{OPEN}/{run_part(run)}" + (f"/{nonce}" if nonce else "")


def flow_key(flow: str, number: int | None = None) -> str:
    """Return the directory of a flow's versions, or the key of one."""
    return f"{FLOWS}/{escape(flow)}" + numbered(number)


def answer_key(run: str, wait_digest: str = "") -> str:
    """Return the directory of the answers to a run's waits, or the key of one."""
    return f"{ANSWERS}/{run_part(run)}" + (f"/{escape(wait_digest)}" if wait_digest else "")


def pruned_key(run: str) -> str:
    """Return the key of a run's tombstone."""
    return f"{PRUNED}/{run_part(run)}"


def cancel_key(run: str) -> str:
    """Return the key of the request to cancel a run."""
    return f"{CANCELS}/{run_part(run)}"


def start_key(flow: str, digest: str) -> str:
    """Return the key of the name that says which run of a flow was started for a key of a caller, by its hash."""
    return f"{KEYS}/{escape(flow)}/{digest}"


def route_key(flow: str, route: str = "", number: int | None = None) -> str:
    """Return the directory of a flow's routes, or of a route's entries, or the key of one."""
    return f"{ROUTES}/{escape(flow)}" + (f"/{escape(route)}" if route else "") + numbered(number)


def queue_key(invocation: str) -> str:
    """Return the key of an invocation; its id is as short as a run's."""
    return f"{QUEUE}/{run_part(invocation)}"


def schedule_key(schedule: str, number: int | None = None) -> str:
    """Return the directory of a schedule's entries, or the key of one."""
    return f"{SCHEDULES}/{escape(schedule)}" + numbered(number)


def claim_key(run: str, segment: int | None = None, number: int | None = None) -> str:
    """Return the directory of the claims on a run, or on its n-th segment, or the key of one such claim."""
    return f"{CLAIMS}/{run_part(run)}" + numbered(segment) + numbered(number)


def parted_key(run: str, new_run: str = "") -> str:
    """Return the directory of what continues a run under another id, or the key of one such name."""
    return f"{PARTED}/{run_part(run)}" + (f"/{run_part(new_run)}" if new_run else "")


def trust_key(kind: str, name: str, number: int | None = None) -> str:
    """Return the directory of the decisions about a version, flow or remote (`kind` has an s), or the key of one."""
    return f"{TRUST}/{kind}/{escape(name)}" + numbered(number)


def partial_key(run: str) -> str:
    """Return the key of the mark of a run whose large objects are elsewhere."""
    return f"{PARTIAL}/{run_part(run)}"


def visit_key(number: int) -> str:
    """Return the key of what gc noted on a visit."""
    return f"{VISITS}{numbered(number)}"


def lock_name(run: str) -> str:
    """Return the lock of a run."""
    return run_part(run)


def start_lock(flow: str) -> str:
    """Return the lock of whoever is just starting a run of a flow whose runs are limited; no run's is called so."""
    return f"%start-{hashlib.sha256(flow.encode('utf-8', 'surrogatepass')).hexdigest()[:32]}"


def worker_lock(place: int) -> str:
    """Return the lock by which one of several workers is known to the others; no run's is called so."""
    return f"%worker-{place}"


def numbered(number: int | None) -> str:
    """Return the last part of a numbered name, such as `/000003`."""
    return "" if number is None else f"/{number:06d}"


def number_of(part: str) -> int | None:
    """Return the number that a numbered name stands for; None if it is not one."""
    ok = len(part) >= 6 and _NUMBER.fullmatch(part) is not None
    return int(part) if ok and f"{int(part):06d}" == part else None
