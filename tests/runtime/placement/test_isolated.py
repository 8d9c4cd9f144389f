"""Isolated calls: what they give and gather, what they are kept from, and that nothing they do harms the run."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest

from kitaru import flow
from kitaru.errors import BadConfig, CallCrashed, CallTimeout, NotCheckpointable, RunInterrupted
from kitaru.project import Project
from kitaru.runtime.placement.isolated import Isolated
from kitaru.runtime.placement.registry import find
from tests.runtime.placement import nasty
from tests.runtime.placement.processes import is_gone, kill_the_rest


def attempt(bench, call):
    """Make a call in a run, then another one that must work as ever; return what came of the first."""

    @flow
    def made():
        try:
            return call(), nasty.pid(1)
        except Exception as error:
            return error, nasty.pid(1)

    ended = bench.run(made)
    assert ended.status == "completed", ended.error
    assert ended.value[1] != os.getpid()
    return ended.value[0], ended


def failure(bench, call):
    error, ended = attempt(bench, call)
    assert isinstance(error, Exception)
    return error, ended.state.calls[ended.state.sequence[0]].record.error


@pytest.fixture
def on_disk(tmp_path, monkeypatch):
    """Return a bench whose store is on disk."""
    from tests.runtime.bench import Bench

    made = Bench(tmp_path)
    Project.init(tmp_path)
    made.project = Project.open(tmp_path)
    return made


def test_values_cross_in_both_directions(bench):
    point = nasty.Point(1, [2])
    value, ended = attempt(bench, lambda: nasty.grown(point, 10, 20, a=nasty.Point(5, [])))
    assert value == nasty.Point(31, [2, 99, 5])
    assert point == nasty.Point(1, [2])
    assert ended.state.calls[ended.state.sequence[0]].record.mutated == []


def test_it_is_another_process_and_it_is_kept(bench):
    @flow
    def three():
        return [nasty.pid(n) for n in range(3)]

    first = bench.run(three).value
    assert os.getpid() not in first
    assert len(set(first)) == 1
    assert bench.run(three).value != []


def test_a_resume_takes_the_record(bench):
    runs = []

    def make(fail):
        @flow
        def once():
            runs.append(nasty.pid(7))
            if fail:
                raise ValueError("later")

        return once

    code = make(True)
    run = bench.run(code).run
    code = make(False)
    assert bench.resume(run, code).status == "completed"
    assert runs[0] == runs[1]


def test_output_metadata_and_artifacts(bench):
    key, ended = attempt(bench, lambda: nasty.told("words"))
    record = ended.state.calls[ended.state.sequence[0]].record
    assert len(key) == 32
    values = bench.project.values.decoder([ended.run])
    text = "".join(text for _, _, text in values.decode(record.logs))
    assert sorted(text.splitlines()) == ["child words", "printed words", "to stderr words", "written words"]
    assert values.decode(record.metadata) == {"text": "words", "n": 5}
    assert {name: values.decode(i) for name, i in record.saved.items()} == {"upper": "WORDS"}


@pytest.mark.parametrize(("how", "error"), [("exit", "CallCrashed"), ("hang", "CallTimeout"), ("raise", "ValueError")])
def test_what_was_saved_and_logged_is_recorded_however_the_call_ends(bench, how, error):
    @flow
    def body():
        try:
            nasty.leaves_traces.with_options(timeout=1 if how == "hang" else 60)(how)
        except Exception as failure:
            return type(failure).__name__

    ended = bench.run(body)
    record = ended.state.calls[ended.state.sequence[0]].record
    values = bench.project.values.decoder([ended.run])
    assert (ended.value, record.error is None) == (error, False)
    assert values.decode(record.metadata) == {"tokens": 1, "step": "second"}
    saved = {name: values.decode(i) for name, i in record.saved.items()}
    assert saved == {"draft": ["kept"], "large": b"x" * (1 << 20)}


def test_what_the_run_saved_is_loaded(bench):
    @flow
    def both():
        nasty.told("abc")
        return nasty.loaded("upper")

    assert bench.run(both).value == "ABC"


def test_to_load_what_is_not_there_is_the_same_error(bench):
    error, described = failure(bench, lambda: nasty.loaded("nothing"))
    assert described["type"] == "kitaru.errors:UnknownCall"
    assert "nothing" in str(error)


def test_a_wait_inside_is_refused(bench):
    _, described = failure(bench, nasty.waits_for_an_answer)
    assert described["type"] == "kitaru.errors:WaitInsideCheckpoint"
    assert "inside the checkpoint waits_for_an_answer" in described["message"]


def test_primitives_are_plain_inside(bench):
    assert attempt(bench, nasty.primitives)[0] is True


def test_log_records_are_kept_once(bench):
    _, ended = attempt(bench, nasty.logged)
    record = ended.state.calls[ended.state.sequence[0]].record
    kept = bench.project.values.decoder([ended.run]).decode(record.logs)
    assert [(stream, text) for _, stream, text in kept] == [("log", "WARNING nasty: careful\n")]


# -- what goes wrong ---------------------------------------------------------------------------------------------------


def test_an_exception_comes_back_in_its_class_with_its_lines(bench):
    error, described = failure(bench, lambda: nasty.refused("where"))
    assert type(error) is LookupError
    assert error.args == ("where",)
    assert "raise LookupError(text)" in described["traceback"]
    assert "kitaru/runtime" not in described["traceback"]


def test_an_exception_that_cannot_be_stored(bench):
    error, described = failure(bench, lambda: nasty.raised("with a lock"))
    assert "with a lock" in str(error)
    assert described["type"].endswith("Local")


def test_a_value_that_cannot_be_stored(bench):
    _, described = failure(bench, nasty.unstorable)
    assert described["type"] == "kitaru.errors:Unencodable"
    assert 'the result of unstorable["lock"][0]' in described["message"]


CRASHES = {
    "exit": (lambda: nasty.exits(3), "exit code 3; last it said: about to leave"),
    "exit 0": (lambda: nasty.exits(0), "exit code 0"),
    "segfault": (nasty.segfaults, "killed by SIGSEGV"),
    "kill": (nasty.killed, "killed by SIGKILL"),
    "cpu": (nasty.burns, "killed by SIGXCPU: it used up its CPU time"),
    "interrupt": (nasty.interrupted, "interrupted by SIGINT"),
}


@pytest.mark.parametrize("how", CRASHES)
def test_a_crash_is_a_failure_of_the_call(bench, how):
    call, said = CRASHES[how]
    error, described = failure(bench, call)
    assert type(error) is CallCrashed
    assert said in str(error)
    assert described["type"] == "kitaru.errors:CallCrashed"


def test_a_crash_is_attempted_again(bench, tmp_path):
    value, _ = attempt(bench, lambda: nasty.dies_twice(str(tmp_path / "attempts")))
    assert value == 3
    assert (tmp_path / "attempts").read_text().split() == ["1", "2", "3"]


def test_memory_beyond_the_limit(bench):
    error, _ = failure(bench, nasty.eats)
    assert type(error) is MemoryError


def test_time_is_up_though_sigterm_is_ignored(bench, tmp_path):
    path = tmp_path / "pid"
    error, _ = failure(bench, lambda: nasty.ignores_sigterm(str(path)))
    assert type(error) is CallTimeout
    assert is_gone(int(path.read_text()))


def test_time_is_up_though_it_is_stuck_in_c(bench):
    error, _ = failure(bench, nasty.stuck_in_c)
    assert type(error) is CallTimeout


def test_a_hundred_megabytes_on_stdout(bench):
    value, ended = attempt(bench, lambda: nasty.dumps(100 << 20))
    assert value == 100 << 20
    record = ended.state.calls[ended.state.sequence[0]].record
    kept = bench.project.values.decoder([ended.run]).decode(record.logs)
    text = "".join(text for _, _, text in kept)
    assert len(text) < 1 << 20
    left_out = (100 << 20) // 65536 * 65536 - (len(text) - len(kept[-1][2].splitlines()[-1]) - 2)
    assert text.endswith(f"… {left_out} bytes left out\n")


def test_a_hundred_megabytes_printed(bench):
    _, ended = attempt(bench, lambda: nasty.prints(1_000_000))
    record = ended.state.calls[ended.state.sequence[0]].record
    kept = bench.project.values.decoder([ended.run]).decode(record.logs)
    text = "".join(text for _, _, text in kept)
    whole = sum(101 + len(str(n)) for n in range(1_000_000))
    shown, _, said = text.rpartition("\n… ")
    assert int(said.split()[0]) + len(shown) == whole


def test_its_output_closed(bench):
    value, _ = attempt(bench, nasty.closes_output)
    assert value == "still here"


# -- processes ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def noted(tmp_path):
    """Return a function that gives the process ids which a call has written, and ends them all in the end."""
    path = tmp_path / "pids"

    def read():
        return [int(word) for word in path.read_text().split()]

    yield path, read
    if path.exists():
        kill_the_rest(read())


@pytest.mark.parametrize("call", [nasty.leaves_children, nasty.forks_and_dies], ids=["left", "crash"])
def test_what_a_call_leaves_behind_is_ended(bench, noted, call):
    path, pids = noted
    value, _ = attempt(bench, lambda: call(str(path)))
    assert not [pid for pid in pids() if not is_gone(pid)]
    if isinstance(value, int):
        assert is_gone(value)


def test_threads_left_behind_end_the_process(bench):
    value, _ = attempt(bench, nasty.leaves_thread)
    assert is_gone(value)


def test_what_a_call_did_to_its_process_is_undone(bench, tmp_path):
    @flow
    def two():
        return nasty.spoils(), nasty.seen(["SPOILT"]), nasty.pid(2)

    spoilt, seen, after = bench.run(two).value
    assert seen == {"SPOILT": None, "cwd": str(Path.cwd())}
    assert spoilt == after


def test_environment_and_directory(bench, tmp_path, monkeypatch):
    (tmp_path / "work").mkdir()
    for name in ("SECRET", "CLOUD_KEY", "OTHER", "LC_TIME"):
        monkeypatch.setenv(name, name.lower())

    @flow
    def both():
        names = ["SECRET", "CLOUD_KEY", "OTHER", "LC_TIME"]
        return nasty.seen(names), nasty.seen_more(names)

    first, second = bench.run(both).value
    here = str(Path.cwd())
    assert first == {"SECRET": None, "CLOUD_KEY": None, "OTHER": None, "LC_TIME": "lc_time", "cwd": here}
    work = str(tmp_path / "work")
    assert second == {"SECRET": "secret", "CLOUD_KEY": "cloud_key", "OTHER": None, "LC_TIME": "lc_time", "cwd": work}


def test_one_call_each(bench):
    @flow
    def three():
        return [nasty.fresh(n) for n in range(3)]

    assert len(set(bench.run(three).value)) == 3


def test_idle_workers_are_ended():
    from kitaru.runtime.placement.pool import Pool

    now, looked = [0.0], threading.Event()
    pool = Pool(idle_s=0.01, clock=lambda: (looked.set(), now[0])[1])
    try:
        worker = pool.take("kind", dict(os.environ), {})
        pool.give_back(worker, "kind")
        assert looked.wait(10)
        assert not worker.ended.is_set()
        now[0] = 1.0
        assert worker.ended.wait(10)
    finally:
        pool.close()


def test_a_forked_child_has_no_part_in_the_workers(bench):
    @flow
    def two():
        before = nasty.pid(1)
        child = os.fork()
        if child == 0:
            find("isolated").pool.close()
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        return before, nasty.pid(2)

    first, second = bench.run(two).value
    assert first == second


def test_a_pool_that_is_closed_leaves_nothing():
    from kitaru.runtime.placement.pool import Pool

    pool = Pool()
    workers = [pool.take("kind", dict(os.environ), {}) for _ in range(2)]
    pool.give_back(workers[0], "kind")
    warden = pool.guard.pid
    pool.close()
    assert is_gone(warden)
    assert all(worker.ended.wait(10) for worker in workers)
    workers[1].close()


def test_the_warden_killed(bench):
    """Its workers die with it; the next call gets another."""

    @flow
    def two():
        first = nasty.pid(1)
        os.kill(find("isolated").pool.guard.pid, 9)
        assert is_gone(first)
        return first, nasty.pid(2)

    first, second = bench.run(two).value
    assert first != second


# -- stopping ----------------------------------------------------------------------------------------------------------


def test_a_stop_kills_within_a_second(bench, noted):
    from kitaru.runtime.context import require_engine

    path, pids = noted
    os.mkfifo(fifo := str(path) + ".fifo")
    took = []

    @flow
    def stopped():
        engine = require_engine("a test")

        def stop():
            Path(fifo).read_text()
            took.append(time.monotonic())
            engine.request_stop(RunInterrupted("enough"))

        thread = threading.Thread(target=stop)
        thread.start()
        try:
            nasty.waits_for_ever(fifo, str(path))
        finally:
            took.append(time.monotonic())
            thread.join()

    ended = bench.run(stopped)
    assert ended.status == "interrupted"
    assert not [pid for pid in pids() if not is_gone(pid)]
    assert not any(view.record for view in ended.state.calls.values())
    assert took[1] - took[0] < 5


# -- what cannot cross -------------------------------------------------------------------------------------------------


def test_a_local_function(bench):
    from kitaru import checkpoint

    @checkpoint(runtime="isolated")
    def local():
        return 1

    error, _ = failure(bench, local)
    assert type(error) is NotCheckpointable
    assert "no other process can find" in str(error)


def test_a_live_object(bench):
    lock = threading.Lock()
    error, _ = failure(bench, lambda: nasty.with_client(1, lock))
    assert type(error) is NotCheckpointable
    assert "client is a _thread.lock" in str(error)
    assert "make client inside of with_client" in error.hint


def test_an_ignored_argument_that_can_cross(bench):
    assert attempt(bench, lambda: nasty.with_client(1, "text"))[0] == "1 text"
    assert attempt(bench, lambda: nasty.with_client(2))[0] == "2 None"


@pytest.mark.parametrize("size", [2000, 40 << 20])
def test_an_ignored_argument_crosses_and_is_stored_nowhere(on_disk, size):
    secret = "s3cret" * (size // 6)
    assert attempt(on_disk, lambda: nasty.with_secret(1, secret))[0] == [1, len(secret)]
    encoded = on_disk.project.values.encode(secret, ())
    assert [object_id for object_id, _ in encoded.objects if on_disk.project.repo.find_objects(object_id)] == []


def test_a_method_of_what_cannot_be_stored(bench):
    counter = nasty.Counter(3)
    error, _ = failure(bench, lambda: counter.up(1))
    assert type(error) is NotCheckpointable


def test_an_unknown_runtime(bench):
    elsewhere = nasty.pid.with_options(runtime="moon")
    error, _ = failure(bench, lambda: elsewhere(3))
    assert type(error) is BadConfig
    assert "'moon'" in str(error)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"memory": "lots"}, "no size"),
        ({"memory": "1MB"}, "less than Python needs"),
        ({"cpu_s": 0}, "no number of seconds"),
        ({"env": "SECRET"}, "give names"),
        ({"max_calls": 0}, "no number of calls"),
        ({"colour": 1}, "no option colour"),
    ],
)
def test_options_without_sense(given, said):
    with pytest.raises(BadConfig) as caught:
        nasty.pid.with_options(runtime_options=given)
    assert said in f"{caught.value} {caught.value.hint}"


def test_sizes():
    sizes = {"1.5GB": 1_500_000_000, "512MiB": 512 << 20, " 100 mb ": 10**8, 10**9: 10**9, None: None}
    assert {size: Isolated(memory=size).memory_bytes for size in sizes} == sizes


def test_options_as_an_object(bench):
    limited = nasty.seen.with_options(runtime=Isolated(env={"GIVEN": "yes"}, cwd="/"))
    assert attempt(bench, lambda: limited(["GIVEN"]))[0] == {"GIVEN": "yes", "cwd": "/"}


# -- the store ---------------------------------------------------------------------------------------------------------


def test_large_objects_go_through_the_store(on_disk):
    data = os.urandom(40 << 20)
    value, ended = attempt(on_disk, lambda: nasty.large(data))
    assert value == data[::-1]
    blobs = on_disk.project.repo.blobs
    assert sum(blobs.size(key) > 1 << 20 for key in blobs.keys("objects")) == 6
    again = on_disk.project.values.decoder([ended.run])
    assert again.decode(ended.state.calls[ended.state.sequence[0]].record.output) == value


def test_large_objects_without_a_disk(bench):
    data = os.urandom(40 << 20)
    assert attempt(bench, lambda: nasty.large(data))[0] == data[::-1]
