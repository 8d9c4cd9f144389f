"""remote, push, fetch, pull, clone and status on the command line, over a shared folder."""

from __future__ import annotations

import functools
import json
import re
import shutil
import stat
import sys

import pytest

from kitaru.cli import complete
from kitaru.project import Project


@pytest.fixture
def shared(project, directory):
    """A project with a run that waits and one that is over, and the remote `team`, to which nothing went yet."""
    assert project("remote", "add", "team", directory / "shared").code == 0
    assert project("run", "flows.py:agent", "question=why", "-q").code == 3
    assert project("run", "flows.py:numbers", "n=3", "-q").code == 0
    return project


@pytest.fixture
def colleague(shared, directory):
    """The same command line, in a clone."""
    shared("push")
    assert shared("clone", directory / "shared", directory / "ben", "--name", "team").code == 0
    return lambda *words: shared("-C", directory / "ben", *words, back=directory)


@pytest.fixture
def kitaru(kitaru, monkeypatch):
    """As everywhere, but `-C` holds for one command line only."""

    def run(*words, back=None):
        ended = kitaru(*words)
        if back is not None:
            monkeypatch.chdir(back)
        return ended

    return run


def ids(kitaru):
    return {run["flow"]: run["run"] for run in json.loads(kitaru("log", "-o", "json").out)["runs"]}


# -- remotes -------------------------------------------------------------------------------------------------------


def test_remotes_are_listed_the_default_first(project, directory):
    assert project("remote", "list").out == ""
    project("remote", "add", "team", "s3://bucket/agents", "--endpoint-url", "http://127.0.0.1:9", "--region", "x")
    project("remote", "add", "spare", "spare")
    assert project("remote", "list").out.splitlines() == [
        "team   s3://bucket/agents  endpoint-url http://127.0.0.1:9  region x  (default)",
        f"spare  {directory}/spare",
    ]
    document = json.loads(project("remote", "list", "-o", "json").out)
    assert [(entry["name"], entry["default"]) for entry in document["remotes"]] == [("team", True), ("spare", False)]
    assert document["remotes"][0]["options"] == {"endpoint-url": "http://127.0.0.1:9", "region": "x"}
    project("remote", "remove", "team")
    assert "(default)" in project("remote", "list").out


@pytest.mark.parametrize(
    ("words", "code", "said", "hint"),
    [
        (["push"], 2, "this project has no remote", "kitaru remote add NAME URL"),
        (["pull"], 2, "this project has no remote", "kitaru remote add NAME URL"),
        (["fetch", "x"], 2, "this project has no remote", "kitaru remote add NAME URL"),
        (["remote", "show"], 2, "this project has no remote", "kitaru remote add NAME URL"),
        (["remote", "remove", "x"], 2, "this project has no remote", "kitaru remote add x URL"),
        (["remote", "add", "a b", "x"], 2, "'a b' is no name for a remote", "use letters"),
        (["remote", "add", "a", "s3://b/team"], 2, "'b' is no name of a bucket", "kitaru remote add NAME s3://"),
        (["remote", "add", "a", "s3://k:s3cret@b"], 2, "no user, password", "credentials come from"),
        (["remote", "add", "a", "x", "--region", "y"], 2, "region is a setting of s3:// only", ""),
        (["init", "new", "--remote", "s3://k:s3cret@b"], 2, "no user, password", "credentials come from"),
        (["clone", "nowhere", "new"], 2, "there is no store at", "kitaru init --remote"),
        (["clone", "no/where", "new"], 1, "there is no folder", "mount the share"),
        (["clone", "nowhere", "."], 2, "is there already, and not empty", "kitaru clone nowhere DIR"),
    ],
)
def test_mistakes_are_one_line_and_a_hint(project, directory, words, code, said, hint):
    before = sorted(path.name for path in directory.iterdir())
    ended = project(*words)
    assert ended.code == code, ended
    assert said in ended.err
    assert hint in ended.err
    assert "s3cret" not in ended.err
    assert len(ended.err.splitlines()) <= 2
    assert ended.out == ""
    assert sorted(path.name for path in directory.iterdir()) == before


def test_a_word_that_is_neither(shared):
    ended = shared("push", "tem")
    assert (ended.code, ended.out) == (2, "")
    assert ended.err == "error: 'tem' names no run, and no remote: these are team\nhint: kitaru log\n"
    ended = shared("push", "team", "nosuch")
    assert "'nosuch' names no run" in ended.err


