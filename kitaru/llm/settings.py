"""Which model a name stands for: aliases, the default, fallbacks, and what a replay puts in their place.

Owns: the meaning of the tables `models` and `prices` of `config.toml`. Pure: the tables are handed to it as plain JSON,
and a secret is only a name here.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from kitaru.errors import BadConfig, UnknownModel

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kitaru.model.spending import ModelCall

DEFAULT_VARIABLE = "KITARU_DEFAULT_MODEL"

MAX_FALLBACKS = 16

_script: list[str] = []


def any_model(*replaced: str) -> str:
    """Return the model that every name stands for, or empty; with an argument, put another one in its place.

    It is set while a test's script replies.
    """
    if replaced:
        _script[:] = filter(None, replaced)
    return _script[0] if _script else ""


ALIAS_KEYS = ("model", "secret", "api-base", "set")
PRICE_KEYS = ("input", "output", "cached")


@dataclass(frozen=True, slots=True)
class Target:
    """One model that can be asked.

    Attributes:
        model: `provider/model`, as litellm takes it.
        alias: the alias it was found by, or empty.
        secret: name of its secret, or empty.
        api_base: URL of the provider, or empty for its own.
        options: defaults of its requests, such as a temperature.
    """

    model: str
    alias: str = ""
    secret: str = ""
    api_base: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def provider(self) -> str:
        """The part before the slash."""
        return self.model.partition("/")[0]


def is_model(text: str) -> bool:
    """Tell whether a text is written like a model, not like an alias."""
    provider, slash, name = text.partition("/")
    return bool(provider and slash and name)


def check_alias(name: str, table: Mapping[str, Any]) -> None:
    """Raise BadConfig where an alias in `config.toml` is not as it must be."""
    unknown = [key for key in table if key not in ALIAS_KEYS]
    if unknown:
        raise BadConfig(f"model {name} has {unknown[0]!r}", hint=f"it may have {', '.join(ALIAS_KEYS)}")
    models = _models(table)
    if not models or not all(isinstance(model, str) and model for model in models):
        raise BadConfig(f"model {name} says no model", hint=f"kitaru model add {name} PROVIDER/MODEL")
    for key, kind in (("secret", str), ("api-base", str), ("set", dict)):
        if key in table and not isinstance(table[key], kind):
            raise BadConfig(f"{key} of model {name} is {table[key]!r}", hint=f"kitaru model show {name}")


def _models(table: Mapping[str, Any]) -> list[Any]:
    said = table.get("model")
    return [said] if isinstance(said, str) else list(said) if isinstance(said, list) else []


def targets(asked: str | None, settings: Mapping[str, Any], default: str = "") -> list[Target]:
    """Return the models to ask, in order: the first is wanted, the others are its fallbacks.

    Args:
        asked: an alias or a model; None for the default.
        settings: the tables `models` and `replaced` (what a replay asks instead), and `default-model`.
        default: what the environment says is the default; it goes before that of the settings.

    Raises:
        UnknownModel: no such alias, or none named and no default.
        BadConfig: the alias is not as it must be.
    """
    name = asked or default or str(settings.get("default-model") or "")
    if scripted := any_model():
        return [Target(scripted, name)]
    if not name:
        raise UnknownModel(
            "no model is named, and the project has no default",
            hint="kitaru model add fast openai/gpt-5-nano --secret openai --default",
        )
    found = _expand(name, settings, ())
    replaced = settings.get("replaced")  # out of a record
    instead = replaced.get(name) if isinstance(replaced, dict) else None
    return _replaced(found, instead, settings) if isinstance(instead, str) else found


def _expand(name: str, settings: Mapping[str, Any], through: tuple[str, ...]) -> list[Target]:
    table = settings.get("models", {}).get(name)
    if table is None:
        if is_model(name):
            return [Target(name)]
        known = ", ".join(sorted(settings.get("models", {}))) or "none yet"
        raise UnknownModel(
            f"there is no model {name!r}; there are: {known}", hint=f"kitaru model add {name} PROVIDER/MODEL"
        )
    if name in through or len(through) > MAX_FALLBACKS:
        raise BadConfig(f"model {name} falls back to itself", hint=f"kitaru model show {name}")
    check_alias(name, table)
    found: list[Target] = []
    for model in _models(table):
        if model in settings["models"]:
            found += _expand(model, settings, (*through, name))
        else:
            found.append(
                Target(model, name, table.get("secret", ""), table.get("api-base", ""), dict(table.get("set", {})))
            )
    return found[:MAX_FALLBACKS]


def _replaced(found: list[Target], instead: str, settings: Mapping[str, Any]) -> list[Target]:
    """Return what is asked instead; a plain model takes the secret that its provider has here."""
    if instead in settings.get("models", {}):
        return _expand(instead, settings, ())
    (made,) = _expand(instead, settings, ())
    known = found + [t for name in settings.get("models", {}) for t in _expand(name, settings, ())]
    like = next((target for target in known if target.provider == made.provider), made)
    return [replace(made, alias=found[0].alias, secret=like.secret, api_base=like.api_base, options=found[0].options)]


def price(model: str, settings: Mapping[str, Any]) -> dict[str, float] | None:
    """Return what `config.toml` says of a model's price, in dollars per million tokens, or None.

    Raises:
        BadConfig: it is not as it must be.
    """
    table = settings.get("prices", {}).get(model)
    if table is None:
        return None
    hint = f'[prices."{model}"] has input and output, and may have cached, in dollars per million tokens'
    for key, value in table.items():
        if key not in PRICE_KEYS or isinstance(value, bool) or not isinstance(value, (int, float)) or value < 0:
            raise BadConfig(f"the price of {model} has {key} = {value!r}", hint=hint)
    if not {"input", "output"} <= table.keys():
        raise BadConfig(f"the price of {model} is not complete", hint=hint)
    return {key: float(value) for key, value in table.items()}


def nano_usd(prices: Mapping[str, float], call: ModelCall) -> int | None:
    """Return what a question cost by a price of the settings; None where its tokens are not known."""
    if call.prompt is None or call.completion is None:
        return None
    cached = min(call.cached or 0, call.prompt)
    micro = (call.prompt - cached) * prices["input"] + cached * prices.get("cached", prices["input"])
    return round((micro + call.completion * prices["output"]) * 1000)
