"""Connect to a Unix socket as another user than Douane's."""

from __future__ import annotations

import os
import pwd
import socket
import subprocess

from douane import sandbox
from douane.errors import PlanError

_CONNECT = """
import os, sys, _socket
fd, uid, gid, *groups = map(int, sys.argv[1:-2])
os.setgroups(groups); os.setresgid(gid, gid, gid); os.setresuid(uid, uid, uid)
peer = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM, 0, fd)
peer.settimeout(float(sys.argv[-2]))
try:
    peer.connect(os.fsencode(sys.argv[-1]))
except OSError as error:
    sys.exit(error.errno or 110)
finally:
    peer.detach()
"""
"""A process of its own has the user: identities of threads are no idea of the C library (setuid(2), nptl(7)), and the
service sees those of the process that has connected (SO_PEERCRED, unix(7))."""


def connect_unix(path: str, seconds: float, user: str | None) -> socket.socket:
    """A stream socket that is connected to `path`, as `user` or as Douane's own user; its peer has `seconds` to accept.

    Raises OSError; PlanError if there is no such user, or Douane may not become that user.
    """
    peer = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        account = _account(user) if user is not None else None
        if account is None or account.pw_uid == os.geteuid():
            peer.settimeout(seconds)
            peer.connect(path)
        else:
            _connect(peer, path, seconds, account)
    except BaseException:
        peer.close()
        raise
    return peer


def _account(user: str) -> pwd.struct_passwd:
    try:
        account = pwd.getpwnam(user)
    except (KeyError, ValueError):
        raise PlanError(f"there is no user {user!r:.60} on this host ('connect_as')") from None
    if account.pw_uid != os.geteuid() != 0:
        douane_user = pwd.getpwuid(os.geteuid()).pw_name
        raise PlanError(f"only root connects as another user: Douane is {douane_user}, not {user} ('connect_as')")
    return account


def _connect(peer: socket.socket, path: str, seconds: float, account: pwd.struct_passwd) -> None:
    groups = os.getgrouplist(account.pw_name, account.pw_gid)
    numbers = [str(number) for number in (peer.fileno(), account.pw_uid, account.pw_gid, *groups)]
    command = [sandbox.interpreter().executable, "-I", "-S", "-c", _CONNECT, *numbers, str(seconds), path]
    try:
        code = subprocess.run(
            command, check=False, pass_fds=[peer.fileno()], env={}, capture_output=True, timeout=2 * seconds
        ).returncode
    except subprocess.TimeoutExpired as error:
        raise TimeoutError("it does not accept the connection") from error
    if code:
        raise OSError(code, os.strerror(code))