def test_a_remote_that_exists_is_not_written_over(shared, directory):
    ended = shared("remote", "add", "team", "elsewhere")
    assert (ended.code, "already" in ended.err, "kitaru remote remove team" in ended.err) == (2, True, True)
    assert str(directory / "shared") in shared("remote", "list").out


def test_init_with_a_remote(kitaru, directory):
    ended = kitaru("init", "new", "--remote", "shared")
    assert ended.out == f"made {directory}/new/.kitaru\nits remote origin is {directory}/shared\n"
    assert not (directory / "shared").exists()
    assert Project.open(directory / "new").remote().name == "origin"


def test_a_remote_is_shown(shared, colleague, directory):
    assert shared("remote", "show").out == (
        f"team  {directory}/shared\n"
        "  a store of format 1\n"
        "  tells who of two writers was first\n"
        "  2 runs: ada 2\n"
        "  2 versions of 2 flows\n"
        "  up to date\n"
    )
    document = json.loads(shared("remote", "show", "team", "-o", "json").out)
    assert document["reachable"] is True
    assert (document["people"], document["people_of"], document["exclusive"]) == ({"ada": 2}, 2, True)
    assert document["standing"]["ahead"] == []


def test_a_remote_that_cannot_be_reached_is_shown_as_such(shared):
    shared("remote", "add", "away", "no/where")
    ended = shared("remote", "show", "away", "-o", "json")
    document = json.loads(ended.out)
    assert (ended.code, document["reachable"]) == (1, False)
    assert document["problem"] in ended.err
    assert "no/where" in shared("remote", "show", "away").out


# -- push and pull ---------------------------------------------------------------------------------------------------


def test_what_goes_is_told_as_git_does(shared, directory):
    run = ids(shared)
    ended = shared("push")
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.splitlines()[0] == f"To {directory}/shared"
    assert set(ended.out.splitlines()[1:-1]) == {
        f"    new run  {run['agent']}  agent",
        f"    new run  {run['numbers']}  numbers",
        "    version  agent v1",
        "    version  numbers v1",
    }
    assert re.fullmatch(r"pushed 2 runs, 2 versions: \d+ files, \d\.\d kB", ended.out.splitlines()[-1])
    assert shared("push").out == "Everything up to date\n"


def test_code_that_somebody_else_recorded_is_not_pushed_again(shared, directory):
    shared("push")
    shared("init", "cyd")
    shutil.copy(directory / "flows.py", directory / "cyd")
    cyd = functools.partial(shared, "-C", directory / "cyd", back=directory)
    cyd("run", "flows.py:numbers", "n=3", "-q")
    cyd("remote", "add", "team", directory / "shared")
    last = cyd("push", "-o", "text").out.splitlines()[-1]
    assert last.startswith("pushed 1 run: ")
    for verb in "push", "pull", "push":
        cyd("remote", "remove", "team")
        cyd("remote", "add", "team", directory / "shared")
        ended = cyd(verb)
    assert ended.out == "Everything up to date\n"


def test_a_dry_run_and_quiet(shared, directory):
    ended = shared("push", "-n")
    assert "would be pushed: 2 runs" in ended.out
    assert not list((directory / "shared").rglob("*"))
    assert json.loads(shared("push", "-n", "-o", "json").out)["dry_run"] is True
    ended = shared("push", "-q")
    assert (ended.code, ended.out, ended.err) == (0, "", "")
    assert shared("push").out == "Everything up to date\n"


def test_named_runs_and_flows(shared, directory):
    run = ids(shared)
    assert run["agent"] not in shared("push", "@").out
    assert run["agent"] in shared("push", "team", run["agent"][:8], "-o", "json").out
    assert "agent" not in shared("push", "--flow", "numbers").out


def test_a_clone_says_what_came_and_whose_code_it_is(shared, directory):
    shared("push")
    ended = shared("clone", "shared", "ben")
    assert ended.code == 0
    lines = ended.out.splitlines()
    assert lines[0] == f"From {directory}/shared"
    assert re.fullmatch(r"cloned 2 runs, 2 versions: \d+ files, \d\.\d kB", lines[-3])
    assert lines[-2] == "the code of agent@v1, numbers@v1 is executed here once you trust it:"
    assert lines[-1] == "  kitaru trust agent@v1, or --remote origin for all of it"
    document = json.loads(shared("clone", "shared", "cyd", "-o", "json").out)
    assert document["directory"] == str(directory / "cyd")
    assert (document["remote"], document["untrusted"]) == ("origin", ["agent@v1", "numbers@v1"])
    assert len(document["runs"]) == 2


