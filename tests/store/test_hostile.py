"""A store made by somebody who lies: whoever reads it is told, in bounded time and memory, and nothing else happens.

Everything here has the right hashes and checksums, as it would have when it came from a remote. The verbs run in a
process of their own, which the system kills when it takes more than its share.
"""

from __future__ import annotations

import hashlib
import json
import os
import resource
import struct
import subprocess
import sys
import textwrap
import zlib
from pathlib import Path

import pytest
import zstandard

from kitaru.blobs import LocalBlobs
from kitaru.model import canonical
from kitaru.model.encoding.wire import varint
from kitaru.project import Project
from kitaru.store import Repository, envelope, footer, layout, loose, names
from kitaru.store.strand import Strand
from tests.store.samples import call, end, nonces, obj, start
from tests.store.test_pack import lying as lying_pack

MEMORY = 700 * 1024 * 1024
CPU_S = 25
REPO = Path(__file__).parents[2]
RUN = "hostile234"
NONE = obj(b"N")

VERBS = [
    ["log"],
    ["log", RUN],
    ["show", RUN],
    ["show", f"{RUN}:step"],
    ["status"],
    ["waits"],
    ["fsck"],
    ["du"],
    ["gc", "--grace", "0s"],
    ["gc", "--grace", "0s"],
    ["resume", RUN],
    ["fsck", "--repair"],
    ["log", "-n", "0", "-o", "json"],
    ["fsck", "-o", "json"],
]
"""Reading, upkeep, and taking it up again; the last but one two show that the rest is still readable."""

MAIN = """
    import io, json, sys, contextlib
    from kitaru.cli import main
    for words in json.loads(sys.argv[1]):
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = main(words)
        print(json.dumps([words, code, out.getvalue()[:100_000], err.getvalue()[-3000:]]), flush=True)
"""


@pytest.fixture
def root(tmp_path):
    """A project with one good run."""
    Project.init(tmp_path)
    repo = Repository.open(LocalBlobs(tmp_path / ".kitaru", False), nonces())
    write(repo, "goodrun234", [NONE], NONE[0])
    return tmp_path


def write(repo, run, objects, output):
    with repo.begin(run) as writer:
        writer.commit(start(NONE[0]), [NONE])
        writer.commit(call(1, output), objects)
        writer.commit(end())
        writer.seal()


def verbs(root, more=()):
    """Run all verbs; return how each ended."""

    def limits():
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, CPU_S))

    ended = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(MAIN), json.dumps([*more, *VERBS])],
        cwd=root,
        env={
            "PATH": "/usr/bin:/bin",
            "PYTHONPATH": str(REPO),
            "HOME": str(root),
            "NO_COLOR": "1",
            "MALLOC_ARENA_MAX": "2",
        },
        capture_output=True,
        text=True,
        preexec_fn=limits,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr[-3000:]
    found = [json.loads(line) for line in ended.stdout.splitlines()]
    assert len(found) == len(VERBS) + len(more)
    for words, code, _, err in found:
        assert code in range(12), (words, code, err)
        assert "Traceback" not in err, (words, err)
        assert "bug in kitaru" not in err
    listed = json.loads(found[-2][2])
    assert "goodrun234" in {run["run"] for run in listed["runs"]}
    assert not list(root.parent.glob("escaped*"))
    return found


def refused(found, *verbs):
    """Tell which of these verbs said that something is damaged."""
    return [words for words, code, _, err in found if words[0] in verbs and code and "error: " in err]


# -- values ----------------------------------------------------------------------------------------------------------


def reference(object_id):
    return b"R" + bytes.fromhex(object_id)


def deep():
    return [obj(b"l\x01" * 400_000 + b"N")]


def deep_through_references():
    made, data = [], b"l" + varint(300) + b"N" * 300
    for _ in range(3000):
        made.append(obj(data))
        data = b"l\x02" + reference(made[-1][0]) + b"b" + varint(300) + bytes(300)
    return [*made, obj(data)]


def joined_beyond_measure():
    """A text of 1,000 to the power of 8 parts, each the same."""
    made, total, data = [], 300, b"s" + varint(300) + b"x" * 300
    for _ in range(8):
        made.append(obj(data))
        part = bytes.fromhex(made[-1][0]) + varint(total)
        total *= 1000
        data = b"Cs" + varint(total) + varint(1000) + part * 1000
    return [*made, obj(data)]


def absurd_length():
    return [obj(b"s" + varint(10_000_000_000) + b"x" * 1000)]


def absurd_count():
    return [obj(b"l" + varint(10_000_000_000) + b"N" * 1000)]


def class_of_another_module():
    def name(text):
        return b"s" + varint(len(text)) + text.encode()

    return [obj(b"X" + name("os:system") + b"t\x01" + name("touch escaped") + b"d\x00" + b"N" * 3)]


def class_in_a_dataclass():
    def name(text):
        return b"s" + varint(len(text)) + text.encode()

    return [obj(b"k" + name("subprocess:Popen") + varint(1) + name("args") + name("touch ../escaped") + b"N")]


def missing():
    return [obj(b"l\x01" + reference("11" * 32) + b"")]


