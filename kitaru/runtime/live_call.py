"""A live call before it is decided: what it is matched by, and what recording it would write.

Owns: the way from a checkpoint and arguments to ids and new objects. Knows no history: which record it takes is
`runtime.calls`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kitaru.model.matching import Identity, identity
from kitaru.runtime.redaction import refuse_secrets

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kitaru.runtime.decorators import Checkpoint
    from kitaru.runtime.engine import Engine
    from kitaru.runtime.plan import Place
    from kitaru.runtime.scopes import Scope


class Asked:
    """A live call before it is decided: its arguments by id, and the objects that recording it would write."""

    __slots__ = (
        "_identity",
        "args",
        "bound",
        "checkpoint",
        "key",
        "kwargs",
        "objects",
        "on_drift",
        "place",
        "positional",
        "scope",
        "unsynced",
    )

    def __init__(
        self,
        engine: Engine,
        checkpoint: Checkpoint[..., Any],
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        scope: Scope,
        *,
        on_drift: str = "",
        place: Place | None = None,
    ) -> None:
        self.checkpoint, self.scope, self.on_drift, self.place = checkpoint, scope, on_drift, place
        self.positional, self.kwargs = args, kwargs
        self.unsynced = False
        """Deciding it has written its record, which nobody may act on before it is durable."""
        self.bound = checkpoint.binder.bind(args, kwargs)
        self.objects: list[tuple[str, bytes]] = []
        self.args: dict[str, str] = {}
        values, known = engine.values, engine.writer.known
        ignored, receiver = checkpoint.ignore, checkpoint.receiver
        for name, value in self.bound.items():
            if name not in ignored:
                encode = values.encode_receiver if name == receiver else values.encoder.encode
                self.args[name], objects = encode(value, known, path=name)
                if objects:
                    refuse_secrets(objects, name)
                    self.objects += objects
        self.key = ""
        if checkpoint.key is not None:
            encoded = values.encode(checkpoint.key(*args, **kwargs), known, "key")
            self.key = encoded.id
            self.objects += encoded.objects
        self._identity: Identity | None = None

    @property
    def identity(self) -> Identity:
        """What the call is matched by; a call that comes in its turn is matched without it."""
        if self._identity is None:
            self._identity = identity(self.scope.path, self.checkpoint.name, self.args, self.key)
        return self._identity
