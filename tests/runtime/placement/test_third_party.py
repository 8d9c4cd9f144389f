"""The runtime that docs/placement.md shows: as an installed package has it, and by the contract."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[3]
FLOW = """
from kitaru import checkpoint, flow

def depth(n):
    return 0 if n == 0 else 1 + depth(n - 1)

@checkpoint(runtime="deep", runtime_options={"megabytes": 256})
def measured(n):
    import sys
    sys.setrecursionlimit(n + 1000)
    return depth(n)

@checkpoint(runtime="deep", runtime_options={"colour": "red"})
def wrong(n):
    return n

@flow
def f():
    try:
        wrong(1)
    except Exception as error:
        return [measured(20_000), type(error).__name__, str(error)]
"""
METADATA = {
    "METADATA": "Metadata-Version: 2.1\nName: deep-stack\nVersion: 1.0\n",
    "entry_points.txt": "[kitaru.runtimes]\ndeep = deep_stack:DeepStack\nbroken = deep_stack:Nothing\n",
}


@pytest.fixture
def installed(tmp_path):
    """Return a directory with the package in it, as pip would lay it out, and its test file."""
    runtime, test = re.findall(r"```python\n(.*?)```", (REPOSITORY / "docs" / "placement.md").read_text(), re.DOTALL)[
        1:
    ]
    site = tmp_path / "site"
    info = site / "deep_stack-1.0.dist-info"
    info.mkdir(parents=True)
    (site / "deep_stack.py").write_text(runtime)
    for name, text in METADATA.items():
        (info / name).write_text(text)
    (site / "test_deep_stack.py").write_text(test)
    return site


def run(site, *words):
    environ = {"PYTHONPATH": f"{REPOSITORY}:{site}", "PATH": "/usr/bin:/bin"}
    return subprocess.run(
        [sys.executable, *words], cwd=site, env=environ, capture_output=True, text=True, timeout=60, check=False
    )


def test_it_is_found_by_its_name(installed):
    (installed / "deep_flow.py").write_text(FLOW)
    assert run(installed, "-m", "kitaru", "init").returncode == 0
    ended = run(installed, "-m", "kitaru", "run", "-q", "deep_flow.py")
    assert ended.returncode == 0, ended.stderr
    assert "20000" in ended.stdout
    assert "deep has the option megabytes, not colour" in ended.stdout


def test_one_that_cannot_be_loaded_says_so(installed):
    (installed / "deep_flow.py").write_text(FLOW.replace('"deep"', '"broken"'))
    run(installed, "-m", "kitaru", "init")
    ended = run(installed, "-m", "kitaru", "run", "-q", "deep_flow.py")
    assert "runtime 'broken', deep_stack:Nothing, cannot be loaded" in ended.stdout + ended.stderr


def test_it_keeps_the_contract(installed):
    ended = run(installed, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_deep_stack.py")
    assert ended.returncode == 0, ended.stdout
    assert " passed" in ended.stdout