def test_there_and_back(shared, colleague):
    run = ids(shared)["agent"]
    assert run in colleague("waits").out
    assert colleague("answer", run, "approve", "true", "--no-resume").code == 0
    pushed = colleague("push")
    assert re.search(r"pushed 1 answer: ", pushed.out)
    assert re.fullmatch(r"fetched \d files?, \d+ B\n", shared("fetch").out)
    assert shared("fetch").out == "Everything up to date\n"
    pulled = shared("pull")
    assert "1 answer" in pulled.out
    assert shared("resume", run, "-q").out == "2 documents\n"
    assert "1 more segment" in shared("push").out
    assert f"further  {run}  agent, 1 more segment" in colleague("pull").out
    assert "2 documents" in colleague("show", run).out


def test_the_second_to_answer_is_told_and_ends_with_6(shared, colleague):
    run = ids(shared)["agent"]
    colleague("answer", run, "approve", "true", "--no-resume")
    shared("answer", run, "approve", "false", "--no-resume")
    colleague("push")
    shared("run", "flows.py:numbers", "n=1", "-q")
    ended = shared("push")
    assert ended.code == 6
    assert re.search(rf"second +{run} +the answer of ada at \S+ \S+ stands, not the one made here", ended.out)
    assert f"error: run {run} was answered by ada at" in ended.err
    assert "1 run" in ended.out.splitlines()[-1]  # all else went
    assert shared("push").code == 0


def test_the_second_to_move_a_route_is_told_and_ends_with_10(shared, colleague):
    for who in (colleague, shared):
        assert who("route", "set", "numbers", "stable", "v1").code == 0
    assert "1 entry of a route" in colleague("push").out
    ended = shared("push")
    assert (ended.code, "error: a route of numbers was moved by ada at" in ended.err) == (10, True)
    assert "hint: kitaru route list numbers" in ended.err
    assert re.search(r"second +numbers +the entry of a route of ada at .* stands", ended.out)
    assert shared("push").code == 0


def part(shared, colleague):
    run = ids(shared)["agent"]
    colleague("trust", "agent@v1", "--yes")
    colleague("answer", run, "approve", "true", "--no-resume")
    assert colleague("resume", run, "--as-recorded", "--offline", "-q").code == 0
    shared("answer", run, "approve", "false", "--no-resume")
    assert shared("resume", run, "--offline", "-q").code == 0
    assert colleague("push").code == 0
    return run


def test_a_run_that_went_on_here_and_there_ends_with_10(shared, colleague):
    run = part(shared, colleague)
    ended = shared("push")
    assert ended.code == 10
    new = re.search(r"what was done here is run (\w+) now", ended.out)[1]
    assert re.search(rf"diverged +{run} +continued by ada at ", ended.out)
    assert f"error: run {run} was continued by ada at" in ended.err
    assert f"hint: kitaru diff {run} {new}" in ended.err
    assert "2 documents" in shared("show", run).out
    assert "rejected" in shared("show", new).out
    assert new in colleague("pull").out
    assert "'2 documents' → 'rejected'" in shared("diff", run, new).out


def test_the_same_as_json_and_in_silence(shared, colleague):
    run = part(shared, colleague)
    ended = shared("push", "-o", "json")
    (told,) = json.loads(ended.out)["diverged"]
    assert (ended.code, told["run"], told["by"], told["number"]) == (10, run, "ada", 2)
    assert shared("push", "-q").out == ""


def test_a_pull_warns_of_it_and_ends_well(shared, colleague):
    run = part(shared, colleague)
    ended = shared("pull", "-q")
    assert (ended.code, ended.out) == (0, "")
    assert re.search(rf"diverged +{run} +continued by ada at", ended.err)


