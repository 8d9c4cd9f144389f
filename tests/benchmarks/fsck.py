"""`kitaru fsck` of large objects, half of them noise and half text; and what SHA-256 alone does here.

Usage: fsck.py [MEGABYTES] [ROUNDS]
"""

from __future__ import annotations

import hashlib
import itertools
import os
import statistics
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from kitaru.blobs import LocalBlobs
from kitaru.model.encoding.wire import varint
from kitaru.model.records import Call, End, Start
from kitaru.store import Repository
from kitaru.store.check import check
from tests.benchmarks.measuring import directory, say

SIZES = (512 * 1024 + 1, 1024 * 1024, 4 * 1024 * 1024, 16 * 1024 * 1024)


def objects(size_bytes: int) -> Iterator[tuple[str, bytes]]:
    """Yield objects of bytes values, by turns noise and text, until they are so many bytes."""
    left = size_bytes
    for n, size in enumerate(itertools.cycle(SIZES)):
        if left <= 0:
            return
        raw = os.urandom(size) if n % 8 < len(SIZES) else _text(n, size)
        data = b"b" + varint(len(raw)) + raw
        yield hashlib.sha256(data).hexdigest(), data
        left -= size


def _text(n: int, size: int) -> bytes:
    lines = b"".join(b"line %d of document %d says %d\n" % (i, n, i * i % 9973) for i in range(4096))
    return (lines * (size // len(lines) + 1))[:size]


def fill(repo: Repository, size_bytes: int) -> int:
    total = 0
    with repo.begin("large") as writer:
        version = hashlib.sha256(b"N").hexdigest()
        writer.commit(Start(at=1, flow="fsck", version={"id": version, "n": 1}, inputs={}), [(version, b"N")])
        for n, (object_id, data) in enumerate(objects(size_bytes), 1):
            writer.commit(Call(at=n, name="make", order=n, began=n, output=object_id), [(object_id, data)])
            total += len(data)
        writer.commit(End(at=1, status="completed"))
        writer.seal()
    return total


def hashing(size_bytes: int = 1 << 28) -> float:
    data = bytes(size_bytes)
    began = time.perf_counter()
    hashlib.sha256(data).digest()
    return size_bytes / 1e6 / (time.perf_counter() - began)


def measure(megabytes: int, rounds: int) -> None:
    with directory() as root:
        repo = Repository.create(LocalBlobs(root / "store", False))
        total = fill(repo, megabytes * 1_000_000)
        on_disk = sum(path.stat().st_size for path in Path(root).rglob("*") if path.is_file())
        taken = []
        for _ in range(rounds):
            began = time.perf_counter()
            assert check(Repository.open(LocalBlobs(root / "store"))).is_clean
            taken.append(time.perf_counter() - began)
    say(
        "fsck",
        rounds=rounds,
        object_mb=round(total / 1e6),
        file_mb=round(on_disk / 1e6),
        mb_per_s=round(total / 1e6 / statistics.median(taken)),
        fastest_mb_per_s=round(total / 1e6 / min(taken)),
        sha256_mb_per_s=round(hashing()),
    )


if __name__ == "__main__":
    numbers = [int(word) for word in sys.argv[1:]]
    measure(*(numbers + [1000, 3][len(numbers) :]))
