"""Drift: a live call that has no record, made while records of its name, or of what seems its old name, are left.

Owns: which policy applies, what is recorded about it, and the words that show the difference. What counts as drift is
`model.matching` and `runtime.calls`; a call comes here before it executes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kitaru.errors import Drift, KitaruError
from kitaru.model.ids import display_call
from kitaru.model.matching import changed_arguments
from kitaru.model.records import Note
from kitaru.runtime.decorators import checkpoint_named
from kitaru.runtime.difference import Difference, difference, shown

if TYPE_CHECKING:
    from kitaru.model.history import CallView
    from kitaru.runtime.engine import Engine
    from kitaru.runtime.live_call import Asked


def decide(engine: Engine, asked: Asked, nth: int) -> CallView | str | None:
    """Decide on an unmatched call: None where it is simply new, `"new"` to execute it, or a record to take.

    Args:
        nth: the how-manieth call of its name this is in this execution.

    Raises:
        RunStopped: the policy is `stop`.
    """
    checkpoint, plan = asked.checkpoint, engine.plan
    left = plan.claims.unclaimed(asked.identity[0], checkpoint.name)
    near = plan.nearest(left, nth) if left else plan.claims.renamed(asked.identity, checkpoint.code, _is_gone)
    if near is None:
        return None
    policy = engine.on_drift or checkpoint.on_drift or asked.on_drift or engine.flow_on_drift or "stop"
    label = display_call(checkpoint.name, nth)
    told = describe(engine, near, asked) if left else _renamed(near)
    noted: dict[str, Any] = {"call": label, "policy": policy, "difference": told.full, "near": near.label}
    if policy == "reuse":
        noted["order"] = near.order
    engine.commit(Note(engine.now(), "drift", noted))
    engine.emit("drift", call=label, policy=policy, text=told.short, difference=told.full)
    if policy == "reuse":
        plan.claimed(near, near.order)
        return plan.claims.take(near)
    if policy == "new":
        return "new"
    raise engine.stop(
        Drift(
            f"run {engine.run} drifted at {label}, which was not executed: {told.short}",
            hint="\n".join(_ways_on(engine.run)),
        )
    )


def _ways_on(run: str) -> list[str]:
    """Return what to do after a stop, one way a line, each ending in the command to type."""
    return [
        f"undo the change: kitaru resume {run}",
        f"execute the call: kitaru resume {run} --on-drift new",
        f"take the recorded result: kitaru resume {run} --on-drift reuse",
        f"execute the recorded code: kitaru resume {run} --as-recorded",
    ]


def _renamed(near: CallView) -> Difference:
    text = f"{near.label} is recorded with the same arguments, and the code has no checkpoint {near.name} any more"
    return _both(text)


def _is_gone(name: str) -> bool:
    return checkpoint_named(name) is None


def describe(engine: Engine, view: CallView, asked: Asked) -> Difference:
    """Return what differs between a recorded call's arguments and a live call's, in words."""
    parts = []
    for name, (was, now) in changed_arguments(view.record.args if view.record else {}, asked.args).items():
        if was is None:
            parts.append(_both(f"{name} is a new argument, {shown(asked.bound[name])}"))
        elif now is None:
            parts.append(_both(f"{name} is no longer an argument"))
        else:
            parts.append(_changed(engine, name, was, asked.bound[name]))
    parts = parts or [_both("its key changed")]
    after = f", compared with the recorded {view.label}"
    return Difference("; ".join(p.short for p in parts) + after, _joined([p.full for p in parts], after))


def _joined(parts: list[str], after: str) -> str:
    """Return parts on one line as one sentence, others one after the other."""
    if any("\n" in part for part in parts):
        return "\n".join([*parts, after.removeprefix(", ")])
    return "; ".join(parts) + after


def _both(text: str) -> Difference:
    return Difference(text, text)


def _changed(engine: Engine, name: str, was: str, now: object) -> Difference:
    try:
        recorded = engine.values.decoder(engine.plan.runs, opaque=True).decode(was)
    except KitaruError:
        return _both(f"{name} was {was[:12]}, is now {shown(now)}")
    return difference(name, recorded, now)
