"""Bytecode of recorded code: taken where it is what the source compiles to, and never in the way."""

from __future__ import annotations

import codecs
import marshal
import os
import resource
import subprocess
import sys
import threading
import traceback
from pathlib import Path

import pytest

import kitaru
from kitaru.config import assign
from kitaru.errors import CodeUnloadable
from kitaru.project import Project
from kitaru.runtime import bytecode, derived
from kitaru.runtime.bytecode import Bytecode, compiler
from kitaru.runtime.derived import Derived, key_of
from kitaru.runtime.entry import Entry
from kitaru.runtime.importing import ScriptLoader
from kitaru.runtime.loading import load_entry
from kitaru.runtime.placement.code import find_function, function_of

SOURCE = b"def outer():\n    def inner():\n        return 1 / 0\n    return inner\n"


class Compiler:
    """Compiles, and counts."""

    def __init__(self, source=SOURCE, path="/first.py"):
        self.source, self.path, self.times = source, path, 0

    def __call__(self):
        self.times += 1
        return compile(self.source, self.path, "exec", dont_inherit=True)


def bytecode_in(cache, **options):
    return Bytecode(Derived(cache, **options))


def code_of(kept, source=SOURCE, path="/first.py"):
    """Return a source's code, and how often it was compiled for that."""
    compiler = Compiler(source, path)
    return kept.code_of(source.decode(), path, compiler), compiler.times


def result_of(code):
    names = {}
    exec(code, names)
    return names


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "cache"


def entry_of(cache, source=SOURCE):
    return cache / "code" / key_of(source, compiler())


def test_it_is_compiled_once_and_private(cache):
    first, times = code_of(bytecode_in(cache))
    assert times == 1
    again, times = code_of(bytecode_in(cache))
    assert times == 0
    assert again == first
    assert cache.stat().st_mode & 0o777 == (cache / "code").stat().st_mode & 0o777 == 0o700
    (entry,) = (cache / "code").iterdir()
    assert entry == entry_of(cache)
    assert entry.stat().st_mode & 0o777 == 0o600


def test_its_tracebacks_lead_to_where_the_source_is_now(cache):
    code_of(bytecode_in(cache), path="/gone/agent.py")
    code, times = code_of(bytecode_in(cache), path="/here/agent.py")
    assert times == 0
    inner = result_of(code)["outer"]()
    with pytest.raises(ZeroDivisionError) as caught:
        inner()
    frame = traceback.extract_tb(caught.value.__traceback__)[-1]
    assert (frame.filename, frame.lineno) == ("/here/agent.py", 3)


def test_one_byte_more_is_another_source(cache):
    kept = bytecode_in(cache)
    assert code_of(kept)[1] == 1
    assert code_of(kept, SOURCE + b"\n")[1] == 1
    assert code_of(kept, SOURCE + b"\n")[1] == 0


def spoilt(data):
    """Yield an entry in every way in which it may not be one."""
    yield from (data[:n] for n in (0, 1, 13, 14, 45, 46, 47, len(data) - 1))
    yield from (data[:n] + bytes([data[n] ^ 1]) + data[n + 1 :] for n in (0, 12, 14, 45, 46, len(data) - 1))
    yield data + b"\0"
    yield os.urandom(len(data))


def test_what_is_spoilt_is_never_unmarshalled_and_written_anew(cache, monkeypatch):
    expected, _ = code_of(bytecode_in(cache))
    entry = entry_of(cache)
    good = entry.read_bytes()
    read = []
    monkeypatch.setattr(bytecode.marshal, "loads", lambda data, loads=marshal.loads: read.append(data) or loads(data))
    for bad in spoilt(good):
        entry.write_bytes(bad)
        assert code_of(bytecode_in(cache)) == (expected, 1)
        assert (entry.read_bytes(), read) == (good, [])
    assert code_of(bytecode_in(cache)) == (expected, 0)
    assert len(read) == 1


def test_another_sources_entry_under_its_name_is_not_taken(cache):
    kept = bytecode_in(cache)
    code_of(kept, b"evil = True\n")
    expected, _ = code_of(kept)
    entry_of(cache, b"evil = True\n").replace(entry_of(cache))
    assert code_of(kept) == (expected, 1)


@pytest.mark.parametrize("data", [marshal.dumps([1]), b"", b"(", marshal.dumps(compile("1", "", "eval"))[:-3]])
def test_what_is_no_code_is_not_taken_though_its_digest_is_right(cache, data):
    expected, _ = code_of(bytecode_in(cache))
    key = key_of(SOURCE, compiler())
    entry_of(cache).write_bytes(derived._FORM + derived._digest(key, data) + data)
    assert code_of(bytecode_in(cache)) == (expected, 1)


