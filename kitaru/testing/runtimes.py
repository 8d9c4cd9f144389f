"""What every runtime must do: a class of tests, which a runtime's own test file inherits.

Owns: the contract of `kitaru.runtime.placement.protocol`, tried from outside, and a host in memory to try it with.

Example, a whole test file::

    from kitaru.testing import RuntimeContract
    from my_package import MyRuntime

    class TestMyRuntime(RuntimeContract):
        make = MyRuntime
"""

from __future__ import annotations

import os
import tempfile
import threading
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from kitaru.errors import BadConfig, UnknownCall, UnknownObject
from kitaru.model.encoding import references
from kitaru.runtime.names import ClassNames
from kitaru.runtime.placement.code import function_of
from kitaru.runtime.placement.protocol import CallInfo, Finished, Gathered, Job
from kitaru.runtime.values import Values
from kitaru.testing import runtime_calls as calls

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from kitaru.runtime.decorators import Checkpoint
    from kitaru.runtime.placement.protocol import Runtime

KEY = "k" * 32
WAIT_S = 30.0
_LARGE = 40 << 20


class MemoryHost:
    """A run without a run: a `Host` whose store is a dictionary.

    Attributes:
        objects: what the store holds.
        heard: stream to what came of it.
        artifacts: what the call saved, name to id.
        metadata: what the call logged.
    """

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.heard: defaultdict[str, str] = defaultdict(str)
        self.values = Values(ClassNames(Path.cwd()), lambda object_id, _: self.object(object_id))
        self.stops: list[Callable[[], None]] = []
        self.artifacts: dict[str, str] = {}
        self.metadata: dict[str, Any] = {}

    def keep(self, value: object) -> str:
        """Put a value into the store, and return its id."""
        encoded = self.values.encode(value, self.objects)
        self.objects.update((object_id, bytes(data)) for object_id, data in encoded.objects)
        return encoded.id

    def read(self, object_id: str) -> Any:  # noqa: ANN401 - any value
        """Return a value from the store."""
        return self.values.decoder(()).decode(object_id)

    def object(self, object_id: str) -> bytes:
        """Return an object; as of `Host`, like what follows."""
        if object_id not in self.objects:
            raise UnknownObject(object_id)
        return self.objects[object_id]

    def saved(self, name: str) -> str:
        """Know of one artifact, `earlier`."""
        if name != "earlier":
            raise UnknownCall("run", name, ["earlier"])
        return self.keep({"saved": "before"})

    def key(self) -> str:
        """Return a fixed key."""
        return KEY

    def output(self, stream: str, text: str) -> None:
        """Keep it."""
        self.heard[stream] += text

    def progress(self, told: Mapping[str, Any]) -> None:
        """Keep it."""
        self.heard["progress"] += f"{told['message']} {told['percent']:g}\n"

    def gathered(self, gathered: Gathered) -> None:
        """Keep it."""
        self.objects.update(gathered.objects)
        self.artifacts.update(gathered.saved)
        if gathered.metadata is not None:
            self.metadata |= self.read(gathered.metadata)

    def on_cancel(self, stop: Callable[[], None]) -> None:
        """Keep it for `cancel`."""
        self.stops.append(stop)

    def cancel(self) -> None:
        """End the call."""
        for stop in self.stops:
            stop()


