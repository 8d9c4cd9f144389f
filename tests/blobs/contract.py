"""What every place that keeps blobs must do; a backend's own file only says how to make one."""

from __future__ import annotations

import contextlib
import os
import random
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from kitaru.errors import Damaged, StoreError

SECOND_US = 1_000_000
"""What times may be off that are told in whole seconds."""

BAD_KEYS = ["", "/", "/a", "a/", "a//b", ".", "..", "a/..", "../a", "a/../b", "a/./b", "a\0b", "a\\b", "a/" + "x" * 256]


class BlobsContract:
    writers = 8

    def test_what_is_created_is_read_back(self, blobs):
        assert blobs.create("a/b/c", b"content")
        assert blobs.get("a/b/c") == b"content"
        assert bytes(blobs.view("a/b/c")) == b"content"
        assert blobs.exists("a/b/c")
        assert blobs.size("a/b/c") == 7

    def test_a_stream_is_written_whole(self, blobs):
        assert blobs.create("k", (bytes([i]) * 1000 for i in range(5)))
        assert blobs.get("k") == b"".join(bytes([i]) * 1000 for i in range(5))

    @pytest.mark.parametrize("kind", [bytearray, memoryview])
    def test_content_may_be_any_bytes(self, blobs, kind):
        assert blobs.create("k", kind(b"content"))
        assert blobs.get("k") == b"content"
        assert blobs.create("l", (kind(piece) for piece in (b"con", b"", b"tent")))
        assert blobs.get("l") == b"content"

    def test_what_fails_while_it_is_written_leaves_nothing(self, blobs):
        def broken():
            yield b"half"
            raise RuntimeError("broke off")

        with pytest.raises(RuntimeError, match="broke off"):
            blobs.create("k", broken())
        assert not blobs.exists("k")
        assert blobs.create("k", b"whole")

    def test_keys_as_names_are_escaped(self, blobs):
        keys = ["f/%c3%a9", "f/a%/b", "f/a%2f", "f/a-b_c.d", "f/%2e"]
        for key in keys:
            assert blobs.create(key, key.encode())
        assert sorted(blobs.keys("f")) == sorted(keys)
        assert [blobs.get(key) for key in keys] == [key.encode() for key in keys]

    def test_empty_content(self, blobs):
        assert blobs.create("k", b"")
        assert blobs.get("k") == b""
        assert bytes(blobs.view("k")) == b""
        assert not blobs.create("k", b"x")

    def test_the_first_create_wins(self, blobs):
        assert blobs.create("k", b"first")
        assert not blobs.create("k", b"second")
        assert blobs.get("k") == b"first"

    def test_of_many_at_once_one_wins(self, blobs):
        won = []
        barrier = threading.Barrier(self.writers)

        def race(i):
            barrier.wait()
            if blobs.create("race/k", b"%d" % i):
                won.append(i)

        threads = [threading.Thread(target=race, args=(i,)) for i in range(self.writers)]
        [t.start() for t in threads]
        [t.join() for t in threads]
        assert len(won) == 1
        assert blobs.get("race/k") == b"%d" % won[0]

    def test_missing(self, blobs):
        for read in (blobs.get, blobs.view, blobs.size):
            with pytest.raises(KeyError):
                read("no/such")
        assert not blobs.exists("no/such")
        assert blobs.children("no") == []
        assert list(blobs.keys("no")) == []
        blobs.delete("no/such")

    def test_limit_and_start(self, blobs):
        blobs.create("k", b"0123456789")
        assert blobs.get("k", limit=10) == b"0123456789"
        assert blobs.get("k", start=4) == b"456789"
        assert blobs.get("k", start=10) == b""
        with pytest.raises(Damaged):
            blobs.get("k", limit=9)

    def test_listing(self, blobs):
        for key in ("a/2", "a/10", "a/b/c", "ab/x", "z"):
            blobs.create(key, b"")
        assert blobs.children("a") == ["10", "2", "b"]
        assert list(blobs.keys("a")) == ["a/10", "a/2", "a/b/c"]
        assert blobs.children("a/b") == ["c"]

    def test_delete(self, blobs):
        blobs.create("k", b"x")
        blobs.delete("k")
        assert not blobs.exists("k")
        assert blobs.create("k", b"y")

    @pytest.mark.parametrize("key", BAD_KEYS)
    def test_what_is_no_key_is_refused(self, blobs, key):
        for use in (blobs.get, blobs.view, blobs.exists, blobs.size, blobs.delete, lambda k: blobs.create(k, b"")):
            with pytest.raises(ValueError, match="not a key"):
                use(key)