@pytest.mark.parametrize(
    "put", [Path.mkdir, os.mkfifo, lambda path: path.symlink_to("/dev/zero"), lambda path: path.symlink_to(path)]
)
def test_what_is_no_file_is_not_read(cache, put):
    code_of(bytecode_in(cache))
    entry_of(cache).unlink()
    put(entry_of(cache))
    code, times = code_of(bytecode_in(cache))
    assert times == 1
    assert "outer" in result_of(code)


def test_what_somebody_else_wrote_or_may_write_is_not_taken_but_written_anew(cache, monkeypatch):
    code_of(bytecode_in(cache))
    for mode in (0o620, 0o602):
        entry_of(cache).chmod(mode)
        assert [code_of(bytecode_in(cache))[1] for _ in range(2)] == [1, 0]
        assert entry_of(cache).stat().st_mode & 0o777 == 0o600
    somebody_else = os.geteuid() + 1
    monkeypatch.setattr(os, "geteuid", lambda: somebody_else)
    assert code_of(bytecode_in(cache))[1] == 1


@pytest.mark.parametrize("put", [Path.touch, lambda path: path.symlink_to("/dev/null")])
def test_no_place_for_entries_is_no_error(cache, put):
    put(cache)
    kept = bytecode_in(cache)
    assert [code_of(kept)[1] for _ in range(2)] == [1, 1]
    kept.kept.clear()


def test_a_store_without_a_disk_keeps_nothing():
    kept = Bytecode(None)
    assert [code_of(kept)[1] for _ in range(2)] == [1, 1]
    kept.kept.clear()


def test_a_full_disk_is_no_error_and_leaves_nothing(cache):
    kept = bytecode_in(cache)
    code_of(kept, b"")  # so that the directory is there
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, before[1]))
    try:
        assert code_of(kept)[1] == 1
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert {*(cache / "code").iterdir()} == {entry_of(cache, b"")}


def test_what_marshal_cannot_keep_is_compiled_each_time(cache):
    deep = ()
    for _ in range(3000):
        deep = (deep,)
    code = compile("1", "/x.py", "exec").replace(co_consts=(deep,))
    kept = bytecode_in(cache)
    assert kept.code_of("deep", "/x.py", lambda: code) is code
    assert not (cache / "code").exists()


def test_each_way_of_compiling_has_entries_of_its_own(cache):
    say = (
        "import sys; from pathlib import Path\n"
        "from kitaru.runtime.bytecode import Bytecode; from kitaru.runtime.derived import Derived\n"
        'source = \'said = "without"\\ndef f():\\n    global said\\n    said = "with"\\nassert f() is None\\n\'\n'
        "kept = Bytecode(Derived(Path(sys.argv[1])))\n"
        "exec(kept.code_of(source, '/x.py', lambda: compile(source, '/x.py', 'exec')))\n"
        "print(said)"
    )
    env = {"PYTHONPATH": str(Path(kitaru.__file__).parents[1])}
    for flags, said in (([], "with"), (["-O"], "without")) * 2:
        done = subprocess.run([sys.executable, *flags, "-c", say, cache], env=env, capture_output=True, check=True)
        assert done.stdout.decode().strip() == said
    assert len(list((cache / "code").iterdir())) == 2


def test_the_oldest_go_where_there_are_too_many(cache):
    sources = [b"x = %d  # %s\n" % (n, b"y" * 50) for n in range(20)]
    code_of(bytecode_in(cache), sources[0])
    block = 4096  # what the smallest file takes
    kept = bytecode_in(cache, limit=8 * block)
    (cache / "code" / "tmp-left-by-a-kill").write_bytes(bytes(block))
    for n, path in enumerate((cache / "code" / "tmp-left-by-a-kill", entry_of(cache, sources[0]))):
        os.utime(path, (n, n))
    for n, source in enumerate(sources[1:], 2):
        code_of(kept, source)
        os.utime(entry_of(cache, source), (n, n))
        left = {*(cache / "code").iterdir()}
        assert len(left) <= 8
    assert left == {entry_of(cache, source) for source in sources[-len(left) :]}
    assert len(left) >= 5


def test_many_at_once_and_one_that_clears(cache):
    sources = [b"x = %d\n" % n for n in range(20)]
    wrong = []

    def work():
        kept = bytecode_in(cache, limit=10 * 4096)
        for n, source in enumerate(sources * 5):
            if result_of(code_of(kept, source)[0])["x"] != n % len(sources):
                wrong.append(n)

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        Derived(cache).clear()
    assert wrong == []


# -- as recorded code is loaded ---------------------------------------------------------------------------------------

FLOW = """
from kitaru import flow
import helper

@flow
def agent() -> int:
    import late
    return helper.X + late.X
"""
FILES = {"agent.py": FLOW.encode(), "helper.py": b"X = 1\n", "late.py": b"X = 10\n"}
CHECKPOINT = b"@checkpoint\ndef step() -> int:\n    return helper.X\n"
ENTRY = Entry("agent", "agent", "agent.py", (".",))


