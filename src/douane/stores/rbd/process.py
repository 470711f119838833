"""The helper process: commands to it, answers from it, and a clock for each. It ends with this process."""

from __future__ import annotations

import contextlib
import errno
import select
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, TypedDict

import msgspec

from .options import RbdOptions

# 108: the monitors have put this client on the blocklist, since another client broke its lock.
AWAY = frozenset({errno.ETIMEDOUT, errno.ENOTCONN, errno.ECONNREFUSED, errno.ESHUTDOWN, errno.EHOSTUNREACH})
"""Errors of a cluster that cannot be reached."""

PROGRAM = str(Path(__file__).with_name("helper.py"))
MAX_LINE = 1 << 20
_STARTING_SECONDS = 60.0
_END_SECONDS = 10.0


_Count = Annotated[int, msgspec.Meta(ge=0)]


class _Connected(TypedDict):
    fsid: str
    has_pool: bool


class _Opened(TypedDict):
    size: _Count
    id: str
    watchers: _Count


class _Room(TypedDict):
    free: _Count | None
    is_full: bool


_ANSWERS: dict[str, Any] = {
    "connect": _Connected,
    "create": _Opened,
    "open": _Opened,
    "snapshots": dict[str, bool],
    "clones": _Count,
    "is_listed": bool,
    "room": _Room,
    "list": list[str],
    "read": _Count,
}
"""What the answers to commands are; those to others say nothing."""


class HelperError(Exception):
    """What the helper says failed; `number` is an errno."""

    def __init__(self, number: int, message: str) -> None:
        super().__init__(message)
        self.number = number


