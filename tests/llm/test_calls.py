"""`kitaru.llm()` against a provider: what it returns, what is recorded, and that nothing is paid twice."""

from __future__ import annotations

import pytest
from pydantic import BaseModel

import kitaru
from kitaru.errors import BadReply, ModelRefused, ModelUnavailable, RunFailed
from kitaru.model.spending import model_calls
from kitaru.testing import Recorder
from tests.llm.stub import COST, MODEL


class Capital(BaseModel):
    city: str


@kitaru.flow
def asks(prompt: str = "hello") -> str:
    return kitaru.llm(prompt, temperature=0)


@kitaru.checkpoint
def step(prompt: str) -> str:
    return kitaru.llm(prompt) + kitaru.llm("again")


@kitaru.flow
def inside(prompt: str = "hello") -> str:
    return step(prompt)


@kitaru.flow
def structured() -> Capital:
    return kitaru.llm("capital of France?", response_format=Capital)


@kitaru.flow
def with_tools() -> str:
    tool = {"type": "function", "function": {"name": "look", "parameters": {"type": "object", "properties": {}}}}
    reply = kitaru.llm("look around", tools=[tool])
    return f"{reply.tool_calls[0]['function']['name']} {reply.usage.finish}"


@kitaru.flow
def streams(prompt: str = "one two three") -> list[str]:
    return list(kitaru.llm(prompt, stream=True))


@kitaru.checkpoint
def streaming(prompt: str) -> list[str]:
    return list(kitaru.llm(prompt, stream=True))


@kitaru.flow
def streams_inside() -> list[str]:
    return streaming("a b")


@kitaru.flow
async def asks_async() -> list[object]:
    text = await kitaru.allm("hello")
    pieces = [piece async for piece in kitaru.allm("x y", stream=True)]
    return [text, pieces, (await kitaru.llm.afull("full")).text]


def run(project, flow, **inputs):
    return project.run(flow, inputs, foreground=True)


def only(project, handle, label="llm"):
    _, view = project.find_call(f"{handle.exec_id}:{label}")
    return view.record


def test_in_a_body_it_is_a_call_of_its_own(project, stub):
    handle = run(project, asks)
    assert handle.wait() == "echo: hello"
    record = only(project, handle)
    (call,) = model_calls(record)
    assert (call.asked, call.model, call.answered) == ("fast", MODEL, "stub-1")
    assert (call.prompt, call.completion, call.cached, call.reasoning) == (1000, 100, 0, 40)
    assert (call.nano_usd, call.finish, call.request, call.retries) == (COST, "stop", "req-1", 0)
    assert call.took_us > 0 and call.first_us is None
    assert project.value(record.args["messages"]) == [{"role": "user", "content": "hello"}]
    assert project.value(record.output) == "echo: hello"
    assert stub.requests[0]["temperature"] == 0
    assert stub.headers[0]["Authorization"].startswith("Bearer sk-canary")


def test_a_replay_asks_only_behind_the_branch(project, stub):
    first = run(project, asks)
    assert project.replay(first.exec_id, args={"prompt": "other"}, foreground=True).wait() == "echo: other"
    again = project.replay(first.exec_id, set={"llm": "pinned"}, foreground=True)
    assert again.wait() == "pinned"
    assert stub.said == ["hello", "other"]


def test_in_a_checkpoint_it_is_recorded_with_that_call(project):
    handle = run(project, inside)
    assert handle.wait() == "echo: helloecho: again"
    calls = model_calls(only(project, handle, "step"))
    assert [project.value(c.prompt_id, handle.exec_id)[0]["content"] for c in calls] == ["hello", "again"]
    assert project.value(calls[0].response_id, handle.exec_id)["content"] == "echo: hello"


def test_outside_of_a_run_it_only_asks(stub, monkeypatch, tmp_path):
    kitaru.Project.init(tmp_path)
    monkeypatch.chdir(tmp_path)
    assert kitaru.llm("hi", model=MODEL, api_base=stub.url, api_key="x") == "echo: hi"


def test_a_pydantic_model_comes_as_an_instance(project, stub):
    stub.script = ['{"city": "Paris"}']
    handle = run(project, structured)
    assert handle.wait() == Capital(city="Paris")
    assert stub.requests[0]["response_format"]["json_schema"]["schema"]["properties"]["city"]["type"] == "string"


def test_what_is_not_valid_is_asked_again_with_what_is_wrong(project, stub):
    stub.script = ['{"town": "Paris"}', '{"city": "Paris"}']
    handle = run(project, structured)
    assert handle.wait().city == "Paris"
    (call,) = model_calls(only(project, handle))
    assert (call.repairs, call.nano_usd) == (1, 2 * COST)
    assert "Field required" in stub.said[1]


