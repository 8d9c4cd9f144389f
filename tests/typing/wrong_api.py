"""Each line marked `# wrong: CODE` must be refused by a type checker, with that code, and no other line."""

from __future__ import annotations

from kitaru import FlowHandle, checkpoint, flow, wait


@checkpoint
def plan(question: str, limit: int = 3) -> list[str]:
    return [question] * limit


@flow
def agent(question: str) -> str:
    plan(5)  # wrong: arg-type
    plan("x", depth=2)  # wrong: call-arg
    plan()  # wrong: call-arg
    found: int = plan("x")  # wrong: assignment
    answer: str = wait("n", schema=int)  # wrong: assignment
    wait("n", int)  # wrong: call-overload
    return answer * found


agent.run(5)  # wrong: arg-type
agent.run("x", topic="y")  # wrong: call-arg
handle: FlowHandle[int] = agent.run("x")  # wrong: assignment
agent.deploy("stable")  # wrong: call-arg