class Helper:
    """One helper process, connected to the pool. For one thread at a time; unusable after an error of its socket."""

    def __init__(self, options: RbdOptions) -> None:
        """Start it. Raises HelperError."""
        self._seconds = 3 * options.timeout + _STARTING_SECONDS
        self._pending = bytearray()
        self.is_broken = False
        near, far = socket.socketpair()
        self._socket = near
        with far:
            try:
                self._process = subprocess.Popen(
                    [options.python, "-I", PROGRAM, str(far.fileno())],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    pass_fds=(far.fileno(),),
                    cwd="/",
                    env={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"},
                )
            except OSError as error:
                near.close()
                raise HelperError(errno.ENOPKG, f"{options.python} cannot be started: {error.strerror}") from error
        try:
            answer = self.call(
                "connect",
                conf=options.ceph_conf,
                user=options.user,
                keyring=options.keyring,
                pool=options.pool,
                options=_settings(options),
            )
        except HelperError as error:
            self.kill()
            if error.number == errno.EPIPE:
                raise HelperError(errno.ENOPKG, f"{options.python} ended at once") from error
            raise
        except BaseException:
            self.kill()
            raise
        self.fsid: str = answer["fsid"]
        self.has_pool: bool = answer["has_pool"]

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    def call(self, command: str, **arguments: Any) -> Any:
        """The answer to a command. Raises HelperError."""
        self._send_line({"command": command, **arguments})
        while True:
            answer = self._line()
            if "ok" in answer:
                return self._checked(answer["ok"], command)
            if "errno" in answer:
                raise self._failed(answer)

    def names(self) -> Iterator[str]:
        """The names of all images in the pool. Raises HelperError."""
        self._send_line({"command": "list"})
        while True:
            answer = self._line()
            if "errno" in answer:
                raise self._failed(answer)
            if "ok" in answer:
                return
            yield from self._checked(answer.get("names", []), "list")

    def write(self, view: memoryview, offset: int) -> None:
        """Have bytes written; `call("flush")` waits for them. Raises HelperError, also for earlier writes."""
        if self._pending or select.select([self._socket], [], [], 0)[0]:
            self.is_broken = True
            raise self._failed(self._line())  # nothing else comes unasked
        self._send_line({"command": "write", "offset": offset, "length": len(view)})
        self._send(view)

    def ask_for(self, offset: int, length: int) -> None:
        """Ask for bytes of the image; :meth:`receive` gets them, and nothing else may be asked before. Raises
        HelperError."""
        self._send_line({"command": "read", "offset": offset, "length": length})

    def receive(self, view: memoryview) -> int:
        """Fill `view` with the bytes that were asked for; their number, less only at the end of the image. Raises
        HelperError."""
        answer = self._line()
        if "ok" not in answer:
            raise self._failed(answer)
        length: int = self._checked(answer["ok"], "read")
        if length > len(view):
            raise self._broken("the helper answered with more than was asked for")
        ready = min(length, len(self._pending))
        view[:ready] = self._pending[:ready]
        del self._pending[:ready]
        deadline = time.monotonic() + self._seconds
        while ready < length:
            self._wait(deadline)
            count = self._socket.recv_into(view[ready:length])
            if not count:
                raise self._broken("the helper process ended")
            ready += count
        return length

    def kill(self) -> None:
        """End the process at once. Idempotent."""
        self.is_broken = True
        self._process.kill()
        self._socket.close()
        self._process.wait(_END_SECONDS)

    def close(self) -> None:
        """End the process, which closes its image first. Idempotent."""
        if self.is_broken:
            self.kill()
            return
        self._socket.close()
        try:
            self._process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()

    # inside

    def _send_line(self, value: dict[str, Any]) -> None:
        self._send(memoryview(msgspec.json.encode(value) + b"\n"))

    def _send(self, view: memoryview) -> None:
        self._socket.settimeout(self._seconds)
        try:
            self._socket.sendall(view)
        except TimeoutError:
            raise self._broken("the helper process takes nothing", errno.ETIMEDOUT) from None
        except OSError:
            raise self._broken("the helper process ended") from None

    def _line(self) -> dict[str, Any]:
        deadline = time.monotonic() + self._seconds
        while (end := self._pending.find(b"\n")) < 0:
            if len(self._pending) > MAX_LINE:
                raise self._broken("the helper's answer is too long")
            self._wait(deadline)
            with contextlib.suppress(ConnectionResetError):
                piece = self._socket.recv(1 << 16)
                self._pending += piece
                if piece:
                    continue
            raise self._broken("the helper process ended")
        line = bytes(self._pending[:end])
        del self._pending[: end + 1]
        try:
            answer = msgspec.json.decode(line, type=dict[str, Any])
        except msgspec.MsgspecError:
            raise self._broken("the helper's answer cannot be read") from None
        return answer

    def _wait(self, deadline: float) -> None:
        remaining = deadline - time.monotonic()
        if remaining <= 0 or not select.select([self._socket], [], [], remaining)[0]:
            raise self._broken("the helper process does not answer", errno.ETIMEDOUT)

    def _failed(self, answer: dict[str, Any]) -> HelperError:
        number = answer.get("errno")
        if not isinstance(number, int) or number not in errno.errorcode:
            number = errno.EIO
        error = HelperError(number, str(answer.get("message", "a wrong answer"))[:2000])
        # A client that lost its OSD may keep on asking the old address: seen with an OSD that was started again.
        if error.number in AWAY or answer.get("command") == "write":
            self.is_broken = True
        return error

    def _checked(self, answer: Any, command: str) -> Any:
        try:
            return msgspec.convert(answer, _ANSWERS.get(command, Any))
        except msgspec.ValidationError:
            raise self._broken("the helper's answer cannot be read") from None

    def _broken(self, message: str, number: int = errno.EPIPE) -> HelperError:
        self.is_broken = True
        return HelperError(number, message)


def _settings(options: RbdOptions) -> dict[str, str]:
    """Of librados and librbd. Without the first three, a command waits for a cluster that is away, for ever."""
    seconds = f"{options.timeout:.0f}"
    return {
        "client_mount_timeout": seconds,
        "rados_mon_op_timeout": seconds,
        "rados_osd_op_timeout": seconds,
        # Pieces are gathered by the helper, and an answer means that the cluster has the bytes.
        "rbd_cache": "false",
        "rbd_concurrent_management_ops": "20",
        "log_to_stderr": "false",
        "err_to_stderr": "false",
        "admin_socket": "",
        "log_file": "",
    }
