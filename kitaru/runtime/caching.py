"""The result cache, as one run uses it: which calls take part, under which key, and what a hit gives.

Owns: these decisions. Where entries are kept and believed is `store.result_cache`, what a checkpoint's code is
`runtime.fingerprint`; that a call is recorded as reused is `runtime.calls`.

A cached result counts for a run as its own: its objects are written with the record, so that the run that it came from
may be pruned at any time.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from kitaru.errors import KitaruError
from kitaru.model.ids import display_call
from kitaru.runtime.names import module_name

if TYPE_CHECKING:
    from pathlib import Path

    from kitaru.model.records import Call
    from kitaru.runtime.decorators import Checkpoint
    from kitaru.runtime.engine import Engine
    from kitaru.runtime.live_call import Asked
    from kitaru.runtime.options import CheckpointOptions
    from kitaru.store.result_cache import ResultCache

FORMAT = "kitaru-result-1"
"""Part of every key: entries of another meaning are never found."""


class Caching:
    """The result cache for one execution of a run.

    Args:
        results: the store's.
        root: the project's directory.
        engine: what executes the run.
        asked: what the command says: True for all checkpoints that do not refuse, False to take nothing from the cache
            (results are kept all the same, in the place of those that were there), None for nothing.
    """

    def __init__(self, results: ResultCache, root: Path, engine: Engine, asked: bool | None) -> None:
        self._results, self._root, self._engine = results, root, engine
        self._modules: dict[Checkpoint[..., Any], str] = {}
        self._takes = asked is not False
        self._default = asked is True or engine.options.cache is True

    def join(self) -> None:
        """Take part in the run: be asked before each call executes, and told of each that has."""
        self._engine.reuse = self.fields
        self._engine.after_call.append(self.keep)

    def fields(self, asked: Asked) -> dict[str, Any]:
        """Return what a call's record is to say by the cache: its key, and on a hit the result and where it came from.

        The objects of that result join those that are written with the record.
        """
        options = asked.checkpoint.options
        if not (self._default if options.cache is None else options.cache):
            return {}
        key = self.key(asked)
        return (self._taken(key, asked, options) if self._takes else None) or {"cache": key}

    def key(self, asked: Asked) -> str:
        """Return the key of a call's result, 64 hex digits: equal for calls that would compute the same."""
        from kitaru.runtime.fingerprint import fingerprint_of

        checkpoint, options, digest = asked.checkpoint, asked.checkpoint.options, self._engine.values.encoder.digest
        if options.cache_key is None:
            inputs = [part for item in sorted(asked.args.items()) for part in item]
        else:
            inputs = ["", digest(options.cache_key(*asked.positional, **asked.kwargs))]
        code = fingerprint_of(checkpoint, self._root, digest)
        told = [FORMAT, self._module(checkpoint), checkpoint.name, code, *inputs]
        return hashlib.sha256("\0".join(told).encode("utf-8", "surrogatepass")).hexdigest()

    def _module(self, checkpoint: Checkpoint[..., Any]) -> str:
        found = self._modules.get(checkpoint)
        if found is None:  # of a script, it takes a look at the disk
            found = self._modules[checkpoint] = module_name(checkpoint.fn, self._root)
        return found

    def _taken(self, key: str, asked: Asked, options: CheckpointOptions) -> dict[str, Any] | None:
        """Return the fields of a hit whose result is there, whole and readable; None to execute the call."""
        cached = self._results.find(key, self._warn)
        if cached is None or self._is_too_old(cached.record, options.expires):
            return None
        record, engine = cached.record, self._engine
        try:
            objects = self._results.objects(cached, engine.writer.known)
            engine.values.decoder([cached.run]).decode(record.output or "")
        except KitaruError:  # gone, damaged, or of a class that is no longer what it was
            return None
        asked.objects += objects
        source = {"run": cached.run, "record": cached.id, "call": display_call(record.name, record.occurrence)}
        return {"cache": key, "output": record.output, "saved": dict(record.saved), "reused": source}

    def _is_too_old(self, record: Call, expires: float | None) -> bool:
        return expires is not None and self._engine.now() - record.at >= expires * 1_000_000

    def keep(self, record: Call) -> None:
        """Keep the result of a call that has executed, for later ones."""
        if record.cache and record.output is not None and not record.mutated:
            view = self._engine.state.calls[record.order]
            self._results.keep(record.cache, self._engine.run, view.id, record, self._warn)

    def _warn(self, text: str) -> None:
        self._engine.emit("cache", text=text)
