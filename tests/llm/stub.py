"""A provider for tests: OpenAI's chat API on 127.0.0.1, which does what the last message tells it to.

    python -m tests.llm.stub FILE

serves until it is killed, prints its port, and appends each request's last message to FILE as a line.
"""

from __future__ import annotations

import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

MODEL = "openai/gpt-4o-mini"
"""A model whose price litellm knows: 0.15 and 0.60 dollars per million tokens."""


class Stub:
    """The server. `script` is a list of behaviours for the next requests; without one a request is echoed.

    Behaviours: a text to reply; `429` or `429:SECONDS`, `500`, `401`, `400`; `hang`, until the stub is closed; `cut`, a
    stream without its end; `broken`, a chunked reply that stops; `malformed`, no JSON; `tool:NAME:ARGUMENTS`;
    `unpriced`, without usage.
    """

    def __init__(self, record: Path | None = None) -> None:
        self.requests: list[dict] = []
        self.headers: list[dict] = []
        self.script: list[str] = []
        self.closing = threading.Event()
        self.asked = threading.Event()
        self.lock = threading.Lock()
        self.record = record
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)

    @property
    def port(self) -> int:
        return self._server.server_port

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def said(self) -> list[str]:
        """The last message of each request."""
        return [request["messages"][-1]["content"] for request in self.requests]

    def settings(self, **more) -> dict:
        """A project's settings with this as the model `fast`."""
        fast = {"model": MODEL, "secret": "stub", "api-base": self.url}
        return {"models": {"fast": fast}, "secrets": {"stub": "env:STUB_KEY"}, "default-model": "fast", **more}

    def __enter__(self) -> Stub:
        self._thread.start()
        return self

    def __exit__(self, *_) -> None:
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def take(self, request: dict, headers: dict) -> str:
        with self.lock:
            self.requests.append(request)
            self.headers.append(headers)
            if self.record is not None:
                with self.record.open("a") as file:
                    file.write(json.dumps(request["messages"][-1]["content"]) + "\n")
            self.asked.set()
            return self.script.pop(0) if self.script else f"echo: {request['messages'][-1]['content']}"


def _handler(stub: Stub) -> type:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_) -> None:
            pass

        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers["content-length"])))
            behaviour = stub.take(request, dict(self.headers))
            try:
                self._behave(behaviour, request)
            except (BrokenPipeError, ConnectionResetError):
                self.close_connection = True

        def _behave(self, behaviour: str, request: dict) -> None:
            word, _, rest = behaviour.partition(":")
            if word == "hang":
                stub.closing.wait()
                self.close_connection = True
            elif word in ("429", "500", "401", "400"):
                key = self.headers.get("authorization", "")
                retry = {"Retry-After": rest} if rest else {}
                self._send(int(word), {"error": {"message": f"told to fail; your header was {key}"}}, **retry)
            elif word == "malformed":
                self._send(200, b'{"id": "x", "choi')
            elif request.get("stream"):
                self._stream(word, rest, behaviour)
            else:
                self._send(200, _reply(word, rest, behaviour), **{"x-request-id": f"req-{len(stub.requests)}"})

        def _send(self, status: int, body, **headers: str) -> None:
            data = body if isinstance(body, bytes) else json.dumps(body).encode()
            lines = [f"HTTP/1.1 {status} X", "Content-Type: application/json", f"Content-Length: {len(data)}"]
            lines += [f"{name}: {value}" for name, value in headers.items()]
            self.wfile.write("\r\n".join([*lines, "", ""]).encode() + data)

        def _stream(self, word: str, rest: str, behaviour: str) -> None:
            self.wfile.write(b"HTTP/1.1 200 X\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
            cut = word in ("cut", "broken", "stall")
            for piece in _pieces(rest or "it broke off" if cut else behaviour, word, rest):
                self._event({"choices": [{"index": 0, "delta": piece, "finish_reason": None}]})
            if word == "stall":
                stub.closing.wait()
            if word in ("broken", "stall"):
                self.close_connection = True
                return
            if not cut:
                finish = "tool_calls" if word == "tool" else "stop"
                self._event({"choices": [{"index": 0, "delta": {}, "finish_reason": finish}]})
                self._event({"choices": [], "usage": _USAGE})
                self._chunk(b"data: [DONE]\n\n")
            self._chunk(b"")

        def _event(self, fields: dict) -> None:
            event = {"id": "s1", "object": "chat.completion.chunk", "created": 1, "model": "stub-1", **fields}
            self._chunk(b"data: " + json.dumps(event).encode() + b"\n\n")

        def _chunk(self, data: bytes) -> None:
            self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
            self.wfile.flush()

    return Handler


_USAGE = {
    "prompt_tokens": 1000,
    "completion_tokens": 100,
    "total_tokens": 1100,
    "prompt_tokens_details": {"cached_tokens": 0},
    "completion_tokens_details": {"reasoning_tokens": 40},
}
COST = 210_000
"""Nano-dollars that such a usage costs: 1000 at 150 and 100 at 600 each."""


def _tool(rest: str) -> dict:
    name, _, arguments = rest.partition(":")
    return {"id": "call_1", "type": "function", "function": {"name": name, "arguments": arguments}}


def _reply(word: str, rest: str, behaviour: str) -> dict:
    message = {"role": "assistant", "content": behaviour}
    if word == "tool":
        message = {"role": "assistant", "content": None, "tool_calls": [_tool(rest)]}
    choice = {"index": 0, "message": message, "finish_reason": "tool_calls" if word == "tool" else "stop"}
    found = {"id": "c1", "object": "chat.completion", "created": 1, "model": "stub-1", "choices": [choice]}
    return found if word == "unpriced" else {**found, "usage": _USAGE}


def _pieces(text: str, word: str, rest: str) -> list[dict]:
    if word == "tool":
        call = _tool(rest)
        first = {**call, "index": 0, "function": {**call["function"], "arguments": ""}}
        return [
            {"tool_calls": [first]},
            {"tool_calls": [{"index": 0, "function": {"arguments": rest.partition(":")[2]}}]},
        ]
    return [{"content": word if n == 0 else f" {word}"} for n, word in enumerate(text.split(" "))]


if __name__ == "__main__":
    with Stub(Path(sys.argv[1])) as served:
        print(served.port, flush=True)
        sys.stdin.read()
