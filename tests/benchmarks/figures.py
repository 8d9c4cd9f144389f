"""The figures that docs/performance.md shows: which line of which benchmark each is in, and its bar.

Owns: the list. Each row says how to take the figure out of the JSON lines of one script.
"""

from __future__ import annotations

import operator
import statistics
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

Line = dict[str, Any]


class Figure(NamedTuple):
    """One figure.

    Attributes:
        what: in words.
        script: the benchmark that measures it, a module here.
        line: how the lines begin that hold it, by their `benchmark`.
        take: returns it from a line.
        unit: of it.
        most: the bar, where the figure is not to be above it.
        least: the bar, where it is not to be below it.
        where: what else such a line holds.
    """

    what: str
    script: str
    line: str
    take: Callable[[Line], float]
    unit: str
    most: float | None = None
    least: float | None = None
    where: tuple[tuple[str, Any], ...] = ()

    def of(self, lines: Sequence[Line]) -> float | None:
        """Return the median of the figure in all lines that hold it; None if there are none."""
        found = [self.take(line) for line in lines if self._is_in(line)]
        return round(statistics.median(found), 3) if found else None

    def _is_in(self, line: Line) -> bool:
        named = str(line["benchmark"]).startswith(self.line)
        return named and all(line.get(key) == value for key, value in self.where)

    def met(self, value: float) -> bool | None:
        """Tell whether the bar is met; None where there is none."""
        if self.most is not None:
            return value <= self.most
        return value >= self.least if self.least is not None else None

    @property
    def bar(self) -> str:
        """The bar in words."""
        if self.most is not None:
            return f"≤ {self.most:g} {self.unit}".rstrip()
        return f"≥ {self.least:g} {self.unit}".rstrip() if self.least is not None else ""


def _at(*keys: str | int) -> Callable[[Line], float]:
    def take(line: Line) -> float:
        found: Any = line
        for key in keys:
            found = operator.getitem(found, key)
        return float(found)

    return take


_LONG, _SHORT = (("steps", 3000),), (("steps", 300),)

