"""What one decoding in progress shares, and how the bytes of one object are read.

Owns: budgets against hostile data, and naming the object in which damage was found. The bytes of an item are read by
functions of the shape `(data, position after the tag, session, depth) -> (value, position after it)`, in `READERS`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NoReturn

from kitaru.errors import Damaged
from kitaru.model.encoding import texts
from kitaru.model.encoding.wire import BYTEARRAY, BYTES, INLINE_MAX, MAX_DEPTH, STR, Malformed

REPEAT_BUDGET = 256 << 20
"""How much, by `weight`, one value may read again: a few kilobytes that expand to a billion elements end here."""
SUSPICIOUS = 4 << 20
"""When a value has read so much again, it is found out what it will come to, before it takes the time and memory."""
_PER_OBJECT = 64
_TEXT_SHARE = 8

ReadFn = Callable[[bytes, int, "Session", int], tuple[Any, int]]

SHARED_TAGS = (STR[0], BYTES[0])
"""What cannot be changed, and is one object in memory wherever it is referred to."""
_TEXT_TAGS = (STR[0], BYTES[0], BYTEARRAY[0])


def weight(data: bytes | memoryview) -> int:
    """Return what reading an object counts: of a text an eighth, for it is only copied.

    An array of zeros consists of one part, repeated.
    """
    return (len(data) // _TEXT_SHARE if data[0] in _TEXT_TAGS else len(data)) + _PER_OBJECT


READ_ERRORS = (Malformed, IndexError, UnicodeDecodeError, OverflowError)


def _unknown(data: bytes, pos: int, session: Session, depth: int) -> NoReturn:
    raise Malformed(f"no value has the tag {data[pos - 1 : pos]!r}")


READERS: list[ReadFn] = [_unknown] * 256
"""The reader of each tag."""


class Session:
    """One decoding in progress; used by one thread.

    Args:
        fetch: returns an object's bytes, of which the hash has been checked.
        view: the same for the parts of huge texts, in several threads at once.
        class_of: finds a class by name.
        opaque: whether values without a class are shown instead of refused.
        whole_objects: an object that is referred to again gives the very same Python object, also where that could be
            changed: for values that are only looked at.
    """

    __slots__ = (
        "_allowed",
        "_read",
        "_repeats",
        "_root",
        "_shared",
        "_sizes",
        "_total",
        "_view",
        "class_of",
        "fetch",
        "lends",
        "opaque",
    )

    def __init__(
        self,
        fetch: Callable[[str], bytes],
        view: Callable[[str], bytes | memoryview],
        class_of: Callable[[str], type | None],
        *,
        opaque: bool,
        whole_objects: bool = False,
    ) -> None:
        self.fetch = fetch
        self._view = view
        self.lends = False
        """Whether long bytes are wanted as `Lent`, to be made part of something that owns them."""
        self.class_of = class_of
        self.opaque = opaque
        self._sizes: dict[str, int] | None = {} if whole_objects else None
        self._total = self._repeats = 0
        self._allowed = min(SUSPICIOUS, REPEAT_BUDGET)
        self._root = b""
        self._shared: dict[str, Any] | None = None  # made by the first reference, which most values do not have
        self._read: set[str] | None = None

    def bytes_of(self, object_id: str) -> bytes:
        """Fetch an object, counting what is fetched again."""
        data = self.fetch(object_id)
        self._count(object_id, weight(data))
        return data

    def huge_parts(self, object_ids: list[str]) -> Iterator[Any]:
        """Yield the bytes of parts of a huge text, or views of them, counted like others; fetched several at once."""
        for object_id, data in zip(object_ids, texts.together(self._view, object_ids), strict=True):
            self._count(object_id, weight(data))
            yield data

    def _count(self, object_id: str, size: int) -> None:
        self._total += size
        if self._read is None:
            self._read = set()
        if object_id in self._read:
            self._again(size)
        self._read.add(object_id)

    def _again(self, size: int) -> None:
        self._repeats += size
        if self._repeats > self._allowed:
            self._allowed = REPEAT_BUDGET
            if max(self._repeats, self._foreseen()) > REPEAT_BUDGET:
                raise Malformed(f"the value repeats its parts over and over, more than {REPEAT_BUDGET} bytes")

    def _foreseen(self) -> int:
        """Return how much the value at hand reads again in all."""
        from kitaru.model.encoding.expansion import repeated_bytes  # which imports this, and is seldom wanted

        root, self._root = self._root, b""
        return repeated_bytes(root, self.fetch) if root else 0

    def value(self, data: bytes) -> Any:  # noqa: ANN401 - any value
        """Return the value of a root object's bytes."""
        self._root = data
        return self.whole(data, 0)

    def load(self, object_id: str, depth: int) -> Any:  # noqa: ANN401 - any value
        """Return the value of an object that a reference names."""
        if self._shared is None:
            self._shared = {}
        if object_id in self._shared:
            if self._sizes is not None:  # one object here, and many for whoever walks through the value
                self._total += self._sizes[object_id]
                self._again(self._sizes[object_id])
            return self._shared[object_id]
        before = self._total
        data = self.bytes_of(object_id)
        with Locating(object_id):
            if len(data) <= INLINE_MAX:
                raise Malformed("it is too short to be referred to")
            value = self.whole(data, depth)
        if self._sizes is not None:
            self._sizes[object_id] = self._total - before
        if self._sizes is not None or data[0] in SHARED_TAGS:
            self._shared[object_id] = value
        return value

    def whole(self, data: bytes, depth: int) -> Any:  # noqa: ANN401 - any value
        """Return the value of an object's bytes, all of which must be used."""
        if data[0] == 0x52:
            raise Malformed("a reference cannot be an object")
        value, end = READERS[data[0]](data, 1, self, depth)
        if end != len(data):
            raise Malformed(f"{len(data) - end} bytes are left over")
        return value


