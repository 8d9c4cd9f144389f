"""What `@flow` and `@checkpoint` accept, refuse and remember; methods, closures, ignored and explicit keys."""

from __future__ import annotations

import functools
import inspect
import threading
from dataclasses import dataclass

import pytest

from kitaru import checkpoint, flow
from kitaru.errors import BadInput, CalledDirectly, Drift, NotCheckpointable
from kitaru.runtime.decorators import checkpoint_named, find_live_flow


@dataclass
class Counter:
    start: int

    @checkpoint
    def add(self, n):
        return self.start + n

    @checkpoint
    def bump(self, n):
        self.start += n
        return self.start


class Agent:
    """A plain class with something that cannot be stored."""

    def __init__(self, model):
        self.model = model
        self.client = threading.Lock()

    @checkpoint
    def ask(self, question):
        return f"{self.model}: {question}"


class Slotted:
    __slots__ = ("__secret", "client", "model")

    def __init__(self, model, secret=0):
        self.model, self.client, self.__secret = model, threading.Lock(), secret

    @checkpoint
    def ask(self, question):
        return f"{self.model}: {question}"


class Tools:
    @classmethod
    @checkpoint
    def on_class(cls, n):
        return (cls.__name__, n)

    @staticmethod
    @checkpoint
    def on_nothing(n):
        return n


def crash_after(make_body):
    """Return a maker of two codes: one that crashes after the body's calls, and one that does not."""

    def make(*args, crash):
        @checkpoint
        def last():
            if crash:
                raise KeyboardInterrupt

        @flow
        def body():
            found = make_body(*args)
            last()
            return found

        return body

    return make


# -- refused -------------------------------------------------------------------------------------------


def generator():
    yield 1


async def coroutine():
    return 1


async def async_generator():
    yield 1


@pytest.mark.parametrize("decorate", [checkpoint, flow])
@pytest.mark.parametrize(
    ("fn", "said"),
    [
        (generator, "generator"),
        (async_generator, "generator"),
        (Agent, "not type"),
        (functools.partial(len), "not partial"),
        (len, "not builtin"),
        (5, "not int"),
        (classmethod(len), "not classmethod"),
    ],
    ids=str,
)
def test_what_cannot_be_decorated(decorate, fn, said):
    with pytest.raises(NotCheckpointable, match=said) as caught:
        decorate(fn)
    assert caught.value.hint


def test_one_decorator_is_enough():
    @checkpoint
    def step():
        return 1

    @flow
    def body():
        return 1

    for decorate in (checkpoint, flow):
        for made in (step, body):
            with pytest.raises(NotCheckpointable, match="decorated already"):
                decorate(made)


def test_flow_inputs_have_names():
    with pytest.raises(NotCheckpointable, match=r"\*args"):

        @flow
        def variadic(*args):
            return args

    with pytest.raises(NotCheckpointable, match="by position"):

        @flow
        def positional(a, /):
            return a


@pytest.mark.parametrize("name", ["a b", "a:b", "a#1", "@", "a/b"])
def test_names_that_cannot_be_typed(name):
    with pytest.raises(NotCheckpointable, match="no name"):
        checkpoint(name=name)(crash_after)
    with pytest.raises(NotCheckpointable, match="lambda"):
        checkpoint(lambda: 1)


def test_ignoring_what_is_no_parameter():
    with pytest.raises(NotCheckpointable, match="ignores clinet") as caught:

        @checkpoint(ignore=["clinet"])
        def ask(client, question):
            return question

    assert "client, question" in caught.value.hint


# -- remembered ------------------------------------------------------------------------------------------


def test_a_decorated_function_looks_like_the_function():
    @checkpoint
    def ask(question: str, limit: int = 3) -> str:
        """Ask."""
        return question * limit

    assert (ask.__name__, ask.__doc__, ask.__module__) == ("ask", "Ask.", __name__)
    assert str(inspect.signature(ask)) == "(question: 'str', limit: 'int' = 3) -> 'str'"
    assert ask("x") == "xxx"
    assert repr(ask) == "<checkpoint ask>"
    assert checkpoint_named("ask") is ask


def test_attributes_of_the_function_do_not_become_those_of_the_checkpoint():
    def ask(question):
        return question

    ask.name, ask.key, ask.fn = "odd", "odd", "odd"
    made = checkpoint(ask)
    assert (made.name, made.key, made.fn) == ("ask", None, ask)
    assert flow(ask).name == "ask"


def test_a_flow_is_started_by_run_and_called_by_nobody():
    @flow(name="renamed", tags=["a"])
    def body(question):
        return question

    assert find_live_flow(__name__, body.fn.__qualname__) is body
    assert repr(body) == "<flow renamed>"
    with pytest.raises(CalledDirectly) as caught:
        body("x")
    assert "renamed.run(...)" in caught.value.hint
    assert body.fn("x") == "x"


