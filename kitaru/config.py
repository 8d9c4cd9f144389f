"""A project's settings, `.kitaru/config.toml`: which keys there are, what they may hold, how they are read and set.

Owns: the table of keys, and the one reader and writer of the file. It holds no secret, ever. Knows nothing of runs; who
obeys a setting is decided where it is used. Both TOML libraries are imported only when the file has something to say.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kitaru.errors import BadConfig, NotAProject

if TYPE_CHECKING:
    from collections.abc import Mapping


STORE = ".kitaru"


def find_root(directory: Path | str | None) -> Path:
    """Return the nearest directory, from this one (the current one by default) upwards, that holds a store.

    `KITARU_DIR` names where to begin instead of the current directory, as `GIT_DIR` does for git.

    Raises:
        NotAProject: none does.
    """
    start = Path(directory or os.environ.get("KITARU_DIR") or ".").absolute()
    for root in (start, *start.parents):
        if (root / STORE / "format").exists():
            return root
    raise NotAProject(str(start))


@dataclass(frozen=True, slots=True)
class Key:
    """One setting: its dotted name, the field of `Config` it fills, and what it may hold (any text if empty)."""

    name: str
    field: str
    choices: tuple[str, ...]
    help: str


KEYS = {
    key.name: key
    for key in (
        Key("durability", "durability", ("power-loss", "process-crash"), "what a finished call survives"),
        Key("on-drift", "on_drift", ("stop", "new", "reuse"), "what to do when code no longer fits its history"),
        Key("user.name", "user_name", (), "who you are, in answers and runs; the login name if empty"),
        Key("default-model", "default_model", (), "model that kitaru.llm() asks where none is named"),
    )
}

TABLES = {
    "models": "kitaru model add NAME PROVIDER/MODEL",
    "secrets": "kitaru secret add NAME env:VARIABLE",
    "remotes": "kitaru remote add NAME URL",
    "flows": "[flows.NAME] with concurrency, per-minute and attempts, how workers start its runs and take them up",
    "prices": '[prices."PROVIDER/MODEL"] with input and output, in dollars per million tokens',
}
"""Tables of named tables, and how one is written; what may stand in each is decided where it is used."""


@dataclass(frozen=True, slots=True)
class Config:
    """The settings in force, defaults included."""

    durability: str = "power-loss"
    on_drift: str = "stop"
    user_name: str = ""
    default_model: str = ""
    tables: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def settings(self) -> dict[str, Any]:
        """The tables, and the default model, as plain JSON."""
        return {**self.tables, "default-model": self.default_model}

    def get(self, name: str) -> str:
        """Return the setting `name` (`user.name`, `on-drift`).

        Raises:
            BadConfig: there is no such key.
        """
        return str(getattr(self, _key(name).field))

    def items(self) -> list[tuple[str, str]]:
        """Return every key with its value, in the order of the documentation."""
        return [(name, self.get(name)) for name in KEYS]


def load(path: Path) -> Config:
    """Read the settings; a missing file is all defaults.

    Raises:
        BadConfig: not TOML, an unknown key or a bad value; the message names the line.
    """
    text = _text(path)
    if not _says_something(text):
        return Config()
    document = _parse(text, path)
    tables = {name: _table(document[name], name, text, path) for name in TABLES if name in document}
    found: dict[str, Any] = {KEYS[name].field: value for name, value in _flat(document, text, path).items()}
    return Config(**found, tables=tables)


def read(path: Path) -> dict[str, str]:
    """Return only what the file itself sets, by dotted name; raises as `load`."""
    text = _text(path)
    return _flat(_parse(text, path), text, path) if _says_something(text) else {}


def _says_something(text: str) -> bool:
    return any(line.strip() and not line.lstrip().startswith("#") for line in text.splitlines())


def _flat(document: dict[str, Any], text: str, path: Path) -> dict[str, str]:
    """Return the keys of a file, checked, less its tables."""
    flat = dict(_flatten({name: value for name, value in document.items() if name not in TABLES}))
    for name, value in flat.items():
        _check(name, value, f"{path}{_line_of(name, text)}")
    return flat


def _table(found: Any, name: str, text: str, path: Path) -> dict[str, Any]:  # noqa: ANN401 - whatever the file holds
    """Return a table of tables, or, for secrets, of texts; raises BadConfig for anything else."""
    kind = str if name == "secrets" else dict
    if not isinstance(found, dict) or not all(isinstance(value, kind) for value in found.values()):
        raise BadConfig(f"{path}{_line_of(name, text)}: {name} is not as it must be", hint=TABLES[name])
    return found


def is_name(name: str) -> bool:
    """Tell whether an entry of a table may be called so: it can be typed, and is no option and no `provider/model`."""
    return re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_-]*", name) is not None


def put(path: Path, table: str, name: str, value: str | Mapping[str, Any] | None) -> None:
    """Set one entry of a table, or remove it (None), keeping the comments and order of the file.

    Raises:
        BadConfig: the file is not TOML, or there is no such entry to remove.
        StoreError: the disk said no.
    """
    load(path)
    import tomlkit

    document = tomlkit.parse(_text(path))
    entries: Any = document.setdefault(table, tomlkit.table(is_super_table=table != "secrets"))
    if value is not None:
        entries[name] = value if isinstance(value, str) else tomlkit.item(dict(value))
    elif name in entries:
        del entries[name]
        if not entries:
            del document[table]
    else:
        raise BadConfig(f"there is no {table.removesuffix('s')} {name!r}", hint=TABLES[table])
    _replace(path, tomlkit.dumps(document))


def assign(path: Path, name: str, value: str) -> None:
    """Set one key, keeping the comments and order of the file.

    Raises:
        BadConfig: no such key, or it may not hold this value, or the file is not TOML.
        StoreError: the disk said no.
    """
    _check(name, value, "")
    read(path)
    import tomlkit

    document = tomlkit.parse(_text(path))
    table: Any = document
    *parents, last = name.split(".")
    for parent in parents:
        table = table.setdefault(parent, tomlkit.table())
    table[last] = value
    _replace(path, tomlkit.dumps(document))


def _key(name: str) -> Key:
    if name not in KEYS:
        raise BadConfig(f"there is no setting {name!r}", hint=f"the settings are {', '.join(KEYS)}")
    return KEYS[name]


def _check(name: str, value: Any, where: str) -> None:  # noqa: ANN401 - whatever the file holds
    prefix = f"{where}: " if where else ""
    if name not in KEYS:
        raise BadConfig(f"{prefix}there is no setting {name!r}", hint=f"the settings are {', '.join(KEYS)}")
    choices = KEYS[name].choices
    if not isinstance(value, str) or (choices and value not in choices):
        allowed = f"one of {', '.join(choices)}" if choices else "text"
        raise BadConfig(f"{prefix}{name} is {value!r}, and must be {allowed}", hint=_example(name))


def _example(name: str) -> str:
    choices = KEYS[name].choices
    return f"kitaru config set {name} {choices[0] if choices else 'TEXT'}"


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except FileNotFoundError:
        return ""
    except UnicodeDecodeError as error:
        raise BadConfig(f"{path} is not UTF-8: {error.reason} at byte {error.start}") from error
    except OSError as error:
        raise BadConfig(f"{path} cannot be read: {error.strerror}") from error


def _parse(text: str, path: Path) -> dict[str, Any]:
    import tomllib

    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        line = re.search(r"at line (\d+)", str(error))
        where = f"{path}, line {line[1]}" if line else str(path)
        raise BadConfig(f"{where}: not TOML: {error}", hint=f"mend the file: {path}") from error


def _flatten(table: dict[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    flat: list[tuple[str, Any]] = []
    for name, value in table.items():
        if isinstance(value, dict):
            flat += _flatten(value, f"{prefix}{name}.")
        else:
            flat.append((prefix + name, value))
    return flat


def _line_of(name: str, text: str) -> str:
    """Return `, line N` of the line that sets a key; tomllib does not tell, so it is looked for."""
    last = re.escape(name.rsplit(".", 1)[-1])
    found = re.search(rf"""(?m)^[ \t]*(?:[\w.\-"']+\.)?["']?{last}["']?[ \t]*=""", text)
    return f", line {text.count(chr(10), 0, found.start()) + 1}" if found else ""


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _replace(path: Path, text: str) -> None:
    part = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        with open(part, "w", encoding="utf-8", opener=_private) as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        from kitaru.blobs.files import store_error

        raise store_error(error, "write", str(path)) from error
