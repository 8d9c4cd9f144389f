"""What stands behind the standard streams: nothing at all, a full disk, an encoding that lacks what is to be said."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TIMEOUT_S = 60
CODE = """
import subprocess
from kitaru import checkpoint, flow

@checkpoint
def größe(q: str) -> str:
    subprocess.run(["echo", "loud"], check=True)
    return q

@flow
def prüfung(q: str = "ü") -> str:
    return größe(q)
"""


@pytest.fixture
def there(tmp_path):
    (tmp_path / "flows.py").write_text(CODE, "utf-8")
    assert shell(tmp_path, "kitaru init && kitaru run flows.py:prüfung -q").returncode == 0
    return tmp_path


def shell(directory, command, **more):
    """Run a line of sh in which `kitaru` is this program."""
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))
    env = {**os.environ, "PYTHONPATH": path, **more}
    words = f'kitaru() {{ {shlex.quote(sys.executable)} -m kitaru.cli "$@"; }}; {command}'
    return subprocess.run(["sh", "-c", words], cwd=directory, env=env, capture_output=True, timeout=TIMEOUT_S)


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_what_an_encoding_lacks_is_escaped(there, encoding):
    ended = shell(there, "kitaru log @ && kitaru run flows.py:prüfung q=語 -q", PYTHONIOENCODING=encoding)
    assert (ended.returncode, b"Traceback" in ended.stderr) == (0, False)
    assert (b"gr\\xf6\\xdfe" if encoding == "ascii" else "größe".encode(encoding)) in ended.stdout
    assert ended.stdout.splitlines()[-1] in (b"\\u8a9e", "語".encode())


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no full disk to write to")
@pytest.mark.parametrize("command", ["kitaru log", "kitaru log -o json", "kitaru --help", "kitaru show @"])
def test_a_result_that_cannot_be_written(there, command):
    ended = shell(there, f"{command} >/dev/full")
    assert (ended.returncode, ended.stderr) == (
        1,
        b"error: the result cannot be written: No space left on device\n",
    )


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_a_stream_that_is_closed_swallows_what_is_said(there, closed):
    ended = shell(there, f"{{ kitaru run flows.py:prüfung && kitaru log && kitaru fsck; }} {closed}")
    assert (ended.returncode, b"Traceback" in ended.stderr) == (0, False)
    checked = shell(there, "kitaru fsck && kitaru show @ -o json")
    assert (checked.returncode, b'"status": "completed"' in checked.stdout) == (0, True)
