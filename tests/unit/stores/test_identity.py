"""The identity of a file store: made once, by one of those who begin, and never another."""

import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from douane.errors import StoreError
from douane.stores import FileStore
from support.store import new_id, put

ASK = "import sys; from douane.stores import FileStore; print(FileStore(sys.argv[1]).identity())"


def test_a_store_keeps_its_identity_and_another_has_another(tmp_path: Path) -> None:
    identity = FileStore(tmp_path / "store").identity()
    assert str(uuid.UUID(identity)) == identity
    assert FileStore(tmp_path / "store").identity() == identity
    assert FileStore(tmp_path / "other").identity() != identity
    assert sorted(path.name for path in (tmp_path / "store").iterdir()) == ["images", "staging", "store-id"]


def test_a_store_from_before_gets_one(tmp_path: Path) -> None:
    store = FileStore(tmp_path)
    image = put(store, [(0, b"it")], 2, new_id())
    assert not (tmp_path / "store-id").exists()
    assert FileStore(tmp_path).identity() == store.identity()
    assert list(store.image_ids()) == [image]


def test_processes_that_begin_at_once_have_the_same(tmp_path: Path) -> None:
    processes = [
        subprocess.Popen([sys.executable, "-c", ASK, str(tmp_path)], stdout=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    assert len({process.communicate()[0] for process in processes}) == 1
    assert all(process.returncode == 0 for process in processes)


@pytest.mark.parametrize("content", [b"", b"not an id", b"\xff\xfe"])
def test_an_identity_that_was_changed_from_outside_is_an_error(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "store-id").write_bytes(content)
    with pytest.raises(StoreError, match="backup") as raised:
        FileStore(tmp_path).identity()
    assert raised.value.code == "damaged"
