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


def test_mistakes_in_options_are_usage(project):
    for words in (["--note", "x"], ["--weight", "10"], ["--route", "v1"], ["--route", "stable", "--weight", "0"]):
        ended = project("deploy", "flows.py:agent", *words)
        assert (ended.code, ended.out) == (2, ""), words
        assert "hint: " in ended.err, words
