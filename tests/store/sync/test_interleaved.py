"""Pushes, a pull and visits of gc on one remote, request by request in an order that chance gives; some of them die.

Whoever died while he pushed pushes once more. Then nothing that a name leads to is missing, and all machines hold the
same runs.
"""

from __future__ import annotations

import itertools
import random
import threading

import pytest

from kitaru.errors import Damaged, Diverged, KitaruError, RemoteError
from kitaru.store import layout, loose, remote_gc, remote_view, visits
from kitaru.store.sync import guarding, transfer
from tests.store.sync.machines import Machine, share
from tests.store.sync.test_remote_gc import LARGE, SECOND, damage, left_behind, twice

REQUESTS = {"create", "get", "exists", "delete", "listing", "chunks", "view", "settle"}
LIMIT_S = 120
PAUSE_US = 10 * SECOND
BURSTS = [0, 0, 1, 2, 3, 5, 8, 15, 30]


class Dead(BaseException):
    """Whoever sent this request is no more: nothing catches that."""


class Turns:
    """Who sends the next request: somebody whom chance chooses, and then a few more of his."""

    def __init__(self, chance, names):
        self._chance, self._changed = chance, threading.Condition()
        self._there, self._turn, self._left = list(names), "", 0
        self._choose()

    def _choose(self):
        if self._turn in self._there and self._left > 0:
            self._left -= 1
        elif self._there:
            self._turn, self._left = self._chance.choice(self._there), self._chance.choice(BURSTS)

    def take(self, name, request):
        with self._changed:
            assert self._changed.wait_for(lambda: self._turn == name, LIMIT_S)
        try:
            return request()
        finally:
            with self._changed:
                self._choose()
                self._changed.notify_all()

    def leave(self, name):
        with self._changed:
            self._there.remove(name)
            if self._turn == name:
                self._left = 0
                self._choose()
            self._changed.notify_all()


class InTurn:
    """A remote as one of several sees it, whose n-th request may be his last; all share a clock that can be moved."""

    def __init__(self, remote, name, clock):
        self._remote, self._name, self._clock = remote, name, clock
        self.turns, self.dies = None, 0

    def __getattr__(self, name):
        found = getattr(self._remote, name)
        return (lambda *args, **how: self._send(found, name, args, how)) if name in REQUESTS else found

    def _send(self, found, name, args, how):
        def request():
            self.dies -= 1
            if self.turns is not None and self.dies == 0:
                self.dies = 1  # and whatever other threads of his send
                raise Dead
            result = found(*args, **how)
            return list(result) if name in ("listing", "chunks") else result

        return request() if self.turns is None else self.turns.take(self._name, request)

    def now_us(self):
        return self._remote.now_us() + self._clock["skew"]

    def rest(self, seconds):
        """Wait as a push does: time passes for all."""

        def passes():
            self._clock["skew"] += PAUSE_US

        passes() if self.turns is None else self.turns.take(self._name, passes)


