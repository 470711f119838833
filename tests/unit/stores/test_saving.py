"""Saving an image to a file: the same bytes, the same holes, all of it or nothing."""

import os
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from douane.errors import StoreError
from douane.stores import FileStore, save
from support.processes import open_directory
from support.store import new_id, put

GIB = 1 << 30
layouts = st.lists(
    st.tuples(
        st.integers(0, 600).map(lambda block: block * 4096) | st.integers(0, 2_500_000),
        st.integers(1, 70_000),
        st.integers(0, 255),
    ),
    max_size=8,
)


def drain(store: FileStore, image_id: str) -> bytes:
    """The image as a pipe's reader gets it."""
    read, write = os.pipe()
    got: list[bytes] = []

    def reader() -> None:
        with os.fdopen(read, "rb") as pipe:
            got.append(pipe.read())

    thread = threading.Thread(target=reader)
    thread.start()
    try:
        store.copy_to(image_id, write)
    finally:
        os.close(write)
        thread.join()
    return got[0]


@pytest.mark.parametrize("in_kernel", [True, False], ids=["copy_file_range", "read and write"])
@settings(max_examples=40, deadline=None)
@given(layout=layouts, tail=st.integers(0, 300_000))
def test_the_saved_file_equals_the_image(in_kernel: bool, layout: list[tuple[int, int, int]], tail: int) -> None:
    size = max((offset + length for offset, length, _ in layout), default=0) + tail
    expected = bytearray(size)
    extents = [(offset, bytes([value]) * length) for offset, length, value in layout]
    for offset, data in extents:
        expected[offset : offset + len(data)] = data
    with open_directory() as directory, pytest.MonkeyPatch.context() as patch:
        store = FileStore(directory / "store")
        image_id = put(store, extents, size)
        target = directory / "saved"
        if not in_kernel:
            patch.setattr(os, "copy_file_range", _cross_device)
        assert save(store, image_id, target) == size
        assert target.read_bytes() == expected
        assert target.stat().st_blocks <= (directory / "store" / "images" / image_id).stat().st_blocks + 8
        assert drain(store, image_id) == expected


def _cross_device(*_args: object) -> int:
    raise OSError(18, "Invalid cross-device link")


def test_holes_stay_holes(tmp_path: Path) -> None:
    store = FileStore(tmp_path)
    image_id = put(store, [(0, b"a" * 4096), (GIB, b"b" * 4096)], 64 * GIB)
    target = tmp_path / "saved"
    assert save(store, image_id, target) == 64 * GIB
    assert target.stat().st_size == 64 * GIB
    assert target.stat().st_blocks * 512 < 1 << 20
    with target.open("rb") as file:
        file.seek(GIB)
        assert file.read(5000) == b"b" * 4096 + bytes(904)


def test_an_existing_file_is_replaced_as_a_whole_also_behind_a_link(tmp_path: Path) -> None:
    store = FileStore(tmp_path / "store")
    image_id = put(store, [(0, b"new")], 3)
    (tmp_path / "real").write_bytes(b"much longer than new")
    (tmp_path / "link").symlink_to("real")
    reader = (tmp_path / "real").open("rb")
    save(store, image_id, tmp_path / "link")
    assert (tmp_path / "real").read_bytes() == b"new"
    assert (tmp_path / "link").is_symlink()
    assert reader.read() == b"much longer than new", "a reader of the old file never sees a part of the new file"
    reader.close()
    assert sorted(os.listdir(tmp_path)) == ["link", "real", "store"]


def test_the_mode_of_the_saved_file_follows_the_umask(tmp_path: Path) -> None:
    store = FileStore(tmp_path / "store")
    image_id = put(store, [], 0)
    old = os.umask(0o027)
    try:
        save(store, image_id, tmp_path / "out")
    finally:
        os.umask(old)
    assert (tmp_path / "out").stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize("mode", [0o600, 0o644, 0o400, 0o755])
def test_a_file_that_is_replaced_passes_on_its_mode(tmp_path: Path, mode: int) -> None:
    store = FileStore(tmp_path / "store")
    image_id = put(store, [(0, b"new")], 3)
    target = tmp_path / "out"
    target.write_bytes(b"old")
    target.chmod(mode)
    save(store, image_id, target)
    assert target.read_bytes() == b"new"
    assert target.stat().st_mode & 0o7777 == mode


@pytest.fixture
def shared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder such as /tmp. Everything in it belongs to a user who is neither this one nor the folder's owner."""
    folder = tmp_path / "shared"
    folder.mkdir()
    folder.chmod(0o1777)
    owned = os.lstat

    def lstat(path: str) -> os.stat_result:
        status = owned(path)
        return os.stat_result((*status[:4], 65534, *status[5:])) if Path(path).parent == folder else status

    monkeypatch.setattr(os, "lstat", lstat)
    monkeypatch.setattr(os, "stat", lambda path, **_: lstat(path) if Path(path).parent == folder else owned(path))
    return folder


