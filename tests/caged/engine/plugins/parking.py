"""Plugins that send their descriptors to a service, to keep them open beyond the run."""

from __future__ import annotations

import array
import contextlib
import errno
import os
import socket
import stat
import time

from douane_plugin import Inspector, Transform

TRIES = 200
PAUSE = 0.05


def park(peer, fds):
    """Send each of `fds` to `peer`; return the number of those sent."""
    return sum(send(peer, fd) for fd in fds)


def send(peer, fd):
    """Send `fd`; True if that is possible. The descriptors that all processes of a user have under way are counted
    together, and those of other tests arrive some time (unix(7), ETOOMANYREFS)."""
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [fd]))]
    for _ in range(TRIES):
        try:
            return peer.sendmsg([b"x"], rights) == 1
        except OSError as error:
            if error.errno != errno.ETOOMANYREFS:
                return False
        time.sleep(PAUSE)
    return False


def descriptors():
    """Those that were passed on keep the numbers that they have in the engine, which may have many."""
    opened = []
    for fd in range(3, 1024):
        with contextlib.suppress(OSError):
            os.fstat(fd)
            opened.append(fd)
    return opened


def files():
    """Without the sockets. One that is sent through itself is collected as garbage where the kernel takes it for
    unreachable, which depends on what other processes close at that moment."""
    return [fd for fd in descriptors() if stat.S_ISREG(os.fstat(fd).st_mode)]


class ParksOutput(Transform):
    """A transform that sends all its descriptors to the granted socket "peer"."""

    def transform(self, image):
        for chunk in image:
            yield bytes(chunk)
        park(self.grant("peer"), descriptors())


class ParksScratch(Inspector):
    """An inspector that fills its scratch files, and sends all its files to the granted socket "peer"."""

    def inspect(self, image):
        for file in self.scratch:
            os.pwrite(file.fileno(), b"x" * (1 << 20), 0)
        return {"sent": park(self.grant("peer"), files())}
