"""Questions and answers as a person meets them: what to type, what is asked for, and what became of an answer."""

import json
import re
import shlex

import pytest


def latest(project):
    return json.loads(project("log", "-n", "1", "-o", "json").out)["runs"][0]["run"]


def only_wait(project):
    return json.loads(project("waits", "-o", "json").out)["waits"][0]


FLOWS = [("agent", ["question=x"]), ("choose", []), ("order", []), ("both", [])]


@pytest.mark.parametrize(("flow", "words"), FLOWS, ids=str)
def test_the_line_that_answers_can_be_typed_as_it_is_printed(project, flow, words):
    ended = project("run", f"flows.py:{flow}", *words, "-q")
    line = re.search("^hint: (.*)$", ended.err, re.MULTILINE)[1]
    assert line == only_wait(project)["answer_with"]
    assert f"answer with: {line}\n" in project("waits").out
    assert project(*shlex.split(line)[1:], "-q").code in (0, 3)
    assert '"source": "person"' in project("log", "@", "-o", "json").out


def test_what_else_an_answer_may_be_stands_below(project):
    project("run", "flows.py:choose", "-q")
    assert re.search(r"choose red\n +\(one of: red, green\)$", project("waits").out.rstrip())
    assert only_wait(project)["choices"] == ["red", "green"]


WANTED = ["amount", "an integer, required", "colour", 'one of "red", "blue", required', "note", 'text, default ""']


def test_an_object_is_told_by_its_fields(project):
    hint = project("run", "flows.py:order", "-q").err
    for page in (hint, project("waits").out, project("show", "@:order").out):
        assert all(words in page for words in WANTED)
    wrong = project("answer", "@", '{"amount": 1}')
    assert wrong.code == 2
    assert "colour: Field required" in wrong.err
    assert 'colour (one of "red", "blue")' in wrong.err
    assert project("answer", "@", '{"amount": 7, "colour": "red"}', "-q").out == "7\n"
    assert all(words in project("show", "@:order").out for words in WANTED)


def test_an_answer_that_was_not_carried_on_is_told(project):
    project("run", "flows.py:agent", "question=x", "-q")
    run = latest(project)
    project("answer", "@", "true", "--no-resume", "--by", "bob")
    said = f"answered by bob, not carried on yet: kitaru resume {run}"
    for words in (["status"], ["log", "@"], ["waits"], ["show", "@"], ["show", "@:approve"]):
        assert said in project(*words).out
    wait = only_wait(project)
    assert (wait["given"]["by"], wait["answer"], wait["answer_with"]) == ("bob", None, None)
    assert json.loads(project("status", "-o", "json").out)["waiting"][0]["answered"] == ["approve"]
    assert project("answer", "@", "false").code == 6
    project("resume", "@", "-q")
    for words in (["status"], ["log", "@"], ["waits"], ["show", "@"]):
        assert "carried on" not in project(*words).out


def test_an_answer_is_recorded_before_it_is_carried_on(project, directory):
    project("run", "flows.py:agent", "question=x", "-q")
    file = directory / "flows.py"
    whole = file.read_text()
    file.write_text(whole + "\nthis is no python\n")
    ended = project("answer", "@", "true")
    told, error = ended.err.index("the answer to approve is recorded"), ended.err.index("error: ")
    assert (ended.code, told < error) == (1, True)
    file.write_text(whole)
    assert project("resume", "@", "-q").out == "2 documents\n"


def test_after_drift_too(project, directory):
    project("run", "flows.py:agent", "question=x", "-q")
    file = directory / "flows.py"
    file.write_text(file.read_text().replace("plan(question))", 'plan(question + "!"))'))
    ended = project("answer", "@", "true")
    assert ended.code == 5
    assert ended.err.index("the answer to approve is recorded") < ended.err.index("error: ")
    document = json.loads(project("resume", "@", "-o", "json", "-q").out)
    assert document["status"] == json.loads(project("log", "@", "-o", "json").out)["status"] == "waiting"
    assert document["error"]["type"] == "Drift"


def test_to_wait_is_no_error(project):
    document = json.loads(project("run", "flows.py:choose", "-q", "-o", "json").out)
    assert document["error"] is None
    line = f"kitaru answer {document['run']} choose red"
    assert document["questions"] == [{"wait": "choose", "question": "Which?", "answer_with": line}]


@pytest.mark.parametrize("word", ["red", '{"a": 1}'])
def test_a_value_for_a_run_whose_only_wait_is_answered(project, word):
    project("run", "flows.py:choose", "-q")
    project("answer", "@", "green", "-q")
    ended = project("answer", "@", word)
    assert ended.code == 6
    assert "choose of run" in ended.err
    assert "was answered by ada" in ended.err


def test_a_wait_that_is_no_longer_asked(project, directory):
    project("run", "flows.py:agent", "question=x", "-q")
    file = directory / "flows.py"
    file.write_text(file.read_text().replace("Looks right?", "All well?"))
    assert project("resume", "@", "-q").code == 3
    shown = project("show", "@").out
    assert re.search(r"waits +approve#2 \(open\), approve \(no longer asked\)", shown)
    states = [wait["state"] for wait in json.loads(project("log", "@", "-o", "json").out)["waits"]]
    assert states == ["open", "no longer asked"]


def test_calls_that_todays_code_no_longer_makes(project, directory):
    project("run", "flows.py:agent", "question=x", "-q")
    file = directory / "flows.py"
    file.write_text(file.read_text().replace("docs = retrieve(plan(question))", "docs = []"))
    assert project("resume", "@", "-q").code == 3
    assert project("answer", "@", "true", "-q").out == "0 documents\n"
    listed = project("log", "@").out
    assert listed.count("[no longer made]") == 2
    calls = json.loads(project("log", "@", "-o", "json").out)["calls"]
    assert [call["call"] for call in calls if call["no_longer_made"]] == ["plan", "retrieve"]