def test_it_is_told_so_only_so_often(project, stub):
    stub.script = ["{}"] * 9
    handle = run(project, structured)
    with pytest.raises(RunFailed) as failed:
        handle.wait()
    assert isinstance(failed.value.__cause__, BadReply)
    assert len(stub.requests) == 3
    assert model_calls(only(project, handle))[0].nano_usd == 3 * COST


def test_tools_give_the_whole_reply(project, stub):
    stub.script = ['tool:look:{"at": "sea"}']
    assert run(project, with_tools).wait() == "look tool_calls"


@pytest.mark.parametrize(
    ("flow", "label", "text"), [(streams, "llm", "one two three"), (streams_inside, "streaming", "a b")]
)
def test_a_stream_comes_in_pieces_and_is_recorded_whole(project, flow, label, text):
    seen = Recorder()
    handle = project.run(flow, {}, foreground=True, observer=seen)
    pieces = handle.wait()
    assert "".join(pieces) == f"echo: {text}"
    assert len(pieces) > 1
    (call,) = model_calls(only(project, handle, label))
    assert call.first_us is not None
    assert call.nano_usd == COST
    shown = [e.data["text"] for e in seen.events if e.kind == "output" and e.data["stream"] == "llm"]
    assert shown == pieces


def test_async_text_stream_and_whole_reply(project, stub):
    handle = run(project, asks_async)
    assert handle.wait() == ["echo: hello", ["echo:", " x", " y"], "echo: full"]
    assert [c.label for c in project.state(handle.exec_id).ordered_calls] == ["llm", "llm#2", "llm#3"]


def test_what_passes_is_tried_again_and_retry_after_is_respected(project, stub):
    stub.script = ["429:7", "500", "fine"]
    before = project.services.clock_us()
    handle = run(project, asks)
    assert handle.wait() == "fine"
    assert project.services.clock_us() - before > 7_500_000
    assert model_calls(only(project, handle))[0].retries == 2


def test_a_stop_after_all_retries_says_who_and_how_often(project, stub):
    stub.script = ["500"] * 9
    handle = run(project, asks)
    with pytest.raises(RunFailed) as failed:
        handle.wait()
    assert isinstance(failed.value.__cause__, ModelUnavailable)
    assert "fast (openai/gpt-4o-mini) gave no reply after 4 requests" in str(failed.value)
    assert len(stub.requests) == 4
    stub.script = []
    assert project.resume(handle.exec_id, foreground=True).wait() == "echo: hello"


@pytest.mark.parametrize("status", ["401", "400"])
def test_what_will_be_refused_again_is_not_tried_again(project, stub, status):
    stub.script = [status]
    with pytest.raises(RunFailed) as failed:
        run(project, asks).wait()
    error = failed.value.__cause__
    assert isinstance(error, ModelRefused)
    assert "the secret stub" in str(error) and "fast" in str(error)
    assert "canary" not in str(error) and "[secret stub]" in str(error)
    assert len(stub.requests) == 1


@kitaru.flow
def impatient(timeout: float = 0.3, stream: bool = False) -> object:
    given = kitaru.llm("hello", timeout=timeout, retries=1, stream=stream)
    return list(given) if stream else given


def test_a_provider_that_hangs_is_asked_again(project, stub):
    stub.script = ["hang", "late"]
    assert run(project, impatient).wait() == "late"


def test_no_json_is_a_failing_provider(project, stub):
    stub.script = ["malformed", "fine"]
    assert run(project, asks).wait() == "fine"


@pytest.mark.parametrize("how", ["cut", "broken"])
def test_a_stream_that_breaks_off_is_no_reply(project, stub, how):
    stub.script = [how]
    with pytest.raises(RunFailed) as failed:
        run(project, streams).wait()
    assert isinstance(failed.value.__cause__, ModelUnavailable)
    handle = project.resume("@", foreground=True)
    assert "".join(handle.wait()) == "echo: one two three"


def test_a_fallback_answers_and_is_recorded(project, stub):
    fast = {"model": ["openai/gpt-4o", MODEL], "secret": "stub", "api-base": stub.url}
    project.config.tables["models"]["fast"] = fast
    stub.script = ["400", "fine"]
    handle = run(project, asks)
    assert handle.wait() == "fine"
    (call,) = model_calls(only(project, handle))
    assert call.model == MODEL
    assert call.tried[0].startswith("openai/gpt-4o: told to fail")


def test_an_unknown_price_is_unknown_unless_the_settings_tell_it(project, stub):
    project.config.tables["models"]["fast"] = {
        "model": "openai/nobody-knows-it",
        "api-base": stub.url,
        "secret": "stub",
    }
    assert model_calls(only(project, run(project, asks)))[0].nano_usd is None
    project.config.tables["prices"] = {"openai/nobody-knows-it": {"input": 1.0, "output": 2}}
    del project.runner
    handle = run(project, asks, prompt="more")
    assert model_calls(only(project, handle))[0].nano_usd == 1000 * 1000 + 100 * 2000
