"""The source of bytes that are no file: all arrive, in order, and what its store does wrong is an error."""

from __future__ import annotations

import os
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from douane.errors import SourceError, StoreError
from douane.stream import stored_source
from douane.stream.digest import Digest
from douane.stream.feed import SourceFeed
from douane.stream.ring import SLOT_BYTES, Ring, RingStopped
from douane.stream.source import FileSource
from douane.stream.stored_source import BLOCK_BYTES, READ_AHEAD, StoredSource, source_of
from support.ring_reader import pump
from support.waiting import until


class Stored:
    """Bytes of a store."""

    fd: int | None = None

    def __init__(self, data: bytes, size: int | None = None) -> None:
        self.data = data
        self.size = len(data) if size is None else size
        self.reads = 0
        self.is_closed = False

    def read_into(self, view: memoryview, offset: int) -> int:
        self.reads += 1
        piece = self.data[offset : offset + len(view)]
        view[: len(piece)] = piece
        return len(piece)

    def close(self) -> None:
        self.is_closed = True


@settings(deadline=None, max_examples=20)
@given(st.lists(st.tuples(st.booleans(), st.integers(1, 3 * SLOT_BYTES)), max_size=6))
def test_all_bytes_arrive_in_order_and_zeros_as_holes(pieces: list[tuple[bool, int]]) -> None:
    data = b"".join(os.urandom(length) if is_data else bytes(length) for is_data, length in pieces)
    received = pump(StoredSource(Stored(data), "the image"))
    assert received.content == data
    blocks = (data[at : at + SLOT_BYTES] for at in range(0, len(data), SLOT_BYTES))
    assert received.holes == sum(len(block) for block in blocks if not any(block))


@pytest.mark.parametrize("size", [0, 1, BLOCK_BYTES - 1, BLOCK_BYTES, BLOCK_BYTES + 1, (READ_AHEAD + 1) * BLOCK_BYTES])
def test_sizes_around_those_of_a_block(size: int) -> None:
    data = os.urandom(size)
    assert pump(StoredSource(Stored(data), "the image")).content == data


def test_bytes_that_end_early_are_an_error() -> None:
    with pytest.raises(SourceError, match="ended after 5") as raised:
        pump(StoredSource(Stored(b"short", 10), "the image"))
    assert raised.value.code == "truncated"


def test_the_error_of_the_store_is_that_of_the_source() -> None:
    class Away(Stored):
        def read_into(self, view: memoryview, offset: int) -> int:
            raise StoreError("it does not answer", code="store-away")

    with pytest.raises(StoreError, match="does not answer"):
        pump(StoredSource(Away(b"it"), "the image"))


def test_a_run_that_has_ended_does_not_wait_for_a_store_that_does_not_answer() -> None:
    requested, answered = threading.Event(), threading.Event()

    class Silent(Stored):
        def read_into(self, view: memoryview, offset: int) -> int:
            requested.set()
            answered.wait()
            return 0

    ring = Ring()
    raised: list[BaseException] = []

    def run() -> None:
        try:
            StoredSource(Silent(b"it"), "the image").pump(ring)
        except RingStopped as error:
            raised.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    assert requested.wait(60)
    ring.stop()
    thread.join()
    answered.set()
    assert len(raised) == 1
    ring.close()


def test_no_more_is_read_ahead_than_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stored_source, "BLOCK_BYTES", SLOT_BYTES)
    stored = Stored(os.urandom(40 * SLOT_BYTES))
    ring = Ring(4)
    digest = Digest(ring, "md5", lambda _: None)  # attached but not started: it releases nothing
    ring.attach(digest)
    feed = SourceFeed(ring, StoredSource(stored, "the image"), lambda _: None)
    feed.start()
    until("the ring is full", lambda: ring.is_full)
    assert stored.reads <= 4 + 1 + READ_AHEAD
    ring.stop()
    feed.join()
    ring.close()


def test_a_file_is_read_as_a_file(tmp_path: os.PathLike[str]) -> None:
    path = os.path.join(tmp_path, "image")
    with open(path, "wb") as file:
        file.write(b"bytes")
        file.truncate(64 * SLOT_BYTES)
    stored = Stored(b"", 5)
    stored.fd = os.open(path, os.O_RDONLY)
    source = source_of(stored, "the image")
    assert isinstance(source, FileSource)
    assert stored.is_closed
    assert pump(source).holes > 60 * SLOT_BYTES, "the holes of a file are not read"
    os.close(stored.fd)
