"""The first example anyone sees: its checkpoints as plain functions, on real markdown and without a network."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from kitaru.runtime.loading import load_target

REPOSITORY = Path(__file__).parents[2]

REPLAY = """# Concepts

What a run is.

## Replay

A replay is a branch: `kitaru replay --from synthesize`.

```
# not a heading
kitaru replay
```

## Waits

A run stops at a question.
"""


@pytest.fixture
def example(monkeypatch):
    for name in ("KITARU_EXAMPLE_MODEL", "OPENAI_API_KEY", "ANTHROPIC_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    loaded = load_target("docs/examples/research_agent.py:research_agent", REPOSITORY, REPOSITORY)
    return sys.modules[loaded.entry.module]


@pytest.fixture
def docs(example, tmp_path, monkeypatch):
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/concepts.md").write_text(REPLAY)
    (tmp_path / "README.md").write_text("# Kitaru\n\nInstall it with pip.\n")
    monkeypatch.setattr(example, "PROJECT", tmp_path)


def test_the_scripted_model_plans_with_the_questions_own_words(example):
    assert example.plan("How do I replay a run?") == {"queries": ["replay run", "replay", "run"]}
    assert example.plan("??") == {"queries": ["kitaru"]}


def test_a_model_named_in_the_environment_is_used(example, monkeypatch):
    monkeypatch.setenv("KITARU_EXAMPLE_MODEL", "openai:some-model")
    assert example.choose_model() == "openai:some-model"


def test_the_section_about_it_comes_first(example, docs):
    best = example.retrieve({"queries": ["replay branch"]})[0]
    assert (best["file"], best["heading"]) == ("docs/concepts.md", "Replay")
    assert "# not a heading" in best["text"]
    assert best["score"] > 0


def test_words_that_no_section_has_find_nothing(example, docs):
    assert example.retrieve({"queries": ["zebra"]}) == []
    assert example.retrieve({"queries": ["the"]}) == []
    assert "says nothing" in example.synthesize([])


def test_the_answer_quotes_file_and_heading(example, docs):
    answer = example.synthesize(example.retrieve({"queries": ["replay"]}))
    assert answer.startswith("docs/concepts.md, 'Replay':\n\n> A replay is a branch")


def test_long_passages_are_cut_between_words(example):
    assert example.quote("one two three", limit=9) == "> one two …"
    assert example.quote("one\n\ntwo", limit=9) == "> one\n>\n> two"


def test_it_loads_nothing_heavy_before_its_first_checkpoint():
    code = (
        "import sys; from pathlib import Path; from kitaru.runtime.loading import load_target\n"
        "load_target('docs/examples/research_agent.py', Path.cwd(), Path.cwd())\n"
        "print({'bm25s', 'pydantic_ai', 'pydantic', 'numpy'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, check=True)
    assert done.stdout.decode().strip() == "set()"
