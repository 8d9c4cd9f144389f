"""Who executes a run is told before it has recorded anything new."""

from __future__ import annotations

import os
import threading

import pytest

from kitaru import Project, checkpoint, flow
from kitaru.errors import RunHeld


@checkpoint
def one():
    return 1


def test_the_holder_of_a_resumed_run_is_named_at_once(tmp_path):
    entered, release, first = threading.Event(), threading.Event(), [True]

    @flow
    def body():
        one()
        if first.pop() if first else False:
            raise KeyboardInterrupt
        entered.set()
        assert release.wait(30)
        return 2

    project = Project.init(tmp_path)
    run = project.run(body, {}, foreground=True).exec_id
    handle = project.resume(run)
    try:
        assert entered.wait(30)
        with pytest.raises(RunHeld, match=f"process {os.getpid()} on "):
            Project.open(tmp_path).resume(run)
    finally:
        release.set()
    assert handle.wait() == 2


def test_a_resume_that_comes_to_the_same_question_leaves_nothing_behind(tmp_path):
    import kitaru

    @flow
    def body():
        one()
        return kitaru.wait("approve")

    project = Project.init(tmp_path)
    run = project.run(body, {}, foreground=True).exec_id
    before = sorted(p for p in (tmp_path / ".kitaru").rglob("*") if "locks" not in p.parts)
    assert project.resume(run, foreground=True).status == "waiting"
    assert sorted(p for p in (tmp_path / ".kitaru").rglob("*") if "locks" not in p.parts) == before
