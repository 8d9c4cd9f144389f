"""What every test may ask for: a real bucket, on this machine; and how their process stands to Ctrl-C."""

from __future__ import annotations

import signal

import pytest

from tests.servers.fixtures import s3_proxy, s3_remote, s3_server

__all__ = ["s3_proxy", "s3_remote", "s3_server"]


@pytest.fixture(scope="session", autouse=True)
def _ctrl_c():
    """Take Ctrl-C as in a terminal; a shell has what it starts in the background ignore it, with its children."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
