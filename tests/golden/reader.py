"""A second reader of stores, written from docs/format.md and docs/format-values.md alone: it imports nothing of kitaru.

    python tests/golden/reader.py STORE [VALUE...]

prints, as JSON, the records of every run, the ids of all objects, names, and these values.
"""

from __future__ import annotations

import hashlib
import json
import re
import struct
import sys
import zlib
from pathlib import Path

import zstandard


class Broken(Exception):
    """The store is not as the page says."""


def need(condition, why):
    if not condition:
        raise Broken(why)


def sha(data):
    return hashlib.sha256(data).hexdigest()


def canonical(value):
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()


# -- layout: escaped names, numbers, names ---------------------------------------------------------------------------


def unescaped(parts):
    """Return the name that key parts stand for: all but the last end with `%`."""
    text = "".join(part.removesuffix("%") for part in parts[:-1]) + parts[-1]
    data = re.sub(r"%([0-9a-f]{2})", lambda match: chr(int(match[1], 16)), text).encode("latin-1")
    return data.decode("utf-8", "surrogatepass")


def name(path, *fields):
    data = path.read_bytes()
    found = json.loads(data)
    need(data == canonical(found) + b"\n", f"{path}: not canonical")
    check = found.pop("check")
    need(check == sha(canonical(found))[:16], f"{path}: the check is wrong")
    source = {"source": found.pop("source")} if "source" in found else {}  # of answers alone, where no person gave it
    need(sorted(found) == sorted(fields), f"{path}: other fields")
    return found | source


def numbered(directory):
    found = sorted((int(path.name), path) for path in directory.iterdir())
    need([path.name for _, path in found] == [f"{n:06d}" for n, _ in found], f"{directory}: not numbers")
    return [path for _, path in found]


def below(directory):
    """Yield escaped names below a directory with the path that each stands for."""
    for path in sorted(directory.iterdir()) if directory.is_dir() else ():
        if path.name.endswith("%"):
            yield from (([path.name, *parts], inner) for parts, inner in below(path))
        else:
            yield [path.name], path


# -- journals and segments -------------------------------------------------------------------------------------------

ENVELOPE = struct.Struct("<4sIIIQII")


def header(data):
    magic, length, crc = struct.unpack_from("<8sII", data)
    need(magic == b"KITARUJ1" and length <= 4096, "no journal")
    body = data[16 : 16 + length]
    need(zlib.crc32(body) == crc and canonical(json.loads(body)) == body, "the header is damaged")
    need(sorted(json.loads(body)) == ["host", "nonce", "pid"], "the header has other fields")
    return 16 + length, zlib.crc32(data[: 16 + length])


def envelopes(data):
    """Return frames, each the offset, the payloads and the raw length, and where the envelopes end."""
    offset, seed = header(data)
    frames = []
    while offset + 32 <= len(data):
        magic, flags, length, raw, _, crc, check = ENVELOPE.unpack_from(data, offset)
        payload = data[offset + 32 : offset + 32 + length]
        right = zlib.crc32(data[offset : offset + 28], (seed + offset) % 2**32)
        if magic != b"\xabKE1" or check != right or zlib.crc32(payload) != crc or len(payload) != length:
            break
        if flags & 1:
            frames.append([offset, [], 0])
        frames[-1][1].append(payload)
        frames[-1][2] += raw
        need(raw <= 16 << 20 and (frames[-1][2] <= 256 << 10 or len(frames[-1][1]) == 1), "too large")
        offset += 32 + length
    return frames, offset


def varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at


def entries(frames):
    """Yield frame, kind, start and bytes of each entry."""
    for number, (_, payloads, length) in enumerate(frames):
        with zstandard.ZstdDecompressor(max_window_size=8 << 20).stream_reader(b"".join(payloads)) as stream:
            raw = stream.read(length + 1)
        need(len(raw) == length, "a frame does not hold what it declares")
        at = 0
        while at < length:
            kind = chr(raw[at])
            size, start = varint(raw, at + 1)
            need(kind in "or" and start + size <= length, "no entry")
            at = start + size
            yield number, kind, start, raw[start:at]


