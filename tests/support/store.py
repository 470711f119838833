"""What the store's tests need of the world: other processes, another user, a small disk."""

import os
import signal
import subprocess
import sys
import tempfile
import traceback
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from douane.stores import FileStore

NOBODY = 65534


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


def read_all(store: FileStore, image_id: str) -> bytes:
    fd = store.open(image_id)
    with os.fdopen(fd, "rb") as file:
        return file.read()


def in_child(body: Callable[[], None], user: int | None = None) -> int:
    """Run `body` in a forked child, as another user if asked; the answer is the wait status."""
    pid = os.fork()
    if pid == 0:
        try:
            if user is not None:
                os.setgroups([])
                os.setresgid(user, user, user)
                os.setresuid(user, user, user)
            body()
            os._exit(0)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
    return os.waitpid(pid, 0)[1]


def as_ordinary_user(body: Callable[[], None]) -> None:
    """Run `body` where permission bits count: root looks past them, so root becomes somebody else first."""
    if os.geteuid() == 0:
        assert in_child(body, NOBODY) == 0, "the body failed in the child; its traceback is in the captured output"
    else:
        body()


@contextmanager
def open_directory() -> Iterator[Path]:
    """A directory that every user can reach and write."""
    with tempfile.TemporaryDirectory(prefix="douane-test-") as name:
        os.chmod(name, 0o777)
        yield Path(name)


def on_small_disk(directory: Path, size: int, code: str, *bwrap: str) -> str:
    """Run Python `code` where `directory` is a file system of `size` bytes (0: nothing mounted); its
    output."""
    mount = ["--size", str(size), "--tmpfs", str(directory)] if size else []
    done = subprocess.run(
        ["bwrap", "--dev-bind", "/", "/", *mount, *bwrap, sys.executable, "-c", code, str(directory)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


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


def killed(status: int) -> bool:
    return os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
