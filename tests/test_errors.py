import inspect
import re

import pytest

from kitaru import errors

LINE = re.compile(r"^ {4}([| `-]*)((?:[A-Z]\w+(?:, )?)+)(?: +(\d+)\b.*| +\S.*)?$")


def _drawn():
    """Each error of the tree that the module's docstring draws, with its parent's name and the status beside it."""
    found, above = [], {}
    for line in errors.__doc__.partition("::\n")[2].splitlines():
        if not line.strip():
            continue
        match = LINE.match(line)
        assert match, f"no line of the tree: {line!r}"
        depth = len(match[1]) // 4
        for name in match[2].split(", "):
            above[depth] = name
            found.append((name, above.get(depth - 1), int(match[3]) if match[3] else None))
    return found


DRAWN = _drawn()
THERE = {name: each for name, each in vars(errors).items() if inspect.isclass(each) and issubclass(each, Exception)}


def test_every_error_is_drawn_once():
    assert sorted(name for name, _, _ in DRAWN) == sorted(THERE)


@pytest.mark.parametrize(("name", "parent", "status"), DRAWN)
def test_an_error_is_where_it_is_drawn(name, parent, status):
    error = THERE[name]
    assert error.__bases__[0].__name__ == (parent or "Exception")
    assert error.exit_code == (THERE[parent].exit_code if status is None else status)


@pytest.mark.parametrize("name", THERE)
def test_an_error_is_recorded_by_the_name_of_the_one_module(name):
    assert (THERE[name].__module__, THERE[name].__qualname__) == ("kitaru.errors", name)
