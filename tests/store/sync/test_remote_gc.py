"""gc on a remote: what nothing there reaches goes in two visits, and nothing that anybody pushes meanwhile is lost."""

from __future__ import annotations

import itertools

import pytest

from kitaru.errors import Damaged, RemoteError, UnknownFormat
from kitaru.store import layout, loose, remote_gc, sync, visits
from kitaru.store.check import check
from kitaru.store.remote_gc import Who, collect
from kitaru.store.remote_view import RemoteView, as_store
from kitaru.store.sync import guarding
from tests.store.samples import value
from tests.store.sync.machines import Machine, share

HOUR = 3_600_000_000
LARGE = bytes(range(256)) * 400
SECOND = 1_000_000


@pytest.fixture(autouse=True)
def large(monkeypatch):
    """Values have large objects, and requests come one after the other, or trials would not be the same twice."""
    monkeypatch.setattr(loose, "LARGE", 50_000)
    monkeypatch.setattr(remote_gc, "THREADS", 1)


class Watched:
    """A remote that somebody looks at: told of each request before it is sent, and after; its clock can be moved."""

    def __init__(self, remote):
        self._remote = remote
        self.skew = 0
        self.watch = lambda when, name, key: None

    def __getattr__(self, name):
        found = getattr(self._remote, name)
        if name not in {"create", "get", "exists", "delete", "listing", "chunks", "view"}:
            return found

        def request(key, *args, **options):
            self.watch("before", name, key)
            result = found(key, *args, **options)
            result = list(result) if name == "listing" else result
            self.watch("after", name, key)
            return result

        return request

    def now_us(self):
        return self._remote.now_us() + self.skew


class Gone(Exception):
    """Whoever was at it is no more."""


@pytest.fixture
def there(remote):
    return Watched(remote)


def gc(remote, grace=0, **how):
    numbers = itertools.count()
    who = Who("ann", "annpc", lambda: f"{id(numbers)}-{next(numbers)}")
    if isinstance(remote, Watched):  # time passes for everybody
        how.setdefault("monotonic", lambda: remote.skew / SECOND)
    return collect(remote, who, grace=grace, **how)


def twice(remote, **how):
    gc(remote, **how)
    return gc(remote, **how)


def keys(remote, *directories):
    return sorted(item.key for directory in directories for item in remote.listing(directory))


def content(remote):
    return keys(remote, layout.SEGMENTS, layout.OBJECTS)


def damage(remote):
    with RemoteView(remote) as view:
        view.look()
        return [finding for finding in check(as_store(view)).findings if finding.severity == "damage"]


def left_behind(machine, remote, what):
    """Put an object there that nothing names, as a push does that is cut off; return its key."""
    object_id, objects = value({"what": what, "large": LARGE})
    machine.repo.put_objects(objects)
    for part, _ in objects:
        key = layout.object_key(part)
        remote.create(key, bytes(machine.blobs.view(key)))
    return layout.object_key(object_id)


def test_what_is_reached_stays(ana, remote):
    ana.run("one", large=LARGE).run("two", asks=False).answer("one")
    ana.branch("three", "two")
    ana.push()
    before = keys(remote, *(kind.directory for kind in guarding_kinds()), layout.SEGMENTS, layout.OBJECTS)
    for _ in range(3):
        done = gc(remote)
        assert (done.removed, done.noted, done.due) == ([], [], 0)
    assert keys(remote, *(kind.directory for kind in guarding_kinds()), layout.SEGMENTS, layout.OBJECTS) == before
    assert keys(remote, layout.VISITS) == []


def guarding_kinds():
    from kitaru.store.kinds import KINDS

    return KINDS


def test_what_nothing_reaches_is_noted_and_then_removed(ana, remote):
    ana.run("one").push()
    before = content(remote)
    key = left_behind(ana, remote, "orphan")
    first = gc(remote)
    assert key in first.noted
    assert (first.removed, first.noted_bytes > 0) == ([], True)
    dry = gc(remote, dry_run=True)
    assert key in dry.removed
    assert remote.exists(key)
    second = gc(remote)
    assert (key in second.removed, second.noted, second.removed_bytes) == (True, [], first.noted_bytes)
    assert content(remote) == before
    assert damage(remote) == []
    assert len(keys(remote, layout.VISITS)) == 1, "the last entry stays, or a number would be given twice"


