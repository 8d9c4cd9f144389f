"""Where a recorded flow begins: nobody vouches for it."""

from __future__ import annotations

import pytest

from kitaru.errors import CodeUnloadable
from kitaru.runtime.entry import Entry


def test_entry_survives_json():
    entry = Entry("app.flow", "f", "src/app/flow.py", ("src", "."))
    assert Entry.from_json(entry.to_json()) == entry
    assert Entry.from_json({**entry.to_json(), "file": None}).file is None


@pytest.mark.parametrize("bad", ["/etc", "../up", "a/../../b", "a//b", "", "a\0b", "./a", "a\\b"])
def test_a_recorded_entry_leads_nowhere_else(bad):
    good = Entry("flow", "f", "flow.py", (".",)).to_json()
    for change in ({"file": bad}, {"path": [bad]}):
        with pytest.raises(CodeUnloadable):
            Entry.from_json({**good, **change})


@pytest.mark.parametrize("data", [None, {}, {"module": 1, "qualname": "f", "file": None, "path": []}])
def test_what_is_no_entry_is_refused(data):
    with pytest.raises(CodeUnloadable):
        Entry.from_json(data)
