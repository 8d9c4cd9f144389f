"""Code that came from elsewhere: refused, shown, trusted, taken back."""

import dataclasses
import json
import os
import shutil

import pytest

from kitaru.errors import Untrusted
from kitaru.project import Project
from kitaru.runtime.trusting import check_trusted
from kitaru.store import trust as trusts

ELSEWHERE = "/srv/team"
FIRST = """
from kitaru import checkpoint, flow

@checkpoint
def double(x: int) -> int:
    return x * 2

@flow
def doubling(x: int = 1) -> int:
    return double(x)
"""
SECOND = FIRST.replace("x * 2", "x + x  # \x1b[31mred\x1b[0m")


@pytest.fixture
def pulled(kitaru, directory):
    """Return the command line in a project with two versions of a flow and their runs, all from elsewhere."""
    kitaru("init")
    for text in (FIRST, SECOND):
        (directory / "own.py").write_text(text)
        assert kitaru("run", "own.py:doubling", "x=4", "-q").code == 0
    shutil.rmtree(directory / ".kitaru" / "trust")
    (directory / "own.py").unlink()
    repo = Project.open().repo
    repo.trust.came_from([v.id for v in repo.versions("doubling")], "team", ELSEWHERE, 1_767_225_600_000_000)
    with (directory / ".kitaru" / "config.toml").open("a") as config:
        config.write(f'\n[remotes.team]\nurl = "{ELSEWHERE}"\n')
    return kitaru


def replay(kitaru):
    return kitaru("replay", "@", "--from", "double", "--as-recorded", "-q")


def decisions(kitaru):
    return json.loads(kitaru("trust", "--list", "-o", "json").out)["decisions"]


def test_code_from_elsewhere_is_not_executed_until_it_is_trusted(pulled):
    refused = replay(pulled)
    assert (refused.code, refused.out) == (11, "")
    said = "doubling v2 was recorded by ada and came from team; its code has not been looked at here"
    assert said in refused.err
    assert "hint: kitaru trust doubling@v2" in refused.err
    trusted = pulled("trust", "doubling@v2", "--yes", "--why", "read it")
    assert trusted.code == 0
    assert "x + x  # \\x1b[31mred" in trusted.out, "shown, and harmless"
    assert "came from team, /srv/team" in trusted.out
    assert "version doubling@v2  trusted" in trusted.out
    done = replay(pulled)
    assert (done.code, done.out) == (0, "8\n")


def version_from_elsewhere(files, **more):
    """Put a third version of the flow into the store, as if pulled."""
    project = Project.open()
    first = project.version({"id": project.repo.versions("doubling")[0].id})
    encoded = project.runner.values.encode({**first, "files": files, **more}, frozenset(), "")
    project.repo.put_objects(encoded.objects)
    return project.repo.add_version("doubling", id=encoded.id, digest=encoded.id, at=3, by="eve")


@pytest.mark.parametrize("as_diff", [False, True])
def test_a_comment_that_is_code_in_another_encoding_is_shown_as_the_code_it_is(pulled, directory, as_diff):
    source = "# coding: utf-7\n# harmless +AAo-open('executed', 'w').close()+AAo-" + FIRST
    version_from_elsewhere({"own.py": source.encode()})
    if as_diff:
        pulled("trust", "doubling@v1", "--yes")
    shown = pulled("trust", "doubling@v3", "--yes")
    assert "\nopen('executed', 'w').close()\n" in shown.out.replace("\n  ", "\n").replace("\n+", "\n")
    assert "this file says that it is to be read as utf-7" in shown.out
    assert pulled("invoke", "doubling@v3", "-q").code == 0
    assert (directory / "executed").exists(), "what was shown is what is executed"