def test_the_time_between_is_that_of_the_remote(ana, there):
    ana.run("one").push()
    key = left_behind(ana, there, "orphan")
    noted = gc(there, HOUR)
    there.skew = HOUR // 2
    assert gc(there, HOUR).removed == []
    there.skew = noted.due - there._remote.now_us() - SECOND
    assert gc(there, HOUR).removed == []
    there.skew += 2 * SECOND
    assert key in gc(there, HOUR).removed


def test_what_is_written_anew_meanwhile_stays(ana, there):
    ana.run("one").push()
    key = left_behind(ana, there, "orphan")
    gc(there)
    data = there.get(key)
    there.delete(key)
    there.create(key, data)
    again = gc(there)
    assert (key in again.removed, key in again.noted) == (False, True)


def test_a_pruned_run_goes_from_its_end_and_its_tombstone_stays(ana, there):
    ana.run("one", large=LARGE).answer("one")
    ana.carry_on("one").run("two")
    ana.push()
    there.create(layout.claim_key("one", 3, 1), b"x")
    ana.prune("one").push()
    deleted = []
    there.watch = lambda when, name, key: deleted.append(key) if (when, name) == ("before", "delete") else None
    twice(there)
    names = [key for key in deleted if key.startswith("runs/")]
    assert names == ["runs/one/000002", "runs/one/000001"]
    assert deleted.index(names[-1]) < min(i for i, key in enumerate(deleted) if key.startswith("segments/"))
    assert keys(there, layout.RUNS) == ["runs/two/000001"]
    assert keys(there, layout.ANSWERS, layout.CLAIMS) == []
    assert keys(there, layout.PRUNED) == ["pruned/one"]
    assert damage(there) == []


def test_a_pruned_run_that_a_replay_shares_stays(ana, there):
    ana.run("one", asks=False).branch("two", "one")
    ana.prune("one").push()
    twice(there)
    assert "runs/one/000001" in keys(there, layout.RUNS)
    assert damage(there) == []


def test_a_tombstone_goes_everywhere_and_the_run_comes_back_nowhere(ana, bob, eve, there):
    ana.run("one", large=LARGE).run("two").push()
    bob.pull()
    eve.pull()
    ana.prune("one").push()
    twice(there)
    assert bob.pull().names == {"pruned": 1}
    bob.push()
    eve.push()
    for machine in ana, bob, eve:
        machine.pull()
        machine.push()
        assert list(machine.runs()) == ["two"]
        assert machine.damage() == []
    twice(there)
    assert keys(there, layout.RUNS) == ["runs/two/000001"]
    assert damage(there) == []


def test_claims_of_segments_that_exist_go(ana, there):
    ana.run("one").push()
    for segment, number in ((1, 1), (1, 2), (2, 1)):
        there.create(layout.claim_key("one", segment, number), b"x")
    twice(there)
    assert keys(there, layout.CLAIMS) == ["claims/one/000002/000001"]


def test_scratch_goes_after_a_day(ana, there):
    ana.run("one").push()
    there.create("tmp/left", b"x")
    gc(there)
    assert keys(there, layout.TMP) == ["tmp/left"]
    there.skew = 25 * HOUR
    assert gc(there).scratch == 1
    assert keys(there, layout.TMP) == []


def test_what_cannot_be_read_keeps_everything(ana, remote, tmp_path):
    ana.run("one").push()
    key = left_behind(ana, remote, "orphan")
    gc(remote)
    (segment,) = keys(remote, layout.SEGMENTS)
    path = tmp_path / "share" / segment
    path.chmod(0o600)
    path.write_bytes(path.read_bytes()[:-40] + b"\0" * 40)
    with pytest.raises(Damaged):
        gc(remote)
    assert remote.exists(key)


def test_what_is_no_store_is_refused(tmp_path):
    with pytest.raises(UnknownFormat):
        gc(share(tmp_path / "empty"))


# -- two at once, and one that is gone ---------------------------------------------------------------------------------


