"""Processes of tests: what is left of a run, children that die, other users, small disks."""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

NOBODY = 65534
PR_SET_CHILD_SUBREAPER = 36
SECONDS = 300
"""How long anything may take before a test fails instead of hanging; nothing is asserted on it."""


def become_subreaper() -> None:
    """Make orphans of our processes our children, so that a test sees a process left behind (prctl(2))."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def children(of: int | str = "self") -> set[int]:
    """The children of a process, by default our own."""
    pids: set[int] = set()
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # the process or a thread has just ended
        for task in os.listdir(f"/proc/{of}/task"):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                pids |= {int(pid) for pid in Path(f"/proc/{of}/task/{task}/children").read_text().split()}
    return pids


def descendants(pid: int) -> dict[int, str]:
    """All processes below `pid`, with their names."""
    names: dict[int, str] = {}
    for child in children(pid):
        with contextlib.suppress(OSError):
            names[child] = Path(f"/proc/{child}/comm").read_text().strip()
        names |= descendants(child)
    return names


def lives(process: psutil.Process) -> bool:
    """Whether a process runs. One that has ended is gone, even where nobody has reaped it: process 1 of a container may
    reap none."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def stop(pid: int) -> None:
    """SIGSTOP, and wait until all threads stand still: one on another core could still accept a connection."""
    os.kill(pid, signal.SIGSTOP)
    for _ in range(SECONDS * 100):
        if _states(pid) <= {"T"}:
            return
        time.sleep(0.01)
    raise AssertionError(f"process {pid} does not stop")


def _states(pid: int) -> set[str]:
    """The states of a process's threads, as in proc(5)."""
    states = set()
    for task in os.listdir(f"/proc/{pid}/task"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # the thread has just ended
            states.add(Path(f"/proc/{pid}/task/{task}/stat").read_text().rpartition(") ")[2][0])
    return states


def command_of(pid: int) -> str:
    """The command line of a process."""
    return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")[:300]


def wait_until_gone(earlier: set[int]) -> None:
    """Wait for the end of every child that came since `before`; fail if one has to be killed."""
    while new := children() - earlier:
        for pid in new:
            with contextlib.suppress(ProcessLookupError, ChildProcessError):  # somebody else has waited for the child
                ended = wait_for_end([os.pidfd_open(pid)])
                command = "" if ended else command_of(pid)
                if not ended:
                    os.kill(pid, signal.SIGKILL)  # so that it is this test that fails, and not the next one too
                os.waitpid(pid, 0)
                assert ended, f"a process lives on: {command}"


def wait_for_end(pidfds: Iterable[int]) -> bool:
    """Wait for the end of processes; close their descriptors. False if one is still alive after `SECONDS`."""
    ended = True
    for pidfd in pidfds:
        ended = ended and bool(select.select([pidfd], [], [], SECONDS)[0])  # readable when the process has ended
        os.close(pidfd)
    return ended


def start_child(body: Callable[[], None], user: int | None = None) -> int:
    """Fork a child that runs `body`, as another user if asked; its pid."""
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
    """Run `body` where permission bits count: as another user if the tests run as root."""
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


def small_disk(directory: Path, size: int, *bwrap: str) -> list[str]:
    """The beginning of a command line whose program has a file system of `size` bytes at `directory`."""
    mount = ["--size", str(size), "--tmpfs", str(directory)] if size else []
    return ["bwrap", "--dev-bind", "/", "/", *mount, *bwrap]


def on_small_disk(directory: Path, size: int, code: str, *bwrap: str) -> str:
    """Run Python `code` where `directory` is a file system of `size` bytes (0: nothing mounted); its output."""
    ended = subprocess.run(
        [*small_disk(directory, size, *bwrap), sys.executable, "-c", code, str(directory)],
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS,
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def modules_loaded_by(code: str) -> set[str]:
    """The modules of a fresh interpreter after `code`."""
    script = f"{code}\nimport sys; print(*sys.modules)"
    return set(subprocess.check_output([sys.executable, "-I", "-c", script], text=True, timeout=SECONDS).split())


def assert_contract_alone(modules: set[str]) -> None:
    """No module of ours is among `modules` but plugins, the contract, and the headers of formats."""
    ours = {name for name in modules if name.startswith("douane")}
    allowed = ("douane.plugins.", "douane_plugin.", "douane_guest.headers")
    packages = {name for name in ours if not name.startswith(allowed)}
    assert packages - {"douane_guest"} == {"douane", "douane.plugins", "douane_plugin"}
