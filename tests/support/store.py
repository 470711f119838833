"""Images in a FileStore, for tests."""

import contextlib
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from douane.stores import FileStore, Store, StoredBytes


def new_id() -> str:
    return str(uuid.uuid4())


def put(store: FileStore, extents: list[tuple[int, bytes]], size: int, image_id: str | None = None) -> str:
    """Stage, finish and publish an image with these (offset, bytes)."""
    image_id = image_id or new_id()
    staged = store.stage(new_id())
    for offset, data in extents:
        assert os.pwrite(staged.fd, data, offset) == len(data)
    staged.finish(size)
    store.publish(staged, image_id)
    return image_id


def read_all(store: Store, image_id: str) -> bytes:
    return content_of(store.open(image_id))


def content_of(stored: StoredBytes) -> bytes:
    """All bytes, which are closed."""
    with contextlib.closing(stored):
        data = bytearray(stored.size)
        assert stored.read_into(memoryview(data), 0) == stored.size
        return bytes(data)


@contextmanager
def stager(root: Path, key: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process that has staged `key`, has written to it, and holds it until it is killed."""
    code = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from douane.stores import FileStore\n"
        "staged = FileStore(Path(sys.argv[1])).stage(sys.argv[2])\n"
        "os.pwrite(staged.fd, b'half an image', 0)\n"
        "print('staged', flush=True)\n"
        "sys.stdin.read()\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(root), key], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"staged\n"
        yield process
    finally:
        process.kill()
        process.communicate()
