"""Which models a name stands for."""

from __future__ import annotations

import pytest

from kitaru.errors import BadConfig, UnknownModel
from kitaru.llm.settings import nano_usd, price, targets
from kitaru.model.spending import ModelCall, Spent, dollars, spent

MODELS = {
    "fast": {"model": "openai/small", "secret": "openai", "set": {"temperature": 0}},
    "sure": {"model": ["anthropic/big", "fast"], "secret": "anthropic"},
}


def models(asked, default="", **settings):
    return [(t.model, t.secret) for t in targets(asked, {"models": MODELS, **settings}, default)]


@pytest.mark.parametrize(
    ("asked", "default", "settings", "found"),
    [
        ("fast", "", {}, [("openai/small", "openai")]),
        ("x/y", "", {}, [("x/y", "")]),
        ("sure", "", {}, [("anthropic/big", "anthropic"), ("openai/small", "openai")]),
        (None, "", {"default-model": "fast"}, [("openai/small", "openai")]),
        (None, "x/y", {"default-model": "fast"}, [("x/y", "")]),
        ("fast", "", {"replaced": {"fast": "anthropic/other"}}, [("anthropic/other", "anthropic")]),
        ("fast", "", {"replaced": {"fast": "openai/other"}}, [("openai/other", "openai")]),
        ("x/y", "", {"replaced": {"x/y": "fast"}}, [("openai/small", "openai")]),
        ("x/y", "", {"replaced": ["nonsense"]}, [("x/y", "")]),
    ],
)
def test_names_stand_for_models_with_their_secrets(asked, default, settings, found):
    assert models(asked, default, **settings) == found


@pytest.mark.parametrize(("asked", "error"), [("slow", UnknownModel), (None, UnknownModel), ("round", BadConfig)])
def test_what_stands_for_nothing_is_an_error(asked, error):
    with pytest.raises(error):
        models(asked, models={**MODELS, "round": {"model": ["round"]}})


@pytest.mark.parametrize(
    "table", [{}, {"model": []}, {"model": "a/b", "key": "sk"}, {"model": "a/b", "set": 1}, {"model": [1]}]
)
def test_a_table_that_cannot_be_is_refused(table):
    with pytest.raises(BadConfig):
        models("bad", models={"bad": table})


def test_prices_of_the_settings():
    settings = {"prices": {"a/b": {"input": 1, "output": 2, "cached": 0.5}, "c/d": {"input": "x"}, "e/f": {"input": 1}}}
    found = price("a/b", settings)
    assert found is not None
    assert nano_usd(found, ModelCall(prompt=1000, completion=10, cached=400)) == 600_000 + 200_000 + 20_000
    assert nano_usd(found, ModelCall()) is None
    assert price("x/y", settings) is None
    for model in ("c/d", "e/f"):
        with pytest.raises(BadConfig):
            price(model, settings)


@pytest.mark.parametrize(
    ("calls", "shown"),
    [
        ([], ""),
        ([None], "cost unknown"),
        ([1_500_000_000, None], "$1.50 + 1 unknown"),
        ([12_345_678], "$0.0123"),
        ([5_000], "$5e-06"),
        ([0], "$0.00"),
    ],
)
def test_an_unknown_cost_is_never_shown_as_nothing(calls, shown):
    assert dollars(spent(ModelCall(nano_usd=cost) for cost in calls)) == shown
    assert Spent().to_json()["cost_usd"] == 0


def test_a_record_of_another_shape_is_damage():
    from kitaru.errors import Damaged

    assert ModelCall.from_json({"model": "m", "later": 1}).model == "m"
    for field in ({"prompt": -1}, {"prompt": True}, {"model": 1}, {"tried": "x"}):
        with pytest.raises(Damaged):
            ModelCall.from_json(field)