VALUES = [
    deep,
    deep_through_references,
    joined_beyond_measure,
    absurd_length,
    absurd_count,
    class_of_another_module,
    class_in_a_dataclass,
    missing,
]


@pytest.mark.parametrize("make", VALUES)
def test_a_value(root, make):
    objects = make()
    output = objects[-1][0]
    write(Repository.open(LocalBlobs(root / ".kitaru", False), nonces(99)), RUN, objects, output)
    found = verbs(root, [["cat-object", output], ["cat-object", output, "-o", "json"], ["show", f"{RUN}:step"]])
    assert found[0][2] or found[0][3].startswith("error: ")
    if make not in (deep_through_references, class_of_another_module, class_in_a_dataclass):
        assert refused(found, "cat-object"), found[0]


# -- journals and segments -------------------------------------------------------------------------------------------


def journal(*envelopes):
    """Return a journal of envelopes: payload, declared raw length, flags; its checksums are right."""
    data = bytearray(envelope.journal_header("h", 1, "ab" * 12))
    seed = zlib.crc32(data)
    for payload, raw_length, flags in envelopes:
        head = struct.pack("<4sIIIQI", envelope.MAGIC, flags, len(payload), raw_length, 0, zlib.crc32(payload))
        data += head + struct.pack("<I", zlib.crc32(head, (seed + len(data)) & 0xFFFFFFFF)) + payload
    return bytes(data)


def squeezed(raw):
    return zstandard.ZstdCompressor().compress(raw)


def bomb(megabytes):
    stream, part = zstandard.ZstdCompressor().compressobj(), bytes(1_000_000)
    return b"".join([*(stream.compress(part) for _ in range(megabytes)), stream.flush()])


BOMB = bomb(2000)
JOURNALS = {
    "claims 4 GB": journal((b"x", 0xFFFFFFFF, 1)),
    "claims 16 MB": journal((squeezed(b"x"), 16 << 20, 1)),
    "a bomb in one envelope": journal((BOMB, 16 << 20, 1)),
    "bombs in many": journal(*[(BOMB[:2000], 16 << 20, 1)] * 500),
    "a frame that never ends": journal((squeezed(b"x"), 1, 1), *[(b"", 1, 0)] * 300_000),
    "an object longer than all": journal((squeezed(b"o\xff\xff\xff\xff\x0fabc"), 9, 1)),
    "a record of a million lists": journal((squeezed(b"r" + varint(1_000_000) + b"[" * 1_000_000), 1_000_004, 1)),
}


def named(root, run, data):
    """Put a segment into the store, with a name."""
    blobs = LocalBlobs(root / ".kitaru", False)
    segment = hashlib.sha256(data).hexdigest()
    blobs.create(layout.segment_key(segment), data)
    names.claim_segment(blobs, run, 1, segment, "ab" * 12)


def sealed(data, frames=((0, 1, 1),)):
    return data + footer.build(len(data), list(frames), [])


@pytest.mark.parametrize("data", JOURNALS.values(), ids=JOURNALS)
@pytest.mark.parametrize("place", ["open", "sealed"])
def test_a_journal(root, data, place):
    if place == "open":
        LocalBlobs(root / ".kitaru", False).create(layout.open_key(RUN, "ab" * 12), data)
    else:
        named(root, RUN, sealed(data))
    found = verbs(root)
    assert place == "open" or refused(found, "show")


def index(frames, objects, where):
    head = struct.pack("<QIII", where, frames, objects, 0)
    return head + struct.pack("<I8s", zlib.crc32(head), footer.END_MAGIC)


@pytest.mark.parametrize("frames", [0, 0xFFFFFFFF])
def test_an_index(root, frames):
    named(root, RUN, journal((squeezed(b"x"), 1, 1)) + index(frames, 0xFFFFFFFF, 50))
    assert refused(verbs(root), "show")


def test_a_chain_without_end(root):
    """Two runs that each branch from the other; the records have the right hashes."""
    repo = Repository.open(LocalBlobs(root / ".kitaru", False), nonces(99))
    for run, other in ((RUN, "other23456"), ("other23456", RUN)):
        with repo.begin(run) as writer:
            begun = start(NONE[0])
            begun.source = {"run": other, "head": "11" * 32, "cut": 1}
            writer.commit(begun, [NONE])
            writer.seal()
    assert refused(verbs(root), "show")


# -- names, large objects, packs -------------------------------------------------------------------------------------


@pytest.mark.parametrize("segment", ["../../../escaped", "..", "/etc/passwd", "a" * 63, "A" * 64, "ab/../" + "a" * 58])
def test_a_name_that_leads_elsewhere(root, segment):
    blobs = LocalBlobs(root / ".kitaru", False)
    blobs.create(layout.run_key(RUN, 1), names.pack({"segment": segment, "nonce": "ab" * 12}))
    assert refused(verbs(root), "show")


PARTS = ["..%2f..", "%2e%2e%2fescaped", "UPPER", "%zz", "a%2", "%", "x" * 199 + "%"]


