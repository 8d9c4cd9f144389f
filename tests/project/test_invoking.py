"""Recorded versions started by name: where their code comes from, what their inputs may be, what is recorded."""

import importlib
import platform
import sys
import threading
from datetime import date
from importlib.metadata import version

import pytest

from kitaru.errors import (
    BadInput,
    CodeUnloadable,
    FlowNotFound,
    PrunedRun,
    Untrusted,
    UsageError,
)
from kitaru.testing import Recorder, memory_project

AGENT = """
from kitaru import checkpoint, flow, wait
import shared

@checkpoint
def plan(question: str) -> str:
    return f"{shared.WORD} {question}"

@flow
def agent(question: str, times: int = 1) -> str:
    return plan(question) * times
"""


@pytest.fixture
def project(tmp_path):
    """A project of a flow with two versions, and no sources any more."""
    project = memory_project(tmp_path)
    for word in ("one", "two"):
        (tmp_path / "agent.py").write_text(AGENT)
        (tmp_path / "shared.py").write_text(f"WORD = {word!r}\n")
        project.run("agent.py:agent", {"question": "q"}, foreground=True).wait()
    (tmp_path / "agent.py").unlink()
    (tmp_path / "shared.py").unlink()
    return project


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    yield
    for name in ("agent", "shared"):
        sys.modules.pop(name, None)


def outcome(project, target, inputs, **options):
    handle = project.invoke(target, inputs, foreground=True, **options)
    return handle.wait(), project.state(handle.exec_id)


@pytest.mark.parametrize(
    ("target", "said", "why"),
    [
        ("agent@v1", "one hi", "named"),
        ("agent@v2", "two hi", "named"),
        ("agent@latest", "two hi", "latest"),
        ("agent", "two hi", "latest"),
    ],
)
def test_the_code_is_the_one_that_was_recorded(project, target, said, why):
    value, state = outcome(project, target, {"question": "hi"})
    assert (value, state.start.code) == (said, "recorded")
    assert state.start.invoked == {"target": target, "version": state.start.version, "why": why}


def test_tags_may_be_any_iterable(project):
    assert outcome(project, "agent", {"question": "hi"}, tags=iter(["a", "b"]))[1].start.tags == ["a", "b"]


def test_what_the_working_tree_has_is_not_looked_at(project, tmp_path):
    (tmp_path / "shared.py").write_text("raise SystemExit")
    (tmp_path / "agent.py").write_text("raise SystemExit")
    assert outcome(project, "agent@v1", {"question": "hi"})[0] == "one hi"