class Trial:
    """A folder, machines, and what each of them is about to do."""

    def __init__(self, root, seed):
        self.chance, self.clock = random.Random(seed), {"skew": 0}
        self.folder = share(root / "share")
        self.base = InTurn(self.folder, "base", self.clock)
        self.machines = {who: Machine(root / who, who, self._seen_by(who)) for who in ("ana", "bob", "eve")}
        self.fresh = Machine(root / "fresh", "fresh", self.base)
        self.died, self.wrong = [], []
        self.nonces = itertools.count()

    def _seen_by(self, who):
        return InTurn(self.folder, who, self.clock)

    def sometimes(self, share_of=0.5):
        return self.chance.random() < share_of

    def prepare(self):
        ana, bob, eve = self.machines.values()
        ana.run("old", large=LARGE, asks=False).run("two").push()
        bob.pull()
        eve.pull()
        if self.sometimes(0.7):
            ana.prune("old").push()
        bob.branch("new", "old", asks=False).run("again", large=LARGE, asks=False)
        for directory in (layout.OBJECTS, layout.SEGMENTS)[: self.chance.randrange(3)]:
            for key in bob.blobs.keys(directory):  # an earlier push of his was cut short
                self.base.create(key, bytes(bob.blobs.view(key)))
        for machine in ana, bob:
            if self.sometimes() and machine.answer("two", {"said": LARGE}):
                machine.carry_on("two", ends=self.sometimes())
        left_behind(ana, self.base, "orphan")
        if self.sometimes(0.2):
            ana.prune("two")
        if self.sometimes(0.8):
            self._visit(self.base)

    def _visit(self, remote):
        who = remote_gc.Who("ann", "annpc", lambda: f"n{next(self.nonces)}")
        remote_gc.collect(remote, who, grace=0, monotonic=lambda: self.clock["skew"] / SECOND)

    def race(self):
        visitor = self._seen_by("gc")
        acts = {who: machine.push for who, machine in self.machines.items()}
        acts |= {"eve": self._pull, "gc": lambda: [self._visit(visitor) for _ in range(self.chance.randrange(1, 3))]}
        remotes = {"gc": visitor} | {who: machine.remote for who, machine in self.machines.items()}
        turns = Turns(self.chance, acts)
        for remote in remotes.values():
            remote.turns = turns
            remote.dies = self.chance.randrange(1, 60) if self.sometimes(0.4) else 0
        threads = [threading.Thread(target=self._act, args=[turns, who, act]) for who, act in acts.items()]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(LIMIT_S)
            assert not thread.is_alive()
        for remote in remotes.values():
            remote.turns = None

    def _pull(self):
        """What a push is about to put back is missing now: a run that needs it is refused, and comes later."""
        refused = self.machines["eve"].pull().refused
        self.wrong += [left for left in refused if "that is named is missing" not in left.why]

    def _act(self, turns, who, act):
        try:
            act()
        except Dead:
            self.died.append(who)
        except Diverged:
            pass
        except KitaruError as error:  # who visits sees what is put back at the next moment
            if who != "gc" or not isinstance(error, RemoteError | Damaged):
                self.wrong.append((who, error))
        except BaseException as error:
            self.wrong.append((who, error))
        finally:
            turns.leave(who)

    def check(self):
        assert self.wrong == []
        for who in {"ana", "bob"}.intersection(self.died):
            self.machines[who].push()
        assert damage(self.base) == []
        self.clock["skew"] += 2 * visits.MAX_LEASE_US
        twice(self.base)
        assert damage(self.base) == []
        assert self.fresh.pull().refused == []
        assert {"new", "again"} <= self.fresh.runs().keys()
        machines = list(self.machines.values())
        for machine in machines * 2:
            machine.push()
            assert machine.pull().refused == []
        assert [machine.damage() for machine in machines] == [[], [], []]
        assert machines[0].runs() == machines[1].runs() == machines[2].runs()


@pytest.mark.parametrize(
    "seeds",
    [pytest.param(range(20), id="a few"), pytest.param(range(20, 500), id="many", marks=pytest.mark.long)],
)
def test_nothing_is_lost_whoever_dies_when(tmp_path, monkeypatch, seeds):
    monkeypatch.setattr(loose, "LARGE", 50_000)
    for module in (remote_gc, remote_view, transfer):
        monkeypatch.setattr(module, "THREADS", 1)
    real = guarding.Guard.__init__

    def resting(guard, repo, sent, tracking):
        real(guard, repo, sent, tracking, sent.remote.rest)

    monkeypatch.setattr(guarding.Guard, "__init__", resting)
    for seed in seeds:
        root = tmp_path / str(seed)
        root.mkdir()
        trial = Trial(root, seed)
        trial.prepare()
        trial.race()
        try:
            trial.check()
        except BaseException as error:
            error.add_note(f"seed {seed}, dead: {trial.died}")
            raise
