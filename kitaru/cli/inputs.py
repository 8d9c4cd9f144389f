"""`NAME=VALUE` words and JSON files, as `Project` takes them.

Owns: how they are split and read. What a flow does with them, its annotations say.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kitaru.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Sequence


def pairs(words: Sequence[str], form: str = "NAME=VALUE") -> dict[str, str]:
    """Split `name=value` words.

    Raises:
        BadInput: a word without `=`, or a name given twice.
    """
    found: dict[str, str] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or not name:
            raise BadInput(f"{word!r} is not of the form {form}", hint=f"write {form}")
        if name in found:
            raise BadInput(f"{name} is given twice", hint="give each name once")
        found[name] = value
    return found


def json_object(name: str) -> dict[str, Any]:
    """Read a JSON object from a file, or from stdin for `-`.

    Raises:
        BadInput: it cannot be read, is not JSON or not an object.
    """
    try:
        text = sys.stdin.read() if name == "-" else Path(name).read_text("utf-8")
        inputs = json.loads(text)
    except OSError as error:
        raise BadInput(f"{name} cannot be read: {error.strerror}", hint="--input FILE.json") from error
    except ValueError as error:
        raise BadInput(f"{name} is not JSON: {error}", hint='write {"NAME": VALUE}') from error
    if not isinstance(inputs, dict):
        raise BadInput(f"{name} holds no JSON object", hint='write {"NAME": VALUE}')
    return inputs
