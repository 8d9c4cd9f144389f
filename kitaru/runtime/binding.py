"""How a call's arguments become names: the fast path of `inspect.Signature.bind`.

Owns: binding positional and keyword arguments to parameter names, defaults included. Knows nothing of values' ids.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_PLAIN = inspect.Parameter.POSITIONAL_OR_KEYWORD


class Binder:
    """Binds arguments as Python would call `fn`, in about a microsecond where its parameters are plain."""

    def __init__(self, fn: Callable[..., Any]) -> None:
        self.signature = inspect.signature(fn)
        parameters = self.signature.parameters.values()
        self.names = tuple(p.name for p in parameters)
        self.defaults = {p.name: p.default for p in parameters if p.default is not p.empty}
        self._known = frozenset(self.names)
        self._plain = all(p.kind is _PLAIN for p in parameters)

    def bind(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """Return parameter name to value, defaults filled in; `*args` and `**kwargs` are one value each.

        Raises:
            TypeError: as the call itself would.
        """
        if not self._plain or len(args) > len(self.names):
            return self._slow(args, kwargs)
        if not kwargs and len(args) == len(self.names):
            return dict(zip(self.names, args))  # noqa: B905 - as many, by the line above
        bound = dict(zip(self.names, args, strict=False))
        if kwargs:
            if not (self._known >= kwargs.keys()) or not bound.keys().isdisjoint(kwargs):
                return self._slow(args, kwargs)
            bound.update(kwargs)
        if len(bound) < len(self.names):
            for name, default in self.defaults.items():
                bound.setdefault(name, default)
            if len(bound) < len(self.names):
                return self._slow(args, kwargs)
        return bound

    def _slow(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        bound = self.signature.bind(*args, **kwargs)
        bound.apply_defaults()
        return dict(bound.arguments)
