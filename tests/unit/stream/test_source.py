"""Sources: every byte arrives, holes are not read, and changes of the file are errors."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from douane.engine import PlanError, SourceError, open_source
from douane.stream.ring import SLOT_BYTES, Chunk, Ring
from douane.stream.source import MIN_HOLE_BYTES


class Reader:
    """Copies every chunk at once."""

    essential = True

    def __init__(self, ring: Ring) -> None:
        self.released = 0
        self.content = b""
        self.holes = 0
        self._ring = ring

    def push(self, chunks: Sequence[Chunk]) -> None:
        for chunk in chunks:
            length = chunk.end - chunk.start
            if chunk.place is None:
                self.content += bytes(length)
                self.holes += length
            else:
                self.content += bytes(self._ring.view[chunk.place : chunk.place + length])
            self.released = chunk.end

    def finish(self, size: int) -> None:
        pass

    def overrun(self) -> None:
        pass


def pump(source) -> Reader:
    ring = Ring()
    reader = Reader(ring)
    ring.attach(reader)
    try:
        source.pump(ring)
    finally:
        source.close()
        ring.close()
    return reader


@settings(deadline=None, max_examples=40)
@given(st.lists(st.tuples(st.booleans(), st.integers(1, 3 * MIN_HOLE_BYTES)), max_size=6))
def test_a_sparse_file_arrives_complete_without_reading_its_large_holes(tmp_path_factory, pieces):
    path = tmp_path_factory.mktemp("sparse") / "image"
    expected = b""
    with path.open("wb") as file:
        for data, length in pieces:
            if data:
                file.write(b"\xaa" * length)
                expected += b"\xaa" * length
            else:
                file.seek(length, os.SEEK_CUR)
                expected += bytes(length)
        file.truncate(len(expected))
    assert pump(open_source(str(path))).content == expected


def test_a_file_without_data_is_not_read(tmp_path):
    path = tmp_path / "image"
    with path.open("wb") as file:
        file.truncate(50 * SLOT_BYTES)
    assert pump(open_source(str(path))).holes == 50 * SLOT_BYTES


@pytest.mark.parametrize("size", [0, 1, SLOT_BYTES - 1, SLOT_BYTES, SLOT_BYTES + 1])
def test_files_and_pipes_of_awkward_sizes(tmp_path, size):
    data = os.urandom(size)
    path = tmp_path / "image"
    path.write_bytes(data)
    assert pump(open_source(str(path))).content == data
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=lambda: pipe.write_bytes(data))
    writer.start()
    assert pump(open_source(str(pipe))).content == data
    writer.join()


def change_while_reading(path, change):
    """Read `path`; `change` it after the first chunk has been read."""
    source = open_source(str(path))
    ring = Ring()
    reader = Reader(ring)
    push = reader.push

    def once(chunk: Chunk) -> None:
        push(chunk)
        reader.push = push  # type: ignore[method-assign]
        change()

    reader.push = once  # type: ignore[method-assign]
    ring.attach(reader)
    try:
        source.pump(ring)
    finally:
        source.close()
        ring.close()


@pytest.fixture
def image(tmp_path):
    path = tmp_path / "image"
    path.write_bytes(os.urandom(3 * SLOT_BYTES))
    os.utime(path, (1, 1))
    return path


def append(path):
    with path.open("ab") as file:
        file.write(b"more")


def overwrite(path):
    with path.open("r+b") as file:
        file.write(b"other")


@pytest.mark.parametrize(
    ("change", "code", "sentence"),
    [
        (lambda path: os.truncate(path, SLOT_BYTES), "truncated", "became shorter"),
        (append, "changed-while-read", "grew"),
        (overwrite, "changed-while-read", "changed"),
    ],
)
def test_an_image_that_changes_while_it_is_read_is_an_error(image, change, code, sentence):
    with pytest.raises(SourceError, match=sentence) as error:
        change_while_reading(image, lambda: change(image))
    assert error.value.code == code
    assert str(image) in str(error.value)


def test_a_pipe_that_ends_before_the_announced_size_is_an_error(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=lambda: pipe.write_bytes(b"x" * 10))
    writer.start()
    with pytest.raises(SourceError, match="ended after 10 of the announced 11 bytes"):
        pump(open_source(str(pipe), size=11))
    writer.join()


def test_a_directory_and_a_missing_file_are_named(tmp_path):
    with pytest.raises(PlanError, match="is a directory"):
        open_source(str(tmp_path))
    with pytest.raises(PlanError, match="gone cannot be opened: No such file"):
        open_source(str(tmp_path / "gone"))
