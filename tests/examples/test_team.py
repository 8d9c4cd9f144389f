"""The story of a team: its script as it stands, three machines and the folder that they share."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import kitaru
from kitaru.runtime.loading import load_target

ROOT = Path(__file__).parents[2]
TEAM = ROOT / "docs" / "examples" / "team"


def test_the_story(tmp_path):
    program = tmp_path / "bin" / "kitaru"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {shlex.join([sys.executable, "-m", "kitaru"])} "$@"\n')
    program.chmod(0o755)
    path = f"{program.parent}{os.pathsep}{os.environ['PATH']}"
    ended = subprocess.run(
        ["sh", str(TEAM / "story.sh"), "machines"],
        cwd=tmp_path,
        env={**os.environ, "PATH": path, "PYTHONPATH": str(ROOT), "NO_COLOR": "1", "USER": "me", "LOGNAME": "me"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    first, second = sorted(kitaru.Project.open(tmp_path / "machines" / "ana").log(), key=lambda run: run.started)
    assert (first.status, second.status) == ("completed", "waiting")
    assert '"drafted by": "ana",' in ended.stdout
    assert '"published by": "server"' in ended.stdout
    assert '"text": "Most of what is known about moons."' in ended.stdout


def test_its_checkpoints_are_plain_functions():
    example = sys.modules[load_target("docs/examples/team/report.py:report", ROOT, ROOT).entry.module]
    drafted = example.draft("tides")
    assert drafted["text"] == "All that is known about tides."
    assert example.publish(drafted)["published by"] == drafted["drafted by"]
