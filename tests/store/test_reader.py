"""The format's pages suffice: a reader written from them alone reads what kitaru wrote, and finds the same."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest

from kitaru.blobs import LocalBlobs
from kitaru.model.encoding import Decoder
from kitaru.store import Repository, loose
from kitaru.store.live import LiveWriter, Piece, path_of
from tests.store.samples import fill, nonces, value

GOLDEN = Path(__file__).parents[1] / "golden"
READER = GOLDEN / "reader.py"
EXPECTED = json.loads((GOLDEN / "store-1/expected.json").read_text())


def read(store, *wanted):
    return subprocess.run([sys.executable, READER, store, *wanted], capture_output=True, text=True, check=False)


def test_it_imports_nothing_of_kitaru():
    tree = ast.parse(READER.read_text("utf-8"))
    names = [node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    names += [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
    assert set(names) - set(sys.stdlib_module_names) == {"zstandard"}


def test_it_reads_the_golden_store(tmp_path):
    repo = Repository.open(LocalBlobs(GOLDEN / "store-1/store"))
    outputs = [s.record.output for s in repo.records("sea1edrun2") if getattr(s.record, "output", None)]
    version = EXPECTED["versions"]["demo"][0][1]
    ended = read(GOLDEN / "store-1/store", *outputs, version)
    assert "a torn tail of 21 bytes" in ended.stderr
    found = json.loads(ended.stdout)
    chains = {run: [record_id for record_id, _ in chain] for run, chain in found["runs"].items()}
    assert {run: chain for run, chain in chains.items() if run not in found["pruned"]} == EXPECTED["runs"]
    assert {run: name["by"] for run, name in found["pruned"].items()} == EXPECTED["pruned"]
    assert {run: name["reason"] for run, name in found["cancels"].items()} == EXPECTED["cancels"]
    assert {f: {d: k["run"] for d, k in keys.items()} for f, keys in found["keys"].items()} == EXPECTED["keys"]
    logs = {f: {r: [[e["to"], e["back"]] for e in log] for r, log in of.items()} for f, of in found["routes"].items()}
    assert logs == EXPECTED["routes"]
    assert found["parted"] == EXPECTED["parted"]
    assert (found["queue"], found["schedules"]) == (EXPECTED["queue"], EXPECTED["schedules"])
    assert found["noted"] == EXPECTED["noted"]
    assert found["origins"] == EXPECTED["origins"]
    assert [{"run": run, **mark} for run, mark in found["partial"].items()] == EXPECTED["partial"]
    stands = {(k, n): (len(log), log[-1]) for k, of in found["trust"].items() for n, log in of.items()}
    told = {(kind, name): (n, trusted, what) for kind, name, n, trusted, what in EXPECTED["trust"]}
    assert {key: (n, last["trusted"], last["what"]) for key, (n, last) in stands.items()} == told
    assert found["objects"] == EXPECTED["objects"]
    versions = {
        f: [[n, v["id"], v["digest"], v["at"], v["by"]] for n, v in enumerate(vs, 1)]
        for f, vs in found["versions"].items()
    }
    assert versions == EXPECTED["versions"]
    given = {r: {d: [a["by"], a.get("source", "person")] for d, a in of.items()} for r, of in found["answers"].items()}
    assert given == EXPECTED["answers"]
    decoder = Decoder(repo.object)
    assert [found["values"][i] for i in outputs] == [decoder.decode(i) for i in outputs]
    assert found["values"][version]["entry"] == {"qualname": "demo"}


def test_it_reads_long_values_and_tombstones(tmp_path, monkeypatch):
    monkeypatch.setattr(loose, "LARGE", 20_000)
    repo = Repository.create(LocalBlobs(tmp_path / "store"), nonces())
    fill(repo, "one")
    fill(repo, "a run/with Ünicode")
    repo.prune("one", at=5, by="ann", may=None)
    repo.put_cancellation("one", by="bob", at=6, reason="no need")
    repo.put_start_key("a name/with Ünicode " * 12, "order 17", "one", by="cy", at=7)
    thing = {
        "history": [{"role": "user", "content": f"message {i}", "n": i * 2**70} for i in range(900)],
        "text": "".join(f"{i} é " for i in range(60_000)),
        "by number": {str(i): [i, None, True, 0.5] for i in range(2000)},
    }
    encoded, objects = value(thing)
    repo.put_objects(objects)
    ended = read(tmp_path / "store", encoded)
    assert ended.stderr == ""
    found = json.loads(ended.stdout)
    assert found["values"][encoded] == thing
    assert found["pruned"]["one"]["by"] == "ann"
    assert found["cancels"]["one"]["reason"] == "no need"
    (started,) = found["keys"]["a name/with Ünicode " * 12].values()
    assert started["run"] == "one"
    assert set(found["runs"]) == {"one", "a run/with Ünicode"}


def test_it_reads_what_calls_in_flight_write(tmp_path):
    repo = Repository.create(LocalBlobs(tmp_path), nonces())
    writer = LiveWriter(path_of(repo.blobs, "one"))
    pieces = [Piece("fetch", 1, 5, "stdout", at, 7, text) for at, text in ((0, "hé\n"), (3, "and more\n"))]
    for piece in pieces:
        writer.add(piece)
    found = json.loads(read(tmp_path).stdout)
    writer.close()
    assert found["live"] == {"one": [asdict(piece) for piece in pieces]}


@pytest.mark.parametrize("kind", ["segments", "runs", "objects"])
def test_it_refuses_what_is_damaged(tmp_path, kind):
    repo = Repository.create(LocalBlobs(tmp_path), nonces())
    fill(repo, "one")
    repo.put_objects(value("an object")[1])
    (path,) = [p for p in (tmp_path / kind).rglob("*") if p.is_file()]
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.chmod(0o600)
    path.write_bytes(content)
    assert read(tmp_path).returncode != 0
