"""The verbs on a real project, through the real `main`."""

import json
import re
import shutil

import pytest


def latest(kitaru):
    return kitaru("rev-parse", "@").out.strip()


def waiting(kitaru):
    ended = kitaru("run", "flows.py:agent", "question=hi", "-q")
    assert ended.code == 3
    return latest(kitaru)


def test_the_main_job(project):
    ended = project("run", "flows.py:agent", "question=hi")
    run = latest(project)
    assert (ended.code, ended.out) == (3, "")
    assert f"hint: kitaru answer {run} approve true" in ended.err
    assert "plan | planning hi" in ended.err
    assert "approve" in project("status").out
    assert f"kitaru answer {run} approve true" in project("waits").out
    ended = project("answer", "@", "approve", "true")
    assert (ended.code, ended.out) == (0, "2 documents\n")
    assert "= plan  reused" in ended.err
    ended = project("replay", "--from", "synthesize")
    assert (ended.code, ended.out) == (0, "2 documents\n")
    assert latest(project) != run
    assert f"from {run}" in project("log").out


def test_replay_with_changes(project):
    waiting(project)
    project("answer", "@", "true", "-q")
    ended = project(
        "replay", "@", "--from", "retrieve", "--set", 'plan={"queries": ["wait"]}', "--answer", "approve=true"
    )
    assert (ended.code, ended.out) == (0, "1 documents\n")
    ended = project("replay", "@", "--arg", "question=ho", "--answer", "approve=false", "-o", "json")
    document = json.loads(ended.out)
    assert (document["status"], document["result"]) == ("completed", "rejected")


@pytest.mark.parametrize("words", [["@", "true"], ["@", "approve", "true"], ["@", "approve", "true", "--by", "bob"]])
def test_answers(project, words):
    run = waiting(project)
    assert project("answer", *words).out == "2 documents\n"
    again = project("answer", run, "approve", "false")
    assert again.code == 6
    assert ("bob" if "bob" in words else "ada") in again.err


def test_answer_without_resume(project):
    run = waiting(project)
    ended = project("answer", "@", "true", "--no-resume")
    assert (ended.code, ended.out) == (0, f"recorded; kitaru resume {run} carries the run on\n")
    assert project("resume", run).out == "2 documents\n"


def test_an_answer_that_does_not_fit_records_nothing(project):
    waiting(project)
    ended = project("answer", "@", "approve", "perhaps")
    assert ended.code == 2
    assert ended.err.startswith("error: ")
    assert project("answer", "@", "true").code == 0


def test_two_questions_need_a_name(project):
    assert project("run", "flows.py:both", "-q").code == 3
    assert project("answer", "@", "7", "-q").code == 3
    assert project("answer", "@", "second", "words here").out == '[\n  7,\n  "words here"\n]\n'


def test_inputs_from_a_file_and_from_words(project, directory):
    (directory / "in.json").write_text('{"n": 5}')
    assert json.loads(project("run", "flows.py:numbers", "--input", "in.json").out) == [0, 1, 4, 9, 16]
    assert json.loads(project("run", "flows.py:numbers", "--input", "in.json", "n=2").out) == [0, 1]


def test_events_are_lines_of_json_and_the_last_is_the_result(project):
    ended = project("run", "flows.py:numbers", "n=2", "--events")
    events = [json.loads(line) for line in ended.out.splitlines()]
    assert [e["event"] for e in events if e["event"] != "version"] == [
        "run",
        "begin",
        "call",
        "begin",
        "call",
        "end",
        "result",
    ]
    assert events[-1]["result"] == [0, 1]
    assert ended.err == ""


def test_quiet_is_quiet(project):
    ended = project("run", "flows.py:numbers", "n=2", "-q")
    assert (ended.code, ended.err) == (0, "")


def test_a_failed_run_shows_where_the_flow_raised(project):
    ended = project("run", "flows.py:bad")
    assert ended.code == 1
    assert "in boom" in ended.err
    assert "/kitaru/runtime/" not in ended.err
    assert "ValueError: no luck" in ended.err
    assert "Failed lately" in project("status").out
    assert "ValueError: no luck" in project("show", "@:boom").out


def test_log_filters(project):
    project("run", "flows.py:numbers", "-q", "--tag", "x")
    project("run", "flows.py:bad", "-q")

    def flows(*words):
        return [run["flow"] for run in json.loads(project("log", *words, "-o", "json").out)["runs"]]

    assert flows() == ["bad", "numbers"]
    assert flows("--flow", "numbers") == flows("--tag", "x") == flows("--status", "completed") == ["numbers"]
    assert flows("--since", "1h") == ["bad", "numbers"]
    assert flows("--since", "2030-01-01") == []
    assert flows("-n", "1") == ["bad"]
    assert "1 more; kitaru log -n 0 lists all" in project("log", "-n", "1").out
    assert project("log", "--status", "odd").code == 2


