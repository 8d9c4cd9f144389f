"""Which remotes a project knows: written down, found by name, refused where they cannot be."""

import os

import pytest

from kitaru.config import load
from kitaru.errors import BadConfig, UnknownRemote, UsageError
from kitaru.project import Project


@pytest.fixture
def project(tmp_path):
    return Project.init(tmp_path / "here")


def settings(project):
    return project.root / ".kitaru" / "config.toml"


def reopened(project):
    return Project.open(project.root)


def test_the_first_is_the_default_until_it_goes(project):
    project.add_remote("team", "/mnt/team")
    project.add_remote("spare", "/mnt/spare")
    assert [remote.name for remote in reopened(project).remotes()] == ["team", "spare"]
    assert project.remote().name == "team"
    assert project.remote("spare").url == "/mnt/spare"
    project.remove_remote("team")
    assert reopened(project).remote().name == "spare"


def test_options_are_kept_and_empty_ones_are_not(project):
    project.add_remote("team", "s3://bucket/a", endpoint_url="http://127.0.0.1:9", profile="ana")
    remote = reopened(project).remote()
    assert dict(remote.options) == {"endpoint-url": "http://127.0.0.1:9", "profile": "ana"}
    assert load(settings(project)).tables["remotes"]["team"].keys() == {"url", "endpoint-url", "profile"}


def test_a_folder_is_found_from_anywhere(project, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert project.add_remote("team", "a/../share").url == str(tmp_path / "share")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert project.add_remote("home", "~/share").url == str(tmp_path / "home" / "share")
    assert project.add_remote("file", f"file://{tmp_path}/share").url == f"{tmp_path}/share"


def test_adding_asks_nobody_whether_it_is_there(project):
    project.add_remote("team", "/there/is/no/such/folder")
    project.add_remote("bucket", "s3://no-such-bucket", endpoint_url="http://127.0.0.1:9")


@pytest.mark.parametrize("name", ["", "a b", "@", "a/b", "ä", "a.b", "-x y", "-x"])
def test_a_name_that_cannot_be_typed(project, name):
    with pytest.raises(BadConfig, match="is no name for a remote"):
        project.add_remote(name, "/mnt/team")


@pytest.mark.parametrize(
    "url",
    ["s3://key:s3cret@bucket/a", "s3://AKIA1234@bucket", "s3://bucket/a?secret=s3cret", "https://u:s3cret@host/x"],
)
def test_a_url_with_a_secret_is_refused_and_not_repeated(project, url):
    before = settings(project).read_bytes()
    with pytest.raises(BadConfig) as caught:
        project.add_remote("team", url)
    assert "s3cret" not in str(caught.value) + caught.value.hint
    assert settings(project).read_bytes() == before


def test_a_store_is_no_remote_of_its_own(project, monkeypatch):
    (project.root / "link").symlink_to(project.root / ".kitaru")
    for url in (".kitaru", ".kitaru/runs", "link"):
        monkeypatch.chdir(project.root)
        with pytest.raises(BadConfig, match="is this project's own store"):
            project.add_remote("team", url)
    assert project.remotes() == []


def test_a_name_is_taken_once(project):
    project.add_remote("team", "/mnt/team")
    with pytest.raises(UsageError, match="there is a remote 'team' already: /mnt/team"):
        project.add_remote("team", "/mnt/other")
    assert project.remote("team").url == "/mnt/team"


def test_one_that_is_not_there(project):
    with pytest.raises(UnknownRemote, match="this project has no remote") as none_at_all:
        project.remote()
    assert none_at_all.value.hint == "kitaru remote add NAME URL"
    project.add_remote("team", "/mnt/team")
    with pytest.raises(UnknownRemote, match="there is no remote 'tem'; there are: team"):
        project.remote("tem")
    with pytest.raises(UnknownRemote):
        project.remove_remote("tem")


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ('url = "/a"\ncolour = "red"', "has no setting 'colour'"),
        ("url = 7", "url is 7, and must be text"),
        ('region = "x"', "has no url"),
        ('url = ""', "has no url"),
        ('url = "../shared"', "url is '../shared', which another directory makes another place"),
        ('url = "file:shared"', "url is 'file:shared'"),
        ('url = ".kitaru/x"', "url is '.kitaru/x'"),
    ],
)
def test_what_config_says_is_checked_and_can_still_be_removed(project, entry, said):
    with settings(project).open("a") as file:
        file.write(f"\n[remotes.team]\n{entry}\n")
    broken = reopened(project)
    with pytest.raises(BadConfig, match=said):
        broken.remotes()
    broken.remove_remote("team")
    assert reopened(project).remotes() == []


def test_what_is_the_same_from_anywhere_may_be_written_by_hand(project):
    urls = ["/mnt/team", "~/team", "file:///mnt/team", "s3://bucket/team", "memory://team"]
    with settings(project).open("a") as file:
        for number, url in enumerate(urls):
            file.write(f'\n[remotes.r{number}]\nurl = "{url}"\n')
    assert [remote.url for remote in reopened(project).remotes()] == urls


def test_the_file_keeps_its_comments_and_its_rights(project):
    before = settings(project).read_text()
    project.add_remote("team", "/mnt/team")
    assert settings(project).read_text().startswith(before.rstrip("\n"))
    assert os.stat(settings(project)).st_mode & 0o077 == 0  # noqa: PTH116 - as the file lies
