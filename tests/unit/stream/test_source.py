"""Sources: every byte arrives, holes are not read, and changes of the file are errors."""

from __future__ import annotations

import fcntl
import os
import select
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from douane.engine import PlanError, SourceError, open_source
from douane.stream.ring import SLOT_BYTES, Chunk, Ring, RingStopped
from douane.stream.source import MIN_HOLE_BYTES, StreamSource
from support.ring_reader import Reader, pump


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


@pytest.fixture(params=["pipe", "named pipe"])
def pipe(request, tmp_path):
    """The ends of a pipe of either kind; of a named one, the kernel reads none without waiting (RWF_NOWAIT)."""
    if request.param == "pipe":
        return os.pipe()
    os.mkfifo(tmp_path / "pipe")
    read = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    write = os.open(tmp_path / "pipe", os.O_WRONLY)
    os.set_blocking(read, True)
    return read, write


def test_every_byte_of_a_pipe_arrives(pipe):
    read, write = pipe
    data = os.urandom(3 * SLOT_BYTES + 5)
    fcntl.fcntl(write, fcntl.F_SETFL, fcntl.fcntl(write, fcntl.F_GETFL) | os.O_DIRECT)  # in packets

    def send() -> None:
        with os.fdopen(write, "wb", buffering=0) as file:
            for at in range(0, len(data), 4096):
                file.write(data[at : at + 4096])

    thread = threading.Thread(target=send)
    thread.start()
    assert pump(StreamSource(read, "the pipe")).content == data
    thread.join()


def test_a_sender_that_takes_its_bytes_back_does_not_hold_the_run(monkeypatch, pipe):
    """Whoever makes a pipe can read it, too: after poll(2) has said that there are bytes, and before they are read."""
    read, write = pipe
    ring = Ring()
    taken = threading.Event()

    class Poll:
        def __init__(self) -> None:
            self._real = real_poll()
            self.register = self._real.register

        def poll(self, *timeout):
            ready = self._real.poll(*timeout)
            if (read, select.POLLIN) in ready and not taken.is_set():
                os.read(read, 100)
                taken.set()
            return ready

    real_poll = select.poll
    monkeypatch.setattr(select, "poll", Poll)
    os.write(write, b"bait")
    result = []

    def fill() -> None:
        try:
            StreamSource(read, "the pipe").pump(ring)
        except RingStopped as stopped:
            result.append(stopped)

    thread = threading.Thread(target=fill, daemon=True)
    thread.start()
    assert taken.wait(30)
    ring.stop()
    thread.join(30)
    stuck = thread.is_alive()
    os.close(write)  # which ends a read that waits
    thread.join(30)
    os.close(read)
    ring.close()
    assert not stuck
    assert len(result) == 1
