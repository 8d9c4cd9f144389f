"""docs/format.md names every field of every record, and the numbers of the code."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest

from kitaru.model.records import KINDS
from kitaru.store import claims, envelope, footer, kinds, loose, partial, trust, visits

PAGE = (Path(__file__).parents[2] / "docs/format.md").read_text()


@pytest.mark.parametrize("kind", KINDS)
def test_every_field_of_a_record_is_told_and_no_other(kind):
    row = next(line for line in PAGE.splitlines() if line.startswith(f"| `{kind}` |")).split("|", 2)[2]
    told = {name: bool(bracket) for bracket, name in re.findall(r"(\[?)`(\w+)`(?=[:;\]]| \|)", row)}
    for field in dataclasses.fields(KINDS[kind]):
        if field.name == "at":
            continue
        has_default = field.default is not dataclasses.MISSING or field.default_factory is not dataclasses.MISSING
        assert told.pop(field.name) == has_default, field.name
    assert set(told) <= {"ran", "person"}


SHAPES = {
    **{f"\n| `{kind.directory}/": (kind.shape, "\n| ") for kind in kinds.KINDS},
    "\n| `trust/versions/": (trust.DECISION_SHAPE, "\n| "),
    "\n| `trust/origins/": (trust.ORIGIN_SHAPE, "\n\n"),
    "\n`partial/<run>` marks": (partial.PARTIAL_SHAPE, "\n\n"),
    "\n## Claims": (claims.SHAPE, "\n## "),
    "`gc/<number>` has the form of a name, without": (visits.SHAPE, "\nNumbers go up"),
}


@pytest.mark.parametrize("begins", SHAPES)
def test_every_field_of_a_name_is_told(begins):
    shape, ends = SHAPES[begins]
    told = PAGE.partition(begins)[2].partition(ends)[0]
    assert {field for field in shape if f"`{field}`" not in told} == set()


def test_sizes_and_magic_numbers():
    assert envelope.HEADER.size == 32
    assert (envelope.MAX_RAW, envelope.MAX_FRAME) == (16 << 20, 256 << 10)
    for magic in (envelope.JOURNAL_MAGIC, footer.FOOTER_MAGIC, footer.END_MAGIC, loose.MAGIC):
        assert f"`{magic.decode()}`" in PAGE
    assert "`AB 4B 45 31`" in PAGE
    assert bytes.fromhex("AB4B4531") == envelope.MAGIC