def test_a_module_that_the_version_lacks_is_missing_though_the_project_has_it(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    project = memory_project(tmp_path)
    body = "\n".join(
        [
            "import importlib",
            "from kitaru import flow",
            "@flow",
            "def agent(question: str) -> str:",
            "    return importlib.import_module(question).WORD",
        ]
    )
    (tmp_path / "agent.py").write_text(body)
    (tmp_path / "shared.py").write_text("WORD = 'tree'\n")
    assert project.run("agent.py:agent", {"question": "shared"}, foreground=True).wait() == "tree"
    del sys.modules["shared"]  # as in a process of its own
    outcome = project.invoke("agent@v1", {"question": "shared"}, foreground=True).outcome
    assert str(outcome.status) == "failed"
    assert "shared.py is not in the recorded version" in str(outcome.error)
    assert importlib.import_module("shared").WORD == "tree"  # who invokes has his own modules


def test_a_resume_goes_on_with_the_recorded_code(tmp_path):
    project = memory_project(tmp_path)
    (tmp_path / "agent.py").write_text(
        "from kitaru import flow, wait\n@flow\ndef agent() -> str:\n    return wait(name='w', schema=str) + ' old'\n"
    )
    project.run("agent.py:agent", {}, foreground=True)
    (tmp_path / "agent.py").write_text("raise SystemExit\n")
    handle = project.invoke("agent@v1", {}, foreground=True)
    assert project.answer(handle.exec_id, "w", "said", foreground=True).wait() == "said old"


def test_what_was_deployed_is_invoked_when_its_sources_are_gone(tmp_path):
    project = memory_project()
    for word in ("old", "new"):
        (tmp_path / "agent.py").write_text(AGENT)
        (tmp_path / "shared.py").write_text(f"WORD = {word!r}\n")
        project.deploy("agent.py:agent", route=word)
    (tmp_path / "agent.py").unlink()
    (tmp_path / "shared.py").unlink()
    for word in ("old", "new"):
        assert outcome(project, f"agent@{word}", {"question": "hi"})[0] == f"{word} hi"


# -- inputs ----------------------------------------------------------------------------------------------------------


TYPED = """
from dataclasses import dataclass
from datetime import date
from typing import Any, Literal
from pydantic import BaseModel
from kitaru import flow

class Plan(BaseModel):
    steps: list[str]
    due: date | None = None

@flow
def typed(plan: Plan, mode: Literal["fast", "slow"] = "fast", limit: float = 1.5, extra: Any = None) -> str:
    return repr((plan, mode, limit, extra))
"""


@pytest.fixture
def typed(tmp_path):
    project = memory_project(tmp_path)
    (tmp_path / "typed.py").write_text(TYPED)
    project.run("typed.py:typed", {"plan": None}, foreground=True)
    (tmp_path / "typed.py").write_text("raise SystemExit('imported')\n")
    yield project
    sys.modules.pop("typed", None)


@pytest.mark.parametrize(
    ("inputs", "text", "said"),
    [
        ({"plan": {"steps": ["a"]}}, False, "(Plan(steps=['a'], due=None), 'fast', 1.5, None)"),
        (
            {"plan": '{"steps": [], "due": "2026-01-02"}', "limit": "2"},
            True,
            "(Plan(steps=[], due=datetime.date(2026, 1, 2)), 'fast', 2.0, None)",
        ),
        (
            {"plan": {"steps": [], "due": date(2026, 1, 2)}, "extra": {"at": date(2026, 1, 2)}},
            False,
            "(Plan(steps=[], due=datetime.date(2026, 1, 2)), 'fast', 1.5, {'at': datetime.date(2026, 1, 2)})",
        ),
        ({"plan": '{"steps": []}', "extra": "3", "mode": "slow"}, True, "(Plan(steps=[], due=None), 'slow', 1.5, 3)"),
    ],
)
def test_inputs_become_what_the_recorded_code_says(typed, inputs, text, said):
    assert outcome(typed, "typed@v1", inputs, text=text)[0] == said


@pytest.mark.parametrize(
    ("inputs", "told"),
    [
        ({}, "typed@v1 has no value for plan"),
        ({"plam": {}}, "typed@v1 has no input named 'plam'; did you mean 'plan'?"),
        ({"plan": {"steps": "a"}}, "wrong input for typed@v1: plan.steps: Input should be a list"),
        ({"plan": {"steps": []}, "mode": "x"}, 'typed@v1: mode: Input should be one of "fast", "slow"'),
        ({"plan": {"steps": []}, "limit": "much"}, "limit: Input should be a number"),
        ({"plan": 7, "limit": None}, "plan: Input should be an object; limit: Input should be a number"),
    ],
)
def test_wrong_inputs_start_nothing_and_import_nothing(typed, inputs, told):
    before = typed.repo.run_ids()
    with pytest.raises(BadInput) as caught:
        typed.invoke("typed@v1", inputs)
    assert told in caught.value.message
    assert caught.value.hint.startswith("its inputs are plan (an object with steps")
    assert (typed.repo.run_ids(), "\n" in caught.value.message) == (before, False)


def test_what_only_the_codes_own_types_refuse_starts_nothing(typed):
    before = typed.repo.run_ids()
    with pytest.raises(BadInput, match=r"plan\.due"):
        typed.invoke("typed@v1", {"plan": {"steps": [], "due": "tomorrow"}})
    assert typed.repo.run_ids() == before


def test_inputs_can_be_checked_alone(typed):
    choice, checked = typed.check_inputs("typed", {"limit": "2"}, text=True, documents={"plan": {"steps": []}})
    assert (choice.version.n, checked) == (1, {"plan": {"steps": []}, "limit": 2})


# -- once ------------------------------------------------------------------------------------------------------------


def test_a_key_starts_one_run(project):
    first = project.invoke("agent@v1", {"question": "a"}, key="order 17", foreground=True)
    again = project.invoke("agent@v2", {"question": "b"}, key="order 17", foreground=True)
    assert (again.exec_id, again.wait(), again.outcome.existing) == (first.exec_id, "one a", True)
    assert again.outcome.other_inputs == ("question",)


def test_a_run_whose_id_was_chosen_before_is_begun_once(project):
    first = project.invoke("agent@v1", {"question": "a"}, run="abcdefghjk", invocation={"tick": 5}, foreground=True)
    again = project.invoke("agent@v1", {"question": "a"}, run="abcdefghjk", foreground=True)
    assert (first.exec_id, again.outcome.existing, again.wait()) == ("abcdefghjk", True, "one a")
    assert project.state("abcdefghjk").start.invoked["tick"] == 5
    project.repo.prune("abcdefghjk", at=1, by="me", may=None)
    with pytest.raises(PrunedRun):
        project.invoke("agent@v1", {"question": "a"}, run="abcdefghjk")


# -- what cannot be started ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "error", "told"),
    [
        ("agnt@v1", FlowNotFound, "nothing is recorded of a flow 'agnt'"),
        ("agent@v9", UsageError, "flow agent has no version v9"),
        ("agent@stable", UsageError, "flow agent has no route 'stable'"),
        ("agent@", UsageError, "names no flow version"),
    ],
)
def test_what_is_not_there_starts_nothing(project, target, error, told):
    before = project.repo.run_ids()
    with pytest.raises(error) as caught:
        project.invoke(target, {"question": "q"})
    assert told in caught.value.message
    assert caught.value.hint
    assert project.repo.run_ids() == before