class RemoteContract(BlobsContract):
    """A place that other machines write to as well. `other` is the same place, opened again."""

    writers = 5

    def test_it_tells_where_it_is(self, blobs):
        assert blobs.where("a/k").startswith(blobs.url)
        assert blobs.where("a/k").endswith("/a/k")

    def test_listing_tells_keys_sizes_and_times(self, blobs):
        before = blobs.now_us()
        for key in ("runs/a/2", "runs/a-b", "runs/a.b/1", "runsx", "x"):
            blobs.create(key, key.encode())
        after = blobs.now_us()
        found = list(blobs.listing("runs"))
        assert [listed.key for listed in found] == ["runs/a-b", "runs/a.b/1", "runs/a/2"]
        assert [listed.size for listed in found] == [8, 10, 8]
        assert all(before - SECOND_US <= listed.changed_us <= after for listed in found)
        assert [listed.key for listed in blobs.listing("")] == [*(listed.key for listed in found), "runsx", "x"]
        assert list(blobs.listing("none")) == []
        assert list(blobs.listing("runs/a/2")) == []

    def test_what_another_wrote_or_removed_is_seen_at_once(self, blobs, other):
        assert blobs.children("a") == []
        assert list(blobs.listing("")) == []
        assert not blobs.exists("a/k")
        other.create("a/k", b"x")
        assert blobs.exists("a/k")
        assert blobs.children("a") == ["k"]
        assert [listed.key for listed in blobs.listing("a")] == ["a/k"]
        assert not blobs.create("a/k", b"y")
        other.delete("a/k")
        assert blobs.children("a") == []
        assert list(blobs.listing("a")) == []
        assert blobs.create("a/k", b"y")

    @pytest.mark.parametrize("size", [0, 1, 8 << 20, (8 << 20) + 1, 40_000_001])
    def test_large_content_comes_in_pieces(self, blobs, size):
        content = random.Random(size).randbytes(size)
        assert blobs.create("objects/k", memoryview(content))
        assert not blobs.create("objects/k", memoryview(content))
        pieces = list(blobs.chunks("objects/k"))
        assert b"".join(pieces) == content
        assert max(map(len, pieces), default=0) <= 8 << 20
        assert b"".join(blobs.chunks("objects/k", limit=size)) == content
        assert blobs.get("objects/k", limit=size) == content
        assert blobs.size("objects/k") == size

    def test_pieces_of_what_is_missing_or_too_large(self, blobs):
        with pytest.raises(KeyError):
            list(blobs.chunks("none"))
        blobs.create("k", b"0123456789")
        with pytest.raises(Damaged, match="10 bytes, where at most 9 belong"):
            list(blobs.chunks("k", limit=9))

    def test_a_large_stream_that_breaks_off_leaves_nothing(self, blobs):
        def broken():
            for _ in range(40):
                yield b"x" * 1_000_000
            raise RuntimeError("broke off")

        with pytest.raises(RuntimeError, match="broke off"):
            blobs.create("objects/k", broken())
        assert not blobs.exists("objects/k")
        assert list(blobs.listing("")) == []
        assert list(blobs.unfinished()) == []
        assert blobs.create("objects/k", (b"x" * 1_000_000 for _ in range(40)))
        assert blobs.size("objects/k") == 40_000_000

    def test_whoever_stops_reading_stops(self, blobs):
        blobs.create("k", bytes(40_000_000))
        pieces = blobs.chunks("k")
        assert next(pieces)
        pieces.close()
        assert blobs.size("k") == 40_000_000

    def test_threads_share_it(self, blobs):
        with ThreadPoolExecutor(16) as pool:
            assert all(pool.map(lambda i: blobs.create(f"m/{i}", b"%d" % i), range(100)))
            assert list(pool.map(lambda i: blobs.get(f"m/{i}"), range(100))) == [b"%d" % i for i in range(100)]
        assert len(list(blobs.listing("m"))) == 100

    def test_a_forked_child_has_it_too(self, blobs):
        blobs.create("k", b"parent's")
        child = os.fork()
        if child == 0:
            done = False
            with contextlib.suppress(BaseException):
                done = blobs.get("k") == b"parent's" and blobs.create("l", b"child's")
            os._exit(0 if done else 1)
        assert os.waitpid(child, 0)[1] == 0
        assert blobs.get("l") == b"child's"

    def test_it_is_exclusive_and_keeps_nothing_of_the_trial(self, blobs):
        assert blobs.is_exclusive()
        assert list(blobs.listing("")) == []

    def test_time_goes_on(self, blobs):
        now_us = blobs.now_us()
        assert now_us <= blobs.now_us()
        assert list(blobs.listing("")) == []
        blobs.create("k", b"")
        assert now_us - SECOND_US <= next(iter(blobs.listing(""))).changed_us


