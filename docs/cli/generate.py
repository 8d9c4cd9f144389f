"""Write docs/cli/: a page per verb and the index, from the commands themselves.

Run `python docs/cli/generate.py` after changing a verb; a test fails while the pages are stale. json.md is written by
hand.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

from kitaru.cli.app import verb
from kitaru.cli.table import EXIT_STATUSES, GROUPS, OPTIONS, VERBS

HERE = Path(__file__).parent
NOTICE = "<!-- written by docs/cli/generate.py -->\n"


def pages() -> dict[str, str]:
    """Return file name to text, for every page."""
    return {"index.md": _index(), **{f"{name}.md": _page(name) for name in VERBS}}


def _index() -> str:
    parts = [NOTICE, "# The command line\n", "`kitaru [-C DIR] VERB [ARGS]...`\n"]
    for title, verbs in GROUPS.items():
        rows = "\n".join(f"| [{name}]({name}.md) | {line} |" for name, line in verbs.items())
        parts.append(f"## {title.capitalize()}\n\n| verb | |\n|---|---|\n{rows}\n")
    parts.append("## Options\n\n| option | |\n|---|---|\n" + _rows(OPTIONS))
    parts.append("## Exit statuses\n\n| status | |\n|---|---|\n" + _rows({str(k): v for k, v in EXIT_STATUSES.items()}))
    parts.append((HERE / "conventions.txt").read_text("utf-8"))
    return "\n".join(parts)


def _rows(lines: dict[str, str]) -> str:
    return "".join(f"| `{name}` | {line} |\n" for name, line in lines.items())


def _page(name: str) -> str:
    command, module = verb(name), import_module(f"kitaru.cli.verbs.{name.replace('-', '_')}")
    parts = [NOTICE, f"# kitaru {name}\n", _synopsis(f"kitaru {name}", command), command.help.strip() + "\n"]
    parts.append(_parameters(command))
    for subname, subcommand in getattr(command, "commands", {}).items():
        line = _synopsis(f"kitaru {name} {subname}", subcommand)
        parts.append(f"{line}\n{subcommand.help.strip()}\n\n{_parameters(subcommand)}")
    parts.append((module.__doc__ or "").partition("\n\n")[2])
    return "\n".join(part for part in parts if part).rstrip() + "\n"


def _synopsis(words: str, command: Any) -> str:
    options = " [OPTIONS]" if any(p.param_type_name == "option" for p in command.params) else ""
    arguments = "".join(f" {_argument(p)}" for p in command.params if p.param_type_name == "argument")
    tail = " [VERB] [ARGS]..." if getattr(command, "commands", None) else ""
    return f"```\n{words}{options}{arguments}{tail}\n```\n"


def _argument(parameter: Any) -> str:
    name = parameter.metavar or parameter.name.upper()
    return name if parameter.required or name.startswith("[") else f"[{name}]"


def _parameters(command: Any) -> str:
    rows = [row for parameter in command.params if (row := _row(parameter))]
    return "| | |\n|---|---|\n" + "\n".join(rows) + "\n" if rows else ""


def _row(parameter: Any) -> str:
    told = (parameter.help or "").replace("|", "\\|")
    if parameter.param_type_name == "argument":
        return f"| `{_argument(parameter)}` | {told}{_default(parameter)} |"
    spelled = ", ".join([*parameter.opts, *parameter.secondary_opts])
    metavar = f" {parameter.metavar}" if parameter.metavar else ""
    return f"| `{spelled}{metavar}`".replace("|", "\\|").replace("\\|", "|", 1) + f" | {told}{_default(parameter)} |"


def _default(parameter: Any) -> str:
    value = getattr(parameter.default, "value", parameter.default)
    return (
        f" Default: `{value}`." if isinstance(value, (str, int)) and not isinstance(value, bool) and value != "" else ""
    )


if __name__ == "__main__":
    for file, text in pages().items():
        (HERE / file).write_text(text, "utf-8")
