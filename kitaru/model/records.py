"""Records: the immutable entries of a run's history.

Owns: which kinds of record there are, and their fields. Times are integer microseconds since 1970 UTC; ids are 64
lower-case hex digits. How a record is written is `model.canonical`; what a history of them means is `model.history`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple

SLEEP = "kitaru.sleep"
"""Name of a wait that asks nobody."""


@dataclass(slots=True, eq=False)
class Record:
    """What every record has: `at`, when it was written."""

    kind: ClassVar[str] = ""
    at: int


@dataclass(slots=True, eq=False)
class Start(Record):
    """The first record of a run.

    Attributes:
        flow: the flow's name.
        version: `{"n": 3, "id": object id}` of the flow version that began the run.
        inputs: parameter name to value id.
        source: for a branch `{"run", "head": last record of it that is shared, "cut": order of its first call or wait
            that is not shared, or null until it is decided, "from": the name given to `--from`}`.
        overrides: `{"set": {call: value id}, "args": {...}, "answers": {...}}`, as given to `replay`.
        origin: who and where: `{"user", "host", "pid"}`.
        tags: free names to find a run by.
        on_drift: policy given for the whole run, or empty.
        code: `working-tree` or `recorded`.
        key: what a caller gave so that the run is started once, or empty.
        limits: `{"max_calls": n, "max_us": microseconds}`, those that were given for this run.
        invoked: for a run of recorded code, started by naming it: `{"target": as typed, "version": {"id", "n"}, "why"}`
            and, as they apply, `route`, `entry` (of its log), `moved`, `weights`, `point`, `key`, `invocation`,
            `schedule`, `tick`, `env`, `differs`.
    """

    kind: ClassVar[str] = "start"
    flow: str
    version: dict[str, Any]
    inputs: dict[str, str]
    source: dict[str, Any] | None = None
    overrides: dict[str, Any] = field(default_factory=dict)
    origin: dict[str, Any] = field(default_factory=dict)
    tags: list[str] = field(default_factory=list)
    on_drift: str = ""
    code: str = ""
    key: str = ""
    limits: dict[str, Any] = field(default_factory=dict)
    invoked: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True, eq=False)
class Begun(Record):
    """A call has been in flight for a while; written without a sync, so that `kitaru log` shows it.

    `order`, `after`, `occurrence` are what the call's own record will have.
    """

    kind: ClassVar[str] = "begun"
    name: str
    order: int
    began: int
    scope: str = ""
    occurrence: int = 1
    after: int | None = None


@dataclass(slots=True, eq=False)
class Call(Record):
    """A finished call.

    Attributes:
        order: number of the call, from 1, shared with waits; a call that runs again keeps it.
        after: for a call that changed code made between recorded ones: the order of the one before it, or 0. Calls
            without it stand at the end of the call order as it was when they were made.
        occurrence: the k-th call of this name, from 1; it is never given anew either.
        key: id of an explicit `key=`, or empty where the arguments are the key.
        args: argument name to value id, less what `ignore=` names.
        output: value id, or None where the call raised.
        error: `{"type", "message", "traceback": text, "value": value id, absent where it cannot be stored}`.
        began: when the call was made; `at` is when it ended.
        code: fingerprint of the checkpoint's function as it was compiled, 16 hex digits.
        how: `ran`, or `pinned` for an output given by `--set`, or `reused` where another run's record was taken.
        reused: `{"run", "record", "call"}` where `how` is `reused`: the call's label there.
        saved: artifact name to value id, by `kitaru.save()`.
        logs: value id of the captured output, a list of `(microseconds since began, stream, text)`.
        metadata: value id of a dict, by `kitaru.log(...)`, or None.
        mutated: names of arguments that the checkpoint changed in place.
        drift: policy that let a drifted call go on, or empty.
        delay: for a failed attempt that is made again, the microseconds until then; None where this was the last.
        overran: microseconds that it took beyond its timeout, where nothing could stop it.
        repeat: how many calls of the same identity were made before it.
        cache: the key under which other calls may take this result, 64 hex digits; empty where none may.
        llm: the requests to language models that were made in it, as `model.spending.ModelCall` has them.
    """

    kind: ClassVar[str] = "call"
    name: str
    order: int
    began: int
    scope: str = ""
    occurrence: int = 1
    key: str = ""
    args: dict[str, str] = field(default_factory=dict)
    output: str | None = None
    error: dict[str, Any] | None = None
    code: str = ""
    how: str = "ran"
    reused: dict[str, Any] | None = None
    saved: dict[str, str] = field(default_factory=dict)
    logs: str | None = None
    metadata: str | None = None
    mutated: list[str] = field(default_factory=list)
    drift: str = ""
    after: int | None = None
    delay: int | None = None
    overran: int = 0
    repeat: int = 0
    cache: str = ""
    llm: list[dict[str, Any]] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class Wait(Record):
    """A question the run stopped at.

    Attributes:
        question: text, markdown.
        schema: JSON schema of the answer.
        shown: artifact label to value id, what a reviewer should see.
        order, after, occurrence: as of a call.
        digest: binds an answer to this question: SHA-256 of name, scope, question, schema, shown, its occurrence
            among equal ones, and how many answers to it were refused.
        metadata: value id of a dict, or None.
        deadline: when time itself settles it, microseconds since 1970 UTC. A wait named `kitaru.sleep` asks nobody:
            its deadline is all that it waits for.
        default: value id of the answer that it has once its deadline has passed; None where it expires then.
    """

    kind: ClassVar[str] = "wait"
    name: str
    order: int
    digest: str
    question: str = ""
    scope: str = ""
    occurrence: int = 1
    schema: dict[str, Any] = field(default_factory=dict)
    shown: dict[str, str] = field(default_factory=dict)
    metadata: str | None = None
    after: int | None = None
    deadline: int | None = None
    default: str | None = None


@dataclass(slots=True, eq=False)
class Answer(Record):
    """The reply to a wait, as the run consumed it.

    Attributes:
        wait: id of the wait record.
        value: value id.
        by: who.
        answered: when the answer was given; `at` is when the run took it.
        source: `person`, `ahead` for `replay --answer`, `time` for a sleep that is over; `default` or `expired` for a
            question whose deadline passed, `rejected` for one that ended its run. The value of the last two is None.
        note: free text.
    """

    kind: ClassVar[str] = "answer"
    wait: str
    value: str
    by: str = ""
    answered: int = 0
    source: str = "person"
    note: str = ""


@dataclass(slots=True, eq=False)
class Note(Record):
    """Something worth telling that changes no state.

    `about` is `branched` (data: `cut`), `drift` (`call`, `policy`, `difference`, `near`: label of the
    record it was compared with, and for `reuse` its `order`), `stale` (`order`, `args`),
    `stopped` (what was taken up again stopped in an orderly way before it recorded anything),
    `unclaimed` (`calls`: labels of records the code no longer asks for), `unasked` (`orders` of open waits it no longer
    asks), `unmade` (`calls`: name, scope and occurrences of places that were kept for calls which then were not made),
    `refused` (`digest` of a wait whose answer the code's own type refused; `by`, `why`) or `metadata` (`value`:
    id of a dict given to `kitaru.log` in the flow's body).
    """

    kind: ClassVar[str] = "note"
    about: str
    data: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True, eq=False)
class Resumed(Record):
    """The run was taken up again, by whom, where, and with which version of the code.

    `on_drift` is the policy given for this time only, `code` as of a start; `limits` given now hold from now on.
    """

    kind: ClassVar[str] = "resumed"
    version: dict[str, Any]
    origin: dict[str, Any] = field(default_factory=dict)
    on_drift: str = ""
    code: str = ""
    limits: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True, eq=False)
class End(Record):
    """The run is over: `status` is `completed`, `failed` or `cancelled`.

    `failed` lists the ids of the failed calls' records whose error ended the run: a resume executes these again.
    `cancelled` is the request that ended it: `{"by", "at", "reason"}`.
    """

    kind: ClassVar[str] = "end"
    status: str
    output: str | None = None
    error: dict[str, Any] | None = None
    failed: list[str] = field(default_factory=list)
    cancelled: dict[str, Any] | None = None


KINDS: dict[str, type[Record]] = {c.kind: c for c in (Start, Begun, Call, Wait, Answer, Note, Resumed, End)}


class Stored(NamedTuple):
    """A record with its id and its parent's (both hex; a run's first record has no parent)."""

    record: Record
    id: str
    parent: str | None
