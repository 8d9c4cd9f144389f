"""Secrets: where they are found, and that a value reaches nothing that is kept or shown."""

from __future__ import annotations

import contextlib
import logging
import os
import sys

import pytest

import kitaru
from kitaru.errors import RunFailed, SecretLeak, UnknownSecret
from kitaru.llm.secrets import learn, value_of
from kitaru.project import Project
from kitaru.runtime import redaction
from kitaru.testing import Recorder
from tests.llm.conftest import KEY


@pytest.fixture(autouse=True)
def _forgotten():
    yield
    redaction.forget()


def of(source: str) -> str:
    return value_of("s", {"secrets": {"s": source}})


def test_sources(tmp_path, monkeypatch):
    monkeypatch.setenv("A_KEY", "value-1234")
    (tmp_path / "key").write_text("value-5678\n")
    assert of("env:A_KEY") == "value-1234"
    assert of(f"file:{tmp_path}/key") == "value-5678"
    assert of(f'cmd:{sys.executable} -c \'print("value" + "-9999")\'') == "value-9999"


@pytest.mark.parametrize(
    "source", ["env:NOT_SET_AT_ALL", "file:/nowhere", "cmd:false", "ftp:x", "env:", "cmd:/nowhere x"]
)
def test_what_is_not_there_says_so(source):
    with pytest.raises(UnknownSecret, match=r"secret (s|'s')"):
        of(source)


def test_an_entry_point_is_a_source(monkeypatch):
    class Found:
        names = {"vault"}

        def load(self):
            return lambda rest: f"from-{rest}"

    def entry_points(group, name=None):
        assert group == "kitaru.secrets"
        return [Found()] if name else Found()

    monkeypatch.setattr("importlib.metadata.entry_points", entry_points)
    assert of("vault:team/key") == "from-team/key"


def test_texts_are_redacted_in_all_the_forms_a_value_takes():
    redaction.hide("k", 'sk/with "quotes"')
    for form in ('sk/with "quotes"', 'sk/with \\"quotes\\"', "sk/with%20%22quotes%22", "c2svd2l0aCAicXVvdGVzIg=="):
        assert redaction.redacted(f"a {form} b") == "a [secret k] b"


@kitaru.checkpoint
def leaks() -> str:
    print("printed", KEY)
    sys.stdout.write(KEY[:7])
    sys.stdout.write(KEY[7:] + "\n")
    print(KEY, file=sys.stderr)
    logging.getLogger("x").warning("logged %s", KEY)
    text = kitaru.llm("say something")
    return text.replace(KEY, "")


@kitaru.checkpoint
def fails() -> None:
    try:
        raise ValueError(f"inner {KEY}")
    except ValueError as error:
        raise RuntimeError(f"outer {KEY}", {"key": KEY}) from error


@kitaru.flow
def leaky() -> str:
    kept = leaks()
    with contextlib.suppress(RuntimeError):
        fails()
    return kept + kitaru.llm("again")


@kitaru.flow
def returns_it() -> str:
    return step_of(KEY)


@kitaru.checkpoint
def step_of(key: str) -> str:
    return key


def every_byte(root) -> bytes:
    """Return all of a store, sealed and open, decompressed."""
    from kitaru.project.places import open_repository

    repo = open_repository(root, durable=False)
    found = b"".join(path.read_bytes() for path in (root / ".kitaru").rglob("*") if path.is_file())
    found += b"".join(repo.object(object_id) for object_id in repo.find_objects(""))
    from kitaru.model.canonical import encode

    return found + b"".join(encode(s.record, s.parent) for run in repo.run_ids() for s in repo.records(run))


@pytest.fixture
def on_disk(stub, tmp_path):
    project = Project.init(tmp_path)
    project.add_secret("stub", "env:STUB_KEY")
    project.add_model("fast", ["openai/gpt-4o-mini"], secret="stub", api_base=stub.url, default=True)
    return Project.open(tmp_path)


def test_a_canary_reaches_no_path(on_disk, stub, tmp_path, capfd):
    stub.script = [f"your key is {KEY}", "401"]
    seen = Recorder()
    handle = on_disk.run(leaky, {}, foreground=True, observer=seen)
    with pytest.raises(RunFailed) as failed:
        handle.wait()
    told = "".join(map(repr, seen.events)) + repr(failed.value) + str(failed.value.__cause__)
    out, err = capfd.readouterr()
    for kept in (every_byte(tmp_path), told.encode(), out.encode(), err.encode()):
        assert KEY.encode() not in kept
    assert b"[secret stub]" in every_byte(tmp_path)
    lines = "".join(line.text for line in on_disk.logs("@")[1])
    assert lines.count("[secret stub]") >= 4


def test_an_argument_or_a_result_with_a_secret_is_refused(on_disk, tmp_path):
    with pytest.raises(RunFailed) as failed:
        on_disk.run(returns_it, {}, foreground=True).wait()
    assert isinstance(failed.value.__cause__, SecretLeak)
    assert "key holds the value of the secret stub" in str(failed.value)
    assert KEY.encode() not in every_byte(tmp_path)


def test_short_values_are_not_looked_for():
    redaction.hide("k", "abc")
    assert redaction.redacted("abc") == "abc"


def test_a_source_that_cannot_be_read_is_learnt_later(monkeypatch):
    monkeypatch.delenv("LATE_KEY", raising=False)
    learn({"secrets": {"late": "env:LATE_KEY", "cmd": "cmd:never run"}})
    assert redaction.redacted("x") == "x"


ASKS = """
import kitaru

@kitaru.flow
def asks_for(text: str) -> str:
    return kitaru.wait("reply", schema=str) + text
"""


def test_what_is_typed_or_queued_with_a_secret_in_it_is_refused(on_disk, tmp_path):
    (tmp_path / "asks.py").write_text(ASKS)
    target = f"{tmp_path / 'asks.py'}:asks_for"
    on_disk.run(target, {"text": "a"}, foreground=True)
    for store in (
        lambda project: project.run(target, {"text": KEY}, foreground=True),
        lambda project: project.answer("@", None, KEY, resume=False),
        lambda project: project.enqueue("asks_for", {"text": KEY}),
        lambda project: project.add_schedule("nightly", "asks_for", {"text": KEY}, cron="0 3 * * *"),
    ):
        redaction.forget()
        with pytest.raises(SecretLeak, match="the secret stub"):
            store(Project.open(tmp_path))
    assert KEY.encode() not in every_byte(tmp_path)


@kitaru.checkpoint
def looks_around() -> str:
    print(dict(os.environ))
    return os.environ["AWS_ACCESS_KEY_ID"]


@kitaru.flow
def looking() -> str:
    return looks_around()


def test_the_credentials_of_remotes_are_in_nothing_that_could_be_pushed(tmp_path, monkeypatch):
    secrets = {"AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI/K7MDENG", "AWS_SESSION_TOKEN": "token+of/a+session=="}
    for name, value in {**secrets, "AWS_ACCESS_KEY_ID": "minioadmin"}.items():
        monkeypatch.setenv(name, value)
    project = Project.init(tmp_path)
    assert project.run(looking, {}, foreground=True).wait() == "minioadmin"
    kept = every_byte(tmp_path)
    assert b"[secret AWS_SESSION_TOKEN]" in kept
    assert not [value for value in secrets.values() if value.encode() in kept]


def test_credentials_that_may_be_ordinary_words_are_not_looked_for(monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "minioadmin")
    redaction.hide_credentials()
    assert redaction.redacted("minioadmin") == "minioadmin"
