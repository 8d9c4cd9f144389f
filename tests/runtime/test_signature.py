"""The signature of a recorded flow is what Python tells of it, read from its source alone."""

from __future__ import annotations

import pytest

from kitaru.runtime.entry import Entry
from kitaru.runtime.signature import recorded_signature


def signature(source, qualname="agent", file="a.py"):
    return recorded_signature(Entry("a", qualname, file, (".",)), {"a.py": source.encode()})


@pytest.mark.parametrize(
    "written",
    [
        "agent()",
        "agent(question)",
        "agent(question: str, limit: int = 3) -> str",
        "agent(question, limit=None, *, deep: bool = False, more)",
        "agent(*, plan: dict[str, 'Plan'] = {'a': 1}) -> list[str] | None",
        "agent(question, **more: int)",
    ],
)
def test_it_is_as_it_was_written(written):
    assert signature(f"import nothing_like_it\n\n@flow\ndef {written}:\n    boom()\n") == written
    assert signature(f"@flow\nasync def {written}: ...\n") == written


def test_of_several_functions_of_that_name_it_is_the_last():
    assert signature("def agent(a): ...\ndef agent(b): ...\n") == "agent(b)"
    assert signature("class A:\n    def agent(c): ...\n", qualname="A.agent") == "agent(c)"


@pytest.mark.parametrize(
    "source", ["", "def other(): ...", "def agent(", "\0", "((((" * 9999, "def agent(x=" + "-" * 5000]
)
def test_what_cannot_be_read_has_none(source):
    assert signature(source) == ""


def test_a_notebooks_only_file_is_looked_at():
    assert signature("def agent(x): ...", file=None) == "agent(x)"
