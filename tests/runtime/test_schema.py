"""Inputs and answers: their schemas, and what is said of those that do not fit."""

from __future__ import annotations

import datetime as dt
import json
import subprocess
import sys
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NewType

import pytest
from pydantic import BaseModel, Field

import kitaru.errors
from kitaru.errors import BadInput, InvalidAnswer, UsageError
from kitaru.runtime.decorators import flow
from kitaru.runtime.schema import (
    inputs_schema,
    parse_inputs,
    signature_text,
    validate_answer,
    validate_answer_json,
    wait_schema,
)

if TYPE_CHECKING:
    from nowhere import Unknown  # type: ignore[import-not-found]  # that it is nowhere is the point

Topic = NewType("Topic", str)


class Mode(Enum):
    FAST = "fast"
    SLOW = "slow"


class Level(Enum):
    LOW = 1
    HIGH = 2


@dataclass
class Item:
    name: str
    price: float


class Order(BaseModel):
    items: list[Item]
    note: str = ""
    share: Annotated[int, Field(ge=0, le=100)] = 0


class Client:
    pass


@flow
def agent(
    question: str,
    limit: int = 3,
    mode: Mode = Mode.FAST,
    when: dt.date | None = None,
    items: list[Item] | None = None,
    anything=None,
    client: Client | None = None,
    elsewhere: Unknown = None,
) -> str:
    return question


def free(first, /, *rest: int, **options: str) -> None:
    pass


def test_inputs_schema_describes_every_parameter():
    schema = inputs_schema(agent)
    assert schema["required"] == ["question"]
    assert schema["additionalProperties"] is False
    properties = schema["properties"]
    assert properties["question"] == {"type": "string"}
    assert properties["limit"] == {"type": "integer", "default": 3}
    assert properties["mode"] == {"$ref": "#/$defs/Mode"}
    assert properties["anything"] == properties["client"] == properties["elsewhere"] == {"default": None}
    assert set(schema["$defs"]) == {"Mode", "Item"}
    json.dumps(schema)


def test_inputs_schema_of_free_parameters():
    schema = inputs_schema(free)
    assert (list(schema["properties"]), schema["additionalProperties"]) == (["first"], True)


def test_signature_is_shown_as_it_was_written():
    assert signature_text(agent).startswith("agent(question: str, limit: int = 3, mode: Mode = ")
    assert "when: dt.date | None = None" in signature_text(agent)
    assert signature_text(agent).endswith(") -> str")


def typed(hint: Any, text: str) -> object:
    def f(value):
        pass

    f.__annotations__["value"] = hint
    return parse_inputs(f, {"value": text}, text=True)["value"]


@pytest.mark.parametrize(
    ("hint", "text", "value"),
    [
        (str, "3", "3"),
        (str, '"quoted"', '"quoted"'),
        (str, "", ""),
        (Topic, "3", "3"),
        (Annotated[str, Field(max_length=9)], "true", "true"),
        (str | None, "3", "3"),
        (str | None, "null", None),
        (int, "3", 3),
        (float, "1e3", 1000.0),
        (Decimal, "1.10", Decimal("1.10")),
        (bool, "true", True),
        (bool, "no", False),
        (dt.date, "2026-01-01", dt.date(2026, 1, 1)),
        (Mode, "slow", Mode.SLOW),
        (Level, "2", Level.HIGH),
        (Literal["a", "b"], "b", "b"),
        (Path, "3", Path("3")),
        (list[int], "[1, 2]", [1, 2]),
        (set[str], '["a"]', {"a"}),
        (Item, '{"name": "a", "price": 2}', Item("a", 2.0)),
        (dict[str, int], '{"a": 1}', {"a": 1}),
        (Any, "[1]", [1]),
        (Any, "plain words", "plain words"),
        (Any, "NaN", "NaN"),
        (object, "7", 7),
    ],
)
def test_typed_inputs_follow_the_annotation(hint, text, value):
    found = typed(hint, text)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"limit": "x"}, r"wrong input for agent: limit: Input should be a valid integer"),
        ({"mode": "medium"}, r"mode: Input should be 'fast' or 'slow'"),
        ({"items": '[{"name": "a"}]'}, r"items\[0\]\.price: Field required"),
        ({"items": "[broken"}, r"items: Invalid JSON"),
        ({"client": "x"}, r"client: Input should be an instance of Client"),
        ({"limt": "3"}, r"agent has no input named 'limt'; did you mean 'limit'\?"),
    ],
)
def test_wrong_inputs_are_named(given, said):
    with pytest.raises(BadInput, match=said) as caught:
        parse_inputs(agent, {"question": "?", **given}, text=True)
    assert "\n" not in str(caught.value)
    assert caught.value.hint == f"its signature is {signature_text(agent)}"


@pytest.mark.parametrize("text", [True, False])
def test_missing_and_unknown_inputs_are_named_whoever_calls(text):
    with pytest.raises(BadInput, match="agent has no value for question"):
        parse_inputs(agent, {}, text=text)
    with pytest.raises(BadInput, match="no input named 'zzz'"):
        parse_inputs(agent, {"question": "", "zzz": ""}, text=text)


def test_values_from_python_are_left_alone():
    client = object()
    given = {"question": 3, "limit": "x", "client": client}
    assert parse_inputs(agent, given, text=False) == given


def test_documents_are_validated_and_never_read_as_text():
    found = parse_inputs(
        agent,
        {"question": "typed"},
        text=True,
        documents={"question": "file", "limit": 4, "anything": "3", "items": [{"name": "a", "price": 1}]},
    )
    assert found == {"question": "typed", "limit": 4, "anything": "3", "items": [Item("a", 1.0)]}
    with pytest.raises(BadInput, match="limit"):
        parse_inputs(agent, {"question": ""}, text=True, documents={"limit": "many"})


