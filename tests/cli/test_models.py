"""`kitaru model`, `secret`, `cost`, and what other verbs show of them, with a provider of this machine's own."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from tests.llm.stub import Stub

KEY = "sk-canary-9876543210"

FLOW = """
import kitaru

@kitaru.checkpoint
def think(x: str) -> str:
    return kitaru.llm(f"think of {x}")

@kitaru.flow
def agent(x: str = "tides") -> str:
    return kitaru.llm(f"{x} and {think(x)}", model="fast")
"""


@pytest.fixture
def stub():
    with Stub() as served:
        yield served


@pytest.fixture
def kitaru(tmp_path, stub):
    env = {**os.environ, "STUB_KEY": KEY, "NO_COLOR": "1", "COLUMNS": "200"}

    def run(*words, status=0):
        done = subprocess.run(
            [sys.executable, "-m", "kitaru", *words], cwd=tmp_path, env=env, capture_output=True, text=True
        )
        assert done.returncode == status, done.stdout + done.stderr
        assert KEY not in done.stdout + done.stderr
        return done.stdout

    (tmp_path / "flow.py").write_text(FLOW)
    run("init")
    run("secret", "add", "stub", "env:STUB_KEY")
    run("model", "add", "fast", "openai/gpt-4o-mini", "--secret", "stub", "--api-base", stub.url, "--default")
    return run


def test_models_and_secrets_are_kept_and_checked(kitaru, stub):
    kitaru("model", "add", "own", "openai/nobody-knows", "fast", "--api-base", stub.url, "--set", "temperature=0")
    listed = json.loads(kitaru("model", "list", "-o", "json"))["models"]
    assert [(m["name"], m["default"], m["models"]) for m in listed] == [
        ("fast", True, ["openai/gpt-4o-mini"]),
        ("own", False, ["openai/nobody-knows", "fast"]),
    ]
    assert json.loads(kitaru("model", "show", "own", "-o", "json"))["set"] == {"temperature": 0}
    tested = json.loads(kitaru("model", "test", "-o", "json"))
    assert tested["cost_usd"] == 0.00021
    assert "cost unknown" in kitaru("model", "test", "own")
    assert stub.requests[-1]["temperature"] == 0
    assert kitaru("secret", "list") == "stub  env:STUB_KEY\n"
    assert "✓" in kitaru("secret", "check")
    kitaru("secret", "add", "gone", "env:NOT_THERE_AT_ALL")
    assert "NOT_THERE_AT_ALL, which is not set" in kitaru("secret", "check", "gone", status=1)
    kitaru("model", "remove", "own")
    kitaru("model", "show", "own", status=2)
    kitaru("model", "add", "bad", "nonsense", status=2)
    kitaru("secret", "add", "bad", "ftp:x", status=2)
    assert kitaru("config", "get", "default-model") == "fast\n"


def test_cost_is_shown_everywhere_and_a_replay_says_what_it_saved(kitaru, stub):
    kitaru("run", "flow.py:agent")
    kitaru("replay", "@", "--model", "fast=openai/gpt-4o", "--from", "llm")
    assert stub.requests[-1]["model"] == "gpt-4o"
    assert stub.headers[-1]["Authorization"] == f"Bearer {KEY}"
    total = json.loads(kitaru("cost", "-o", "json"))["total"]
    assert total["paid"]["model_calls"] == 3
    assert total["paid"]["cost_usd"] == pytest.approx(2 * 0.00021 + 0.0035)
    assert total["saved"]["cost_usd"] == pytest.approx(0.00021)
    by = {by: json.loads(kitaru("cost", "--by", by, "-o", "json"))["costs"] for by in ("model", "flow", "checkpoint")}
    assert [line["key"] for line in by["model"]] == ["openai/gpt-4o", "openai/gpt-4o-mini"]
    assert {line["key"] for line in by["checkpoint"]} == {"agent:llm", "agent:think"}
    assert [line["key"] for line in by["flow"]] == ["agent"]
    assert "saved $0.0002" in kitaru("cost")
    assert "$0.0004" in kitaru("log")
    assert "[$0.0035]" in kitaru("log", "@")
    assert "$0.0035 for 1 model call, $0.0002 saved" in kitaru("show", "@")
    page = kitaru("show", "@:llm")
    assert "1000 prompt, 100 completion, 40 of them reasoning" in page
    assert "openai/gpt-4o" in page


def test_a_replay_with_another_model_branches_where_it_was_asked_first(kitaru, stub):
    kitaru("run", "flow.py:agent")
    kitaru("replay", "@", "--model", "fast=openai/gpt-4o")
    assert [r["model"] for r in stub.requests] == ["gpt-4o-mini", "gpt-4o-mini", "gpt-4o", "gpt-4o"]
    kitaru("replay", "@", "--model", "slow=openai/gpt-4o", status=2)


def test_other_verbs_never_import_litellm(kitaru, tmp_path):
    (tmp_path / "plain.py").write_text("import kitaru\n@kitaru.flow\ndef plain() -> int:\n    return 1\n")
    code = (
        "import sys; from kitaru.cli import main; import kitaru\n"
        "assert main(['run', 'plain.py:plain']) == 0 and main(['log']) == 0 and main(['cost']) == 0\n"
        "assert not {'litellm', 'openai', 'httpx'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_what_a_model_writes_is_drawn_as_it_comes(monkeypatch):
    import io

    from kitaru.cli.progress import _Live
    from kitaru.runtime.events import Event

    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setenv("TERM", "xterm")
    with _Live(Terminal()) as live:
        live(Event("begin", "r", {"call": "llm", "name": "llm", "order": 1}))
        for text in ("first line\nsecond", " goes", " on"):
            live(Event("output", "r", {"call": "llm", "stream": "llm", "text": text}))
        assert live._flying[1].told == "second goes on"
