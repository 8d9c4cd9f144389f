"""Values in and out of the store, for executing code: encoding with this project's class names, errors as values.

Owns: the encoder and decoders of one project, and how an exception is written into a record and rebuilt from one.
Knows the repository only as a place to fetch objects from.
"""

from __future__ import annotations

import traceback
from typing import TYPE_CHECKING, Any

from kitaru.errors import KitaruError, RunFailed, Unencodable
from kitaru.model.encoding import Decoder, Encoded, Encoder
from kitaru.runtime.redaction import clean_error, guarded, redacted, refuse_secrets

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Mapping, Sequence

    from kitaru.model.encoding import Part
    from kitaru.runtime.names import ClassNames

MAX_TRACEBACK_CHARS = 20_000
MAX_MESSAGE_CHARS = 4_000


class Values:
    """Encodes and decodes for one project.

    Args:
        names: this project's names of classes.
        fetch: returns an object's verified bytes by id; `runs` are the runs to look in first.
        view: the same for parts of huge texts, as they lie in a file where that can be had.
    """

    def __init__(
        self,
        names: ClassNames,
        fetch: Callable[[str, Sequence[str]], bytes],
        view: Callable[[str, Sequence[str]], bytes | memoryview] | None = None,
    ) -> None:
        self._names = names
        self.fetch = fetch
        self.view = view or fetch
        self.root = names.root
        self.encoder = Encoder(name_of=names.name_of, fetch=lambda object_id: fetch(object_id, ()))

    def encode(
        self,
        value: object,
        known: Container[str],
        path: str = "value",
        *,
        sink: Callable[[str, Part], None] | None = None,
    ) -> Encoded:
        """Encode a value; objects already in `known` are left out, and so are those given to `sink`.

        Args:
            sink: takes huge parts while others are hashed yet, as `Encoder.encode` says. For a value that is recorded
                at once; what is recorded later is better kept than written before anything needs it.

        Raises:
            Unencodable
        """
        encoded = self.encoder.encode(value, known, path=path, sink=guarded(sink, path))
        refuse_secrets(encoded.objects, path)
        return encoded

    def encode_all(
        self, values: Mapping[str, Any], known: Container[str], *, sink: Callable[[str, Part], None] | None = None
    ) -> tuple[list[tuple[str, bytes]], dict[str, str]]:
        """Encode values by name.

        Args:
            values: name to value; an error names the value by it.
            known, sink: as of `encode`.

        Returns:
            Their new objects, and name to id.

        Raises:
            Unencodable: one cannot be stored.
        """
        objects: list[tuple[str, bytes]] = []
        ids = {}
        for name, value in values.items():
            encoded = self.encode(value, known, name, sink=sink)
            objects += encoded.objects
            ids[name] = encoded.id
        return objects, ids

    def encode_receiver(self, value: object, known: Container[str], path: str) -> Encoded:
        """Encode the `self` of a method: as it is where it can be, else its class and what of its attributes can be.

        What cannot be stored (a client, a lock) counts by its type alone, so that a method of a plain class can be a
        checkpoint, and still a changed model name or a grown history is seen.
        """
        if isinstance(value, type):
            return self.encode({"class": self._names.name_of(value)}, known, path)
        try:
            return self.encode(value, known, path)
        except Unencodable:
            fields: dict[str, Any] = {"class": self._names.name_of(type(value))}
            for name, attribute in sorted(_attributes(value).items()):
                try:
                    self.encoder.digest(attribute)
                    fields[name] = attribute
                except Unencodable:
                    fields[name] = ("not stored", self._names.name_of(type(attribute)))
            return self.encode(fields, known, path)

    def decoder(self, runs: Sequence[str], *, opaque: bool = False) -> Decoder:
        """Return a decoder that looks for objects in these runs first.

        Args:
            runs: run ids.
            opaque: show a class that is not loaded as an `Opaque` record instead of raising.
        """
        return Decoder(
            lambda object_id: self.fetch(object_id, runs),
            view=lambda object_id: self.view(object_id, runs),
            class_of=self._names.class_of,
            opaque=opaque,
        )

    def decode_all(self, ids: Mapping[str, str], runs: Sequence[str]) -> dict[str, Any]:
        """Return values by name; objects are looked for in these runs first."""
        decoder = self.decoder(runs)
        return {name: decoder.decode(object_id) for name, object_id in ids.items()}

    def overlaid(self, objects: Mapping[str, bytes]) -> Values:
        """Return the same, with objects that are in no store yet; the caller has checked their hashes."""

        def fetch(object_id: str, runs: Sequence[str]) -> bytes:
            data = objects.get(object_id)
            return self.fetch(object_id, runs) if data is None else data

        def view(object_id: str, runs: Sequence[str]) -> bytes | memoryview:
            data = objects.get(object_id)
            return self.view(object_id, runs) if data is None else data

        return Values(self._names, fetch, view)

    def describe_error(self, error: BaseException, known: Container[str]) -> tuple[dict[str, Any], Encoded | None]:
        """Return the record form of an exception, and the exception as a value where it can be one.

        Args:
            error: is cleaned of what must not reach the store.
            known: ids of objects that are there already.
        """
        clean_error(error)
        kind = type(error)
        described: dict[str, Any] = {
            "type": self._names.name_of(kind),
            "message": redacted(_message(error))[:MAX_MESSAGE_CHARS],
            "traceback": redacted(user_traceback(error))[-MAX_TRACEBACK_CHARS:],
        }
        try:
            encoded = self.encode(error, known, "error")
        except Unencodable:
            return described, None
        described["value"] = encoded.id
        return described, encoded

    def rebuild_error(self, described: dict[str, Any], runs: Sequence[str]) -> BaseException:
        """Return the exception that a record describes: in its own class, or a `RunFailed` where that was not stored.

        Args:
            described: as `describe_error` returned it.
            runs: ids of the runs to look in first.

        Raises:
            KitaruError: what was stored of it cannot be read, or its class is not loaded.
        """
        if described.get("value"):
            value = self.decoder(runs).decode(described["value"])
            if isinstance(value, BaseException):
                return value
        return RunFailed(f"{described['type']}: {described['message']}")


def _attributes(value: object) -> dict[str, Any]:
    """Return what an object holds, in its `__dict__` and its slots."""
    slots = [name for cls in type(value).__mro__ for name in _slots(cls)]
    return {name: getattr(value, name) for name in slots if hasattr(value, name)} | getattr(value, "__dict__", {})


def _slots(cls: type) -> list[str]:
    names = vars(cls).get("__slots__", ())
    names = [names] if isinstance(names, str) else list(names)
    private = f"_{cls.__name__.lstrip('_')}"
    mangled = [private + name if name.startswith("__") and not name.endswith("__") else name for name in names]
    return [name for name in mangled if name not in ("__dict__", "__weakref__")]


def _message(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:
        return f"a {type(error).__name__}, whose text cannot be shown"


def user_traceback(error: BaseException) -> str:
    """Return the traceback text of an exception, without the frames of this package above the user's code."""
    if isinstance(error, KitaruError):
        return "".join(traceback.format_exception_only(error))
    frames = error.__traceback__
    while frames is not None and frames.tb_frame.f_globals.get("__name__", "").startswith("kitaru."):
        frames = frames.tb_next
    return "".join(traceback.format_exception(type(error), error, frames))
