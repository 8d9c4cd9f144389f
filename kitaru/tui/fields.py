"""From a recorded JSON schema to the fields of a form.

Owns: which kind of field each part of a schema becomes, what it begins with, and which field an error belongs to. Pure;
what is recorded may be malformed or cyclic: whatever cannot be shown as a field becomes a text of JSON.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from kitaru.text import clean

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

MAX_DEPTH = 8
MAX_FIELDS = 60
MAX_OPTIONS = 300
MAX_ITEMS = 100
MAX_BRANCHES = 20
MAX_LABEL = 60
LONG_TEXT = 200
_MAX_REFERENCES = 20
_SHORT = {"maxLength", "format", "pattern"}
_MALFORMED = (TypeError, AttributeError, ValueError, KeyError, IndexError, RecursionError)


class _Missing:
    def __repr__(self) -> str:
        return "MISSING"


MISSING: Any = _Missing()
"""The value of a field that is left out."""


class Kind(StrEnum):
    """What a field is shown as."""

    SWITCH = "switch"
    CHOICE = "choice"
    INTEGER = "integer"
    NUMBER = "number"
    LINE = "line"
    LINES = "lines"
    GROUP = "group"
    LIST = "list"
    UNION = "union"
    NULL = "null"
    JSON = "json"


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a form.

    Attributes:
        place: where its value lies, as errors name it: `address.city`, `items[0]`; empty for the answer as a whole.
        name: its own name in the object that it belongs to; empty for what belongs to none.
        title: the same as shown.
        part: its schema, references followed.
        begin: the value it begins with; `MISSING` where there is none.
        about: what it is for, in the schema's words.
        told: type and limits in words.
        options: of a choice: label and value of each.
    """

    kind: Kind
    place: str
    name: str
    title: str
    part: dict[str, Any]
    required: bool
    begin: Any = MISSING
    about: str = ""
    told: str = ""
    options: tuple[tuple[str, Any], ...] = ()
    depth: int = 0


class Form:
    """The fields of one schema.

    Args:
        schema: as recorded.
        misfits: returns why a value does not fit a schema, each with its place.
        describe: returns a part of the schema in a few words.
    """

    def __init__(
        self,
        schema: dict[str, Any],
        misfits: Callable[[dict[str, Any], object], list[str]],
        describe: Callable[[dict[str, Any], dict[str, Any]], str],
    ) -> None:
        self.schema = schema
        self._defs = schema.get("$defs")
        self._misfits, self._describe = misfits, describe
        self.root = self.field(schema, "", "", required=True)

    # -- from parts to fields ------------------------------------------------------------------------------------

    def field(
        self,
        part: Any,  # noqa: ANN401 - recorded JSON, of any shape
        place: str,
        name: str,
        *,
        required: bool,
        begin: Any = MISSING,  # noqa: ANN401 - any JSON value
        depth: int = 0,
    ) -> Field:
        """Return the field for a part of the schema.

        Args:
            begin: what it begins with instead of its own default.
        """
        try:
            resolved = self._resolve(part)
            kind, options = self._kind(resolved, depth)
            told = clean(self._describe(self.schema, resolved)) if kind not in (Kind.GROUP, Kind.UNION) else ""
            about = clean(str(resolved.get("description", "")))[:LONG_TEXT].partition("\n")[0]
        except _MALFORMED:
            return Field(Kind.JSON, place, name, clean(name)[:MAX_LABEL], {}, required, begin, depth=depth)
        if kind is Kind.LINE and not place and not _SHORT & resolved.keys():
            kind = Kind.LINES  # the whole answer is a text, of which nothing says that it is short
        begin = resolved.get("default", MISSING) if begin is MISSING else begin
        title = clean(name)[:MAX_LABEL]
        return Field(kind, place, name, title, resolved, required, begin, about, told, options, depth)

    def _resolve(self, part: Any) -> dict[str, Any]:  # noqa: ANN401 - as above
        """Return a part with its references followed; what stands beside a reference wins."""
        beside: dict[str, Any] = {}
        for _ in range(_MAX_REFERENCES):
            beside = {**{k: v for k, v in part.items() if k != "$ref"}, **beside}
            if "$ref" in part:
                part = (self._defs or {})[str(part["$ref"]).rpartition("/")[2]]
            elif len(beside.get("allOf", ())) == 1:
                part = beside.pop("allOf")[0]
            else:
                return beside
        raise ValueError("references in a circle")

    def _kind(self, part: dict[str, Any], depth: int) -> tuple[Kind, tuple[tuple[str, Any], ...]]:
        if depth > MAX_DEPTH or "allOf" in part:
            return Kind.JSON, ()
        options = self._options(part)
        if options:
            return (Kind.CHOICE, options) if len(options) <= MAX_OPTIONS else (Kind.JSON, ())
        branches = part.get("anyOf") or part.get("oneOf")
        if branches:
            return (Kind.UNION if len(branches) <= MAX_BRANCHES else Kind.JSON), ()
        return _plain_kind(part), ()

    def _options(self, part: dict[str, Any]) -> tuple[tuple[str, Any], ...]:
        """Return the values of a part that is one of a few: an enum, a constant, or branches that all are."""
        if "const" in part:
            return _labelled([part["const"]])
        if "enum" in part:
            return _labelled(part["enum"])
        found: list[tuple[str, Any]] = []
        for branch in part.get("anyOf") or part.get("oneOf") or ():
            resolved = self._resolve(branch)
            if resolved.get("type") == "null":
                found.append(("none", None))
            elif resolved.get("type") == "boolean" and "const" not in resolved:
                found += [("yes", True), ("no", False)]
            elif "enum" in resolved or "const" in resolved:
                found += _labelled(resolved.get("enum", [resolved.get("const")]))
            else:
                return ()
        return tuple(found)

    # -- inside a field ------------------------------------------------------------------------------------------

    def members(self, group: Field) -> list[Field]:
        """Return the fields of a group: the required ones first, in their own order; a record sorts all others."""
        properties, first = group.part["properties"], group.part.get("required", [])
        names = [*(n for n in first if n in properties), *(n for n in properties if n not in first)]
        required, given = group.part.get("required", []), group.begin if isinstance(group.begin, dict) else {}
        return [
            self.field(
                part,
                f"{group.place}.{name}" if group.place else name,
                name,
                required=name in required,
                begin=given.get(name, MISSING),
                depth=group.depth + 1,
            )
            for name, part in ((name, properties[name]) for name in dict.fromkeys(names))
        ]

    def item(self, owner: Field, index: int, begin: Any = MISSING) -> Field:  # noqa: ANN401 - any JSON value
        """Return the field for the item of a list."""
        part, place = owner.part.get("items", {}), f"{owner.place}[{index}]"
        return self.field(part, place, str(index + 1), required=True, begin=begin, depth=owner.depth + 1)

    def branches(self, union: Field) -> list[Field]:
        """Return a field for each branch of a union, the value it begins with in the first that it fits."""
        parts = union.part.get("anyOf") or union.part.get("oneOf") or []
        found = [self.field(p, union.place, "", required=True, depth=union.depth + 1) for p in parts]
        if union.begin is MISSING:
            return found
        chosen = next((n for n, branch in enumerate(found) if self.fits(branch, union.begin)), None)
        if chosen is not None:
            one = found[chosen]
            found[chosen] = self.field(
                parts[chosen], one.place, "", required=True, begin=union.begin, depth=union.depth + 1
            )
        return found

    def chosen(self, union: Field, branches: list[Field]) -> int:
        """Return the branch that a union begins with: that of its value, else the first that is not none."""
        if union.begin is not MISSING:
            fitting = (n for n, branch in enumerate(branches) if self.fits(branch, union.begin))
            return next(fitting, 0)
        return next((n for n, branch in enumerate(branches) if branch.kind is not Kind.NULL), 0)

    def fits(self, field: Field, value: object) -> bool:
        """Tell whether a value fits one field."""
        return not self.misfits_of(field, value)

    def misfits_of(self, field: Field, value: object) -> list[str]:
        """Return why a value does not fit one field, with places below it."""
        found = self._misfits({**field.part, **({"$defs": self._defs} if self._defs else {})}, value)
        return [_below(field.place, problem) for problem in found]

    def misfits(self, value: object, chosen: Iterable[tuple[Field, object]] = ()) -> list[str]:
        """Return why an answer does not fit.

        Args:
            value: of the root.
            chosen: the branch that is shown of each union and its value, outer ones first: what does not fit is told
                of that branch, and not of another one.
        """
        found = self._misfits(self.schema, value)
        for field, inner in chosen:
            found = [p for p in found if not is_below(field.place, p)] + self.misfits_of(field, inner)
        return found

    def label(self, branch: Field) -> str:
        """Return what a branch of a union is called."""
        if branch.kind is Kind.NULL:
            return "none"
        title = branch.part.get("title") if branch.kind is Kind.GROUP else None
        return clean(str(title or branch.told or branch.kind))[:MAX_LABEL]


