"""From objects to values: the decoder.

Owns: what a user of the decoder meets. How the bytes of an item are read is `readers`, what one decoding may cost is
`session`. Nothing is imported, called or instantiated on the data's word.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kitaru.errors import Damaged
from kitaru.model.encoding import readers
from kitaru.model.encoding.classes import loaded_class
from kitaru.model.encoding.session import READ_ERRORS, Session, misread

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

readers.install()


class Decoder:
    """Rebuilds values from objects. Threads may share one.

    Args:
        fetch: returns an object's bytes by hex id, hash checked; what it raises passes through.
        view: the same for the parts of texts beyond 32 MiB, called by several threads at once; what it returns may
            be a view of bytes that will not change. `fetch` where there is none.
        class_of: finds a loaded class by name, or returns None.
        opaque: show a value whose class is missing as `Opaque`, instead of raising.
    """

    def __init__(
        self,
        fetch: Callable[[str], bytes],
        *,
        view: Callable[[str], bytes | memoryview] | None = None,
        class_of: Callable[[str], type | None] = loaded_class,
        opaque: bool = False,
    ) -> None:
        self._fetch = fetch
        self._view = view or fetch
        self._class_of = class_of
        self._opaque = opaque

    def decode(self, object_id: str) -> object:
        """Return the value whose root object has this id.

        Raises:
            Damaged: the bytes of an object are not a value.
            SchemaChanged: a class of the value is missing or no longer fits.
        """
        return self._decode(object_id, Session(self._fetch, self._view, self._class_of, opaque=self._opaque))

    def decode_together(self, object_ids: Sequence[str]) -> list[object]:
        """Return several values, only to be looked at: an object that they share is read once, and is one in all.

        Raises:
            Damaged, SchemaChanged: as of `decode`.
        """
        session = Session(self._fetch, self._view, self._class_of, opaque=self._opaque, whole_objects=True)
        try:
            return [self._decode(object_id, session) for object_id in object_ids]
        except Damaged:  # or they share more than one value may repeat
            return [self.decode(object_id) for object_id in object_ids]

    def _decode(self, object_id: str, session: Session) -> object:
        data = self._fetch(object_id)
        try:
            return session.value(data)
        except READ_ERRORS as error:
            raise misread(object_id, error) from error
        except RecursionError:
            what = "it is nested deeper than this thread's call stack has room for"
            raise Damaged(f"object {object_id[:16]}", what, hint="read it from a shallower call") from None
