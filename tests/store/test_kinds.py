"""Names that others may share: which keys a store makes, and what such a name can say."""

from __future__ import annotations

import pytest

from kitaru.errors import Damaged
from kitaru.store import layout, names
from kitaru.store.kinds import parse, read

SAID = {"at": 1, "by": "ann", "nonce": "n"}
ID = "ab" * 32


@pytest.mark.parametrize(
    "key",
    [
        layout.cancel_key("r") + "/more",
        f"{layout.CANCELS}/{layout.escape('r' * 300)}",
        f"{layout.RUNS}/r/1",
        f"{layout.RUNS}/r/one",
        f"{layout.FLOWS}/demo",
        f"{layout.KEYS}/demo/order",
        f"{layout.OBJECTS}/ab/{'ab' * 31}",
        "elsewhere/r",
    ],
)
def test_a_key_that_no_store_makes(key):
    with pytest.raises(ValueError):
        parse(key)


@pytest.mark.parametrize(
    ("key", "fields"),
    [
        (layout.run_key("r", 1), {"segment": "../x", "nonce": "n"}),
        (layout.flow_key("demo", 1), {**SAID, "id": "x", "digest": ID}),
        (layout.answer_key("r") + "/" + ID, {**SAID, "value": "x"}),
        (f"{layout.KEYS}/demo/{ID}", {**SAID, "run": ""}),
    ],
)
def test_a_name_that_says_what_it_cannot(key, fields):
    found = parse(key)
    filled = {**{name: kind() for name, kind in found.kind.shape.items()}, **fields}
    with pytest.raises(Damaged, match=r"names (no|what is no)"):
        read(found, names.pack(filled), "here")
