"""An agent that answers questions about this project from its own documentation.

    kitaru run docs/examples/research_agent.py:research_agent question="How do I replay a run?"

Every call of a checkpoint is recorded once. Stop the run anywhere, and `kitaru resume` carries on behind the last one.
It asks a person before it writes the answer: `kitaru answer @ approve true`, in a minute or in a month.

Without an API key a scripted model stands in for the real one, so that this runs offline. For a real one, install its
provider's package and set KITARU_EXAMPLE_MODEL (such as `openai:gpt-5.6-luna`), OPENAI_API_KEY or ANTHROPIC_API_KEY.
"""

from __future__ import annotations

import asyncio
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kitaru import checkpoint, flow, llm, wait
from kitaru.errors import RunWaiting

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic_ai.models import Model

PROJECT = Path(__file__).resolve().parents[2]


@checkpoint
def plan(question: str) -> dict[str, list[str]]:
    """Ask a model which words to look for."""
    from pydantic import BaseModel, Field
    from pydantic_ai import Agent

    class Plan(BaseModel):
        queries: list[str] = Field(min_length=1, max_length=3, description="keywords to search the documentation for")

    agent = Agent(choose_model(), output_type=Plan, instructions="Plan a keyword search that answers the question.")
    return asyncio.run(agent.run(question)).output.model_dump()


@checkpoint
def retrieve(plan: dict[str, list[str]]) -> list[dict[str, Any]]:
    """Rank the sections of the documentation by BM25, and return the best."""
    import bm25s

    documents = [section for file in markdown_files() for section in sections(file)]
    words = tokens([" ".join(plan["queries"])])[0]
    if not documents or not words:
        return []
    index = bm25s.BM25()
    index.index(tokens([f"{d['heading']}\n{d['text']}" for d in documents]), show_progress=False)
    scores = index.get_scores(words)
    best = sorted(range(len(documents)), key=lambda i: (-scores[i], i))[:3]
    return [{**documents[i], "score": round(float(scores[i]), 3)} for i in best if scores[i] > 0]


@checkpoint
def synthesize(docs: list[dict[str, Any]], question: str = "") -> str:
    """Write the answer: each passage quoted, under its file and heading; by the project's model, if it has one."""
    if not docs:
        return "The documentation says nothing about this."
    quoted = "\n\n".join(f"{d['file']}, {d['heading']!r}:\n\n{quote(d['text'])}" for d in docs)
    if not question or not llm.has_default():
        return quoted
    return llm(f"{question}\n\nAnswer from these passages alone, and name their files:\n\n{quoted}")


@flow
def research_agent(question: str) -> str:
    """Plan, retrieve, ask a person, and answer."""
    p = plan(question)
    docs = retrieve(p)
    found = ", ".join(f"{d['file']} ({d['heading']})" for d in docs) or "nothing"
    approved = wait(name="approve", question=f"Answer from {found}?", schema=bool)
    return synthesize(docs, question) if approved else "rejected"


# What follows is plain Python: it runs inside the checkpoints, and Kitaru sees none of it.


def choose_model() -> Model | str:
    """Return the model that the environment names or has a key for, or else the scripted one."""
    import os
    from importlib.util import find_spec

    from pydantic_ai.models.function import FunctionModel

    if chosen := os.environ.get("KITARU_EXAMPLE_MODEL"):
        return chosen
    if os.environ.get("OPENAI_API_KEY") and find_spec("openai"):
        return "openai:gpt-5.6-luna"
    if os.environ.get("ANTHROPIC_API_KEY") and find_spec("anthropic"):
        return "anthropic:claude-haiku-4-5"
    return FunctionModel(scripted, model_name="scripted")


def scripted(messages: list[Any], info: Any) -> Any:
    """Answer as a model would: with a call of the output tool. Its queries are the question's own words."""
    from pydantic_ai.messages import ModelResponse, ToolCallPart

    words = keywords(str(messages[0].parts[-1].content))
    queries = list(dict.fromkeys([" ".join(words), *sorted(words, key=len, reverse=True)[:2]]))
    return ModelResponse(parts=[ToolCallPart(info.output_tools[0].name, {"queries": queries})])


def keywords(text: str) -> list[str]:
    """Return the words of a text that are worth searching for, and all of them if none is."""
    from bm25s.stopwords import STOPWORDS_EN_PLUS

    words = re.findall(r"\w+", text.lower())
    return list(dict.fromkeys(w for w in words if w not in STOPWORDS_EN_PLUS)) or words or ["kitaru"]


def tokens(texts: list[str]) -> list[list[str]]:
    """Split texts into the words that BM25 compares."""
    import bm25s

    return bm25s.tokenize(texts, stopwords="en", return_ids=False, show_progress=False)


def markdown_files() -> list[Path]:
    """Return the project's own documentation."""
    return [*PROJECT.glob("README.md"), *sorted((PROJECT / "docs").glob("*.md"))]


def sections(file: Path) -> Iterator[dict[str, Any]]:
    """Cut a markdown file at its headings; a `#` inside a code block is a comment, not a heading."""
    heading, lines, in_code = file.stem, list[str](), False
    for line in [*file.read_text(encoding="utf-8").splitlines(), "# "]:
        in_code ^= line.lstrip().startswith("```")
        if not in_code and re.match(r"#{1,6} ", line):
            if text := "\n".join(lines).strip():
                yield {"file": str(file.relative_to(PROJECT)), "heading": heading, "text": text}
            heading, lines = line.lstrip("# "), []
        else:
            lines.append(line)


def quote(text: str, limit: int = 600) -> str:
    """Quote the beginning of a passage."""
    short = text if len(text) <= limit else f"{text[:limit].rsplit(maxsplit=1)[0]} …"
    return "\n".join(f"> {line}".rstrip() for line in short.splitlines())


if __name__ == "__main__":
    handle = research_agent.run(question=" ".join(sys.argv[1:]) or "How do I replay a run?")
    try:
        print(handle.wait())
    except RunWaiting as waiting:
        print(waiting)  # the very line to type
