"""A chat with a tool, turn by turn, whose whole history goes through every step.

    kitaru run docs/examples/chat_agent.py:chat_agent turns=30

The model is asked with the history so far, calls a tool or answers, and the history grows. Each question is a call of
its own, and so is each use of the tool: stop it anywhere, and `kitaru resume` asks nothing twice. The store keeps each
message once, however many questions carried it.

Without a model of the project (`kitaru model add fast openai/gpt-5-nano --secret openai --default`) a scripted one
stands in, so that this runs offline.
"""

from __future__ import annotations

import json
import sys
from contextlib import nullcontext
from typing import Any

import kitaru
from kitaru import checkpoint, flow

TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "tide_at",
            "description": "The height of the tide at an hour.",
            "parameters": {"type": "object", "properties": {"hour": {"type": "integer"}}, "required": ["hour"]},
        },
    }
]


@checkpoint
def tide_at(hour: int) -> str:
    """Look up the tide: a stand-in for a service."""
    return f"{1 + abs(6 - hour % 12) / 2:.1f} m at {hour}:00"


@flow
def chat_agent(turns: int = 30) -> str:
    """Ask about the tide of one hour after the other, and return the last answer."""
    history: list[dict[str, Any]] = [{"role": "system", "content": "You know the tides. Use the tool."}]
    answer = ""
    for turn in range(turns):
        history.append({"role": "user", "content": f"What is the tide at {turn}:00?"})
        answer = reply(history)
    return answer


# What follows is plain Python; its calls are those of the flow.


def reply(history: list[dict[str, Any]]) -> str:
    """Ask until the model answers, using the tool where it wants to; the history grows by all of that."""
    while True:
        with model():
            said = kitaru.llm(history, tools=TOOLS, name="ask")
        history.append(said.message)
        if not said.tool_calls:
            return said.text
        for call in said.tool_calls:
            arguments = json.loads(call["function"]["arguments"])
            history.append({"role": "tool", "tool_call_id": call["id"], "content": tide_at(**arguments)})


def model() -> Any:
    """Return what replies: the project's model, or the scripted one where there is none."""
    from kitaru.testing import scripted_model

    return nullcontext() if kitaru.llm.has_default() else scripted_model([scripted])


def scripted(messages: list[dict[str, Any]]) -> Any:
    """Reply as a model would: use the tool first, then answer with what it gave."""
    last = messages[-1]
    if last["role"] == "tool":
        return f"It is {last['content']}."
    hour = json.dumps({"hour": int(last["content"].split()[-1].split(":")[0])})
    called = {"id": f"call_{len(messages)}", "type": "function", "function": {"name": "tide_at", "arguments": hour}}
    return {"tool_calls": [called]}


if __name__ == "__main__":
    print(chat_agent.run(turns=int(sys.argv[1]) if sys.argv[1:] else 30).wait())
