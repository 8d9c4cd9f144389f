"""The help page, the verbs, and the documentation tell the same."""

import ast
import importlib.util
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import kitaru.cli.verbs
from kitaru.cli.app import application, verb
from kitaru.cli.documents import call_json, run_json, summary_json, wait_json
from kitaru.cli.table import EXIT_STATUSES, VERBS
from kitaru.errors import KitaruError
from kitaru.model.history import CallView, RunState, WaitView
from kitaru.model.records import Answer, Call, Start, Wait
from kitaru.model.summary import RunSummary

ROOT = Path(__file__).parents[2]


def test_every_verb_has_a_file_and_every_file_a_verb():
    files = {p.stem for p in Path(kitaru.cli.verbs.__path__[0]).glob("*.py")} - {"__init__"}
    assert files == {name.replace("-", "_") for name in VERBS}


@pytest.mark.parametrize("name", VERBS)
def test_one_line_helps_are_in_step(name):
    first = verb(name).help.splitlines()[0].rstrip(".")
    assert first.startswith(VERBS[name][:12])
    assert import_module(f"kitaru.cli.verbs.{name.replace('-', '_')}").__doc__.startswith(f"`kitaru {name}`.")


def has_words(name):
    """Tell whether a verb has words after it, so that typer gives its name to none of its functions."""
    return hasattr(import_module(f"kitaru.cli.verbs.{name.replace('-', '_')}"), "app")


def test_the_group_knows_the_verbs_and_their_names():
    group = application()
    assert group.list_commands(None) == list(VERBS)
    assert all(group.get_command(None, name).name == name for name in VERBS if not has_words(name))


def test_exit_statuses_are_those_of_the_errors():
    def codes(cls):
        return {cls.exit_code}.union(*map(codes, cls.__subclasses__()))

    assert codes(KitaruError) <= EXIT_STATUSES.keys()


def generator():
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "cli" / "generate.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_pages_are_not_stale():
    pages = generator().pages()
    stale = [name for name, text in pages.items() if (ROOT / "docs" / "cli" / name).read_text("utf-8") != text]
    assert not stale, "run python docs/cli/generate.py"


def documents():
    state = RunState("r", Start(0, "f", {"n": 1}, {}))
    call = CallView("c", 1, 1, "", "r", Call(2, "c", 1, 1))
    wait = WaitView(Wait(0, "w", 2, "d"), "id", "r", Answer(0, "w", "v"))
    return {
        "Summary": summary_json(RunSummary("r", "f", 1, "running", 0)),
        "Run": run_json(state),
        "Call": call_json(call, "r", gone=False),
        "Wait": wait_json(wait, None),
    }


@pytest.mark.parametrize("name", ["Summary", "Run", "Call", "Wait"])
def test_every_field_is_documented(name):
    text = (ROOT / "docs" / "cli" / "json.md").read_text("utf-8")
    section = text.split(f"\n## {name}\n")[1].split("\n## ")[0]
    assert not [field for field in documents()[name] if f"`{field}`" not in section]


def test_help_loads_nothing_it_does_not_need():
    """What help imports is counted instead of timed: no typer, rich, pydantic, inspect, nor any verb."""
    program = "import sys; from kitaru.cli import main; main(['--help']); print(sorted(sys.modules))"
    out = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    loaded = ast.literal_eval(out.splitlines()[-1])
    heavy = ("typer", "click", "rich", "pydantic", "inspect", "kitaru.project", "kitaru.runtime", "kitaru.store")
    assert not [name for name in loaded if name.startswith(heavy)]
