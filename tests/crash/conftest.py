"""A project for trials in each durability, and the processes that work in it."""

import shutil
from pathlib import Path

import pytest

from kitaru.config import assign
from kitaru.project import Project
from tests.crash.workers import Place, Zygote

DURABILITIES = ("power-loss", "process-crash")


@pytest.fixture(scope="session")
def zygote():
    zygote = Zygote()
    yield zygote
    zygote.close()


@pytest.fixture(params=DURABILITIES)
def durability(request):
    return request.param


@pytest.fixture
def make_place(zygote, tmp_path):
    """Return a function that makes a project with the flows, at a path or below the test's own directory."""
    made = []

    def make(durability, root=None):
        root = root or tmp_path / f"project-{len(made)}"
        root.mkdir(exist_ok=True)
        Project.init(root)
        assign(root / ".kitaru" / "config.toml", "durability", durability)
        shutil.copyfile(Path(__file__).parent / "flows" / "steps.py", root / "steps.py")
        beside = tmp_path / f"beside-{len(made)}"
        beside.mkdir()
        place = Place(root, zygote, beside / "effects")
        made.append(place)
        return place

    yield make
    for place in made:
        place.close()


@pytest.fixture
def place(make_place, durability):
    return make_place(durability)
