"""The public names as a type checker sees them: `mypy --strict` over two files, one right and one wrong."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from mypy import api

HERE = Path(__file__).parent
REPOSITORY = HERE.parents[1]


@pytest.fixture(scope="module")
def told():
    files = [str(HERE / name) for name in ("public_api.py", "wrong_api.py")]
    config = ["--config-file=", "--strict", "--follow-imports=silent", "--no-error-summary"]
    cache = ["--cache-dir", str(REPOSITORY / ".mypy_cache/typing")]
    out, err, _ = api.run([*config, *cache, "--no-color-output", *files])
    assert err == ""
    return out.splitlines()


def test_what_is_right_is_accepted(told):
    assert [line for line in told if "public_api.py" in line] == []


def test_what_is_wrong_is_refused(told):
    found = [re.search(r"wrong_api\.py:(\d+): error: .*\[([\w-]+)\]$", line) for line in told]
    errors = sorted((int(match[1]), match[2]) for match in found if match)
    lines = (HERE / "wrong_api.py").read_text().splitlines()
    marked = [(n, line.partition("# wrong: ")[2]) for n, line in enumerate(lines, 1) if "  # wrong: " in line]
    assert errors == marked