@pytest.fixture
def compiled(monkeypatch, clean_imports):
    """Return the files that were compiled."""
    found = []
    real = ScriptLoader.source_to_code

    def source_to_code(loader, data, path):
        found.append(Path(path).name)
        return real(loader, data, path)

    monkeypatch.setattr(ScriptLoader, "source_to_code", source_to_code)
    return found


def test_recorded_code_is_compiled_once(tmp_path, cache, compiled):
    for n in range(2):
        loaded = load_entry(ENTRY, tmp_path / "project", FILES, tmp_path / str(n), bytecode=bytecode_in(cache))
        assert loaded.flow.fn() == 11
        assert loaded.flow.fn.__code__.co_filename == str(tmp_path / str(n) / "agent.py")
        assert loaded.flow.fn.__globals__["__file__"] == str(tmp_path / "project" / "agent.py")
    assert compiled == ["agent.py", "helper.py", "late.py"]
    files = {**FILES, "late.py": b"X = 20\n"}
    assert load_entry(ENTRY, tmp_path, files, tmp_path / "new", bytecode=bytecode_in(cache)).flow.fn() == 21
    assert compiled[3:] == ["late.py"]


def test_another_process_that_executes_a_function_of_it_takes_it_too(tmp_path, cache, compiled):
    files = {**FILES, "agent.py": FILES["agent.py"].replace(b"import flow", b"import checkpoint, flow") + CHECKPOINT}
    root = tmp_path / "project"
    load_entry(ENTRY, root, files, tmp_path / "there", bytecode=bytecode_in(cache))
    function = function_of(sys.modules["agent"].step, "isolated", root, "v")
    assert compiled == ["agent.py", "helper.py"]
    load_entry(ENTRY, root, {"agent.py": FILES["agent.py"], "helper.py": b""}, tmp_path / "other")  # as if not loaded
    compiled.clear()
    assert find_function(function)() == 1
    assert compiled == []


def test_what_was_verified_is_executed_whatever_became_of_the_file(tmp_path, cache, compiled):
    loaded = load_entry(ENTRY, tmp_path / "project", FILES, tmp_path / "there", bytecode=bytecode_in(cache))
    (tmp_path / "there/late.py").unlink()
    (tmp_path / "there/late.py").write_text("X = 666\n")
    assert loaded.flow.fn() == 11


def test_a_codec_that_reads_the_bytes_as_another_text_has_other_bytecode(tmp_path, cache, compiled):
    files = {**FILES, "late.py": b"# coding: secret\nX = 10\n"}
    read = []
    for n, said in enumerate(("10", "20", "20")):

        def decode(data, errors="strict", said=said):
            return bytes(data).decode().replace("10", said), len(data)

        def find(name, decode=decode):
            return codecs.CodecInfo(codecs.utf_8_encode, decode, name=name) if name == "secret" else None

        codecs.register(find)
        try:
            read.append(
                load_entry(ENTRY, tmp_path / "project", files, tmp_path / str(n), bytecode=bytecode_in(cache)).flow.fn()
            )
        finally:
            codecs.unregister(find)
    assert read == [11, 21, 21]
    assert compiled == ["agent.py", "helper.py", "late.py", "late.py"]


def test_a_syntax_error_is_told_each_time(tmp_path, cache, clean_imports):

    for n in range(2):
        with pytest.raises(CodeUnloadable, match=r"^helper\.py:1: SyntaxError"):
            load_entry(
                ENTRY, tmp_path, {**FILES, "helper.py": b"X =\n"}, tmp_path / str(n), bytecode=bytecode_in(cache)
            )


def test_a_project_keeps_it_and_gc_clears_it(tmp_path, monkeypatch, compiled):
    monkeypatch.chdir(tmp_path)
    Project.init(tmp_path)
    assign(tmp_path / ".kitaru" / "config.toml", "durability", "process-crash")
    project = Project.open(tmp_path)
    for path, data in FILES.items():
        (tmp_path / path).write_bytes(data)
    assert project.run("agent.py", {}, foreground=True).wait() == 11
    entries = tmp_path / ".kitaru/cache/code"
    compiled.clear()
    for spoil in (lambda: None, lambda: None, lambda: [p.write_bytes(b"x") for p in entries.iterdir()]):
        spoil()
        assert project.invoke("agent@v1", {}, foreground=True).wait() == 11
    assert sorted(compiled) == sorted([*FILES] * 2), "at first, and when all was spoilt"
    project.gc(dry_run=True)
    assert len(list(entries.iterdir())) == 6, "the bytecode of each, and what it imports"
    project.gc()
    assert not entries.exists()