class RuntimeContract:
    """The tests. A runtime whose `kills` is false is not tried with calls that must be ended.

    Attributes:
        make: makes the runtime; once for all tests.
        given: options to try it with.
    """

    make: ClassVar[Callable[[], Runtime]]
    given: ClassVar[dict[str, Any]] = {}
    _runtime: ClassVar[Runtime]

    @classmethod
    def setup_class(cls) -> None:
        """Make the runtime."""
        cls._runtime = cls.make()

    def job(self, host: MemoryHost, checkpoint: Checkpoint[..., Any], *args: object, **options: Any) -> Job:  # noqa: ANN401 - of several types
        """Return a job whose arguments are in the job, or in the host's store where they were put there before."""
        timeout_s = options.pop("timeout_s", None)
        encoded = {n: host.values.encode(v, host.objects) for n, v in checkpoint.binder.bind(args, options).items()}
        return Job(
            function_of(checkpoint, "contract", Path.cwd(), "v1"),
            {name: part.id for name, part in encoded.items()},
            CallInfo("run", checkpoint.name, 0, 1, 1, 0),
            objects={i: bytes(data) for part in encoded.values() for i, data in part.objects},
            options=self._runtime.options(self.given),
            timeout_s=timeout_s,
        )

    def done(self, host: MemoryHost, checkpoint: Checkpoint[..., Any], *args: object, **options: Any) -> Finished:  # noqa: ANN401 - as above
        """Execute a job; its new objects are put into the host's store, where all that they name must be then."""
        job = self.job(host, checkpoint, *args, **options)
        finished = self._runtime.execute(job, host)
        host.objects.update(job.objects)
        host.objects.update(finished.objects)
        for data in finished.objects.values():
            assert set(references(data)) <= host.objects.keys()  # noqa: S101 - tests assert; so all below
        outcomes = [finished.output, finished.error, finished.crashed, finished.timed_out, finished.cancelled]
        assert sum(bool(outcome) for outcome in outcomes) == 1  # noqa: S101
        return finished

    def value(self, host: MemoryHost, checkpoint: Checkpoint[..., Any], *args: object, **options: Any) -> Any:  # noqa: ANN401 - as above
        """Execute a job that must give a value, and return that."""
        finished = self.done(host, checkpoint, *args, **options)
        assert finished.output is not None, finished  # noqa: S101
        return host.read(finished.output)

    def test_arguments_and_value(self) -> None:
        """All kinds of parameters arrive, and defaults."""
        host = MemoryHost()
        assert self.value(host, calls.gathered, 1) == [1, [], "default", {}]  # noqa: S101
        found = self.value(host, calls.gathered, (1, 2), {"a": None}, named={3}, other=b"x")
        assert found == [(1, 2), [{"a": None}], {3}, {"other": b"x"}]  # noqa: S101

    def test_arguments_in_the_store(self) -> None:
        """What is in the store already is asked for."""
        host = MemoryHost()
        history = [{"role": "user", "text": f"message {n} " * 40} for n in range(500)]
        host.keep(history)
        host.keep([history, [], "default", {}])
        job = self.job(host, calls.gathered, history)
        assert job.args["first"] not in job.objects  # noqa: S101
        finished = self._runtime.execute(job, host)
        assert finished.output in host.objects or finished.output in finished.objects  # noqa: S101
        assert host.read(str(finished.output))[0] == history  # noqa: S101

    def test_large_values(self) -> None:
        """A value of many megabytes goes in and comes out."""
        data = os.urandom(_LARGE)
        assert self.value(MemoryHost(), calls.gathered, data)[0] == data  # noqa: S101

    def test_an_error(self) -> None:
        """An exception comes back as itself."""
        host = MemoryHost()
        error = self.done(host, calls.fails, "gone").error
        assert error is not None  # noqa: S101
        assert (error["type"], error["message"]) == ("builtins:LookupError", "gone")  # noqa: S101
        assert error["traceback"].endswith("LookupError: gone\n")  # noqa: S101
        assert type(host.read(error["value"])) is LookupError  # noqa: S101

    def test_a_value_that_cannot_be_stored(self) -> None:
        """It is an error of the call."""
        error = self.done(MemoryHost(), calls.unstorable).error
        assert error is not None  # noqa: S101
        assert error["type"] == "kitaru.errors:Unencodable"  # noqa: S101

    def test_output(self) -> None:
        """What is printed and logged is heard."""
        host = MemoryHost()
        self.value(host, calls.speaks, "words")
        assert host.heard["stdout"] == "out words\n"  # noqa: S101
        assert "err words\n" in host.heard["stderr"]  # noqa: S101
        assert host.heard["log"] == "ERROR contract: log words\n"  # noqa: S101

    def test_what_a_call_asks_of_its_run(self) -> None:
        """`current_call`, `log`, `save`, `load` and `progress` work as ever."""
        host = MemoryHost()
        finished = self.done(host, calls.records, "ab")
        assert host.read(str(finished.output)) == ["run", "records", 1, KEY, {"saved": "before"}]  # noqa: S101
        assert host.heard == {"progress": "half 50\n"}  # noqa: S101
        assert host.read(host.artifacts["doubled"]) == "abab"  # noqa: S101
        assert host.metadata == {"text": "ab"}  # noqa: S101

    def test_what_the_run_refuses(self) -> None:
        """An error of the run's comes back in its class."""
        error = self.done(MemoryHost(), calls.loads, "nothing").error
        assert error is not None  # noqa: S101
        assert error["type"] == "kitaru.errors:UnknownCall"  # noqa: S101

    def test_other_code_is_not_called(self) -> None:
        """Neither a function that is not there, nor one that has been edited."""
        from dataclasses import replace

        host = MemoryHost()
        job = self.job(host, calls.gathered, 1)
        for other in (replace(job.function, code="0" * 16), replace(job.function, qualname="nowhere")):
            error = self._runtime.execute(replace(job, function=other), host).error
            assert error is not None  # noqa: S101
            assert error["type"] == "kitaru.errors:CodeUnloadable"  # noqa: S101

    def test_an_unknown_option(self) -> None:
        """It is refused at once."""
        try:
            self._runtime.options({"no_such_option": 1})
        except BadConfig:
            return
        raise AssertionError("an unknown option was taken")

    def test_many_at_once(self) -> None:
        """Calls of several threads do not mix."""

        def one(n: int) -> tuple[Any, str]:
            host = MemoryHost()
            self.value(host, calls.speaks, str(n))
            return self.value(host, calls.gathered, n)[0], host.heard["stdout"]

        with ThreadPoolExecutor(4) as pool:
            assert list(pool.map(one, range(12))) == [(n, f"out {n}\n") for n in range(12)]  # noqa: S101

    def test_a_process_that_ends(self) -> None:
        """It is told, and the next call works."""
        if self._runtime.kills:
            crashed = self.done(MemoryHost(), calls.leaves, 3).crashed
            assert crashed is not None  # noqa: S101
            assert "3" in crashed.what  # noqa: S101
            self.test_arguments_and_value()

    def test_time_that_is_up(self) -> None:
        """The call is ended."""
        if self._runtime.kills:
            with tempfile.TemporaryDirectory() as directory:
                path = str(Path(directory, "begun"))
                assert self.done(MemoryHost(), calls.lasts, path, timeout_s=0.2).timed_out  # noqa: S101

    def test_a_call_that_is_cancelled(self) -> None:
        """The call is ended."""
        if self._runtime.kills:
            with tempfile.TemporaryDirectory() as directory:
                fifo = Path(directory, "begun")
                os.mkfifo(fifo)
                host = MemoryHost()

                def cancel() -> None:
                    fifo.read_text()  # waits for the call to begin
                    host.cancel()

                thread = threading.Thread(target=cancel)
                thread.start()
                finished = self.done(host, calls.lasts, str(fifo))
                thread.join(WAIT_S)
                assert finished.cancelled  # noqa: S101