class Lent:
    """Long bytes, to be kept by whoever asked for them."""

    __slots__ = ("raw",)

    def __init__(self, raw: bytearray) -> None:
        self.raw = raw


def lent(parts: list[memoryview]) -> Lent:
    """Put parts together."""
    return Lent(bytearray().join(parts))


def misread(object_id: str, error: BaseException) -> Damaged:
    """Return the damage that malformed bytes of an object are."""
    what = "it ends too early" if isinstance(error, IndexError) else str(error)
    return Damaged(f"object {object_id[:16]}", f"not a value: {what}")


class Locating:
    """Turns malformed bytes met inside into `Damaged`, naming the object; the innermost object wins."""

    __slots__ = ("_object_id",)

    def __init__(self, object_id: str) -> None:
        self._object_id = object_id

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, READ_ERRORS):
            raise misread(self._object_id, error) from error


def read(data: bytes, pos: int, session: Session, depth: int) -> tuple[Any, int]:
    """Read the item at `pos`."""
    return READERS[data[pos]](data, pos + 1, session, depth)


def read_as(kind: type, data: bytes, pos: int, session: Session, depth: int) -> tuple[Any, int]:
    """Read the item at `pos`, which must be of this exact type."""
    value, pos = READERS[data[pos]](data, pos + 1, session, depth)
    if type(value) is not kind:
        raise Malformed(f"a {type(value).__name__} where a {kind.__name__} belongs")
    return value, pos


def take(data: bytes, pos: int, size: int) -> tuple[bytes, int]:
    """Return the next `size` bytes."""
    end = pos + size
    if end > len(data):
        raise Malformed("it ends too early")
    return data[pos:end], end


def enter(depth: int) -> int:
    """Return the depth of the parts of a container at `depth`."""
    if depth >= MAX_DEPTH:
        raise Malformed(f"it is nested more than {MAX_DEPTH} levels deep")
    return depth + 1