def test_free_parameters_take_any_name():
    assert parse_inputs(free, {"first": "1", "extra": "2"}, text=True) == {"first": 1, "extra": 2}


ANSWERS = [
    (bool, True, True),
    (int, 3, 3),
    (str, "x", "x"),
    (Literal["a", "b"], "a", "a"),
    (Mode, "fast", Mode.FAST),
    (Item, {"name": "a", "price": 1}, Item("a", 1.0)),
    (list[Item], [{"name": "a", "price": 1.5}], [Item("a", 1.5)]),
    (Order, {"items": []}, Order(items=[])),
    (int | None, None, None),
    (tuple[int, str], [1, "a"], (1, "a")),
    (dict[str, bool], {"a": True}, {"a": True}),
    (dt.date, "2026-01-01", dt.date(2026, 1, 1)),
]


@pytest.mark.parametrize(("schema", "plain", "value"), ANSWERS)
def test_answers_that_fit(schema, plain, value):
    assert validate_answer(schema, plain) == value
    assert validate_answer_json(wait_schema(schema), plain) == plain
    assert validate_answer(schema, json.dumps(plain) if schema is not str else plain, text=True) == value


WRONG = [
    (bool, "maybe", "boolean", "true or false"),
    (int, "x", "integer", "an integer"),
    (str, 3, "string", "text"),
    (Literal["a", "b"], "c", "'a' or 'b'", '"a", "b"'),
    (Mode, "medium", "'fast' or 'slow'", '"fast", "slow"'),
    (Item, {"name": "a"}, "price: Field required", "price: Field required"),
    (Order, {"items": [{"name": "a", "price": "x"}]}, r"items\[0\].price: Input", r"items\[0\].price: Input"),
    (Order, {"items": [], "share": 101}, "share: Input", "share: Input should be at most 100"),
    (Order, {"items": [{}, {}]}, r"items\[0\].name: .*; items\[1\].price", r"items\[0\].name: .*; items\[1\].price"),
    (list[int], {"a": 1}, "list", "a list"),
    (Item | None, {"name": "a"}, "price: Field required", "price: Field required"),
]


@pytest.mark.parametrize(("schema", "value", "said", "said_of_json"), WRONG)
def test_answers_that_do_not_fit_name_the_field(schema, value, said, said_of_json):
    with pytest.raises(InvalidAnswer, match=said) as caught:
        validate_answer(schema, value)
    assert "\n" not in str(caught.value)
    with pytest.raises(InvalidAnswer, match=said_of_json):
        validate_answer_json(wait_schema(schema), value)


@pytest.mark.parametrize(
    ("schema", "text", "plain"),
    [
        (bool, "yes", True),
        (bool, "False", False),
        (str, "true", "true"),
        (Mode, "slow", "slow"),
        (str | None, "words", "words"),
        (int, "12", 12),
        (Level, "2", 2),
        (list[int], "[1]", [1]),
    ],
)
def test_typed_answers_are_read_by_the_recorded_schema(schema, text, plain):
    found = validate_answer_json(wait_schema(schema), text, text=True)
    assert found == plain
    assert type(found) is type(plain)
    validate_answer(schema, found)


def test_a_boolean_is_no_number_and_a_number_no_boolean():
    for schema, value in ((int, True), (bool, 1), (Level, True)):
        with pytest.raises(InvalidAnswer):
            validate_answer_json(wait_schema(schema), value)


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "#/$defs/A", "$defs": {"A": {"$ref": "#/$defs/A"}}},
        {"$defs": {"A": {"anyOf": [{"$ref": "#/$defs/A"}]}}, "anyOf": [{"$ref": "#/$defs/A"}]},
        {"$defs": {"A": {"anyOf": [{"$ref": "#/$defs/A"}] * 9}}, "$ref": "#/$defs/A"},
        {"$ref": 3},
        {"type": "no-such-type"},
        {"$defs": [], "$ref": "#/$defs/A"},
        {"anyOf": []},
        {"minimum": "x"},
        {"required": 3, "properties": []},
        {"type": 7, "enum": 3},
    ],
)
def test_a_malformed_recorded_schema_ends_in_an_answer_or_a_refusal(schema):
    for value in (1, "a", {"a": 1}, [1]):
        try:
            assert validate_answer_json(schema, value) == value
        except InvalidAnswer as error:
            assert str(error)


def test_a_recursive_schema_is_followed_as_deep_as_the_value():
    schema = {
        "$ref": "#/$defs/Tree",
        "$defs": {"Tree": {"type": "object", "properties": {"kids": {"items": {"$ref": "#/$defs/Tree"}}}}},
    }
    assert validate_answer_json(schema, {"kids": [{"kids": []}]})
    with pytest.raises(InvalidAnswer, match=r"kids\[0\]\.kids\[0\]: Input should be an object"):
        validate_answer_json(schema, {"kids": [{"kids": [1]}]})


def test_a_wait_cannot_ask_for_what_has_no_schema():
    with pytest.raises(UsageError, match="cannot ask for Client"):
        wait_schema(Client)


def test_many_problems_are_cut_short():
    with pytest.raises(InvalidAnswer, match="and 20 more"):
        validate_answer(list[int], ["x"] * 30)
    with pytest.raises(InvalidAnswer, match="and 20 more"):
        validate_answer_json(wait_schema(list[int]), ["x"] * 30)


def test_pydantic_is_imported_only_when_needed():
    code = "import sys, kitaru.runtime.schema, kitaru.runtime.loading; assert 'pydantic' not in sys.modules"
    env = {"PYTHONPATH": str(Path(kitaru.errors.__file__).parents[1])}
    subprocess.run([sys.executable, "-c", code], env=env, check=True)