def test_of_two_at_once_the_second_is_refused(ana, there):
    ana.run("one").push()
    key = left_behind(ana, there, "orphan")
    refused = []

    def another(when, name, at):
        if (when, name, at) == ("before", "delete", key):
            there.watch = lambda *told: None
            with pytest.raises(RemoteError, match=r"another gc is at work .*: ann on annpc until 20") as error:
                gc(there)
            refused.append(error.value.hint)

    gc(there)
    there.watch = another
    assert key in gc(there).removed
    assert refused == ["try again when it is done"]


@pytest.mark.parametrize("number", [1, 2])
def test_of_two_that_write_the_same_entry_one_is_refused(ana, there, number):
    ana.run("one").push()
    left_behind(ana, there, "orphan")
    if number == 2:
        gc(there)
    done = []

    def another(when, name, key):
        if (when, name, key) == ("before", "create", layout.visit_key(number)):
            there.watch = lambda *told: None
            done.append(gc(there))

    there.watch = another
    with pytest.raises(RemoteError, match="another gc"):
        gc(there)
    assert len(done) == 1
    assert damage(there) == []


def test_who_was_late_with_a_number_that_is_gone_removes_nothing(ana, there):
    """He looked at gc/ before two others came, and makes an entry under a number that was removed since."""
    ana.run("one").push()
    left_behind(ana, there, "orphan")
    gc(there)
    late = visits.last(there)
    gc(there)
    left_behind(ana, there, "another")
    gc(there)
    assert late.n + 1 not in visits.numbers(there)
    fields = {"state": "removing", "at": 1, "lease": 9, "by": "", "host": "", "noted": {}, "nonce": "late"}
    assert visits.write(there, late.n + 1, fields) is False
    assert not visits.last(there).removing


def test_a_list_that_cannot_be_read_or_lies_removes_nothing(ana, there):
    ana.run("one", large=LARGE).push()
    key = left_behind(ana, there, "orphan")
    lies = {item: [1, there.listing(item.rpartition("/")[0])[0].changed_us] for item in content(there)}
    lies |= {key: "soon", "../../x": [1, 1], "runs/one/000001": [1, 1]}
    fields = {"state": "noted", "at": 1, "lease": 0, "by": "", "host": "", "noted": lies, "nonce": "n"}
    assert visits.write(there, 1, fields)
    before = content(there)
    assert gc(there).removed in ([], [key])
    there.create(layout.visit_key(7), b"nonsense")
    with pytest.raises(RemoteError, match="another gc"):
        gc(there)
    there.skew = visits.LEASE_US + SECOND
    assert gc(there).removed == []
    assert set(before) - set(content(there)) <= {key}
    assert damage(there) == []


def test_nothing_is_removed_when_the_lease_is_nearly_over(ana, there):
    ana.run("one").push()
    gone = [left_behind(ana, there, f"orphan {n}") for n in range(4)]
    gc(there)
    now = [0.0]

    def slow(when, name, key):
        if (when, name) == ("after", "delete"):
            now[0] += visits.LEASE_US / SECOND

    there.watch = slow
    done = gc(there, monotonic=lambda: now[0])
    assert 0 < len(done.removed) < len(gone) + 1
    there.watch = lambda *told: None
    assert set(done.noted) | set(done.removed) >= set(gone)
    gc(there)
    assert not any(there.exists(key) for key in gone)


@pytest.mark.parametrize(("look", "pause", "removes"), [(0.1, 0.65, True), (0.1, 0.75, False), (0.5, 1.3, True)])
def test_who_pauses_before_he_removes_things_has_most_of_a_lease_that_his_look_would_fit_in(
    ana, there, look, pause, removes
):
    """Times are parts of the usual lease; the one that is taken is four times as long as the look, if that is more."""
    ana.run("one").push()
    gone = left_behind(ana, there, "orphan")
    gc(there)
    now = [0.0]

    def slow(when, name, key):
        if (when, name, key) == ("before", "listing", layout.OBJECTS):
            now[0] += look * visits.LEASE_US / SECOND
        if (when, name) == ("after", "create") and key.startswith("gc/"):
            now[0] += (pause - look) * visits.LEASE_US / SECOND

    there.watch = slow
    assert (gone in gc(there, monotonic=lambda: now[0]).removed) is removes


