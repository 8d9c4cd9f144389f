"""A fingerprint changes with what a function computes with, and with nothing else."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import types
from pathlib import Path

import pytest

from kitaru import checkpoint
from kitaru.model.encoding import Encoder
from kitaru.runtime.fingerprint import fingerprint_of
from kitaru.runtime.names import ClassNames


@pytest.fixture
def project(tmp_path, monkeypatch):
    """Return a function that writes files, loads them anew and gives the fingerprint of `main.fetch`."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def fingerprint(**sources):
        for name, source in sources.items():
            (tmp_path / f"{name}.py").write_text(textwrap.dedent(source))
        for name in {path.stem for path in tmp_path.glob("*.py")}:
            sys.modules.pop(name, None)
        module = types.ModuleType("main")
        file = tmp_path / "main.py"
        module.__file__ = str(file)
        monkeypatch.setitem(sys.modules, "main", module)
        exec(compile(file.read_text(), str(file), "exec"), module.__dict__)
        return fingerprint_of(module.fetch, tmp_path, Encoder(name_of=ClassNames(tmp_path).name_of).digest)

    return fingerprint


MAIN = """
    import helpers
    from helpers import parse
    from kitaru import checkpoint

    LIMIT = 3

    def unrelated():
        return 1

    @checkpoint(cache=True)
    def fetch(url):
        return parse(helpers.download(url), LIMIT)
"""

HELPERS = """
    import re

    MODEL = "small"
    WORD = re.compile("[a-z]+")
    RETRIES = {"times": 3}

    def download(url):
        return _get(url, **RETRIES)

    def _get(url, times):
        return [url] * times

    def parse(text, limit):
        return WORD.findall(text)[:limit], MODEL

    def unrelated():
        return 1
"""


@pytest.fixture
def plain_main():
    return MAIN.replace("(cache=True)", "")


def changed(source, old, new):
    assert old in source
    return source.replace(old, new)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("limit]", "limit + 1]"),
        ("[url] *", "(url,) *"),
        ('"small"', '"large"'),
        ("[a-z]+", "[a-z]*"),
        ('"times": 3', '"times": 4'),
        ("def parse(text, limit)", "def parse(text, limit, flag=None)"),
    ],
)
def test_a_change_of_what_it_reaches_in_another_file(project, plain_main, old, new):
    before = project(main=plain_main, helpers=HELPERS)
    assert project(helpers=changed(HELPERS, old, new)) != before


@pytest.mark.parametrize(("old", "new"), [("LIMIT = 3", "LIMIT = 4"), ("parse(", "list("), ("(url):", "(url, n=1):")])
def test_a_change_of_its_own(project, plain_main, old, new):
    before = project(main=plain_main, helpers=HELPERS)
    assert project(main=changed(plain_main, old, new)) != before


@pytest.mark.parametrize("file", ["main", "helpers"])
@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("def unrelated():\n        return 1", "def unrelated():\n        return 2"),
        ("def unrelated", "# a comment\n\n\n    def unrelated"),
    ],
)
def test_a_change_of_something_else(project, plain_main, file, old, new):
    sources = {"main": plain_main, "helpers": HELPERS}
    before = project(**sources)
    assert project(**{file: changed(sources[file], old, new)}) == before


def test_the_same_in_every_process(tmp_path, plain_main):
    (tmp_path / "main.py").write_text(textwrap.dedent(plain_main))
    (tmp_path / "helpers.py").write_text(textwrap.dedent(HELPERS) + '\nNAMES = {"a", "b", "c"}\n')
    text = (
        "import main, sys; from pathlib import Path\n"
        "from kitaru.model.encoding import Encoder; from kitaru.runtime.fingerprint import fingerprint_of\n"
        "names = lambda cls: cls.__module__ + ':' + cls.__qualname__\n"
        "print(fingerprint_of(main.fetch, Path.cwd(), Encoder(name_of=names).digest))"
    )
    found = {
        subprocess.run(
            [sys.executable, "-c", text],
            cwd=tmp_path,
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": f"{tmp_path}:{Path(__file__).parents[2]}"},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(found) == 1


METHODS = """
    from dataclasses import dataclass, field
    from enum import Enum
    from kitaru import checkpoint

    class Kind(Enum):
        SHORT = "s"

    @dataclass
    class Plan:
        steps: int = 2
        notes: list = field(default_factory=list)

        def render(self):
            return "plan"

    class Base:
        def shared(self):
            return 1

    class Agent(Base):
        model = "small"

        @checkpoint
        def fetch(self, plan: "Plan", kind: Kind):
            return self.clean(plan.render()), self.model, super().shared()

        def clean(self, text):
            return text.strip()

        def other(self):
            return 2

    fetch = Agent.fetch
"""


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("text.strip()", "text"),
        ('"small"', '"large"'),
        ("return 1", "return 3"),
        ('return "plan"', 'return "Plan"'),
        ("steps: int = 2", "steps: int = 3"),
        ("default_factory=list", "default_factory=dict"),
        ('SHORT = "s"', 'SHORT = "t"'),
    ],
)
def test_methods_and_the_classes_it_is_given(project, old, new):
    before = project(main=METHODS)
    assert project(main=METHODS) == before
    assert project(main=changed(METHODS, old, new)) != before


