"""The records of `reads = "files"`: what is encoded is parsed, however the stream is cut, and nothing else is."""

from __future__ import annotations

import hashlib
import random
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from douane_plugin import _file_records as records
from douane_plugin import wire
from douane_plugin._record_reader import BrokenRecords, RecordReader

texts = st.binary(max_size=20).map(lambda data: data.decode("utf-8", "surrogateescape"))
u32 = st.integers(0, 2**32 - 1)
digests = st.none() | st.binary(min_size=32, max_size=32)
volumes = st.tuples(st.just("volume"), texts, texts, texts, texts, st.none() | st.booleans())
unread_parts = st.tuples(st.just("unread"), texts, texts, texts)
pieces = st.lists(st.binary(min_size=1, max_size=50) | st.integers(1, 2**40), max_size=4)


@st.composite
def entries(draw):
    kind = draw(st.sampled_from(sorted(wire.ENTRY_KINDS.values())))
    content = draw(pieces) if kind == "file" else []
    same_as = draw(st.none() | texts.filter(bool)) if kind == "file" else None
    size = draw(st.integers(0, 2**63 - 1))
    if kind == "file":
        size = sum(piece if isinstance(piece, int) else len(piece) for piece in content)
    entry = records.EntryRecord(
        draw(texts.filter(bool)),
        draw(texts),
        *(kind, draw(u32), draw(u32), draw(u32), size, draw(st.integers(-(2**63), 2**63 - 1))),
        draw(st.none() | texts.filter(bool)) if kind == "link" else None,
        same_as,
    )
    return ("entry", entry, content, draw(digests))


@st.composite
def streams(draw):
    parts = draw(st.lists(volumes | unread_parts, max_size=4)) + draw(st.lists(entries() | unread_parts, max_size=5))
    return encode(parts)


def encode(parts):
    """Return the bytes of the parts, and what the parser is to return, with data joined."""
    data = b""
    expected = []
    counts = {"entry": 0, "unread": 0}
    is_complete = True
    for what, *fields in parts:
        if what == "volume":
            data += records.volume_record(*fields)
            expected.append(("volume", *fields))
            continue
        counts[what] += 1
        if what == "unread":
            data += records.unread_record(*fields)
            expected.append(("unread", *fields))
            continue
        entry, content, digest = fields
        data += records.entry_record(entry)
        expected.append(("entry", *facts(entry)))
        if entry.kind != "file" or entry.same_as is not None:
            continue
        for piece in content:
            if isinstance(piece, int):
                data += records.hole_record(piece)
                expected.append(("hole", piece))
            else:
                data += records.data_header(len(piece)) + piece
                expected.append(("data", piece))
        data += records.end_of_file_record(digest)
        expected.append(("end of file", digest))
        is_complete = is_complete and digest is not None
    if not is_complete:
        data += records.unread_record("p1", "guest-broken", "it is")
        expected.append(("unread", "p1", "guest-broken", "it is"))
        counts["unread"] += 1
    data += records.end_record(counts["entry"], counts["unread"])
    return data, expected


def facts(entry):
    return tuple(getattr(entry, name) for name in records.EntryRecord.__slots__)


def parse(chunks):
    """Return what the parser returns, pieces of the same record of data joined."""
    views = [memoryview(chunk) for chunk in chunks]
    reader = RecordReader(lambda: views.pop(0) if views else None)
    parsed = []
    rest = 0
    while not reader.ended:
        kind, value = reader.next()
        if kind == wire.RECORD_VOLUME:
            parsed.append(("volume", value.name, value.filesystem, value.uuid, value.label, value.clean))
        elif kind == wire.RECORD_ENTRY:
            parsed.append(("entry", *facts(value)))
        elif kind == wire.RECORD_UNREAD:
            parsed.append(("unread", value.place, value.code, value.why))
        elif kind == wire.RECORD_HOLE:
            parsed.append(("hole", value))
        elif kind == wire.RECORD_END_OF_FILE:
            parsed.append(("end of file", value))
        elif kind == wire.RECORD_DATA:
            if rest:
                parsed[-1] = ("data", parsed[-1][1] + bytes(value))
            else:
                parsed.append(("data", bytes(value)))
            rest = reader._data
    return parsed


@given(streams(), st.lists(st.integers(1, 40), min_size=1, max_size=10))
def test_any_cutting_of_a_stream_gives_the_same_records(stream, lengths):
    data, expected = stream
    chunks = []
    position = 0
    while position < len(data):
        length = lengths[len(chunks) % len(lengths)]
        chunks.append(data[position : position + length])
        position += length
    assert parse(chunks) == expected
    assert parse([data]) == expected


