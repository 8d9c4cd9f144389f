from __future__ import annotations

import socket

import pytest

from kitaru.config import Config
from kitaru.runtime import redaction
from kitaru.testing import memory_project
from tests.llm.stub import Stub

KEY = "sk-canary-0123456789"


class Refused(Exception):
    """Something connects to where nothing may."""


@pytest.fixture(autouse=True)
def nothing_but_here(monkeypatch):
    """Let sockets reach this machine alone; what a library swallows fails the test all the same."""
    connect, lookup, tried = socket.socket.connect, socket.getaddrinfo, []

    def guarded(self, address):
        if isinstance(address, tuple) and address[0] != "127.0.0.1":
            tried.append(address)
            raise Refused(address)
        return connect(self, address)

    def looked_up(host, *args, **kwargs):
        if host not in ("127.0.0.1", None, b"127.0.0.1"):
            tried.append(host)
            raise Refused(host)
        return lookup(host, *args, **kwargs)

    monkeypatch.setattr(socket.socket, "connect", guarded)
    monkeypatch.setattr(socket, "getaddrinfo", looked_up)
    yield
    assert not tried


@pytest.fixture
def stub(monkeypatch):
    monkeypatch.setenv("STUB_KEY", KEY)
    monkeypatch.delenv("KITARU_DEFAULT_MODEL", raising=False)
    with Stub() as served:
        yield served
    redaction.forget()


@pytest.fixture
def project(stub):
    """A project in memory whose default model is the stub."""
    settings = stub.settings()
    default = settings.pop("default-model")
    return memory_project(config=Config(default_model=default, tables=settings))


def pytest_collection_modifyitems(items):
    """Leave out litellm's own warnings: of types that it builds late, and of pydantic's newest names."""
    for item in items:
        if "tests/llm" in str(item.path):
            item.add_marker(pytest.mark.filterwarnings("ignore:Item .* on TypedDict class"))
            item.add_marker(pytest.mark.filterwarnings("ignore:Accessing the 'model_"))