def journal(data):
    """Return record bytes and objects of a journal, and where its envelopes end."""
    frames, end = envelopes(data)
    found = list(entries(frames))
    records = [content for _, kind, _, content in found if kind == "r"]
    objects = {sha(content): content for _, kind, _, content in found if kind == "o"}
    return records, objects, end, footer(frames, found, end)


def footer(frames, found, end):
    """Return the index that follows from the envelopes."""
    body = b"KTINDEX1"
    for number, (offset, _, length) in enumerate(frames):
        count = sum(1 for frame, kind, _, _ in found if (frame, kind) == (number, "r"))
        body += struct.pack("<QII", offset, length, count)
    places, seen = [], set()
    for frame, kind, start, content in found:
        if kind == "o" and sha(content) not in seen:
            seen.add(sha(content))
            places.append((int(sha(content)[:16], 16), frame, start, len(content)))
    places.sort()
    body += b"".join(struct.pack("<Q", place[0]) for place in places)
    body += b"".join(struct.pack("<III", *place[1:]) for place in places)
    trailer = struct.pack("<QIII", end, len(frames), len(places), zlib.crc32(body))
    return body + trailer + struct.pack("<I", zlib.crc32(trailer)) + b"KITARUS1"


def packed(store):
    """Return the bytes of all segments in packs, by hash."""
    found = {}
    for path in sorted((store / "packs").glob("*")):
        data = path.read_bytes()
        need(sha(data) == path.name, f"{path} has another hash")
        end, count, crc, check, magic = struct.unpack_from("<QIII8s", data, len(data) - 28)
        need((data[:8], data[end : end + 8], magic) == (b"KITARUP1", b"KTPACKI1", b"KITARUQ1"), f"{path}: no pack")
        need(crc == zlib.crc32(data[end:-28]) and check == zlib.crc32(data[-28:-12]), f"{path}: the index is damaged")
        need(len(data) == end + 8 + count * 48 + 28, f"{path}: the index has another length")
        hashes = [data[end + 8 + 32 * n : end + 40 + 32 * n].hex() for n in range(count)]
        need(hashes == sorted(hashes), f"{path}: the index is not in order")
        for n, wanted in enumerate(hashes):
            offset, length = struct.unpack_from("<QQ", data, end + 8 + 32 * count + 16 * n)
            found[wanted] = data[offset : offset + length]
    return found


def segment(store, wanted):
    path = store / "segments" / wanted[:2] / wanted[2:]
    data = path.read_bytes() if path.exists() else packed(store)[wanted]
    need(sha(data) == wanted, f"segment {wanted} has another hash")
    records, objects, end, index = journal(data)
    need(data[end:] == index, f"the index of segment {wanted} is not that of its envelopes")
    return records, objects


def run(store, parts):
    """Return records, by id in chain order, and objects of a run."""
    chain, objects, parent = [], {}, None
    pieces = [segment(store, name(p, "segment", "nonce")["segment"]) for p in _numbers(store / "runs", parts)]
    for path in sorted(store.joinpath("open", *parts).glob("*")):
        records, held, end, _ = journal(path.read_bytes())
        rest = path.read_bytes()[end:].rstrip(b"\0")
        need(not _promised(path.read_bytes(), end), f"{path} is damaged at {end}")
        if rest and not rest.startswith(b"KTINDEX1"):
            print(f"{path}: a torn tail of {len(rest)} bytes", file=sys.stderr)
        pieces.append((records, held))
    for records, held in pieces:
        objects |= held
        for data in records:
            record = json.loads(data)
            need(canonical(record) == data and record.get("parent") == parent, "a record is out of place")
            parent = sha(data)
            chain.append((parent, record))
    return chain, objects


def _numbers(directory, parts):
    return numbered(directory.joinpath(*parts)) if directory.joinpath(*parts).is_dir() else []


