"""What a type checker must see of the public names. Not executed: `test_typing.py` gives it to mypy."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from typing import Any, Literal, assert_type
from uuid import UUID

from pydantic import BaseModel

import kitaru
from kitaru import CallFuture, CallFutures, Checkpoint, Flow, FlowHandle, Project, Status, checkpoint, flow, wait


class Pace(Enum):
    FAST = "fast"


@dataclass
class Decision:
    approve: bool


@checkpoint
def plan(question: str, limit: int = 3) -> list[str]:
    return [question] * limit


@checkpoint(name="search", ignore=["client"], key=lambda query, client: query, on_drift="new")
def search(query: str, client: object) -> dict[str, int]:
    return {query: id(client)}


@checkpoint(retries=kitaru.Retry(max_attempts=3, on=(OSError,)), timeout="5m", concurrency=4)
async def ask(question: str) -> int:
    return len(question)


@flow(max_workers=4, retries=2, timeout=60)
async def debate(question: str) -> int:
    assert_type(await ask(question), int)
    assert_type(await ask.submit(question), int)
    assert_type(await ask.map([question]), list[int])
    assert_type(await plan.submit(question), list[str])
    return 1


def many(question: str) -> None:
    assert_type(plan.submit(question), CallFuture[list[str]])
    assert_type(plan.submit(question).result(timeout=1), list[str])
    assert_type(plan.map([question], limit=2), CallFutures[list[str]])
    assert_type(plan.starmap([(question, 1)]).results(), list[list[str]])
    assert_type(plan.product([question], [1, 2], on_error="cancel")[0], CallFuture[list[str]])
    assert_type(ask.with_options(retries=2).submit(question), CallFuture[int])
    assert_type(debate.run(question), FlowHandle[int])
    assert_type(debate.with_options(max_workers=2).run(question).wait(), int)


async def awaits(question: str) -> None:
    assert_type(await kitaru.wait_async(), bool)
    assert_type(await kitaru.wait_async("pace", "How fast?", schema=Pace), Pace)
    assert_type(await kitaru.wait_async("one", choices=[1, 2]), int)
    assert_type(await agent.run(question), str)


@flow
def agent(question: str, *, limit: int = 3) -> str:
    assert_type(plan(question), list[str])
    assert_type(plan(question, limit=limit), list[str])
    assert_type(search("x", None), dict[str, int])
    assert_type(wait(), bool)
    assert_type(wait("approve", "Good?", schema=bool), bool)
    assert_type(wait("n", schema=int), int)
    assert_type(wait("pace", schema=Pace), Pace)
    assert_type(wait("decision", schema=Decision, metadata={"cost": 1}), Decision)
    chosen: Literal["a", "b"] = wait("one", schema=Literal["a", "b"])
    pages: list[int] = wait("pages", schema=list[int])
    assert_type(wait("ship", choices=["ship", "hold"], deadline="3d", default="hold", show="draft"), str)
    assert_type(wait("n", schema=int, deadline=timedelta(days=3), default=1, timeout="5m"), int)
    assert_type(wait("sure", deadline=kitaru.now(), default=False, show={"draft": chosen}), bool)
    assert_type(kitaru.current_call().key, str)
    assert_type(kitaru.now(), datetime)
    assert_type(kitaru.uuid4(), UUID)
    assert_type(kitaru.random(), float)
    kitaru.sleep(timedelta(days=1))
    kitaru.sleep(until=kitaru.now() + timedelta(days=1))
    kitaru.progress("counting", current=1, total=3)
    kitaru.log(tokens=len(pages))
    kitaru.save("draft", chosen)
    return chosen


@flow(name="named", tags=["x"], on_drift="reuse")
def other() -> int:
    return 1


def use() -> None:
    handle = agent.run("why", limit=2)
    assert_type(handle, FlowHandle[str])
    assert_type(handle.wait(), str)
    assert_type(handle.wait(timeout=1.5), str)
    assert_type(handle.get(), str)
    assert_type(handle.exec_id, str)
    assert_type(handle.status, Status)
    assert_type(other.run(), FlowHandle[int])
    assert_type(agent.with_options(tags=["y"]).run("why"), FlowHandle[str])
    deployed = agent.deploy(route="stable", note="why", weight=10)
    assert_type(deployed.version.n, int)
    assert_type(deployed.notes, tuple[str, ...])
    project = Project.open()
    assert_type(project.deploy(agent).new, bool)
    assert_type(project.deploy("agent.py:agent", route="stable").flow, str)
    assert_type(project.flow_version("agent@stable").inputs, dict[str, Any])
    assert_type([line.outcomes.took(50) for line in project.flow_stats("agent")], list[int | None])
    assert_type(project.invoke("agent@stable", {"topic": "tides"}, key="k", detach=True), FlowHandle[Any])
    assert_type(project.set_route("agent", "stable", {"v1": 90, "v2": 10}, note="try it").n, int)
    assert_type([entry.by for entry in project.route_log("agent", "stable")], list[str])
    assert_type([moved.run for moved in project.push(runs=["@"]).runs], list[str])
    assert_type(project.pull(runs_only=True, strict=False).error(), kitaru.KitaruError | None)
    assert_type(project.add_remote("team", "s3://bucket/agents", profile="ana").url, str)
    assert_type(Project.clone("s3://bucket/agents")[0], Project)
    project.resume("@").wait()
    project.replay("@", from_="plan", set={"plan": []}, args={"limit": 1}, answers={"approve": True})
    project.answer("@", "approve", True, by="ann", note="fine", resume=False)
    assert_type(project.reject("@", note="no").ended, bool)
    assert_type([wait.view.label for wait in project.waits(all=True)], list[str])


class Answer(BaseModel):
    city: str


async def asks(messages: list[dict[str, str]]) -> None:
    assert_type(kitaru.llm("hi", model="fast", temperature=0, top_p=1), str)
    assert_type(kitaru.llm(messages, response_format=Answer), Answer)
    assert_type(await kitaru.allm("hi"), str)
    assert_type(await kitaru.allm("hi", response_format=Answer), Answer)
    assert_type(list(kitaru.llm("hi", stream=True)), list[str])
    assert_type(kitaru.llm.full("hi").text, str)
    assert_type((await kitaru.llm.afull("hi")).usage.prompt, int | None)
    assert_type(kitaru.llm.has_default(), bool)
    assert_type(kitaru.llm(messages, tools=[{"type": "function"}]).tool_calls, list[dict[str, Any]])
    assert_type([piece async for piece in kitaru.allm("hi", stream=True)], list[str])
    with kitaru.track("openai/x") as asked:
        asked.add(messages)


def takes(made: Flow[[], int], step: Checkpoint[[str, object], dict[str, int]]) -> None:
    assert_type(made.run().wait(), int)
    assert_type(step("x", None), dict[str, int])


takes(other, search)
