"""What goes into a flow and into a wait: JSON schemas of it, and values checked against annotations.

Owns: reading signatures, parsing inputs and answers, and saying which part of one is wrong. Knows nothing of stores and
runs. Pydantic is imported when first needed.
"""

from __future__ import annotations

import functools
import inspect
import json
import typing
from types import SimpleNamespace
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

from kitaru.errors import BadInput, InvalidAnswer, UsageError
from kitaru.runtime.answers import validate_answer_json
from kitaru.runtime.plain import to_plain

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pydantic import TypeAdapter, ValidationError

__all__ = [
    "inputs_schema",
    "parse_input",
    "parse_inputs",
    "parse_output",
    "signature_text",
    "to_plain",
    "validate_answer",
    "validate_answer_json",
    "wait_schema",
]

MAX_PROBLEMS = 10
_NAMELESS = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def signature_text(fn: Callable[..., Any]) -> str:
    """Return a flow's signature as a user would write it, such as `agent(question: str, limit: int = 3) -> str`."""
    fn = _function(fn)
    signature = inspect.signature(fn)
    parameters = [p.replace(annotation=_bare(p.annotation)) for p in signature.parameters.values()]
    bare = signature.replace(parameters=parameters, return_annotation=_bare(signature.return_annotation))
    return f"{fn.__name__}{bare}"


def _bare(annotation: object) -> object:
    """Show an annotation that is still text, as `from __future__ import annotations` leaves it, without its quotes."""
    return _Bare(annotation) if isinstance(annotation, str) else annotation


class _Bare(str):
    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def _function(fn: Callable[..., Any]) -> Callable[..., Any]:
    found: Callable[..., Any] = inspect.unwrap(getattr(fn, "fn", fn))
    return found


def inputs_schema(fn: Callable[..., Any]) -> dict[str, Any]:
    """Return the JSON schema of a function's parameters, as one object; what has no schema accepts anything."""
    from pydantic import TypeAdapter

    parameters = inspect.signature(_function(fn)).parameters.values()
    named = [p for p in parameters if p.kind not in _NAMELESS]
    hints = _hints(fn)
    adapters = {p.name: a for p in named if (a := _described(hints.get(p.name, Any)))}
    found, shared = TypeAdapter.json_schemas([(name, "validation", a) for name, a in adapters.items()])
    schema: dict[str, Any] = {
        "type": "object",
        "properties": {p.name: _property(p, found.get((p.name, "validation"), {})) for p in named},
        "required": [p.name for p in named if p.default is p.empty],
        "additionalProperties": any(p.kind is p.VAR_KEYWORD for p in parameters),
    }
    return schema | ({"$defs": shared["$defs"]} if "$defs" in shared else {})


def _property(parameter: inspect.Parameter, schema: dict[str, Any]) -> dict[str, Any]:
    default = parameter.default
    return {**schema, "default": default} if default is None or type(default) in (str, int, bool) else schema


def _described(hint: object) -> TypeAdapter[Any] | None:
    """Return the adapter of a type that has a JSON schema."""
    from pydantic.errors import PydanticUserError

    adapter = _adapter(hint)
    try:
        if adapter is not None:
            adapter.json_schema()
    except PydanticUserError:
        return None
    return adapter


def _adapter(hint: object) -> TypeAdapter[Any] | None:
    try:
        return _cached_adapter(hint)
    except TypeError:  # an unhashable annotation
        return _new_adapter(hint)


def _new_adapter(hint: Any) -> TypeAdapter[Any] | None:  # noqa: ANN401 - any annotation
    from pydantic import ConfigDict, TypeAdapter
    from pydantic.errors import PydanticUserError

    for config in (None, ConfigDict(arbitrary_types_allowed=True)):
        try:
            return TypeAdapter(hint, config=config)
        except (PydanticUserError, TypeError, NameError):
            continue
    return None