def test_tags(bench):
    @flow(tags=["of flow"])
    def body():
        return 1

    handle = bench.project.run(body, {}, tags=["of run", "of flow"], foreground=True)
    assert bench.project.state(handle.exec_id).start.tags == ["of flow", "of run"]
    other = body.with_options(tags=["other"], on_drift="new")
    assert bench.run(other).state.start.tags == ["other"]
    assert (body.options.tags, other.options.on_drift) == (("of flow",), "new")
    assert [s.run for s in bench.project.log(tags=["of run"])] == [handle.exec_id]


def test_flow_inputs_by_position_and_by_name():
    @flow
    def body(a, b=2, *, c=3):
        return (a, b, c)

    assert body._inputs((1,), {"c": 5}) == {"a": 1, "c": 5}
    assert body._inputs((1, 7), {}) == {"a": 1, "b": 7}
    for args, kwargs, said in [((1, 2, 3), {}, "3 values for 2"), ((1,), {"a": 2}, "two values for a")]:
        with pytest.raises(BadInput, match=said) as caught:
            body.run(*args, **kwargs)
        assert "body(a, b=2, *, c=3)" in caught.value.hint


def test_outside_of_a_run_a_checkpoint_is_the_function():
    assert Counter(1).add(2) == 3
    assert Agent("m").ask("q") == "m: q"
    assert Tools.on_class(1) == ("Tools", 1)


# -- methods ----------------------------------------------------------------------------------------------


def test_the_instance_is_part_of_the_identity(bench):
    make = crash_after(lambda a, b: [Counter(a).add(1), Counter(b).add(1)])
    run = bench.run(make(1, 2, crash=True)).run
    assert bench.resume(run, make(1, 2, crash=False)).value == [2, 3]
    run = bench.run(make(1, 2, crash=True)).run
    ended = bench.resume(run, make(1, 5, crash=False))
    assert isinstance(ended.error, Drift)
    assert "self was Counter(start=2), is now Counter(start=5)" in ended.error.message


@pytest.mark.parametrize("cls", [Agent, Slotted])
def test_an_instance_that_cannot_be_stored_counts_by_what_of_it_can(bench, cls):
    make = crash_after(lambda model: cls(model).ask("why"))
    run = bench.run(make("small", crash=True)).run
    ended = bench.resume(run, make("small", crash=False))
    assert ended.value == "small: why"
    assert ended.calls[0] == "ask recorded"
    run = bench.run(make("small", crash=True)).run
    assert isinstance(bench.resume(run, make("large", crash=False)).error, Drift)


def test_private_slots_count_too(bench):
    make = crash_after(lambda secret: Slotted("m", secret).ask("why"))
    run = bench.run(make(1, crash=True)).run
    assert isinstance(bench.resume(run, make(2, crash=False)).error, Drift)


def test_a_method_that_changes_its_instance_is_told(bench):
    def both():
        counter = Counter(1)
        return [counter.bump(1), counter.bump(1)]

    ended = bench.run(crash_after(both)(crash=False))
    assert [c.record.mutated for c in ended.state.ordered_calls] == [["self"], ["self"], []]


def test_class_and_static_methods(bench):
    make = crash_after(lambda: [Tools.on_class(1), Tools().on_class(2), Tools.on_nothing(3), Tools().on_nothing(4)])
    run = bench.run(make(crash=True)).run
    ended = bench.resume(run, make(crash=False))
    assert ended.value == [("Tools", 1), ("Tools", 2), 3, 4]
    assert all(how.endswith("recorded") for how in ended.calls[:-1])


def test_adding_a_method_to_a_class_is_no_drift_of_its_class_methods(bench, monkeypatch):
    make = crash_after(lambda: Tools.on_class(1))
    run = bench.run(make(crash=True)).run
    monkeypatch.setattr(Tools, "version", 2, raising=False)
    assert bench.resume(run, make(crash=False)).value == ("Tools", 1)


def test_closures(bench):
    def build():
        def step(factor):
            @checkpoint(name=f"times-{factor}")
            def multiply(n):
                return n * factor

            return multiply

        return [step(f)(10) for f in (2, 3)]

    make = crash_after(build)
    first = bench.run(make(crash=True))
    ended = bench.resume(first.run, make(crash=False))
    assert ended.value == [20, 30]
    assert ended.calls[:2] == ["times-2 recorded", "times-3 recorded"]


def test_variable_arguments(bench):
    def build():
        @checkpoint
        def gather(*args, sep="-", **kwargs):
            return sep.join(map(str, [*args, *kwargs.items()]))

        return [gather(1, 2, x=3), gather(1, (2,), x=3), gather()]

    make = crash_after(build)
    run = bench.run(make(crash=True)).run
    ended = bench.resume(run, make(crash=False))
    assert ended.value == ["1-2-('x', 3)", "1-(2,)-('x', 3)", ""]
    assert all(how.endswith("recorded") for how in ended.calls[:3])


