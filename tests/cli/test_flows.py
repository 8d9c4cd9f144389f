"""kitaru flow and kitaru export on a real project, through the real `main`."""

import json
import re

import pytest

from kitaru.project import Project
from kitaru.runtime.entry import Entry
from tests.cli.test_golden import check, steady, terminal  # noqa: F401 - a fixture


@pytest.fixture
def edited(project, directory):
    """Two versions of `agent`, of which the first has a completed run and one that waits, and a flow that failed."""
    project("run", "flows.py:agent", "question=a", "-q")
    project("answer", "@", "true", "-q")
    project("run", "flows.py:agent", "question=b", "-q")
    project("run", "flows.py:bad", "-q")
    file = directory / "flows.py"
    file.write_text(file.read_text().replace("documents", "documents in all"))
    project("run", "flows.py:agent", "question=c", "-q")
    return project


def test_flows_are_listed_with_their_latest_version_and_last_run(edited):
    found = json.loads(edited("flow", "list", "-o", "json").out)["flows"]
    assert [(f["flow"], f["versions"], f["latest"]["n"], f["runs"]) for f in found] == [
        ("agent", 2, 2, 3),
        ("bad", 1, 1, 1),
    ]
    assert [(f["last"]["status"], f["latest"]["by"]) for f in found] == [("waiting", "ada"), ("failed", "ada")]


def test_a_flow_whose_first_version_is_just_being_recorded_is_not_listed_yet(project, directory):
    (directory / ".kitaru/flows/early").mkdir(parents=True)
    assert json.loads(project("flow", "list", "-o", "json").out) == {"flows": []}
    nothing = "error: nothing is recorded of a flow 'early'\nhint: kitaru deploy FILE.py:FLOW records one here, "
    assert all(project(*words).err.startswith(nothing) for words in (["flow", "show", "early"], ["invoke", "early"]))


def test_a_version_is_shown_with_what_it_takes_and_its_runs(edited):
    first, latest = (json.loads(edited("flow", "show", t, "-o", "json").out) for t in ("agent@v1", "agent"))
    assert (first["n"], latest["n"], latest["flow"]) == (1, 2, "agent")
    assert first["signature"] == "agent(question: str) -> str"
    assert first["inputs"]["properties"] == {"question": {"type": "string"}}
    assert first["entry"] == {"module": "flows", "qualname": "agent", "file": "flows.py"}
    assert [run["status"] for run in first["runs"]] == ["waiting", "completed"]
    assert [file["path"] for file in first["files"]] == ["flows.py"]
    assert first["files"][0]["sha256"] != latest["files"][0]["sha256"]
    assert latest == json.loads(edited("flow", "show", "agent@latest", "-o", "json").out)


def test_a_version_of_a_session_has_no_sources_to_show(project, directory):
    typed = {"__name__": "__main__"}
    exec(compile("from kitaru import flow\n@flow\ndef typed_here(): return 1\n", "<stdin>", "exec"), typed)
    version = Entry("__main__", "typed_here", None, ())
    Project.open(directory).runner.versions.record(typed["typed_here"], version, ())
    shown = project("flow", "show", "typed_here")
    assert (shown.code, "entry       __main__:typed_here" in shown.out, "sources" in shown.out) == (0, True, False)


def test_outcomes_are_told_by_version(edited):
    found = json.loads(edited("flow", "stats", "agent", "-o", "json").out)["versions"]
    assert [(v["n"], v["runs"], v["by_status"]) for v in found] == [
        (1, 2, {"completed": 1, "waiting": 1}),
        (2, 1, {"waiting": 1}),
    ]
    assert found[0]["median_us"] == found[0]["p90_us"] > 0
    assert found[1]["median_us"] is None
    later = edited("flow", "stats", "agent", "--since", "2027-01-01", "-o", "json")
    assert [v["runs"] for v in json.loads(later.out)["versions"]] == [0, 0]


def test_pages_of_flows(edited, terminal):  # noqa: F811 - the fixture of that name
    terminal(100)
    words = [["list"], ["show", "agent@v1"], ["show", "bad"], ["versions", "agent"], ["stats", "agent"]]
    text = "".join(f"$ kitaru flow {' '.join(w)}\n{edited('flow', *w).out}\n" for w in words)
    lines = re.sub(" {3,}", "   ", steady(text)).split("\n")  # how wide a column is hangs on durations
    check("flow", "\n".join(line for line in lines if not line.startswith(("python ", "runs on "))))


def test_a_version_is_exported_beside_nothing_else(edited, directory):
    ended = edited("export", "agent@v1", "out/v1", "-o", "json")
    assert json.loads(ended.out)["files"] == ["out/v1/flows.py"]
    assert "in all" not in (directory / "out/v1/flows.py").read_text()
    assert [path.name for path in (directory / "out/v1").iterdir()] == ["flows.py"]


