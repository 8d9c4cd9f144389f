"""Which call stands for which: equal ones wherever they are, changed ones by name and place."""

from hypothesis import given
from hypothesis import strategies as st

from kitaru.model.alignment import align
from kitaru.model.history import CallView, WaitView
from kitaru.model.records import Call, Wait


def calls(text):
    """Return the calls of `plan:a fetch:b`, name and argument; `?name:digest` is a wait."""
    found = []
    for order, word in enumerate(text.split(), 1):
        name, _, key = word.partition(":")
        if name.startswith("?"):
            found.append(WaitView(Wait(0, name[1:], order, key), "", "r"))
        else:
            record = Call(0, name=name, order=order, began=0, args={"x": key} if key else {})
            found.append(CallView(name, order, 1, "", "r", record, str(order)))
    return found


def word(view):
    if view is None:
        return "-"
    if isinstance(view, WaitView):
        return f"?{view.record.name}:{view.record.digest}"
    return f"{view.name}:{view.record.args['x']}" if view.record.args else view.name


def aligned(old, new):
    return [f"{word(p.old)}={word(p.new)}" for p in align(calls(old), calls(new))]


def test_what_is_equal_is_paired():
    assert aligned("plan:a fetch:b", "plan:a fetch:b") == ["plan:a=plan:a", "fetch:b=fetch:b"]


def test_what_changed_is_paired_by_its_name():
    assert aligned("plan:a fetch:b use:c", "plan:z fetch:y use:x") == [
        "plan:a=plan:z",
        "fetch:b=fetch:y",
        "use:c=use:x",
    ]


def test_an_item_put_into_a_loop_is_new_and_the_others_are_the_same():
    found = aligned("fetch:a fetch:b fetch:c", "fetch:a fetch:n fetch:b fetch:c")
    assert found == ["fetch:a=fetch:a", "-=fetch:n", "fetch:b=fetch:b", "fetch:c=fetch:c"]


def test_an_item_edited_in_a_loop_is_paired_where_it_stands():
    found = aligned("fetch:a fetch:b fetch:c", "fetch:a fetch:n fetch:c fetch:d")
    assert found == ["fetch:a=fetch:a", "fetch:b=fetch:n", "fetch:c=fetch:c", "-=fetch:d"]


def test_an_item_taken_out_stands_where_it_stood():
    assert aligned("fetch:a fetch:b use:c", "fetch:a use:c") == ["fetch:a=fetch:a", "fetch:b=-", "use:c=use:c"]


def test_the_order_of_equal_calls_does_not_matter():
    assert sorted(aligned("fetch:a fetch:b", "fetch:b fetch:a")) == ["fetch:a=fetch:a", "fetch:b=fetch:b"]


def test_equal_calls_are_paired_one_by_one():
    assert aligned("fetch:a fetch:a", "fetch:a") == ["fetch:a=fetch:a", "fetch:a=-"]


def test_a_renamed_call_is_found_by_its_arguments():
    assert aligned("fetch:a use:b", "get:a use:b") == ["fetch:a=get:a", "use:b=use:b"]
    assert aligned("fetch:a", "get:b") == ["-=get:b", "fetch:a=-"]
    assert aligned("fetch get:b", "fetch get:b") == ["fetch=fetch", "get:b=get:b"]


def test_a_call_without_arguments_is_not_taken_for_a_renamed_one():
    assert aligned("fetch", "get") == ["-=get", "fetch=-"]


def test_waits_are_paired_with_waits():
    assert aligned("?ask:a plan:x", "?ask:b ask:a plan:x") == ["?ask:a=?ask:b", "-=ask:a", "plan:x=plan:x"]


runs = st.lists(st.tuples(st.sampled_from("pqr"), st.sampled_from("abc")), max_size=12).map(
    lambda pairs: " ".join(f"{name}:{key}" for name, key in pairs)
)


@given(runs, runs)
def test_every_step_is_told_once_and_the_new_ones_in_order(old, new):
    before, after = calls(old), calls(new)
    pairs = align(before, after)
    assert [p.new for p in pairs if p.new is not None] == after
    assert sorted(p.old.order for p in pairs if p.old is not None) == [v.order for v in before]
    assert all(p.old.name == p.new.name or p.old.record.args == p.new.record.args for p in pairs if p.old and p.new)


@given(runs)
def test_a_run_is_the_same_as_itself(text):
    assert all(p.old.order == p.new.order for p in align(calls(text), calls(text)))


def test_many_calls_of_one_name():
    found = align(calls("fetch:a " * 20_000), calls("fetch:b " * 20_000))
    assert all(p.old and p.new and p.old.order == p.new.order for p in found)