def test_what_was_noted_in_the_future_counts_from_now_on(ana, there):
    ana.run("one").push()
    key = left_behind(ana, there, "orphan")
    stamp = next(found.changed_us for found in there.listing(layout.OBJECTS) if found.key == key)
    ahead = there.now_us() + 1000 * visits.LEASE_US
    fields = {"state": "noted", "at": 1, "lease": 0, "by": "", "host": "", "noted": {key: [ahead, stamp]}, "nonce": "n"}
    assert visits.write(there, 1, fields)
    assert key not in gc(there).removed
    assert key in gc(there).removed


def test_names_are_gone_for_good_before_what_they_name_goes(ana, there):
    ana.run("one").push()
    ana.prune("one").push()
    done = []
    there.watch = lambda when, name, key: done.append((name, key)) if when == "before" else None
    there.settle = lambda key: done.append(("settle", key))
    twice(there)
    assert ("settle", layout.run_key("one", 1)) in done
    segments = [at for at, (name, key) in enumerate(done) if name == "delete" and key.startswith(layout.SEGMENTS)]
    assert segments
    assert done.index(("settle", layout.run_key("one", 1))) < min(segments)


def test_a_gc_that_dies_at_any_request_leaves_a_store_that_the_next_one_cleans(tmp_path):
    """Cut off before or after each request that changes something, of the visit that removes things."""
    for n in itertools.count():
        machine = Machine(tmp_path / f"m{n}", f"m{n}", None)
        there = Watched(share(tmp_path / f"share{n}"))
        machine.remote = there
        machine.run("one", large=LARGE).answer("one")
        machine.carry_on("one").run("two").push()
        machine.prune("one").push()
        gc(there)
        seen = itertools.count()

        def die(when, name, key, seen=seen, n=n):
            if name in {"create", "delete"} and next(seen) >= n:
                raise Gone

        there.watch = die
        try:
            gc(there)
        except Gone:
            finished = False
        else:
            finished = True
        there.watch = lambda *told: None
        assert damage(there) == []
        machine.run("three").push()
        there.skew = visits.LEASE_US * 2
        twice(there)
        gc(there)
        assert damage(there) == []
        assert keys(there, layout.RUNS) == ["runs/three/000001", "runs/two/000001"]
        if finished:
            return


# -- a push meanwhile --------------------------------------------------------------------------------------------------


def pushing_at(there, n, push):
    """Have `push` called before the n-th request from now on; return whether it was."""
    seen, called = itertools.count(), []

    def watch(when, name, key):
        """A request to remove something is under way when it is made: nobody can look at the clock once more."""
        if when == ("after" if name == "delete" else "before") and not called and next(seen) >= n:
            called.append(True)
            push()

    there.watch = watch
    return called


class Expiring:
    """Time passes on the remote while somebody waits."""

    def __init__(self, there):
        self.there = there

    def __call__(self, seconds):
        self.there.skew += int(seconds * SECOND) + visits.LEASE_US


EVERY = [pytest.param(5, id="every fifth"), pytest.param(1, id="every", marks=pytest.mark.long)]
"""How many requests are tried: all of them in the long form."""


@pytest.mark.parametrize("step", EVERY)
@pytest.mark.parametrize("what", ["object", "branch", "run again"])
def test_a_push_at_any_request_of_a_gc_loses_nothing(tmp_path, monkeypatch, what, step):
    """The whole push happens before the n-th request of the visit that removes what it relies on."""
    for n in itertools.count(0, step):
        there = Watched(share(tmp_path / f"share{n}"))
        monkeypatch.setattr(guarding.Guard.__init__, "__defaults__", (Expiring(there),))
        ana, bob = (Machine(tmp_path / f"{who}{n}", f"{who}{n}", there) for who in ("ana", "bob"))
        prepared = PREPARE[what](ana, bob, there)
        gc(there)
        called = pushing_at(there, n, prepared)
        try:
            gc(there)
        except RemoteError:  # his lease was over
            pass
        finally:
            there.watch = lambda *told: None
        assert damage(there) == [], f"at request {n}"
        there.skew += 2 * visits.LEASE_US
        twice(there)
        assert damage(there) == [], f"at request {n}, and gc again"
        fresh = Machine(tmp_path / f"eve{n}", "eve", there)
        assert fresh.pull().refused == []
        assert fresh.damage() == []
        if not called:
            assert n > 10
            return
        assert "new" in fresh.runs()