@pytest.mark.parametrize("as_diff", [False, True])
def test_an_encoding_declared_where_only_some_readers_see_it(pulled, directory, as_diff):
    """Python's own tokenizer takes a lone carriage return for a line's end, and would not see the declaration."""
    source = "#\r#\r# coding: utf-7\nif 1:+AAo-  pass+AAo-else:+AAo- open('executed', 'w').close()\n" + FIRST
    version_from_elsewhere({"own.py": source.encode()})
    if as_diff:
        pulled("trust", "doubling@v1", "--yes")
    assert "read as utf-7" in pulled("trust", "doubling@v3", "--yes").out
    assert pulled("invoke", "doubling@v3", "-q").code == 0
    assert not (directory / "executed").exists()


def test_nothing_is_left_out_of_what_is_to_be_trusted(pulled):
    many = {f"dist{n}": "1.0" for n in range(50)}
    padding = "".join(f"# {n}\n" for n in range(20_000))
    version_from_elsewhere({"own.py": (padding + FIRST).encode()}, distributions=many)
    version_from_elsewhere({"own.py": (padding + FIRST + "evil()\n").encode()}, distributions=many)
    assert "dist49 1.0" in pulled("trust", "doubling@v3", "--yes").out
    shown = pulled("trust", "doubling@v4", "--yes").out
    assert "what differs from the newest" in shown
    assert "+evil()" in shown


@pytest.mark.parametrize("unseen", ["\u200b", "\u3164", "\ufe0f", "\u200d", "\U000e0041", "\x0c", "\u202e", "\u2028"])
def test_what_nobody_would_see_is_shown(pulled, unseen):
    version_from_elsewhere({"own.py": f"{FIRST}check{unseen}()\n".encode()})
    assert unseen not in pulled("trust", "doubling@v3", "--yes", "--whole").out
    pulled("trust", "doubling@v1", "--yes")
    shown = pulled("trust", "doubling@v3", "--yes").out
    escaped = f"\\x{ord(unseen):02x}" if ord(unseen) < 256 else f"\\u{ord(unseen):04x}"
    assert f"+check{escaped}()\n" in shown


def test_a_file_whose_bytes_differ_and_whose_lines_do_not(pulled):
    version_from_elsewhere({"own.py": FIRST.replace("\n", "\r\n").encode()})
    pulled("trust", "doubling@v1", "--yes")
    assert "own.py differs in its bytes only" in pulled("trust", "doubling@v3", "--yes").out


def test_trust_in_one_version_is_none_in_another(pulled):
    pulled("trust", "doubling@v1", "--yes")
    assert replay(pulled).code == 11
    shown = pulled("trust", "doubling@v2", "--yes")
    assert "what differs from the newest version that is trusted" in shown.out
    assert "-    return x * 2" in shown.out
    assert "from kitaru import checkpoint, flow\n\n@checkpoint" not in shown.out
    whole = pulled("trust", "doubling@v2", "--whole", "--yes")
    assert "  from kitaru import checkpoint, flow\n\n  @checkpoint" in whole.out


def test_nothing_is_decided_where_nobody_can_be_asked(pulled):
    refused = pulled("trust", "doubling@v2")
    assert refused.code == 2
    assert "there is nobody to ask" in refused.err
    assert "@flow" in refused.out
    assert decisions(pulled) == []


def test_json_shows_and_asks_nothing(pulled):
    shown = json.loads(pulled("trust", "doubling@v2", "-o", "json").out)
    assert (shown["version"], shown["trusted"], shown["decision"], shown["by"]) == ("doubling@v2", False, None, "ada")
    assert shown["files"] == {"own.py": SECOND}
    assert shown["origins"] == [{"remote": "team", "url": ELSEWHERE, "at": "2026-01-01T00:00:00+00:00"}]
    assert decisions(pulled) == []
    decided = json.loads(pulled("trust", "doubling@v2", "-o", "json", "--yes").out)["decision"]
    assert (decided["kind"], decided["name"], decided["what"]) == ("version", shown["id"], "doubling@v2")
    assert decisions(pulled) == [decided]