@pytest.mark.parametrize("directory", ["runs", "open", "flows", "answers", "pruned", "cancels"])
def test_directories_that_no_name_stands_for(root, directory):
    for part in PARTS:
        (root / ".kitaru" / directory / part).mkdir(parents=True)
        (root / ".kitaru" / directory / part / "000001").write_bytes(b"{}")
    verbs(root)


def packed(method, length, body):
    head = struct.pack("<8sB3sQ", loose.MAGIC, method, b"", length)
    return head + struct.pack("<I", zlib.crc32(head)) + body


LARGE = {
    "claims 10 GB": packed(loose.RAW, 10_000_000_000, b"short"),
    "claims 10 GB, squeezed": packed(loose.ZSTD, 10_000_000_000, squeezed(b"short")),
    "a bomb": packed(loose.ZSTD, 2_000_000_000, BOMB),
    "a bomb that claims little": packed(loose.ZSTD, 1000, BOMB),
    "a window of 2 GB": packed(loose.ZSTD, 5, b"\x28\xb5\x2f\xfd\x00\xa8" + b"\x29\x00\x00hello"),
}


@pytest.mark.parametrize("content", LARGE.values(), ids=LARGE)
def test_a_large_object(root, content):
    object_id = "cd" * 32
    LocalBlobs(root / ".kitaru", False).create(layout.object_key(object_id), content)
    write(Repository.open(LocalBlobs(root / ".kitaru", False), nonces(99)), RUN, [], object_id)
    assert refused(verbs(root, [["cat-object", object_id]]), "cat-object")


@pytest.mark.parametrize(
    "data",
    [
        lying_pack([(n % 256, 8, 4) for n in range(100_000)]),
        lying_pack([(0, 8, 1 << 40)]),
        lying_pack([(0, 1 << 63, 1 << 63)]),
        b"KITARUP1" + b"KITARUJ1" * 100_000,
        b"",
    ],
    ids=["overlaps", "long", "far", "headers", "empty"],
)
def test_a_pack(root, data):
    LocalBlobs(root / ".kitaru", False).create(layout.pack_key(hashlib.sha256(data).hexdigest()), data)
    assert refused(verbs(root), "gc")


def test_these_would_be_whole_if_they_told_the_truth(root):
    """The makers above make what the store reads, when it is true."""
    raw = b"r" + varint(len(RECORD)) + RECORD
    data = journal((flushed(raw), len(raw), 1))
    strand = Strand("", envelope.parse_header(data, ""))
    strand.absorb(data)
    named(root, RUN, data + strand.footer())
    found = verbs(root)
    assert RUN in {run["run"] for run in json.loads(found[-2][2])["runs"]}


RECORD = canonical.encode(start(NONE[0]), None)


def flushed(raw):
    stream = zstandard.ZstdCompressor().compressobj()
    return stream.compress(raw) + stream.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK)


# -- a remote that somebody else can write to --------------------------------------------------------------------------

SHARING = [
    ["pull"],
    ["fetch"],
    ["fsck", "--remote", "team"],
    ["gc", "--remote", "team", "--grace", "0s"],
    ["push", "--all"],
    ["remote", "show", "team"],
]


def test_a_remote_full_of_traps_takes_no_more_than_its_share_and_the_rest_comes(root, tmp_path):
    remote = tmp_path / "shared"
    theirs = Repository.create(LocalBlobs(remote, False), nonces(7))
    for run in ("fair234567", "pipe234567", "zeros23456", "vast234567", "deep234567"):
        write(theirs, run, [NONE], NONE[0])
    names_of = {run: remote / layout.run_key(run, 1) for run in theirs.run_ids()}
    replaced(names_of["pipe234567"])
    os.mkfifo(names_of["pipe234567"])
    replaced(names_of["zeros23456"]).symlink_to("/dev/zero")
    os.truncate(replaced(names_of["vast234567"], b""), 10 << 30)
    replaced(names_of["deep234567"], b"[" * 60_000)
    for key in ("runs/\x1b[2J/000001", "answers/x\ny/z", "claims/\x1b/000001", "keys/%/x", "segments/zz/\x9b"):
        (remote / key).parent.mkdir(parents=True, exist_ok=True)
        (remote / key).write_bytes(b"{}\n")
    vast = remote / layout.segment_key("0" * 64)
    vast.parent.mkdir(parents=True, exist_ok=True)
    os.truncate(replaced(vast, b""), 10 << 30)
    (remote / "runs" / "again").symlink_to(remote)
    found = verbs(root, [["remote", "add", "team", str(remote)], *SHARING])
    codes = {" ".join(words): code for words, code, *_ in found}
    assert (codes["pull"], codes["fsck --remote team"], codes["push --all"]) == (4, 4, 4)
    assert not [text for _, _, out, err in found for text in ("\x1b", "\x9b") if text in out + err]
    listed = {run["run"] for run in json.loads(found[-2][2])["runs"]}
    assert listed == {"goodrun234", "fair234567"}


def replaced(path, data=None):
    """Remove a file, and write another in its place if there is one; return the path."""
    path.unlink(missing_ok=True)
    if data is not None:
        path.write_bytes(data)
    return path