def test_export_writes_over_nothing_without_leave(edited, directory):
    edited("export", "agent@v1", "out")
    assert edited("export", "agent@v1", "out").code == 0  # the same content is in nobody's way
    ended = edited("export", "agent@v2", "out")
    assert (ended.code, "out/flows.py is there already, with other content" in ended.err) == (2, True)
    assert "in all" not in (directory / "out/flows.py").read_text()
    assert edited("export", "agent@v2", "out", "--force").code == 0
    assert "in all" in (directory / "out/flows.py").read_text()


def test_export_replaces_a_link_and_does_not_follow_it(edited, directory):
    elsewhere = directory / "precious.txt"
    elsewhere.write_text("mine")
    (directory / "out").mkdir()
    (directory / "out/flows.py").symlink_to(elsewhere)
    assert edited("export", "agent@v1", "out").code == 2
    assert edited("export", "agent@v1", "out", "--force").code == 0
    assert elsewhere.read_text() == "mine"
    assert not (directory / "out/flows.py").is_symlink()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["flow", "show", "agent@v9"], "flow agent has no version v9"),
        (["flow", "show", "agnet"], "nothing is recorded of a flow 'agnet'"),
        (["flow", "show", "agent@"], "names no flow version"),
        (["flow", "versions", "nothing"], "nothing is recorded of a flow 'nothing'"),
        (["flow", "stats", "nothing"], "nothing is recorded of a flow 'nothing'"),
        (["flow", "stats", "agent", "--since", "soon"], "'soon' is not a time"),
        (["export", "agent@v9", "out"], "flow agent has no version v9"),
        (["export", "agent", "flows.py"], "flows.py/flows.py cannot be written"),
    ],
)
def test_mistakes_are_one_line_and_a_hint(edited, words, told):
    ended = edited(*words)
    assert ended.code in (1, 2)
    assert ended.out == ""
    assert told in ended.err
    assert ended.err.startswith("error: ")


def test_versions_are_completed(edited):
    from kitaru.cli import complete

    assert [name for name, _ in complete.flows("a")] == ["agent"]
    assert "agent@v2" in [name for name, _ in complete.versions("agent@")]


def test_runs_of_the_same_code_recorded_twice_count_for_one_version(kitaru, directory, monkeypatch):
    source = "from kitaru import flow\n\n@flow\ndef twice():\n    return 1\n"
    (directory / "b" / "lib").mkdir(parents=True)
    (directory / "a").mkdir()
    ids = set()
    for name in "ab":
        monkeypatch.chdir(directory / name)
        (directory / name / "twice.py").write_text(source)
        kitaru("init", "--remote", str(directory / "team"))
        with monkeypatch.context() as path:
            path.syspath_prepend(str(directory / name / "lib"))  # in b it is there, so that b's version tells of it
            assert kitaru("run", "twice.py:twice", "-q").code == 0
        ids.add(json.loads(kitaru("flow", "show", "twice", "-o", "json").out)["id"])
        assert kitaru("push", "-q").code == 0
    assert len(ids) == 2
    monkeypatch.chdir(directory / "a")
    assert kitaru("pull", "-q").code == 0
    found = json.loads(kitaru("flow", "stats", "twice", "-o", "json").out)["versions"]
    assert [(v["n"], v["by_status"]) for v in found] == [(1, {"completed": 2})]
    shown = json.loads(kitaru("flow", "show", "twice@v1", "-o", "json").out)["runs"]
    assert len({run["run"] for run in shown}) == 2
    assert [run["started"] for run in shown] == sorted((run["started"] for run in shown), reverse=True)


def test_the_number_of_a_version_is_that_of_the_same_code_that_somebody_else_recorded(kitaru, directory, monkeypatch):
    old = "from kitaru import flow\n\n@flow\ndef twice():\n    return 1\n"
    new = "import pathlib\n" + old.replace("return 1", "return pathlib.Path('there').read_text()")
    (directory / "b" / "lib").mkdir(parents=True)
    (directory / "a").mkdir()
    for name, sources in (("a", [old, new]), ("b", [new])):
        monkeypatch.chdir(directory / name)
        kitaru("init", "--remote", str(directory / "team"))
        with monkeypatch.context() as path:
            path.syspath_prepend(str(directory / name / "lib"))  # in b it is there, so that b's version tells of it
            for source in sources:
                (directory / name / "twice.py").write_text(source)
                kitaru("run", "twice.py:twice", "-q")
            (directory / name / "there").write_text("x")
            assert kitaru("resume", "@", "-q").code == 0
    assert json.loads(kitaru("show", "-o", "json").out)["version"] == 1
    monkeypatch.chdir(directory / "a")
    assert kitaru("push", "-q").code == 0
    monkeypatch.chdir(directory / "b")
    assert kitaru("pull", "-q").code == 0
    run = json.loads(kitaru("show", "-o", "json").out)
    assert (run["version"], [resumed["version"] for resumed in run["resumed"]]) == (2, [2])
    assert "twice v2" in kitaru("show").out
    assert "twice v2" in kitaru("logs").out
    assert {run["version"] for run in json.loads(kitaru("log", "-o", "json").out)["runs"]} == {1, 2}
