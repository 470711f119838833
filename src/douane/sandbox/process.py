"""A running sandbox as the engine sees it: watch, measure and end its processes."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import threading
import time

import msgspec

from douane.errors import SandboxError

from . import priority, usage
from .cgroup import Leaf
from .private_folder import FolderUsage, PrivateFolder
from .spec import SandboxSpec, Tier
from .usage import Usage

_NAMESPACES_WITHIN_S = 20
_END_WITHIN_S = 10
_CLEAN = bytes(4)


class Family(msgspec.Struct, frozen=True):
    """What holds the tree of processes together. Descriptors are -1 if missing; the SandboxProcess takes them over."""

    leash: int = -1
    """Our end of the keeper's leash."""

    info: int = -1
    """A pipe to which bwrap writes the pid of its first process inside."""

    init: bool = False
    """The sandbox has a pid namespace."""

    def close(self) -> None:
        """Close the descriptors, which ends the processes that depend on them."""
        for fd in (self.leash, self.info):
            if fd >= 0:
                os.close(fd)


class SandboxProcess:
    """A plugin's process and its descendants. Methods may be called from any thread."""

    def __init__(
        self,
        process: subprocess.Popen[bytes],
        sandbox: SandboxSpec,
        family: Family,
        leaf: Leaf | None = None,
        folder: PrivateFolder | None = None,
    ) -> None:
        """Take over the others. The launcher, which still waits, is moved into `leaf`."""
        self._process = process
        self._name = sandbox.name
        self._leash = family.leash
        self._lock = threading.RLock()
        self._returncode: int | None = None
        self._init_fd = -1
        self.pid = process.pid
        """The outermost process: bwrap, the keeper, or the plugin itself."""

        self.visible: tuple[str, ...] = ()
        """The files and folders that the sandbox shows."""

        self.folder = ""
        """The path of the private /tmp, as the plugin sees it."""

        self._folder = folder
        self._leaf: Leaf | None = None
        self.tier: Tier = sandbox.tier
        launcher = self.pid
        try:
            self._fd = os.pidfd_open(self.pid)
            if family.init:
                self._init_fd, launcher = _init_of(family.info, self.pid, sandbox.name)
            if leaf is not None and launcher:
                self._leaf = _joined(leaf, launcher)
        except BaseException:
            family.close()
            process.kill()
            process.wait()
            if leaf is not None:
                leaf.close()
            if folder is not None:
                folder.close()
            raise
        if family.info >= 0:
            os.close(family.info)
        if self._leaf is None and leaf is not None:
            leaf.close()
        self._depth = 2 if family.init else 1 if self._leash >= 0 else 0
        self._session = launcher

    def fileno(self) -> int:
        """A pidfd: readable when the process has ended (pidfd_open(2))."""
        return self._fd

    def poll(self) -> int | None:
        """The plugin's exit status, negative for a signal; None while the plugin runs."""
        with self._lock:
            if self._returncode is None and self._process.poll() is not None:
                self._clean_up()
            return self._returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait at most `timeout` seconds for the exit status. Raises TimeoutError."""
        if self.poll() is None and not _readable(self._fd, timeout):
            raise TimeoutError(f"{self._name} still runs after {timeout} s")
        code = self.poll()
        while code is None:  # the pidfd was readable, so the process only has to be reaped
            self._process.wait()
            code = self.poll()
        return code

    def kill(self) -> None:
        """End and reap all processes at once; do nothing if they have ended."""
        with self._lock:
            if self.poll() is not None:
                return
            if self._init_fd >= 0:
                with contextlib.suppress(ProcessLookupError):
                    signal.pidfd_send_signal(self._init_fd, signal.SIGKILL)  # which ends its namespace
                # bwrap then ends by itself and reaps that process. A bwrap killed first would leave this to the reaper
                # of orphans, which in a container is often this very process: a zombie for every plugin.
                if not _readable(self._fd, _END_WITHIN_S):
                    self._process.kill()
            elif self._leash >= 0:
                self._close_leash()
                if not _readable(self._fd, _END_WITHIN_S):
                    self._process.kill()
            else:
                self._process.kill()
            self._process.wait()
            self._clean_up()  # cgroup.kill comes last, after the processes that reap have done so

    @property
    def cgroup(self) -> str:
        """Which bounds the cgroup enforces, for a person; empty without a cgroup, or after the end."""
        leaf = self._leaf
        return leaf.enforced() if leaf is not None else ""

    def give_way(self) -> None:
        """Be as nice to others as this process. Call it when the sandbox is built: its session exists then."""
        if self._session and self.poll() is None:
            priority.let_give_way(self._session)

    def measure(self) -> Usage:
        """What the processes use now; all zero after the end."""
        leaf = self._leaf
        measured = usage.of_leaf(leaf.folder, helpers=min(self._depth, 1)) if leaf is not None else None
        return measured or usage.of_tree(self.pid, self._depth)

    def temporary(self) -> FolderUsage | None:
        """The contents of the private folder on the disk; None without one, or after the end."""
        with self._lock:
            return self._folder.used() if self._folder is not None else None

    def _close_leash(self) -> None:
        # shutdown, not only close: a process that another thread just forked may have a copy.
        import socket

        with socket.socket(fileno=os.dup(self._leash)) as end, contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_WR)

    def _clean_up(self) -> None:
        """The outermost process was reaped: end the rest, then close the descriptors."""
        code = self._process.returncode
        if self.tier is Tier.FULL and code > 128:
            code = 128 - code  # bwrap reports a signal as a shell does
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
        if self._folder is not None:
            self._folder.close()
            self._folder = None
        self._returncode = code

    def _after_keeper(self) -> None:
        """The keeper cleans up before it ends. If it was killed, kill its group."""
        os.set_blocking(self._leash, False)
        message = b""
        with contextlib.suppress(OSError):
            message = os.read(self._leash, 64)
        if len(message) >= 4 and message[4:8] != _CLEAN:
            group = int.from_bytes(message[:4], "little")
            with contextlib.suppress(OSError):
                os.killpg(group, signal.SIGKILL)

    def __del__(self) -> None:
        if hasattr(self, "_fd"):
            if self._returncode is None:
                self.kill()
            os.close(self._fd)


class _Info(msgspec.Struct, rename="kebab"):
    """What bwrap writes to --info-fd."""

    child_pid: int


def _readable(fd: int, timeout: float | None) -> bool:
    watch = select.poll()
    watch.register(fd, select.POLLIN)
    return bool(watch.poll(None if timeout is None else max(0, round(timeout * 1000))))


def _joined(leaf: Leaf, launcher: int) -> Leaf | None:
    """Move the process `launcher` into `leaf`; return None if that fails. The other layers remain.

    The pid is still the launcher's: the launcher waits for its instructions, and only bwrap, which has just been asked,
    could have reaped it.
    """
    try:
        leaf.add(launcher)
    except OSError:
        return None
    return leaf


def _init_of(info: int, outer: int, name: str) -> tuple[int, int]:
    """A pidfd and the pid of the first process in the namespace, which bwrap writes to --info-fd; (-1, 0) if the
    process has ended."""
    message = b""
    end = time.monotonic() + _NAMESPACES_WITHIN_S
    while b"}" not in message:
        if not _readable(info, end - time.monotonic()):
            raise SandboxError(f"{name}: bwrap did not build the namespaces within {_NAMESPACES_WITHIN_S} s")
        part = os.read(info, 4096)
        if not part:
            raise SandboxError(
                f"{name}: bwrap ended before it had built the namespaces; its reason is in the plugin's standard "
                "error, and `douane doctor` shows what this host allows"
            )
        message += part
    try:
        pid = msgspec.json.decode(message, type=_Info).child_pid
    except msgspec.DecodeError as error:
        raise SandboxError(f"{name}: bwrap wrote {message!r:.200} instead of the pid of its process") from error
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return -1, 0  # the process was killed, and its namespace with it
    if usage.parent_of(pid) != outer:
        os.close(fd)
        raise SandboxError(f"{name}: the sandbox ended while it was being built")
    return fd, pid