def test_a_method_that_it_does_not_name(project):
    before = project(main=METHODS)
    assert project(main=changed(METHODS, "return 2", "return 5")) == before


PYDANTIC = """
    from pydantic import BaseModel, Field, field_validator
    from kitaru import checkpoint

    class Plan(BaseModel):
        \"\"\"What to do.\"\"\"
        steps: int = Field(2, ge=1, description="how many")

        @field_validator("steps")
        @classmethod
        def few(cls, value):
            return min(value, 9)

    @checkpoint
    def fetch(url: str) -> Plan:
        return Plan()
"""


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("Field(2", "Field(3"),
        ("ge=1", "ge=2"),
        ("how many", "how often"),
        ("min(value, 9)", "min(value, 8)"),
        ("What to do", "What to think"),
        ("steps: int", "steps: float"),
    ],
)
def test_a_model_of_pydantic(project, old, new):
    before = project(main=PYDANTIC)
    assert project(main=PYDANTIC) == before
    assert project(main=changed(PYDANTIC, old, new)) != before


INSIDE = """
    from kitaru import checkpoint

    @checkpoint
    def fetch(url):
        from helpers import parse
        return parse(url, 3)
"""


def test_an_import_inside_the_function(project):
    before = project(main=INSIDE, helpers=HELPERS)
    assert "helpers" not in sys.modules  # it is not imported for this
    assert project(main=INSIDE) == before
    assert project(helpers=changed(HELPERS, "limit]", "limit + 1]")) != before


def test_a_module_used_as_a_whole(project):
    source = 'import helpers\n\ndef fetch(name):\n    return getattr(helpers, "parse")\n'
    before = project(main=source, helpers=HELPERS)
    assert project(helpers=changed(HELPERS, "limit]", "limit + 1]")) != before


def test_code_outside_of_the_project_that_is_no_library(project, tmp_path, monkeypatch):
    beside = tmp_path.parent / f"{tmp_path.name}-beside"
    beside.mkdir()
    monkeypatch.syspath_prepend(str(beside))
    found = []
    for result in ("1", "2"):
        (beside / "shared_code.py").write_text(f"def shared():\n    return {result}\n")
        sys.modules.pop("shared_code", None)
        found.append(project(main="from shared_code import shared\n\ndef fetch():\n    return shared()\n"))
    sys.modules.pop("shared_code", None)
    assert found[0] != found[1]


def test_functions_in_data_behind_wrappers_and_in_closures(project):
    source = """
        import contextlib, functools

        def one(x): return x + 1
        def two(x): return x + 2
        @functools.lru_cache
        def three(x): return x + 3
        @contextlib.contextmanager
        def four(): yield 4
        five = functools.partial(one, 5)
        STEPS = {"one": one, "all": [two]}

        def outer():
            inner = 6
            def fetch(x):
                with four() as n:
                    return STEPS["one"](x), three(x), n, five(), inner, fetch
            return fetch

        fetch = outer()
    """
    before = project(main=source)
    assert project(main=source) == before
    for old, new in [("x + 1", "x - 1"), ("x + 2", "x - 2"), ("x + 3", "x - 3"), ("yield 4", "yield 5")]:
        assert project(main=changed(source, old, new)) != before
    assert project(main=changed(source, "one, 5", "one, 6")) != before
    assert project(main=changed(source, "inner = 6", "inner = 7")) != before


def test_checkpoints_that_call_each_other(project):
    source = """
        from kitaru import checkpoint

        @checkpoint
        def fetch(n):
            return other(n - 1) if n else "end"

        @checkpoint
        def other(n):
            return fetch(n)
    """
    before = project(main=source)
    assert project(main=source) == before
    assert project(main=changed(source, "return fetch(n)", "return [fetch(n)]")) != before


LEVEL = 1


@checkpoint
def leveled():
    return LEVEL


def test_a_name_that_leads_elsewhere_is_seen_at_once(monkeypatch):
    root, digest = Path(__file__).parents[2], Encoder(name_of=lambda cls: cls.__qualname__).digest
    before = fingerprint_of(leveled, root, digest)
    assert fingerprint_of(leveled, root, digest) == before
    monkeypatch.setattr(sys.modules[__name__], "LEVEL", 2)
    assert fingerprint_of(leveled, root, digest) != before
    monkeypatch.undo()
    assert fingerprint_of(leveled, root, digest) == before


def test_it_is_worked_out_once(monkeypatch):
    looks = []

    def digest(value):
        looks.append(value)
        return "0" * 64

    root = Path(__file__).parents[2]

    @checkpoint
    def counted():
        return LEVEL

    first = fingerprint_of(counted, root, digest)
    count = len(looks)
    assert count > 0
    assert fingerprint_of(counted, root, digest) == first
    assert len(looks) == count


def test_data_that_leads_to_itself(project):
    source = "loop = []\nloop.append(loop)\nloop.append(lambda: 1)\n\ndef fetch():\n    return loop\n"
    assert project(main=source) == project(main=source)
