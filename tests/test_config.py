"""Settings: defaults, reading, setting, and one clear line for each mistake."""

import pytest

from kitaru.config import KEYS, Config, assign, load, read
from kitaru.errors import BadConfig, StoreError


def test_a_missing_or_empty_file_is_all_defaults(tmp_path):
    assert load(tmp_path / "config.toml") == Config("power-loss", "stop", "")
    (tmp_path / "config.toml").write_text("# nothing yet\n\n")
    assert load(tmp_path / "config.toml") == Config()


def test_reading_every_key(tmp_path):
    file = tmp_path / "config.toml"
    file.write_text('durability = "process-crash"\non-drift = "new"\ndefault-model = "fast"\n[user]\nname = "Ada"\n')
    assert load(file).items() == [
        ("durability", "process-crash"),
        ("on-drift", "new"),
        ("user.name", "Ada"),
        ("default-model", "fast"),
    ]


def test_setting_keeps_comments_and_order(tmp_path):
    file = tmp_path / "config.toml"
    file.write_text('# ours\ndurability = "power-loss"  # the safe one\n\n[user]\nname = "Ada"\n')
    assign(file, "durability", "process-crash")
    assign(file, "on-drift", "reuse")
    assert "# ours\n" in file.read_text()
    assert 'durability = "process-crash"  # the safe one\n' in file.read_text()
    assert load(file) == Config("process-crash", "reuse", "Ada")


def test_setting_a_nested_key_in_a_new_file(tmp_path):
    assign(tmp_path / "config.toml", "user.name", "Grace")
    assert read(tmp_path / "config.toml") == {"user.name": "Grace"}
    assert [p.name for p in tmp_path.iterdir()] == ["config.toml"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('# a\ncolour = "red"\n', "config.toml, line 2: there is no setting 'colour'"),
        ('durability = "power-loss"\non-drift = "go"\n', "config.toml, line 2: on-drift is 'go', and must be one of"),
        ("[user]\nname = 7\n", "config.toml, line 2: user.name is 7, and must be text"),
        ("durability = \n", "config.toml, line 1: not TOML"),
        ("a = 1\n[[user]]\n", "config.toml, line 1: there is no setting 'a'"),
    ],
)
def test_mistakes_in_the_file(tmp_path, text, message):
    (tmp_path / "config.toml").write_text(text)
    with pytest.raises(BadConfig) as caught:
        load(tmp_path / "config.toml")
    assert message in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize(("name", "value"), [("colour", "red"), ("durability", "none"), ("on-drift", "")])
def test_mistakes_in_setting_leave_the_file_alone(tmp_path, name, value):
    file = tmp_path / "config.toml"
    file.write_text("# mine\n")
    with pytest.raises(BadConfig):
        assign(file, name, value)
    assert file.read_text() == "# mine\n"


def test_a_disk_that_says_no_is_no_mistake_in_the_file(tmp_path):
    with pytest.raises(StoreError, match=r"cannot write .*config.toml"):
        assign(tmp_path / "gone" / "config.toml", "on-drift", "new")


def test_a_file_that_is_not_utf8(tmp_path):
    (tmp_path / "config.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(BadConfig, match="not UTF-8"):
        load(tmp_path / "config.toml")


def test_every_key_has_a_field_and_a_help():
    assert {key.field for key in KEYS.values()} | {"tables"} == set(Config.__dataclass_fields__)
    assert all(key.help for key in KEYS.values())