def test_how_an_argument_is_passed_does_not_matter(bench):
    def build(style):
        @checkpoint
        def ask(a, b=2):
            return a + b

        return {"position": lambda: ask(1, 2), "name": lambda: ask(b=2, a=1), "default": lambda: ask(1)}[style]()

    make = crash_after(build)
    run = bench.run(make("position", crash=True)).run
    for style in ("name", "default"):
        ended = bench.resume(run, make(style, crash=True))
        assert ended.calls == ["ask recorded"]


def test_a_wrong_call_fails_as_python_would(bench):
    @checkpoint
    def ask(a):
        return a

    @flow
    def body():
        return ask()

    ended = bench.run(body)
    assert isinstance(ended.error.__cause__, TypeError)
    assert "missing a required argument: 'a'" in str(ended.error)
    assert ended.state.calls == {}


# -- ignore and key -----------------------------------------------------------------------------------------


def test_ignored_arguments_are_not_stored_and_not_compared(bench):
    def build(token):
        @checkpoint(ignore=["client", "token"])
        def ask(question, client=None, token=""):
            assert client is not None
            return question

        return ask("why", threading.Lock(), token=token)

    make = crash_after(build)
    run = bench.run(make("secret", crash=True)).run
    ended = bench.resume(run, make("other", crash=False))
    assert ended.value == "why"
    assert ended.state.calls[1].record.args.keys() == {"question"}
    assert not any(b"secret" in bytes(b) for b in bench.project.repo.blobs._content.values())


def test_an_explicit_key_is_the_identity(bench):
    def build(orders):
        @checkpoint(key=lambda order, at: order["id"])
        def charge(order, at):
            return order["id"]

        return [charge(o, at) for at, o in enumerate(orders)]

    make = crash_after(build)
    run = bench.run(make([{"id": 1, "x": 1}, {"id": 2, "x": 1}], crash=True)).run
    ended = bench.resume(run, make([{"id": 2, "x": 9}, {"id": 1, "x": 9}], crash=False))
    assert ended.value == [2, 1]
    assert ended.calls[:2] == ["charge#2 recorded", "charge recorded"]
    run = bench.run(make([{"id": 1}], crash=True)).run
    ended = bench.resume(run, make([{"id": 7}], crash=False))
    assert isinstance(ended.error, Drift)


def test_where_a_flow_may_not_be_started(scripts):
    scripts.write(
        "flows.py",
        """
        from kitaru import flow

        @flow
        def body() -> int:
            return 1

        handle = body.run()
        """,
    )
    said = scripts.do("project.run('flows.py:body', {}, foreground=True)", code=1)
    assert "while its file is being imported" in said
    assert scripts.project.repo.run_ids() == []


def test_the_fingerprint_of_code(bench):
    def make(n):
        if n == 1:

            @checkpoint
            def step():
                return 1
        else:

            @checkpoint
            def step():
                return 2

        return step.code

    assert make(1) != make(2)
    assert make(1) == make(1)
    assert len(make(1)) == 16


STEP = """
from kitaru import checkpoint

@checkpoint
def {name}(n, times={times}):
    {comment}
    return n * times + {more}
"""


def test_the_fingerprint_of_code_is_of_what_was_compiled(scripts):
    """The file may be edited while the run executes: what is recorded is the code that ran."""

    def code(edited=False, **given):
        file = scripts.write("steps.py", STEP.format(**{"name": "step", "times": 2, "comment": "", "more": 1, **given}))
        names = {"__name__": "steps"}
        exec(compile(file.read_text(), file, "exec"), names)
        if edited:
            scripts.write("steps.py", STEP.format(name="step", times=2, comment="", more=7))
        return names[given.get("name", "step")].code

    assert code() == code(edited=True) == code(comment="# said") == code(name="other")
    assert len({code(), code(more=7), code(times=3)}) == 3


def test_a_thread_beside_the_run_is_warned_of(bench):
    """A pool that the body starts does not carry the run's context, and nothing of it would be recorded."""
    from concurrent.futures import ThreadPoolExecutor

    @checkpoint
    def fetch(n):
        return n

    @flow
    def body():
        with ThreadPoolExecutor(1) as pool:
            return list(pool.map(fetch, [1]))

    with pytest.warns(RuntimeWarning, match="checkpoint fetch is called in a thread that does not belong to the run"):
        assert bench.run(body).value == [1]


def test_a_thread_that_a_checkpoint_starts_is_part_of_it(bench):
    from concurrent.futures import ThreadPoolExecutor

    @checkpoint
    def fetch(n):
        return n

    @checkpoint
    def all_of_them():
        with ThreadPoolExecutor(1) as pool:
            return list(pool.map(fetch, [1]))

    @flow
    def body():
        return all_of_them()

    assert bench.run(body).log == ["all_of_them"]