@given(streams(), st.data())
def test_a_stream_that_ends_early_is_broken(stream, choice):
    data, _ = stream
    with pytest.raises(BrokenRecords):
        parse([data[: choice.draw(st.integers(0, len(data) - 1))]])


@given(streams(), st.data())
def test_bytes_after_the_last_record_are_broken(stream, choice):
    data, _ = stream
    more = choice.draw(st.binary(min_size=1, max_size=9))
    with pytest.raises(BrokenRecords):
        parse([data + more])
    with pytest.raises(BrokenRecords):
        parse([data, more])


@given(streams(), st.integers(0, 2**32))
def test_a_damaged_stream_is_parsed_or_broken_and_nothing_else(stream, seed):
    data = bytearray(stream[0])
    chance = random.Random(seed)
    for _ in range(chance.randrange(1, 4)):
        data[chance.randrange(len(data))] = chance.choice((0, 1, 2, 3, 7, 0x7F, 0x80, 0xFF))
    try:
        parse([bytes(data)])
    except BrokenRecords:
        pass


FILE = records.EntryRecord("a", "p1", "file", 0o644, 0, 0, 3, 0)
FOLDER = records.EntryRecord("d", "p1", "dir", 0o755, 0, 0, 0, 0)
START = records.entry_record(FILE)
BYTES = records.data_header(3) + b"abc"
DIGEST = records.end_of_file_record(hashlib.sha256(b"abc").digest())
VOLUME = records.volume_record("p1", "ext4", "", "", True)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (BYTES, "belong to no file"),
        (DIGEST, "there is no file"),
        (records.entry_record(FOLDER) + BYTES, "belong to no file"),
        (START + BYTES + BYTES, "has more of them"),
        (START + records.hole_record(2**63), "has more of them"),
        (START + records.data_header(2) + b"ab" + DIGEST, "of a file of 3 bytes, 2 came"),
        (START + START, "before the end of the file"),
        (START + records.end_record(1, 0), "before the end of a file"),
        (records.entry_record(FOLDER) + VOLUME, "after the first entry"),
        (records.entry_record(FOLDER) + records.end_record(0, 0), "1 entries and 0 unread parts came"),
        (records.unread_record("p1", "guest-broken", "why") + records.end_record(0, 0), "1 unread parts came"),
        (START + records.end_of_file_record(None) + records.end_record(1, 0), "no unread part says why"),
        (struct.pack("<II", 8, 0), "unknown type 8"),
        (struct.pack("<II", wire.RECORD_UNREAD, 2**32 - 1), "4294967295 bytes"),
        (START + struct.pack("<II", wire.RECORD_DATA, wire.MAX_RECORD + 1), "1048577 bytes"),
        (START + struct.pack("<II", wire.RECORD_DATA, 0), "is empty"),
        (struct.pack("<II", wire.RECORD_ENTRY, 3) + b"abc", "an entry has 3 bytes"),
        (START.replace(b"\x01\0\0\0" + bytes(8), b"\x02\0\0\0" + bytes(8)), "do not add up"),
        (struct.pack("<II", wire.RECORD_VOLUME, 2) + b"[]", "not a JSON object"),
        (struct.pack("<II", wire.RECORD_VOLUME, 0), "not JSON"),
        (struct.pack("<II", wire.RECORD_UNREAD, 12) + b'{"place": 1}', "'place'"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_records_in_a_wrong_order_or_of_a_wrong_length_are_broken(data, words):
    with pytest.raises(BrokenRecords, match=words):
        parse([data])


def test_data_within_one_chunk_is_a_part_of_it_and_is_revoked():
    chunk = memoryview(START + BYTES + DIGEST + records.end_record(1, 0))
    views = [chunk]
    reader = RecordReader(lambda: views.pop() if views else None)
    reader.next()
    _, piece = reader.next()
    assert (piece.obj is chunk.obj, bytes(piece)) == (True, b"abc")
    reader.next()
    with pytest.raises(ValueError, match="released"):
        bytes(piece)


def test_what_does_not_fit_into_a_record_is_not_encoded():
    for number in (0, wire.MAX_RECORD + 1):
        with pytest.raises(ValueError, match="1 to 1048576"):
            records.data_header(number)
    with pytest.raises(ValueError, match="does not fit"):
        records.entry_record(records.EntryRecord("a", "p1", "file", 2**32, 0, 0, 0, 0))
    with pytest.raises(ValueError, match="more than 1048576"):
        records.entry_record(records.EntryRecord("a" * wire.MAX_RECORD, "p1", "file", 0, 0, 0, 0, 0))
