"""Isolated calls beside one another: submitted, awaited, stopped together."""

from __future__ import annotations

import asyncio
import os
import threading
from pathlib import Path

from kitaru import flow
from kitaru.errors import CallTimeout, RunInterrupted
from kitaru.runtime.context import require_engine
from tests.runtime.placement import nasty
from tests.runtime.placement.processes import is_gone


def test_submitted_calls_execute_at_once(bench, tmp_path):
    @flow(max_workers=3)
    def three():
        futures = [nasty.meets.submit(str(tmp_path), n, 3) for n in range(3)]
        return [future.result() for future in futures]

    assert bench.run(three).value == [0, 1, 2]


def test_a_map_of_crashes_and_values(bench):
    @flow(max_workers=4)
    def mixed():
        futures = [call.submit(n) for n in range(4) for call in (nasty.pid, nasty.exits)]
        return [type(future.exception()).__name__ for future in futures]

    assert bench.run(mixed).value == ["NoneType", "CallCrashed"] * 4


def test_async_functions_and_flows(bench, tmp_path):
    @flow
    async def gathered():
        return await asyncio.gather(*(nasty.later(n) for n in range(3)))

    assert bench.run(gathered).value == [1, 2, 3]


def test_a_task_that_is_cancelled_kills(bench, tmp_path):
    os.mkfifo(fifo := tmp_path / "fifo")
    pids = []

    @flow
    async def bounded():
        call = asyncio.create_task(nasty.sleeps_async(str(fifo)))
        pids.append(int(await asyncio.to_thread(fifo.read_text)))
        call.cancel()
        try:
            await call
        except asyncio.CancelledError:
            return "given up"

    assert bench.run(bounded).value == "given up"
    assert is_gone(pids[0])


def test_a_timeout_is_attempted_again(bench, tmp_path):
    path = tmp_path / "begun"

    @flow
    def slow():
        try:
            nasty.too_long(str(path))
        except CallTimeout as error:
            return str(error)

    assert "too_long" in bench.run(slow).value
    assert path.read_text().split() == ["begun", "begun"]


def test_a_stop_kills_all_of_them(bench, tmp_path):
    fifos = [tmp_path / f"{n}.fifo" for n in range(3)]
    for fifo in fifos:
        os.mkfifo(fifo)

    @flow(max_workers=3)
    def many():
        engine = require_engine("a test")

        def stop():
            for fifo in fifos:
                fifo.read_text()
            engine.request_stop(RunInterrupted("enough"))

        thread = threading.Thread(target=stop)
        thread.start()
        futures = [nasty.waits_for_ever.submit(str(fifo), f"{fifo}.pid") for fifo in fifos]
        try:
            return [future.result() for future in futures]
        finally:
            thread.join()

    assert bench.run(many).status == "interrupted"
    assert not [fifo for fifo in fifos if not is_gone(int(Path(f"{fifo}.pid").read_text()))]


def test_progress_is_shown(bench):
    @flow
    def once():
        nasty.progresses()

    ended = bench.run(once)
    assert ended.status == "completed", ended.error
    assert [(e["message"], e["percent"]) for e in ended.events("progress")] == [("half way", 50)]
