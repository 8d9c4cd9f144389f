"""Examples of answers: read back as typed on a shell, each fits its schema."""

import dataclasses
import enum
import shlex
from typing import Annotated, Literal

import pydantic
import pytest

from kitaru.model.history import WaitView
from kitaru.model.records import Wait
from kitaru.runtime.answers import describe, validate_answer_json
from kitaru.runtime.examples import beside, choices, example_text, fields
from kitaru.runtime.schema import wait_schema
from kitaru.runtime.waits import answer_line


class Colour(enum.Enum):
    RED = "red"
    BLUE = "it's blue"


class Node(pydantic.BaseModel):
    name: str
    next: "Node | None" = None


class Address(pydantic.BaseModel):
    city: str


class Order(pydantic.BaseModel):
    amount: Annotated[int, pydantic.Field(ge=10)]
    colour: Colour
    address: Address
    mode: Literal["fast", "slow"] = "fast"
    tags: list[str] = []


@dataclasses.dataclass
class Pair:
    left: int
    right: float = 0.5


TYPES = [
    bool, int, float, str, None, Colour, Literal["only"], Literal["true", "x"], Literal[-1, 2], Order, Pair, Node,
    list[int], dict[str, int], int | None, tuple[int, str], Annotated[int, pydantic.Field(lt=-3)],
    Annotated[str, pydantic.Field(min_length=8)], Annotated[list[str], pydantic.Field(min_length=2)],
]  # fmt: skip


@pytest.mark.parametrize("kind", TYPES, ids=str)
def test_an_example_fits_as_a_shell_reads_it(kind):
    schema = wait_schema(kind)
    words = shlex.split(example_text(schema))
    assert len(words) == 1 or words[0] == "--"
    validate_answer_json(schema, words[-1], text=True)


@pytest.mark.parametrize("kind", [bool, Colour, Literal["true", "x"], Literal[-1, 2]], ids=str)
def test_choices_can_be_typed(kind):
    schema = wait_schema(kind)
    for choice in choices(schema):
        validate_answer_json(schema, choice, text=True)
    assert len(choices(schema)) == 2


def test_what_stands_beside():
    assert beside(wait_schema(bool)) == "(or false)"
    assert beside(wait_schema(Literal["red", "blue"])) == "(one of: red, blue)"
    assert beside(wait_schema(str)) == "(text)"
    assert beside(wait_schema(Order)) == ""


def test_fields():
    assert [(f.name, f.told) for f in fields(wait_schema(Order))] == [
        ("amount", "an integer (at least 10), required"),
        ("colour", 'one of "red", "it\'s blue", required'),
        ("address", "an object with city (text), required"),
        ("address.city", "text, required"),
        ("mode", 'one of "fast", "slow", default "fast"'),
        ("tags", "a list, each text, default []"),
    ]
    assert len(fields(wait_schema(Node))) < 10


def test_an_object_is_described_by_its_fields():
    assert describe(wait_schema(Pair)) == "an object with left (an integer), right (a number, optional)"


@pytest.mark.parametrize("schema", [{"$ref": "#/$defs/A", "$defs": {"A": {"$ref": "#/$defs/A"}}}, {"enum": 3}])
def test_a_malformed_schema(schema):
    assert shlex.split(example_text(schema))
    assert choices(schema) == fields(schema) == []


def test_the_line_names_the_wait_so_that_a_shell_takes_it():
    def line(name, nth):
        return answer_line(
            "abc", WaitView(Wait(0, name, 1, "0" * 64, schema={"type": "boolean"}, occurrence=nth), "", "abc")
        )

    assert line("ok", 2) == "kitaru answer abc ok#2 true"
    assert line("a;b", 1) == "kitaru answer abc 'a;b' true"
