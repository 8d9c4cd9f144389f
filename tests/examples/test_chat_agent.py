"""The chat: a loop with a tool, whose history stays linear in the store."""

from __future__ import annotations

import random
import sys
from pathlib import Path

import pytest

import kitaru
from kitaru.runtime.loading import load_target
from kitaru.testing import memory_project, scripted_model
from tests.benchmarks.llm import LETTERS, TURNS, chat, size, text

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def example(monkeypatch):
    monkeypatch.delenv("KITARU_DEFAULT_MODEL", raising=False)
    loaded = load_target("docs/examples/chat_agent.py:chat_agent", REPOSITORY, REPOSITORY)
    return sys.modules[loaded.entry.module]


def test_each_turn_asks_uses_the_tool_and_answers(example):
    project = memory_project(REPOSITORY)
    handle = project.run(example.chat_agent, {"turns": 3}, foreground=True)
    assert handle.wait() == "It is 3.0 m at 2:00."
    labels = [call.name for call in project.state(handle.exec_id).ordered_calls]
    assert labels == ["ask", "tide_at", "ask"] * 3


def test_its_store_grows_by_the_text_alone(tmp_path):

    project = kitaru.Project.init(tmp_path)
    before, chance = size(tmp_path), random.Random(3)
    with scripted_model([text(chance) for _ in range(TURNS)]):
        project.run(chat, {"seed": 2}, foreground=True).wait()
    assert size(tmp_path) - before <= 1.5 * 2 * TURNS * LETTERS
