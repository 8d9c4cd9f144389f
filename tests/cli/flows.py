"""Flows for the command line's tests; copied into each test's project."""

import enum
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import kitaru
from kitaru import checkpoint, flow, wait


class Verdict(enum.Enum):
    YES = "yes"
    NO = "no"


@dataclass
class Order:
    amount: int
    colour: Literal["red", "blue"]
    note: str = ""


@checkpoint
def plan(question: str) -> dict:
    print("planning", question)
    kitaru.log(model="scripted")
    kitaru.save("draft", [question])
    return {"queries": [question, "why"]}


@checkpoint
def retrieve(plan: dict) -> list:
    return [{"doc": n, "query": query} for n, query in enumerate(plan["queries"])]


@checkpoint
def synthesize(docs: list) -> str:
    return f"{len(docs)} documents"


@flow
def agent(question: str) -> str:
    docs = retrieve(plan(question))
    approved = wait(name="approve", question="Looks right?", schema=bool)
    return synthesize(docs) if approved else "rejected"


@flow
def choose() -> str:
    return wait(name="choose", question="Which?", schema=Literal["red", "green"])


@flow
def both() -> list:
    return [wait(name="first", question="One?", schema=int), wait(name="second", question="Two?", schema=str)]


@checkpoint
def square(n: int) -> int:
    return n * n


@flow
def numbers(n: int = 3) -> list:
    return [square(i) for i in range(n)]


@checkpoint
def boom(why: str) -> None:
    raise ValueError(why)


@flow
def bad(why: str = "no luck") -> None:
    boom(why)


@checkpoint
def evil(text: str) -> str:
    print("\x1b[2Jgone")
    return text + "\x1b]0;title\x07"


@flow
def hostile() -> dict:
    text = evil("a\x1b[31m[red]\nb")
    wait(name="sure", question="q\x1b[31m[red]\nsecond", schema=bool)
    return {"k\x1b[31m": text}


@flow
def unstorable() -> object:
    return opened()


@checkpoint
def opened() -> object:
    return {"things": [object()]}


@checkpoint
def until_told() -> str:
    while not Path("go").exists():
        time.sleep(0.01)
    return "told"


@flow
def slow() -> str:
    return until_told()


@flow
def order() -> int:
    return wait(name="order", question="How much?", schema=Order).amount
