"""Whatever the code, the crashes and the edits: nothing recorded is redone, nothing wrong reused, no place shared."""

from __future__ import annotations

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from kitaru import checkpoint, flow
from tests.runtime.bench import Bench

ITEMS = "abcdefgh"
LIMITS = settings(max_examples=60, deadline=None, derandomize=True)


def program(items, ran, crash_at=None):
    """A flow of one call for each item; it crashes inside of the call at an index."""

    @checkpoint
    def even(item):
        return work(item)

    @checkpoint
    def odd(item):
        return work(item)

    def work(item):
        if crash_at is not None and item == items[crash_at] and place[0] == crash_at:
            raise KeyboardInterrupt
        ran.append(item)
        return f"<{item}>"

    place = [0]

    @flow
    def body():
        found = []
        for place[0], item in enumerate(items):
            found.append((even if ITEMS.index(item) % 2 else odd)(item))
        return found

    return body


@st.composite
def edits(draw):
    """Programs that each add items to the one before, and crash somewhere, but for the last."""
    fresh = draw(st.permutations(ITEMS))
    items = fresh[: draw(st.integers(1, 3))]
    programs = [(list(items), draw(st.integers(0, len(items) - 1)))]
    for item in fresh[len(items) : draw(st.integers(len(items), len(fresh)))]:
        items = [*items]
        items.insert(draw(st.integers(0, len(items))), item)
        programs.append((list(items), draw(st.integers(0, len(items) - 1))))
    return programs


@LIMITS
@given(edits())
def test_items_added_between_crashes(tmp_path_factory, programs):
    bench, ran = Bench(tmp_path_factory.getbasetemp()), []
    items, crash = programs[0]
    run = bench.run(program(items, ran, crash)).run
    for items, crash in programs[1:]:
        assert bench.resume(run, program(items, ran, crash), on_drift="new").status in ("interrupted", "completed")
        assert len(ran) == len(set(ran))
        if bench.project.state(run).status == "completed":
            return  # the call that was to crash was recorded already
    ended = bench.resume(run, program(items, ran), on_drift="new")
    assert ended.value == [f"<{item}>" for item in items]
    assert sorted(ran) == sorted(items)
    views = ended.state.ordered_calls
    assert [bench.project.value(v.record.args["item"]) for v in views] == items
    assert sorted(v.order for v in views) == list(range(1, len(items) + 1))
    assert len({v.label for v in views}) == len(views)


@LIMITS
@given(st.lists(st.sampled_from(ITEMS), max_size=8), st.lists(st.sampled_from(ITEMS), max_size=8), st.data())
def test_any_edit_with_new_gives_what_a_fresh_run_gives(tmp_path_factory, before, after, data):
    bench, ran = Bench(tmp_path_factory.getbasetemp()), []
    before = [*before, "a"]
    crash = data.draw(st.integers(0, len(before) - 1))
    run = bench.run(program(before, ran, crash)).run
    recorded = Counter(before[:crash])
    assert ran == before[:crash]
    del ran[:]
    ended = bench.resume(run, program(after, ran), on_drift="new")
    assert ended.value == [f"<{item}>" for item in after]
    assert Counter(ran) == Counter(after) - recorded
    left = recorded - Counter(after)
    told = [name for event in ended.events("unclaimed") for name in event["calls"]]
    assert len(told) == left.total()
    assert len(set(ended.state.sequence)) == len(ended.state.sequence) == (Counter(after) | recorded).total()


@LIMITS
@given(st.lists(st.sampled_from(ITEMS), max_size=8), st.lists(st.sampled_from(ITEMS), max_size=8), st.data())
def test_any_edit_with_stop_executes_nothing_in_doubt(tmp_path_factory, before, after, data):
    bench, ran = Bench(tmp_path_factory.getbasetemp()), []
    before = [*before, "a"]
    crash = data.draw(st.integers(0, len(before) - 1))
    run = bench.run(program(before, ran, crash)).run
    del ran[:]
    ended = bench.resume(run, program(after, ran))
    if ended.status == "completed":
        assert ended.value == [f"<{item}>" for item in after]
        assert Counter(ran) == Counter(after) - Counter(before[:crash])
        return
    assert ended.status == "interrupted"
    assert not Counter(ran) - Counter(after)
    recorded = Counter([*before[:crash], *ran])
    del ran[:]
    undone = before[: crash + 1]
    again = bench.resume(run, program(undone, ran), on_drift="new")
    assert again.value == [f"<{item}>" for item in undone]
    assert Counter(ran) == Counter(undone) - recorded


@LIMITS
@given(st.lists(st.sampled_from(ITEMS), min_size=1, max_size=7), st.data())
def test_branches_of_branches(tmp_path_factory, items, data):
    bench, ran = Bench(tmp_path_factory.getbasetemp()), []
    source = bench.run(program(items, ran))
    shared_from = [source.run] * len(items)
    for _ in range(data.draw(st.integers(1, 3))):
        cut = data.draw(st.integers(0, len(items) - 1))
        crash = data.draw(st.none() | st.integers(cut, len(items) - 1))
        del ran[:]
        pinned = data.draw(st.booleans())
        label = source.log[cut]
        name = label if "#" in label else f"{label}#1"
        changes = {"set": {name: f"<{items[cut]}>"}} if pinned else {"from_": label}
        ended = bench.replay(source.run, program(items, ran, crash), **changes)
        if ended.status == "interrupted":
            ended = bench.resume(ended.run, program(items, ran))
        assert ended.value == source.value
        assert ran == items[cut + pinned :]
        assert ended.log == source.log
        shared_from[cut:] = [ended.run] * (len(items) - cut)
        assert [v.run for v in ended.state.ordered_calls] == shared_from
        assert [v.order for v in ended.state.ordered_calls] == list(range(1, len(items) + 1))
        assert bench.project.state(source.run).head == source.state.head
        source = ended
