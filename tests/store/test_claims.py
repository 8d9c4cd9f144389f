"""Claims on a remote: one holder at a time by the remote's clock, heartbeats, takeovers, races, and what lies there."""

from __future__ import annotations

import threading
from types import SimpleNamespace

import pytest

from kitaru.blobs.folder import FolderBlobs
from kitaru.errors import Damaged, Diverged, RemoteUnreachable, RunClaimed, RunHeld
from kitaru.store import claims, layout, names
from kitaru.store.claims import LEASE_US, MAX_LEASE_US, Holder, standing, take

START = 1_700_000_000_000_000
SEGMENTS = ["a" * 64, "b" * 64, "c" * 64]


class Shared(FolderBlobs):
    """A shared folder whose clock the test moves."""

    def __init__(self, root):
        super().__init__(root)
        self.now, self.times, self.after_create = START, {}, lambda key: None

    def create(self, key, data):
        won = super().create(key, data)
        if won:
            self.times[key] = self.now
        self.after_create(key)
        return won

    def listing(self, prefix):
        for found in super().listing(prefix):
            yield found._replace(changed_us=self.times.get(found.key, self.now))  # it may just have been made

    def now_us(self):
        return self.now


@pytest.fixture
def shared(tmp_path):
    return Shared(tmp_path / "team")


def holder(by, **fields):
    return Holder(nonce=f"{by}-nonce", by=by, host=f"{by}s-machine", clock_us=lambda: 5, **fields)


def publish(shared, run, *segments):
    for number, segment in enumerate(segments, 1):
        shared.create(layout.run_key(run, number), names.pack({"segment": segment, "nonce": "n"}))


def numbers(shared, run, segment):
    return [names.unpack(shared.get(f.key), claims.SHAPE, "") for f in shared.listing(layout.claim_key(run, segment))]


def test_the_first_to_claim_holds_the_run(shared):
    publish(shared, "r", *SEGMENTS[:2])
    claim = take(shared, "r", SEGMENTS[:2], holder("ann"), same=2)
    assert (claim.segment, claim.number) == (3, 1)
    shared.now += 12_000_000
    with pytest.raises(RunClaimed) as told:
        take(shared, "r", SEGMENTS[:2], holder("bob"), same=2)
    assert told.value.message == "run r is being carried on by ann on anns-machine (claimed 12 s ago)"
    assert "kitaru resume r --offline" in told.value.hint
    assert told.value.left_us == LEASE_US - 12_000_000
    assert isinstance(told.value, RunHeld)
    assert told.value.exit_code == 7


def test_a_heartbeat_makes_it_count_from_then_on(shared):
    claim = take(shared, "r", [], holder("ann"), same=0)
    for _ in range(5):
        shared.now += LEASE_US - 1
        claim.renew()
    shared.now += LEASE_US - 1
    with pytest.raises(RunClaimed, match=r"heard of 59 s ago"):
        take(shared, "r", [], holder("bob"), same=0)
    assert claim.number == 6
    assert {n["nonce"] for n in numbers(shared, "r", 1)} == {"ann-nonce"}


def test_when_the_lease_is_over_anybody_may_take_it_and_the_first_holder_is_told(shared):
    first = take(shared, "r", [], holder("ann"), same=0)
    shared.now += LEASE_US
    second = take(shared, "r", [], holder("bob"), same=0)
    assert second.number == 2
    with pytest.raises(RunClaimed, match="by bob on bobs-machine"):
        first.renew()
    second.renew()
    assert [n["by"] for n in numbers(shared, "r", 1)] == ["ann", "bob", "bob"]


def test_a_claim_that_ran_out_and_nobody_took_goes_on(shared):
    claim = take(shared, "r", [], holder("ann"), same=0)
    shared.now += 10 * LEASE_US
    claim.renew()
    with pytest.raises(RunClaimed):
        take(shared, "r", [], holder("bob"), same=0)


def test_what_is_given_back_is_free_at_once_and_nothing_is_deleted(shared):
    take(shared, "r", [], holder("ann"), same=0).release()
    assert take(shared, "r", [], holder("bob"), same=0).number == 3
    assert [(n["by"], n["lease"] > 0) for n in numbers(shared, "r", 1)] == [
        ("ann", True),
        ("ann", False),
        ("bob", True),
    ]


def test_a_claim_on_one_segment_is_none_on_the_next(shared):
    take(shared, "r", [], holder("ann"), same=0)
    publish(shared, "r", *SEGMENTS[:1])
    assert take(shared, "r", SEGMENTS[:1], holder("bob"), same=1).segment == 2


def test_who_meets_his_own_name_has_won(shared):
    """A request that was answered as taken, though it was it that took."""
    create = FolderBlobs.create

    def create_and_say_no(self, key, data):
        create(self, key, data)
        return False

    lost = Shared(shared.url)
    lost.times = shared.times
    tries = iter([create_and_say_no, create])
    lost.create = lambda key, data: next(tries)(lost, key, data)
    claim = claims._claim(lost, "r", 1, holder("ann"))
    shared.times |= {layout.claim_key("r", 1, n): START for n in (1, 2)}
    assert claim.number == 2
    assert standing(shared, "r", 1).name.nonce == "ann-nonce"
    with pytest.raises(RunClaimed, match="by ann"):
        take(shared, "r", [], holder("bob"), same=0)


