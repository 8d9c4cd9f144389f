"""The pictures of the documentation come from the inbox as it is now."""

import asyncio
import importlib.util
import sys
from pathlib import Path

import pytest

IMAGES = Path(__file__).parents[2] / "docs" / "images"


@pytest.fixture
def generate():
    spec = importlib.util.spec_from_file_location("pictures", IMAGES / "generate.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["pictures"] = module
    spec.loader.exec_module(module)
    yield module
    sys.modules.pop("pictures")


def words(svg):
    """Return the texts of a picture; its colours and places are textual's."""
    import re
    from html import unescape

    return [unescape(text) for text in re.findall(r"<text[^>]*>([^<]*)</text>", svg)]


def test_the_pictures_are_those_of_today(generate):
    project = generate.example()
    for name, keys in generate.PICTURES.items():
        drawn = asyncio.run(generate.picture(project, keys))
        kept = (IMAGES / f"{name}.svg").read_text("utf-8")
        assert words(drawn) == words(kept) != [], f"run docs/images/generate.py: {name} is out of date"
        assert len(kept) < 50_000