def _promised(data, end):
    """Tell whether a later envelope knew the bytes at `end` to be durable."""
    _, seed = header(data)
    at = data.find(b"\xabKE1", end + 1)
    while 0 <= at <= len(data) - 32:
        fields = ENVELOPE.unpack_from(data, at)
        if fields[6] == zlib.crc32(data[at : at + 28], (seed + at) % 2**32) and fields[4] > end:
            return True
        at = data.find(b"\xabKE1", at + 1)
    return False


def large(path, wanted):
    data = path.read_bytes()
    magic, method, zeros, length, crc = struct.unpack_from("<8sB3sQI", data)
    need(magic == b"KITARUO1" and zeros == b"\0\0\0" and crc == zlib.crc32(data[:20]), f"{path}: no object")
    body = data[24:]
    if method == 1:
        with zstandard.ZstdDecompressor(max_window_size=128 << 20).stream_reader(body) as stream:
            body = stream.read(length + 1)
    need(len(body) == length and sha(body) == wanted, f"{path}: another object")
    return body


# -- values ----------------------------------------------------------------------------------------------------------

PLAIN = {"N": None, "T": True, "F": False, ".": "...", "!": "NotImplemented"}
JOINED = {"s": "".join, "b": b"".join, "B": b"".join}


class Values:
    """Values of docs/format-values.md; of instances of classes only those that hold plain values."""

    def __init__(self, objects):
        self.objects = objects

    def value(self, wanted):
        data = self.objects[wanted]
        found, end = self.item(data, 0)
        need(end == len(data), f"object {wanted}: bytes left over")
        return found

    def item(self, data, at):
        tag = chr(data[at])
        at += 1
        if tag in PLAIN:
            return PLAIN[tag], at
        if tag == "R":
            return self.value(data[at : at + 32].hex()), at + 32
        if tag == "C":
            return self.joined(data, at)
        if tag == "f":
            return struct.unpack_from(">d", data, at)[0], at + 8
        size, at = varint(data, at)
        if tag == "i":
            return int.from_bytes(data[at : at + size], "big", signed=True), at + size
        if tag == "s":
            return data[at : at + size].decode("utf-8", "surrogatepass"), at + size
        if tag in "bB":
            return data[at : at + size], at + size
        need(tag in "ltdez", f"this reader does not know the tag {tag}")
        items = []
        for _ in range(size * 2 if tag == "d" else size):
            item, at = self.item(data, at)
            items.append(item)
        return (dict(zip(items[::2], items[1::2], strict=True)) if tag == "d" else items), at

    def joined(self, data, at):
        tag = chr(data[at])
        total, at = varint(data, at + 1)
        count, at = varint(data, at)
        parts, held = [], 0
        for _ in range(count):
            parts.append(self.value(data[at : at + 32].hex()))
            elements, at = varint(data, at + 32)
            held += elements
        need(held == total, "the counts of a concatenation do not add up")
        if tag in JOINED:
            return JOINED[tag](parts), at
        if tag == "d":
            return {key: value for part in parts for key, value in part.items()}, at
        return [element for part in parts for element in part], at


# -- all of it -------------------------------------------------------------------------------------------------------


def noted(store):
    """Return the keys that gc noted on its last visit."""
    visits = sorted((store / "gc").glob("*"), key=lambda path: int(path.name))
    return sorted(name(visits[-1], "at", "noted", "nonce")["noted"]) if visits else []


def live(store):
    """Return what the calls in flight of each run have written, as far as its lines are ended."""
    found = {}
    for parts, path in below(store / "cache/live"):
        first, *lines = path.read_text("ascii").split("\n")
        need(re.fullmatch(r"[0-9]+\.[0-9]+", first), f"{path}: no live output")
        found[unescaped(parts)] = [json.loads(line) for line in lines[:-1]]
    return found


def origin(path):
    """Return where a version came from, as a name says that must be called so."""
    found = name(path, "version", "remote", "url", "at")
    need(path.name == f"{found['version']}-{sha(found['url'].encode())[:16]}", f"{path} is not what it says")
    return found


