"""Models asked from calls in other processes, and results that the cache gives: recorded, counted, and kept secret."""

from __future__ import annotations

import kitaru
from kitaru.model.spending import model_calls
from kitaru.project import Project
from kitaru.testing import Recorder
from tests.llm.conftest import KEY
from tests.llm.stub import COST


@kitaru.checkpoint(runtime=kitaru.Isolated(env=["STUB_KEY", "LITELLM_LOCAL_MODEL_COST_MAP"]))
def apart(prompt: str) -> str:
    print("my key is", KEY)
    return "".join(kitaru.llm(prompt, stream=True))


@kitaru.flow
def isolated() -> str:
    return apart("from afar")


@kitaru.checkpoint(cache=True)
def cached(prompt: str) -> str:
    return kitaru.llm(prompt)


@kitaru.flow
def taken() -> str:
    return cached("once")


def on_disk(stub, root):
    project = Project.init(root)
    project.add_secret("stub", "env:STUB_KEY")
    project.add_model("fast", ["openai/gpt-4o-mini"], secret="stub", api_base=stub.url, default=True)
    return Project.open(root)


def test_an_isolated_call_asks_by_the_projects_settings(stub, tmp_path):
    project, seen = on_disk(stub, tmp_path), Recorder()
    handle = project.run(isolated, {}, foreground=True, observer=seen)
    assert handle.wait() == "echo: from afar"
    state, view = project.find_call(f"{handle.exec_id}:apart")
    (call,) = model_calls(view.record)
    assert (call.nano_usd, call.asked) == (COST, "fast")
    assert project.value(call.prompt_id, state.run) == [{"role": "user", "content": "from afar"}]
    told = [e.data for e in seen.events if e.kind == "output"]
    assert "".join(d["text"] for d in told if d["stream"] == "llm") == "echo: from afar"
    assert any("[secret stub]" in d["text"] for d in told)
    assert KEY not in repr(told)


def test_what_the_cache_gives_counts_as_saved(stub, tmp_path):
    project = on_disk(stub, tmp_path)
    assert project.run(taken, {}, foreground=True).wait() == "echo: once"
    assert project.run(taken, {}, foreground=True).wait() == "echo: once"
    assert stub.said == ["once"]
    (line,) = project.cost("flow")
    assert (line.paid.nano_usd, line.saved.nano_usd) == (COST, COST)
