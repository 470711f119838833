"""Other processes, other users and small disks for tests."""

import os
import signal
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

NOBODY = 65534


def start_child(body: Callable[[], None], user: int | None = None) -> int:
    """Fork a child that runs `body`, as another user if given; its pid."""
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


def in_child(body: Callable[[], None], user: int | None = None) -> int:
    """Run `body` in a forked child; its wait status."""
    return os.waitpid(start_child(body, user), 0)[1]


def is_killed(status: int) -> bool:
    """True for the wait status of a process that SIGKILL ended."""
    return os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL


def concurrently(bodies: list[Callable[[], None]]) -> list[int]:
    """Run each body in a process of its own, all released at the same instant; their wait statuses."""
    wait, release = os.pipe()

    def waiting(body: Callable[[], None]) -> Callable[[], None]:
        def run() -> None:
            os.close(release)
            os.read(wait, 1)  # ends when the last writer, the parent, closes
            body()

        return run

    pids = [start_child(waiting(body)) for body in bodies]
    os.close(wait)
    os.close(release)
    return [os.waitpid(pid, 0)[1] for pid in pids]


def as_ordinary_user(body: Callable[[], None]) -> None:
    """Run `body` where permission bits count: root ignores them, so root becomes another user first."""
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


def on_small_disk(directory: Path, size: int, code: str, *bwrap: str) -> str:
    """Run Python `code` where `directory` is a file system of `size` bytes (0: nothing is mounted); its output."""
    mount = ["--size", str(size), "--tmpfs", str(directory)] if size else []
    process = subprocess.run(
        ["bwrap", "--dev-bind", "/", "/", *mount, *bwrap, sys.executable, "-c", code, str(directory)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert process.returncode == 0, process.stderr
    return process.stdout
