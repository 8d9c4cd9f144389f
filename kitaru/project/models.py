"""Models, secrets and what they cost: the verbs about them.

Owns: changing and showing the tables of `config.toml` that `kitaru.llm` reads, and adding up what runs spent. A
secret's value is never returned, only whether it is there.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from kitaru.config import STORE, is_name, load, put
from kitaru.errors import BadConfig, Damaged, KitaruError, UnknownModel, UnknownRun
from kitaru.model.spending import ModelCall, Spent, model_calls
from kitaru.project.reading import Reading

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from kitaru.llm.replies import Reply
    from kitaru.model.history import CallView, RunState


@dataclass(frozen=True, slots=True)
class SecretStatus:
    """A secret as it may be shown: where it is, and whether it is there; `why` says why not."""

    name: str
    source: str
    found: bool
    why: str = ""


@dataclass(slots=True)
class Cost:
    """One line of `kitaru cost`.

    Attributes:
        key: the model, flow, run or checkpoint.
        paid: what was asked for it.
        saved: what would have been asked, had recorded results not been taken.
    """

    key: str
    paid: Spent = field(default_factory=Spent)
    saved: Spent = field(default_factory=Spent)


class Models(Reading):
    """A project as it is asked about models, secrets and cost."""

    @property
    def _config_file(self) -> Path:
        return self.root / STORE / "config.toml"

    # -- models ----------------------------------------------------------------------------------------------------

    def models(self) -> dict[str, dict[str, Any]]:
        """Return the aliases of `config.toml`, by name."""
        return {name: dict(table) for name, table in self.config.tables.get("models", {}).items()}

    def model(self, name: str) -> dict[str, Any]:
        """Return one alias; raises UnknownModel."""
        found = self.models()
        if name not in found:
            known = ", ".join(sorted(found)) or "none yet"
            raise UnknownModel(
                f"there is no model {name!r}; there are: {known}", hint=f"kitaru model add {name} PROVIDER/MODEL"
            )
        return found[name]

    def add_model(
        self,
        name: str,
        models: Sequence[str],
        *,
        secret: str = "",
        api_base: str = "",
        options: Mapping[str, Any] | None = None,
        default: bool = False,
    ) -> None:
        """Write an alias, over one of that name.

        Args:
            models: `provider/model`, or other aliases; what follows the first are its fallbacks.
            secret: name of a secret.
            options: for each request, such as a temperature.
            default: make it the project's default.

        Raises:
            BadConfig: the name or a model cannot be, or the secret is not there.
        """
        from kitaru.config import assign
        from kitaru.llm.settings import check_alias, is_model

        _check_name(name)
        unknown = [model for model in models if not is_model(model) and (model not in self.models() or model == name)]
        if unknown:
            raise BadConfig(f"{unknown[0]!r} is no model", hint=f"kitaru model add {name} openai/gpt-5-nano")
        if secret and secret not in self.config.tables.get("secrets", {}):
            raise BadConfig(f"there is no secret {secret!r}", hint=f"kitaru secret add {secret} env:VARIABLE")
        table: dict[str, Any] = {"model": models[0] if len(models) == 1 else list(models)}
        table |= {key: value for key, value in (("secret", secret), ("api-base", api_base)) if value}
        if options:
            table["set"] = dict(options)
        check_alias(name, table)
        put(self._config_file, "models", name, table)
        if default:
            assign(self._config_file, "default-model", name)
        self.config = load(self._config_file)

    def remove_model(self, name: str) -> None:
        """Remove an alias; raises UnknownModel."""
        self.model(name)
        put(self._config_file, "models", name, None)
        self.config = load(self._config_file)

    def test_model(self, name: str | None) -> Reply:
        """Ask a model, or the default, for one word, outside of any run; raises as `kitaru.llm`."""
        from kitaru.llm.asked import ask_settings

        return ask_settings(self.config.settings, "Reply with the word: ready", model=name)

    # -- secrets ---------------------------------------------------------------------------------------------------

    def add_secret(self, name: str, source: str) -> None:
        """Write where a secret is; raises UnknownSecret, BadConfig where that cannot be read."""
        from kitaru.llm.secrets import split

        _check_name(name)
        split(name, source)
        put(self._config_file, "secrets", name, source)
        self.config = load(self._config_file)

    def remove_secret(self, name: str) -> None:
        """Forget where a secret is."""
        put(self._config_file, "secrets", name, None)
        self.config = load(self._config_file)

    def secrets(self) -> dict[str, str]:
        """Return where each secret is, by name."""
        return dict(self.config.tables.get("secrets", {}))  # texts, as `load` checks

    def check_secret(self, name: str) -> SecretStatus:
        """Read a secret, and tell whether it is there; a command is run, and a keyring asked, for that."""
        from kitaru.llm.secrets import value_of

        try:
            value_of(name, self.config.settings)
        except KitaruError as error:
            return SecretStatus(name, self.secrets().get(name, ""), found=False, why=error.message)
        return SecretStatus(name, self.secrets().get(name, ""), found=True)

    # -- cost ------------------------------------------------------------------------------------------------------

    def cost(self, by: str, *, flow: str | None = None, since_us: int | None = None) -> list[Cost]:
        """Return what runs spent on models, the most expensive first.

        Args:
            by: `model`, `flow`, `run` or `checkpoint`.
            flow: only runs of this flow.
            since_us: only runs started at or after this, microseconds since 1970 UTC.
        """
        found: dict[str, Cost] = {}
        for summary in self.log(flow=flow, since_us=since_us):
            try:
                state = self.state(summary.run)
            except Damaged as error:
                self.damaged[summary.run] = error
                continue
            for view, call, is_saved in self.spending(state):
                key = _key(by, state, view, call)
                line = found.setdefault(key, Cost(key))
                (line.saved if is_saved else line.paid).add(call)
        return sorted(found.values(), key=lambda line: (-line.paid.nano_usd, -line.paid.calls, line.key))

    def spending(self, state: RunState) -> Iterator[tuple[CallView, ModelCall, bool]]:
        """Yield each question to a model in a run, with its call, and whether a recorded result saved it.

        Every attempt counts: a failed one was paid for, too.
        """
        for view in state.calls.values():
            shared = view.run != state.run
            for stored in view.attempts:
                for call in model_calls(stored.record):  # type: ignore[arg-type]  # attempts are calls
                    yield view, call, shared
            record = view.record
            if record is not None and record.reused:
                yield from ((view, call, True) for call in self._of_source(record.reused))

    def spent(self, state: RunState) -> Cost:
        """Return what a run spent, in all."""
        line = Cost(state.run)
        for _, call, is_saved in self.spending(state):
            (line.saved if is_saved else line.paid).add(call)
        return line

    def _of_source(self, reused: Mapping[str, Any]) -> list[ModelCall]:
        """Return the questions of the call that a cached result came from; none where that run is gone."""
        try:
            records = self.repo.records(str(reused.get("run", "")))
        except (UnknownRun, Damaged):
            return []
        found = next((stored.record for stored in records if stored.id == reused.get("record")), None)
        return model_calls(found) if found is not None and found.kind == "call" else []  # type: ignore[arg-type]  # by its kind


def _key(by: str, state: RunState, view: CallView, call: ModelCall) -> str:
    keys = {"model": call.model or call.asked, "flow": state.start.flow, "run": state.run}
    return keys.get(by) or f"{state.start.flow}:{view.name}"


def _check_name(name: str) -> None:
    if not is_name(name):
        raise BadConfig(f"{name!r} is no name for a model or a secret", hint="use letters, digits, - and _")


def total(lines: Sequence[Cost]) -> Cost:
    """Return the sum of some lines."""
    found = Cost("in all")
    for line in lines:
        found.paid.take(line.paid)
        found.saved.take(line.saved)
    return found