@pytest.mark.parametrize("expired", [False, True])
def test_of_five_that_claim_at_once_one_wins(tmp_path, expired):
    for round_ in range(5):
        shared = Shared(tmp_path / f"team{round_}")
        if expired:
            take(shared, "r", [], holder("gone"), same=0)
            shared.now += LEASE_US
        ready, won, lost = threading.Barrier(5), [], []

        def claim(name, shared=shared, ready=ready, won=won, lost=lost):
            ready.wait()
            try:
                won.append(take(shared, "r", [], holder(name), same=0).who.by)
            except RunClaimed as told:
                lost.append(told.message)

        threads = [threading.Thread(target=claim, args=[f"m{i}"]) for i in range(5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(won) == 1
        assert len(lost) == 4
        assert all(f"by {won[0]} on" in message for message in lost)


def test_a_run_that_was_carried_on_meanwhile_is_not(shared):
    """Its holder named his segment between our last look and our claim: the claim is given back."""
    publish(shared, "r", *SEGMENTS[:1])
    take(shared, "r", SEGMENTS[:1], holder("ann"), same=1)
    publish(shared, "r", *SEGMENTS[:2])
    shared.now += LEASE_US
    with pytest.raises(Diverged) as told:
        take(shared, "r", SEGMENTS[:1], holder("bob"), same=1)
    assert told.value.message == "run r was continued by ann at 2023-11-14 22:13:20 UTC"
    assert told.value.hint == "kitaru pull"
    assert standing(shared, "r", 2).left_us == 0


def test_of_one_that_is_done_it_is_told_that_it_is(shared):
    take(shared, "r", [], holder("ann"), same=0)
    publish(shared, "r", *SEGMENTS[:1])
    with pytest.raises(Diverged, match="run r was continued by ann at"):
        take(shared, "r", [], holder("bob"), same=0)
    assert len(numbers(shared, "r", 1)) == 1


def test_it_is_looked_at_again_once_it_is_claimed(shared):
    def carry_on_at_the_last_moment(key):
        if key.startswith("claims/"):
            shared.after_create = lambda key: None
            publish(shared, "r", *SEGMENTS[:1])

    shared.after_create = carry_on_at_the_last_moment
    with pytest.raises(Diverged):
        take(shared, "r", [], holder("bob"), same=0)


def test_what_is_not_pushed_yet_is_no_reason_against_it(shared):
    publish(shared, "r", *SEGMENTS[:2])
    assert take(shared, "r", SEGMENTS, holder("ann"), same=2).segment == 3
    assert take(shared, "r", SEGMENTS, holder("ann"), same=1).segment == 3


def test_another_segment_of_the_same_number_is(shared):
    publish(shared, "r", SEGMENTS[0], SEGMENTS[1])
    with pytest.raises(Diverged):
        take(shared, "r", [SEGMENTS[0], SEGMENTS[2]], holder("ann"), same=1)


def test_a_remote_that_knows_less_than_it_did(shared):
    assert take(shared, "r", SEGMENTS, holder("ann"), same=3).segment == 1


def test_nobody_is_kept_out_for_longer_than_is_believed(shared):
    take(shared, "r", [], holder("ann", lease_us=10**15), same=0)
    shared.now += MAX_LEASE_US
    take(shared, "r", [], holder("bob"), same=0)


@pytest.mark.parametrize("data", [b"", b"{", b"[]\n", b"x" * 100_000], ids=len)
def test_a_name_that_cannot_be_read_runs_out_too(shared, data):
    shared.create(layout.claim_key("r", 1, 1), data)
    with pytest.raises(RunClaimed, match="by somebody"):
        take(shared, "r", [], holder("bob"), same=0)
    shared.now += LEASE_US
    take(shared, "r", [], holder("bob"), same=0)


def test_what_is_no_number_is_no_claim(shared):
    shared.create("claims/r/000001/zzz", b"")
    assert take(shared, "r", [], holder("bob"), same=0).number == 1


def test_what_others_call_themselves_is_shown_on_one_line(shared):
    take(shared, "r", [], holder("ann\n\x1b[31m" + "x" * 500), same=0)
    with pytest.raises(RunClaimed) as told:
        take(shared, "r", [], holder("bob"), same=0)
    assert told.value.message.isprintable()
    assert len(told.value.message) < 300


def test_a_claim_whose_check_failed_is_given_back(shared):
    listing, calls = shared.listing, SimpleNamespace(fail=True)

    def broken(prefix):
        if calls.fail and prefix.startswith("runs/"):
            raise RemoteUnreachable("gone")
        return listing(prefix)

    shared.listing = broken
    with pytest.raises(RemoteUnreachable):
        take(shared, "r", [], holder("ann"), same=0)
    assert standing(shared, "r", 1).left_us == 0


def test_a_name_from_the_future_counts_for_no_longer_than_its_lease(shared):
    """A server's clock went back: nobody is kept out for what it was ahead."""
    take(shared, "r", [], holder("ann"), same=0)
    shared.now -= 10**12
    found = standing(shared, "r", 1)
    assert (found.age_us, found.left_us) == (0, LEASE_US)


def test_who_finds_that_he_named_more_himself_gives_the_earlier_claim_back(shared):
    publish(shared, "r", *SEGMENTS[:2])
    assert take(shared, "r", SEGMENTS, holder("ann"), same=1).segment == 3
    assert standing(shared, "r", 2).left_us == 0
    assert standing(shared, "r", 3).left_us == LEASE_US


def test_a_request_to_cancel_is_believed_when_it_is_one(shared):
    claim = take(shared, "r", [], holder("ann"), same=0)
    assert claim.cancellation() is None
    asked = names.pack({"by": "bob", "at": 1, "reason": "", "nonce": "n"})
    shared.create(layout.cancel_key("r"), asked)
    assert claim.cancellation() == asked
    other = take(shared, "other", [], holder("ann"), same=0)
    shared.create(layout.cancel_key("other"), b"nonsense")
    with pytest.raises(Damaged):
        other.cancellation()
