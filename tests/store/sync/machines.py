"""Machines that share a remote: each a store, with what it knows of the remote, and a person who does things there."""

from __future__ import annotations

import contextlib
import hashlib

from kitaru.blobs import LocalBlobs
from kitaru.blobs.folder import FolderBlobs
from kitaru.errors import UnknownRun
from kitaru.model.records import Answer, Call, End, Resumed, Start, Wait
from kitaru.store import Repository, sync
from kitaru.store.check import DAMAGE, check
from kitaru.store.sync.comparing import compare, keys_here
from tests.store.samples import nonces, value

ASKED = hashlib.sha256(b"question").hexdigest()


def share(path):
    """A shared folder that is not synced: the tests of its durability are elsewhere."""
    folder = FolderBlobs(path, random_bytes=nonces(len(path.name) << 20))
    folder.durable = False
    return folder


class Machine:
    """A store at `path`, whose user is `who`.

    Args:
        path: where.
        who: the user, who is also the source of all randomness here.
        remote: what is pushed to and pulled from.
        blobs: the store's, in the place of such as are not synced.
    """

    def __init__(self, path, who, remote, blobs=None):
        seed = int.from_bytes(hashlib.sha256(who.encode()).digest()[:4], "big") << 16
        self.who, self.remote = who, remote
        self.repo = Repository.create(blobs or LocalBlobs(path, False, random_bytes=nonces(seed)), nonces(seed + 1))
        self.blobs = self.repo.blobs
        self.now = 1000

    def tick(self):
        self.now += 1
        return self.now

    @property
    def tracking(self):
        """As the next process finds it."""
        return sync.Tracking.open(self.blobs, "team", "there")

    def push(self, *runs, **options):
        choose = options.pop("choose", sync.PushChoice(runs=runs))
        return sync.push(self.pair(options), choose, **options)

    def pull(self, **options):
        choose = options.pop("choose", None)
        return sync.pull(self.pair(options), choose, **options)

    def fetch(self, **options):
        return sync.fetch(self.pair(options), **options)

    def pair(self, options):
        told = {"tell": options.pop("tell")} if "tell" in options else {}
        return sync.Pair(self.repo, options.pop("remote", self.remote), self.tracking, self.tick(), **told)

    def standing(self):
        return compare(keys_here(self.blobs), self.tracking)

    # -- what somebody does here ---------------------------------------------------------------------------------

    def version(self, flow="demo", code="x = 1"):
        """Record a version of a flow, and return its id."""
        version, objects = value({"entry": flow, "files": {"a.py": code.encode()}, "by": self.who})
        digest = hashlib.sha256(code.encode()).hexdigest()
        self.repo.put_objects(objects)
        self.repo.add_version(flow, id=version, digest=digest, at=self.tick(), by=self.who)
        return version

    def run(self, run, *, calls=2, asks=True, large=b"", seal=True, flow="demo", source=None):
        """Begin a run: some calls, then a question, or the end."""
        version = self.version(flow)
        with self.repo.begin(run) as writer:
            origin = {"user": self.who, "host": f"{self.who}-pc"}
            version_fields = {"id": version, "n": 1}
            writer.commit(
                Start(at=self.tick(), flow=flow, version=version_fields, inputs={}, source=source, origin=origin)
            )
            for order in range(1, calls + 1):
                self.call(writer, order, f"{run} {order}", large=large)
            if asks:
                writer.commit(Wait(at=self.tick(), name="approve", order=calls + 1, digest=ASKED, question="Go on?"))
            else:
                writer.commit(End(at=self.tick(), status="completed"))
            if seal:
                writer.seal()
        return self

    def call(self, writer, order, what, *, large=b""):
        output, objects = value({"what": what, "by": self.who, "large": large})
        writer.commit(Call(at=self.tick(), name="step", order=order, began=self.now, output=output), objects)

    def answer(self, run, said=True):
        """Answer the question of a run; return whether this answer won here."""
        answered, objects = value(said)
        self.repo.put_objects(objects)
        return self.repo.put_answer(run, ASKED, value=answered, by=self.who, at=self.tick())[0]

    def carry_on(self, run, *, calls=1, ends=True, seal=True):
        """Take the answer of a run, and go on with it, to its end or to the next question."""
        records = self.repo.records(run)
        wait = next(stored for stored in records if isinstance(stored.record, Wait))
        answer = self.repo.answer(run, ASKED)
        orders = [getattr(stored.record, "order", 0) for stored in records]
        with self.repo.reopen(run) as writer:
            origin = {"user": self.who, "host": f"{self.who}-pc"}
            writer.commit(Resumed(at=self.tick(), version=records[0].record.version, origin=origin))
            writer.commit(Answer(at=self.tick(), wait=wait.id, value=answer.value, by=answer.by, answered=answer.at))
            for more in range(1, calls + 1):
                self.call(writer, max(orders) + more, f"{run} {self.who} {more}")
            if ends:
                writer.commit(End(at=self.tick(), status="completed"))
            else:
                again = hashlib.sha256(f"{self.who} {self.now}".encode()).hexdigest()
                writer.commit(Wait(at=self.tick(), name="again", order=max(orders) + calls + 1, digest=again))
            if seal:
                writer.seal()
        return self

    def go_on(self, run, what="more"):
        """Make one more call of a run that has not ended."""
        records = self.repo.records(run)
        orders = [getattr(stored.record, "order", 0) for stored in records]
        with self.repo.reopen(run) as writer:
            self.call(writer, max(orders) + 1, f"{run} {self.who} {what}")
            writer.seal()
        return self

    def branch(self, run, source, **options):
        """Replay a run from its end."""
        head = self.repo.records(source)[-1].id
        return self.run(run, source={"run": source, "head": head, "cut": None, "from": ""}, **options)

    def prune(self, run):
        self.repo.prune(run, at=self.tick(), by=self.who, may=None)
        return self

    # -- what is there -------------------------------------------------------------------------------------------

    def runs(self):
        """Each run here to the ids of its records."""
        found = {}
        for run in self.repo.run_ids():
            with contextlib.suppress(UnknownRun):  # the power failed before its first name was durable
                found[run] = [stored.id for stored in self.repo.records(run)]
        return found

    def heads(self):
        return {run: ids[-1] for run, ids in self.runs().items()}

    def damage(self):
        return [finding for finding in check(self.repo).findings if finding.severity == DAMAGE]

    def lost(self):
        return list(self.blobs.keys("lost"))


def remote_damage(remote):
    """What is wrong with a remote, looked at as a store."""
    return [finding for finding in check(Repository.open(remote)).findings if finding.severity == DAMAGE]
