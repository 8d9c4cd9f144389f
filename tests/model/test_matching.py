"""Which recorded call a live call takes."""

from __future__ import annotations

import hypothesis.strategies as st
from hypothesis import given

from kitaru.model.history import CallView
from kitaru.model.matching import Claims, changed_arguments, identity, identity_of
from tests.model.samples import call


def view(order, name="fetch", **fields):
    return CallView(name, order, 1, "", "run", call(order, name, **fields), f"id{order}")


def of(name="fetch", key="", **args):
    return identity("", name, args, key)


def test_the_order_of_arguments_is_no_part_of_an_identity():
    assert of(a="1", b="2") == of(b="2", a="1")
    assert of(a="1") != of(a="2")
    assert of(a="1") != of(b="1")
    assert identity("", "f", {}) != identity("task", "f", {}) != identity("", "g", {})


def test_an_explicit_key_stands_for_the_arguments():
    assert of(key="k", a="1") == of(key="k", a="2") != of(a="1")
    assert identity_of(call(1, key="k", args={"a": "1"})) == of(key="k")


def test_no_argument_looks_like_a_key():
    assert identity("", "f", {"key": "k"}) != identity("", "f", {}, "k")


def test_the_kth_live_call_takes_the_kth_record_of_its_identity():
    a1, b, a2 = view(1, args={"x": "a"}), view(2, args={"x": "b"}), view(3, args={"x": "a"})
    claims = Claims([a1, b, a2])
    assert [claims.exact(of(x=x)) for x in "abaa"] == [a1, b, a2, None]
    assert claims.rest() == []


def test_of_equal_calls_each_takes_its_own_record_though_an_earlier_one_is_missing():
    second = view(3, args={"x": "a"}, repeat=1)
    claims = Claims([second])
    assert claims.has_uneven
    assert claims.lacks(of(x="a"))
    assert claims.in_turn("", "fetch", {"x": "a"}, "") is None
    assert not claims.lacks(of(x="a"))
    assert claims.exact(of(x="a")) is second
    assert not claims.lacks(of(x="b"))


def test_of_equal_calls_each_takes_its_own_record_in_whatever_order_they_stand():
    second, first = view(3, args={"x": "a"}, repeat=1), view(4, args={"x": "a"})
    claims, found = Claims([second, first]), []
    for _ in range(3):
        assert not claims.lacks(of(x="a"))
        found.append(claims.in_turn("", "fetch", {"x": "a"}, "") or claims.exact(of(x="a")))
    assert found == [first, second, None]


def test_equal_calls_that_are_all_there_need_no_second_look():
    assert not Claims([view(n + 1, args={"x": "a"}, repeat=n) for n in range(3)]).has_uneven


def test_calls_in_another_order_find_their_own_records():
    views = [view(i, args={"x": x}) for i, x in enumerate("abc", 1)]
    claims = Claims(views)
    assert [claims.exact(of(x=x)) for x in "cab"] == [views[2], views[0], views[1]]


def test_a_record_taken_one_way_is_not_taken_another():
    views = [view(i, args={"x": "a"}) for i in (1, 2, 3)]
    claims = Claims(views)
    assert claims.next_of("", "fetch") is views[0]
    assert claims.exact(of(x="a")) is views[1]
    claims.take(views[2])
    assert claims.exact(of(x="a")) is None
    assert claims.next_of("", "fetch") is None


def test_names_and_scopes_are_apart():
    fetch, plan = view(1), view(2, "plan")
    claims = Claims([fetch, plan])
    assert claims.unclaimed("", "fetch") == [fetch]
    assert claims.unclaimed("task", "fetch") == []
    assert claims.rest() == [fetch, plan]


def test_what_has_not_finished_cannot_be_taken():
    claims = Claims([CallView("fetch", 1, 1, "", "run")])
    assert claims.rest() == []


def test_a_new_parameter_with_its_default_is_no_drift():
    old = view(1, args={"x": "a"})
    claims = Claims([old])
    assert claims.defaulted(of(x="a", limit="9"), {"limit": "3"}) is None
    assert claims.defaulted(of(x="b", limit="3"), {"limit": "3"}) is None
    assert claims.defaulted(of(x="a", limit="3"), {}) is None
    assert claims.defaulted(of(x="a", limit="3"), {"limit": "3"}) is old
    assert claims.rest() == []


def test_a_dropped_parameter_is_drift_and_so_is_one_under_an_explicit_key():
    claims = Claims([view(1, args={"x": "a", "y": "b"}), view(2, key="k", args={"x": "a"})])
    assert claims.defaulted(of(x="a"), {}) is None
    assert claims.defaulted(of(x="a", limit="3"), {"limit": "3"}) is None


def test_records_can_be_dropped():
    views = [view(1), view(2)]
    claims = Claims(views)
    claims.drop(lambda v: v.order == 1)
    assert claims.rest() == [views[1]]


def test_changed_arguments():
    assert changed_arguments({"a": "1", "b": "2", "c": "3"}, {"a": "1", "b": "9", "d": "4"}) == {
        "b": ("2", "9"),
        "c": ("3", None),
        "d": (None, "4"),
    }


def test_a_record_is_taken_in_its_turn():
    a, b, c = view(1, args={"x": "a"}), view(2, args={"x": "b"}), view(3, key="k", args={"x": "c"})
    claims = Claims([a, b, c])
    assert claims.in_turn("", "fetch", {"x": "b"}, "") is None
    assert claims.in_turn("", "other", {"x": "a"}, "") is None
    assert claims.in_turn("/task#1", "fetch", {"x": "a"}, "") is None
    assert claims.in_turn("", "fetch", {"x": "a"}, "k") is None
    assert claims.exact(of(x="b")) is b
    assert claims.in_turn("", "fetch", {"x": "a"}, "") is a
    assert claims.in_turn("", "fetch", {"x": "changed"}, "k") is c
    assert claims.in_turn("", "fetch", {"x": "a"}, "") is None
    assert claims.rest() == claims.unclaimed("", "fetch") == []


@given(
    st.lists(st.sampled_from("abc"), max_size=12),
    st.lists(st.tuples(st.sampled_from("abc"), st.booleans()), max_size=12),
)
def test_what_is_taken_in_turn_is_what_would_be_found(recorded, live):
    """Records asked for in turn first, where the flag says so, and always by looking for them: one and the same."""
    views = [view(i, args={"x": x}) for i, x in enumerate(recorded, 1)]
    claims, looking = Claims(views), Claims(views)
    for x, in_turn in live:
        found = claims.in_turn("", "fetch", {"x": x}, "") if in_turn else None
        assert (found or claims.exact(of(x=x))) is looking.exact(of(x=x))
        assert claims.unclaimed("", "fetch") == looking.unclaimed("", "fetch") == claims.rest()


@given(st.lists(st.sampled_from("abc"), max_size=12), st.lists(st.sampled_from("abc"), max_size=12))
def test_any_live_order_takes_each_record_at_most_once_and_only_its_own(recorded, live):
    claims = Claims([view(i, args={"x": x}) for i, x in enumerate(recorded, 1)])
    taken = [(x, claims.exact(of(x=x))) for x in live]
    found = [(x, v) for x, v in taken if v is not None]
    assert all(v.record.args == {"x": x} for x, v in found)
    assert len({v.order for _, v in found}) == len(found)
    for x in "abc":
        assert sum(1 for y, _ in found if y == x) == min(recorded.count(x), live.count(x))
        assert [v.order for y, v in found if y == x] == sorted(v.order for y, v in found if y == x)
    assert len(claims.rest()) == len(recorded) - len(found)
