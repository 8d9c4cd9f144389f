"""Messages between a run's process and a worker's: a small JSON head, and bytes as they are.

Owns: the framing. Nothing is pickled; what a head says is checked where it is used. Knows no sockets' ends.

    frame = length of the head u32, number of blobs u32, head (JSON), length of each blob u64, blobs
"""

from __future__ import annotations

import json
import struct
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator, Sequence

_START = struct.Struct("<II")
MAX_HEAD = 64 << 20
MAX_BLOBS = 1 << 24
_JOINED = 64 << 10
"""Shorter pieces are put together: one system call each would cost more."""

Buffer = bytes | bytearray | memoryview


class Frame(NamedTuple):
    """A message: `head["about"]` says what about."""

    head: dict[str, Any]
    blobs: list[bytes]


class BadFrame(Exception):
    """Bytes that are no message: the other side is not what it should be."""


def packed(head: dict[str, Any], blobs: Sequence[Buffer] = ()) -> list[Buffer]:
    """Return a message as buffers to send one after the other; large blobs are not copied."""
    text = json.dumps(head, separators=(",", ":")).encode("ascii")
    lengths = struct.pack(f"<{len(blobs)}Q", *map(len, blobs))
    out: list[Buffer] = []
    small = bytearray(_START.pack(len(text), len(blobs)) + text + lengths)
    for blob in blobs:
        if len(blob) < _JOINED:
            small += blob
        else:
            out += [small, blob]
            small = bytearray()
    return [part for part in (*out, small) if len(part)]


def send(sock: socket.socket, head: dict[str, Any], blobs: Sequence[Buffer] = ()) -> None:
    """Send a message on a blocking socket."""
    for part in packed(head, blobs):
        sock.sendall(part)


def receive(sock: socket.socket) -> Frame | None:
    """Read one message from a blocking socket; None when the other side is gone."""
    start = _exactly(sock, _START.size)
    if start is None:
        return None
    head_size, count = _checked(start)
    rest = _exactly(sock, head_size + 8 * count)
    if rest is None:
        return None
    blobs = []
    for size in struct.unpack_from(f"<{count}Q", rest, head_size):
        blob = _exactly(sock, size)
        if blob is None:
            return None
        blobs.append(bytes(blob))
    return Frame(_parsed(rest[:head_size]), blobs)


def _exactly(sock: socket.socket, size: int) -> bytearray | None:
    data = bytearray(size)
    view, at = memoryview(data), 0
    while at < size:
        got = sock.recv_into(view[at:])
        if not got:
            return None
        at += got
    return data


def _checked(start: Buffer) -> tuple[int, int]:
    head_size, count = _START.unpack(start)
    if head_size > MAX_HEAD or count > MAX_BLOBS:
        raise BadFrame(f"a head of {head_size} bytes and {count} blobs")
    return head_size, count


def _parsed(text: Buffer) -> dict[str, Any]:
    try:
        head = json.loads(bytes(text))
    except ValueError as error:
        raise BadFrame(str(error)) from error
    if not isinstance(head, dict) or not isinstance(head.get("about"), str):
        raise BadFrame("a message that does not say what it is about")
    return head


class Inbox:
    """Puts messages together from bytes as they come, for a side that must not block."""

    def __init__(self) -> None:
        self._data = bytearray()

    def feed(self, data: bytes) -> Iterator[Frame]:
        """Take bytes, and yield each message that is whole by now."""
        self._data += data
        while (frame := self._next()) is not None:
            yield frame

    def _next(self) -> Frame | None:
        data = self._data
        if len(data) < _START.size:
            return None
        head_size, count = _checked(data[: _START.size])
        at = _START.size + head_size
        if len(data) < at + 8 * count:
            return None
        sizes = struct.unpack_from(f"<{count}Q", data, at)
        start = at + 8 * count
        if len(data) < start + sum(sizes):
            return None
        blobs = []
        for size in sizes:
            blobs.append(bytes(memoryview(data)[start : start + size]))
            start += size
        head = _parsed(data[_START.size : at])
        del data[:start]
        return Frame(head, blobs)
