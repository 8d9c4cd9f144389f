"""What differs between two flow versions.

Owns: the comparison of sources and environments. How a version is named is `project.targets`, what one holds
`runtime.versions`.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

from kitaru.errors import UsageError
from kitaru.project.differences import FactChange
from kitaru.project.reading import Reading
from kitaru.project.targets import find_version, known_versions, parse_flow_target

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from kitaru.runtime.difference import Parts

MAX_LINES = 20_000
"""Lines of one file that are compared; where there are more, the rest of both is told as it is."""

_UNTOLD = frozenset({"path"})
"""Of an entry: where modules were looked for differs between `python FILE` and `kitaru run FILE`."""


@dataclass(frozen=True, slots=True)
class FileDiff:
    """A source file that differs.

    Attributes:
        path: where it is in the project.
        kind: `changed`, `added` or `removed`.
        lines: a unified diff of its text, as Python reads it.
        warning: what is odd about how it was read, empty for most.
    """

    path: str
    kind: str
    lines: list[str]
    warning: str

    @property
    def added(self) -> int:
        """How many lines were put in."""
        return sum(line.startswith("+") for line in self.lines)

    @property
    def removed(self) -> int:
        """How many lines were taken out."""
        return sum(line.startswith("-") for line in self.lines)


@dataclass(frozen=True, slots=True)
class VersionDiff:
    """What differs between two flow versions.

    Attributes:
        old, new: how they are named.
        files: the source files that differ, by path.
        facts: entry, Python, distributions, git commit.
        inputs: where the JSON schemas of the flows' parameters differ.
    """

    old: str
    new: str
    files: list[FileDiff]
    facts: list[FactChange]
    inputs: Parts

    @property
    def differs(self) -> bool:
        """Whether there is any difference."""
        return bool(self.files or self.facts or self.inputs.found)


class VersionComparing(Reading):
    """A project as its flow versions are compared."""

    def diff_versions(self, old: str, new: str | None = None) -> VersionDiff:
        """Compare two recorded versions of a flow, or of two flows.

        Args:
            old: such as `FLOW@v3`; alone, it is compared with the version before it.
            new: the same.

        Raises:
            FlowNotFound: nothing is recorded of a flow.
            UsageError: a name that is none, or a version that the flow does not have.
            Damaged: what is stored is not what was written.
        """
        if new is None:
            old, new = self._before(old), old
        was, now = self._version(old), self._version(new)
        return compare_versions(old, new, was, now)

    def _before(self, text: str) -> str:
        flow, n = parse_flow_target(text).flow, find_version(self.repo, text).n
        earlier = [name.n for name in known_versions(self.repo, flow) if name.n < n]
        if not earlier:
            raise UsageError(f"{text} is the first version: compare it with what?", hint=f"kitaru diff {text} OTHER")
        return f"{flow}@v{earlier[-1]}"

    def _version(self, text: str) -> dict[str, Any]:
        found = find_version(self.repo, text)
        return self.version({"n": found.n, "id": found.id})


def compare_versions(old: str, new: str, was: Mapping[str, Any], now: Mapping[str, Any]) -> VersionDiff:
    """Compare two versions' values."""
    from kitaru.runtime.difference import parts_of
    from kitaru.runtime.sources import changed_files

    files = [
        _file_diff(path, kind, was["files"].get(path, b""), now["files"].get(path, b""))
        for path, kind in changed_files(was["files"], now["files"])
    ]
    inputs = parts_of("inputs", was.get("inputs"), now.get("inputs"), 100)
    return VersionDiff(old, new, files, list(_facts(was, now)), inputs)


def _file_diff(path: str, kind: str, was: bytes, now: bytes) -> FileDiff:
    from kitaru.runtime.source_text import shown_source

    (before, odd), (after, odd_now) = shown_source(was), shown_source(now)
    lines = list(_unified(_lines(before), _lines(after)))
    told = f"{path} differs in its bytes only" if not lines and was and now else ""
    return FileDiff(path, kind, lines, odd_now or odd or told)


def _lines(text: str) -> list[str]:
    """Return the lines as Python takes them: many more characters end one for `str.splitlines`."""
    return text.removesuffix("\n").split("\n") if text else []


def _unified(before: list[str], after: list[str]) -> Iterator[str]:
    """Yield a unified diff without the names of its files, which the page tells."""
    import difflib

    yield from islice(difflib.unified_diff(before[:MAX_LINES], after[:MAX_LINES], lineterm=""), 2, None)
    rest, rest_now = before[MAX_LINES:], after[MAX_LINES:]
    if rest != rest_now:
        yield f"@@ -{MAX_LINES + 1},{len(rest)} +{MAX_LINES + 1},{len(rest_now)} @@"
        yield from (f"-{line}" for line in rest)
        yield from (f"+{line}" for line in rest_now)


def _facts(was: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[FactChange]:
    for name in ("entry", "python", "distributions", "git"):
        before, after = was.get(name), now.get(name)
        if isinstance(before, dict) and isinstance(after, dict):
            for part in sorted({*before, *after} - _UNTOLD):
                if before.get(part) != after.get(part):
                    yield FactChange(f"{name} {part}", _text(before.get(part)), _text(after.get(part)))
        elif before != after:
            yield FactChange(name, _text(before), _text(after))


def _text(value: object) -> str:
    return "" if value is None else str(value)
