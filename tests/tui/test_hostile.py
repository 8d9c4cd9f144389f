"""Texts that try to do something are only shown, large ones are bounded, and strange schemas become fields or JSON."""

import asyncio

import pytest
from textual.widgets import Select

from kitaru.project.questions import Shown
from kitaru.tui.blocks import MAX_LINES, block_of, bounded, rows_text
from kitaru.tui.blocks import Kind as BlockKind
from kitaru.tui.fields import Field, Form, Kind, by_place
from tests.tui.driving import driven

NASTY = "[bold]x[/bold] [@click=app.quit]quit[/] \x1b[31mred\x1b[0m \x9b2J \u202eback \x07 \ud800 [link](file:///etc/passwd)"


def test_a_question_does_nothing_but_stand_there(project, ask):
    run = ask("ask", kind="lines", text=f"# {NASTY}\n\n<b>html</b> ![image](http://x/y.png) <http://auto.link>")

    async def drive():
        async with driven(project, size=(120, 40)) as driver:
            text = driver.screen
            for raw in ("\x1b[31mred", "\x9b", "\u202e", "\x07"):
                assert raw not in text
            for shown in (
                "[@click=app.quit]quit[/]",
                r"\x1b[31mred",
                r"\u202eback",
                r"\ud800",
                "](file:///etc/passwd)",
            ):
                assert shown in " ".join(text.split())
            for shown in ("<b>html</b>", "![image](http://x/y.png)", "<http://auto.link>"):
                assert shown in text
            page = driver.one("#page").region
            for row in range(page.y, page.y + 8):
                await driver.pilot.click(offset=(page.x + 10, row))
            await driver.settle()
            assert driver.app.is_running

    asyncio.run(drive())
    assert project.state(run).open_waits


def test_a_question_of_ten_megabytes_is_bounded(project, ask):
    run = ask("ask", kind="lines", text="word " * 2_000_000)

    async def drive():
        async with driven(project) as driver:
            line = driver.one("#page").query(".more").first()
            assert str(line.render()) == f"… 9,980,000 more characters: kitaru show {run}:ask"

    asyncio.run(drive())


def test_names_and_choices_are_no_markup(project, clock, flows):
    from typing import Literal

    from kitaru import flow, wait

    @flow
    def odd():
        return wait("odd", question="?", schema=Literal["[bold]a[/bold]", "\x1b[2Jb"])

    project.run(odd, {}, foreground=True)

    async def drive():
        async with driven(project) as driver:
            await driver.press("enter", "enter", "down", "down")
            assert "[bold]a[/bold]" in driver.screen
            assert r"\x1b[2Jb" in driver.screen
            await driver.press("enter")
            assert driver.one("#form").query_one(Select).value == 1

    asyncio.run(drive())


def test_many_lines_are_bounded():
    text, more = bounded("line\n" * 10_000)
    assert text.count("\n") < MAX_LINES
    assert more == "9,601 more lines"


def test_a_table_is_harmless_and_narrow():
    text = rows_text([{"a\x1b": "x" * 500, "b": "\u202e"}, {"b": [][:0] or None}])
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert max(map(len, text.split("\n"))) < 60


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        ("text", BlockKind.MARKDOWN),
        ([{"a": 1}], BlockKind.TABLE),
        ([{"a": 1}, "… 5 more"], BlockKind.TABLE),
        ([{"a": [1]}], BlockKind.TREE),
        ([], BlockKind.TREE),
        ([1, 2], BlockKind.TREE),
        ({"a": 1}, BlockKind.TREE),
        (None, BlockKind.TREE),
    ],
)
def test_a_value_is_shown_by_its_kind(data, kind):
    assert block_of(Shown("x", data)).kind is kind


def form(schema):
    return Form(schema, lambda part, value: [], lambda root, part: "words")


@pytest.mark.parametrize(
    "schema",
    [
        {},
        {"type": ["integer", "string"]},
        {"type": "object", "properties": {}},
        {"type": "object", "properties": []},
        {"type": "object", "properties": {f"f{n}": {"type": "string"} for n in range(1000)}},
        {"type": "object", "additionalProperties": {"type": "integer"}},
        {"type": "array", "prefixItems": [{"type": "integer"}]},
        {"type": "array", "items": 5},
        {"enum": list(range(10_000))},
        {"enum": 5},
        {"$ref": "#/$defs/nowhere"},
        {"$ref": "#/$defs/A", "$defs": {"A": {"$ref": "#/$defs/A"}}},
        {"allOf": [{"type": "integer"}, {"minimum": 3}]},
        {"anyOf": "x"},
        {"anyOf": [{"type": "integer"}] * 1000},
        {"type": "string", "maxLength": "many"},
    ],
)
def test_what_no_field_can_show_is_json(schema):
    assert form(schema).root.kind is Kind.JSON


def test_an_object_that_holds_itself_ends():
    schema = {"$ref": "#/$defs/A", "$defs": {"A": {"type": "object", "properties": {"a": {"$ref": "#/$defs/A"}}}}}
    made = form(schema)
    field, depth = made.root, 0
    while field.kind is Kind.GROUP:
        field, depth = made.members(field)[0], depth + 1
    assert field.kind is Kind.JSON
    assert depth < 20


def test_what_stands_beside_a_reference_counts():
    schema = {
        "type": "object",
        "properties": {"a": {"$ref": "#/$defs/A", "default": "x", "description": "said here"}},
        "$defs": {"A": {"type": "string", "description": "said there"}},
    }
    made = form(schema)
    [field] = made.members(made.root)
    assert (field.kind, field.begin, field.about) == (Kind.LINE, "x", "said here")


def test_required_fields_come_first_in_their_order():
    part = {"type": "string"}
    schema = {"type": "object", "properties": {"a": part, "b": part, "z": part}, "required": ["z", "b", "gone"]}
    made = form(schema)
    assert [field.name for field in made.members(made.root)] == ["z", "b", "a"]


def test_a_problem_belongs_to_the_innermost_field_shown():
    places = ["", "items", "items[1]", "a.b"]
    problems = ["items[1].x: no", "items[12]: no", "a.bc: no", "a.b: \x1bno", "as a whole"]
    assert by_place(places, problems) == {
        "items[1]": "items[1].x: no",
        "items": "items[12]: no",
        "": "a.bc: no",
        "a.b": r"\x1bno",
    }


def test_a_field_has_a_name_that_is_harmless():
    schema = {"type": "object", "properties": {"a\x1b[2J" + "b" * 500: {"type": "string"}}}
    made = form(schema)
    [field] = made.members(made.root)
    assert isinstance(field, Field)
    assert "\x1b" not in field.title
    assert len(field.title) <= 60
