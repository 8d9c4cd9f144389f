"""A recorded question to a model against litellm's own, and what a chat of 30 turns adds to the store.

The two take turns in one run, against a stub in a process of its own. Usage: llm.py [CALLS] [ROUNDS]
"""

from __future__ import annotations

import os
import random
import string
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import kitaru
from kitaru.llm.wire import litellm
from kitaru.project import Project
from kitaru.testing import scripted_model
from tests.benchmarks.measuring import directory, median_us, project, say, spread_us

direct_s: list[float] = []
recorded_s: list[float] = []
MODEL = "openai/gpt-4o-mini"
TURNS, LETTERS = 30, 1024


@kitaru.flow
def taking_turns(calls: int, url: str) -> int:
    library, now = litellm(), time.perf_counter
    for i in range(calls):
        messages = [{"role": "user", "content": f"question {i}"}]
        t0 = now()
        library.completion(MODEL, messages, api_base=url, api_key="none", max_retries=0, num_retries=0)
        t1 = now()
        kitaru.llm(messages)
        t2 = now()
        if i:  # the first ones make connections, and types
            direct_s.append(t1 - t0)
            recorded_s.append(t2 - t1)
    return calls


def overhead(durability: str, calls: int) -> None:
    direct_s.clear()
    recorded_s.clear()
    with directory() as root:
        stub = subprocess.Popen(
            [sys.executable, "-m", "tests.llm.stub", os.devnull],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        with stub:
            assert stub.stdout is not None and stub.stdin is not None
            url = f"http://127.0.0.1:{int(stub.stdout.readline())}/v1"
            project(root / "project", durability).add_model("fast", [MODEL], api_base=url, default=True)
            made = Project.open(root / "project")
            made.run(taking_turns, {"calls": calls, "url": url}, foreground=True).get()
            stub.stdin.close()
    say(
        f"llm call, {durability}",
        calls=calls,
        litellm_us=median_us(direct_s),
        litellm_us_10_90=spread_us(direct_s),
        recorded_us=median_us(recorded_s),
        recorded_us_10_90=spread_us(recorded_s),
        overhead_us=round(median_us(recorded_s) - median_us(direct_s), 1),
    )


@kitaru.flow
def chat(seed: int) -> int:
    history: list[dict[str, Any]] = []
    for turn in range(TURNS):
        history.append({"role": "user", "content": text(random.Random(seed * 1000 + turn))})
        history.append({"role": "assistant", "content": kitaru.llm(history)})
    return len(history)


def text(chance: random.Random) -> str:
    """Return a kilobyte that compresses as text does at best: letters and spaces by chance."""
    return "".join(chance.choices(string.ascii_letters + string.digits + "  ", k=LETTERS))


def growth() -> None:
    with directory() as root:
        made = project(root / "project")
        before = size(root)
        chance = random.Random(1)
        with scripted_model([text(chance) for _ in range(TURNS)]):
            made.run(chat, {"seed": 1}, foreground=True).get()
        grown, said = size(root) - before, 2 * TURNS * LETTERS
    say("chat of 30 turns", text_bytes=said, grown_bytes=grown, times=round(grown / said, 3))


def size(root: Path) -> int:
    return sum(path.stat().st_size for path in root.rglob("*") if path.is_file() and "cache" not in path.parts)


if __name__ == "__main__":
    for _ in range(int(sys.argv[2]) if len(sys.argv) > 2 else 3):
        overhead("power-loss", int(sys.argv[1]) if len(sys.argv) > 1 else 200)
        overhead("process-crash", int(sys.argv[1]) if len(sys.argv) > 1 else 200)
    growth()