@pytest.mark.parametrize("kind", ["link", "link to nothing", "folder behind a link", "pipe", "file"])
def test_nothing_of_another_user_in_a_shared_folder_is_followed(tmp_path: Path, shared: Path, kind: str) -> None:
    store = FileStore(tmp_path / "store")
    image_id = put(store, [(0, b"new")], 3)
    (tmp_path / "mine").mkdir()
    victim = tmp_path / "mine" / "out"
    victim.write_bytes(b"precious")
    target = shared / "out"
    if kind == "link":
        target.symlink_to(victim)
    elif kind == "link to nothing":
        target.symlink_to(tmp_path / "mine" / "absent")
    elif kind == "folder behind a link":
        target.symlink_to(tmp_path / "mine")
        target = target / "out"
    elif kind == "pipe":
        os.mkfifo(target)
    else:
        target.write_bytes(b"theirs")
    with pytest.raises(StoreError, match="belongs to another user") as caught:
        save(store, image_id, target)
    assert caught.value.code == "target-unwritable"
    assert os.listdir(tmp_path / "mine") == ["out"]
    assert victim.read_bytes() == b"precious"
    save(store, image_id, shared / "new")
    assert (shared / "new").read_bytes() == b"new"


def test_a_loop_of_links_is_an_error(tmp_path: Path) -> None:
    store = FileStore(tmp_path / "store")
    image_id = put(store, [(0, b"new")], 3)
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(StoreError, match="symbolic links") as caught:
        save(store, image_id, tmp_path / "a")
    assert caught.value.code.startswith("target-")


def test_targets_that_cannot_be_written_are_named(tmp_path: Path) -> None:
    store = FileStore(tmp_path / "store")
    image_id = put(store, [(0, b"x")], 1)
    for target, code, words in [
        (tmp_path, "target-unwritable", "is a directory; name a file in it"),
        (tmp_path / "no" / "out", "target-unwritable", "in a directory that does not exist; make it first"),
        (Path("/proc/out"), "target-unwritable", "/proc/out"),
        (Path("/dev/full"), "target-full", "no space left"),
    ]:
        with pytest.raises(StoreError) as caught:
            save(store, image_id, target)
        assert caught.value.code == code
        assert words in str(caught.value)
    with pytest.raises(StoreError) as caught:
        save(store, new_id(), tmp_path / "out")
    assert caught.value.code == "not-found"
    assert sorted(os.listdir(tmp_path)) == ["store"]


def test_a_named_pipe_is_written_to_and_not_replaced(tmp_path: Path) -> None:
    store = FileStore(tmp_path / "store")
    image_id = put(store, [(4096, b"x")], 9000)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    got: list[bytes] = []
    thread = threading.Thread(target=lambda: got.append(pipe.read_bytes()))
    thread.start()
    save(store, image_id, pipe)
    thread.join()
    assert got == [bytes(4096) + b"x" + bytes(9000 - 4097)]
    assert pipe.is_fifo()


@pytest.mark.parametrize("becomes", ["link", "file"])
def test_a_pipe_that_becomes_a_file_meanwhile_is_not_written_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, becomes: str
) -> None:
    """Whoever may write to the folder could have any file of the user overwritten."""
    store = FileStore(tmp_path / "store")
    image = put(store, [(0, b"image")], 5)
    pipe, other = tmp_path / "pipe", tmp_path / "other"
    os.mkfifo(pipe)
    other.write_bytes(b"something else")
    real = os.open

    def replaced_before(path: str, flags: int, *rest: int) -> int:
        if path == str(pipe):
            pipe.unlink()
            pipe.symlink_to(other) if becomes == "link" else pipe.hardlink_to(other)
        return real(path, flags, *rest)

    monkeypatch.setattr(os, "open", replaced_before)
    with pytest.raises(StoreError) as refused:
        save(store, image, pipe)
    assert refused.value.code == "target-unwritable"
    assert other.read_bytes() == b"something else"


def test_a_reader_that_goes_away_is_an_error(tmp_path: Path) -> None:
    store = FileStore(tmp_path)
    image_id = put(store, [(0, b"x")], 1)
    read, write = os.pipe()
    os.close(read)
    with pytest.raises(StoreError) as caught:
        store.copy_to(image_id, write)
    assert caught.value.code == "target-closed"
    os.close(write)


def test_an_image_that_was_cut_from_outside_is_damaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = FileStore(tmp_path)
    image_id = put(store, [(0, b"x" * 10000)], 10000)
    real = os.copy_file_range

    def cut_first(*args: int) -> int:
        os.truncate(tmp_path / "images" / image_id, 100)
        return real(*args)

    monkeypatch.setattr(os, "copy_file_range", cut_first)
    with pytest.raises(StoreError) as caught:
        save(store, image_id, tmp_path / "out")
    assert caught.value.code == "damaged"
    assert not (tmp_path / "out").exists()
