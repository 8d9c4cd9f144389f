"""A proxy of HTTP on the loopback address that misbehaves as it is told, between a client and a real server.

    with Proxy(server.port) as proxy:
        place = s3_remote(proxy.endpoint)
        proxy.fail(3, "cut-answer")                       # the third request from now on
        proxy.fail(1, "status:503", method="PUT")         # the first PUT
        proxy.fail(2, "refuse", times=4, path="runs/")    # the second to the fifth request with that in its path
        ...
        proxy.requests                                    # what came: [Request("PUT", "/kitaru/…", 1234), …]

The signature of a request covers its Host header, so requests are passed on exactly as they came: point the client at
`proxy.endpoint`. Rules are looked at in the order they were given; the first that applies to a request counts it, and
is done when it is the n-th. A rule is over after its `times`. What a rule may do (`behaviour`):

    refuse          close the connection before anything was read of the request's body: nothing reaches the server
    cut-request     pass on half of the body, then close both connections
    cut-answer      pass the request on, wait for the answer, and close without a byte of it: the server HAS done it
    truncate        pass on the answer, but only half of its body, then close
    garble          pass on the answer with a bit of each 1,000 bytes of its body flipped, at full length
    hold            wait with the answer until `proxy.release()` is called (`proxy.held` is an event: it waits)
    status:CODE     answer with that status and an S3 error whose code is as real servers have it (500, 503, 409, 403);
    error:NAME      answer with the S3 error NAME (ExpiredToken, RequestTimeTooSkewed, AccessDenied, SlowDown, …)
    page            answer 200 with a page of HTML, as a captive portal does
    chunked         pass on the answer without its length, in chunks
    noise           answer with bytes that are no HTTP
    deaf            answer a write with success and pass nothing on, as a server that knows no conditions would

`proxy.down()` refuses every new connection at once and cuts those there are, `proxy.up()` ends that. `proxy.fail()`
returns the rule, whose `met` is an event: it has been applied.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from dataclasses import dataclass, field

CHUNK = 1 << 16
_STATUS = {403: "AccessDenied", 409: "ConditionalRequestConflict", 500: "InternalError", 503: "SlowDown"}
_ERRORS = {
    "AccessDenied": 403,
    "InvalidAccessKeyId": 403,
    "SignatureDoesNotMatch": 403,
    "ExpiredToken": 400,
    "RequestTimeTooSkewed": 403,
    "SlowDown": 503,
    "NoSuchBucket": 404,
    "NotImplemented": 501,
    "PermanentRedirect": 301,
}


@dataclass(frozen=True)
class Request:
    """A request as it came: `path` is the raw target, with its query; `size` is of its body."""

    method: str
    path: str
    size: int


@dataclass
class Rule:
    """What is to happen to the n-th request that fits."""

    at: int
    behaviour: str
    times: int
    method: str
    path: str
    seen: int = 0
    met: threading.Event = field(default_factory=threading.Event)

    def applies(self, request: Request) -> bool:
        """Count a request that fits, and tell whether it is its turn."""
        fits = request.method in (self.method or request.method) and self.path in request.path
        if not fits:
            return False
        self.seen += 1
        return self.at <= self.seen < self.at + self.times


class Proxy:
    """The proxy; see the module."""

    def __init__(self, port: int) -> None:
        self.requests: list[Request] = []
        self.held = threading.Event()
        self._port = port
        self._rules: list[Rule] = []
        self._released = threading.Event()
        self._guard = threading.Lock()
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._is_down = False

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def fail(self, at: int, behaviour: str, *, times: int = 1, method: str = "", path: str = "") -> Rule:
        """Let the `at`-th fitting request from now on, and `times - 1` after it, meet with `behaviour`."""
        rule = Rule(at, behaviour, times, method, path)
        with self._guard:
            self._rules.append(rule)
        return rule

    def heal(self) -> None:
        """Forget all rules, and let go what is held."""
        with self._guard:
            self._rules.clear()
        self.release()
        self.up()

    def release(self) -> None:
        """Let go the answers that are held, now and from now on."""
        self._released.set()

    def down(self) -> None:
        """Be as a host that refuses connections."""
        self._is_down = True
        self._cut()

    def up(self) -> None:
        """Be there again."""
        self._is_down = False

    def __enter__(self) -> Proxy:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self._accepting = threading.Thread(target=self._accept, daemon=True)
        self._accepting.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.release()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._accepting.join()
        self._listener.close()
        self._cut()
        for thread in self._threads:
            thread.join()

    def _cut(self) -> None:
        with self._guard:
            for connection in self._open:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if self._is_down:
                _reset(client)
                continue
            thread = threading.Thread(target=self._serve, args=(client,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, client: socket.socket) -> None:
        """Pass on the requests of one connection, one after the other, until somebody closes it."""
        with self._kept(client), socket.create_connection(("127.0.0.1", self._port)) as server, self._kept(server):
            with contextlib.suppress(OSError, EOFError), client.makefile("rb") as asked, server.makefile("rb") as told:
                while self._exchange(client, server, asked, told):
                    pass

    @contextlib.contextmanager
    def _kept(self, connection: socket.socket):
        with self._guard:
            self._open.add(connection)
        try:
            yield
        finally:
            with self._guard:
                self._open.discard(connection)
            connection.close()

    def _exchange(self, client, server, asked, told) -> bool:
        """Pass on one request and its answer; False when the connection is over."""
        head = _head(asked)
        method, path, _ = head.split(b"\r\n", 1)[0].decode("latin-1").split(" ", 2)
        size = _length(head)
        behaviour = self._behaviour(Request(method, path, size))
        if behaviour == "refuse":
            return False
        if b"100-continue" in head.lower():
            client.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
            head = _without_expect(head)
        body = _exactly(asked, size)
        if made_up := _made_up(behaviour):
            client.sendall(made_up.partition(b"\r\n\r\n")[0] + b"\r\n\r\n" if method == "HEAD" else made_up)
            return False
        if behaviour == "cut-request":
            server.sendall(head + body[: len(body) // 2])
            return False
        server.sendall(head + body)
        answer, content = _answer(told, method)
        if behaviour == "cut-answer":
            return False
        if behaviour == "hold":
            self.held.set()
            self._released.wait()
        if behaviour == "chunked":
            client.sendall(_in_chunks(answer, content))
            return True
        client.sendall(answer + _spoiled(content, behaviour))
        return behaviour != "truncate"

    def _behaviour(self, request: Request) -> str:
        with self._guard:
            self.requests.append(request)
            for rule in self._rules:
                if rule.applies(request):
                    rule.met.set()
                    return rule.behaviour
        return ""


def _head(stream) -> bytes:
    lines = []
    while True:
        line = stream.readline()
        if not line:
            raise EOFError
        lines.append(line)
        if line == b"\r\n":
            return b"".join(lines)


def _field(head: bytes, name: bytes) -> bytes:
    for line in head.split(b"\r\n")[1:]:
        key, _, value = line.partition(b":")
        if key.strip().lower() == name:
            return value.strip()
    return b""


def _length(head: bytes) -> int:
    return int(_field(head, b"content-length") or 0)


def _without_expect(head: bytes) -> bytes:
    return b"\r\n".join(line for line in head.split(b"\r\n") if not line.lower().startswith(b"expect:"))


def _exactly(stream, size: int) -> bytes:
    data = stream.read(size)
    if len(data) != size:
        raise EOFError
    return data


def _answer(told, method: str) -> tuple[bytes, bytes]:
    """Return the head and the body of an answer; of one that comes in chunks, both as if it had not."""
    head = _head(told)
    status = int(head.split(b" ", 2)[1])
    if method == "HEAD" or status in (204, 304):
        return head, b""
    if _field(head, b"transfer-encoding").lower() != b"chunked":
        return head, _exactly(told, _length(head))
    body = b""
    while size := int(told.readline().split(b";")[0], 16):
        body += _exactly(told, size)
        told.readline()
    _head(told)
    lines = [line for line in head.split(b"\r\n") if line and not line.lower().startswith(b"transfer-encoding:")]
    return b"\r\n".join([*lines, b"Content-Length: %d" % len(body), b"", b""]), body


def _in_chunks(head: bytes, content: bytes) -> bytes:
    lines = [line for line in head.split(b"\r\n") if line and not line.lower().startswith(b"content-length:")]
    chunks = b"%x\r\n%s\r\n" % (len(content), content) if content else b""
    return b"\r\n".join([*lines, b"Transfer-Encoding: chunked", b"", chunks + b"0", b"", b""])


def _spoiled(content: bytes, behaviour: str) -> bytes:
    if behaviour == "truncate":
        return content[: len(content) // 2]
    if behaviour == "garble":
        spoiled = bytearray(content)
        for at in range(0, len(spoiled), 1000):
            spoiled[at] ^= 1
        return bytes(spoiled)
    return content


def _made_up(behaviour: str) -> bytes:
    """Return an answer that no server gave; nothing where one is asked."""
    word, _, rest = behaviour.partition(":")
    if word == "noise":
        return b"\x16\x03\x01 this is no HTTP\r\n\r\n"
    if word == "page":
        return _http(200, "text/html", b"<html><body>Please log in to this network</body></html>")
    if word == "deaf":
        return _http(200, "text/plain", b"", 'ETag: "0123456789abcdef"')
    if word == "status":
        return _error(int(rest), _STATUS.get(int(rest), "Unknown"))
    return _error(_ERRORS.get(rest, 400), rest) if word == "error" else b""


def _error(status: int, code: str) -> bytes:
    text = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>told to fail</Message></Error>"
    return _http(status, "application/xml", text.encode())


def _http(status: int, kind: str, body: bytes, *more: str) -> bytes:
    lines = [
        f"HTTP/1.1 {status} X",
        f"Content-Type: {kind}",
        f"Content-Length: {len(body)}",
        "Connection: close",
        *more,
    ]
    return "\r\n".join([*lines, "", ""]).encode() + body


def _reset(connection: socket.socket) -> None:
    """Close a connection so that the other side sees it refused."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    connection.close()
