"""A running cage, seen from the engine: is it alive, what does it use, end it."""

from __future__ import annotations

import contextlib
import os
import re
import select
import signal
import subprocess
import threading
import time
from dataclasses import dataclass

from douane.errors import SandboxError

from . import usage
from .cage import Cage, Tier, Usage
from .cgroup import Leaf

_BWRAP_TELLS_WITHIN_S = 20
_END_WITHIN_S = 10
_CLEAN = bytes(4)


@dataclass(frozen=True)
class Family:
    """How the tree is held together; descriptors are -1 where there are none, and become the process's."""

    leash: int = -1
    """Our end of the keeper's leash."""

    info: int = -1
    """Where bwrap tells the pid of its first process inside."""

    init: bool = False
    """There is a pid namespace."""

    def close(self) -> None:
        """Let the descriptors go, and with them what they hold."""
        for fd in (self.leash, self.info):
            if fd >= 0:
                os.close(fd)


class CagedProcess:
    """A plugin's process with all that belongs to it. Methods may be called from any thread."""

    def __init__(self, process: subprocess.Popen[bytes], cage: Cage, family: Family, leaf: Leaf | None = None) -> None:
        """`leaf` becomes this object's: the launcher, which waits for its order still, is moved there."""
        self._process = process
        self._cage = cage
        self._leash = family.leash
        self._lock = threading.RLock()
        self._returncode: int | None = None
        self._init_fd = -1
        self.pid = process.pid
        """The outermost process: bwrap, the keeper, or the plugin itself."""

        self._leaf: Leaf | None = None
        self.tier: Tier = cage.tier
        launcher = self.pid
        try:
            self._fd = os.pidfd_open(self.pid)
            if family.init:
                self._init_fd, launcher = _init_of(family.info, self.pid, cage.name)
            if leaf is not None and launcher:
                self._leaf = _joined(leaf, launcher)
        except BaseException:
            family.close()
            process.kill()
            process.wait()
            if leaf is not None:
                leaf.close()
            raise
        if family.info >= 0:
            os.close(family.info)
        if self._leaf is None and leaf is not None:
            leaf.close()
        self._depth = 2 if family.init else 1 if self._leash >= 0 else 0

    def fileno(self) -> int:
        """A pidfd: readable when the process has ended (pidfd_open(2))."""
        return self._fd

    def poll(self) -> int | None:
        """The plugin's exit status, negative for a signal; None while it runs."""
        with self._lock:
            if self._returncode is None and self._process.poll() is not None:
                self._ended()
            return self._returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end, at most `timeout` s. Raises TimeoutError."""
        if self.poll() is None and not _readable(self._fd, timeout):
            raise TimeoutError(f"{self._cage.name} still runs after {timeout} s")
        code = self.poll()
        while code is None:  # the pidfd was readable: only the reaping is left
            self._process.wait()
            code = self.poll()
        return code

    def kill(self) -> None:
        """End the whole tree at once and reap it. Does nothing if it has ended."""
        with self._lock:
            if self.poll() is not None:
                return
            if self._init_fd >= 0:
                with contextlib.suppress(ProcessLookupError):
                    signal.pidfd_send_signal(self._init_fd, signal.SIGKILL)  # takes its namespace along
                # bwrap ends by itself then, and reaps it. Killed first, it would leave that to whoever adopts
                # orphans, which in a container is often this very process: a zombie for every plugin.
                if not _readable(self._fd, _END_WITHIN_S):
                    self._process.kill()
            elif self._leash >= 0:
                self._let_go()
                if not _readable(self._fd, _END_WITHIN_S):
                    self._process.kill()
            else:
                self._process.kill()
            self._process.wait()
            self._ended()  # and with it cgroup.kill, after those whose task it is to reap have done so

    @property
    def cgroup(self) -> str:
        """Which bounds its cgroup keeps, for a person; empty if it has none, or has ended."""
        leaf = self._leaf
        return leaf.kept() if leaf is not None else ""

    def measure(self) -> Usage:
        """What the tree uses now; all zero when it has ended."""
        leaf = self._leaf
        used = usage.of_leaf(leaf.folder, helpers=min(self._depth, 1)) if leaf is not None else None
        return used or usage.of_tree(self.pid, self._depth)

    def _let_go(self) -> None:
        # shutdown, not only close: a process that another thread has just forked may hold a copy.
        import socket

        with socket.socket(fileno=os.dup(self._leash)) as end, contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_WR)

    def _ended(self) -> None:
        """The outermost process has been reaped: see to the rest, then give the descriptors back."""
        code = self._process.returncode
        if self.tier is Tier.FULL and code > 128:
            code = 128 - code  # bwrap speaks as a shell does
        if self._init_fd >= 0:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._init_fd, signal.SIGKILL)
            _readable(self._init_fd, _END_WITHIN_S)
            os.close(self._init_fd)
            self._init_fd = -1
        if self._leash >= 0:
            self._after_keeper()
            os.close(self._leash)
            self._leash = -1
        if self._leaf is not None:
            self._leaf.close()
            self._leaf = None
        self._returncode = code

    def _after_keeper(self) -> None:
        """The keeper cleans up before it ends; if it was killed, its group is still to be killed."""
        os.set_blocking(self._leash, False)
        said = b""
        with contextlib.suppress(OSError):
            said = os.read(self._leash, 64)
        if len(said) >= 4 and said[4:8] != _CLEAN:
            group = int.from_bytes(said[:4], "little")
            with contextlib.suppress(OSError):
                os.killpg(group, signal.SIGKILL)

    def __del__(self) -> None:
        if hasattr(self, "_fd"):
            if self._returncode is None:
                self.kill()
            os.close(self._fd)


def _readable(fd: int, timeout: float | None) -> bool:
    watch = select.poll()
    watch.register(fd, select.POLLIN)
    return bool(watch.poll(None if timeout is None else max(0, round(timeout * 1000))))


def _joined(leaf: Leaf, launcher: int) -> Leaf | None:
    """`leaf`, with the process `launcher` in it; None if it cannot be moved: then it keeps its other layers.

    Its number is its own still: it waits for its order, and was there when bwrap, which alone can reap it, was asked.
    """
    try:
        leaf.add(launcher)
    except OSError:
        return None
    return leaf


def _init_of(info: int, outer: int, name: str) -> tuple[int, int]:
    """A pidfd of the first process in the namespace, from what bwrap writes to --info-fd, and its pid; (-1, 0) if it
    has ended."""
    said = b""
    end = time.monotonic() + _BWRAP_TELLS_WITHIN_S
    while b"}" not in said:
        if not _readable(info, end - time.monotonic()):
            raise SandboxError(f"{name}: bwrap did not build the namespaces within {_BWRAP_TELLS_WITHIN_S} s")
        more = os.read(info, 4096)
        if not more:
            raise SandboxError(
                f"{name}: bwrap ended before it had built the namespaces; its reason is in the plugin's standard "
                "error, and `douane doctor` shows what this machine allows"
            )
        said += more
    found = re.search(rb'"child-pid":\s*(\d+)', said)
    if found is None:
        raise SandboxError(f"{name}: bwrap said {said!r:.200} where the number of its process was expected")
    pid = int(found[1])
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return -1, 0  # a short program may have come to its end already, and its namespace with it
    if usage.parent_of(pid) != outer:
        os.close(fd)
        raise SandboxError(f"{name}: the cage ended while it was being built")
    return fd, pid
