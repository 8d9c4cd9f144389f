"""The workers themselves: how one ended is not told of another, though it got the same pid."""

from __future__ import annotations

import pytest


def test_a_pid_that_is_given_again_is_another_worker(zygote):
    def forked(pid):
        zygote._hear({"about": "fork", "pid": pid})
        zygote._forked.remove(pid)
        return zygote._numbers[pid]

    first = forked(-5)
    zygote._hear({"about": "end", "pid": -5, "status": -9})
    second = forked(-5)
    assert zygote.ended(first, 0) == -9
    with pytest.raises(TimeoutError):
        zygote.ended(second, 0)
