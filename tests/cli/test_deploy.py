"""kitaru deploy on a real project, through the real `main`."""

import json


def test_a_flow_is_deployed_to_a_route_and_shown_there(project):
    ended = project("deploy", "flows.py:agent", "--route", "stable", "--note", "the first")
    assert (ended.code, ended.out, ended.err) == (0, "agent@v1\nagent@stable  v1\n", "")
    assert json.loads(project("log", "-o", "json").out)["runs"] == []
    shown = json.loads(project("flow", "show", "agent@stable", "-o", "json").out)
    assert (shown["n"], shown["trusted"], shown["runs"]) == (1, True, [])
    assert [(entry["route"], entry["note"], entry["by"]) for entry in shown["routes"]] == [
        ("stable", "the first", "ada")
    ]
    assert "route       stable  v1  since 2026-01-01" in project("flow", "show", "agent").out
    (line,) = json.loads(project("flow", "list", "-o", "json").out)["flows"]
    assert [entry["route"] for entry in line["routes"]] == ["stable"]


def test_code_that_is_recorded_keeps_its_version(project):
    project("deploy", "flows.py:agent")
    ended = project("deploy", "flows.py:agent", "-o", "json")
    document = json.loads(ended.out)
    assert (document["n"], document["new"], document["route"], document["notes"]) == (1, False, None, [])
    assert project("deploy", "flows.py:agent").out == "agent@v1  recorded already\n"


def test_a_share_of_a_route(project, directory):
    project("deploy", "flows.py:agent", "--route", "stable")
    file = directory / "flows.py"
    file.write_text(file.read_text().replace("documents", "documents in all"))
    ended = project("deploy", "flows.py:agent", "--route", "stable", "--weight", "10")
    assert ended.out == "agent@v2\nagent@stable  v1 90 %, v2 10 %\n"
    several = project("flow", "show", "agent@stable")
    assert (several.code, "goes to v1 and v2: which is meant?" in several.err) == (2, True)


def test_what_is_not_whole_is_refused_in_a_line(project, directory):
    (directory / "lib").mkdir()
    (directory / "lib" / "helper.py").touch()
    (directory / "flows.py").write_text(
        "from kitaru import flow\n\n@flow\ndef agent():\n    import helper\n    import nowhere_installed\n"
    )
    ended = project("deploy", "flows.py:agent", "--route", "stable")
    assert (ended.code, ended.out) == (1, "")
    assert ended.err == (
        "error: the flow does not work from its snapshot alone: flows.py:5 imports helper, and lib/helper.py is not in"
        " it\nhint: import it by its name in the project, in an import statement: import lib.helper\n"
    )
    assert json.loads(project("flow", "list", "-o", "json").out) == {"flows": []}
    (directory / "lib" / "helper.py").unlink()
    ended = project("deploy", "flows.py:agent")
    assert ended.out.split("\n")[1:] == [
        "note: flows.py:5 imports helper, which is not installed here",
        "note: flows.py:6 imports nowhere_installed, which is not installed here",
        "",
    ]


def test_what_a_file_prints_on_import_is_not_in_the_result(project, directory):
    (directory / "flows.py").write_text("print('loud')\nfrom kitaru import flow\n\n@flow\ndef agent(): ...\n")
    ended = project("deploy", "flows.py:agent", "-o", "json")
    assert (json.loads(ended.out)["n"], ended.err) == (1, "loud\n")


def test_mistakes_in_options_are_usage(project):
    for words in (["--note", "x"], ["--weight", "10"], ["--route", "v1"], ["--route", "stable", "--weight", "0"]):
        ended = project("deploy", "flows.py:agent", *words)
        assert (ended.code, ended.out) == (2, ""), words
        assert "hint: " in ended.err, words


LATE = """
from kitaru import checkpoint, flow

@checkpoint
def say(word: str) -> str:
    from late import shout
    return shout(word) + "{mark}"

@flow
def late_flow(word: str) -> str:
    return say(word)
"""


def test_deployed_versions_run_when_their_sources_are_gone_and_in_a_clone(project, directory, monkeypatch):
    (directory / "late.py").write_text("def shout(text): return text.upper()\n")
    for mark in "!?":
        (directory / "agent.py").write_text(LATE.format(mark=mark))
        assert project("deploy", "agent.py:late_flow", "--route", "stable").code == 0
    (directory / "agent.py").unlink()
    (directory / "late.py").unlink()
    said = {f"late_flow@{at}": mark for at, mark in (("v1", "!"), ("v2", "?"), ("stable", "?"))}
    for target, mark in said.items():
        assert project("invoke", target, "word=hi", "-q").out == f"HI{mark}\n"
    assert project("remote", "add", "origin", "team").code == 0
    assert project("push", "-q").code == 0
    assert project("clone", "team", "copy", "-q").code == 0
    monkeypatch.chdir(directory / "copy")
    assert project("invoke", "late_flow@v1", "word=hi", "-q").code == 11
    assert "trust       not trusted yet: kitaru trust late_flow@v1" in project("flow", "show", "late_flow@v1").out
    for n in (1, 2):
        assert project("trust", f"late_flow@v{n}", "--yes").code == 0
    for target, mark in said.items():
        assert project("invoke", target, "word=you", "-q").out == f"YOU{mark}\n"
    shown = json.loads(project("flow", "show", "late_flow@v1", "-o", "json").out)
    assert (shown["trusted"], [origin["remote"] for origin in shown["origins"]]) == (True, ["origin"])
    assert project("export", "late_flow@v1", "out").code == 0
    assert (directory / "copy/out/agent.py").read_text() == LATE.format(mark="!")