def new_run(run, path):
    """Return what a continuation of a run is called, which its name must be."""
    segment = name(path, "number", "segment", "nonce")["segment"]
    n = int.from_bytes(hashlib.sha256(f"parted {run} {segment}".encode()).digest()[:16], "big")
    letters = "".join("23456789abcdefghjkmnpqrstuvwxyz"[n // 31**place % 31] for place in range(10))
    need(path.name == letters, f"{path} does not name the run that it stands for")
    return letters


def read(store):
    need((store / "format").read_bytes() == b'{"hash":"sha256","version":1}\n', "another format")
    runs, objects, versions, answers = {}, {}, {}, {}
    places = {tuple(parts) for kind in ("runs", "open") for parts, _ in below(store / kind)}
    for parts in sorted(places):
        runs[unescaped(parts)], held = run(store, parts)
        objects |= held
    for path in sorted((store / "objects").glob("*/*")):
        wanted = path.parent.name + path.name
        objects[wanted] = large(path, wanted)
    for parts, directory in below(store / "flows"):
        versions[unescaped(parts)] = [name(p, "id", "digest", "at", "by", "nonce") for p in numbered(directory)]
    for parts, directory in below(store / "answers"):
        replies = {unescaped(p): name(path, "value", "by", "at", "note", "nonce") for p, path in below(directory)}
        answers[unescaped(parts)] = replies
    pruned = {unescaped(parts): name(path, "by", "at", "nonce") for parts, path in below(store / "pruned")}
    cancels = {unescaped(p): name(path, "by", "at", "reason", "nonce") for p, path in below(store / "cancels")}
    keys = {}
    for parts, directory in below(store / "keys"):
        started = {p.name: name(p, "run", "by", "at", "nonce") for p in directory.iterdir()}
        keys[unescaped(parts)] = started
    routes = {}
    for parts, directory in below(store / "routes"):
        routes[unescaped(parts)] = {
            unescaped(p): [name(n, "to", "back", "at", "by", "note", "nonce") for n in numbered(log)]
            for p, log in below(directory)
        }
    queued = ("target", "flow", "inputs", "key", "env", "priority", "not_before", "tags", "schedule", "tick")
    entry = ("state", "target", "inputs", "cron", "tz", "catch_up", "at", "by", "note", "nonce")
    parted = {}
    for parts, directory in below(store / "parted"):
        parted[unescaped(parts)] = [new_run(unescaped(parts), p) for p in sorted(directory.iterdir())]
    decided = ("trusted", "what", "why", "by", "at")
    trust = {
        kind: {unescaped(p): [name(n, *decided) for n in numbered(log)] for p, log in below(store / "trust" / kind)}
        for kind in ("versions", "flows", "remotes")
    }
    asked = {
        "trust": trust,
        "origins": [origin(path) for _, path in below(store / "trust/origins")],
        "partial": {unescaped(p): name(path, "remote", "url", "at") for p, path in below(store / "partial")},
        "parted": parted,
        "routes": routes,
        "queue": {unescaped(p): name(path, *queued, "at", "by", "nonce") for p, path in below(store / "queue")},
        "schedules": {unescaped(p): [name(n, *entry) for n in numbered(log)] for p, log in below(store / "schedules")},
        "answers": answers,
        "pruned": pruned,
        "cancels": cancels,
        "keys": keys,
        "noted": noted(store),
        "live": live(store),
    }
    return {"runs": runs, "objects": objects, "versions": versions, **asked}


def main(store, *wanted):
    found = read(Path(store))
    values = Values(found["objects"])
    shown = {object_id: values.value(object_id) for object_id in wanted}
    found["objects"] = {object_id: len(data) for object_id, data in sorted(found["objects"].items())}
    print(json.dumps({**found, "values": shown}, indent=1, default=lambda data: f"bytes: {data!r}"))


if __name__ == "__main__":
    main(*sys.argv[1:])