def test_cat_object(project):
    project("run", "flows.py:numbers", "-q")
    run = json.loads(project("show", "-o", "json").out)
    object_id = run["result"]["id"]
    assert project("cat-object", object_id[:8]).out == "[\n  0,\n  1,\n  4\n]\n"
    assert project("cat-object", object_id, "-t").out == "list\n"
    assert json.loads(project("cat-object", object_id, "-o", "json").out)["value"] == [0, 1, 4]


def test_cat_object_of_a_call_or_a_wait(project):
    run = waiting(project)
    assert project("cat-object", "@:approve").code == 2
    project("answer", "@", "true", "-q")
    assert project("cat-object", f"{run.upper()}:synthesize").out == "2 documents\n"
    assert project("cat-object", "@:approve").out == "true\n"
    assert "has no call named 'nope'" in project("cat-object", ":nope").err
    project("run", "flows.py:bad", "-q")
    assert "boom of run" in project("cat-object", "@:boom").err


def test_upper_case_ids(project):
    project("run", "flows.py:numbers", "-q")
    shown = json.loads(project("show", "-o", "json").out)
    assert project("cat-object", shown["result"]["id"].upper()[:9], "-t").out == "list\n"
    assert project("rev-parse", shown["run"].upper()).out.strip() == shown["run"]


def test_of_many_calls_some_are_listed(project):
    project("run", "flows.py:numbers", "n=30", "-q")
    hint = project("show", "@:nope").err.split("\n")[1]
    assert "square#20, and 10 more" in hint
    assert "square#21" not in hint


def test_rev_parse(project):
    project("run", "flows.py:numbers", "-q")
    run = latest(project)
    assert project("rev-parse", run[:5]).out.strip() == run
    record = project("rev-parse", "@:square#2").out.strip()
    assert re.fullmatch("[0-9a-f]{64}", record)
    assert json.loads(project("show", ":square#2", "-o", "json").out)["record"] == record


def test_fsck_clean_and_damaged(project, directory):
    project("run", "flows.py:numbers", "-q")
    ended = project("fsck")
    assert (ended.code, ended.out.rstrip().endswith("clean")) == (0, True)
    run = latest(project)
    segment = next(path for path in (directory / ".kitaru" / "segments").rglob("*") if path.is_file())
    data = bytearray(segment.read_bytes())
    data[len(data) // 2] ^= 1
    segment.chmod(0o644)
    segment.write_bytes(data)
    assert project("fsck").code == 4
    document = json.loads(project("fsck", "-o", "json").out)
    assert not document["clean"]
    assert {f["severity"] for f in document["findings"]} == {"damage"}
    shutil.rmtree(directory / ".kitaru" / "cache")
    for words in (["show", run], ["log", run], ["log"], ["status"], ["waits"]):
        ended = project(*words)
        assert ended.code == 4
        assert run in ended.err or segment.name in ended.err
        assert "hint: kitaru fsck" in ended.err
    assert json.loads(project("log", "-o", "json").out)["damaged"] == [run]


def test_config(project, directory):
    assert project("config", "path").out.strip() == str(directory / ".kitaru" / "config.toml")
    assert project("config", "set", "on-drift", "new").code == 0
    assert project("config", "get", "on-drift").out == "new\n"
    assert json.loads(project("config", "list", "-o", "json").out)["given"] == ["on-drift"]
    assert "on-drift       new" in project("config").out


def test_a_broken_config_can_be_found_and_says_its_line(project, directory):
    (directory / ".kitaru" / "config.toml").write_text("durability = 3\n")
    ended = project("log")
    assert ended.code == 2
    assert "config.toml, line 1: durability is 3" in ended.err
    assert project("config", "path").code == 0


def test_another_directory(project, directory):
    (directory / "sub").mkdir()
    assert project("-C", "sub", "status").code == 0


def test_version_and_help(kitaru):
    assert kitaru("--version").out.startswith("kitaru 0.")
    assert kitaru("--help").out == kitaru("-C", ".", "--help").out
    assert kitaru().code == 2
    assert "--on-drift" in kitaru("run", "--help").out


@pytest.mark.parametrize("verb", ["flow", "model", "queue", "remote", "route", "schedule", "secret"])
def test_a_verb_of_verbs_alone_is_its_list(project, verb):
    project("run", "flows.py:numbers", "n=1", "-q")
    project("route", "set", "numbers", "stable", "v1")
    project("remote", "add", "team", "shared")
    alone, listed = project(verb), project(verb, "list")
    assert (alone.code, alone.out) == (0, listed.out)
    assert project(verb, "-o", "json").out == project(verb, "list", "-o", "json").out != ""
    assert f"kitaru {verb} [OPTIONS]" in project(verb, "--help").out
    wrong = project(verb, "lst")
    assert (wrong.code, "No such command 'lst'" in wrong.err) == (2, True)
