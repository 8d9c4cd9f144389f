"""Checking runs that do several things at once: each line of work is followed to its own first call that would run."""

from __future__ import annotations

import asyncio

import pytest

import kitaru
from kitaru import checkpoint, flow

executed: list[str] = []


@checkpoint
def fetch(url):
    executed.append(url)
    return f"<{url}>"


@checkpoint
async def read(page):
    executed.append(page)
    return page.upper()


@pytest.fixture
def check(bench):
    """Check what a resume would do, holding that nothing is executed."""

    def run(run, _code=None, **options):
        executed.clear()
        found = bench.project.check_resume(run, **options)
        assert executed == []
        return found

    return run


def told(found):
    return sorted(f"{call.call} {call.verdict}" for call in found.calls)


def submitting(urls, *, crash=False):
    @flow
    def body():
        futures = [fetch.submit(url) for url in urls]
        texts = [future.result() for future in futures]
        if crash:
            raise KeyboardInterrupt
        return fetch("".join(texts))

    return body


def test_every_submitted_call_is_told(bench, check):
    run = bench.run(submitting(["a", "b"], crash=True)).run
    code = submitting(["a", "b", "c", "d"])
    found = check(run, code, on_drift="new")
    assert told(found) == ["fetch reuse", "fetch#2 reuse", "fetch#3 run", "fetch#4 run"]
    assert [call.call for call in found.calls[2:]] == ["fetch#3", "fetch#4"]
    assert found.ending == "runs"
    fits = submitting(["a", "b"])
    assert told(check(run, fits)) == ["fetch reuse", "fetch#2 reuse", "fetch#3 run"]


def mapping(urls, *, crash=False):
    @flow
    def body():
        texts = fetch.map(urls).results()
        if crash:
            raise KeyboardInterrupt
        return fetch("".join(texts))

    return body


def test_items_of_a_map_are_new(bench, check):
    run = bench.run(mapping(["a", "b"], crash=True)).run
    code = mapping(["b", "new", "a"])
    assert told(check(run, code)) == ["fetch reuse", "fetch#2 reuse", "fetch#3 run"]


def branching(names, *, crash=False, more=False):
    @flow
    async def body():
        async def branch(name):
            page = await read(name)
            return await read(page + "!") if more else page

        texts = await asyncio.gather(*(branch(name) for name in names))
        if crash:
            raise KeyboardInterrupt
        return texts

    return body


def test_each_branch_goes_on_to_its_own_first_call(bench, check):
    run = bench.run(branching(["a", "b"], crash=True)).run
    code = branching(["a", "b"], more=True)
    found = check(run, code)
    assert told(found) == ["read reuse", "read#2 reuse", "read#3 run", "read#4 run"]
    drifting = branching(["a", "c"])
    assert (told(check(run, drifting))[-1], check(run, drifting).ending) == ("read#2 stop", "drifts")
    assert bench.resume(run, branching(["a", "b"], more=True)).value == ["A!", "B!"]


def test_a_question_in_a_branch(bench, check):
    def asking(more):
        @flow
        async def body():
            async def ask():
                return kitaru.wait("go", "Go on?")

            async def work():
                page = await read("a")
                return await read(page) if more else page

            return await asyncio.gather(ask(), work(), return_exceptions=True)

        return body

    run = bench.run(asking(False)).run
    assert bench.project.state(run).status == "waiting"
    code = asking(True)
    found = check(run, code)
    assert found.problem is None