def test_a_version_that_has_another_number_now(shared, directory):
    shared("push")
    shared("clone", "shared", "ben", "--name", "team")
    source = (directory / "flows.py").read_text()
    (directory / "ben" / "flows.py").write_text(source + "\n# ben's\n")
    shared("-C", directory / "ben", "run", "flows.py:numbers", "n=2", "-q", back=directory)
    sys.modules.pop("flows", None)
    (directory / "flows.py").write_text(source.replace("n * n", "n ** 2"))
    assert shared("run", "flows.py:numbers", "n=2", "-q").code == 0
    shared("push")
    ended = shared("-C", directory / "ben", "push", back=directory)
    assert ended.code == 0, ended
    assert "version  numbers v3  was v2 here; that number is another's" in ended.out


def test_damage_there_is_refused_by_name_and_ends_with_4(shared, colleague, directory):
    shared("run", "flows.py:numbers", "n=2", "-q")
    before = {path for path in (directory / "shared" / "segments").rglob("*") if path.is_file()}
    shared("push")
    (new,) = {path for path in (directory / "shared" / "segments").rglob("*") if path.is_file()} - before
    new.chmod(stat.S_IRUSR | stat.S_IWUSR)
    new.write_bytes(new.read_bytes()[:-1] + b"!")
    shared("run", "flows.py:numbers", "n=1", "-q")
    shared("push")
    ended = colleague("pull")
    assert ended.code == 4
    assert re.search(r"refused .*nothing of it is visible here", ended.out)
    assert "pulled 1 run" in ended.out
    assert len(ids(colleague)) == 2


def test_a_fetch_changes_what_status_tells(shared, colleague):
    shared("run", "flows.py:numbers", "n=1", "-q")
    shared("push")
    assert "fetched" in colleague("fetch").out
    assert "team: 1 run to pull, as of " in colleague("status").out
    (told,) = json.loads(colleague("status", "-o", "json").out)["remotes"]
    assert (told["name"], len(told["behind"]), told["ahead"]) == ("team", 1, [])


# -- status ----------------------------------------------------------------------------------------------------------


def test_status_tells_how_far_apart_they_are(shared, directory):
    assert "team: 2 runs to push, never asked yet" in shared("status").out
    shared("push")
    assert re.search(r"^team: up to date, as of \S+", shared("status").out, re.MULTILINE)
    shared("run", "flows.py:numbers", "n=1", "-q")
    assert re.search(r"^team: 1 run to push, as of \S+", shared("status").out, re.MULTILINE)
    shared("remote", "add", "spare", "spare")
    assert len(re.findall(r"^(?:team|spare): ", shared("status").out, re.MULTILINE)) == 2
    assert json.loads(shared("status", "-o", "json").out)["remotes"][1] == {
        "name": "spare",
        "at": None,
        "ahead": sorted(run["run"] for run in json.loads(shared("log", "-o", "json").out)["runs"]),
        "behind": [],
        "diverged": [],
        "names_ahead": 2,
        "names_behind": 0,
    }


def test_status_without_a_remote_says_nothing_of_any(project):
    assert "as of" not in project("status").out
    assert json.loads(project("status", "-o", "json").out)["remotes"] == []


# -- completion ------------------------------------------------------------------------------------------------------


def test_remotes_and_runs_are_completed(shared):
    run = ids(shared)["agent"]
    shared("remote", "add", "spare", "spare")
    assert [name for name, _ in complete.remotes("s")] == ["spare"]
    assert [name for name, _ in complete.remotes_and_runs("")][:2] == ["team", "spare"]
    assert [name for name, _ in complete.remotes_and_runs(run[:6])] == [run]


def test_an_answer_in_a_clone_without_the_code_says_what_carries_the_run_on(shared, colleague, directory):
    run = ids(shared)["agent"]
    told = colleague("answer", run, "approve", "true")
    assert told.code == 1
    assert "the answer to approve is recorded, but the run was not carried on here\n" in told.err
    assert "after: kitaru push team\n" in told.err
    assert f"error: flows.py is not in the project\nhint: kitaru resume {run} --as-recorded\n" in told.err
    untrusted = colleague("resume", run, "--as-recorded", "-q")
    assert (untrusted.code, untrusted.err.splitlines()[-1]) == (11, "hint: kitaru trust agent@v1")
    assert colleague("trust", "agent@v1", "--yes").code == 0
    assert colleague("resume", run, "--as-recorded", "-q").code == 0
    assert re.search(r"^resumed +\S+ \S+ by \S+ on \S+$", colleague("show", run).out, re.MULTILINE)