@pytest.mark.parametrize("words", [("--flow", "doubling"), ("--remote", "team")])
def test_a_flow_or_a_remote_is_trusted_as_a_whole_and_trust_is_taken_back(pulled, words):
    trusted = pulled("trust", *words, "--yes")
    assert trusted.code == 0
    assert "doubling@v1" in trusted.out
    assert "may then execute code here" in trusted.out
    assert replay(pulled).code == 0
    revoked = pulled("trust", *words, "--revoke", "--why", "he left")
    assert (revoked.code, "not trusted" in revoked.out) == (0, True)
    assert replay(pulled).code == 11
    (standing,) = decisions(pulled)
    assert (standing["trusted"], standing["why"]) == (False, "he left")


def test_another_place_under_the_same_name_is_another_remote(pulled, directory):
    pulled("trust", "--remote", "team", "--yes")
    config = directory / ".kitaru" / "config.toml"
    config.write_text(config.read_text().replace(ELSEWHERE, "/srv/other"))
    repo = Project.open().repo
    version = repo.add_version("doubling", id="3" * 64, digest="3" * 64, at=3, by="eve")
    repo.trust.came_from([version.id], "team", "/srv/other", 5)
    assert not repo.trust.may_execute("doubling", version.id)
    assert pulled("trust", "--remote", "team", "--revoke").code == 0
    assert replay(pulled).code == 0, "what came from where it was trusted, still is"
    assert pulled("trust", "--remote", ELSEWHERE, "--revoke").code == 0
    assert replay(pulled).code == 11


def test_what_took_its_trust_back_says_so(pulled):
    pulled("trust", "doubling@v2", "--yes")
    pulled("trust", "doubling@v2", "--revoke", "--why", "deletes files")
    said = replay(pulled)
    assert said.code == 11
    assert "ada took back the trust in it: deletes files" in said.err


def test_code_that_is_found_in_the_working_tree_is_ones_own(pulled, directory):
    (directory / "own.py").write_text(SECOND)
    assert pulled("run", "own.py:doubling", "x=1", "-q").code == 0
    assert replay(pulled).code == 0
    assert [d["why"] for d in decisions(pulled)] == ["recorded here"]
    pulled("trust", "doubling@v2", "--revoke")
    assert pulled("run", "own.py:doubling", "x=1", "-q").code == 0
    assert replay(pulled).code == 11, "what a person decided stands"


def test_a_digest_is_only_said(pulled, directory):
    """A remote's name says that its version is what lies in the working tree; what it names is something else."""
    repo = Project.open().repo
    evil = repo.versions("doubling")[0].id
    (directory / "own.py").write_text(SECOND.replace("x + x", "x * 3"))
    pulled("run", "own.py:doubling", "x=1", "-q")
    *_, mine = repo.versions("doubling")
    (directory / ".kitaru" / "flows" / "doubling" / "000003").unlink()
    shutil.rmtree(directory / ".kitaru" / "trust" / "versions")
    repo.add_version("doubling", id=evil, digest=mine.digest, at=3, by="eve")
    assert pulled("run", "own.py:doubling", "x=1", "-q").code == 0
    assert not repo.trust.is_decided(evil)
    assert repo.trust.standing(trusts.VERSIONS, mine.id) is None


def test_a_version_that_no_flow_names_is_trusted_by_its_id(pulled, directory):
    for name in ("000001", "000002"):
        (directory / ".kitaru" / "flows" / "doubling" / name).unlink()
    said = replay(pulled)
    assert said.code == 11
    hint = next(line for line in said.err.splitlines() if line.startswith("hint: "))
    words = hint.removeprefix("hint: kitaru ").split()
    assert len(words[1]) == 12
    assert pulled(*words, "--yes").code == 0
    assert replay(pulled).code == 0


