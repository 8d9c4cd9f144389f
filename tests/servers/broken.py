"""An upload to a bucket whose process is killed in the middle.

    broken_off(place.url, proxy, "objects/ab/cd…")

is done when some parts are on the server, and nobody is left who would complete or abort the upload.
"""

from __future__ import annotations

import subprocess
import sys

SIZE = 40_000_000
_UPLOAD = """
import sys
from kitaru.blobs.remotes import open_remote
url, endpoint, key, size = sys.argv[1:]
open_remote(url, {"endpoint-url": endpoint}).create(key, memoryview(bytes(int(size))))
"""


def broken_off(url, proxy, key):
    """Begin to write a large blob in a process of its own, and kill that when a part of it has arrived."""
    rule = proxy.fail(1, "hold", times=9, method="PUT", path="partNumber")
    argv = [sys.executable, "-c", _UPLOAD, url, proxy.endpoint, key, str(SIZE)]
    with subprocess.Popen(argv) as process:
        try:
            assert rule.met.wait(60)
            assert proxy.held.wait(60)
        finally:
            process.kill()
    proxy.heal()
