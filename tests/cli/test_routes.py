"""`kitaru invoke` and `kitaru route`, through the real `main`."""

import json
import signal

import pytest


@pytest.fixture
def deployed(project, directory):
    """A project with two versions of a flow, and no sources any more."""
    source = "from kitaru import checkpoint, flow\n\n@checkpoint\ndef say(q: str) -> str:\n    return 'WORD ' + q\n\n"
    source += "@flow\ndef talk(q: str, n: int = 1) -> str:\n    return say(q) * n\n"
    for word in ("one", "two"):
        (directory / "talk.py").write_text(source.replace("WORD", word))
        assert project("run", "talk.py:talk", "q=x", "-q").out == f"{word} x\n"
    (directory / "talk.py").unlink()
    return project


def test_a_version_is_invoked_without_its_source(deployed):
    ended = deployed("invoke", "talk@v1", "q=hi", "n=2")
    assert (ended.code, ended.out) == (0, "one hione hi\n")
    assert "✓ say" in ended.err
    assert "invoked   as talk@v1" in deployed("show", "@").out
    assert json.loads(deployed("show", "@", "-o", "json").out)["invoked"]["why"] == "named"


def test_inputs_from_a_document_and_words_over_it(deployed, directory):
    (directory / "in.json").write_text('{"q": "file", "n": 2}')
    assert deployed("invoke", "talk@latest", "--input", "in.json", "n=1", "-q").out == "two file\n"


def test_a_route_is_moved_and_rolled_back(deployed):
    assert deployed("route", "set", "talk", "stable", "v1", "--note", "begin").out == "talk@stable  v1  entry 1\n"
    assert (
        deployed("route", "set", "talk", "stable", "v1:90", "v2:10").out == "talk@stable  v1 90 %, v2 10 %  entry 2\n"
    )
    assert deployed("route", "rollback", "talk", "stable", "--note", "no").out == "talk@stable  v1  entry 3\n"
    assert [line.split()[:2] for line in deployed("route", "log", "talk", "stable").out.splitlines()] == [
        ["3", "v1"],
        ["2", "v1"],
        ["1", "v1"],
    ]
    assert "back to entry 1  no" in deployed("route", "log", "talk", "stable").out
    ended = deployed("invoke", "talk@stable", "q=hi")
    assert (ended.out, "note: by route stable, entry 3" in ended.err) == ("one hi\n", True)
    assert "invoked as talk@stable, by entry 3 of route stable" in deployed("log", "@").out
    assert deployed("route", "remove", "talk", "stable").out == "talk@stable  removed  entry 4\n"
    assert deployed("route", "list").out == ""


def test_a_weighted_route_tells_of_its_weights(deployed):
    deployed("route", "set", "talk", "stable", "v1:90", "v2:10")
    said = {key: deployed("invoke", "talk", "q=hi", "--key", key, "-q").out for key in ("a", "b", "c")}
    assert said == {"a": "one hi\n", "b": "one hi\n", "c": "one hi\n"}
    told = json.loads(deployed("show", "@", "-o", "json").out)["invoked"]
    assert (told["why"], [w[1:] for w in told["weights"]], told["key"]) == ("weight", [[1, 90], [2, 10]], "c")
    assert "by entry 1 of route stable, by its weights" in deployed("show", "@").out
    listed = json.loads(deployed("route", "list", "talk", "-o", "json").out)["routes"][0]
    assert [(to["version"], to["share"]) for to in listed["to"]] == [("v1", 0.9), ("v2", 0.1)]
    logged = json.loads(deployed("route", "log", "talk", "stable", "-o", "json").out)["entries"]
    assert logged == [listed]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["invoke", "talk@v1"], "talk@v1 has no value for q"),
        (["invoke", "talk@v1", "q=a", "n=many"], "wrong input for talk@v1: n: Input should be an integer"),
        (["invoke", "talk@v1", "q=a", "m=1"], "talk@v1 has no input named 'm'"),
        (["invoke", "talk@canary", "q=a"], "flow talk has no route 'canary'"),
        (["invoke", "talk@v7", "q=a"], "flow talk has no version v7"),
        (["invoke", "tolk", "q=a"], "nothing is recorded of a flow 'tolk'"),
        (["route", "set", "talk", "stable", "v1:x"], "'v1:x' is no version"),
        (["route", "set", "talk", "latest", "v1"], "a route cannot be called 'latest'"),
        (["route", "set", "talk", "stable", "v1:0"], "v1 has weight 0"),
        (["route", "rollback", "talk", "stable"], "flow talk has no route 'stable'"),
        (["route", "log", "talk", "stable"], "flow talk has no route 'stable'"),
    ],
)
def test_a_mistake_is_one_line_and_a_hint(deployed, words, told):
    before = deployed("log", "-o", "json").out
    ended = deployed(*words)
    lines = ended.err.splitlines()
    assert (ended.code, ended.out) == (2, "")
    assert [line.partition(":")[0] for line in lines] == ["error", "hint"]
    assert told in lines[0]
    assert deployed("log", "-o", "json").out == before


