"""What is told of a flow that was typed."""

from __future__ import annotations

import sys
from types import ModuleType

from kitaru.runtime.decorators import checkpoint, flow
from kitaru.runtime.notebook import notebook_source


@flow
def another_flow() -> None:
    return None


def test_a_notebooks_flow_is_told_with_what_it_names():
    found = notebook_source(told_flow)
    (text,) = found.values()
    assert b"def told_flow" in text
    assert b"def told_step" in text
    assert b"class Told" in text
    assert b"def another_flow" not in text


class Told:
    pass


told_already: list = []
"""What a body names may be anything: this cannot be hashed."""


@checkpoint
def told_step() -> Told:
    told_already.append(1)
    return Told()


@flow
def told_flow() -> Told:
    return told_step()


def test_a_flow_typed_in_a_repl_has_no_source(monkeypatch):
    module = ModuleType("repl")
    exec(compile("def f(): pass", "<stdin>", "exec"), vars(module))
    monkeypatch.setitem(sys.modules, "repl", module)
    assert notebook_source(module.f) == {}
