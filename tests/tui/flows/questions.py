"""Flows that ask: a yes, a choice, a nested model, and each kind of schema."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

import kitaru
from kitaru import checkpoint, flow


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Address(BaseModel):
    city: str
    zip: Annotated[str, Field(max_length=5)] = "00000"


class Card(BaseModel):
    kind: Literal["card"] = "card"
    number: str


class Cash(BaseModel):
    kind: Literal["cash"] = "cash"
    amount: float = Field(ge=0.5)


class Order(BaseModel):
    """What is to be sent."""

    name: str = Field(description="who gets it")
    count: int = Field(ge=1, le=9)
    colour: Colour
    address: Address
    pay: Annotated[Card | Cash, Field(discriminator="kind")]
    gift: bool = False
    price: float = 1.5
    tags: list[str] = []
    extra: dict[str, int] = {}
    remark: str | None = None


@dataclass
class Pair:
    left: int
    right: Address


class Node(BaseModel):
    name: str
    inner: list[Node] = []


@checkpoint
def draft(topic: str) -> str:
    kitaru.log(cost=0.0125, usage={"input_tokens": 900, "output_tokens": 300})
    return f"# {topic}\n\nA *draft* about {topic}:\n\n- one\n- two\n"


@checkpoint
def rows() -> list[dict[str, Any]]:
    return [{"name": "apples", "count": 3, "fresh": True}, {"name": "pears", "count": 12, "fresh": None}]


@checkpoint
def tree() -> dict[str, Any]:
    return {"plan": {"steps": ["search", "read"], "limits": {}}, "score": 0.75}


@flow
def publish(topic: str) -> str:
    text = draft(topic)
    if kitaru.wait("approve", question=f"Publish **{topic}**?", schema=bool, metadata={"topic": topic}):
        return text
    return "nothing"


@flow
def paint() -> str:
    return kitaru.wait("colour", question="Which colour?", schema=Colour).value


@flow
def order() -> str:
    rows()
    answer = kitaru.wait("order", question="What is to be sent?", schema=Order)
    return f"{answer.count} for {answer.name} in {answer.address.city}"


@flow
def ask(kind: str, text: str = "") -> Any:
    tree()
    return repr(kitaru.wait("ask", question=text or f"A {kind}?", schema=KINDS[kind]))


KINDS: dict[str, Any] = {
    "integer": Annotated[int, Field(ge=2)],
    "number": Annotated[float, Field(gt=0.5)],
    "line": Annotated[str, Field(max_length=20)],
    "lines": str,
    "literal": Literal["a", 2, None],
    "list": list[int],
    "optional": int | None,
    "union": int | Address,
    "dataclass": Pair,
    "mapping": dict[str, int],
    "tuple": tuple[int, str],
    "recursive": Node,
    "any": Any,
}