def test_what_can_be_invoked_is_completed(deployed):
    from kitaru.cli import complete

    deployed("route", "set", "talk", "stable", "v1:1", "v2:1")
    assert complete.invocable("ta") == [("talk", "flow")]
    assert complete.invocable("talk@")[0] == ("talk@stable", "v1, v2")
    assert [name for name, _ in complete.invocable("talk@v")] == ["talk@v2", "talk@v1"]
    assert complete.routes("s") == [("stable", "talk")]
    assert complete.invocable("nothing@") == []


# -- not here, not now -----------------------------------------------------------------------------------------------


def test_a_detached_one_is_waited_for(deployed):
    ended = deployed("invoke", "talk@v1", "q=hi", "--detach", "--wait")
    assert (ended.code, ended.out) == (0, "one hi\n")
    ended = deployed("invoke", "talk@v1", "q=hi", "--detach", "--key", "k", "-o", "json")
    told = json.loads(ended.out)
    assert (ended.code, told["target"], told["queued"]) == (0, "talk@v1", False)
    ended = deployed("invoke", "talk@v1", "q=ho", "--detach", "--wait", "--key", "k")
    assert (ended.code, ended.out) == (0, "one hi\n")
    assert f"run {told['run']} was started for this key before with another q" in ended.err


def test_a_queued_one_is_listed_and_its_version_chosen_when_it_starts(deployed):
    deployed("route", "set", "talk", "stable", "v1")
    ended = deployed("invoke", "talk@stable", "q=hi", "--queue", "--priority", "5")
    run = ended.out.strip()
    assert (ended.code, ended.err) == (0, "hint: kitaru work\n")
    later = json.loads(deployed("invoke", "talk@stable", "q=ho", "--queue", "--not-before", "2h", "-o", "json").out)
    assert later["queued"]
    listed = json.loads(deployed("queue", "list", "-o", "json").out)["invocations"]
    assert [(i["id"], i["state"], i["priority"], i["env"] or "") for i in listed] == [
        (run, "queued", 5, ""),
        (later["run"], "delayed", 0, ""),
    ]
    deployed("route", "set", "talk", "stable", "v2")
    assert deployed("work", "--once").code == 0
    shown = json.loads(deployed("show", run, "-o", "json").out)
    assert (shown["result"]["value"], shown["invoked"]["entry"]) == ("two hi", 2)
    assert shown["invoked"]["invocation"] == run


def test_a_worker_gives_ctrl_c_back_when_it_ends(project):
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    assert project("work", "--once").code == 0
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--priority", "3"], "are for what is queued"),
        (["--not-before", "2h"], "are for what is queued"),
        (["--wait"], "--wait is for what is queued or detached"),
        (["--queue", "--detach"], "--queue goes with neither"),
        (["--queue", "--max-calls", "3"], "--queue goes with neither"),
        (["--queue", "--not-before", "soon"], "'soon' is not a time"),
    ],
)
def test_words_that_do_not_go_together(deployed, words, told):
    ended = deployed("invoke", "talk@v1", "q=hi", *words)
    assert (ended.code, told in ended.err) == (2, True)
    assert deployed("queue", "list").out == ""


def test_an_environment_that_cannot_be_built_starts_nothing(deployed, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    before = deployed("log", "-o", "json").out
    ended = deployed("invoke", "talk@v1", "q=hi", "--env", "recorded")
    assert (ended.code, ended.out) == (1, "")
    assert ended.err == "error: there is no uv to build the recorded environment with\nhint: pip install uv\n"
    assert deployed("log", "-o", "json").out == before