_cached_adapter = functools.lru_cache(maxsize=256)(_new_adapter)


def _hints(fn: Callable[..., Any]) -> dict[str, Any]:
    """Return the annotations that can be resolved, which names imported for type checkers only cannot."""
    fn = _function(fn)
    try:
        return typing.get_type_hints(fn, include_extras=True)
    except Exception:
        found = {}
    for name, hint in fn.__annotations__.items():
        try:
            one = SimpleNamespace(__annotations__={name: hint})
            found.update(typing.get_type_hints(one, fn.__globals__, include_extras=True))
        except Exception:  # noqa: S112 - as above
            continue
    return found


def parse_inputs(
    fn: Callable[..., Any], given: Mapping[str, Any], *, text: bool, documents: Mapping[str, Any] | None = None
) -> dict[str, object]:
    """Return a flow's inputs, checked against its signature.

    Args:
        fn: the flow or its function.
        given: parameter name to value; values win over those of `documents`.
        text: the values were typed as `name=value`: a `str` takes the text as it is; anything else JSON first, then
            whatever pydantic makes of the text. Otherwise they come from Python code, and only names are checked.
        documents: parameter name to a value read from JSON, validated by the annotations.

    Raises:
        BadInput: names the parameter that is unknown, missing or wrong; its hint is the signature.
    """
    documents = {name: value for name, value in (documents or {}).items() if name not in given}
    _check_names(fn, [*documents, *given])
    hints = _hints(fn) if text or documents else {}
    found: dict[str, object] = {n: _parse(fn, n, v, hints.get(n, Any), False) for n, v in documents.items()}
    for name, value in given.items():
        typed = text and isinstance(value, str)
        found[name] = _parse(fn, name, value, hints.get(name, Any), typed) if text else value
    return found


def parse_input(fn: Callable[..., Any], name: str, text: str) -> object:
    """Return one input, typed as `name=value`, by its annotation.

    Args:
        fn: the flow's function.
        name: of the parameter.
        text: what was typed behind the `=`.

    Raises:
        BadInput: the text does not fit the annotation.
    """
    return _parse(fn, name, text, _hints(fn).get(name, Any), True)


def parse_output(fn: Callable[..., Any] | None, name: str, value: object, *, text: bool) -> object:
    """Return what a call is to have returned, as the type its function's annotation says.

    Args:
        fn: the function, or None where it is not known: then JSON or text is taken as it is.
        name: the call, for the error.
        value: what was typed (`text`), or a value from Python code, which is taken as it is.

    Raises:
        BadInput: the value does not fit the annotation.
    """
    if not text or not isinstance(value, str):
        return value
    hint = _hints(fn).get("return", Any) if fn is not None else Any
    try:
        return _parse_text(hint, value, name)
    except _Wrong as wrong:
        raise BadInput(f"wrong output for {wrong}", hint=f"{name} returns {_told(hint)}") from wrong.__cause__


def _check_names(fn: Callable[..., Any], given: list[str]) -> None:
    parameters = inspect.signature(_function(fn)).parameters.values()
    names = [p.name for p in parameters if p.kind not in _NAMELESS]
    if not any(p.kind is p.VAR_KEYWORD for p in parameters):
        import difflib

        for name in given:
            if name not in names:
                near = difflib.get_close_matches(name, names, 1)
                raise _bad(fn, f"no input named {name!r}" + (f"; did you mean {near[0]!r}?" if near else ""))
    missing = [p.name for p in parameters if p.name in names and p.default is p.empty and p.name not in given]
    if missing:
        raise _bad(fn, f"no value for {', '.join(missing)}")


def _bad(fn: Callable[..., Any], what: str) -> BadInput:
    return BadInput(f"{_function(fn).__name__} has {what}", hint=f"its signature is {signature_text(fn)}")