def _plain_kind(part: Mapping[str, Any]) -> Kind:
    kind = part.get("type")
    if kind == "string":
        return Kind.LINES if _is_long(part) else Kind.LINE
    if kind == "object":
        properties = part.get("properties")
        is_group = isinstance(properties, dict) and 0 < len(properties) <= MAX_FIELDS
        return Kind.GROUP if is_group and not part.get("additionalProperties") else Kind.JSON
    if kind == "array":
        return Kind.LIST if isinstance(part.get("items"), dict) and not part.get("prefixItems") else Kind.JSON
    plain = {"boolean": Kind.SWITCH, "integer": Kind.INTEGER, "number": Kind.NUMBER, "null": Kind.NULL}
    return plain.get(str(kind), Kind.JSON)


def _is_long(part: Mapping[str, Any]) -> bool:
    """Tell whether a text may need several lines: nothing says that it is short."""
    if part.get("format") == "multiline" or "\n" in str(part.get("default", "")):
        return True
    return int(part.get("maxLength", 0)) > LONG_TEXT


def _labelled(values: Iterable[Any]) -> tuple[tuple[str, Any], ...]:
    words = {True: "yes", False: "no", None: "none"}
    return tuple((words[v] if v is None or isinstance(v, bool) else label_of(v), v) for v in values)


def label_of(value: object) -> str:
    """Return a JSON value on a line."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return clean(text)[:MAX_LABEL]


def _below(place: str, problem: str) -> str:
    """Return a problem that is told of a part with the place of that part before it."""
    if not place:
        return problem
    head, found, _ = problem.partition(": ")
    if not found or " " in head:
        return f"{place}: {problem}"
    return f"{place}{problem}" if head.startswith("[") else f"{place}.{problem}"


def is_below(place: str, problem: str) -> bool:
    """Tell whether a problem is of a place or of something in it."""
    return not place or problem.startswith((f"{place}: ", f"{place}.", f"{place}["))


def by_place(places: Iterable[str], problems: Iterable[str]) -> dict[str, str]:
    """Return the problems by the innermost of these places that each belongs to; without their place where it is all.

    Args:
        places: of the fields that are shown; the empty one takes what belongs to no other.
    """
    inner_first, found = sorted(places, key=len, reverse=True), dict[str, str]()
    for problem in problems:
        place = next((p for p in inner_first if p and is_below(p, problem)), "")
        told = problem.removeprefix(f"{place}: ") if place else problem
        found.setdefault(place, clean(told))
    return found