class WorkspaceContract(BlobsContract):
    def test_a_file_grows(self, blobs):
        file = blobs.appender("open/r/n")
        assert file.append(b"one") == 3
        file.sync(3)
        assert file.append(b"two") == 6
        assert file.size == 6
        assert blobs.get("open/r/n").rstrip(b"\0") == b"onetwo"
        file.sync(6)
        file.finish()
        assert blobs.get("open/r/n") == b"onetwo"

    def test_a_file_that_grows_is_new(self, blobs):
        blobs.appender("open/r/n").close()
        with pytest.raises(StoreError):
            blobs.appender("open/r/n")

    def test_a_closed_file_is_not_written(self, blobs):
        file = blobs.appender("open/r/n")
        file.append(b"x")
        file.close()
        with pytest.raises(StoreError):
            file.append(b"y")
        assert blobs.get("open/r/n").rstrip(b"\0") == b"x"

    def test_what_is_staged_is_read_back_and_settled(self, blobs):
        assert blobs.stage("a/b/k", iter([b"con", b"tent"]))
        assert blobs.get("a/b/k") == b"content"
        assert not blobs.stage("a/b/k", b"other")
        assert not blobs.create("a/b/k", b"other")
        blobs.settle("a/b/k")
        assert blobs.get("a/b/k") == b"content"
        assert blobs.create("a/l", b"x")
        assert not blobs.stage("a/l", b"y")

    def test_adopt(self, blobs):
        file = blobs.appender("open/r/n")
        file.append(b"content")
        file.finish()
        assert blobs.adopt("open/r/n", "segments/ab/c")
        assert not blobs.adopt("open/r/n", "segments/ab/c")
        blobs.delete("open/r/n")
        assert blobs.get("segments/ab/c") == b"content"

    def test_move(self, blobs):
        blobs.create("a/k", b"bad")
        blobs.move("a/k", "lost/k")
        assert not blobs.exists("a/k")
        assert blobs.get("lost/k") == b"bad"

    def test_replace(self, blobs):
        blobs.create("a/k", b"bad")
        blobs.replace("a/k", b"right", "lost/k")
        assert (blobs.get("a/k"), blobs.get("lost/k")) == (b"right", b"bad")
        assert blobs.children("tmp") == []

    def test_settle_is_harmless(self, blobs):
        blobs.create("a/k", b"x")
        blobs.settle("a/k")
        blobs.settle("a/k", content=True)
        blobs.settle("b/none", content=True)
        assert blobs.get("a/k") == b"x"

    def test_stamps_change_when_something_is_added(self, blobs):
        blobs.create("runs/a/1", b"")
        blobs.create("runs/b/1", b"")
        before = blobs.stamps("runs")
        assert sorted(before) == ["a", "b"]
        while blobs.stamps("runs")["a"] == before["a"]:  # a file system's clock may tick slowly
            blobs.create(f"runs/a/{len(blobs.children('runs/a')) + 1}", b"")
        assert blobs.stamps("runs")["b"] == before["b"]
        assert blobs.stamps("runs", ["b", "none"]) == {"b": before["b"]}

    def test_freshen(self, blobs):
        blobs.create("a/k", b"x")
        before = blobs.stamp("a/k")
        assert blobs.stamp("a/k") == before
        while blobs.stamp("a/k") == before:  # as above
            assert blobs.freshen("a/k")
        assert blobs.get("a/k") == b"x"
        assert not blobs.freshen("a/none")
        with pytest.raises(KeyError):
            blobs.stamp("a/none")

    def test_prune_removes_only_what_is_empty(self, blobs):
        blobs.create("open/r/n", b"x")
        blobs.prune("open/r")
        assert blobs.get("open/r/n") == b"x"
        blobs.delete("open/r/n")
        blobs.prune("open/r")
        assert blobs.children("open") == []
        blobs.appender("open/r/m").close()
        assert blobs.children("open/r") == ["m"]

    def test_lock(self, blobs):
        assert not blobs.is_locked("r")
        held = blobs.lock("r")
        assert held is not None
        assert blobs.is_locked("r")
        assert not blobs.is_locked("other")
        assert blobs.lock("r", wait_s=0.02) is None
        held.release()
        held.release()
        assert not blobs.is_locked("r")
        again = blobs.lock("r")
        assert again is not None
        again.release()

    def test_a_lock_is_waited_for(self, blobs):
        held = blobs.lock("r")
        taken = []
        waiting = threading.Thread(target=lambda: taken.append(blobs.lock("r", wait_s=30)))
        waiting.start()
        held.release()
        waiting.join()
        assert taken[0] is not None
        taken[0].release()