FIGURES = [
    Figure("a call, over append and fdatasync", "calls", "call, power-loss", _at("ratio"), "times", most=1.3),
    Figure("a call, synced", "calls", "call, power-loss", _at("call_us"), "µs"),
    Figure("what it takes beside the sync", "calls", "call, power-loss", _at("overhead_us"), "µs"),
    Figure("a call, not synced", "calls", "call, process-crash", _at("call_us"), "µs"),
    Figure("store, a trivial call of a long run", "size", "size", _at("bytes_per_call"), "B", most=700),
    Figure("resume, a skipped call", "resume", "resume", _at("us_per_skipped_call"), "µs", most=15),
    Figure("history of 300 steps: store", "history", "history", _at("store_mb"), "MB", most=0.5, where=_SHORT),
    Figure("history of 300 steps: all", "history", "history", _at("total_s"), "s", most=0.6, where=_SHORT),
    Figure("history of 3,000 steps: store", "history", "history", _at("store_mb"), "MB", most=3, where=_LONG),
    Figure("its last steps: CPU", "history", "history", _at("last_steps_cpu_ms"), "ms", most=10, where=_LONG),
    Figure("encode 300 messages, one new", "encoding", "encode, flat", _at("step_ms"), "ms", 0.5, None, _SHORT),
    Figure("the same with tool calls", "encoding", "encode, nested", _at("step_ms"), "ms", 1.0, None, _SHORT),
    Figure("the same of pydantic models", "encoding", "encode, pydantic", _at("step_ms"), "ms", None, None, _SHORT),
    Figure("encode 3,000 messages, one new", "encoding", "encode, flat", _at("step_ms"), "ms", where=_LONG),
    Figure("the same with tool calls", "encoding", "encode, nested", _at("step_ms"), "ms", where=_LONG),
    Figure("the same of pydantic models", "encoding", "encode, pydantic", _at("step_ms"), "ms", where=_LONG),
    Figure("8 runs at once, threads", "concurrency", "concurrency, threads", _at("calls_per_s"), "/s", least=2500),
    Figure("8 runs at once, processes", "concurrency", "concurrency, processes", _at("calls_per_s"), "/s", least=1500),
    Figure("map, 8 threads", "concurrent_map", "map, on_threads, power", _at("calls_per_s"), "/s", least=1500),
    Figure("map, async", "concurrent_map", "map, on_a_loop, power", _at("calls_per_s"), "/s", least=1500),
    Figure("1,000 calls in one gather", "concurrent_map", "map, gathered, power", _at("calls_per_s"), "/s"),
    Figure("1 GB of bytes stored, over a file", "large", "large, bytes", _at("speed_of_file"), "times", least=0.6),
    Figure("memory beside the 1 GB", "large", "large, bytes", _at("store_memory_mb"), "MB", most=64),
    Figure("1 GB of bytes stored", "large", "large, bytes", _at("store_s"), "s"),
    Figure("a file of it, one fsync", "large", "large, bytes", _at("file_write_s"), "s"),
    Figure("1 GB of bytes read", "large", "large, bytes", _at("load_s"), "s"),
    Figure("a file of it, read", "large", "large, bytes", _at("file_read_s"), "s"),
    Figure("100 MB array stored", "large", "large, array", _at("store_s"), "s"),
    Figure("100 MB array read", "large", "large, array", _at("load_s"), "s"),
    Figure("isolated call, beyond inline", "isolated", "isolated calls", _at("over_inline_ms"), "ms", most=15),
    Figure("isolated call, cold", "isolated", "isolated calls", _at("cold_ms"), "ms", most=400),
    Figure("100 MB in and out, over files", "isolated", "isolated array, power-loss", _at("times"), "times", most=2),
    Figure("a result from the cache", "cache", "cache hit, power-loss", _at("hit_us"), "µs", most=300),
    Figure("a question to a model, recorded", "llm", "llm call, power-loss", _at("overhead_us"), "µs", most=3000),
    Figure("a chat of 30 turns, over its text", "llm", "chat", _at("times"), "times", most=1.5),
    Figure("`kitaru log`, 20,000 runs", "scale", "scale", _at("before", "warm_ms"), "ms", most=300),
    Figure("its index from nothing", "scale", "scale", _at("before", "index_s"), "s", most=20),
    Figure("`kitaru flow list`, 2,000 versions", "flows", "flows", _at("warm_ms"), "ms", most=200),
    Figure("fsck, large objects", "fsck", "fsck", _at("mb_per_s"), "MB/s", least=200),
    Figure("`kitaru inbox`, 500 questions", "inbox", "inbox", _at("open_s"), "s", most=0.8),
    Figure("a key in its filter", "inbox", "inbox", _at("key_ms"), "ms", most=50),
    Figure("queued runs of 2 workers, synced", "queue", "queue, power-loss", _at("per_s"), "/s", least=30),
    Figure("queued runs of 2 workers, not synced", "queue", "queue, process-crash", _at("per_s"), "/s"),
    Figure("`kitaru invoke`, over `kitaru run`, one file", "invoke", "invoke, one file", _at("over_ms"), "ms", most=50),
    Figure(
        "the same, 30 modules of 300 lines", "invoke", "invoke", _at("over_ms"), "ms", most=50, where=(("modules", 30),)
    ),
    Figure("push of 200 runs of 50 calls", "remote", "remote, many", _at("push_s"), "s", most=10),
    Figure("its requests, a run", "remote", "remote, many", _at("requests_per_run"), "", most=3),
    Figure("pull of them", "remote", "remote, many", _at("pull_s"), "s", most=6),
    Figure("push, nothing new, 1,000 runs there", "remote", "remote, nothing", _at("push_s"), "s", most=1.5),
    Figure("push of 200 MB, over s3fs put_file", "remote", "remote, large", _at("push_over_put"), "times", most=1.3),
    Figure("pull of 200 MB, over s3fs get_file", "remote", "remote, large", _at("pull_over_get"), "times"),
    Figure("`kitaru --help`, over `pass`", "start", "start", _at("help_over_pass"), "times", most=6),
]