def relies_on_an_object(ana, bob, there):
    """A push of Bob's was cut off after its large objects had come; now he pushes the same value."""
    bob.run("old").push()
    bob.run("new", large=LARGE, asks=False)
    for key in bob.blobs.keys(layout.OBJECTS):
        there.create(key, bytes(bob.blobs.view(key)))
    return lambda: bob.push()


def branches_from_what_was_pruned(ana, bob, there):
    """Ann pruned a run that Bob still has, and branches from."""
    ana.run("old", large=LARGE, asks=False).push()
    bob.pull()
    ana.prune("old").push()
    bob.branch("new", "old", asks=False)
    return lambda: bob.push()


def has_sent_all_but_names(ana, bob, there):
    """All content of a run came, and none of its names."""
    ana.run("old").push()
    bob.run("new", large=LARGE, asks=False)

    def cut(when, name, key):
        if (when, name) == ("before", "create") and key.startswith("runs/"):
            raise Gone

    there.watch = cut
    with pytest.raises(Gone):
        bob.push()
    there.watch = lambda *told: None
    return lambda: bob.push()


PREPARE = {
    "object": relies_on_an_object,
    "branch": branches_from_what_was_pruned,
    "run again": has_sent_all_but_names,
}


def test_a_pruned_run_that_went_on_goes_as_a_whole(tmp_path):
    """What came late stays for a grace, and so does what it hangs on."""
    there = Watched(share(tmp_path / "share"))
    ana, bob = (Machine(tmp_path / who, who, there) for who in ("ana", "bob"))
    ana.run("two", large=LARGE).push()
    bob.pull()
    bob.answer("two")
    bob.carry_on("two")
    ana.prune("two").push()
    gc(there)
    for directory in (layout.OBJECTS, layout.SEGMENTS, layout.RUNS):  # of a push that did not see that it was pruned
        for key in bob.blobs.keys(directory):
            there.create(key, bytes(bob.blobs.view(key)))
    gc(there)
    assert damage(there) == []
    assert keys(there, layout.RUNS) == ["runs/two/000001", "runs/two/000002"]
    gc(there)
    assert damage(there) == []
    assert [keys(there, directory) for directory in (layout.RUNS, layout.SEGMENTS)] == [[], []]


@pytest.mark.parametrize("what", PREPARE)
def test_a_push_between_the_listings_of_a_visit_is_no_damage(tmp_path, what):
    """Its content was not there when content was listed, and its names are when names are."""
    there = Watched(share(tmp_path / "share"))
    ana, bob = (Machine(tmp_path / who, who, there) for who in ("ana", "bob"))
    push, pushed = PREPARE[what](ana, bob, there), []

    def watch(when, name, key):
        if (when, name, key) == ("before", "listing", layout.RUNS) and not pushed:
            pushed.append(True)
            push()

    gc(there)
    there.watch = watch
    gc(there, grace=86_400 * SECOND)
    assert pushed
    assert damage(there) == []


@pytest.mark.parametrize("visited", [True, False])
@pytest.mark.parametrize("step", EVERY)
@pytest.mark.parametrize("what", PREPARE)
def test_a_gc_at_any_request_of_a_push_loses_nothing(tmp_path, monkeypatch, what, step, visited):
    """Both visits, or the second one, happen whole before the n-th request of the push."""
    for n in itertools.count(0, step):
        there = Watched(share(tmp_path / f"share{n}"))
        monkeypatch.setattr(guarding.Guard.__init__, "__defaults__", (Expiring(there),))
        ana, bob = (Machine(tmp_path / f"{who}{n}", f"{who}{n}", there) for who in ("ana", "bob"))
        push = PREPARE[what](ana, bob, there)
        if visited:
            gc(there)
        called = pushing_at(there, n, lambda there=there, visited=visited: gc(there) if visited else twice(there))
        push()
        there.watch = lambda *told: None
        assert damage(there) == [], f"at request {n}"
        twice(there)
        assert damage(there) == [], f"at request {n}, and gc again"
        if not called:
            assert n > 5
            return