def test_a_version_that_nobody_here_trusts_is_not_executed(project):
    name = project.repo.versions("agent")[0]
    project.repo.trust.decide("versions", name.id, trusted=False, at=1, by="me")
    with pytest.raises(Untrusted):
        project.invoke("agent@v1", {"question": "q"})


def test_code_that_cannot_be_imported_starts_nothing(tmp_path):
    project = memory_project(tmp_path)
    (tmp_path / "agent.py").write_text("import os\nif os.path.exists('gone'):\n    raise OSError\n" + AGENT)
    (tmp_path / "shared.py").write_text("WORD = 1\n")
    project.run("agent.py:agent", {"question": "q"}, foreground=True).wait()
    (tmp_path / "gone").touch()
    before = project.repo.run_ids()
    with pytest.raises(CodeUnloadable, match=r"agent\.py:3: OSError"):
        project.invoke("agent@v1", {"question": "q"})
    assert project.repo.run_ids() == before


def test_what_the_codes_own_types_refuse_is_told_with_the_recorded_inputs(tmp_path):
    project = memory_project(tmp_path)
    (tmp_path / "agent.py").write_text(
        "from datetime import date\nfrom kitaru import flow\n@flow\ndef agent(day: date) -> str:\n    return str(day)\n"
    )
    project.run("agent.py:agent", {"day": date(2026, 1, 1)}, foreground=True).wait()
    with pytest.raises(BadInput, match="day: Input should be a valid date") as refused:
        project.invoke("agent@v1", {"day": "nope"})
    assert refused.value.hint == "its inputs are day (text (date))"


