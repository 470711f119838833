"""A disk that is full, read-only, or somebody else's: a sentence, and nothing left behind."""

import os
from pathlib import Path

from douane.errors import StoreError
from douane.stores import FileStore
from support.store import as_ordinary_user, new_id, on_small_disk, open_directory, put


def test_a_full_disk_says_how_much_was_needed_and_leaves_nothing(tmp_path: Path) -> None:
    code = (
        "import os, sys, uuid\n"
        "from pathlib import Path\n"
        "from douane.stores import FileStore\n"
        "store = FileStore(Path(sys.argv[1]))\n"
        "with store.stage(str(uuid.uuid4())) as staged:\n"
        "    try:\n"
        "        for offset in range(0, 4 << 20, 65536): os.pwrite(staged.fd, bytes(65536), offset)\n"
        "    except OSError as error:\n"
        "        told = staged.explain(error, needed=4 << 20)\n"
        "        print(told.code, told)\n"
        "print(list(store.staged_keys()), os.listdir(sys.argv[1] + '/staging'), store.free() > 900000)\n"
    )
    told, rest = on_small_disk(tmp_path, 1 << 20, code).splitlines()
    assert told.startswith(f"store-full cannot write the image to the store: {tmp_path}")
    assert "4194304 bytes are needed, 0 bytes are free" in told
    assert "make room" in told
    assert rest == "[] [] True"


def test_a_read_only_disk_is_named_as_such_and_can_still_be_read(tmp_path: Path) -> None:
    image_id = put(FileStore(tmp_path), [(0, b"x")], 1)
    code = (
        "import os, sys, uuid\n"
        "from pathlib import Path\n"
        "from douane.stores import FileStore\n"
        "from douane.errors import StoreError\n"
        "store = FileStore(Path(sys.argv[1]))\n"
        f"print(os.read(store.open({image_id!r}), 9))\n"
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


def test_a_store_that_an_ordinary_user_may_not_write_is_refused_in_a_sentence() -> None:
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


def test_an_image_that_an_ordinary_user_may_not_read_is_refused_in_a_sentence() -> None:
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


def test_a_store_whose_name_is_taken_by_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "store").write_text("a file")
    try:
        FileStore(tmp_path / "store").stage(new_id())
    except StoreError as error:
        assert error.code == "store-unwritable"
        assert "name another place" in str(error)
    else:
        raise AssertionError("it was staged")
    assert (tmp_path / "store").read_text() == "a file"
