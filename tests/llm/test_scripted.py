"""The testing kit's scripted model, and `kitaru.track`."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest
from pydantic import BaseModel

import kitaru
from kitaru.errors import RunFailed
from kitaru.model.spending import model_calls
from kitaru.testing import memory_project, scripted_model
from kitaru.testing.models import rate_limited


class Plan(BaseModel):
    steps: list[str]


@kitaru.flow
def planned(goal: str) -> str:
    plan = kitaru.llm(f"plan {goal}", response_format=Plan, model="fast")
    pieces = list(kitaru.llm(f"do {plan.steps[0]}", stream=True))
    return "|".join(pieces)


def test_a_script_replies_without_network_or_settings():
    project = memory_project()
    with scripted_model([{"steps": ["walk"]}, "one two"]) as model:
        assert project.run(planned, {"goal": "x"}, foreground=True).wait() == "one |two"
    assert [messages[-1]["content"] for messages in model.requests] == ["plan x", "do walk"]
    assert model.left == 0


def test_replies_may_be_functions_and_failures_and_may_run_out():
    project = memory_project()
    with scripted_model([rate_limited(3), lambda messages: {"steps": [messages[-1]["content"]]}]) as model:
        handle = project.run(planned, {"goal": "x"}, foreground=True)
        with pytest.raises(RunFailed, match="no reply number 3"):
            handle.wait()
    assert len(model.sent) == 3
    _, view = project.find_call(f"{handle.exec_id}:llm")
    assert model_calls(view.record)[0].retries == 1


@kitaru.checkpoint
def other_library(response: dict) -> None:
    with kitaru.track("openai/gpt-4o-mini") as asked:
        asked.add(response)


@kitaru.flow
def tracked(response: dict) -> None:
    other_library(response)


CHAT = {"model": "m", "usage": {"prompt_tokens": 1000, "completion_tokens": 100}, "id": "r1"}


def test_what_another_library_asked_is_recorded_with_tokens_and_cost():
    project = memory_project()
    handle = project.run(tracked, {"response": CHAT}, foreground=True)
    handle.wait()
    _, view = project.find_call(f"{handle.exec_id}:other_library")
    (call,) = model_calls(view.record)
    assert (call.prompt, call.completion, call.nano_usd, call.request) == (1000, 100, 210_000, "r1")


@pytest.mark.parametrize(
    "response",
    [
        SimpleNamespace(usage=SimpleNamespace(input_tokens=5, output_tokens=7), model="m"),
        SimpleNamespace(usage=lambda: SimpleNamespace(input_tokens=5, output_tokens=7)),
        SimpleNamespace(usage_metadata={"input_tokens": 5, "output_tokens": 7}),
        {"usage": {"prompt_tokens": 5, "completion_tokens": 7}},
    ],
)
def test_tokens_are_found_in_what_libraries_return(response):
    from kitaru.llm.tracking import read_response

    found = read_response(response)
    assert (found.prompt, found.completion) == (5, 7)


def test_a_run_of_pydantic_ai_can_be_tracked():
    pydantic_ai = pytest.importorskip("pydantic_ai")
    from pydantic_ai.models.test import TestModel

    from kitaru.llm.tracking import read_response

    found = read_response(asyncio.run(pydantic_ai.Agent(TestModel()).run("hi")))
    assert found.prompt is not None and found.prompt > 0
    assert found.via == "pydantic_ai"