@pytest.mark.parametrize(
    "start",
    [
        lambda project: project.invoke("typed_here@v1", {}),
        lambda project: project.enqueue("typed_here@v1", {}),
        lambda project: project.add_schedule("nightly", "typed_here@v1", cron="0 3 * * *", tz="UTC"),
        lambda project: project.set_route("typed_here", "stable", "v1"),
    ],
    ids=["invoke", "enqueue", "schedule", "route"],
)
def test_a_flow_of_a_session_is_not_in_the_store(bench, start):
    from kitaru import flow

    @flow
    def typed_here() -> int:
        return 1

    typed_here.fn.__module__ = "__main__"
    project = bench.project
    recorded, _ = project.runner.versions.record(typed_here, _session_entry(), ())
    assert recorded.n == 1
    with pytest.raises(CodeUnloadable, match="interactive session"):
        start(project)
    assert (project.queue(), project.schedules(), project.routes()) == ([], [], [])


def _session_entry():
    from kitaru.runtime.entry import Entry

    return Entry("__main__", "typed_here", None, ())


def test_what_is_not_as_it_was_recorded_is_told(project):
    name = project.repo.versions("agent")[0]
    value = {**project.version({"n": 1, "id": name.id}), "python": "3.9.1"}
    value["distributions"] = {"pydantic": "2.0.1", "gone": "7", "zstandard": version("zstandard")}
    again(project, value)
    told = Recorder()
    _, state = outcome(project, "agent@v3", {"question": "q"}, observer=told)
    differs = [["python", "3.9.1", platform.python_version()], ["gone", "7", ""]]
    assert state.start.invoked["differs"] == [*differs, ["pydantic", "2.0.1", version("pydantic")]]
    assert [e.data["differs"] for e in told.events if e.kind == "invoked"] == [state.start.invoked["differs"]]


def again(project, value):
    """Record a version by its value, and trust it."""
    encoded = project.values.encode(value, frozenset(), "a version")
    project.repo.put_objects(encoded.objects)
    added = project.repo.add_version("agent", id=encoded.id, digest=encoded.id, at=1, by="ann")
    project.repo.trust.decide("versions", added.id, trusted=True, at=1, by="me")


# -- while a route moves ---------------------------------------------------------------------------------------------


def test_while_a_route_moves_every_run_tells_by_which_entry_it_got_its_version(project):
    project.set_route("agent", "stable", "v1")
    moved = threading.Event()
    runs = []

    def move():
        for n in range(12):
            project.set_route("agent", "stable", {"v1": 1 + n % 3, "v2": 1} if n % 2 else f"v{1 + n % 4 // 2}")
        moved.set()

    mover = threading.Thread(target=move)
    mover.start()
    while not moved.is_set() or len(runs) < 8:
        runs.append(project.invoke("agent@stable", {"question": "q"}, foreground=True).exec_id)
    mover.join()
    log = {entry.n: entry for entry in project.route_log("agent", "stable")}
    assert len(log) == 13
    for run in runs:
        start = project.state(run).start
        told, entry = start.invoked, log[start.invoked["entry"]]
        weights = {destination.version for destination in entry.to}
        assert (told["route"], told["moved"]) == ("stable", entry.at)
        assert start.version["id"] in weights
        assert ("weights" in told) == (len(weights) > 1)
        assert {"v": told["version"]} == {"v": start.version}
        word = {1: "one q", 2: "two q"}[start.version["n"]]
        assert project.value(project.state(run).end.output, run) == word


def test_the_observer_is_told_of_the_choice(project):
    project.set_route("agent", "stable", {"v1": 1, "v2": 1})
    told = Recorder()
    project.invoke("agent", {"question": "q"}, observer=told, foreground=True)
    (event,) = [event for event in told.events if event.kind == "invoked"]
    assert (event.data["target"], event.data["route"], event.data["why"]) == ("agent", "stable", "weight")
    assert "code" not in told.kinds()
