"""Bad input gets one clear line and something to type, never a traceback."""

import sys

import pytest

MISTAKES = [
    (["run", "flows.py:nothing"], 2, "has no flow named 'nothing'"),
    (["run", "nowhere.py:agent"], 2, "nowhere.py"),
    (["run", "flows.py"], 2, ""),
    (["run", "flows.py:agent"], 2, "question"),
    (["run", "flows.py:agent", "question=a", "colour=red"], 2, "colour"),
    (["run", "flows.py:agent", "question"], 2, "'question' is not of the form NAME=VALUE"),
    (["run", "flows.py:agent", "question=a", "question=b"], 2, "question is given twice"),
    (["run", "flows.py:numbers", "n=many"], 2, "n"),
    (["run", "flows.py:numbers", "--input", "missing.json"], 2, "missing.json cannot be read"),
    (["run", "flows.py:numbers", "--input", "flows.py"], 2, "flows.py is not JSON"),
    (["run", "flows.py:unstorable"], 1, "things"),
    (["run", "flows.py:numbers", "--on-drift", "maybe"], 2, "--on-drift"),
    (["show", "zzzzzz"], 2, "no run matches 'zzzzzz'"),
    (["show", "@~99"], 2, "no run matches '@~99'"),
    (["show", "o0l1"], 2, "no run matches 'o0l1'"),
    (["show", "@:nope"], 2, "has no call named 'nope'"),
    (["replay", "--from", "nope"], 2, "has no call named 'nope'"),
    (["replay", "@"], 2, ""),
    (["replay", "--set", "square"], 2, "'square' is not of the form CALL=JSON"),
    (["resume", "@"], None, ""),
    (["answer", "@", "true"], 2, "no open wait"),
    (["cat-object", "ffff"], 2, "no object matches 'ffff'"),
    (["cat-object", "--raw", "-t", "ffff"], 2, "--raw"),
    (["log", "--since", "whenever"], 2, "'whenever' is not a time"),
    (["log", "-n", "few"], 2, "-n"),
    (["log", "-n", "-1"], 2, "-n"),
    (["config", "get", "colour"], 2, "there is no setting 'colour'"),
    (["config", "set", "durability", "some"], 2, "durability is 'some'"),
    (["init"], 2, "already has a .kitaru"),
    (["lgo"], 2, "there is no verb 'lgo'"),
    (["log", "--bogus"], 2, "--bogus"),
    (["-C", "nowhere", "log"], 2, "cannot enter nowhere"),
]


@pytest.mark.parametrize(
    ("words", "code", "said"), MISTAKES, ids=lambda value: " ".join(value) if isinstance(value, list) else ""
)
def test_mistake(project, words, code, said):
    project("run", "flows.py:numbers", "n=2", "-q")
    ended = project(*words)
    assert ended.code != 0 if code is None else ended.code == code
    assert said in ended.err
    complaint = [line for line in ended.err.splitlines() if line.startswith(("error: ", "hint: "))]
    assert complaint[0].startswith("error: ")
    assert any(line.startswith("hint: ") for line in complaint)
    assert "Traceback" not in ended.err
    assert "bug in kitaru" not in ended.err


def test_no_project(kitaru):
    ended = kitaru("log")
    assert (ended.code, ended.err.splitlines()[1]) == (2, "hint: kitaru init")


@pytest.mark.parametrize("words", [["log"], ["init"], ["clone", "../shared"], ["remote", "list"]], ids=str)
def test_a_directory_that_was_removed(kitaru, tmp_path, monkeypatch, words):
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    ended = kitaru(*words)
    assert ended.code == 2
    assert ended.err == "error: the current directory is not there any more\nhint: cd to one that is\n"
    assert kitaru("-C", tmp_path, "log").code == 2  # no project: that is looked for
    assert "no .kitaru directory" in kitaru("-C", tmp_path, "log").err


def test_an_ambiguous_prefix_lists_the_candidates(project):
    runs = []
    for _ in range(40):
        project("run", "flows.py:numbers", "n=0", "-q")
        runs.append(project("rev-parse", "@").out.strip())
    prefix = next(r[0] for r in runs if sum(other[0] == r[0] for other in runs) > 1)
    ended = project("show", prefix)
    assert ended.code == 2
    assert "is ambiguous" in ended.err
    assert "hint: type more of the id" in ended.err


def test_an_unknown_format(project, directory):
    (directory / ".kitaru" / "format").chmod(0o644)
    (directory / ".kitaru" / "format").write_text('{"hash":"sha256","version":99}')
    ended = project("log")
    assert ended.code == 4
    assert "99" in ended.err
    assert "hint: " in ended.err


def test_a_bug_shows_a_traceback_and_says_so(project, monkeypatch):
    monkeypatch.setattr("kitaru.project.Project.log_page", lambda *_args, **_kwargs: 1 / 0)
    ended = project("log")
    assert ended.code == 70
    assert "ZeroDivisionError" in ended.err
    assert "this is a bug in kitaru" in ended.err


@pytest.mark.parametrize(("words", "asked"), [(["log"], "log_page"), (["remote", "list"], "remotes")])
def test_ctrl_c_in_a_verb_that_executes_no_run(project, monkeypatch, words, asked):
    def interrupt(*_args, **_kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(f"kitaru.project.Project.{asked}", interrupt)
    ended = project(*words)
    assert (ended.code, ended.out, ended.err) == (130, "", "error: interrupted\n")


def test_ctrl_c_before_the_verb_is_known(kitaru, monkeypatch):
    class AtOnce:
        def find_spec(self, name, path=None, target=None):
            if name == "kitaru.cli.app":
                raise KeyboardInterrupt

    monkeypatch.delitem(sys.modules, "kitaru.cli.app", raising=False)
    monkeypatch.setattr(sys, "meta_path", [AtOnce(), *sys.meta_path])
    ended = kitaru("log")
    assert (ended.code, ended.err) == (130, "error: interrupted\n")


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["help"], "kitaru --help"),
        (["help", "run"], "kitaru run --help"),
        (["help", "odd"], "kitaru --help"),
        (["version"], "kitaru --version"),
        (["config", "-o", "json", "get", "durability"], "kitaru config get -o json"),
    ],
    ids=str,
)
def test_words_that_other_tools_have(project, words, hint):
    ended = project(*words)
    assert (ended.code, ended.err.split("\n")[1]) == (2, f"hint: {hint}")


def test_config_lists_as_json_without_a_word_after_it(project):
    assert project("config", "-o", "json").out == project("config", "list", "-o", "json").out != ""


def test_a_hint_of_words_wraps_between_them(project, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "40")
    told = project("show", ":nope").err + project("config", "set", "odd", "x").err + project("log", "--since", "x").err
    assert [line for line in told.split("\n") if len(line) > 40 and "kitaru" not in line] == []
    assert "2026-03-01T12:00" in told
