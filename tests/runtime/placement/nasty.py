"""Checkpoints that misbehave in processes of their own. At the top level of a module, where a worker finds them."""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import kitaru
from kitaru import checkpoint

FOREVER = 600.0
SLEEPER = [sys.executable, "-S", "-c", f"import time; time.sleep({FOREVER})"]

isolated = checkpoint(runtime="isolated")


@dataclass
class Point:
    x: int
    y: list[int]


@isolated
def pid(_n: int = 0) -> int:
    return os.getpid()


@isolated
def grown(point: Point, *more: int, **named: Point) -> Point:
    point.y.append(99)
    return Point(point.x + sum(more), [*point.y, *(p.x for p in named.values())])


@isolated
def told(text: str) -> str:
    print("printed", text)
    print("to stderr", text, file=sys.stderr)
    os.write(1, f"written {text}\n".encode())
    subprocess.run(["echo", "child", text], check=True)
    kitaru.log(text=text, n=len(text))
    kitaru.save("upper", text.upper())
    return kitaru.current_call().key


@isolated
def loaded(name: str) -> object:
    return kitaru.load(name)


@isolated
def logged() -> None:
    import logging

    logging.getLogger("nasty").warning("careful")


@isolated
def raised(text: str) -> None:
    class Local(Exception):
        def __init__(self, lock: object) -> None:
            super().__init__(text)
            self.lock = lock

    raise Local(threading.Lock())


@isolated
def refused(text: str) -> None:
    raise LookupError(text)


@isolated
def unstorable() -> object:
    return {"lock": [threading.Lock()]}


@isolated
def exits(code: int) -> None:
    print("about to leave")
    os._exit(code)


@isolated
def leaves_traces(how: str) -> None:
    """Save and log, and come to an end in which nothing more can be said."""
    kitaru.log(tokens=1, step="first")
    kitaru.save("draft", ["kept"])
    kitaru.save("large", b"x" * (1 << 20))
    kitaru.log(step="second")
    if how == "exit":
        os._exit(3)
    if how == "hang":
        time.sleep(60)
    raise ValueError(how)


@isolated
def segfaults() -> None:
    ctypes.string_at(0)


@isolated
def killed() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@checkpoint(runtime="isolated", runtime_options={"memory": "256MiB"})
def eats() -> int:
    return len(bytearray(1 << 30))


@checkpoint(runtime="isolated", runtime_options={"cpu_s": 1})
def burns() -> None:
    while True:
        pass


@checkpoint(runtime="isolated", timeout=0.3)
def ignores_sigterm(path: str) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    Path(path).write_text(str(os.getpid()))
    time.sleep(FOREVER)


@checkpoint(runtime="isolated", timeout=0.5)
def stuck_in_c() -> None:
    """Hold the interpreter's lock for ever: no other thread of this process comes to do anything."""
    ctypes.PyDLL(None).sleep(int(FOREVER))


@isolated
def dumps(size: int) -> int:
    piece = b"x" * 65535 + b"\n"
    for _ in range(size // len(piece)):
        os.write(1, piece)
    return size


@isolated
def prints(lines: int) -> None:
    for n in range(lines):
        print("y" * 99, n)


@isolated
def closes_output() -> str:
    sys.stdout.close()
    os.close(2)
    return "still here"


def _note(path: str, *pids: int) -> None:
    Path(path).write_text(" ".join(map(str, pids)))


@isolated
def leaves_children(path: str) -> int:
    """Leave a child in the group, one in a session of its own, and one that nobody is the parent of."""
    plain = subprocess.Popen(SLEEPER)
    own = subprocess.Popen(SLEEPER, start_new_session=True)
    shell = f"{sys.executable} -S -c 'import time; time.sleep({FOREVER})' > /dev/null 2>&1 & echo $!"
    orphan = subprocess.run(["setsid", "sh", "-c", shell], stdout=subprocess.PIPE, check=True)
    for process in (plain, own):
        process.returncode = 0
    _note(path, plain.pid, own.pid, int(orphan.stdout.split()[0]))
    return os.getpid()


@isolated
def forks_and_waits(path: str) -> None:
    children = [subprocess.Popen(SLEEPER, start_new_session=bool(n % 2)) for n in range(4)]
    _note(path, os.getpid(), *(child.pid for child in children))
    children[0].wait()


@isolated
def forks_and_dies(path: str) -> None:
    children = [subprocess.Popen(SLEEPER, start_new_session=bool(n % 2)) for n in range(4)]
    _note(path, os.getpid(), *(child.pid for child in children))
    os.kill(os.getpid(), signal.SIGSEGV)


@isolated
def leaves_thread() -> int:
    threading.Thread(target=time.sleep, args=(FOREVER,), daemon=True).start()
    return os.getpid()


@isolated
def spoils() -> int:
    os.environ["SPOILT"] = "1"
    os.chdir("/")
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    return os.getpid()


@isolated
def seen(names: list[str]) -> dict[str, str | None]:
    return {**{name: os.environ.get(name) for name in names}, "cwd": str(Path.cwd())}


@checkpoint(runtime="isolated", runtime_options={"env": ["SECRET", "CLOUD_*"], "cwd": "work"})
def seen_more(names: list[str]) -> dict[str, str | None]:
    return {**{name: os.environ.get(name) for name in names}, "cwd": str(Path.cwd())}


@checkpoint(runtime="isolated", runtime_options={"max_calls": 1})
def fresh(_n: int) -> int:
    return os.getpid()


@checkpoint(runtime="isolated", ignore="client")
def with_client(n: int, client: object = None) -> str:
    return f"{n} {client}"


@isolated
def large(data: bytes) -> bytes:
    return data[::-1]


@isolated
def interrupted() -> None:
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(FOREVER)


class Counter:
    def __init__(self, start: int) -> None:
        self.start = start
        self.lock = threading.Lock()

    @isolated
    def up(self, by: int) -> int:
        return self.start + by


@checkpoint(runtime="isolated", retries=2)
def dies_twice(path: str) -> int:
    attempt = kitaru.current_call().attempt
    with Path(path).open("a") as file:
        file.write(f"{attempt}\n")
    if attempt < 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return attempt


@isolated
def waits_for_ever(fifo: str, path: str) -> None:
    _note(path, os.getpid())
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    Path(fifo).write_text("here")
    time.sleep(FOREVER)


@isolated
async def later(n: int) -> int:
    await asyncio.sleep(0)
    return n + 1


@isolated
def meets(directory: str, n: int, others: int) -> int:
    """Return when as many others execute at the same time."""
    Path(directory, str(n)).touch()
    until = time.monotonic() + 20
    while len(list(Path(directory).iterdir())) < others:
        if time.monotonic() > until:
            raise TimeoutError(f"{n} is alone")
        time.sleep(0.005)
    return n


@checkpoint(runtime="isolated", timeout=0.2, retries=1)
def too_long(path: str) -> None:
    with Path(path).open("a") as file:
        file.write("begun\n")
    time.sleep(FOREVER)


@isolated
def progresses() -> None:
    kitaru.progress("half way", percent=50)


@isolated
async def sleeps_async(path: str) -> None:
    Path(path).write_text(str(os.getpid()))
    await asyncio.sleep(FOREVER)


@isolated
def waits_for_an_answer() -> bool:
    return kitaru.wait("approve", "really?")


@isolated
def primitives() -> bool:
    kitaru.sleep(0.001)
    return kitaru.now() is not None and kitaru.uuid4() is not None


@checkpoint(runtime="isolated", ignore="secret")
def with_secret(n: int, secret: str) -> list[int]:
    assert len(secret) > 1000
    return [n, len(secret)]
