"""Environments as versions recorded them: what goes in, what refuses to be built, and one that is."""

import os
import platform
import stat
import subprocess
import sys
import threading
import zipfile
from importlib.metadata import distribution, requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from kitaru import Status
from kitaru.errors import CodeUnloadable, EnvironmentUnbuildable
from kitaru.project import Project
from kitaru.project.environments import environment_of
from kitaru.testing import memory_project, work_off

HERE = {"python": platform.python_version(), "distributions": {"kitaru": "0.1.0"}}
FLOW = """
import tiny
from kitaru import checkpoint, flow, wait

@checkpoint
def say(n: int) -> str:
    return tiny.WORD * n

@flow
def talk(n: int, ask: bool = False) -> str:
    return say(wait(name="w", schema=int) if ask else n)
"""


def wheel(folder: Path, name: str, version: str, files: dict[str, str]) -> None:
    """Write a wheel by hand."""
    info = f"{name}-{version}.dist-info"
    metadata = {
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    everything = {**files, **metadata}
    record = "".join(f"{path},,\n" for path in [*everything, f"{info}/RECORD"])
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as archive:
        for path, text in {**everything, f"{info}/RECORD": record}.items():
            archive.writestr(path, text)


def repacked(folder: Path, name: str, done: set[str]) -> None:
    """Write the wheel that an installed distribution came from, and those of what it needs."""
    if name.lower() in done:
        return
    done.add(name.lower())
    found = distribution(name)
    tags = [line.removeprefix("Tag: ") for line in (found.read_text("WHEEL") or "").splitlines() if line[:5] == "Tag: "]
    file = f"{found.name.replace('-', '_')}-{found.version}-{tags[0]}.whl"
    inside = [p for p in found.files or [] if ".." not in p.parts and "__pycache__" not in p.parts]
    with zipfile.ZipFile(folder / file, "w") as archive:
        for path in inside:
            archive.write(path.locate(), str(path))
    for text in found.requires or []:
        need = Requirement(text)
        if need.marker is None or need.marker.evaluate({"extra": ""}):
            repacked(folder, need.name, done)


@pytest.fixture(scope="module")
def wheels(tmp_path_factory):
    """All that an environment needs that is to be built without a network, and `tiny` 1.0 and 2.0."""
    folder = tmp_path_factory.mktemp("wheels")
    done: set[str] = set()
    for text in requires("kitaru") or []:
        if "extra ==" not in text:
            repacked(folder, Requirement(text).name, done)
    for version in ("1.0", "2.0"):
        wheel(folder, "tiny", version, {"tiny.py": f"WORD = 'v{version} '\n"})
    return folder


@pytest.fixture
def offline(wheels, monkeypatch, tmp_path_factory):
    """Let uv look nowhere but in that folder."""
    monkeypatch.setenv("UV_NO_INDEX", "1")
    monkeypatch.setenv("UV_FIND_LINKS", str(wheels))
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path_factory.mktemp("uv")))
    monkeypatch.setenv("UV_NO_CONFIG", "1")
    monkeypatch.setenv("UV_PYTHON_DOWNLOADS", "never")
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project with a version that was recorded with `tiny` 1.0, which is not installed here."""
    monkeypatch.chdir(tmp_path)
    project = Project.init(tmp_path)
    (tmp_path / "talk.py").write_text(FLOW)
    (tmp_path / "tiny.py").write_text("WORD = 'tree '\n")
    project.run("talk.py:talk", {"n": 1}, foreground=True).wait()
    (name,) = project.repo.versions("talk")
    value = project.version({"n": 1, "id": name.id})
    del value["files"]["tiny.py"]
    record(project, {**value, "distributions": {**value["distributions"], "tiny": "1.0"}})
    yield project
    for module in ("talk", "tiny"):
        sys.modules.pop(module, None)


def record(project, value):
    encoded = project.values.encode(value, frozenset(), "a version")
    project.repo.put_objects(encoded.objects)
    added = project.repo.add_version("talk", id=encoded.id, digest=encoded.id, at=1, by="ann")
    project.repo.trust.decide("versions", added.id, trusted=True, at=1, by="me")


def test_it_runs_on_what_was_recorded(project, offline, monkeypatch, tmp_path):
    (tmp_path / "tiny.py").unlink()
    sys.modules.pop("tiny", None)
    with pytest.raises(CodeUnloadable, match="No module named 'tiny'"):
        project.invoke("talk@v2", {"n": 2}, foreground=True)
    handle = project.invoke("talk@v2", {"n": 2}, env="recorded", foreground=True)
    assert handle.wait() == "v1.0 v1.0 "
    told = project.state(handle.exec_id).start.invoked
    assert (told["env"], "differs" in told) == ("recorded", False)
    monkeypatch.setenv("UV_FIND_LINKS", str(tmp_path))  # what is built is built
    shown = command("invoke", "talk@v2", "n=1", "--env", "recorded", "--key", "k")
    assert (shown.returncode, shown.stdout) == (0, "v1.0 \n")
    assert "✓ say" in shown.stderr
    piped = command("invoke", "talk@v2", "--env", "recorded", "--input", "-", given='{"n": 3}')
    assert (piped.returncode, piped.stdout) == (0, "v1.0 v1.0 v1.0 \n")  # read here first, and there once more
    again = command(
        "invoke", "talk@v2", "--env", "recorded", "--key", "k", "--input", "-", "--detach", given='{"n": 3}'
    )
    assert "was started for this key before with another n" in again.stderr


def test_a_worker_begins_what_is_queued_on_what_was_recorded(project, offline, monkeypatch, tmp_path):
    (tmp_path / "tiny.py").unlink()
    sys.modules.pop("tiny", None)
    queued = project.enqueue("talk@v2", {"n": 2}, env="recorded")
    assert work_off(project) == [queued.run]
    assert stat.S_IMODE((tmp_path / ".kitaru/cache/environments").stat().st_mode) == 0o700
    state = project.state(queued.run)
    assert (state.status, state.start.invoked["env"]) == (Status.COMPLETED, "recorded")
    queued = project.enqueue("talk@v2", {"n": 3}, env="recorded")
    worker = command("work", "--once")
    assert (worker.returncode, f"{queued.run}  completed" in worker.stdout) == (0, True), worker.stdout
    assert project.state(queued.run).start.invoked["invocation"] == queued.id


def test_a_run_goes_on_where_it_began(project, offline, tmp_path):
    (tmp_path / "tiny.py").unlink()
    sys.modules.pop("tiny", None)
    handle = project.invoke("talk@v2", {"n": 0, "ask": True}, env="recorded", foreground=True)
    assert handle.status == "waiting"
    assert project.answer(handle.exec_id, "w", 3, foreground=True).wait() == "v1.0 v1.0 v1.0 "
    run = project.invoke("talk@v2", {"n": 0, "ask": True}, env="recorded", detach=True).exec_id
    project.await_run(run)
    answered = command("answer", run, "w", "1", "-o", "json")
    assert (answered.returncode, '"result": "v1.0 "' in answered.stdout) == (0, True)
    assert "✓ say" in answered.stderr


def command(*words: str, given: str = "") -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "kitaru", *words], input=given, capture_output=True, text=True, timeout=60, check=False
    )


def test_two_who_build_it_at_once_get_one(project, offline, tmp_path):
    value = project.version({"n": 2, "id": project.repo.versions("talk")[1].id})
    environments = [project.environment(value) for _ in range(2)]
    builders = [threading.Thread(target=e.build, args=(tmp_path,)) for e in environments]
    for builder in builders:
        builder.start()
    for builder in builders:
        builder.join()
    (place,) = environments[0].place.parent.iterdir()
    assert place == environments[0].place == environments[1].place
    done = subprocess.run(
        [place / "bin/python", "-P", "-c", "import kitaru, tiny; print(tiny.WORD)"], capture_output=True
    )
    assert done.stdout == b"v1.0 \n"


def test_what_cannot_be_built_starts_nothing_and_is_told_in_a_line(project, offline, wheels, monkeypatch):
    value = project.version({"n": 2, "id": project.repo.versions("talk")[1].id})
    record(project, {**value, "distributions": {"tiny": "3.0"}})
    before = project.repo.run_ids()
    with pytest.raises(EnvironmentUnbuildable, match=r"cannot be built: .*tiny==3\.0") as caught:
        project.invoke("talk@v3", {"n": 2}, env="recorded")
    assert "\n" not in caught.value.message
    assert caught.value.hint.startswith("--env current")
    assert project.repo.run_ids() == before
    assert list(project.environment(value).place.parent.iterdir()) == []


def test_without_uv_a_line_says_how_to_get_it(project, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(EnvironmentUnbuildable, match="there is no uv") as caught:
        project.invoke("talk@v2", {"n": 2}, env="recorded")
    assert caught.value.hint == "pip install uv"


@pytest.mark.parametrize(
    "recorded",
    [
        {},
        {"python": "3.11.2"},
        {"python": "three", "distributions": {}},
        {"python": "3.11.2", "distributions": {"--index-url=http://elsewhere": "1"}},
        {"python": "3.11.2", "distributions": {"tiny": "1 --index-url=http://elsewhere"}},
        {"python": "3.11.2", "distributions": {"tiny\n-e .": "1"}},
        {"python": "3.11.2", "distributions": {"tiny @ http://elsewhere": "1"}},
        {"python": "3.11.2", "distributions": {"tiny": 1}},
        {"python": "3.11.2\n", "distributions": {}},
        {"python": "\u0663.\u0661\u0661.2", "distributions": {}},
        {"python": "3.11.2", "distributions": {"tiny\u200b": "1"}},
        {"python": "3.11.2", "distributions": {"tiny": "1; python_version > '3'"}},
        {"python": "3.11.2", "distributions": {"tiny[extra]": "1"}},
        {"python": "3.11.2", "distributions": {"./tiny": "1"}},
    ],
)
def test_a_version_from_elsewhere_cannot_make_uv_do_anything_else(recorded, tmp_path):
    with pytest.raises(EnvironmentUnbuildable):
        environment_of(recorded, tmp_path)


def test_the_same_is_built_once_and_another_elsewhere(tmp_path):
    one, same = environment_of(HERE, tmp_path), environment_of({**HERE, "git": None}, tmp_path)
    other = environment_of({**HERE, "distributions": {"tiny": "1.0"}}, tmp_path)
    assert one.place == same.place != other.place
    assert (one.pins, other.pins) == ((), ("tiny==1.0",))
    assert any(need.startswith("pydantic") for need in one.needs)
    assert not one.is_this


def test_a_store_in_memory_has_no_place_for_one(tmp_path):
    with pytest.raises(EnvironmentUnbuildable, match="in memory"):
        memory_project(tmp_path).environment(HERE)


@pytest.mark.parametrize("name", ["kitaru", "Kitaru", "KITARU"])
def test_kitaru_comes_from_here_however_a_version_spells_it(name, tmp_path):
    recorded = {"python": platform.python_version(), "distributions": {name: "9.9"}}
    assert environment_of(recorded, tmp_path).pins == ()
