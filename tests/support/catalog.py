"""What the catalog's tests need of the world: other processes, sudden death, another user, a small disk."""

import os
import signal
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Engine, event

from douane.catalog import Catalog, Task

NOBODY = 65534
PLAN = {"plugins": [{"name": "format", "digest": "00"}]}


def begin(catalog: Catalog, image_id: str, on_failure: str = "requeue") -> Task:
    return catalog.begin_import(image_id, method="direct", plan=PLAN, on_failure=on_failure)


def make_ready(catalog: Catalog, task: Task, size: int = 5) -> Task:
    return catalog.ready_to_publish(
        task,
        report={"verdicts": []},
        size=size,
        digests={"sha256": "ab" * 32},
        disk_format="qcow2",
        container_format="bare",
        virtual_size=10 * size,
        properties={"format.seen": ("qcow2", "format")},
    )


def in_child(body: Callable[[], None], user: int | None = None) -> int:
    """Run `body` in a forked child that has no catalog open, as another user if asked; its wait status."""
    pid = start_child(body, user)
    return os.waitpid(pid, 0)[1]


def start_child(body: Callable[[], None], user: int | None = None) -> int:
    """Fork a child that runs `body`; its pid."""
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
    return pid


def together(bodies: list[Callable[[], None]]) -> list[int]:
    """Run each body in a process of its own, all let go at the same instant; their wait statuses."""
    wait, go = os.pipe()

    def waiting(body: Callable[[], None]) -> Callable[[], None]:
        def run() -> None:
            os.close(go)
            os.read(wait, 1)  # ends when the last writer, the parent, closes
            body()

        return run

    pids = [start_child(waiting(body)) for body in bodies]
    os.close(wait)
    os.close(go)
    return [os.waitpid(pid, 0)[1] for pid in pids]


def dies_at(statement: int, body: Callable[[], None]) -> bool:
    """Run `body` in a child killed (SIGKILL) before its n-th statement or commit; False if it never got that
    far."""

    def run() -> None:
        left = statement

        def live_or_die(*_args: object) -> None:
            nonlocal left
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            left -= 1

        event.listen(Engine, "before_cursor_execute", live_or_die)
        event.listen(Engine, "commit", live_or_die)
        body()

    status = in_child(run)
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL:
        return True
    assert status == 0, "the child failed; its traceback is in the captured output"
    return False


def as_ordinary_user(body: Callable[[], None]) -> None:
    """Run `body` where permission bits count: root looks past them, so root becomes somebody else first."""
    if os.geteuid() == 0:
        assert in_child(body, NOBODY) == 0, "the child failed; its traceback is in the captured output"
    else:
        body()


@contextmanager
def open_directory() -> Iterator[Path]:
    """A directory that every user can reach and write."""
    with tempfile.TemporaryDirectory(prefix="douane-test-") as name:
        os.chmod(name, 0o777)
        yield Path(name)


def on_small_disk(directory: Path, size: int, code: str) -> str:
    """Run Python `code` where `directory` is a file system of `size` bytes; its output."""
    disk = ["--size", str(size), "--tmpfs", str(directory)]
    done = subprocess.run(
        ["bwrap", "--dev-bind", "/", "/", *disk, sys.executable, "-c", code, str(directory)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
