"""Disks that are full, read-only, or of another user: the error names the cause, and nothing is left behind."""

import os
from pathlib import Path

from douane.errors import StoreError
from douane.stores import FileStore
from support.processes import as_ordinary_user, on_small_disk, open_directory
from support.store import new_id, put

GIB = 1 << 30


def test_a_full_disk_is_reported_with_the_bytes_that_were_needed(tmp_path: Path) -> None:
    code = (
        "import os, sys, uuid\n"
        "from pathlib import Path\n"
        "from douane.stores import FileStore\n"
        "store = FileStore(Path(sys.argv[1]))\n"
        "with store.stage(str(uuid.uuid4())) as staged:\n"
        "    try:\n"
        "        for offset in range(0, 4 << 20, 65536): os.pwrite(staged.fd, bytes(65536), offset)\n"
        "    except OSError as error:\n"
        "        error = staged.explain(error, needed=4 << 20)\n"
        "        print(error.code, error)\n"
        "print(list(store.staged_keys()), os.listdir(sys.argv[1] + '/staging'), store.free() > 900000)\n"
    )
    message, rest = on_small_disk(tmp_path, 1 << 20, code).splitlines()
    assert message.startswith(f"store-full cannot write the image to the store: {tmp_path}")
    assert "4194304 bytes are needed, 0 bytes are free" in message
    assert "make room" in message
    assert rest == "[] [] True"


def test_a_read_only_disk_can_be_read_but_not_written(tmp_path: Path) -> None:
    image_id = put(FileStore(tmp_path), [(0, b"x")], 1)
    code = (
        "import os, sys, uuid\n"
        "from pathlib import Path\n"
        "from douane.stores import FileStore\n"
        "from douane.errors import StoreError\n"
        "store = FileStore(Path(sys.argv[1]))\n"
        f"print(os.read(store.open({image_id!r}).fd, 9))\n"
        f"for ask in (lambda: store.stage(str(uuid.uuid4())), lambda: store.delete({image_id!r})):\n"
        "    try:\n"
        "        ask()\n"
        "    except StoreError as error:\n"
        "        print(error.code, error)\n"
    )
    read, staged, deleted = on_small_disk(tmp_path, 0, code, "--ro-bind", str(tmp_path), str(tmp_path)).splitlines()
    assert read == "b'x'"
    assert staged.startswith("store-unwritable cannot stage the image")
    assert "read-only; remount it writable" in staged
    assert deleted.startswith("store-unwritable cannot delete the image")


def test_a_store_without_write_permission_names_the_user() -> None:
    with open_directory() as directory:
        os.chmod(directory, 0o555)
        try:
            as_ordinary_user(lambda: _cannot_stage(directory / "store"))
            assert os.listdir(directory) == []
        finally:
            os.chmod(directory, 0o777)


def _cannot_stage(root: Path) -> None:
    try:
        FileStore(root).stage(new_id())
    except StoreError as error:
        assert error.code == "store-unwritable"
        assert f"does not let user {os.geteuid()} in" in str(error)
    else:
        raise AssertionError("it was staged")


def test_an_image_without_read_permission_names_the_user() -> None:
    with open_directory() as directory:
        image_id = put(FileStore(directory / "store"), [(0, b"x")], 1)
        os.chmod(directory / "store" / "images" / image_id, 0)
        for name in ("store", "store/images"):
            os.chmod(directory / name, 0o755)
        as_ordinary_user(lambda: _cannot_read(directory / "store", image_id))


def _cannot_read(root: Path, image_id: str) -> None:
    try:
        FileStore(root).open(image_id)
    except StoreError as error:
        assert error.code == "store-unreadable"
        assert "run as the user who owns the store" in str(error)
    else:
        raise AssertionError("it was read")


def test_a_file_in_place_of_the_store_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "store").write_text("a file")
    try:
        FileStore(tmp_path / "store").stage(new_id())
    except StoreError as error:
        assert error.code == "store-unwritable"
        assert "name another place" in str(error)
    else:
        raise AssertionError("it was staged")
    assert (tmp_path / "store").read_text() == "a file"


def test_a_sparse_image_fits_on_a_small_disk(tmp_path: Path) -> None:
    store = FileStore(tmp_path / "store")
    image_id = put(store, [(GIB, b"b" * 4096)], 2 * GIB)
    disk = tmp_path / "disk"
    disk.mkdir()
    code = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from douane.stores import FileStore, save\n"
        f"save(FileStore(Path({str(tmp_path / 'store')!r})), {image_id!r}, Path(sys.argv[1]) / 'out')\n"
        "fd = os.open(sys.argv[1] + '/out', os.O_RDONLY)\n"
        "print(os.fstat(fd).st_size, os.pread(fd, 4, 1 << 30), os.listdir(sys.argv[1]))\n"
    )
    assert on_small_disk(disk, 1 << 20, code) == f"{2 * GIB} b'bbbb' ['out']\n"


def test_a_full_disk_leaves_the_target_unchanged(tmp_path: Path) -> None:
    store = FileStore(tmp_path / "store")
    image_id = put(store, [(0, os.urandom(4 << 20))], 4 << 20)
    disk = tmp_path / "disk"
    disk.mkdir()
    code = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from douane.stores import FileStore, save\n"
        "from douane.errors import StoreError\n"
        "Path(sys.argv[1], 'out').write_bytes(b'what was there')\n"
        "try:\n"
        f"    save(FileStore(Path({str(tmp_path / 'store')!r})), {image_id!r}, Path(sys.argv[1]) / 'out')\n"
        "except StoreError as error:\n"
        "    print(error.code, error)\n"
        "print(os.listdir(sys.argv[1]), Path(sys.argv[1], 'out').read_bytes())\n"
    )
    message, rest = on_small_disk(disk, 1 << 20, code).splitlines()
    assert message.startswith("target-full cannot save the image")
    assert f"{4 << 20} bytes are needed" in message
    assert rest == "['out'] b'what was there'"