def test_a_push_waits_for_who_died_while_removing(ana, bob, there, monkeypatch):
    waited = []

    class Waits(Expiring):
        def __call__(self, seconds):
            waited.append(seconds)
            super().__call__(seconds)

    monkeypatch.setattr(guarding.Guard.__init__, "__defaults__", (Waits(there),))
    ana.remote = bob.remote = there
    push = relies_on_an_object(ana, bob, there)
    gc(there)
    victim = next(key for key in content(there) if key.startswith("objects/") and key in visits.last(there).noted)

    def die(when, name, key):
        if (when, name, key) == ("after", "delete", victim):
            raise Gone

    there.watch = die
    with pytest.raises(Gone):
        gc(there)
    there.watch = lambda *told: None
    assert visits.last(there).removing
    push()
    assert len(waited) == 1
    assert damage(there) == []
    bob.run("next").push()
    assert len(waited) == 1, "nobody waits for one whose lease is over"


def test_the_same_on_a_real_server(tmp_path, s3_remote):
    place = s3_remote().open()
    ana, bob = (Machine(tmp_path / who, who, place) for who in ("ana", "bob"))
    ana.run("one", large=LARGE).answer("one")
    ana.carry_on("one").run("two", large=LARGE).push()
    bob.pull()
    place.create(layout.claim_key("one", 1, 1), b"x")
    orphan = left_behind(ana, place, "orphan")
    ana.prune("one").push()
    assert orphan in gc(place).noted
    bob.branch("three", "one", asks=False).push()  # who has not heard yet that it was pruned
    done = gc(place)
    assert orphan in done.removed
    assert not any(key.startswith("runs/") for key in done.removed)
    assert keys(place, layout.CLAIMS) == []
    assert damage(place) == []
    bob.prune("three").push()
    twice(place)
    assert keys(place, layout.RUNS) == ["runs/two/000001"]
    assert damage(place) == []


# -- a push that is cut short ------------------------------------------------------------------------------------------


def gc_then_death(there, name):
    """Have gc pay its visit before a name is made there, and whoever makes it be gone after that."""

    def watch(when, request, key):
        if (request, key) == ("create", name):
            there.watch = lambda *told: None
            gc(there)
            there.watch = lambda when, *told: die() if when == "after" else None

    def die():
        raise Gone

    there.watch = watch


@pytest.mark.parametrize("what", PREPARE)
def test_what_gc_took_from_a_push_that_was_cut_short_the_next_puts_back(ana, bob, there, what):
    ana.remote = bob.remote = there
    push = PREPARE[what](ana, bob, there)
    gc(there)
    gc_then_death(there, layout.run_key("new", 1))
    with pytest.raises(Gone):
        push()
    there.watch = lambda *told: None
    assert damage(there)
    assert bob.tracking.unsettled is not None
    bob.push()
    assert damage(there) == []
    assert bob.tracking.unsettled is None


@pytest.mark.parametrize("how", ["by name", "all"])
def test_what_is_missing_there_is_put_back_where_it_is_asked_for(ana, there, how):
    ana.remote = there
    ana.run("one", large=LARGE, asks=False).run("two", asks=False).push()
    gone = [key for key in content(there) if key.startswith("objects/")] + keys(there, layout.SEGMENTS)[:1]
    for key in gone:
        there.delete(key)
    assert ana.push().is_nothing
    assert damage(there)
    choose = sync.PushChoice(runs=("one", "two")) if how == "by name" else sync.PushChoice(everything=True)
    ana.push(choose=choose)
    assert damage(there) == []


def test_what_somebody_else_continued_is_not_mixed_with_what_is_put_back(ana, bob, there):
    ana.remote = bob.remote = there
    ana.run("one", large=LARGE).push()
    bob.pull()
    ana.answer("one")
    ana.carry_on("one", ends=False).push()
    bob.answer("one")
    bob.carry_on("one", ends=False).go_on("one", "a third segment")
    tracking = bob.tracking
    tracking.unsettled = sync.tracking.Unsettled(0, frozenset(), frozenset({"one"}))
    tracking.save()
    gc(there)
    left_behind(ana, there, "orphan")
    gc(there)
    bob.run("two").push("two")
    assert keys(there, layout.run_key("one")) == ["runs/one/000001", "runs/one/000002"]
    assert damage(there) == []
