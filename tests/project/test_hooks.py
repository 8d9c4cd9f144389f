"""Hooks: told of questions and of ends, and never in a run's way. They run for real, in a project on disk."""

from __future__ import annotations

import json
import time

import pytest

from kitaru.project import Project
from tests.runtime.bench import Scripts

LIMIT_S = 30

FLOW = """
    import kitaru
    from kitaru import checkpoint, flow

    @checkpoint
    def draft():
        return "text"

    @flow
    def approval(size: int = 0):
        draft()
        return kitaru.wait("approve", "Right?" + "x" * size, deadline="3d")

    @flow
    def failing():
        raise ValueError("no luck")
"""


@pytest.fixture
def scripts(tmp_path):
    found = Scripts(tmp_path)
    found.write("flows.py", FLOW)
    return found


def hook(scripts, name, text, *, executable=True):
    file = scripts.write(f".kitaru/hooks/{name}", text)
    file.chmod(0o755 if executable else 0o644)


KEEPS = """\
    #!/bin/sh
    cat > "$KITARU_DIR/{name}.tmp"
    mv "$KITARU_DIR/{name}.tmp" "$KITARU_DIR/{name}.json"
    echo seen
"""


def until(file):
    deadline = time.monotonic() + LIMIT_S
    while not file.exists():
        assert time.monotonic() < deadline, f"{file} was never made"
        time.sleep(0.01)
    return file.read_text()


def until_logged(scripts, run, text):
    deadline = time.monotonic() + LIMIT_S
    file = scripts.root / ".kitaru" / "cache" / "hooks" / f"{run}.log"
    while not file.exists() or text not in file.read_text():
        assert time.monotonic() < deadline, file.read_text() if file.exists() else "no log"
        time.sleep(0.01)
    return file.read_text()


def run(scripts, target="approval", **inputs):
    return scripts.do(f"project.run('flows.py:{target}', {inputs!r}, foreground=True)")


def test_a_question_and_an_end_are_told(scripts):
    for name in ("on-wait", "on-end"):
        hook(scripts, name, KEEPS.format(name=name))
    run(scripts)
    asked = json.loads(until(scripts.root / "on-wait.json"))
    assert (asked["event"], asked["flow"], asked["wait"], asked["question"]) == (
        "on-wait",
        "approval",
        "approve",
        "Right?",
    )
    assert asked["answer_with"] == f"kitaru answer {asked['run']} approve true"
    assert asked["choices"] == ["true", "false"]
    assert asked["deadline"] > asked["asked"]
    assert list(asked["shown"]) == ["draft"]
    assert not (scripts.root / "on-end.json").exists()
    scripts.do("project.answer('@', None, True, foreground=True)")
    ended = json.loads(until(scripts.root / "on-end.json"))
    assert (ended["event"], ended["run"], ended["status"]) == ("on-end", asked["run"], "completed")
    log = until_logged(scripts, asked["run"], "on-end: done")
    assert "seen\non-wait: done" in log


def test_a_question_is_told_once(scripts):
    hook(scripts, "on-wait", "#!/bin/sh\necho asked >> $KITARU_DIR/asked\n")
    run(scripts)
    until(scripts.root / "asked")
    scripts.do("project.resume('@', foreground=True)")
    hook(scripts, "on-end", KEEPS.format(name="on-end"))
    scripts.do("project.answer('@', None, True, foreground=True)")
    until(scripts.root / "on-end.json")
    assert scripts.lines("asked") == ["asked"]


@pytest.mark.parametrize("how", ["failed", "cancelled", "rejected"])
def test_however_a_run_ends(scripts, how):
    hook(scripts, "on-end", KEEPS.format(name="on-end"))
    if how == "failed":
        run(scripts, "failing")
    else:
        run(scripts)
        project = Project.open(scripts.root)
        ended = project.cancel("@", reason="enough") if how == "cancelled" else project.reject("@", note="enough")
        assert ended.ended
    told = json.loads(until(scripts.root / "on-end.json"))
    assert told["status"] == ("failed" if how == "failed" else "cancelled")
    if how == "failed":
        assert told["error"]["message"] == "no luck"
    else:
        assert (told["cancelled"]["reason"], "wait" in told["cancelled"]) == ("enough", how == "rejected")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("#!/bin/sh\necho trouble >&2\nexit 3\n", "trouble\non-wait: ended with status 3"),
        ("#!/bin/sh\nexec 0<&-\nkill -9 $$\n", "on-wait: ended with status -9"),
        ("#!/no/such/thing\n", "on-wait: could not be started: No such file or directory"),
        ("", "on-wait: could not be started: Exec format error"),
    ],
    ids=["fails", "dies", "no interpreter", "empty"],
)
def test_a_hook_that_fails_hurts_nobody(scripts, text, told):
    hook(scripts, "on-wait", text)
    assert "waiting" in run(scripts)
    until_logged(scripts, scripts.project.log()[0].run, told)


def test_a_hook_that_writes_without_end_fills_no_disk(scripts):
    hook(scripts, "on-wait", "#!/bin/sh\necho first\nhead -c 50000000 /dev/zero\n")
    run(scripts)
    told = until_logged(scripts, scripts.project.log()[0].run, "on-wait: done")
    assert told.startswith("first")
    assert len(told) < 2 << 20


def test_a_hook_that_hangs_hurts_nobody_and_is_killed(scripts):
    hook(scripts, "on-wait", "#!/bin/sh\nsleep 1000 &\nsleep 1000\n")
    program = """
from kitaru import Project
from kitaru.project import hooks
hooks.LIMIT_S = 0.2
print(Project.open().run("flows.py:approval", {"size": 1_000_000}, foreground=True).outcome.status)
"""
    assert scripts.python("-c", program) == "waiting\n"
    until_logged(scripts, scripts.project.log()[0].run, "on-wait: killed, it took longer than 0.2 s")


def test_what_is_not_executable_or_a_sample_is_not_run(scripts):
    hook(scripts, "on-wait", KEEPS.format(name="on-wait"), executable=False)
    assert (scripts.root / ".kitaru/hooks/on-wait.sample").exists()
    run(scripts)
    assert not (scripts.root / ".kitaru/cache/hooks").exists()


def test_samples_are_laid_down_and_say_what_they_do(scripts):
    samples = sorted((scripts.root / ".kitaru" / "hooks").iterdir())
    assert [file.name for file in samples] == ["on-end.sample", "on-wait.sample"]
    for file in samples:
        assert file.stat().st_mode & 0o111
        assert "To use it: copy it to" in file.read_text()


def test_the_sample_posts_to_a_webhook(scripts):
    import http.server
    import threading

    got = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            got.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        hook(scripts, "on-wait", (scripts.root / ".kitaru/hooks/on-wait.sample").read_text())
        url = f"http://127.0.0.1:{server.server_port}/"
        scripts.do("project.run('flows.py:approval', {}, foreground=True)", KITARU_WEBHOOK=url)
        thread.join(LIMIT_S)
    assert got[0]["wait"] == "approve"
    assert "kitaru answer" in got[0]["text"]
    until_logged(scripts, got[0]["run"], "200\non-wait: done")