def _parse(fn: Callable[..., Any], name: str, value: object, hint: object, text: bool) -> object:
    try:
        return _parse_text(hint, str(value), name) if text else _validate(hint, value, name)
    except _Wrong as wrong:
        what = f"wrong input for {_function(fn).__name__}: {wrong}"
        raise BadInput(what, hint=f"its signature is {signature_text(fn)}") from wrong.__cause__


class _Wrong(Exception):
    """A value that its type refuses; the text says why."""


def _parse_text(hint: object, text: str, name: str) -> object:
    """Read what was typed for a type: a string as it is, else JSON, else whatever pydantic makes of the text."""
    if hint is Any or hint is object:
        return _json_or_text(text)
    if _is_text(hint):
        return _validate(hint, text, name)
    adapter = _adapter(hint)
    if adapter is None:
        return _json_or_text(text)
    from pydantic import ValidationError

    try:
        return adapter.validate_json(text)
    except ValidationError as error:
        from_json = error
    try:
        return adapter.validate_python(text)
    except ValidationError as error:
        # What looks like a JSON object or list was meant as one, and its own error says more.
        shown = from_json if text.lstrip()[:1] in ("{", "[") else error
        raise _Wrong(_problems(shown, name)) from shown


def _validate(hint: object, value: object, name: str) -> object:
    adapter = None if hint is Any or hint is object else _adapter(hint)
    if adapter is None:
        return value
    from pydantic import ValidationError

    try:
        return adapter.validate_python(value)
    except ValidationError as error:
        raise _Wrong(_problems(error, name)) from error


def _is_text(hint: object) -> bool:
    while typing.get_origin(hint) is Annotated or hasattr(hint, "__supertype__"):
        hint = typing.get_args(hint)[0] if typing.get_origin(hint) is Annotated else hint.__supertype__  # type: ignore[attr-defined]  # a NewType
    return hint is str


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


def _json_or_text(text: str) -> object:
    try:
        return json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return text


def _problems(error: ValidationError, name: str) -> str:
    """Return all problems on one line, each with its place, as in `items[2].price: Input should be a valid number`."""
    errors = error.errors(include_url=False, include_context=False, include_input=False)
    lines = [f"{place}: {e['msg']}" if (place := _place(name, e["loc"])) else e["msg"] for e in errors[:MAX_PROBLEMS]]
    more = [f"and {len(errors) - MAX_PROBLEMS} more"] if len(errors) > MAX_PROBLEMS else []
    return " ".join("; ".join([*lines, *more]).split())


def _place(name: str, location: tuple[int | str, ...]) -> str:
    parts = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location)
    return (name + parts).removeprefix(".")


def wait_schema(schema: object) -> dict[str, Any]:
    """Return the JSON schema of a wait's answer.

    Args:
        schema: any type that pydantic validates: bool, int, str, Literal, Enum, a dataclass, a model, a list of these.

    Raises:
        UsageError: the type has no JSON schema.
    """
    adapter = _described(schema)
    if adapter is None:
        name = getattr(schema, "__name__", repr(schema))
        raise UsageError(
            f"a wait cannot ask for {name}: it has no JSON schema", hint="use a plain type, a dataclass or a model"
        )
    return adapter.json_schema()


def validate_answer(schema: object, value: object, *, text: bool = False) -> object:
    """Return an answer as the type its wait asks for.

    Args:
        schema: the type.
        value: a JSON value, an instance of the type, or what was typed.
        text: it was typed: JSON first, else plain text.

    Raises:
        InvalidAnswer: all problems on one line, each with the field's name.
    """
    try:
        return _parse_text(schema, str(value), "") if text else _validate(schema, value, "")
    except _Wrong as wrong:
        raise InvalidAnswer(
            f"the answer does not fit: {wrong}", hint=f"it must be {_told(schema)}"
        ) from wrong.__cause__


def _told(schema: object) -> str:
    if isinstance(schema, type) and typing.get_origin(schema) is None:
        return schema.__name__
    return str(schema).replace("typing.", "")