def test_the_list_tells_what_is_not_trusted(pulled):
    pulled("trust", "doubling@v1", "--yes")
    page = pulled("trust").out
    assert "version doubling@v1  trusted" in page
    assert "doubling@v2  not trusted  recorded by ada" in page
    listed = json.loads(pulled("trust", "-o", "json").out)
    assert [v["version"] for v in listed["untrusted"]] == ["doubling@v2"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["doubling@v9"], "no version v9"),
        (["doubling"], "which version?"),
        (["nothing@v1"], "nothing is recorded of a flow 'nothing'"),
        (["--flow", "nothing"], "nothing is recorded of a flow 'nothing'"),
        (["--remote", "other"], "there is no remote 'other'"),
        (["doubling@v1", "--flow", "doubling"], "one thing at a time"),
        (["--list", "--flow", "doubling"], "--list takes nothing else"),
        (["--revoke"], "--list takes nothing else"),
        (["abcdef0123456789"], "no object matches"),
    ],
)
def test_what_cannot_be_trusted(pulled, words, said):
    ended = pulled("trust", *words, "--yes")
    assert ended.code == 2
    assert said in ended.err
    assert decisions(pulled) == []


@pytest.mark.parametrize(("typed", "code", "count"), [("y", 0, 1), ("", 1, 0), ("n", 1, 0), ("\x04", 1, 0)])
def test_a_person_is_asked(pulled, monkeypatch, typed, code, count):
    master, slave = os.openpty()
    with os.fdopen(slave, "r", closefd=True) as terminal:
        monkeypatch.setattr("sys.stdin", terminal)
        monkeypatch.setattr("kitaru.cli.verbs.trust.can_ask", lambda: True)
        os.write(master, f"{typed}\n".encode())
        ended = pulled("trust", "doubling@v2")
    os.close(master)
    assert ended.code == code
    assert "May it be executed here? [y/N]" in ended.err
    assert len(decisions(pulled)) == count


SCRIPT = "open('executed', 'w').close()\ndef main() -> None: ...\n"


@pytest.mark.parametrize(
    ("file", "text", "entry"),
    [
        ("reset.py", SCRIPT, {"module": "reset", "qualname": "main"}),
        ("reset.py", "from kitaru import flow\n" + SCRIPT, {"module": "reset", "qualname": "doubling"}),
        ("own.py", FIRST + SCRIPT, {"module": "reset", "qualname": "doubling"}),
        (".venv/own.py", FIRST + SCRIPT, {"module": "own", "qualname": "doubling"}),
    ],
)
def test_a_run_from_elsewhere_does_not_choose_which_script_is_imported(pulled, directory, file, text, entry):
    (directory / file).parent.mkdir(exist_ok=True)
    (directory / ".venv" / "pyvenv.cfg").parent.mkdir(exist_ok=True)
    (directory / ".venv" / "pyvenv.cfg").touch()
    (directory / file).write_text(text)
    (directory / "reset.py").write_text(SCRIPT if file != "reset.py" else text)
    project = Project.open()
    version = version_from_elsewhere({"own.py": FIRST.encode()}, entry={**entry, "file": file, "path": ["."]})
    project.repo.trust.came_from([version.id], "team", ELSEWHERE, 5)
    start = project.state(project.find_run("@")).start
    with project.repo.begin("hstjk23456") as writer:
        writer.commit(dataclasses.replace(start, version={"n": 3, "id": version.id}), [])
    for words in (["resume", "hstjk23456"], ["replay", "hstjk23456"], ["resume", "hstjk23456", "--check"]):
        ended = pulled(*words, "-q")
        assert ended.code != 0
        assert "where there is no such flow" in ended.err
    assert not (directory / "executed").exists()


def test_a_run_from_elsewhere_goes_on_with_the_working_trees_code(pulled, directory):
    (directory / "own.py").write_text(FIRST.replace("* 2", "* 3"))
    assert pulled("replay", "@", "--from", "double", "-q").out == "12\n"


def test_who_copies_a_hint_executes_nothing_else(pulled):
    repo = Project.open().repo
    evil = repo.add_version("$(touch executed)", id=repo.versions("doubling")[1].id, digest="5" * 64, at=3, by="eve")
    with pytest.raises(Untrusted) as refused:
        check_trusted(repo, "$(touch executed)", evil.id, evil.n)
    assert refused.value.hint == "kitaru trust '$(touch executed)@v1'"
