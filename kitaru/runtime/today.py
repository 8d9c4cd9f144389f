"""What recorded arguments, and the defaults of parameters, are to today's code.

Owns: reading and encoding them once each. Which record fits is `model.matching`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kitaru.errors import KitaruError, Unencodable

if TYPE_CHECKING:
    from kitaru.model.encoding import Decoder
    from kitaru.runtime.decorators import Checkpoint
    from kitaru.runtime.values import Values


class Today:
    """Ids of values as today's classes and signatures have them."""

    def __init__(self, values: Values, decoder: Decoder) -> None:
        self._values, self._decoder = values, decoder
        self._ids: dict[str, str] = {}
        self._defaults: dict[Checkpoint[..., Any], dict[str, str]] = {}

    def id(self, recorded: str) -> str:
        """Return the id of a recorded argument as it reads today: a field added since has its default.

        Its own id where it cannot be read by today's classes.
        """
        if recorded not in self._ids:
            try:
                self._ids[recorded] = self._values.encoder.digest(self._decoder.decode(recorded))
            except KitaruError:
                self._ids[recorded] = recorded
        return self._ids[recorded]

    def defaults(self, checkpoint: Checkpoint[..., Any]) -> dict[str, str]:
        """Return the ids of the defaults of a checkpoint's parameters, of those that can be stored."""
        found = self._defaults.get(checkpoint)
        if found is None:
            found = self._defaults[checkpoint] = {}
            for name, default in checkpoint.binder.defaults.items():
                try:
                    found[name] = self._values.encoder.digest(default)
                except Unencodable:
                    continue
        return found
